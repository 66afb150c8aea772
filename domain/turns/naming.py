"""When a chat gets a title by itself (engine.md 6.4). Pure."""

from domain.chats.models import NewChat
from domain.ids import ChatId
from domain.jobs.payloads import NameChat
from domain.scope import AccessScope
from domain.titles.wording import first_line
from domain.turns.models import Gate


def title_at_once(place: Gate | NewChat, content: str) -> str | None:
    """For a chat without a title that is asked this: its first line; None where it shows nothing."""
    is_untitled = place.is_untitled if isinstance(place, Gate) else place.title is None
    return first_line(content) if is_untitled else None


def title_due(place: Gate | NewChat, scope: AccessScope, chat_id: ChatId) -> NameChat | None:
    """What is to be done once the turn that is opened here has been answered."""
    awaits_title = place.awaits_title if isinstance(place, Gate) else place.title is None
    return NameChat(tenant_id=scope.tenant_id, user_id=scope.user_id, chat_id=chat_id) if awaits_title else None
