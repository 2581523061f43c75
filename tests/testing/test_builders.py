"""The builders: what they make can be published, and what is not given makes sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from support import RawClient, memory_server
from trio.testing import MockClock

from datafye_trio import AssetClass, Channel, ConfigurationError, Event, Program
from datafye_trio.testing.builders import START, At, bar, ema, halt, nanoseconds, quote, resume, sma, trade


def test_start_is_the_opening_bell() -> None:
    assert nanoseconds(datetime(2024, 1, 2, 9, 30, tzinfo=timezone(timedelta(hours=-5)))) == START


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (START + 7, START + 7),
        (0, 0),
        (datetime(2024, 1, 2, 14, 30, 1, 5, tzinfo=UTC), START + 1_000_005_000),
        (timedelta(minutes=1), START + 60 * 10**9),
        (timedelta(microseconds=-1), START - 1_000),
    ],
)
def test_moments(at: At, expected: int) -> None:
    assert nanoseconds(at) == expected
    assert trade(at=at).exchange_timestamp == quote(at=at).exchange_timestamp == expected
    assert bar(at=at).start == sma(at=at).timestamp == ema(at=at).timestamp == expected
    assert halt(at=at).timestamp == resume(at=at).timestamp == expected


@pytest.mark.parametrize("at", [1.5, True, 60, -1, None, "09:30", datetime(2024, 1, 2), timedelta(days=-40_000)])
def test_what_is_no_moment(at: object) -> None:
    with pytest.raises(ConfigurationError, match=r"aware datetime|has no time zone"):
        nanoseconds(at)  # type: ignore[arg-type]


def test_the_builders_are_pure() -> None:
    for build in (trade, quote, bar, sma, ema, halt, resume):
        assert build() == build()  # type: ignore[operator]


def test_bars_follow_from_what_is_given() -> None:
    made = bar("MSFT", 101.0, open=99.0)
    assert (made.open, made.high, made.low, made.close, made.vwap) == (99.0, 101.0, 99.0, 101.0, 100.0)
    made = bar(close=5, high=7, low=1, vwap=3, volume=0, count=0, final=False)
    assert (made.open, made.high, made.low, made.close, made.vwap, made.final) == (5, 7, 1, 5, 3, False)


@pytest.mark.parametrize(
    ("frequency", "name", "start"),
    [
        ("1s", "Second", START),
        ("Minute", "Minute", START),
        ("hour", "Hour", START - 30 * 60 * 10**9),
        ("1D", "Day", START - (9 * 60 + 30) * 60 * 10**9),
    ],
)
def test_a_bar_begins_with_its_span(frequency: str, name: str, start: int) -> None:
    made = bar(frequency=frequency)
    assert (made.frequency, made.start) == (name, start)
    assert type(made.frequency) is str


def test_an_unknown_frequency() -> None:
    with pytest.raises(ConfigurationError, match="unknown frequency 'weekly': use one of Second, Minute"):
        sma(frequency="weekly")


def test_indicators_follow_from_what_is_given() -> None:
    made = sma(price=10, fast=11, slow=9, crossover="BULLISH")
    assert (made.fast_line.ma, made.slow_line.ma, made.macd, made.crossover) == (11, 9, 2, "BULLISH")
    assert (made.fast_line.periods, made.slow_line.periods) == (20, 50)
    other = ema(price=10, fast=11, slow=9, zero_line_crossover="BEARISH")
    assert (other.macd, other.signal_line.ma, other.last_zero_line_crossover) == (2, 2, "BEARISH")
    assert (other.fast_line.count, other.slow_line.count, other.signal_line.count) == (12, 26, 9)


def test_crypto_names_one_venue() -> None:
    made = quote("BTCUSD", 42_999.5, None, 0.5, 0, exchange_id="Coinbase")
    assert (made.exchange_id, made.bid_exchange_id, made.ask_exchange_id) == ("Coinbase", None, None)
    assert trade("BTCUSD", size=0.25, exchange_id="Coinbase").exchange_id == "Coinbase"


async def test_all_can_be_published(autojump_clock: MockClock) -> None:
    events: list[Event] = [trade(), quote(), bar(), sma(), ema(), halt(), resume()]
    async with memory_server(sources=[Program("All", AssetClass.STOCKS, tuple(Channel))]) as server:
        client = await RawClient.connect(server)
        await client.message()
        for channel in Channel:
            await client.send(action="subscribe", channels=[channel], symbols=["AAPL"])
            await client.message()
        await server.publish(events)
        types = [(await client.message())["type"] for _ in range(9)]
        assert sorted(types) == sorted(
            ["trade", "quote", "ohlc", "sma", "ema", "halt", "halt", "resume", "resume"]
        )  # on two channels
