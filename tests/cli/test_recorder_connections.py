"""Connections of a recording: which are made again and when, what was missed meanwhile, and what ends it."""

from __future__ import annotations

import pytest
import trio
from cli.recording import Bench, Line, at, connected, data, good, refused, subscribed
from trio.testing import MockClock

from datafye_trio.errors import ConnectError
from datafye_trio.protocol import Subscribe


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
