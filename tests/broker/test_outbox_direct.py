"""The way past the writer: only where nothing waits, and the writer is woken for what is left."""

from __future__ import annotations

from broker.outboxes import Probe, answer, data

from datafye_trio.broker import Chunk
from datafye_trio.broker.latest import LatestBatch


class Socket:
    """Takes what it is told to take."""

    def __init__(self, probe: Probe) -> None:
        self.answer: int | None = 0
        self.taken: list[bytes] = []
        probe.outbox.direct = self._write

    def _write(self, data: bytes) -> int | None:
        if self.answer is not None:
            self.taken.append(data)
        return self.answer


async def test_where_nothing_waits_a_chunk_goes_out_at_once() -> None:
    probe = Probe()
    socket = Socket(probe)
    probe.put(data(1, 3), answer(), data(4))
    assert socket.taken == [b"x" * 10, b"a" * 10, b"x" * 10]
    assert not probe.outbox.pending()
    assert (probe.outbox.sent, probe.budget.used) == (4, 0)


async def test_what_the_socket_does_not_take_waits_and_so_does_all_behind_it() -> None:
    probe = Probe()
    socket = Socket(probe)
    socket.answer = None
    first, second = data(1, 3), data(4)
    probe.put(first)
    socket.answer = 0
    probe.put(second)
    assert socket.taken == []
    assert probe.outbox.sent == 0
    assert probe.drain() == [first, second]
    probe.put(data(5))
    assert len(socket.taken) == 1


async def test_the_writer_is_woken_for_what_is_left() -> None:
    probe = Probe()
    socket = Socket(probe)
    socket.answer = 4
    probe.put(data(1, 3), later := data(4))
    assert socket.taken == [b"x" * 10]
    assert (probe.outbox.sent, probe.budget.used) == (3, 4 + 10)
    woken = await probe.outbox.next()
    assert (woken.data, woken.messages) == (b"", 0)
    assert probe.drain() == [later]


async def test_a_heartbeat_that_waits_goes_out_before_what_comes_behind_it() -> None:
    probe = Probe()
    socket = Socket(probe)
    probe.outbox.express(lambda: b"beat")
    chunk = data(1)
    probe.put(chunk)
    assert socket.taken == []
    assert probe.outbox.take_express() == [b"beat"]
    assert probe.drain()[-1] == chunk


async def test_what_stands_in_place_of_dropped_chunks_goes_out_before_what_comes_behind_it() -> None:
    probe = Probe(messages=2, policy="drop_oldest")
    socket = Socket(probe)
    socket.answer = None
    probe.put(data(1), data(2), data(3))
    probe.outbox.next_nowait()
    probe.outbox.next_nowait()
    socket.answer = 0
    probe.put(data(4))
    assert socket.taken == []


async def test_a_marker_of_conflated_topics_is_the_writers() -> None:
    probe = Probe()
    socket = Socket(probe)
    probe.put(marker := Chunk(b"", latest=LatestBatch()))
    assert socket.taken == []
    assert probe.drain() == [marker]


async def test_closed_or_sealed_it_writes_nothing() -> None:
    for end in ("close", "seal"):
        probe = Probe()
        socket = Socket(probe)
        getattr(probe.outbox, end)()
        probe.put(data(1))
        assert socket.taken == []
