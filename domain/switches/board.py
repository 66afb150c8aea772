"""The switches as this process knows them. Asking costs no I/O."""

from domain.errors import ServiceUnavailable
from domain.switches.ports import Standing, SwitchReader
from domain.switches.rules import SwitchState


class Switchboard:
    """Until it was read for the first time nothing is admitted; later a failure to read keeps the last known state."""

    def __init__(self, reader: SwitchReader) -> None:
        self._reader = reader
        self._revision: int | None = None
        self._state = SwitchState()

    @property
    def is_known(self) -> bool:
        return self._revision is not None

    @property
    def state(self) -> SwitchState:
        """Raises ServiceUnavailable as long as nobody knows what is switched off."""
        if not self.is_known:
            raise ServiceUnavailable
        return self._state

    @property
    def last_known(self) -> SwitchState:
        """As `state`, for what only shows: nothing is switched off as far as nobody knows."""
        return self._state

    async def refresh(self) -> Standing | None:
        """What is new since this process last knew, None if nothing is. Raises ServiceUnavailable."""
        standing = await self._reader.standing(self._revision)
        if standing is None or (self._revision is not None and standing.revision <= self._revision):
            return None
        is_first = self._revision is None
        self._revision = standing.revision
        self._state = SwitchState(switches={switch.name: switch for switch in standing.switches})
        return None if is_first else standing
