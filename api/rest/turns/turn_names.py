"""How an address names a turn: by its request_id, or as `latest` (api.md 3.5)."""

from typing import Annotated, TypeAlias
from uuid import UUID

from msgspec import Meta

from domain.ids import RequestId
from domain.turns.models import LATEST, TurnName

_HEX = "[0-9a-fA-F]"
_UUID = f"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}"

TurnSegment: TypeAlias = Annotated[str, Meta(pattern=rf"^({LATEST}|{_UUID})(?!\n)$")]
"""Python lets `$` match before a last line feed, which the address may carry as `%0A`."""


def turn_named(segment: TurnSegment) -> TurnName:
    return LATEST if segment == LATEST else RequestId(UUID(segment))
