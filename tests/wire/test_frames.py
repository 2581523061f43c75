"""Frames out, against wsproto's own; frame heads in, however the bytes were split."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol
from wsproto.frame_protocol import Opcode as TheirOpcode

from datafye_trio.wire import Opcode, close_frame, data_frame, frame
from datafye_trio.wire.frames import FrameHead, FrameScanner

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536]


def scan(*pieces: bytes) -> list[FrameHead]:
    scanner = FrameScanner()
    return [head for piece in pieces for head in scanner.feed(piece)]


@pytest.mark.parametrize("size", SIZES)
def test_frames_as_another_implementation_writes_and_reads_them(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    ours = data_frame(payload, "msgpack")
    assert ours == FrameProtocol(client=False, extensions=[]).send_data(payload)
    decoder = FrameDecoder(client=True)
    decoder.receive_bytes(ours)
    got = bytearray()
    while (read := decoder.process_buffer()) is not None:
        got += read.payload
    assert got == payload
    assert scan(ours) == [FrameHead(Opcode.BINARY, fin=True, size=size)]


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_heads_by_the_byte(size: int, head: bytes) -> None:
    assert frame(Opcode.TEXT, b"x" * size) == head + b"x" * size


def test_encodings() -> None:
    assert data_frame(b"{}", "json") == b"\x81\x02{}"
    assert data_frame(b"\x80", "msgpack") == b"\x82\x01\x80"


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("", ""),
        ("bye", "bye"),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("x" * 122 + "é", "x" * 122),  # two bytes, of which one would fit
        ("x" * 121 + "é", "x" * 121 + "é"),
        ("\U0001f600" * 40, "\U0001f600" * 30),
    ],
)
def test_close_frames(reason: str, sent: str) -> None:
    data = close_frame(4008, reason)
    assert data == bytes([0x88, 2 + len(sent.encode())]) + (4008).to_bytes(2, "big") + sent.encode()
    assert len(data) <= 127
    received = FrameProtocol(client=True, extensions=[])
    received.receive_bytes(data)
    (read,) = list(received.received_frames())
    assert read.payload == (4008, sent)


def test_a_close_frame_is_what_another_implementation_writes() -> None:
    theirs = FrameProtocol(client=False, extensions=[]).close(CloseReason.GOING_AWAY, "later")
    assert close_frame(1001, "later") == theirs


FRAMES = st.lists(
    st.tuples(
        st.sampled_from([*Opcode, 3, 11]),
        st.booleans(),
        st.booleans(),
        st.sampled_from(SIZES) | st.integers(0, 300),
    ),
    max_size=6,
)


@pytest.mark.unmeasured
@settings(max_examples=75)
@given(frames=FRAMES, data=st.data())
def test_any_split_gives_the_same_heads(frames: list[tuple[int, bool, bool, int]], data: Any, tools: Any) -> None:
    stream = b"".join(tools.frame(opcode, bytes(size), fin=fin, masked=masked) for opcode, fin, masked, size in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]
    expected = [FrameHead(opcode, fin, size) for opcode, fin, _, size in frames]
    assert scan(*pieces) == expected
    assert scan(*(stream[index : index + 1] for index in range(min(len(stream), 400)))) == scan(stream[:400])


@settings(max_examples=60)
@given(messages=st.lists(st.tuples(st.sampled_from([b"", b"x", b"y" * 126, b"z" * 65_536]), st.booleans()), max_size=5))
def test_heads_of_masked_frames_from_another_implementation(messages: list[tuple[bytes, bool]]) -> None:
    sender = FrameProtocol(client=True, extensions=[])
    stream, expected, inside = b"", [], False
    for payload, fin in messages:
        stream += sender.send_data(payload, fin=fin) + sender.ping(b"p")
        expected += [(Opcode.CONTINUATION if inside else Opcode.BINARY, fin, len(payload)), (Opcode.PING, True, 1)]
        inside = not fin
    assert [(head.opcode, head.fin, head.size) for head in scan(stream)] == expected


def test_a_claim_is_only_counted() -> None:
    head, *rest = scan(b"\x82\xff" + (2**40).to_bytes(8, "big") + b"mask" + b"\x89\x80mask")
    assert head == FrameHead(Opcode.BINARY, fin=True, size=2**40)
    assert rest == []  # what follows is its payload


@pytest.mark.parametrize("opcode", list(TheirOpcode))
def test_control_frames(opcode: TheirOpcode) -> None:
    assert FrameHead(opcode, fin=True, size=0).is_control == opcode.iscontrol()
