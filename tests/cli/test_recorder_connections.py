"""Connections of a recording: what an outage costs, and what ends it. Virtual time."""

from __future__ import annotations

import pytest
import trio
from cli.recording import Bench, market, quotes, recording
from support import quote, trade
from trio.testing import MockClock

from datafye_trio import Program, RingLimits, ServerConfig, Synthetic, SyntheticConfig
from datafye_trio.client.options import Wish
from datafye_trio.model import AssetClass, Channel, Frequency

AAPL = Wish((Channel.QUOTES,), ("AAPL",), Frequency.MINUTE)


async def test_a_cut_costs_nothing_that_the_server_still_holds(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server)
        async with recording(bench):
            await server.publish(quotes(1, 2))
            await bench.cut(None)
            await trio.sleep(10)
            await server.publish(quotes(3, 7))
            bench.server = server
            await trio.sleep(10)
            await server.publish(quotes(8, 8))
    assert bench.sink.numbers == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (bench.tally.gaps.gaps, bench.recorder.failure) == (0, None)
    assert bench.told[-1] == "connected again"
    assert "nobody there: trying again in " in bench.told[1]


async def test_what_the_server_has_forgotten_is_a_hole_and_told(autojump_clock: MockClock) -> None:
    config = ServerConfig(ring=RingLimits(seconds=1, messages=3))
    async with market(config=config) as server:
        bench = Bench(server)
        async with recording(bench):
            await server.publish(quotes(1, 2))
            await bench.cut(None)
            await trio.sleep(10)
            for number in range(3, 21):  # a segment of the ring is one publication
                await server.publish(quotes(number, number))
                await trio.sleep(1)
            bench.server = server
            await trio.sleep(10)
            await server.publish(quotes(21, 21))
    assert bench.sink.numbers == [1, 2, 21]
    assert (bench.tally.gaps.gaps, bench.tally.gaps.missing) == (1, 18)
    assert bench.told[-1] == "gap on quotes of AAPL: 3 to 20 lost (expired)"


async def test_a_restarted_server_begins_another_epoch(autojump_clock: MockClock) -> None:
    async with market("e1") as one, market("e2") as another:
        bench = Bench(one)
        async with recording(bench):
            await one.publish(quotes(1, 1))
            await bench.cut(another)
            await trio.sleep(1)
            await another.publish(quotes(1, 1))
    assert [row[3:] for row in bench.sink.rows] == [("e1", 1), ("e2", 1)]
    assert (bench.tally.gaps.gaps, bench.tally.gaps.missing) == (1, 0)
    assert bench.told[1:] == [
        "connected again", "gap on quotes of AAPL: an unknown number of messages lost (epoch_changed)",
    ]  # fmt: skip


async def test_it_is_joined_by_name_again_whatever_the_first_dataset_is_then(autojump_clock: MockClock) -> None:
    async with market() as one, market(sources=[Program("Other"), Program("SIP")]) as another:
        bench = Bench(one)
        async with recording(bench):
            await bench.cut(another)
            await trio.sleep(1)
            await another.publish([quote("X", 1)], dataset="Other")
            await another.publish([quote("AAPL", 1)], dataset="SIP")
    assert [row[2].symbol for row in bench.sink.rows] == ["AAPL"]


async def test_it_does_not_come_back_where_that_is_not_wanted(autojump_clock: MockClock) -> None:
    async with market() as server:
        bench = Bench(server, reconnect=False)
        async with recording(bench):
            await server.publish(quotes(1, 1))
            await bench.cut(None)
    assert bench.recorder.failure is not None
    assert bench.sink.numbers == [1]


async def test_what_never_worked_is_not_tried_again(autojump_clock: MockClock) -> None:
    bench = Bench(None)
    await bench.run()
    assert (bench.recorder.failure, bench.told, bench.opened) == ("nobody there", [], [])
    assert trio.current_time() == 0


async def test_everything_refused_ends_it_and_opens_nothing(autojump_clock: MockClock) -> None:
    async with market(sources=[Synthetic(SyntheticConfig())]) as server:
        bench = Bench(server, wishes=[Wish((Channel.QUOTES, Channel.TRADES), ("A", "B"), Frequency.MINUTE)])
        await bench.run()
        assert bench.recorder.failure is not None
        assert bench.recorder.failure.startswith("UNKNOWN_SYMBOL: ")
        assert (bench.opened, bench.told) == ([], [])
        bench = Bench(server, wishes=[Wish((Channel.QUOTES,), ("*",), Frequency.MINUTE, dataset="SIP")])
        await bench.run()
    assert bench.recorder.failure == "UNKNOWN_DATASET: there is no dataset SIP: this server has Synthetic"
    assert bench.opened == []


async def test_a_part_refused_is_told_once(autojump_clock: MockClock) -> None:
    wish = Wish((Channel.QUOTES, Channel.TRADES), ("AAPL", "NOPE"), Frequency.MINUTE)
    async with market(sources=[Synthetic(SyntheticConfig(rate=10))]) as server:
        bench = Bench(server, wishes=[wish])
        async with recording(bench):
            await trio.sleep(10)
    assert bench.recorder.failure is None
    assert [text.endswith("(NOPE)") for text in bench.told] == [True]
    assert {row[2].symbol for row in bench.sink.rows} == {"AAPL"}


async def test_everything_refused_when_it_comes_back_ends_it(autojump_clock: MockClock) -> None:
    other = [Synthetic(SyntheticConfig(dataset="SIP", symbols=("MSFT",), rate=1))]
    async with market() as one, market(sources=other) as another:
        bench = Bench(one, wishes=[AAPL])
        async with recording(bench):
            await one.publish([quote("AAPL", 1), trade("AAPL", 1)])
            await bench.cut(another)
            await trio.sleep(1)
    assert bench.recorder.failure is not None
    assert bench.recorder.failure.startswith("UNKNOWN_SYMBOL: ")
    assert bench.sink.numbers == [1]


@pytest.mark.parametrize("wish", [AAPL, Wish((Channel.QUOTES,), ("*",), Frequency.MINUTE)])
async def test_another_asset_class_under_the_same_name_ends_it(autojump_clock: MockClock, wish: Wish) -> None:
    async with market() as one, market(sources=[Program("SIP", asset_class=AssetClass.CRYPTO)]) as another:
        bench = Bench(one, wishes=[wish])
        async with recording(bench):
            await bench.cut(another)
            await trio.sleep(1)
    assert bench.recorder.failure == "SIP is crypto now: it was stocks"
