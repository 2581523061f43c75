"""Restarts: what clients see of them, what is lost, and what goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import trio
from support import RawClient, upgrade_head
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import Gap, Program, ServerClosedError, Source
from datafye_trio.testing import open_test_server, trade


async def raw(server: object) -> tuple[RawClient, str]:
    """A client that is subscribed to trades, and the epoch of the first dataset."""
    client = RawClient(server.connect())  # type: ignore[attr-defined]
    await client.stream.send_all(upgrade_head("/datafye-ws/v1/stocks/live/trades"))
    assert (await client.http_answer())[0] == 101
    epoch = (await client.message())["datasets"][0]["epoch"]
    await client.ask(action="subscribe", symbols=["AAPL"])
    return client, epoch


async def test_a_clean_restart_says_so_refuses_and_has_new_epochs(autojump_clock: MockClock) -> None:
    async with open_test_server(seed=1) as server, trio.open_nursery() as nursery:
        client, epoch = await raw(server)
        await server.publish([trade(price=float(n)) for n in range(1, 4)])
        nursery.start_soon(server.faults.restart, 3.0)
        assert [one["tradePrice"] for one in await client.messages(3)] == [1, 2, 3], "what was queued comes first"
        assert await client.closed() == (1012, "the server restarts")
        await client.stream.aclose()
        began = trio.current_time()
        await wait_all_tasks_blocked()
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        with pytest.raises(ServerClosedError, match="the server is down: it restarts"):
            await server.publish(trade())
        await trio.sleep_until(began + 3.01)
        _, another = await raw(server)
        assert another != epoch
    async with open_test_server(seed=1) as server:
        assert (await raw(server))[1] == epoch, "epochs come from the seed"


async def test_a_cut_without_a_word(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        client, _ = await raw(server)
        await server.faults.restart(clean=False)
        assert (await client.closed()) == (1006, "")
        await raw(server)
        assert [entry.reason for entry in server.log.entries("gone")] == ["cut"]


async def test_a_feed_is_told_of_a_gap_and_goes_on(autojump_clock: MockClock) -> None:
    """And a play goes on by its clock: what fell into the outage is lost."""
    async with (
        open_test_server(seed=5) as server,
        server.open_feed() as feed,
        feed.trades("AAPL") as trades,
    ):
        await server.wait_subscribed("trades", "AAPL")
        playing = server.play([trade(price=1.0 + n, at=timedelta(seconds=n)) for n in range(20)])
        await trio.sleep(4.5)
        await server.faults.restart(down=5)
        await playing.wait()
        await wait_all_tasks_blocked()
        found: list[float] = []
        gaps: list[str] = []
        with trio.move_on_after(1):
            async for item in trades:
                if isinstance(item, Gap):
                    gaps.append(item.reason)
                else:
                    found.append(item.price)  # type: ignore[union-attr]
        assert found[:5] == [1, 2, 3, 4, 5]
        assert found[-1] == 20
        assert not {6.0, 7.0, 8.0, 9.0} & {*found}
        assert gaps == ["epoch_changed"]
        assert playing.published == 20


async def test_a_wait_for_a_subscription_goes_on_over_a_restart(autojump_clock: MockClock) -> None:
    async with open_test_server() as server, trio.open_nursery() as nursery:

        async def wait() -> None:
            await server.wait_subscribed("trades", "AAPL", timeout=10)
            nursery.cancel_scope.cancel()

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        await server.faults.restart(down=1)
        await raw(server)
        await trio.sleep(20)
        pytest.fail("it was not found")


async def test_each_life_has_sources_of_its_own(autojump_clock: MockClock) -> None:
    made: list[Source] = []

    def sources() -> Sequence[Source]:
        made.append(Program(f"Life{len(made) + 1}"))
        return made[-1:]

    async with open_test_server(sources=sources) as server:
        await server.faults.restart()
        await server.publish(trade(), "Life2")
        assert len(made) == 2


async def test_sources_that_cannot_be_made_again_end_it(autojump_clock: MockClock) -> None:
    made: list[int] = []

    def sources() -> Sequence[Source]:
        made.append(1)
        if len(made) > 1:
            raise OSError("the disk is gone")
        return [Program()]

    with pytest.raises(OSError, match="the disk is gone"):
        async with open_test_server(sources=sources) as server:
            await server.faults.restart()


async def test_who_asks_while_it_restarts_waits_for_that_one(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.faults.restart, 4.0)
            await trio.sleep(1)
            nursery.start_soon(server.faults.restart, 100.0)
        assert trio.current_time() == 4
        await server.publish(trade())


async def test_a_restart_that_nobody_waits_for_happens_all_the_same(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        with trio.move_on_after(1):
            await server.faults.restart(down=2)
        with pytest.raises(ServerClosedError):
            await server.publish(trade())
        await trio.sleep(1.1)
        await server.publish(trade())


async def test_the_end_comes_while_it_is_down(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery, open_test_server() as server:

        async def restart() -> None:
            with pytest.raises(ServerClosedError, match="has ended"):
                await server.faults.restart(down=1_000)

        nursery.start_soon(restart)
        await trio.sleep(1)
    assert trio.current_time() < 10


async def test_a_flood_waits_for_the_next_life(autojump_clock: MockClock) -> None:
    async with open_test_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(server.faults.restart, 5.0)
        await trio.sleep(1)
        with pytest.raises(ServerClosedError):
            server.play([trade()], speed=float("inf"))
        await trio.sleep(5)
        assert await server.play([trade()] * 5_000, speed=float("inf")).wait() == 5_000


async def test_the_lost_ring_of_the_server_of_now(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        await server.publish([trade(), trade()])
        await wait_all_tasks_blocked()
        server.faults.lose_ring()
        client = RawClient(server.connect())
        await client.stream.send_all(upgrade_head())
        await client.http_answer()
        epoch = (await client.message())["datasets"][0]["epoch"]
        resume = {"epoch": epoch, "positions": {"AAPL": 1}}
        await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"], resume=resume)
        assert (await client.message())["reason"] == "expired"
