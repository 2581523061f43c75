"""Deliveries a second, each server as fast as it goes: `fanout-100`, `fanout-1000`, `mixed` and `tls`.

A round is one burst, sized to take about a second, after a tenth of it that is not timed. Its time is
from the order to the server to when the last client has the last byte. Every contender gets the same messages, each
encoded once, and one client process that reads as fast as it can.

With TLS every byte is decrypted by that one process, on one core, which then is the limit of whoever is fast: what is
shown of ours is a floor.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from benchmark.rounds import PICOWS, Course, calibrate, in_turns, make_certificate, open_pair
from benchmark.table import Row, rows_of

__all__ = ["FANOUTS", "Fanout", "run"]

_FASTEST: Final = ("ours", PICOWS, "websockets, uvloop")


@attrs.frozen
class Fanout:
    """One of the benchmarks of bursts: who takes part, how many clients there are and what each wants."""

    contenders: tuple[str, ...]
    clients: int
    audited: int
    symbols: int = 1
    basket: int = 0
    tls: bool = False


FANOUTS: Final = {
    "fanout-100": Fanout(
        (
            *("ours", "websockets", "websockets, uvloop", "websockets.trio", "trio-websocket", PICOWS),
            *("aiohttp, uvloop", "node ws", "mosquitto", "nchan", "raw limit"),
        ),
        100,
        100,
    ),
    "fanout-1000": Fanout(("ours", "websockets, uvloop", PICOWS, "raw limit"), 1_000, 20),
    "mixed": Fanout(_FASTEST, 200, 400, symbols=500, basket=50),
    "tls": Fanout(_FASTEST, 100, 100, tls=True),
}


def run(name: str, course: Course) -> list[Row]:
    """Measure all contenders in turns; the figure is in deliveries a second."""
    fanout = FANOUTS[name]
    can = "tls" if fanout.tls else "mixed" if fanout.symbols > 1 else ""
    contenders = course.peers.chosen(fanout.contenders, course.contenders, can)
    with _more(fanout) as more:

        def turn(contender: str, count: int | None) -> tuple[int, Mapping[str, float]]:
            with open_pair(course, contender, fanout.clients, **more) as pair:
                if count is None:
                    pair.audit(fanout.audited)
                    count = calibrate(pair, course.seconds)
                else:
                    pair.burst(max(1, count // 10))
                seconds, deliveries = pair.burst(count)
                return count, {"messages/s": deliveries / seconds}

        turns = in_turns(course, contenders, turn)
    if name == "fanout-100" and PICOWS in turns.values:
        course.found[f"{name} of {PICOWS}"] = statistics.median(turns.values[PICOWS]["messages/s"])
    return rows_of(name, turns)


@contextmanager
def _more(fanout: Fanout) -> Iterator[dict[str, Any]]:
    """What else a pair is opened with; a certificate is made for this run."""
    more: dict[str, Any] = {"symbols": fanout.symbols, "basket": fanout.basket}
    if not fanout.tls:
        yield more
        return
    with tempfile.TemporaryDirectory() as place:
        yield more | {"tls": make_certificate(Path(place))}
