"""One list request from its query string to the envelope and the links of its answer (api.md 2)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from litestar import Request, Response
from msgspec import UNSET

from api.odata.lists import parsed_order, parsed_selection
from api.odata.parser import parsed_filter
from api.rest.cursor import Cursors, ListName, rows_digest
from api.rest.list_links import PageLinks
from api.rest.list_options import flag_of, limit_of, options_of
from api.rest.list_pages import BodyT, Pages
from api.rest.list_spec import ListSpec, OwnT
from domain.errors import InvalidCursor
from domain.filters import Filter, ListShape, OrderKey
from domain.ids import ChatId
from domain.pagination import Page, PageQuery, Position
from domain.subject import Subject

T = TypeVar("T")
ItemT = TypeVar("ItemT", bound=msgspec.Struct)


class Listing(Generic[OwnT]):
    """`query` is what the repository is asked, `own` what the list's own options say, `pages` how it is answered."""

    def __init__(
        self,
        request: Request[Any, Any, Any],
        cursors: Cursors,
        spec: ListSpec[OwnT],
        subject: Subject,
        *,
        parent: ChatId | None = None,
    ) -> None:
        """Raises what api.md 2.7 names, in its order; nothing of this reaches the database."""
        options = options_of(request.scope["query_string"], spec.own.names)
        limit, counted = limit_of(options), flag_of(options, "$count")
        selected = _selected(spec, options)
        self.own = spec.own.read(options)
        condition = _condition(spec.shape, options)
        name = ListName(
            resource=spec.resource,
            tenant_id=subject.tenant_id,
            user_id=subject.user_id,
            parent=parent,
            rows=rows_digest(condition, spec.own.picking_rows(options)),
        )
        order, position = _start(cursors, name, spec.shape, options)
        self._left_out = {} if selected is None else dict.fromkeys(spec.members - selected, UNSET)
        chosen = () if order == spec.shape.default_order else order
        links = PageLinks(request.scope["path"], options, limit, chosen)
        self.pages = Pages(cursors, name, order, limit, links)
        self.query = PageQuery(
            limit=limit,
            order=order,
            filter=condition,
            position=position,
            members=None if selected is None else spec.read_for(selected),
            counted=counted,
        )

    def answer(
        self, body: Callable[..., BodyT], page: Page[T], item_of: Callable[[T], ItemT], **more: object
    ) -> Response[BodyT]:
        """The page on the wire, in an envelope that may have `more`, with the links that exist."""
        return self.pages.answer(body, page, self.projected(map(item_of, page.items)), **more)

    def projected(self, items: Iterable[ItemT]) -> tuple[ItemT, ...]:
        """Without the members that were not selected."""
        if not self._left_out:
            return tuple(items)
        return tuple(msgspec.structs.replace(item, **self._left_out) for item in items)


def _start(
    cursors: Cursors, name: ListName, shape: ListShape, options: Mapping[str, str]
) -> tuple[tuple[OrderKey, ...], Position | None]:
    """A cursor brings its order along."""
    cursor, wanted = options.get("cursor"), options.get("$orderby")
    if cursor is None:
        return shape.default_order if wanted is None else parsed_order(wanted, shape), None
    if wanted is not None:
        raise InvalidCursor
    place = cursors.open(name, shape, cursor)
    return place.order, place.position


def _selected(spec: ListSpec[Any], options: Mapping[str, str]) -> frozenset[str] | None:
    text = options.get("$select")
    return None if text is None else parsed_selection(text, spec.members, spec.always)


def _condition(shape: ListShape, options: Mapping[str, str]) -> Filter | None:
    text = options.get("$filter")
    return None if text is None else parsed_filter(text, shape)
