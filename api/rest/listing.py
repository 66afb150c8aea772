"""One list request from its query string to the envelope and the links of its answer (api.md 2)."""

from typing import Any, Generic, TypeVar

import msgspec
from litestar import Request

from api.rest.cursor import Cursors, ListName
from api.rest.list_links import PageLinks
from api.rest.list_options import limit_of, options_of
from api.rest.list_spec import ListSpec, OwnT
from domain.ids import ChatId
from domain.pagination import Page, PageQuery, Position
from domain.subject import Subject

T = TypeVar("T")


class PageInfo(msgspec.Struct, frozen=True, kw_only=True):
    next_cursor: str | None
    prev_cursor: str | None
    limit: int


class Listing(Generic[OwnT]):
    """`query` is what the repository is asked, `own` what the list's own options say."""

    def __init__(
        self,
        request: Request[Any, Any, Any],
        cursors: Cursors,
        spec: ListSpec[OwnT],
        subject: Subject,
        *,
        parent: ChatId | None = None,
    ) -> None:
        """Raises InvalidRequest, NotOffered, InvalidLimit, InvalidCursor; nothing of this reaches the database."""
        self._cursors = cursors
        options = options_of(request.scope["query_string"], [option.name for option in spec.own.options])
        self._name = ListName(
            resource=spec.resource,
            tenant_id=subject.tenant_id,
            user_id=subject.user_id,
            parent=parent,
            rows=spec.own.picking_rows(options),
        )
        limit = limit_of(options)
        self.own = spec.own.read(options)
        self._links = PageLinks(request.scope["path"], options, limit)
        self.query = PageQuery(limit=limit, position=self._position(options.get("cursor")))

    def page_info(self, page: Page[T]) -> PageInfo:
        return PageInfo(
            next_cursor=self._sealed(page.next), prev_cursor=self._sealed(page.previous), limit=self.query.limit
        )

    def links(self, info: PageInfo) -> dict[str, str]:
        """The Link header (RFC 8288), with the relations that exist."""
        return self._links.header(info.next_cursor, info.prev_cursor)

    def _position(self, cursor: str | None) -> Position | None:
        return None if cursor is None else self._cursors.open(self._name, cursor)

    def _sealed(self, position: Position | None) -> str | None:
        return None if position is None else self._cursors.seal(self._name, position)
