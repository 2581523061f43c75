"""What a recording takes from its server: rows, and what is none. Virtual time."""

from __future__ import annotations

import trio
from cli.recording import TICKS, Bench, market, quotes, recording
from support import START_NS, quote, trade
from trio.testing import MockClock

from datafye_trio import Aggregation, Program, ServerConfig, every_trade
from datafye_trio.client.options import Wish
from datafye_trio.errors import EventError
from datafye_trio.model import Channel, Frequency, Halt


async def test_rows_have_channel_time_of_arrival_epoch_and_number(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        async with recording(bench):
            await server.publish([quote("AAPL", 1), trade("AAPL", 5)])
            await trio.sleep(2)
            await server.publish(quote("AAPL", 2))
    assert bench.opened == [("SIP", "stocks")]
    assert bench.sink.rows == [
        ("quotes", START_NS + 10**9, quote("AAPL", 1), "e1", 1),
        ("trades", START_NS + 10**9, trade("AAPL", 5), "e1", 1),
        ("quotes", START_NS + 3 * 10**9, quote("AAPL", 2), "e1", 2),
    ]
    assert (bench.tally.rows, bench.tally.symbols, bench.recorder.failure) == (3, {"AAPL"}, None)
    assert bench.told == []


async def test_a_clock_that_goes_back_does_not_take_rows_with_it(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        async with recording(bench):
            for number, time in enumerate([5, 3, 8], 1):
                bench.wall_clock = lambda time=time: START_NS + time * 10**9  # type: ignore[misc]
                await server.publish(quote("AAPL", number))
                await trio.testing.wait_all_tasks_blocked()
    assert [(row[1] - START_NS) // 10**9 for row in bench.sink.rows] == [5, 5, 8]


async def test_what_was_sent_before_is_no_row(autojump_clock: MockClock) -> None:
    """No snapshot is asked for: it was sent before, or is not ours to have."""
    async with market() as server:
        await server.publish(quotes(1, 3))
        bench = Bench(server)
        async with recording(bench):
            await server.publish(quotes(4, 4))
    assert (bench.sink.numbers, bench.tally.gaps.gaps) == ([4], 0)


async def test_heartbeats_are_answered_and_other_units_of_time_understood(autojump_clock: MockClock) -> None:
    async with market(config=ServerConfig(timestamp_unit="ms")) as server:
        bench = Bench(server)
        async with recording(bench):
            await trio.sleep(100)  # without a pong it would be cut after 40
            await server.publish(quote("AAPL", 123_456_789))
    assert (bench.told, len(bench.streams)) == ([], 1)
    assert bench.sink.rows[0][2].exchange_timestamp == START_NS + 123_000_000  # type: ignore[union-attr]  # a quote


async def test_halts_are_recorded_on_both_channels(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        async with recording(bench):
            await server.publish([quote("AAPL", 1), trade("AAPL", 2), trade("AAPL", 3), Halt("AAPL", 4, "news")])
    assert [(row[0], type(row[2]).__name__, row[4]) for row in bench.sink.rows] == [
        ("quotes", "Quote", 1), ("trades", "Trade", 1), ("trades", "Trade", 2), ("quotes", "Halt", 2),
        ("trades", "Halt", 3),
    ]  # fmt: skip


async def test_bars_of_two_frequencies_and_of_named_symbols(autojump_clock: MockClock) -> None:
    bars = [Wish((Channel.AGGREGATES,), ("aapl",), one) for one in (Frequency.SECOND, Frequency.MINUTE)]
    source = Program("SIP", aggregation=Aggregation(every_trade))
    async with market(sources=[source]) as server:
        bench = Bench(server, wishes=[TICKS, *bars])
        async with recording(bench):
            await server.publish([trade("AAPL", n * 10**9) for n in (0, 60, 120)] + [trade("MSFT", 180 * 10**9)])
            await trio.sleep(10)
    rows = [row for row in bench.sink.rows if row[0] == "aggregates"]
    assert {row[2].symbol for row in rows} == {"AAPL"}
    assert {row[2].frequency for row in rows} == {"Second", "Minute"}  # type: ignore[union-attr]  # bars


async def test_a_symbol_that_is_none_is_said(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server, wishes=[Wish((Channel.QUOTES,), ("AAPL", "A A"), Frequency.MINUTE)])
        async with recording(bench):
            await server.publish(quote("AAPL", 1))
        assert bench.sink.numbers == [1]
        assert [text.startswith("UNKNOWN_SYMBOL: ") and text.endswith("(A A)") for text in bench.told] == [True]
        bench = Bench(server, wishes=[Wish((Channel.QUOTES,), ("A A",), Frequency.MINUTE)])
        await bench.run()
    assert bench.recorder.failure is not None
    assert bench.recorder.failure.endswith("(A A)")


async def test_a_row_that_the_recording_does_not_take_is_counted(autojump_clock: MockClock) -> None:
    def refuse(*_: object) -> None:
        raise EventError("0 is no time")

    async with market() as server:
        bench = Bench(server)
        bench.sink.add = refuse  # type: ignore[method-assign]
        async with recording(bench):
            await server.publish(quotes(1, 2))
    assert (bench.tally.unreadable, bench.tally.rows) == (2, 0)
    assert bench.told == ["an event is left out (later ones are only counted): 0 is no time"]
