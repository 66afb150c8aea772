"""What prepared statements are given, and the predicates that hold them to one owner.

The scope of a unit of work arrives as `b_tenant_id` and `b_user_id`; the prefix keeps a value apart from the column
of its name, as SQLAlchemy demands.
"""

from typing import Any, Final

from sqlalchemy import BindParameter, and_, bindparam
from sqlalchemy.types import TypeEngine

from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.turn import TurnRow


def bound(name: str, type_: TypeEngine[Any] | None = None) -> BindParameter[Any]:
    """A value given at run time."""
    return bindparam(f"b_{name}", type_=type_)


TENANT: Final = bound("tenant_id")
USER: Final = bound("user_id")

# A deleted chat too: its last turn still has books to close.
OUR_CHAT: Final = and_(ChatRow.tenant_id == TENANT, ChatRow.user_id == USER, ChatRow.id == bound("chat_id"))
OUR_LIVE_CHAT: Final = and_(OUR_CHAT, ChatRow.deleted_at.is_(None))
OUR_TURNS: Final = and_(TurnRow.tenant_id == TENANT, TurnRow.user_id == USER)
OUR_TURN: Final = and_(OUR_TURNS, TurnRow.id == bound("turn_id"))
