"""What a recording takes from its server: rows, holes, and messages that are none. Virtual time."""

from __future__ import annotations

from functools import partial

import trio
from cli.recording import Bench, Line, connected, data, good, subscribed
from support import START_NS, memory_server, quote, trade
from trio.testing import MockClock

from datafye_trio.errors import EventError
from datafye_trio.model import Halt
from datafye_trio.wire import ClientOptions, open_client

PONG = {"type": "pong", "timestamp": 1}


async def test_rows_have_channel_time_of_arrival_epoch_and_number(autojump_clock: MockClock) -> None:
    line = good(data(1), data(1, trade("AAPL", 5)))
    bench = Bench([line])

    async def later() -> None:
        await trio.sleep(2)
        line.say(data(2))
        await trio.sleep(1)
        bench.recorder.stop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        await bench.run()
    assert bench.opened == [("SIP", "stocks")]
    assert bench.sink.rows == [
        ("quotes", START_NS, quote("AAPL", 1), "e1", 1),
        ("trades", START_NS, trade("AAPL", 5), "e1", 1),
        ("quotes", START_NS + 2 * 10**9, quote("AAPL", 2), "e1", 2),
    ]
    assert (bench.tally.rows, bench.tally.symbols, bench.recorder.failure) == (3, {"AAPL"}, None)
    assert line.closed


async def test_it_asks_for_everything_and_no_snapshots(autojump_clock: MockClock) -> None:
    line = good()
    await Bench([line]).run(1)
    assert line.sent == [
        {"action": "subscribe", "symbols": ["*"], "channels": ["quotes", "trades"], "id": "record-0",
         "snapshot": False, "delivery": "all"}
    ]  # fmt: skip


async def test_a_clock_that_goes_back_does_not_take_rows_with_it(autojump_clock: MockClock) -> None:
    clock = iter([5, 3, 8])
    bench = Bench([good(data(1), data(2), data(3))])
    bench.wall_clock = lambda: next(clock)
    await bench.run(1)
    assert [row[1] for row in bench.sink.rows] == [5, 5, 8]


async def test_snapshots_and_stored_data_are_no_rows(autojump_clock: MockClock) -> None:
    bench = Bench([good(data(1), data(1, snapshot=True), {**data(1), "seq": None, "stream": "s"})])
    await bench.run(1)
    assert (bench.sink.numbers, bench.tally.gaps) == ([1], 0)


async def test_heartbeats_are_answered_and_other_units_of_time_understood(autojump_clock: MockClock) -> None:
    fields = {**data(1), "exchangeTimestamp": 1_700_000_000_123}
    beat = {"type": "heartbeat", "timestamp": 77, "lag": 0, "sent": 1}
    line = Line(connected("ms"), subscribed(), beat, fields)
    bench = Bench([line])
    await bench.run(1)
    assert line.sent[1:] == [{"action": "pong", "timestamp": 77}]
    assert bench.sink.rows[0][2].exchange_timestamp == 1_700_000_000_123_000_000  # type: ignore[union-attr]


async def test_a_unit_that_is_unknown_ends_it(autojump_clock: MockClock) -> None:
    bench = Bench([Line(connected("fortnights"), subscribed())])
    await bench.run()
    assert bench.recorder.failure == "the server's timestamps are in fortnights: unknown here"


async def test_holes_are_counted_and_told(autojump_clock: MockClock) -> None:
    told = {
        "type": "gap", "dataset": "SIP", "assetClass": "stocks", "channel": "quotes", "symbol": "AAPL", "epoch": "e1",
        "from": 5, "to": 6, "reason": "slow_consumer",
    }  # fmt: skip
    bench = Bench([good(data(1), data(3), told, data(7))])
    await bench.run(1)
    assert bench.sink.numbers == [1, 3, 7]
    assert (bench.tally.gaps, bench.tally.missing) == (3, 4)
    assert bench.told == [
        "gap on quotes of AAPL: 2 to 2 lost (unexplained)",
        "gap on quotes of AAPL: 4 to 4 lost (unexplained)",
        "gap on quotes of AAPL: 5 to 6 lost (slow_consumer)",
    ]


async def test_very_many_holes_are_told_in_few_lines(autojump_clock: MockClock) -> None:
    bench = Bench([good(*(data(2 * number) for number in range(1, 2_001)))])
    await bench.run(3)
    assert bench.tally.gaps == bench.tally.missing == 2_000
    assert len(bench.told) <= 8
    assert bench.told[3] == "and 1,997 more gaps; 2,000 messages are missing so far"


async def test_what_cannot_be_understood_is_said_once_and_counted(autojump_clock: MockClock) -> None:
    bench = Bench([good({"type": "news"}, data(1, bidPrice="x"), data(1, exchangeTimestamp=2**63), PONG, data(1))])
    await bench.run(1)
    assert bench.told == ["a message is left out (later ones are only counted): a message has no known type"]
    assert (bench.tally.unreadable, bench.sink.numbers) == (3, [1])


async def test_data_of_another_dataset_is_not_mixed_in(autojump_clock: MockClock) -> None:
    bench = Bench([good({**data(1), "dataset": "Crypto"}, data(1))])
    await bench.run(1)
    assert (bench.tally.unreadable, bench.sink.numbers) == (1, [1])
    assert bench.told[0].endswith("data of Crypto, which was not asked for")


async def test_an_answer_in_bytes_is_understood(autojump_clock: MockClock) -> None:
    line = good()
    bench = Bench([line])
    receive = line.receive

    async def receive_bytes() -> bytes:
        return (await receive()).encode()

    line.receive = receive_bytes  # type: ignore[method-assign,assignment]
    line.say(data(1))
    await bench.run(1)
    assert bench.sink.numbers == [1]


async def test_a_row_that_the_recording_does_not_take_is_counted(autojump_clock: MockClock) -> None:
    bench = Bench([good(data(1), data(2))])

    def refuse(*_: object) -> None:
        raise EventError("0 is no time")

    bench.sink.add = refuse  # type: ignore[method-assign]
    await bench.run(1)
    assert bench.tally.unreadable == 2
    assert bench.told[0].endswith("0 is no time")


async def test_a_server_of_ours_over_memory(autojump_clock: MockClock) -> None:
    """Halts too, which come on both channels; and heartbeats, without which the server would end it after 40 s."""
    async with memory_server() as server, trio.open_nursery() as nursery:

        async def transport() -> trio.abc.Stream:
            return server.connect()

        connect = partial(open_client, "ws://localhost/datafye-ws/v1", ClientOptions(open_stream=transport))
        bench = Bench([], connect=connect)
        nursery.start_soon(bench.run, 120)
        await trio.sleep(1)
        await server.publish([quote("AAPL", 1), trade("AAPL", 2), trade("AAPL", 3), Halt("AAPL", 4, "news")])
        await trio.sleep(118)
        await server.publish(quote("AAPL", 5))
    assert [(row[0], type(row[2]).__name__, row[3], row[4]) for row in bench.sink.rows] == [
        ("quotes", "Quote", "epoch-1", 1), ("trades", "Trade", "epoch-1", 1), ("trades", "Trade", "epoch-1", 2),
        ("quotes", "Halt", "epoch-1", 2), ("trades", "Halt", "epoch-1", 3), ("quotes", "Quote", "epoch-1", 3),
    ]  # fmt: skip
    assert (bench.told, bench.tally.gaps) == ([], 0)
