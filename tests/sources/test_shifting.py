"""Every kind of event, moved: each of its timestamps, and nothing else."""

from __future__ import annotations

import attrs
import pytest

from datafye_trio.model import Bar, Ema, Event, Halt, Line, Quote, Resume, Sma, Trade
from datafye_trio.sources.shifting import happened, moved

LINE = Line(2, 1, 5.0)
EVENTS: list[tuple[Event, set[str]]] = [
    (Quote("A", 100, 1.0, 1, 2.0, 1), {"exchange_timestamp"}),
    (Trade("A", 100, 1.0, 1), {"exchange_timestamp"}),
    (Trade("A", 100, 1.0, 1, trf_timestamp=90), {"exchange_timestamp", "trf_timestamp"}),
    (Bar("A", "Second", 100, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0), {"start"}),
    (Sma("A", "Second", 100, 5.0, LINE, LINE, 0.0, "NONE"), {"timestamp"}),
    (Ema("A", "Second", 100, 5.0, LINE, LINE, 0.0, "NONE", LINE, "NONE", "NONE", "NONE", "NONE"), {"timestamp"}),
    (Halt("A", 100, "T1"), {"timestamp"}),
    (Resume("A", 100, "T3"), {"timestamp"}),
]


@pytest.mark.parametrize(("event", "fields"), EVENTS)
def test_all_timestamps_move_and_nothing_else(event: Event, fields: set[str]) -> None:
    before = attrs.asdict(event, recurse=False)
    later = attrs.asdict(moved(event, 7), recurse=False)
    assert {name for name in before if later[name] != before[name]} == fields
    assert all(later[name] == before[name] + 7 for name in fields)
    assert attrs.asdict(event, recurse=False) == before
    assert happened(event) == 100
    assert happened(moved(event, 7)) == 107
