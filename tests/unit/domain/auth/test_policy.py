from itertools import product
from uuid import UUID

import pytest

from domain.auth.policy import PERMISSIONS, Action, Policy, Role
from domain.errors import FeatureNotLicensed, Forbidden
from domain.ids import TenantId, UserId
from domain.subject import AuthMethod, Subject

READING = {
    "read_chat",
    "list_chats",
    "list_messages",
    "read_turn",
    "list_models",
    "read_model",
    "read_quota",
    "list_usage",
}
WRITING = {
    "create_chat",
    "update_chat",
    "delete_chat",
    "restore_chat",
    "generate_title",
    "send_message",
    "cancel_turn",
    "retry_turn",
    "edit_turn",
    "delete_turn",
}
ADMINISTERING = {
    "read_quotas",
    "set_quotas",
    "sum_usage",
    "read_switches",
    "set_switch",
    "read_catalogue",
    "change_catalogue",
    "list_live_turns",
    "abort_turn",
    "read_jobs",
    "redrive_jobs",
}
OPEN = {"read_self"}
ALLOWED = {"user": READING | WRITING, "viewer": READING, "admin": READING | WRITING | ADMINISTERING}


def subject(*roles: str, features: tuple[str, ...] = ("ai_chat",)) -> Subject:
    return Subject(
        tenant_id=TenantId(UUID(int=1)),
        user_id=UserId(UUID(int=2)),
        roles=frozenset(roles),
        features=frozenset(features),
        auth_method=AuthMethod.JWT,
    )


def test_the_expected_table_names_every_role_and_every_action() -> None:
    assert set(ALLOWED) == {role.value for role in Role} == set(PERMISSIONS)
    assert {action.value for action in Action} == READING | WRITING | ADMINISTERING | OPEN


@pytest.mark.parametrize(("role", "action"), list(product(Role, Action)))
def test_a_role_allows_its_actions_and_no_other(role: Role, action: Action) -> None:
    if action.value in ALLOWED[role.value] | OPEN:
        Policy().require(subject(role.value), action)
    else:
        with pytest.raises(Forbidden):
            Policy().require(subject(role.value), action)


@pytest.mark.parametrize("action", [action for action in Action if action.value not in OPEN])
@pytest.mark.parametrize("roles", [(), ("USER",), ("root",), ("",), ("user ",)])
def test_nobody_without_a_known_role_may_do_anything(roles: tuple[str, ...], action: Action) -> None:
    with pytest.raises(Forbidden):
        Policy().require(subject(*roles), action)


def test_one_role_that_allows_is_enough() -> None:
    Policy().require(subject("viewer", "unheard-of", "user"), Action.SEND_MESSAGE)


@pytest.mark.parametrize("action", [action for action in Action if action.value in READING | WRITING])
@pytest.mark.parametrize("features", [(), ("AI_CHAT",), ("ai_chat_extra",)])
def test_using_the_product_needs_the_licence(features: tuple[str, ...], action: Action) -> None:
    with pytest.raises(FeatureNotLicensed) as refusal:
        Policy().require(subject("admin", features=features), action)
    assert refusal.value.members == {"feature": "ai_chat"}


@pytest.mark.parametrize("action", [action for action in Action if action.value in ADMINISTERING])
def test_administering_needs_the_role_alone(action: Action) -> None:
    Policy().require(subject("admin", features=()), action)


def test_whoever_has_a_credential_may_see_what_it_is_good_for() -> None:
    Policy().require(subject(features=()), Action.READ_SELF)


def test_a_missing_role_is_told_before_a_missing_licence() -> None:
    with pytest.raises(Forbidden):
        Policy().require(subject("viewer", features=()), Action.SEND_MESSAGE)
