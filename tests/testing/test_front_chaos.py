"""Faults at random, clients that come and go, and listeners that order more: in the end all is as before."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
from support import RawClient, trade, upgrade_head
from testing.kit import Front, front

from datafye_trio.testing import Entry


async def wayward(kit: Front, chance: random.Random) -> None:
    """A client that may read slowly, not answer heartbeats, leave without a word, or never leave its socket."""
    try:
        client = RawClient(kit.connect())
    except ConnectionRefusedError:
        return
    with suppress(trio.BrokenResourceError, AssertionError), trio.move_on_after(60 * chance.random()):
        await client.stream.send_all(upgrade_head())
        if (await client.http_answer())[0] == 101:
            await client.send(action="subscribe", channels=["trades"], symbols=["AAPL"])
            while (frame := await client.frame())[0] != -1:
                if chance.random() < 0.01:
                    await trio.sleep(20 * chance.random())
                if b"heartbeat" in frame[1] and chance.random() < 0.8:
                    await client.send(action="pong")
    if chance.random() < 0.7:
        await client.stream.aclose()


class Chaos:
    """Calls for anything, for anybody, at any time."""

    def __init__(self, kit: Front, chance: random.Random) -> None:
        self.faults, self.chance, self.depth = kit.faults, chance, 0
        draw, whole, pick, whom, faults = chance.random, chance.randrange, chance.choice, self.whom, kit.faults
        self.calls: list[Callable[[], object]] = [
            lambda: faults.mute(connection=whom()),
            lambda: faults.no_heartbeats(connection=whom()),
            lambda: faults.delay(5 * draw(), draw(), connection=whom()),
            lambda: faults.slow_reads(pick([1, 100, 10_000]), connection=whom()),
            lambda: faults.slices(connection=whom()),
            lambda: faults.reorder(draw(), connection=whom()),
            lambda: faults.duplicate(draw(), connection=whom()),
            lambda: faults.corrupt(draw(), connection=whom()),
            lambda: faults.drop(connection=whom()),
            lambda: faults.drop(whole(500), connection=whom()),
            lambda: faults.drop(mid_frame=True, connection=whom()),
            lambda: faults.close(4000 + whole(500), connection=whom()),
            lambda: faults.refuse(whole(1, 3), pick([503, None, 404])),
            lambda: [fault.end() for fault in faults.active if draw() < 0.5],
            faults.clear,
        ]

    def whom(self) -> int | None:
        """All, one that is open, or one that has not come yet."""
        taps = list(self.faults.taps)
        return self.chance.choice([None, None, *taps, max(taps, default=0) + 1])

    def call(self) -> None:
        with suppress(ValueError):  # the next number was given already to one that has gone
            self.chance.choice(self.calls)()

    def listen(self, _: Entry) -> None:
        if self.depth < 2 and self.chance.random() < 0.03:
            self.depth += 1
            self.call()
            self.depth -= 1


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(4))
async def test_after_chaos_all_is_as_before(autojump_clock: trio.testing.MockClock, seed: int) -> None:
    chance = random.Random(seed)
    async with front(seed=seed) as kit:
        chaos = Chaos(kit, chance)
        kit.log.listeners.append(chaos.listen)
        async with trio.open_nursery() as nursery:
            for n in range(100):
                if chance.random() < 0.2:
                    nursery.start_soon(wayward, kit, random.Random(f"{seed}/{n}"))
                chaos.call()
                if chance.random() < 0.5:
                    await kit.server.publish([trade(n=i) for i in range(chance.randrange(1, 30))])
                await trio.sleep(2 * chance.random())
            kit.log.listeners.clear()
            kit.faults.clear()
            await trio.sleep(200)
            kit.faults.drop()
        await trio.testing.wait_all_tasks_blocked()
        assert kit.faults.active == ()
        assert kit.faults.taps == {}
        client = await kit.subscribed()
        await kit.server.publish(trade(n=1))
        assert (await client.message())["type"] == "trade"
        await client.close()
        await trio.testing.wait_all_tasks_blocked()
        assert kit.proxy.statistics().open == 0
        assert len(kit.log.entries("fault")) > 100
