"""The same seed gives the same log, byte for byte, whatever order trio runs the tasks in."""

from __future__ import annotations

import contextlib
import hashlib
import json

import pytest
import trio
import trio.testing
from support import RawClient, quote, trade, upgrade_head
from testing.kit import Front, front

RUNS = 8


async def converse(client: RawClient, kit: Front, symbols: list[str]) -> None:
    """Subscribe to one symbol after the other, answer heartbeats, until the end, whatever comes."""
    for symbol in symbols:
        await client.send(action="subscribe", channels=["trades", "quotes"], symbols=[symbol])
        await trio.sleep(0.5)
    with contextlib.suppress(trio.BrokenResourceError):
        while True:
            opcode, payload = await client.frame()
            if opcode in (-1, 8):
                return
            with contextlib.suppress(ValueError):
                if json.loads(payload).get("type") == "heartbeat":
                    await client.send(action="pong")


async def day(seed: int) -> bytes:
    """Six clients, all that chance can do, and the log of it."""
    async with front(seed=seed) as kit:
        kit.faults.delay(0.05, jitter=0.2)
        kit.faults.corrupt(0.05)
        kit.faults.duplicate(0.1)
        kit.faults.reorder(0.1)
        kit.faults.slow_reads(20_000, connection=4)
        kit.faults.drop(after=4_000, connection=5)
        async with trio.open_nursery() as nursery:
            for n in range(6):
                client = RawClient(kit.connect())
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(start, client, kit, ["AAPL", "MSFT", f"S{n}"])
                await trio.sleep(0.01)
            await trio.sleep(1)
            for n in range(8):
                await kit.server.publish([trade("AAPL", n), quote("MSFT", n), trade(f"S{n % 6}", n)])
                await trio.sleep(1)
            kit.faults.drop(mid_frame=True, connection=2)
            kit.faults.close(4008, "as the test wants it", connection=1)
            with kit.faults.mute(connection=3):
                await kit.server.publish([trade("AAPL", n) for n in range(10)])
                await trio.sleep(1)
            await trio.sleep(3)
            kit.faults.drop()
        return kit.log.dump()


async def start(client: RawClient, kit: Front, symbols: list[str]) -> None:
    await client.stream.send_all(upgrade_head())
    if (await client.http_answer())[0] == 101:
        await converse(client, kit, symbols)


def run(seed: int) -> bytes:
    """One day in a run of its own, so that its clock begins at 0."""
    return trio.run(day, seed, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.unmeasured
def test_all_runs_of_one_seed_are_one() -> None:
    logs = [run(7) for _ in range(RUNS)]
    assert len(set(logs)) == 1, [hashlib.sha256(log).hexdigest()[:8] for log in logs]
    lines = logs[0].splitlines()
    assert len(lines) > 200
    for word in (b"corrupt", b"duplicate", b"reorder", b"drop", b"close", b"mute", b"cut"):
        assert any(word in line for line in lines)


@pytest.mark.unmeasured
def test_another_seed_is_another() -> None:
    assert run(7) != run(8)
