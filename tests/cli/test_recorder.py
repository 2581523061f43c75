"""Between a server and a recording: what is written, when, and what happens when either fails. Virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from cli.recording import FULL, Bench, Line, connected, data, refused, subscribed
from support import START_NS, memory_server, quote, trade
from trio.testing import MockClock
from trio_websocket import wrap_client_stream

from datafye_trio.errors import ConfigurationError, EventError, RecordingError
from datafye_trio.model import Halt
from datafye_trio.protocol import Subscribe
from datafye_trio.wire.client import ClientSocket, ConnectError

PONG = {"type": "pong", "timestamp": 1}


def good(*messages: dict[str, object], epoch: str = "e1", **changes: object) -> Line:
    """A connection that has just been subscribed, and said these messages."""
    return Line(connected(), subscribed(epoch, **changes), *messages)


def at(quotes: int) -> dict[str, object]:
    return {"positions": {"quotes": {"AAPL": quotes}, "trades": {}}}


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


async def test_what_came_is_on_disk_half_a_second_later(autojump_clock: MockClock) -> None:
    line = good()
    bench = Bench([line])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, 20)
        for number in range(1, 100):
            line.say(data(number))
            await trio.sleep(0.13)
            old = [row for row in bench.sink.waiting if row[1] < START_NS + (trio.current_time() - 0.6) * 1e9]
            assert old == []
    steps = [after - before for before, after in zip(bench.sink.flushes, bench.sink.flushes[1:], strict=False)]
    assert max(steps) < 0.56
    assert bench.recorder.flushed_at == bench.sink.flushes[-1]


async def test_the_end_writes_what_is_under_way(autojump_clock: MockClock) -> None:
    line = good()
    bench = Bench([line])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run)
        await trio.sleep(0.76)
        for number in range(1, 3_001):
            line.say(data(number))
        await trio.testing.wait_all_tasks_blocked()
        bench.recorder.stop()
    assert bench.sink.numbers == list(range(1, 3_001))
    assert trio.current_time() == 0.76


async def test_cancelled_from_outside_it_writes_what_it_has(autojump_clock: MockClock) -> None:
    bench = Bench([good(*(data(number) for number in range(1, 3_001)))])
    with trio.move_on_after(0.01):
        await bench.run()
    assert bench.sink.numbers == list(range(1, 3_001))


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


async def test_a_lost_connection_is_made_again_and_what_was_missed_is_a_hole(autojump_clock: MockClock) -> None:
    second = good(data(6), **at(5))
    bench = Bench([good(data(1), data(2)).end(1006), ConnectError("refused"), second])
    await bench.run(20)
    assert bench.connected_at == [0, 0.25, 0.75]
    assert bench.sink.numbers == [1, 2, 6]
    assert (bench.tally.gaps, bench.tally.missing) == (1, 3)
    assert bench.told == [
        "connection lost: trying again in 0.2 s",
        "refused: trying again in 0.5 s",
        "connected again",
        "gap on quotes of AAPL: 3 to 5 lost (disconnected)",
    ]
    assert second.sent[0]["dataset"] == "SIP"  # by name now, whatever the server's first one is


async def test_a_restarted_server_begins_another_epoch(autojump_clock: MockClock) -> None:
    bench = Bench([good(data(1)).end(1012), good(data(1), epoch="e2")])
    await bench.run(5)
    assert [row[3:] for row in bench.sink.rows] == [("e1", 1), ("e2", 1)]
    assert (bench.tally.gaps, bench.tally.missing) == (2, 0)
    assert bench.told[2:] == [
        "gap on quotes of *: some messages lost (epoch_changed)",
        "gap on trades of *: some messages lost (epoch_changed)",
    ]


async def test_a_minute_of_health_begins_the_backoff_anew(autojump_clock: MockClock) -> None:
    lines = [good().end(), good().end(), Line(subscribed())]  # without heartbeats, none is missed
    bench = Bench([*lines, Line(subscribed())])

    async def end_it() -> None:
        await trio.sleep(100)
        lines[2].end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_it)
        await bench.run(200)
    assert bench.connected_at == [0, 0.25, 0.75, 100.25]


@pytest.mark.parametrize("code", [4501, 1008])
async def test_a_close_that_says_stop_ends_it(autojump_clock: MockClock, code: int) -> None:
    bench = Bench([good(data(1)).end(code)])
    await bench.run()
    assert bench.recorder.failure == f"closed with {code}"
    assert bench.sink.numbers == [1]


async def test_it_does_not_come_back_where_that_is_not_wanted(autojump_clock: MockClock) -> None:
    bench = Bench([good().end()], reconnect=False)
    await bench.run()
    assert bench.recorder.failure == "connection lost"


@pytest.mark.parametrize("first", [ConnectError("nobody there"), Line(connected()).end(4008)])
async def test_what_never_worked_is_not_tried_again(autojump_clock: MockClock, first: Line | Exception) -> None:
    bench = Bench([first])
    await bench.run()
    assert bench.recorder.failure in ("nobody there", "closed with 4008")


async def test_a_server_that_falls_silent_is_given_up(autojump_clock: MockClock) -> None:
    beat = {"type": "heartbeat", "timestamp": 1, "lag": 0, "sent": 0}
    first = good()
    bench = Bench([first, good()])

    async def beat_twice() -> None:
        for _ in range(2):
            await trio.sleep(10)
            first.say(beat)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat_twice)
        await bench.run(52)
    assert bench.connected_at == [0, 50.25]
    assert bench.told[0] == "connection lost: trying again in 0.2 s"


async def test_a_server_that_never_answers_is_given_up(autojump_clock: MockClock) -> None:
    bench = Bench([Line()])
    await bench.run()
    assert (bench.recorder.failure, trio.current_time()) == ("connection lost", 30)


async def test_everything_refused_ends_it_and_opens_nothing(autojump_clock: MockClock) -> None:
    bench = Bench([Line(connected(), refused(symbols=["A", "B"]))])
    await bench.run()
    assert bench.recorder.failure == "UNKNOWN_DATASET: use another (A, B)"
    assert bench.opened == []


async def test_a_part_refused_is_told(autojump_clock: MockClock) -> None:
    requests = [Subscribe(("*",), ("quotes",), "record-0"), Subscribe(("*",), ("sma",), "record-1", frequency="Day")]
    lines = Line(connected(), refused(id="record-1"), subscribed(channels=["quotes"]), data(1))
    bench = Bench([lines], requests=requests)
    await bench.run(1)
    assert (bench.told, bench.recorder.failure) == (["UNKNOWN_DATASET: use another"], None)
    assert bench.sink.numbers == [1]


@pytest.mark.parametrize(("retryable", "rows"), [(True, [1, 2]), (False, [1])])
async def test_refused_when_it_comes_back(autojump_clock: MockClock, retryable: bool, rows: list[int]) -> None:
    again = Line(connected(), refused("INTERNAL", retryable=retryable))
    bench = Bench([good(data(1)).end(), again, good(data(2), **at(1))])
    await bench.run(5)
    assert bench.sink.numbers == rows
    assert bench.recorder.failure == (None if retryable else "INTERNAL: use another")


async def test_another_dataset_or_asset_class_under_the_same_name_ends_it(autojump_clock: MockClock) -> None:
    for change, why in (
        ({"dataset": "Crypto"}, "the server has joined us to Crypto instead of SIP"),
        ({"assetClass": "crypto"}, "SIP is crypto now: it was stocks"),
    ):
        bench = Bench([good().end(), good(**change)])
        await bench.run()
        assert bench.recorder.failure == why
    bench = Bench([good(assetClass="art")])
    await bench.run()
    assert bench.recorder.failure == "the asset class art is unknown here"


async def test_a_full_disk_is_told_once_and_the_stream_goes_on(autojump_clock: MockClock) -> None:
    line = good(data(1))
    bench = Bench([line])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, 30)
        await trio.sleep(1)
        bench.sink.failure = FULL
        for number in range(2, 12):
            line.say(data(number))
            await trio.sleep(1)
        assert bench.told == [str(FULL)]
        assert bench.recorder.flushed_at is not None
        assert bench.recorder.flushed_at < 2
        bench.sink.failure = None
        await trio.sleep(1)
    assert bench.told == [str(FULL), "the recording can be written again; rows lost so far: 0"]
    assert bench.sink.numbers == list(range(1, 12))
    assert bench.tally.gaps == 0


async def test_rows_that_never_found_room_are_lost_and_counted(autojump_clock: MockClock) -> None:
    line = good()
    bench = Bench([line])
    bench.sink.failure, bench.sink.room = FULL, 4
    for number in range(1, 11):
        line.say(data(number))
    await bench.run(3)
    assert (bench.sink.rows, bench.sink.lost) == ([], 10)
    assert bench.told == [str(FULL), str(FULL)]  # when it began, and at the end


async def test_rows_dropped_by_a_flush_are_told_each_time(autojump_clock: MockClock) -> None:
    bench = Bench([good(data(1))])

    def flush() -> None:
        bench.sink.lost += 1
        raise RecordingError(f"row {bench.sink.lost} fits no column")

    bench.sink.flush = flush  # type: ignore[method-assign]
    await bench.run(0.6)
    assert bench.told[:2] == ["row 1 fits no column", "row 2 fits no column"]


async def test_a_folder_that_cannot_be_recorded_to_ends_it(autojump_clock: MockClock) -> None:
    bench = Bench([good()])
    bench.refusal = ConfigurationError("pyarrow is missing")
    with pytest.RaisesGroup(ConfigurationError):
        await bench.run()


async def test_while_the_writer_is_stuck_nothing_is_read_and_nothing_lost(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel is full: the server is to notice. That we did not listen is not taken for the server's silence."""
    line = good(*(data(number) for number in range(1, 20_001)))
    bench = Bench([line])
    stuck = trio.Event()
    move = bench.recorder._move
    monkeypatch.setattr(bench.recorder, "_move", lambda: stuck.is_set() and move())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, 120)
        await trio.sleep(100)
        assert bench.tally.rows == 16_384
        stuck.set()
    assert bench.sink.numbers == list(range(1, 20_001))
    assert bench.connected_at == [0]


async def test_a_server_of_ours_over_memory(autojump_clock: MockClock) -> None:
    """Halts too, which come on both channels; and heartbeats, without which the server would end it after 40 s."""
    async with memory_server() as server, trio.open_nursery() as nursery:

        @asynccontextmanager
        async def connect() -> AsyncIterator[ClientSocket]:
            async with trio.open_nursery() as inner:
                socket = await wrap_client_stream(inner, server.connect(), "localhost", "/datafye-ws/v1")  # type: ignore[arg-type]
                try:
                    yield ClientSocket(socket)
                finally:
                    inner.cancel_scope.cancel()

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
