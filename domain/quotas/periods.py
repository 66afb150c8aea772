"""Days and months in which credits are counted (engine.md 4.2): those of UTC, whatever the deployment's own zone."""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

import msgspec


class PeriodType(StrEnum):
    DAILY = "daily"
    MONTHLY = "monthly"


class Period(msgspec.Struct, frozen=True):
    """`start` is the day itself, or the first day of the month."""

    type: PeriodType
    start: date

    @property
    def next_reset(self) -> datetime:
        """The instant at which its successor begins with nothing spent."""
        if self.type is PeriodType.DAILY:
            return _midnight(self.start + timedelta(days=1))
        return _midnight((self.start + timedelta(days=31)).replace(day=1))


def periods_at(moment: datetime) -> tuple[Period, Period]:
    """The day and the month that `moment` belongs to."""
    day = moment.astimezone(UTC).date()
    return Period(PeriodType.DAILY, day), Period(PeriodType.MONTHLY, day.replace(day=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
