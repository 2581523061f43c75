"""The peeler: any split of the bytes gives the same messages, in order, and nothing that is not plain is touched."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.wire.frames import Opcode, close_frame, frame
from datafye_trio.wire.peeling import Payloads, Peeler

LIMIT = 16 * 2**20
PING = frame(Opcode.PING, b"p")


def fragment(opcode: int, payload: bytes, *, fin: bool = False) -> bytes:
    """Any first byte, and a length in the shortest form."""
    return bytes(((0x80 if fin else 0) | opcode,)) + frame(Opcode.TEXT, payload)[1:]


def fed(chunks: list[bytes], limit: int = LIMIT) -> tuple[Payloads, bytes, Peeler]:
    peeler = Peeler(limit)
    payloads: Payloads = []
    slow = b""
    for chunk in chunks:
        more, other = peeler.feed(chunk)
        payloads += more
        slow += other
    assert peeler.marks == payloads.count(None)
    return payloads, slow, peeler


SIZES = (0, 1, 3, 125, 126, 200, 65_535, 65_536)


@pytest.mark.parametrize("limit", [LIMIT, 65_536 - 1, 200])
def test_data_is_peeled_up_to_the_limit(limit: int) -> None:
    wanted = [os.urandom(size) for size in SIZES if size <= limit]
    sent = [frame(Opcode.TEXT if n % 2 else Opcode.BINARY, payload) for n, payload in enumerate(wanted)]
    payloads, slow, peeler = fed([b"".join(sent)], limit)
    assert (payloads, slow, peeler.over, peeler.amid) == (wanted, b"", False, False)


def test_ten_thousand_frames_in_one_packet() -> None:
    payloads, slow, _ = fed([frame(Opcode.TEXT, b'{"seq":1}') * 10_000])
    assert payloads == [b'{"seq":1}'] * 10_000
    assert slow == b""


def test_what_is_not_plain_goes_on_byte_for_byte_in_its_place() -> None:
    message = fragment(1, b"ab") + PING + fragment(0, b"") + fragment(0, b"cd", fin=True)
    sent = frame(Opcode.TEXT, b"1") + message + frame(Opcode.TEXT, b"2") + frame(Opcode.PONG, b"q")
    payloads, slow, peeler = fed([sent])
    assert payloads == [b"1", None, b"2"]
    assert slow == message + frame(Opcode.PONG, b"q")
    assert peeler.pongs == [b"q"]


def test_a_fragment_goes_on_as_it_comes() -> None:
    """The slow lane may have it at once: only heads and control frames are held until they are whole."""
    peeler = Peeler(LIMIT)
    assert peeler.feed(fragment(1, b"x" * 1000)[:500]) == ([], fragment(1, b"x" * 1000)[:500])
    assert peeler.amid
    assert peeler.feed(b"x" * 504) == ([], b"x" * 504)
    assert peeler.feed(fragment(0, b"y", fin=True)) == ([None], fragment(0, b"y", fin=True))
    assert not peeler.amid


def test_after_a_close_frame_nothing_counts() -> None:
    goodbye = close_frame(4501, "enough")
    payloads, slow, peeler = fed([frame(Opcode.TEXT, b"1") + goodbye + frame(Opcode.TEXT, b"2"), PING])
    assert (payloads, slow) == ([b"1"], goodbye)
    assert peeler.peer_closed
    assert peeler.over


def test_pings_are_dropped_while_leaving() -> None:
    peeler = Peeler(LIMIT)
    peeler.leaving = True
    assert peeler.feed(PING + frame(Opcode.PONG, b"")) == ([], frame(Opcode.PONG, b""))
    assert peeler.feed(close_frame(1000, "")) == ([], close_frame(1000, ""))


NOT_ALLOWED = {
    "masked": b"\x81\x81\0\0\0\0x",
    "masked long": b"\x81\xfe\x01\0",
    "reserved bit": b"\xc1\x01x",
    "reserved bit of a ping": b"\xd9\x00",
    "unknown data": b"\x83\x01x",
    "unknown control": b"\x8b\x00",
    "ping in fragments": b"\x09\x00",
    "long ping": b"\x89\x7e\x00\x7e",
    "length too long by two": b"\x81\x7e\x00\x7d",
    "length too long by eight": b"\x81\x7f" + struct.pack("!Q", 65_535),
    "nothing to continue": b"\x80\x01x",
    "nothing to continue yet": b"\x00\x01x",
}


@pytest.mark.parametrize("name", NOT_ALLOWED)
@pytest.mark.parametrize("cut", [False, True])
def test_after_a_frame_that_is_not_allowed_all_goes_on(name: str, cut: bool) -> None:
    rest = NOT_ALLOWED[name] + frame(Opcode.TEXT, b"2") + close_frame(1000, "")
    sent = frame(Opcode.TEXT, b"1") + rest
    payloads, slow, peeler = fed([sent[n : n + 1] for n in range(len(sent))] if cut else [sent, b""])
    assert (payloads, slow) == ([b"1"], rest)
    assert peeler.over
    assert not peeler.peer_closed


def test_a_new_message_amid_fragments_is_not_allowed() -> None:
    rest = fragment(1, b"a") + frame(Opcode.TEXT, b"2") + fragment(0, b"", fin=True)
    payloads, slow, peeler = fed([rest])
    assert (payloads, slow, peeler.over) == ([], rest, True)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x81\x7f" + struct.pack("!Q", 2**40), f"a message may have {LIMIT} bytes, not {2**40}"),
        (b"\x01\x7f" + struct.pack("!Q", 2**40), f"a message may have {LIMIT} bytes, not {2**40}"),
        (
            fragment(2, b"x" * 100) + b"\x00\x7f" + struct.pack("!Q", LIMIT),
            f"may have {LIMIT} bytes, not {LIMIT + 100}",
        ),
        (fragment(1, b"") + fragment(0, b"") * 16_384, "a message may have 16384 fragments"),
    ],
)
def test_what_is_too_big_is_refused_by_its_head(sent: bytes, reason: str) -> None:
    payloads, slow, peeler = fed([frame(Opcode.TEXT, b"1") + sent, frame(Opcode.TEXT, b"2")])
    assert payloads == [b"1"]
    assert sent.startswith(slow)
    assert peeler.verdict is not None
    assert reason in peeler.verdict.reason


def test_the_size_of_a_message_starts_anew_with_each() -> None:
    message = fragment(1, b"x" * 60) + fragment(0, b"x" * 40, fin=True)
    payloads, _, peeler = fed([message * 3 + frame(Opcode.TEXT, b"y" * 100)], 100)
    assert payloads == [None, None, None, b"y" * 100]
    assert not peeler.over


def bursts() -> st.SearchStrategy[list[bytes]]:
    """Frames of a server that may be sound or not; sizes around the borders of the length forms."""
    payload = st.one_of(st.binary(max_size=6), st.sampled_from([b"x" * size for size in (125, 126, 300)]))

    def plain(made: bytes) -> bytes:
        return frame(Opcode.TEXT, made)

    def split(made: tuple[bytes, bytes, bool]) -> bytes:
        return fragment(2, made[0]) + (PING if made[2] else b"") + fragment(0, made[1], fin=True)

    return st.lists(
        st.one_of(
            payload.map(plain),
            payload.map(plain),
            st.tuples(payload, payload, st.booleans()).map(split),
            st.binary(max_size=3).map(lambda made: frame(Opcode.PONG, made)),
            st.sampled_from([*NOT_ALLOWED.values(), fragment(1, b"open"), close_frame(1000, "bye")]),
        ),
        max_size=12,
    )


@pytest.mark.unmeasured
@given(bursts(), st.lists(st.integers(0, 1500), max_size=12))
def test_any_split_gives_the_same(frames: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(frames)
    at = sorted({cut for cut in cuts if cut < len(sent)})
    chunks = [sent[start:stop] for start, stop in zip([0, *at], [*at, len(sent)], strict=True)]
    whole, slow, peeler = fed([sent])
    for split in (chunks, [sent[n : n + 1] for n in range(len(sent))]):
        found = fed(split)
        assert found[:2] == (whole, slow)
        assert found[2].over == peeler.over
        assert found[2].pongs == peeler.pongs


@given(st.binary(max_size=200), st.integers(1, 20))
def test_garbage_is_never_an_exception(garbage: bytes, step: int) -> None:
    payloads, slow, peeler = fed([garbage[n : n + step] for n in range(0, len(garbage), step)])
    assert sum(len(payload) for payload in payloads if payload is not None) + len(slow) <= len(garbage)
    assert peeler.over or peeler.amid or not garbage or payloads or slow


def _steps(feed: Callable[[bytes], object], sent: bytes, size: int) -> int:
    count = 0
    for start in range(0, len(sent), size):
        feed(sent[start : start + size])
        count += 1
    return count


def test_a_big_frame_in_small_reads_is_held_once() -> None:
    """Linear: held bytes are added to, never copied before the frame is whole."""
    payload = os.urandom(2**20)
    sent = frame(Opcode.BINARY, payload)
    peeler = Peeler(LIMIT)
    assert _steps(peeler.feed, sent[:-1], 1024) == 1025
    assert peeler.feed(sent[-1:]) == ([payload], b"")
