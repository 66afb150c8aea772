import re
from uuid import UUID

from msgspec.structs import asdict

from domain.ids import ChatId, TenantId, UserId
from domain.providers.pseudonyms import Pseudonymiser
from domain.scope import AccessScope

KEY = b"k" * 32
ONE, TWO = UUID(int=1), UUID(int=2)


def names(key: bytes = KEY, tenant: UUID = ONE, user: UUID = ONE, chat: UUID = ONE) -> dict[str, str]:
    scope = AccessScope(tenant_id=TenantId(tenant), user_id=UserId(user))
    return asdict(Pseudonymiser(key).of(scope, ChatId(chat)))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_a_name_is_32_hex_digits_and_the_same_each_time() -> None:
    assert all(re.fullmatch(r"[0-9a-f]{32}", name) for name in names().values())
    assert names() == names()


def test_one_id_has_another_name_in_each_role_and_under_each_key() -> None:
    assert len(set(names().values())) == 3
    assert changed(names(), names(b"x" * 32)) == {"tenant", "user", "chat"}


def test_a_name_follows_its_own_id_within_its_tenant() -> None:
    assert changed(names(), names(user=TWO)) == {"user"}
    assert changed(names(), names(chat=TWO)) == {"chat"}
    assert changed(names(), names(tenant=TWO)) == {"tenant", "user", "chat"}
