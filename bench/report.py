"""The tables that `just bench` prints, and whether the gates of the project are met."""

from collections.abc import Sequence
from statistics import median, quantiles

import msgspec
from typing_extensions import override

from bench.measure import Sample
from bench.targets import BARE_RELAY, FASTAPI_RELAY, MINI_CHAT


class Results(msgspec.Struct, kw_only=True):
    """Samples by server, one per round; `lags_ms` from a reader's going to the close of its upstream socket."""

    samples: dict[str, list[Sample]] = {}
    lags_ms: list[float] = []

    def cpu_us(self, name: str) -> float:
        return median(sample.cpu_us_per_delta for sample in self.samples[name])

    def kib(self, name: str) -> float:
        return median(sample.kib_per_stream for sample in self.samples[name])


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    measured: float
    limit: float
    unit: str
    remark: str = ""

    @property
    def met(self) -> bool:
        return self.measured <= self.limit

    @override
    def __str__(self) -> str:
        verdict = "PASS" if self.met else "MISS"
        return f"{verdict}  {self.what:<44} {self.measured:7.2f} {self.unit:<3}  gate {self.limit:g}{self.remark}"


def gates(results: Results, kind: str) -> list[Gate]:
    """Those for which this run measured all it takes. The ratios compare medians of one and the same run.

    The yardsticks relay chat completions; over another format only mini-chat itself is judged.
    """
    if MINI_CHAT not in results.samples:
        return []
    if kind == "openai_responses":
        return [_responses(results), _memory(results), _disconnect(results)]
    limits = ((BARE_RELAY, 1.8, ", stretch 1.2"), (FASTAPI_RELAY, 0.5, ""))
    ratios = [_ratio(results, name, limit, remark) for name, limit, remark in limits if name in results.samples]
    return [*ratios, _memory(results), _disconnect(results)]


def _ratio(results: Results, yardstick: str, limit: float, remark: str) -> Gate:
    return Gate(
        what=f"CPU per delta, mini-chat / {yardstick}",
        measured=results.cpu_us(MINI_CHAT) / results.cpu_us(yardstick),
        limit=limit,
        unit="x",
        remark=remark,
    )


def _responses(results: Results) -> Gate:
    return Gate(what="CPU per delta over openai_responses", measured=results.cpu_us(MINI_CHAT), limit=60, unit="us")


def _memory(results: Results) -> Gate:
    return Gate(what="resident memory per open stream", measured=results.kib(MINI_CHAT), limit=60, unit="KiB")


def _disconnect(results: Results) -> Gate:
    lags_ms = results.lags_ms
    return Gate(
        what="reader gone to upstream socket closed, p99",
        measured=quantiles(lags_ms, n=100, method="inclusive")[98],
        limit=20,
        unit="ms",
        remark=f"; p50 {median(lags_ms):.2f}, max {max(lags_ms):.2f}",
    )


def cost_table(results: Results) -> str:
    heading = f"{'server':<15}{'us CPU/delta':>13}{'in each round':>22}{'PostgreSQL us/delta':>21}{'KiB/stream':>12}"
    return "\n".join([heading, *(_row(results, name, rounds) for name, rounds in results.samples.items())])


def _row(results: Results, name: str, rounds: Sequence[Sample]) -> str:
    each = " ".join(f"{sample.cpu_us_per_delta:.1f}" for sample in rounds)
    postgres = median(sample.postgres_us_per_delta for sample in rounds)
    return f"{name:<15}{results.cpu_us(name):>13.1f}{each:>22}{postgres:>21.1f}{results.kib(name):>12.1f}"
