"""The targets of the wire that need no event loop: heads of requests, and frames in the client's fast lane."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from datafye_trio.server.gate import check_websocket
from datafye_trio.wire import Head, HeadParser, HttpError
from datafye_trio.wire.peeling import Payloads, Peeler
from fuzzing.checking import Target, check, gist, pieces
from fuzzing.reading import Reading, read_frames

__all__ = ["CLIENT_FRAMES", "HEAD_WORDS", "SERVER_FRAMES", "TARGETS"]

HEAD_WORDS: Final = (
    b"\r\n", b"\n", b"\r\n\r\n", b" ", b": ", b"GET ", b"POST ", b"HTTP/1.1", b"HTTP/1.0", b"Host: x\r\n",
    b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n", b"Connection: keep-alive\r\n", b"Origin: http://x\r\n",
    b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"[::1]:80", b"xn--a", b"%2e",
    b"Sec-WebSocket-Protocol: datafye.v1.msgpack\r\n", b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"\xff",
    b"Content-Length: 1\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
    b"X-Forwarded-For: 1.2.3.4, ::1\r\n", b"/datafye-ws/v1", b"/stocks/live/quotes", b"?symbols=AAPL&channels=quotes",
    b"/replay/speed?speed=2", b"/health", b"//", b"/../", b"http://x/", b"*", b"x" * 300, b"\0", b"\t",
)  # fmt: skip
CLIENT_FRAMES: Final = (
    b"\x81\x80\0\0\0\0", b"\x01\x80\0\0\0\0", b"\x80\x80\0\0\0\0", b"\x00\x80\0\0\0\0", b"\x82\x81\0\0\0\0\xc0",
    b"\x89\x80\0\0\0\0", b"\x8a\x80\0\0\0\0", b"\x88\x80\0\0\0\0", b"\x88\x82\0\0\0\0\x03\xe8", b"\x81\xfe\x00\x7e",
    b"\x81\xff\0\0\0\0\0\1\0\0", b"\xc1\x80\0\0\0\0", b"\x81\x00", b"\x88\x81\0\0\0\0\x03", b"\x89\xfe\x00\x7e",
    b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x83\x80\0\0\0\0", b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
)  # fmt: skip
SERVER_FRAMES: Final = (
    b"\x81\x01x", b"\x82\x02ab", b"\x01\x01a", b"\x00\x01b", b"\x80\x01c", b"\x80\x00", b"\x89\x00", b"\x8a\x01p",
    b"\x88\x02\x03\xe8", b"\x88\x00", b"\x88\x01\x03", b"\x88\x02\x03\xed", b"\x88\x02\x11\x95", b"\x81\x7e\x00\x7e",
    b"\x81\x7e\x00\x01", b"\x81\x7f\0\0\0\0\0\1\0\0", b"\x81\x81\0\0\0\0x", b"\xc1\x00", b"\x09\x00", b"\x83\x00",
    b"\x01\x01\xc3", b"\x80\x01\xa4", b"\x80\x01\xff", b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x88\x03\x03\xe8\xff",
)  # fmt: skip

_STATUSES: Final = {400, 404, 405, 413, 426, 431}
_ONE_BY_ONE: Final = 400
"""Bytes up to which an input is fed one by one, too: that takes as long as all the rest."""
_LIMITS: Final = (200, 70_000)


def _head(chunks: Iterable[bytes]) -> tuple[Head | HttpError | None, int]:
    """What comes of a head that is read so, and how many bytes that took."""
    parser, used = HeadParser(("/replay/",)), 0
    for chunk in chunks:
        used += len(chunk)
        try:
            if chunk and (head := parser.feed(chunk)) is not None:
                return head, used
        except HttpError as error:
            return error, used
    return None, used


def _alike(outcome: Head | HttpError | None) -> object:
    return outcome.status if isinstance(outcome, HttpError) else outcome


def run_head(data: bytes) -> Hashable:
    """However the bytes are cut: the same head, or an answer; nothing else."""
    found, used = _head([data])
    ways = [pieces(data), pieces(data, salt=1)]
    if len(data) <= _ONE_BY_ONE:
        ways.append([data[at : at + 1] for at in range(len(data))])
    for way in ways:
        other, read = _head(way)
        if read == used and (not isinstance(other, HttpError) or isinstance(found, HttpError)):
            check(_alike(other) == _alike(found), "a head means the same however it is cut")
        else:  # it was decided before all was read: what it was decided by means the same in one piece
            check(_alike(_head([data[:read]])[0]) == _alike(other), "a part of a head means the same however it is cut")
            check(isinstance(found, HttpError), "what is refused in part is refused as a whole")
    if found is None:
        return None
    if isinstance(found, Head):
        try:
            request = check_websocket(found)
        except HttpError as error:
            found = error
        else:
            return request.endpoint, request.encoding, tuple(request.query)
    check(found.status in _STATUSES, "the status of an answer is a documented one")
    check(found.reason.isascii() and found.reason.isprintable(), "the reason of an answer is a line of plain text")
    return found.status, gist(found.reason)


def _peeled(chunks: Iterable[bytes], limit: int) -> tuple[Payloads, bytes, Peeler]:
    peeler = Peeler(limit)
    payloads: Payloads = []
    slow = b""
    for chunk in chunks:
        more, other = peeler.feed(chunk)
        payloads += more
        slow += other
    return payloads, slow, peeler


def _check_peeled(chunks: Iterable[bytes], limit: int, told: Reading) -> None:
    payloads, slow, peeler = _peeled(chunks, limit)
    check(payloads == [one if whole else None for one, whole in told.messages], "the lane gives the messages in order")
    check(slow == told.others, "all else goes to the slow lane, byte for byte")
    check(peeler.marks == payloads.count(None), "there is a mark for each message of the slow lane")
    check(peeler.pongs == told.pongs, "pongs are heard")
    check(peeler.over == (told.ended != "open"), "the lane ends with the stream")
    check(peeler.peer_closed == (told.ended == "closed"), "the lane knows a close")
    code = {"big": 1009, "many": 1008}.get(told.ended)
    check((None if peeler.verdict is None else int(peeler.verdict.code)) == code, "the lane's verdict is the right one")


def run_lane(data: bytes) -> Hashable:
    """The fast lane takes from a server's bytes what a plain reader finds, however they are cut."""
    outcome: list[Hashable] = []
    for limit in _LIMITS:
        told = read_frames(data, limit)
        one_by_one = [data[at : at + 1] for at in range(len(data))] if len(data) <= _ONE_BY_ONE else [data]
        for way in ([data], pieces(data), one_by_one):
            _check_peeled(way, limit, told)
        outcome += [told.ended, min(len(told.messages), 3), sum(not whole for _, whole in told.messages) > 0]
    return tuple(outcome)


TARGETS: Final = (
    Target(
        "head",
        "the head of a request, cut anywhere: a Head, more is needed, or an HttpError",
        run_head,
        HEAD_WORDS,
        12_000,
    ),
    Target("lane", "frames of a server, cut anywhere: what a plain reader finds", run_lane, SERVER_FRAMES, 1_500),
)
