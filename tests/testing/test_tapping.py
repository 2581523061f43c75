"""The tap: what is logged of a connection, and what passes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from support import RawClient, masked, trade, upgrade_head
from testing.kit import front, rest

from datafye_trio.testing import Conditions, Entry, Log
from datafye_trio.testing.dialect import Answer, Dialect
from datafye_trio.testing.framing import Frame, FrameSplitter
from datafye_trio.testing.lanes import Lane
from datafye_trio.testing.links import Link
from datafye_trio.testing.scribe import Request, Scribe
from datafye_trio.testing.tapping import ConnectionTap
from datafye_trio.wire import Opcode, close_frame, frame, memory_transport


async def test_what_passes_is_logged_with_its_times(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        await trio.sleep(1)
        client = await kit.subscribed("AAPL")
        await trio.sleep(2)
        await kit.server.publish(trade())
        assert (await client.message())["type"] == "trade"
        await client.close()
        await trio.testing.wait_all_tasks_blocked()
        seen = [(entry.time, entry.direction, entry.kind) for entry in kit.log]
        assert seen == [
            (1.0, "in", "open"),
            (1.0, "out", "text"),
            (1.0, "in", "text"),
            (1.0, "out", "text"),
            (3.0, "out", "text"),
            (3.0, "in", "close"),
            (3.0, "out", "close"),
            (3.0, "out", "gone"),
        ]
        names = [message.get("type", message.get("action")) for message in kit.log.messages()]
        assert names == ["connected", "subscribe", "subscribed", "trade"]


async def test_plain_http_passes_and_is_logged(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = RawClient(kit.connect())
        await client.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client.http_answer())[0] == 200
        refused = RawClient(kit.connect())
        await refused.stream.send_all(upgrade_head("/nowhere"))
        assert (await refused.http_answer())[0] == 404
        kinds = [(entry.kind, entry.path, entry.code) for entry in kit.log if entry.kind != "gone"]
        assert kinds == [("http", "/health", 200), ("refused", "/nowhere", 404)]


class Fake:
    """The faults of a tap that stands alone: none, but for what is held."""

    def __init__(self) -> None:
        self.held: list[Frame] = []
        self.cut = False

    def attach(self, tap: ConnectionTap) -> None: ...

    def detach(self) -> None: ...

    def change(self, found: Frame) -> Sequence[Frame]:
        return [found]

    def release(self) -> Sequence[Frame]:
        held, self.held = self.held, []
        return held

    def cuts_within(self) -> bool:
        return self.cut


class Bench:
    """A tap without a proxy: its link's lane does not run, and shows what is put in."""

    def __init__(self, *, opened: bool = True, dialect: Dialect | None = None) -> None:
        self.log, self.faults = Log(), Fake()
        self.lane = Lane(Conditions(held=True), random.Random(0), None)
        self.cuts = 0
        self.tap = ConnectionTap(Scribe(1, Request("/x", upgrade=True), self.log), self.faults, dialect)
        self.link = Link(1, (self.lane, self.lane), cut=self.cut, flowing=lambda: True, passed=lambda *_: None)
        self.tap.attach(self.link)
        self.tap.from_client(upgrade_head())
        if opened:
            assert b"".join(self.tap.from_server(ANSWER)) == ANSWER

    def cut(self, *_: object) -> None:
        self.cuts += 1

    def passed(self, data: bytes) -> bytes:
        return b"".join(self.tap.from_server(data))

    async def injected(self) -> bytes:
        """What was put into the lane beside what the tap returned."""
        near, far = memory_transport()
        self.lane.conditions = Conditions()
        with trio.move_on_after(0.1):
            await self.lane.run(near, lambda: True, lambda _: None)
        near.close()
        return await rest(far)


ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
TEXT = frame(Opcode.TEXT, b"{}")
LARGE = b"\x82\x7f" + (17 * 1024 * 1024).to_bytes(8)


