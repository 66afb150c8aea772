"""The pages of one list request as they are answered: envelope, sealed edges and links (api.md 2.6)."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from litestar import Response

from api.rest.cursor import Cursors, ListName, Place
from api.rest.list_links import PageLinks
from api.rest.page_out import PageInfo, PageOut
from api.rest.wire_types import present
from domain.filters import OrderKey
from domain.pagination import Page, Position

BodyT = TypeVar("BodyT", bound=PageOut[Any])


class Pages:
    """`name` is what the cursors are sealed for, `order` what they carry."""

    def __init__(
        self, cursors: Cursors, name: ListName, order: tuple[OrderKey, ...], limit: int, links: PageLinks
    ) -> None:
        self._cursors = cursors
        self._name = name
        self._order = order
        self._limit = limit
        self._links = links

    def answer(
        self, body: Callable[..., BodyT], page: Page[Any], items: Sequence[Any], **more: object
    ) -> Response[BodyT]:
        """`items` are those of the page on the wire, `more` what the envelope has beside them."""
        info = self.info(page)
        content = body(items=items, page_info=info, count=present(page.count), **more)
        return Response(content, headers=self.links(info))

    def info(self, page: Page[Any]) -> PageInfo:
        return PageInfo(next_cursor=self._sealed(page.next), prev_cursor=self._sealed(page.previous), limit=self._limit)

    def links(self, info: PageInfo) -> dict[str, str]:
        """The Link header, with the relations that exist."""
        return self._links.header(info.next_cursor, info.prev_cursor)

    def _sealed(self, position: Position | None) -> str | None:
        if position is None:
            return None
        return self._cursors.seal(self._name, Place(order=self._order, position=position))
