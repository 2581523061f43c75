"""What `scripts/verify_bars` makes of bars: the comparison itself, without files, server and client."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Bar, Frequency
from datafye_trio.protocol import Data
from datafye_trio.wire import ClientSocketClosed

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
verify_compare: Any = importlib.import_module("verify_compare")
verify_sets: Any = importlib.import_module("verify_sets")
verify_wire: Any = importlib.import_module("verify_wire")

STOCKS, CRYPTO = AssetClass.STOCKS, AssetClass.CRYPTO
SECOND = 1_000_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
MIDNIGHT = 1_704_153_600 * SECOND  # 2024-01-02T00:00:00Z


def row(start: int, *values: float | None, symbol: str = "A", rounded: bool = False) -> Any:
    return verify_sets.BarRow(2, symbol, start, "1m", verify_sets.Values(*values), rounded, {})


def bar(start: int, *values: Any, symbol: str = "A", frequency: str = "Minute") -> Bar:
    opened, high, low, close, volume = values
    return Bar(symbol, frequency, start, opened, high, low, close, volume, 1, 1.0)


def compared(theirs: list[Any], ours: list[Bar], span: tuple[int, int] = (-MINUTE, 100 * MINUTE)) -> dict[str, int]:
    result = verify_compare.Result("bars_1m.csv", "1m", "all")
    known = {(one.symbol, one.start): one for one in ours}
    verify_compare.compare(result, theirs, known, {"A": span}, lambda start: start + MINUTE)
    assert result.different == len(result.shown)
    return {outcome.value: count for outcome, count in result.outcomes.items()} | (
        {"rounded": result.rounded} if result.rounded else {}
    )


@pytest.mark.parametrize("field", range(5))
def test_a_bar_is_equal_only_in_all_five_fields(field: int) -> None:
    values = [2.0, 3.0, 1.0, 2.5, 10.1]
    assert compared([row(0, *values)], [bar(0, *values)]) == {"equal": 1}
    values[field] += 1e-8
    assert compared([row(0, *values)], [bar(0, 2.0, 3.0, 1.0, 2.5, 10.1)]) == {"differs": 1}


def test_a_bar_that_we_lack_and_one_that_only_we_have() -> None:
    theirs = [row(0, 1, 1, 1, 1, 1), row(MINUTE, 1, 1, 1, 1, 1), row(3 * MINUTE, 1, 1, 1, 1, 1)]
    ours = [bar(0, 1, 1, 1, 1, 1), bar(2 * MINUTE, 1, 1, 1, 1, 1), bar(3 * MINUTE, 1, 1, 1, 1, 1)]
    assert compared(theirs, ours) == {"equal": 2, "missing": 1, "extra": 1}


def test_bars_before_and_after_all_of_theirs_are_not_extra_nor_those_without_a_price() -> None:
    theirs = [row(MINUTE, 1, 1, 1, 1, 1), row(3 * MINUTE, 1, 1, 1, 1, 1)]
    ours = [bar(n * MINUTE, 1, 1, 1, 1, 1) for n in (0, 1, 3, 4)]
    ours += [bar(2 * MINUTE, None, None, None, None, 5), bar(2 * MINUTE, 1, 1, 1, 1, 1, symbol="B")]
    assert compared(theirs, ours) == {"equal": 2}


def test_bars_outside_of_the_ticks() -> None:
    theirs = [row(n * MINUTE, 1, 1, 1, 1, 1) for n in (0, 1, 5, 6)] + [row(MINUTE, 1, 1, 1, 1, 1, symbol="B")]
    assert compared(theirs, [], (2 * MINUTE, 5 * MINUTE - 1)) == {"outside": 5}


EDGES = {"first": (MINUTE // 2, 10 * MINUTE), "last": (-MINUTE, MINUTE // 2)}
THEIRS = (2.0, 4.0, 1.0, 3.0, 10.0)


@pytest.mark.parametrize(
    ("edge", "ours", "outcome"),
    [
        ("first", THEIRS, "equal"),
        ("first", (2.5, 4.0, 1.0, 3.0, 9.0), "incomplete"),
        ("first", (2.5, 3.5, 1.5, 3.0, 9.0), "incomplete"),
        ("first", (2.5, 4.0, 1.0, 3.5, 9.0), "differs"),  # the close is covered
        ("last", (2.0, 4.0, 1.0, 3.5, 9.0), "incomplete"),
        ("last", (2.5, 4.0, 1.0, 3.0, 9.0), "differs"),  # the open is covered
        ("last", (2.0, 4.5, 1.0, 3.0, 9.0), "differs"),  # a part has no higher high
        ("last", (2.0, 4.0, 0.5, 3.0, 9.0), "differs"),  # nor a lower low
        ("last", (2.0, 4.0, 1.0, 3.5, 10.0), "differs"),  # nor is it all of the volume
        ("last", (None, None, None, None, 9.0), "incomplete"),
        ("last", (None, None, None, None, 11.0), "differs"),
        ("last", None, "incomplete"),
    ],
)
def test_at_the_edges_of_the_ticks_a_bar_may_be_a_part_of_theirs(
    edge: str, ours: tuple[Any, ...] | None, outcome: str
) -> None:
    made = [] if ours is None else [bar(0, *ours)]
    assert compared([row(0, *THEIRS)], made, EDGES[edge]) == {outcome: 1}


def test_a_volume_with_the_rounding_of_floats_is_equal_and_counted() -> None:
    theirs = row(0, 1, 1, 1, 1, 0.1 + 0.2, rounded=True)
    assert compared([theirs], [bar(0, 1, 1, 1, 1, 0.3)]) == {"equal": 1, "rounded": 1}
    assert compared([theirs], [bar(0, 1, 1, 1, 1, 0.30000001)]) == {"differs": 1}
    assert compared([theirs], [bar(0, 1, 1, 1, 2, 0.3)]) == {"differs": 1}
    assert compared([row(0, 1, 1, 1, 1, 0.1 + 0.2)], [bar(0, 1, 1, 1, 1, 0.3)]) == {"differs": 1}


def test_only_the_first_differences_are_kept() -> None:
    result = verify_compare.Result("bars_1m.csv", "1m", "all")
    theirs = [row(n * MINUTE, 1, 1, 1, 1, 1) for n in range(50)]
    verify_compare.compare(result, theirs, {}, {"A": (-1, 100 * MINUTE)}, lambda start: start + MINUTE)
    assert (result.bars, result.different, len(result.shown)) == (50, 50, 5)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1s", SECOND), ("30sec", 30 * SECOND), ("1m", MINUTE), ("5min", 5 * MINUTE), ("Minute", MINUTE),
        ("4h", 4 * HOUR), ("2 hours", 2 * HOUR), ("1d", DAY), ("Day", DAY), ("1w", 7 * DAY), ("1M", None), ("0m", None),
        ("1month", None), ("100ms", None), ("", None), ("m5", None),
    ],
)  # fmt: skip
def test_frequencies(text: str, length: int | None) -> None:
    assert verify_compare.length_of(text) == length


@pytest.mark.parametrize(
    ("length", "start", "asset_class", "base", "folded"),
    [
        (SECOND, 7 * SECOND, STOCKS, "Second", False),
        (90 * SECOND, 0, STOCKS, "Second", True),
        (5 * MINUTE, 0, CRYPTO, "Minute", True),
        (5 * MINUTE, 30 * SECOND, CRYPTO, "Second", True),
        (HOUR, MIDNIGHT, STOCKS, "Hour", False),
        (HOUR, MIDNIGHT + 30 * MINUTE, STOCKS, "Minute", True),
        (DAY, MIDNIGHT, CRYPTO, "Day", False),
        (DAY, MIDNIGHT, STOCKS, "Hour", True),  # a day of UTC is none of New York
        (DAY, MIDNIGHT + 5 * HOUR, STOCKS, "Day", False),
        (7 * DAY, MIDNIGHT, CRYPTO, "Day", True),
    ],
)
def test_how_bars_of_theirs_are_made_of_ours(
    length: int, start: int, asset_class: AssetClass, base: str, folded: bool
) -> None:
    making = verify_compare.making_of(length, [start], asset_class)
    assert (making.base, bool(making.length)) == (base, folded)
    assert making.end(start) == start + length
    found = making.make([bar(start, 1, 1, 1, 1, 1, frequency=one.value) for one in Frequency])
    assert {key: one.count for key, one in found.items()} == {("A", start): 1}


def test_days_of_new_york_have_their_own_length() -> None:
    changing = 1_710_046_800 * SECOND  # 2024-03-10T05:00:00Z, the day on which the clocks go forward
    assert verify_compare.making_of(DAY, [changing], STOCKS).end(changing) == changing + 23 * HOUR


def test_bars_that_begin_within_a_second_cannot_be_made() -> None:
    assert verify_compare.making_of(MINUTE, [5], CRYPTO) is None


class Ending:
    """A connection whose server says goodbye while the heartbeat before that is on its way."""

    def __init__(self) -> None:
        self.left = ['{"type": "heartbeat", "timestamp": 1, "lag": 0, "sent": 0}']

    async def receive(self) -> str:
        if self.left:
            return self.left.pop()
        raise ClientSocketClosed(1001, "the server shuts down")

    async def send(self, _: str) -> None:
        raise ClientSocketClosed(1001, "the server shuts down")


async def test_a_goodbye_before_the_answer_to_a_heartbeat_is_the_end_and_no_failure() -> None:
    await verify_wire._take(Ending(), {})


def test_bars_that_came_in_part_are_no_proof() -> None:
    last: dict[Any, int] = {}
    bars: dict[Any, Bar] = {}
    first = bar(0, 1, 1, 1, 1, 1)
    verify_wire._keep(Data(first, "Verify", "crypto", 1), last, bars)
    verify_wire._keep(Data(bar(0, 1, 1, 1, 2, 1), "Verify", "crypto", 2), last, bars)
    assert [one.close for one in bars.values()] == [2]  # the last revision counts
    with pytest.raises(SourceError, match="bars of A were lost: number 4 came after 2"):
        verify_wire._keep(Data(first, "Verify", "crypto", 4), last, bars)
