"""One request for sums of charges, from its query string to the links of its answer (api.md 3.11).

A list whose order follows from what it is grouped by: it has cursors, but nothing to filter, order or select.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from litestar import Request

from api.odata.literals import value_of
from api.rest.cursor import MAX_LENGTH, Cursors, ListName, rows_digest
from api.rest.list_links import PageLinks
from api.rest.list_options import DEFAULT_LIMIT, limit_of, options_of
from api.rest.list_pages import Pages
from api.rest.list_spec import OwnOption
from api.rest.refusals import NotOffered
from domain.clock import utc_text
from domain.errors import InvalidRequest
from domain.filters import Kind, Value
from domain.ids import TenantId, UserId
from domain.pagination import PageQuery
from domain.quotas.usage_sums import Grouping, UsageSpan
from domain.subject import Subject

LONGEST: Final = timedelta(days=366)
_MOST_MODEL_CHARACTERS: Final = 128
_TIME_SCHEMA: Final = {"type": "string", "format": "date-time"}
_ID_SCHEMA: Final = {"type": "string", "format": "uuid"}
_KEYS: Final = "|".join(Grouping)

SPAN_OPTIONS: Final = (
    OwnOption(name="from", description="Charges settled from then on.", schema=_TIME_SCHEMA, required=True),
    OwnOption(
        name="to",
        description=f"Charges settled before then, at most {LONGEST.days} days after `from`.",
        schema=_TIME_SCHEMA,
        required=True,
    ),
    OwnOption(
        name="group_by",
        description="The keys of a group, between commas, each at most once; in their order the groups come.",
        schema={"type": "string", "pattern": f"^({_KEYS})(,({_KEYS})){{0,3}}$", "default": Grouping.TENANT.value},
    ),
    OwnOption(name="tenant_id", description="Charges of this tenant alone.", schema=_ID_SCHEMA),
    OwnOption(name="user_id", description="Charges of this user alone.", schema=_ID_SCHEMA),
    OwnOption(
        name="model",
        description="Charges for this model alone.",
        schema={"type": "string", "minLength": 1, "maxLength": _MOST_MODEL_CHARACTERS},
    ),
    OwnOption(
        name="limit", description="Page size.", schema={"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT}
    ),
    OwnOption(
        name="cursor",
        description="A position from `page_info` of an earlier page; all else is sent again unchanged.",
        schema={"type": "string", "maxLength": MAX_LENGTH},
    ),
)
_NAMES: Final = frozenset(option.name for option in SPAN_OPTIONS)
_NOT_HERE: Final = ("$filter", "$orderby", "$select", "$count")


class UsageListing:
    """`span` and `query` are what the sums are asked for, `pages` how they are answered."""

    def __init__(self, request: Request[Any, Any, Any], cursors: Cursors, subject: Subject) -> None:
        """Raises InvalidRequest, InvalidLimit, InvalidCursor, NotOffered."""
        options = options_of(request.scope["query_string"], _NAMES)
        for unoffered in _NOT_HERE:
            if unoffered in options:
                raise NotOffered.of(unoffered)
        limit = limit_of(options)
        self.span = _span(options)
        shape = self.span.shape
        name = ListName(
            resource="usage_sums",
            tenant_id=subject.tenant_id,
            user_id=subject.user_id,
            rows=rows_digest(None, _told(self.span)),
        )
        links = PageLinks(request.scope["path"], options, limit, ())
        self.pages = Pages(cursors, name, shape.default_order, limit, links)
        cursor = options.get("cursor")
        position = None if cursor is None else cursors.open(name, shape, cursor).position
        self.query = PageQuery(limit=limit, order=shape.default_order, position=position)


def _span(options: Mapping[str, str]) -> UsageSpan:
    start, end = _time(options, "from"), _time(options, "to")
    if not timedelta() < end - start <= LONGEST:
        raise InvalidRequest.of("to", f"This must be after from, by at most {LONGEST.days} days.", "out_of_range")
    tenant_id, user_id = _id(options, "tenant_id"), _id(options, "user_id")
    return UsageSpan(
        start=start,
        end=end,
        group_by=_group_by(options.get("group_by", Grouping.TENANT.value)),
        tenant_id=None if tenant_id is None else TenantId(tenant_id),
        user_id=None if user_id is None else UserId(user_id),
        model=_model(options.get("model")),
    )


def _told(span: UsageSpan) -> dict[str, str]:
    """What decides which groups there are, however it was written."""
    named = {"tenant_id": span.tenant_id, "user_id": span.user_id, "model": span.model}
    return {
        "from": utc_text(span.start),
        "to": utc_text(span.end),
        "group_by": ",".join(span.group_by),
        **{name: str(value) for name, value in named.items() if value is not None},
    }


def _time(options: Mapping[str, str], name: str) -> datetime:
    if name not in options:
        raise InvalidRequest.of(name, "This is required.", "required")
    moment = _value(options[name], Kind.TIME)
    if not isinstance(moment, datetime):
        raise InvalidRequest.of(name, "This is no time with its offset (+ is sent as %2B).", "type")
    return moment


def _group_by(text: str) -> tuple[Grouping, ...]:
    names = text.split(",")
    if not set(Grouping).issuperset(names):
        raise InvalidRequest.of("group_by", f"This can be {', '.join(Grouping)}, between commas.", "invalid_value")
    if len(names) != len(set(names)):
        raise InvalidRequest.of("group_by", "A name stands here twice.", "duplicate")
    return tuple(map(Grouping, names))


def _id(options: Mapping[str, str], name: str) -> UUID | None:
    if name not in options:
        return None
    value = _value(options[name], Kind.UUID)
    if not isinstance(value, UUID):
        raise InvalidRequest.of(name, "This is no UUID.", "invalid_uuid")
    return value


def _value(text: str, kind: Kind) -> Value:
    """None for text that means nothing of this kind."""
    try:
        return value_of(text, kind)
    except ValueError:
        return None


def _model(text: str | None) -> str | None:
    if text is None or 1 <= len(text) <= _MOST_MODEL_CHARACTERS:
        return text
    raise InvalidRequest.of("model", f"This is empty or beyond {_MOST_MODEL_CHARACTERS} characters.", "invalid_value")
