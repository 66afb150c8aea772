"""Telemetry that remembers what was counted."""

from collections import Counter

from typing_extensions import override

from domain.telemetry.ports import Counted, Gauged, Measured, SilentTelemetry


class CountingTelemetry(SilentTelemetry):
    """`counted` is by name and the values of the labels, in the order of their names; the others likewise."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, ...]] = Counter()
        self.gauged: dict[tuple[str, ...], float] = {}
        self.measured: dict[tuple[str, ...], list[float]] = {}

    @override
    def count(self, event: Counted, **labels: str) -> None:
        self.counted[(event.value, *(labels[name] for name in sorted(labels)))] += 1

    @override
    def gauge(self, what: Gauged, value: float, **labels: str) -> None:
        self.gauged[(what.value, *(labels[name] for name in sorted(labels)))] = value

    @override
    def measure(self, what: Measured, value: float, **labels: str) -> None:
        key = (what.value, *(labels[name] for name in sorted(labels)))
        self.measured.setdefault(key, []).append(value)

    def of(self, event: Counted) -> dict[tuple[str, ...], int]:
        """How often, by the values of its labels."""
        return {key[1:]: times for key, times in self.counted.items() if key[0] == event.value}
