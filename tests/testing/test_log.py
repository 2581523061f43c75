"""The log: what it keeps, how it reads, and how one waits for it."""

from __future__ import annotations

import re
import struct
from typing import Any

import msgpack
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.testing import Entry, Log
from datafye_trio.testing.log import decode


def entry(kind: Any = "text", payload: bytes = b"{}", *, connection: int = 1, **fields: Any) -> Entry:
    return Entry(connection, fields.pop("time", 0.0), fields.pop("direction", "out"), kind, payload, **fields)


def test_a_message_is_decoded_when_asked_for() -> None:
    assert entry(payload=b'{"type":"quote"}').message == {"type": "quote"}
    assert entry("binary", msgpack.packb({"type": "quote"})).message == {"type": "quote"}
    assert entry("ping", b"{}").message is None
    once = entry(payload=b'{"a":1}')
    assert once.message is once.message


@given(st.sampled_from([1, 2]), st.binary(max_size=60))
def test_any_payload_is_a_dict_or_none(opcode: int, payload: bytes) -> None:
    assert isinstance(decode(opcode, payload), dict | None)


@pytest.mark.parametrize("payload", [b"[1]", b"3", b"{", b"", b"\xff", b"[" * 100_000, b'{"a":' * 5_000])
def test_what_is_no_dict_is_none(payload: bytes) -> None:
    assert decode(1, payload) is None


async def test_it_is_bounded_in_entries_and_in_bytes() -> None:
    log = Log(entries=3, payload_bytes=10)
    for n in range(5):
        log.add(entry(payload=b"%d" % n))
    assert [one.payload for one in log] == [b"2", b"3", b"4"]
    assert (len(log), log.forgotten) == (3, 2)
    log.add(entry(payload=b"123456789"))
    assert [one.payload for one in log] == [b"4", b"123456789"]
    log.add(entry(payload=bytes(1_000)))
    assert [len(one.payload) for one in log] == [1_000]
    assert log.forgotten == 6
    assert str(log).startswith("(6 older entries are forgotten)\n")


async def test_it_can_be_asked() -> None:
    log = Log()
    log.add(entry("open", b"", path="/x", direction="in"))
    log.add(entry(payload=b'{"action":"subscribe"}', direction="in"))
    log.add(entry(payload=b'{"type":"subscribed"}', connection=2))
    log.add(entry(payload=b"no json"))
    assert log.messages("subscribe") == [{"action": "subscribe"}]
    assert log.messages("subscribed") == [{"type": "subscribed"}]
    assert log.messages(connection=2) == log.messages(direction="out") == [{"type": "subscribed"}]
    assert len(log.messages()) == 2
    assert [one.path for one in log.entries("open")] == ["/x"]
    assert len(log.entries(connection=1)) == 3
    assert len(log.entries(direction="in")) == 2


async def test_it_reads_like_a_log() -> None:
    log = Log()
    assert log.tail() == str(log) == "(nothing: no client has come)"
    log.add(entry("open", b"", path="/datafye-ws/v1", direction="in", time=1.5))
    log.add(entry(payload=b'{"type":"quote"}', time=12.3456))
    log.add(entry("binary", msgpack.packb({"type": "quote"}), time=13))
    log.add(entry("raw", b"\xff\x00"))
    log.add(entry("close", struct.pack("!H", 4008), code=4008, reason="slow consumer"))
    log.add(entry(payload=b"x" * 1_000))
    lines = str(log).splitlines()
    assert lines[:5] == [
        "     1.500 #1 -> open /datafye-ws/v1",
        '    12.346 #1 <- text {"type":"quote"}',
        "    13.000 #1 <- binary {'type': 'quote'}",
        "     0.000 #1 <- raw \\xff\x00",
        "     0.000 #1 <- close 4008 slow consumer",
    ]
    assert lines[5].endswith(f"{'x' * 200}... (1000 bytes)")
    assert log.tail(1) == lines[5]


async def test_the_dump_has_no_order_between_what_happens_at_once() -> None:
    """But each direction of a connection keeps its own."""
    one, other = Log(), Log()
    came, went = entry(payload=b"1", direction="in"), entry(payload=b"2")
    second, elsewhere = entry(payload=b"0"), entry(connection=2, payload=b"3")
    for each in (came, went, second, elsewhere):
        one.add(each)
    for each in (elsewhere, went, came, second):
        other.add(each)
    assert one.dump() == other.dump()
    assert one.dump().splitlines() == [
        b"1 0.000000000 in text '' - '' b'1'",
        b"1 0.000000000 out text '' - '' b'2'",
        b"1 0.000000000 out text '' - '' b'0'",
        b"2 0.000000000 out text '' - '' b'3'",
    ]
    other.add(second)
    assert one.dump() != other.dump()


async def test_listeners_hear_each_entry() -> None:
    log, heard = Log(), list[Entry]()

    def once(heard_one: Entry) -> None:
        heard.append(heard_one)
        log.listeners.remove(once)

    log.listeners += [once, heard.append]
    log.add(entry(payload=b"1"))
    log.add(entry(payload=b"2"))
    assert [one.payload for one in heard] == [b"1", b"1", b"2"]


async def test_one_can_wait_for_it(autojump_clock: trio.testing.MockClock) -> None:
    log = Log()

    async def later() -> None:
        await trio.sleep(3)
        log.add(entry(payload=b"other"))
        log.add(entry(payload=b"wanted"))

    def wanted(log: Log) -> list[Entry]:
        return [one for one in log if one.payload == b"wanted"]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        found = await log.wait_for(wanted)
    assert (trio.current_time(), found[0].payload) == (3.0, b"wanted")
    assert await log.wait_for(len, timeout=0.001) == 2
    with pytest.raises(AssertionError, match=re.escape("within 0.5 s. The log:\n")) as caught:
        await log.wait_for(lambda _: None, timeout=0.5)
    assert "wanted" in str(caught.value)
    assert trio.current_time() == 3.5


async def test_times_are_since_it_began(autojump_clock: trio.testing.MockClock) -> None:
    await trio.sleep(5)
    log = Log()
    await trio.sleep(2)
    assert log.now() == 2.0
