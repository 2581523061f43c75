"""Stored data: a synthetic market of any time is what live was."""

from __future__ import annotations

from itertools import takewhile
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources.stored import BARS, CRYPTO, QUOTES, SECOND, START, TRADES, read

from datafye_trio.aggregates import Aggregation, consolidated, default_aggregation, fold_trades, span_of
from datafye_trio.model import Event, Frequency, Halt, Quote, Resume, Trade
from datafye_trio.protocol import parse_time
from datafye_trio.sources import HistoryQuery, Synthetic, SyntheticConfig, SyntheticHistory, SyntheticMarket

# The synthetic market.

CONFIGS = st.builds(
    SyntheticConfig,
    symbols=st.sampled_from([("AAPL", "MSFT", "TSLA"), ("X",), tuple(f"S{n}" for n in range(20))]),
    seed=st.integers(0, 99),
    rate=st.sampled_from([0.01, 1 / 3, 7.0, 100.0, 5_000.0]),
    halts=st.booleans(),
)
CRYPTO_CONFIGS = st.builds(SyntheticConfig, st.just(CRYPTO), seed=st.integers(0, 9), rate=st.sampled_from([0.5, 50.0]))


def live(config: SyntheticConfig, start: int, end: int) -> list[Event]:
    """What a client would have seen that had been there since well before the range."""
    before = start - round(500 / config.rate * SECOND)
    timed = takewhile(lambda one: one[0] < end, SyntheticMarket(config, before))
    return [event for time, event in timed if time >= start]


@pytest.mark.unmeasured
@settings(max_examples=25)
@given(CONFIGS | CRYPTO_CONFIGS, st.integers(0, 4 * 10**18), st.integers(0, 3_000), st.data())
def test_stored_ticks_are_what_live_was(config: SyntheticConfig, start: int, slots: int, data: st.DataObject) -> None:
    end = start + round(slots / config.rate * SECOND)
    chosen = data.draw(st.none() | st.lists(st.sampled_from(config.symbols), min_size=1, max_size=3).map(tuple))
    events = live(config, start, end)
    history = SyntheticHistory(config)
    for channel, kinds in ((TRADES, (Trade, Halt, Resume)), (QUOTES, (Quote, Halt, Resume))):
        if channel in history.channels:
            expected = [e for e in events if isinstance(e, kinds) and (chosen is None or e.symbol in chosen)]
            assert read(history, HistoryQuery(channel, None, chosen, start, end)) == expected


@pytest.mark.unmeasured
@settings(max_examples=15)
@given(
    CONFIGS | CRYPTO_CONFIGS, st.sampled_from(list(Frequency)), st.integers(0, 4 * 10**18), st.integers(0, 4_000),
    st.data(),
)  # fmt: skip
def test_stored_bars_are_the_fold_of_live_trades(
    config: SyntheticConfig, frequency: Frequency, start: int, slots: int, data: st.DataObject
) -> None:
    end = start + 1 + round(slots / config.rate * SECOND)
    if span_of(end, frequency, config.asset_class)[1] - start > 8_000 / config.rate * SECOND:
        return  # a day of a fast market takes too long to make here
    chosen = data.draw(st.none() | st.lists(st.sampled_from(config.symbols), min_size=1, max_size=3).map(tuple))
    first = span_of(start, frequency, config.asset_class)[0]
    trades = live(config, first, span_of(end - 1, frequency, config.asset_class)[1])
    folded = fold_trades(
        (event for event in trades if isinstance(event, Trade)),
        default_aggregation(config.dataset),
        config.asset_class,
    )
    expected = [
        bar
        for bar in folded
        if bar.frequency == frequency and start <= bar.start < end and (chosen is None or bar.symbol in chosen)
    ]
    expected.sort(key=lambda bar: (bar.start, bar.symbol))
    assert read(SyntheticHistory(config), HistoryQuery(BARS, frequency, chosen, start, end)) == expected


def test_a_bar_belongs_to_the_range_that_its_start_is_in() -> None:
    history = SyntheticHistory(SyntheticConfig(rate=10.0))
    minute = 60 * SECOND
    start = START - START % minute
    whole = read(history, HistoryQuery(BARS, Frequency.MINUTE, ("AAPL",), start, start + 3 * minute))
    assert [bar.start for bar in whole] == [start, start + minute, start + 2 * minute]
    cut = read(history, HistoryQuery(BARS, Frequency.MINUTE, ("AAPL",), start + 1, start + 2 * minute + 1))
    assert cut == whole[1:]  # the first began before the range; the last is whole though the range ends in it
    assert read(history, HistoryQuery(BARS, Frequency.MINUTE, ("AAPL",), start + 1, start + minute)) == []


def test_days_of_stocks_are_new_yorks_when_the_clocks_change_too() -> None:
    history = SyntheticHistory(SyntheticConfig(rate=0.01))
    start, end = parse_time("2025-11-01"), parse_time("2025-11-04")
    days = read(history, HistoryQuery(BARS, Frequency.DAY, ("AAPL",), start, end))
    assert [day.start for day in days] == [parse_time(f"2025-11-0{n}") for n in (1, 2, 3)]
    assert days[2].start - days[1].start == 25 * 3600 * SECOND


@pytest.mark.parametrize("text", ["1700-01-01T00:00:00Z", "1969-12-31T23:59:00Z", "2200-07-01T00:00:00Z"])
def test_any_range_past_or_to_come(text: str) -> None:
    start = parse_time(text)
    bars = read(
        SyntheticHistory(SyntheticConfig()), HistoryQuery(BARS, Frequency.SECOND, None, start, start + 5 * SECOND)
    )
    assert {bar.start for bar in bars} == {start + n * SECOND for n in range(5)}
    assert bars == sorted(bars, key=lambda bar: (bar.start, bar.symbol))


def test_channels_of_the_synthetic_market() -> None:
    assert SyntheticHistory(SyntheticConfig()).channels == (QUOTES, TRADES, BARS)
    assert SyntheticHistory(SyntheticConfig(CRYPTO)).channels == (TRADES, BARS)
    history = Synthetic().history
    assert history is not None
    query = HistoryQuery(TRADES, None, None, START, START + SECOND)
    assert read(history, query) == read(SyntheticHistory(SyntheticConfig()), query)


def test_a_rule_of_ones_own_makes_the_stored_bars_too() -> None:
    rule = Aggregation(consolidated)
    query = HistoryQuery(BARS, Frequency.SECOND, ("AAPL",), START, START + 60 * SECOND)
    default, own = (read(SyntheticHistory(SyntheticConfig(), a), query) for a in (None, rule))
    assert sum(bar.volume for bar in default) == sum(bar.volume for bar in own)  # no conditions, so no difference
    assert default == own


@pytest.mark.unmeasured
@pytest.mark.parametrize("symbols", [10, 5_000])
def test_a_step_takes_milliseconds_whatever_is_asked(symbols: int) -> None:
    config = SyntheticConfig(symbols=tuple(f"S{n}" for n in range(symbols)), rate=100_000.0)
    for channel, frequency, chosen in ((TRADES, None, ("S3",)), (BARS, Frequency.SECOND, None)):
        steps = SyntheticHistory(config).read(HistoryQuery(channel, frequency, chosen, START, START + 10**18))
        times = []
        for _ in range(12):
            began = perf_counter()
            next(steps)
            times.append(perf_counter() - began)
        assert sorted(times)[6] < 0.1  # measured: 1 to 12 ms; the rest is for a machine that is busy
