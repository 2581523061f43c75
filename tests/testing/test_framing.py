"""The splitter: the same frames however the bytes were cut, and nothing lost of what is no frame."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import masked

from datafye_trio.testing.framing import RAW, Frame, FrameSplitter, masked_frame, remade
from datafye_trio.wire import Opcode, close_frame, frame


def split(data: bytes, cuts: list[int], most: int = 1_000) -> tuple[list[Frame], FrameSplitter]:
    """The frames of these bytes, fed in pieces."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    splitter = FrameSplitter(most)
    return [one for a, b in itertools.pairwise(places) for one in splitter.feed(data[a:b])], splitter


def joined(frames: list[Frame]) -> list[tuple[int, bytes]]:
    """The frames, with neighbouring pieces of what is none as one."""
    groups = itertools.groupby(frames, lambda one: one.opcode == RAW)
    found: list[tuple[int, bytes]] = []
    for raw, some in groups:
        found += [(RAW, b"".join(one.raw for one in some))] if raw else [(one.opcode, one.payload) for one in some]
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_frames_of_every_length_of_both_directions(size: int, opcode: Opcode) -> None:
    payload = bytes(i % 251 for i in range(size))
    for raw in (frame(opcode, payload), masked(opcode, payload)):
        frames, splitter = split(raw * 2, [1, 5, len(raw) + 3], most=100_000)
        assert frames == [Frame(opcode, True, payload, raw)] * 2
        assert splitter.between
        assert frames[0].is_data


def test_parts_and_control_frames() -> None:
    raw = masked(1, b"he", fin=False) + masked(9, b"now") + masked(0, b"llo") + close_frame(4008, "slow")
    frames, _ = split(raw, [])
    assert [(one.opcode, one.fin, one.payload) for one in frames] == [
        (1, False, b"he"),
        (9, True, b"now"),
        (0, True, b"llo"),
        (8, True, struct.pack("!H", 4008) + b"slow"),
    ]
    assert not any(one.is_data for one in frames)


PIECES = st.one_of(
    st.builds(lambda opcode, payload: frame(Opcode(opcode), payload), st.sampled_from([1, 2]), st.binary(max_size=300)),
    st.builds(
        lambda opcode, payload, fin: masked(opcode, payload, fin=fin),
        st.sampled_from([0, 1, 2]),
        st.binary(max_size=300),
        st.booleans(),
    ),
    st.builds(lambda payload: masked(10, payload), st.binary(max_size=125)),
    st.binary(min_size=1, max_size=30),
)


@pytest.mark.unmeasured
@given(st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.integers(0, 2_500), max_size=40))
@settings(max_examples=150)
def test_the_same_frames_for_any_split(data: bytes, cuts: list[int]) -> None:
    """With frames over the limit (200) and garbage among them; and together they are the bytes that came."""
    whole, one = split(data, [], most=200)
    pieces, other = split(data, cuts, most=200)
    crumbs, third = split(data, list(range(len(data))), most=200)
    assert joined(whole) == joined(pieces) == joined(crumbs)
    assert one.lost == other.lost == third.lost
    assert one.between == other.between == third.between
    for frames, splitter in ((whole, one), (pieces, other), (crumbs, third)):
        assert b"".join(found.raw for found in frames) + splitter.rest() == data


@pytest.mark.parametrize(
    "raw",
    [
        b"\xc1\x00",  # a reserved bit
        b"\x83\x00",  # a reserved opcode
        b"\x8b\x00",
        b"\x09\x00",  # a control frame in parts
        b"\x89\x7e\x00\x7e",  # a long control frame
        b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00",  # a length of more than 63 bits
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
)
def test_after_what_cannot_be_a_frame_all_is_raw(raw: bytes) -> None:
    good = frame(Opcode.TEXT, b"fine")
    frames, splitter = split(good + raw + good, [len(good) + 1])
    assert splitter.lost
    assert not splitter.between
    assert joined(frames) == [(1, b"fine"), (RAW, raw + good)]
    assert not any(one.ends for one in frames[1:])
    assert splitter.feed(b"") == []


def test_a_frame_that_is_too_large_is_never_held() -> None:
    splitter = FrameSplitter(1_000)
    head = struct.pack("!BBQ", 0x82, 127, 2**62)
    assert b"".join(one.raw for one in splitter.feed(head)) == head
    assert not splitter.between
    for _ in range(50):
        assert [(one.opcode, len(one.raw), one.ends) for one in splitter.feed(bytes(60_000))] == [(RAW, 60_000, False)]
    assert splitter.rest() == b""


def test_after_one_that_is_too_large_there_are_frames_again() -> None:
    raw = frame(Opcode.BINARY, bytes(1_001)) + frame(Opcode.TEXT, b"next")
    frames, splitter = split(raw, [500])
    assert joined(frames) == [(RAW, raw[:1_005]), (1, b"next")]
    assert [one.ends for one in frames] == [False, True, True]
    assert splitter.between


@pytest.mark.parametrize("size", [3, 200, 70_000])
def test_remade_it_keeps_its_kind(size: int) -> None:
    for raw in (frame(Opcode.TEXT, b"old"), masked(1, b"old")):
        old = split(raw, [])[0][0]
        new = remade(old, bytes(size))
        assert split(new.raw, [], most=100_000)[0] == [new]
        assert (new.opcode, new.fin, len(new.payload)) == (1, True, size)
        assert bool(new.raw[1] & 0x80) == bool(raw[1] & 0x80)


def test_a_masked_frame_is_its_payload_to_a_server() -> None:
    assert split(masked_frame(0x81, b"ping"), [])[0][0].payload == b"ping"
