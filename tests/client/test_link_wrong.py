"""A link whose surroundings turn wrong: files that go, a server that makes no sense."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import trio
import trustme
from client.scripted import QUICK, URL, Peer, ScriptedServer, config
from trio.testing import MockClock

from datafye_trio import ConnectError, DisconnectedError, FeedConfig, Reconnect, open_feed
from datafye_trio.wire import Opcode, frame


async def test_an_authority_that_is_away_for_a_moment_is_waited_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A file that was replaced while the feed came back ended it, by an error that is no FeedError."""
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    opening = open_feed("wss://localhost:1", FeedConfig(Reconnect(attempts=3), ca=ca))
    ca.unlink()
    with pytest.raises(ConnectError, match="cannot use the authorities in .*No such file") as caught:
        async with opening as feed:
            await feed.wait_connected()
    assert caught.value.retryable


async def test_the_server_is_told_what_makes_no_sense(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """It was said goodbye to with 1000, as if all had been well."""
    told: list[bytes] = []

    async def latin(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await peer.send_bytes(frame(Opcode.TEXT, b'{"type":"error","message":"\xe9"}'))
        while not told:
            opcode, payload = await peer.frame()
            if opcode in (-1, Opcode.CLOSE):
                told.append(payload)

    server = ScriptedServer(nursery, latin)
    async with open_feed(URL, config(server, reconnect=QUICK)) as feed, feed.trades("AAPL") as sub:
        with trio.fail_after(60), pytest.raises(DisconnectedError, match="no UTF-8"):
            await anext(sub)
    (payload,) = told
    assert struct.unpack("!H", payload[:2]) == (1007,)
    assert b"no UTF-8" in payload
    nursery.cancel_scope.cancel()
