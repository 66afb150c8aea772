"""Names under which a provider knows tenants, users and chats: no id of ours leaves (providers-and-files.md 1.2)."""

import hashlib
import hmac
from typing import Final
from uuid import UUID

from domain.ids import ChatId
from domain.providers.request import Pseudonyms
from domain.scope import AccessScope

_HEX_DIGITS: Final = 32


class Pseudonymiser:
    """Equal under one key, and told by nothing else: not from the id without the key, not from one kind to another."""

    def __init__(self, key: bytes) -> None:
        self._tenants, self._users, self._chats = (
            _digest(key, f"mini-chat/pseudonym/{kind}".encode()) for kind in ("tenant", "user", "chat")
        )

    def of(self, scope: AccessScope, chat_id: ChatId) -> Pseudonyms:
        return Pseudonyms(
            tenant=_named(self._tenants, scope.tenant_id),
            user=_named(self._users, scope.tenant_id, scope.user_id),
            chat=_named(self._chats, scope.tenant_id, chat_id),
        )


def _named(key: bytes, *ids: UUID) -> str:
    return _digest(key, b"".join(each.bytes for each in ids)).hex()[:_HEX_DIGITS]


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
