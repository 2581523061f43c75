"""What chance does to messages: as often as its probability says, where the seed says, and to nothing else."""

from __future__ import annotations

import itertools
import json

import pytest
import trio
from support import RawClient, trade
from testing.kit import Front, front

COUNT = 200


async def received(client: RawClient, kit: Front) -> list[bytes]:
    """The payloads that come to a client of 200 trades, and the last heartbeat's after them."""
    await kit.server.publish([trade(n=n) for n in range(COUNT)])
    await trio.testing.wait_all_tasks_blocked()
    found = []
    with trio.move_on_after(1):
        while True:
            opcode, payload = await client.frame()
            assert opcode == 1
            found.append(payload)
    return found


def numbers(payloads: list[bytes]) -> list[int]:
    return [json.loads(payload)["seq"] for payload in payloads]


async def test_duplicates(autojump_clock: trio.testing.MockClock) -> None:
    async with front(seed=1) as kit:
        client = await kit.subscribed()
        with kit.faults.duplicate(0.25) as fault:
            found = numbers(await received(client, kit))
        assert 20 < fault.hits < 80
        assert len(found) == COUNT + fault.hits
        assert found == sorted(found)
        assert sorted(set(found)) == list(range(1, COUNT + 1))
        assert len([one for one in kit.log.entries("fault") if one.reason == "duplicate"]) == fault.hits
        assert numbers([one.payload for one in kit.log.entries("text") if b'"trade"' in one.payload]) == found
        await client.close()


async def test_reordered_ones_come_after_the_next(autojump_clock: trio.testing.MockClock) -> None:
    async with front(seed=1) as kit:
        client = await kit.subscribed()
        with kit.faults.reorder(0.25) as fault:
            found = numbers(await received(client, kit))
            assert 20 < fault.hits < 80
            swapped = [n for n, (one, other) in enumerate(itertools.pairwise(found)) if one > other]
            assert abs(len(swapped) - fault.hits) <= 1  # the last may still be waiting
            for n in swapped:
                found[n], found[n + 1] = found[n + 1], found[n]
            assert found == list(range(1, len(found) + 1))
        assert len(found) >= COUNT - 1
        await client.close()


async def test_corrupt_ones_differ_in_one_byte(autojump_clock: trio.testing.MockClock) -> None:
    async with front(seed=1) as kit:
        clean, client = await kit.subscribed(), await kit.subscribed()
        with kit.faults.corrupt(0.25, connection=2) as fault:
            found = await received(client, kit)
        true = [payload for opcode, payload in [await clean.frame() for _ in range(COUNT)] if opcode == 1]
        assert len(found) == len(true) == COUNT
        differing = [(a, b) for a, b in zip(found, true, strict=True) if a != b]
        assert len(differing) == fault.hits
        assert 20 < fault.hits < 80
        for a, b in differing:
            assert sum(x != y for x, y in zip(a, b, strict=True)) == 1
        await client.stream.aclose()
        await clean.close()


async def test_certain_and_impossible(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        with kit.faults.duplicate(0.0) as never, kit.faults.duplicate(1.0) as always:
            assert numbers(await received(client, kit)) == [n for n in range(1, COUNT + 1) for _ in range(2)]
        assert (never.hits, always.hits) == (0, COUNT)
        with kit.faults.duplicate(1.0), kit.faults.reorder(1.0):
            await kit.server.publish(trade())
            assert len(await client.messages(2)) == 2
        await client.close()


async def test_what_is_held_back_goes_on_when_the_fault_ends(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        fault = kit.faults.reorder(1.0)
        await kit.server.publish(trade())
        with trio.move_on_after(5) as waited:
            await client.message()
        assert waited.cancelled_caught
        fault.end()
        assert (await client.message())["seq"] == 1
        assert trio.current_time() == 5.0
        await client.close()


@pytest.mark.parametrize("how", ["close frame", "end"])
async def test_what_is_held_back_comes_before_the_end(autojump_clock: trio.testing.MockClock, how: str) -> None:
    async with front() as kit:
        client = await kit.subscribed()
        kit.faults.reorder(1.0)
        await kit.server.publish(trade())
        await trio.testing.wait_all_tasks_blocked()
        if how == "close frame":
            await client.stream.send_all(b"\x88\x80\x00\x00\x00\x00")
        else:
            await client.stream.send_eof()
        assert (await client.message())["seq"] == 1
        assert (await client.frame())[0] in (8, -1)


async def test_one_kind_does_not_change_where_another_strikes(autojump_clock: trio.testing.MockClock) -> None:
    async def doubled(*, more: bool, connection: int = 1, seed: int = 5) -> list[int]:
        async with front(seed=seed) as kit:
            clients = [await kit.client() for _ in range(connection - 1)]
            client = await kit.subscribed()
            kit.faults.duplicate(0.2)
            if more:
                kit.faults.corrupt(0.3)
            found = await received(client, kit)
            places = [n for n in range(len(found) - 1) if found[n] == found[n + 1]]
            for one in (*clients, client):
                await one.stream.aclose()
            return places

    places = await doubled(more=False)
    assert await doubled(more=True) == places
    assert await doubled(more=False) == places
    assert await doubled(more=False, connection=2) != places
    assert await doubled(more=False, seed=6) != places


async def test_messages_of_every_size_survive_damage(autojump_clock: trio.testing.MockClock) -> None:
    """Heads stay sound: the client finds each next frame."""
    async with front() as kit:
        client = await kit.client()
        symbols = [f"S{n}" for n in range(8_000)]
        with kit.faults.corrupt(1.0) as fault:
            for some in (symbols, symbols[:50], symbols[:1]):
                await client.send(action="subscribe", channels=["trades"], symbols=some)
                opcode, payload = await client.frame()
                assert opcode == 1
                assert len(payload) > 7 * len(some)
        assert fault.hits == 3
        await client.close()
