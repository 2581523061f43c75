"""The targets of HTTP besides a server's own requests: a proxy's answer, and what a request says of its sender."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Final

import trio
from trio.testing import MockClock

from datafye_trio.errors import ConnectError
from datafye_trio.server import AccessConfig
from datafye_trio.server.access import Access, Address
from datafye_trio.wire import Head, HeadParser, HttpError, memory_transport
from datafye_trio.wire.proxy import Proxy, open_tunnel
from fuzzing.checking import Target, check, gist, pieces
from fuzzing.target_wire import HEAD_WORDS

__all__ = ["TARGETS"]

_MOST_SECONDS: Final = 86_400
_ANSWERS: Final = (
    b"HTTP/1.1 200 Connection established\r\n", b"HTTP/1.1 407 x\r\n", b"HTTP/1.0 503 y\r\n", b"HTTP/1.1 101 x\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n", b"\r\n\r\n", b"Retry-After: 5\r\n", b"Retry-After: 99999999999\r\n",
    b"Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n", b"+2359", b"-2400",
    b"Retry-After: 1 Jan 0001 00:00:00 +2359\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Location: http://y/\r\n", b"\x1b[2J", b"\x9b", b"\xff", b"\xe9", b"\t", b"\0",
)  # fmt: skip
_SENDERS: Final = (
    *HEAD_WORDS, b"X-Forwarded-For: ", b"10.0.0.1", b"127.0.0.1", b"::ffff:10.0.0.1", b"fe80::1%eth0", b", ", b",",
    b"2001:db8::1", b"192.0.2.1", b"Origin: http://localhost:1\r\n", b"Origin: null\r\n", b"Origin: https://desk.test\r\n",
    b"Origin: http://[::1]\r\n", b"Origin: http://[\r\n", b"Host: [::1]:80\r\n", b"Host: desk.test\r\n", b":99999",
)  # fmt: skip
_ACCESSES: Final = (
    Access(AccessConfig()),
    Access(AccessConfig(allow=("10.0.0.0/8", "2001:db8::/32"), deny=("10.6.6.6",))),
    Access(
        AccessConfig(
            deny=("192.0.2.0/24",), trusted_proxies=("127.0.0.0/8", "10.0.0.1"), origins=("https://desk.test",)
        )
    ),
)
_PEERS: Final = tuple(map(ip_address, ("127.0.0.1", "10.0.0.1", "192.0.2.1", "::1")))


async def _tunnel(chunks: Sequence[bytes]) -> Hashable:
    ours, theirs = memory_transport()
    found: Hashable = None

    async def answer() -> None:
        for chunk in chunks:
            if chunk:
                await theirs.send_all(chunk)
        await theirs.send_eof()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            try:
                await open_tunnel(ours, Proxy("proxy", 3128), "::1", 8080)
            except ConnectError as error:
                text = str(error)
                check(text.isprintable(), "why there is no tunnel is one line of text")
                wait = error.retry_after
                check(wait is None or 0 <= wait <= _MOST_SECONDS, "what is to be waited for is a sound time")
                found = error.status, error.retryable, wait is not None
            nursery.cancel_scope.cancel()
    return found


def run_proxy(data: bytes) -> Hashable:
    """The answer of a proxy: a tunnel or a ConnectError of one line, however it is cut."""
    whole = trio.run(_tunnel, [data], clock=MockClock(autojump_threshold=0))
    cut = trio.run(_tunnel, pieces(data), clock=MockClock(autojump_threshold=0))
    # What a proxy sends too early may come after the tunnel was taken for good.
    check(cut == whole or None in (cut, whole), "an answer means the same however it is cut")
    return whole


def run_access(data: bytes) -> Hashable:
    """What a request says of its sender: an address that the rules let in, or a refusal."""
    try:
        head = HeadParser().feed(data)
    except HttpError:
        return None
    return None if head is None else tuple(_judged(access, head) for access in _ACCESSES)


def _judged(access: Access, head: Head) -> Hashable:
    outcomes: list[Hashable] = []
    for peer in _PEERS:
        found = _refusal(access.check_forwarded, head, peer)
        if not isinstance(found, tuple) and access.is_proxy(peer):
            check(_refusal(access.check_address, found) is None, "whoever a proxy speaks for is let in by the lists")
        outcomes += [found if isinstance(found, tuple) else None, _refusal(access.check_commander, head, peer)]
    outcomes += [_refusal(partial(access.check_origin, loopback=loopback), head) for loopback in (False, True)]
    return tuple(outcomes)


def _refusal(judge: Callable[..., Address | None], *about: object) -> Address | tuple[int, str] | None:
    """What it says, or the refusal."""
    try:
        return judge(*about)
    except HttpError as error:
        check(error.status in (400, 403), "the status of a refusal is a documented one")
        check(error.reason.isascii() and error.reason.isprintable(), "the reason of a refusal is a line of plain text")
        return error.status, gist(error.reason)


TARGETS: Final = (
    Target(
        "proxy", "a proxy's answer, cut anywhere: a tunnel, or a ConnectError of one line", run_proxy, _ANSWERS, 2_000
    ),
    Target("access", "a request's sender: one that the rules let in, or a refusal", run_access, _SENDERS, 2_000),
)
