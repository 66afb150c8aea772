"""Who may do what: a closed table of roles and actions, and the licence that using the product needs.

Administering it needs the role alone. Owning an object is not decided here: queries name tenant and owner, so a foreign
object does not exist.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final

from domain.errors import FeatureNotLicensed, Forbidden
from domain.subject import Subject

LICENCE_FEATURE = "ai_chat"


class Role(StrEnum):
    USER = "user"
    VIEWER = "viewer"
    ADMIN = "admin"


class Action(Enum):
    CREATE_CHAT = "create_chat"
    READ_CHAT = "read_chat"
    LIST_CHATS = "list_chats"
    UPDATE_CHAT = "update_chat"
    DELETE_CHAT = "delete_chat"
    RESTORE_CHAT = "restore_chat"
    GENERATE_TITLE = "generate_title"
    LIST_MESSAGES = "list_messages"
    SEND_MESSAGE = "send_message"
    CANCEL_TURN = "cancel_turn"
    READ_TURN = "read_turn"
    RETRY_TURN = "retry_turn"
    EDIT_TURN = "edit_turn"
    DELETE_TURN = "delete_turn"
    LIST_MODELS = "list_models"
    READ_MODEL = "read_model"
    READ_QUOTA = "read_quota"
    LIST_USAGE = "list_usage"
    READ_SELF = "read_self"
    READ_QUOTAS = "read_quotas"
    SET_QUOTAS = "set_quotas"
    SUM_USAGE = "sum_usage"
    READ_SWITCHES = "read_switches"
    SET_SWITCH = "set_switch"
    READ_CATALOGUE = "read_catalogue"
    CHANGE_CATALOGUE = "change_catalogue"
    LIST_LIVE_TURNS = "list_live_turns"
    ABORT_TURN = "abort_turn"
    READ_JOBS = "read_jobs"
    REDRIVE_JOBS = "redrive_jobs"


_READING = frozenset(
    {
        Action.READ_CHAT,
        Action.LIST_CHATS,
        Action.LIST_MESSAGES,
        Action.READ_TURN,
        Action.LIST_MODELS,
        Action.READ_MODEL,
        Action.READ_QUOTA,
        Action.LIST_USAGE,
    }
)
_WRITING = frozenset(
    {
        Action.CREATE_CHAT,
        Action.UPDATE_CHAT,
        Action.DELETE_CHAT,
        Action.RESTORE_CHAT,
        Action.GENERATE_TITLE,
        Action.SEND_MESSAGE,
        Action.CANCEL_TURN,
        Action.RETRY_TURN,
        Action.EDIT_TURN,
        Action.DELETE_TURN,
    }
)
ADMINISTRATION: Final = frozenset(
    {
        Action.READ_QUOTAS,
        Action.SET_QUOTAS,
        Action.SUM_USAGE,
        Action.READ_SWITCHES,
        Action.SET_SWITCH,
        Action.READ_CATALOGUE,
        Action.CHANGE_CATALOGUE,
        Action.LIST_LIVE_TURNS,
        Action.ABORT_TURN,
        Action.READ_JOBS,
        Action.REDRIVE_JOBS,
    }
)
"""What is done under /v1/admin: it spans tenants, so no other role may have any of it."""

OPEN: Final = frozenset({Action.READ_SELF})
"""Whoever has a credential may see what it is good for, which may be nothing."""

PERMISSIONS: Mapping[str, frozenset[Action]] = {
    Role.USER: _READING | _WRITING,
    Role.VIEWER: _READING,
    Role.ADMIN: _READING | _WRITING | ADMINISTRATION,
}


class Policy:
    def require(self, subject: Subject, action: Action) -> None:
        """Returns only if one of the subject's roles allows the action and its licence covers it, where it needs one.

        A role nobody knows allows nothing. Raises Forbidden before FeatureNotLicensed (engine.md 7.1).
        """
        if action in OPEN:
            return
        if not any(action in PERMISSIONS.get(role, frozenset()) for role in subject.roles):
            raise Forbidden
        if action not in ADMINISTRATION and LICENCE_FEATURE not in subject.features:
            raise FeatureNotLicensed(LICENCE_FEATURE)