def made(payload: bytes) -> Frame:
    return Frame(Opcode.TEXT, True, payload, frame(Opcode.TEXT, payload))


async def test_what_is_put_in_waits_for_the_handshake(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(opened=False)
    bench.tap.inject(made(b"first"))
    assert bench.passed(ANSWER[:20]) == ANSWER[:20]
    assert bench.passed(ANSWER[20:] + TEXT) == ANSWER[20:] + made(b"first").raw + TEXT
    assert await bench.injected() == b""


async def test_what_is_put_in_comes_between_frames(autojump_clock: trio.testing.MockClock) -> None:
    """Half a frame is held here, so that it is whole; one that is too large passes, and what is put in waits for it."""
    bench = Bench()
    assert bench.passed(TEXT[:2]) == b""
    bench.tap.inject(made(b"before"))
    assert await bench.injected() == made(b"before").raw
    assert bench.passed(TEXT[2:] + LARGE + bytes(10)) == TEXT + LARGE + bytes(10)
    bench.tap.inject(made(b"after"))
    piece = bytes(1024 * 1024)
    for _ in range(16):
        assert bench.passed(piece) == piece
    assert bench.passed(piece[10:] + TEXT) == piece[10:] + made(b"after").raw + TEXT


async def test_a_close_during_a_large_frame_waits_for_its_end(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    assert bench.passed(LARGE) == LARGE
    bench.tap.close(4000, "enough")
    piece = bytes(17 * 1024 * 1024)
    assert bench.passed(piece + TEXT) == piece + close_frame(4000, "enough")
    assert bench.passed(TEXT + b"half") == b""
    assert bench.passed(b"") == b""


async def test_what_finds_no_place_drops_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(opened=False)
    for n in range(100):
        bench.tap.inject(made(b"%d" % n))
    assert bench.cuts == 0
    bench.tap.inject(made(b"one too many"))
    assert bench.cuts == 1
    assert bench.log.entries()[-1].reason == "dropped: the client does not read"
    assert len(bench.log.entries("text")) == 100


async def test_a_lane_that_is_full_drops_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    for _ in range(17):
        bench.tap.inject(made(bytes(64_000)))
    assert bench.cuts == 0
    bench.tap.inject(made(bytes(64_000)))
    assert bench.cuts == 1


@pytest.mark.parametrize("order", ["close", "release"])
async def test_who_listens_to_the_log_acts_behind_the_frame(autojump_clock: trio.testing.MockClock, order: str) -> None:
    """It hears of a frame before that is on its way: what it orders comes after it all the same."""
    bench = Bench()

    def listen(entry: Entry) -> None:
        if entry.payload == b"{}":
            bench.log.listeners.clear()
            bench.faults.held = [made(b"held")]
            if order == "close":
                bench.tap.close(4001, "")
            else:
                bench.tap.release()

    bench.log.listeners.append(listen)
    last = close_frame(4001, "") if order == "close" else made(b"next").raw
    assert bench.passed(TEXT + made(b"next").raw) == TEXT + made(b"held").raw + last
    assert [entry.payload for entry in bench.log.entries("text")][:2] == [b"{}", b"held"]


async def test_within_a_frame_is_its_middle(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    bench.faults.cut = True
    assert bench.passed(frame(Opcode.PING, b"") + TEXT + TEXT) == frame(Opcode.PING, b"") + TEXT[:2]
    assert bench.lane.limit == 4
    assert bench.passed(TEXT) == b""
    assert len(bench.log.entries("text")) == 1


@pytest.mark.parametrize("head", [b"x" * 70_000, b"HTTP/1.1 101", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 nan x\r\n\r\n"])
async def test_an_answer_that_is_none_passes(autojump_clock: trio.testing.MockClock, head: bytes) -> None:
    bench = Bench(opened=False)
    assert bench.passed(head) == head
    assert bench.passed(b"") == b""
    assert bench.passed(TEXT) == TEXT
    assert not bench.tap.opened


async def test_the_rest_of_a_frame_passes_at_the_end(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    bench.faults.held = [made(b"held")]
    assert bench.passed(TEXT[:3]) == b""
    assert bench.passed(b"") == made(b"held").raw + TEXT[:3]
    assert bench.tap.from_client(masked(1, b"x")[:4]) == []
    assert b"".join(bench.tap.from_client(b"")) == masked(1, b"x")[:4]


async def test_a_server_without_ids_has_none(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    for payload in (b"hello", b'{"connectionId": "c9"}'):
        bench.passed(frame(Opcode.TEXT, payload))
        assert bench.tap.name == "?"


class Shouting(Dialect):
    """Makes requests louder, and lets no answer pass but one."""

    def from_client(self, payload: bytes) -> bytes:
        return payload.upper()

    def from_server(self, payload: bytes) -> bytes | None:
        return payload if payload == b"yes" else None


@pytest.mark.parametrize("sent", [masked(1, b"hello"), masked(1, b"he", fin=False) + masked(0, b"llo")])
async def test_a_dialect_may_change_what_passes_and_keep_it_back(
    autojump_clock: trio.testing.MockClock, sent: bytes
) -> None:
    """The server gets what the dialect says, as one frame; the log of what came in has what came in."""
    bench = Bench(dialect=Shouting("/datafye-ws/v1/stocks/live/quotes"))
    passed = b"".join(bench.tap.from_client(sent + masked(2, b"bytes")))
    assert [one.payload for one in FrameSplitter(1_000).feed(passed)] == [b"HELLO", b"bytes"]
    assert bench.log.entries(direction="in")[-2].payload == b"hello"
    yes = frame(Opcode.TEXT, b"yes")
    assert bench.passed(frame(Opcode.TEXT, b"no") + yes + frame(Opcode.TEXT, b"perhaps")) == yes
    assert [entry.payload for entry in bench.log.entries("text", direction="out")] == [b"yes"]


class Refusing(Dialect):
    """Answers each request by itself."""

    def from_client(self, payload: bytes) -> Answer:
        return Answer(b"no")


@pytest.mark.parametrize("opened", [False, True])
async def test_a_dialects_answer_does_not_come_before_the_greeting(
    autojump_clock: trio.testing.MockClock, opened: bool
) -> None:
    """A client that asks as soon as it may is as fast as the server's first frame."""
    bench = Bench(opened=opened, dialect=Refusing("/datafye-ws/v1/stocks/live/quotes"))
    assert b"".join(bench.tap.from_client(masked(1, b"first"))) == b""
    if not opened:
        assert bench.passed(ANSWER) == ANSWER
    greeting = frame(Opcode.TEXT, b'{"type":"connected","connectionId":"c1"}')
    passed = FrameSplitter(1_000).feed(bench.passed(greeting))
    assert [one.payload for one in passed] == [b'{"type":"connected"}', b"no"]
    bench.tap.from_client(masked(1, b"second"))
    assert await bench.injected() == frame(Opcode.TEXT, b"no")


@pytest.mark.unmeasured
@given(
    st.lists(st.sampled_from([TEXT, LARGE, frame(Opcode.PING, b"x"), b"\xff\xff", close_frame(1000, "")]), max_size=6),
    st.lists(st.integers(0, 100), max_size=8),
)
@settings(max_examples=60)
def test_without_faults_it_passes_every_byte_however_they_come(frames: list[bytes], cuts: list[int]) -> None:
    async def main() -> None:
        bench = Bench(opened=False)
        data = ANSWER + b"".join(frames)
        places = [0, *sorted(cut for cut in set(cuts) if cut < len(data)), len(data)]
        pieces = [data[a:b] for a, b in itertools.pairwise(places)]
        assert b"".join(bench.passed(piece) for piece in [*pieces, b""]) == data
        sent = b"".join(frames)
        assert b"".join(b"".join(bench.tap.from_client(part)) for part in [sent[:3], sent[3:], b""]) == sent

    trio.run(main)
