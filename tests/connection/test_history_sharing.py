"""What streams of stored data share over all connections: their number, and the turns that they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence

import pytest
import trio
from connection.kit import BASE
from connection.stored import HistoryPeer, Stored, history_client, trades
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import OutboxLimits, ServerConfig
from datafye_trio.model import Event
from datafye_trio.sources import HistoryQuery


async def test_so_many_streams_at_once_on_the_whole_server(autojump_clock: MockClock) -> None:
    async with history_client(Stored(trades(2)), config=ServerConfig(max_streams=2)) as peer:
        other = await HistoryPeer.connect(peer.server, f"{BASE}/stocks/history")
        await other.message()
        await peer.start(id="a", window=1)
        await peer.start(id="b", window=1)
        await peer.messages(4)
        await other.start(id="c")
        refusal = await other.message()
        assert (refusal["code"], refusal["retryable"], refusal["id"]) == ("RATE_LIMITED", True, "c")
        assert "2 of 2 streams (max_streams) run on this server, 0 of them here" in refusal["message"]
        await peer.close()
        await wait_all_tasks_blocked()
        assert peer.server._broker.streams == 0
        assert (await other.whole(id="c"))[-1]["count"] == 2


async def test_a_few_connections_cannot_take_all_streams(autojump_clock: MockClock) -> None:
    """Whoever has some must find as many free: see `may_take`."""
    async with history_client(Stored(trades(2)), config=ServerConfig(max_streams=10)) as peer:
        peers = [peer]
        for _ in range(2):
            peers.append(await HistoryPeer.connect(peer.server, f"{BASE}/stocks/history"))
            await peers[-1].message()
        run = Counter[int]()
        for number, greedy in enumerate(peers[:2]):
            for name in range(10):
                await greedy.start(id=name, window=1)
                message = await greedy.message()
                if message["type"] == "error":
                    assert (message["code"], message["retryable"]) == ("RATE_LIMITED", True)
                else:
                    await greedy.message()
                    run[number] += 1
        assert run == {0: 6, 1: 3}
        assert (await peers[2].whole(id="c"))[-1]["count"] == 2


class Busy(Stored):
    """Stored data in which nothing is ever found: nothing holds its streams up but their turns."""

    def __init__(self, streams: int) -> None:
        super().__init__(trades(0))
        self.steps = 0
        self.all_read = trio.Event()
        self._streams = streams

    def read(self, query: HistoryQuery) -> Generator[Sequence[Event]]:
        self.open += 1
        if self.open == self._streams:
            self.all_read.set()
        while True:
            self.steps += 1
            yield []


async def test_streams_take_turns_so_that_others_wait_for_one_step_however_many_there_are(
    autojump_clock: MockClock,
) -> None:
    source = Busy(20)
    async with history_client(source) as peer:
        for name in range(20):
            await peer.start(id=name)
        await source.all_read.wait()
        before = source.steps
        for _ in range(200):
            await trio.lowlevel.checkpoint()
        assert 50 < source.steps - before < 250
        await peer.send(action="stop")
        assert {message["type"] for message in await peer.messages(40)} == {"stream_start", "stream_end"}


@pytest.mark.unmeasured
async def test_streams_of_a_client_that_does_not_read_fill_its_outbox_no_further_than_one_would(
    autojump_clock: MockClock,
) -> None:
    config = ServerConfig(outbox=OutboxLimits(messages=2_048))
    async with history_client(Stored(trades(3_000), size=512), config=config) as peer:
        for name in range(20):
            await peer.start(id=name)
        await wait_all_tasks_blocked()  # nothing is read: each has found all the room that there is
        assert 0 < peer.server._broker.budget.used < 400_000
        found = [await peer.message() for _ in range(20 * 3_002)]
        assert sum(message["type"] == "stream_end" and message["count"] == 3_000 for message in found) == 20
