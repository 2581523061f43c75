"""What a load has found: as a table for people, as JSON, and as an exit code. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from datafye_trio.cli.bench_latency import PERCENTILES, Scale
from datafye_trio.cli.bench_load import Load
from datafye_trio.cli.text import one_line

__all__ = ["Report"]

_SHOWN: Final = 5
_TEXT: Final = 300
_BUSY: Final = 0.9
"""Of a core: above it, this process may be what is measured."""
_KINDS: Final = ("missing", "gaps", "told", "repeated", "unwanted", "unreadable")
_COLUMNS: Final = (*(f"p{percent:g}" for percent in PERCENTILES), "max")


class Report:
    """See the module. To be made when the load is done.

    Attributes:
        failures: why clients never received anything, and how many of them.
        cuts: close codes and reasons of clients that did, and how many of them.
        sums: by kind, what all clients together have lost or could not use.
    """

    def __init__(self, url: str, load: Load, *, interrupted: bool) -> None:
        clients = load.clients
        self.failures = Counter(one_line(client.failure, _TEXT) for client in clients if client.failure is not None)
        self.cuts = Counter((client.cut[0], one_line(client.cut[1], _TEXT)) for client in clients if client.cut)
        self.sums = {name: sum(getattr(client.intake.totals, name) for client in clients) for name in _KINDS}
        self.receiving = sum(client.answer is not None for client in clients)
        self._refused = Counter(one_line(one.intake.refused, _TEXT) for one in clients if one.intake.refused)
        self._lag = max((client.intake.totals.lag for client in clients), default=0)
        self._handshakes = _times(client.handshake for client in clients)
        self._answers = _times(client.answer for client in clients)
        self._url = url
        self._load = load
        self._interrupted = interrupted

    @property
    def whole(self) -> bool:
        """Whether every client received all of what it asked for, to the end."""
        return not (self.failures or self.cuts or any(self.sums.values()))

    @property
    def failure(self) -> str | None:
        """Why nothing was measured, if nothing was."""
        if self._load.measured is not None or self._interrupted:
            return None
        if self.failures:
            return self.failures.most_common(1)[0][0]
        (code, reason), _ = self.cuts.most_common(1)[0]
        return f"every client was cut before anything could be measured: {_cut(code, reason)}"

    @property
    def busy(self) -> float:
        """The part of a core that this process used while it measured."""
        measured = self._load.measured
        return 0.0 if measured is None else measured.cpu_seconds / measured.seconds

    def as_json(self) -> dict[str, Any]:
        """All of it, by name. Times in milliseconds; what is not known is null."""
        measured, latencies = self._load.measured, self._load.gauge.latencies
        return {
            "url": self._url,
            "clients": self._load.config.clients,
            "receiving": self.receiving,
            "interrupted": self._interrupted,
            "seconds": None if measured is None else round(measured.seconds, 3),
            "messages": 0 if measured is None else sum(measured.messages),
            "messages_per_second": None if measured is None else _rates(measured.messages, measured.seconds, 1),
            "bytes_per_second": None if measured is None else _rates(measured.bytes, measured.seconds, 1),
            "latency_scale": latencies.scale.value,
            "latency_ms": None if (values := self._latency()) is None else _named(values),
            "handshake_ms": _named(self._handshakes),
            "subscribe_ms": _named(self._answers),
            **self.sums,
            "lag": self._lag,
            "failures": [{"why": why, "clients": count} for why, count in self.failures.most_common()],
            "cut": [
                {"code": code, "reason": why, "clients": count} for (code, why), count in self.cuts.most_common()
            ],
            "refused": [{"why": why, "clients": count} for why, count in self._refused.most_common()],
            "busy": round(self.busy, 3),
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """Rates and times; none of rates where nothing was measured."""
        found = []
        if (measured := self._load.measured) is not None:
            rates = _table("", "all clients", "least", "median", "most")
            for name, values, unit, digits in (
                ("messages/s", measured.messages, 1.0, 0),
                ("MB/s", measured.bytes, 1e6, 2),
            ):
                by_name = _rates(values, measured.seconds, unit)
                rates.add_row(name, *(f"{value:,.{digits}f}" for value in by_name.values()))
            found.append(rates)
        times = _table("ms", *_COLUMNS)
        for name, row in (("handshake", self._handshakes), ("subscribe", self._answers), self._named_latency()):
            if row:
                times.add_row(name, *(f"{value:,.2f}" for value in row))
        if times.row_count:
            found.append(times)
        return found

    def lines(self) -> list[str]:
        """The rest, in words."""
        load = self._load
        seconds = 0.0 if load.measured is None else load.measured.seconds
        lines = [f"{self.receiving:,} of {_count(load.config.clients, 'client')} received, {seconds:,.1f} s measured"]
        lines += _some("not connected", [(why, count) for why, count in self.failures.most_common()])
        lines += _some("cut", [(_cut(*why), count) for why, count in self.cuts.most_common()])
        lines += _some("refused", self._refused.most_common())
        lines.append(f"lost: {self._losses()}")
        if self._lag:
            lines.append(f"lag: up to {_count(self._lag, 'message')} waited for a client at the server")
        lines.append(f"latency: {self._meaning()}")
        if self.busy >= _BUSY:
            lines.append(
                f"this process used {self.busy:.0%} of a core: what it shows may be its own limit; run several"
            )
        return lines

    def _losses(self) -> str:
        sums = self.sums
        words = [f"{_count(sums['missing'], 'message')} in {_count(sums['gaps'], 'gap')} ({sums['told']:,} told by the "
                 "server)"] if sums["gaps"] else []  # fmt: skip
        words += [f"{_count(sums[kind], 'message')} {kind}" for kind in _KINDS[3:] if sums[kind]]
        return ", ".join(words) or "nothing: every seq was checked"

    def _meaning(self) -> str:
        latencies = self._load.gauge.latencies
        if latencies.scale is Scale.LATENCY:
            return "this machine's clock minus the event's stamp, so it needs clocks that agree"
        if latencies.scale is Scale.SPREAD:
            hours = latencies.least / 3.6e12
            return f"the stamps are {hours:,.1f} h old, so this is the time above the least seen: the spread"
        if not latencies.count:
            return "no event with a stamp has come (quotes and trades have one)"
        pace = latencies.pace or 0.0
        return f"the stamps advance {pace:,.1f} s in a second: a replay at another speed, which tells none"

    def _named_latency(self) -> tuple[str, list[float]]:
        name = "latency" if self._load.gauge.latencies.scale is Scale.LATENCY else "spread"
        return name, self._latency() or []

    def _latency(self) -> list[float] | None:
        """Milliseconds, by `_COLUMNS`."""
        latencies = self._load.gauge.latencies
        if latencies.scale is Scale.NONE or self._load.measured is None:
            return None
        less = latencies.least if latencies.scale is Scale.SPREAD else 0
        values = [*map(latencies.percentile, PERCENTILES), latencies.most]
        return [(value - less) / 1e6 for value in values]


def _times(seconds: Iterable[float | None]) -> list[float]:
    """Milliseconds by `_COLUMNS`: the value that so many of a hundred do not exceed; nothing of nothing."""
    found = sorted(1e3 * one for one in seconds if one is not None)
    ranks = [-int(-percent * len(found) // 100) for percent in (*PERCENTILES, 100.0)]
    return [found[rank - 1] for rank in ranks] if found else []


def _rates(counts: Sequence[int], seconds: float, unit: float) -> dict[str, float]:
    of_each = [round(count / seconds / unit, 3) for count in counts]
    return {"all": round(sum(of_each), 3), "least": min(of_each), "median": median(of_each), "most": max(of_each)}


def _named(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {name.replace(".", "_"): round(value, 4) for name, value in zip(_COLUMNS, values, strict=True)}


def _table(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place else "left", no_wrap=True)
    return table


def _some(what: str, counted: Sequence[tuple[str, int]]) -> list[str]:
    lines = [f"{what}: {_count(count, 'client')}: {why}" for why, count in counted[:_SHOWN]]
    if rest := sum(count for _, count in counted[_SHOWN:]):
        lines.append(f"{what}: {_count(rest, 'client')} for other reasons")
    return lines


def _cut(code: int, reason: str) -> str:
    return reason or "lost" if code == 1006 else f"{code}{f' {reason}' if reason else ''}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
