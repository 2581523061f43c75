"""The benchmark of virtual time: a made-up trading day on disk, through the SMA crossover of the examples.

A round is all that a user waits for: `run_on_recording` on the folder, with files opened, rows read and checked, bars
made of the trades, and a strategy that runs in the market's own time. The recording is made beforehand and not counted.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

import attrs

from benchmark import SCRIPTS
from datafye_trio import SyntheticConfig, SyntheticMarket
from datafye_trio.model import Channel, Quote
from datafye_trio.recordings.writer import RecordingWriter
from datafye_trio.strategy import Progress, RecordingOptions, run_on_recording

__all__ = ["StrategySettings", "run"]

_EXAMPLE: Final = SCRIPTS / "examples" / "sma_crossover.py"
_OPENING: Final = 1_767_364_200_000_000_000  # 2026-01-02T09:30:00-05:00
_HOURS: Final = 6.5
_PART: Final = 50_000


@attrs.frozen
class StrategySettings:
    """How many events a second the market has, of ten symbols, and how often the day is played."""

    rate: float = 5.0
    rounds: int = 5


def run(settings: StrategySettings) -> dict[str, object]:
    """Measure; the result is in seconds of a day, and in times real time.

    Raises:
        SystemExit: two rounds did not decide the same, or not all events were played.
    """
    strategy = partial(_example().strategy, symbols=("*",))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        events = _record(folder, settings.rate)
        decided, seconds, processor = None, [], []
        for number in range(settings.rounds):
            progress: list[Progress] = []
            began, worked = time.perf_counter(), time.process_time()
            decisions = run_on_recording(strategy, folder, RecordingOptions(on_progress=progress.append))
            seconds.append(time.perf_counter() - began)
            processor.append(time.process_time() - worked)
            if progress[-1].events != events or decided not in (None, decisions):
                raise SystemExit(f"round {number + 1} was another one: {progress[-1].events} of {events} events")
            decided = decisions
            print(f"  round {number + 1}: {seconds[-1]:8.2f} s", file=sys.stderr)
    market = _HOURS * 3_600
    return {
        "benchmark": "strategy",
        "events": events,
        "market_seconds": market,
        "decisions": len(decided or ()),
        "seconds": _span(seconds),
        "processor_seconds": _span(processor),
        "times_real_time": _span([market / one for one in seconds]),
        "events_a_second": _span([events / one for one in seconds]),
    }


def _span(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def _example() -> Any:
    spec = importlib.util.spec_from_file_location(_EXAMPLE.stem, _EXAMPLE)
    if spec is None or spec.loader is None:
        raise SystemExit(f"there is no {_EXAMPLE}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _record(folder: Path, rate: float) -> int:
    """Write the day; returns how many events it has."""
    config = SyntheticConfig(seed=7, rate=rate, start_ns=_OPENING)
    closing = _OPENING + round(_HOURS * 3_600e9)
    events = chain.from_iterable(SyntheticMarket(config, _OPENING).blocks(_OPENING, closing))
    with RecordingWriter(folder, config.dataset, config.asset_class) as writer:
        for count, (moment, event) in enumerate(events, 1):
            writer.add(Channel.QUOTES if isinstance(event, Quote) else Channel.TRADES, moment, event)
            if count % _PART == 0:
                writer.flush()
    return writer.written
