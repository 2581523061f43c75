"""The scribe: frames as entries, and messages in parts."""

from __future__ import annotations

import struct

from support import masked

from datafye_trio.testing import Log
from datafye_trio.testing.framing import FrameSplitter
from datafye_trio.testing.scribe import Request, Scribe
from datafye_trio.wire import Opcode, frame


def written(raw: bytes) -> tuple[list[tuple[str, bytes]], list[bytes]]:
    """What stands in the log of these frames, and the messages that were put together."""
    log = Log()
    scribe = Scribe(1, Request("/x"), log)
    whole = [scribe.frame("in", one) for one in FrameSplitter(10**8).feed(raw)]
    return [(one.kind, one.payload) for one in log], [one.payload for one in whole if one is not None]


async def test_each_kind_of_frame() -> None:
    raw = masked(1, b"a") + masked(2, b"b") + masked(9, b"c") + masked(10, b"d") + b"\xff\xffe"
    assert written(raw) == (
        [("text", b"a"), ("binary", b"b"), ("ping", b"c"), ("pong", b"d"), ("raw", b"\xff\xffe")],
        [],
    )


async def test_a_message_in_parts_stands_whole_in_place_of_its_last() -> None:
    raw = (
        masked(1, b"he", fin=False) + masked(9, b"!") + masked(0, b"ll", fin=False) + masked(0, b"o") + masked(1, b"x")
    )
    assert written(raw) == (
        [("part", b"he"), ("ping", b"!"), ("part", b"ll"), ("text", b"hello"), ("text", b"x")],
        [b"hello"],
    )


async def test_parts_that_belong_to_nothing() -> None:
    raw = masked(0, b"lost") + masked(1, b"begun", fin=False) + masked(2, b"other", fin=False) + masked(0, b"s")
    entries, whole = written(raw)
    assert entries == [("part", b"lost"), ("part", b"begun"), ("part", b"other"), ("binary", b"others")]
    assert whole == [b"others"]


async def test_parts_without_end_are_not_kept() -> None:
    part = frame(Opcode.CONTINUATION, bytes(1_000_000))
    part = bytes([part[0] & 0x7F]) + part[1:]
    entries, whole = written(masked(1, b"", fin=False) + part * 20 + masked(0, b""))
    assert len(entries) == 22
    assert {kind for kind, _ in entries} == {"part"}
    assert whole == []


async def test_a_close_has_a_code_and_a_reason() -> None:
    log = Log()
    scribe = Scribe(3, Request(), log)
    payloads = [struct.pack("!H", 4009) + "nö".encode(), b"", b"\x03", struct.pack("!H", 1000) + b"\xff"]
    for one in FrameSplitter(1_000).feed(b"".join(masked(8, payload) for payload in payloads)):
        assert scribe.frame("in", one) is None
    assert [(one.connection, one.code, one.reason) for one in log] == [
        (3, 4009, "nö"), (3, None, ""), (3, None, ""), (3, 1000, "\ufffd")
    ]  # fmt: skip


async def test_the_path_stands_where_something_was_asked_for() -> None:
    log = Log()
    scribe = Scribe(1, Request("/x?a=b", upgrade=True), log)
    for kind in ("open", "refused", "http", "fault", "gone"):
        scribe.note(kind)  # type: ignore[arg-type]
    assert [one.path for one in log] == ["/x?a=b"] * 3 + ["", ""]
