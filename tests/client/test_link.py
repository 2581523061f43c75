"""A link: closes, statuses, waits, states. Against a server that follows a script."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from client.scripted import URL, Peer, ScriptedServer, config
from trio.testing import MockClock

from datafye_trio import (
    ConnectError,
    DisconnectedError,
    FeedConfig,
    FeedState,
    Gap,
    Reconnect,
    Trade,
    open_feed,
)  # fmt: skip


async def stay(peer: Peer) -> None:
    """Greet, take one subscription, send heartbeats in time."""
    await peer.greet()
    await peer.accept_subscribe()
    while True:
        await peer.heartbeat()
        await trio.sleep(10)


async def test_a_request_that_is_not_answered_ends_the_connection(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async def deaf(peer: Peer) -> None:
        await peer.greet()
        while True:
            await peer.heartbeat()
            await trio.sleep(10)

    server = ScriptedServer(nursery, deaf)
    async with open_feed(URL, config(server, reconnect=Reconnect(attempts=0))) as feed:
        with pytest.raises(DisconnectedError, match="an answer of the server did not come within 30 s"):
            async with feed.trades("AAPL"):
                pass
    nursery.cancel_scope.cancel()


STOP, BACK = (4501, 1000, 1008, 4777), (1001, 4008, 4009, 4321)


@pytest.mark.parametrize(("code", "stops"), [(code, code in STOP) for code in STOP + BACK])
async def test_the_close_code_decides(autojump_clock: MockClock, nursery: trio.Nursery, code: int, stops: bool) -> None:
    async def close(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await peer.trade(1)
        await peer.close(code, "because")

    async def back(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await peer.trade(2)
        await peer.ended()

    server = ScriptedServer(nursery, close, back)
    async with open_feed(URL, config(server)) as feed, feed.trades("AAPL") as sub:
        assert isinstance(await anext(sub), Trade)  # what came before the end is delivered before it
        if stops:
            with pytest.raises(DisconnectedError, match="because") as caught:
                await anext(sub)
            assert (caught.value.code, caught.value.retryable) == (code, False)
        else:
            assert isinstance(await anext(sub), Trade)
    nursery.cancel_scope.cancel()


async def test_a_connection_refused_is_tried_again_until_attempts_are_used_up(autojump_clock: MockClock) -> None:
    tries = []

    async def dial() -> trio.abc.Stream:
        tries.append(trio.current_time())
        raise ConnectionRefusedError(111, "Connection refused")

    async with open_feed(URL, FeedConfig(Reconnect(attempts=9), open_stream=dial)) as feed:
        with pytest.raises(ConnectError) as caught:
            async with feed.trades("AAPL"):
                pass
    assert caught.value.retryable
    assert len(tries) == 10
    assert trio.current_time() <= 0.25 + 0.5 + 1 + 2 + 4 + 5 * 4


async def test_retry_after_is_honoured(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    server = ScriptedServer(nursery, stay)
    server.answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 77\r\nContent-Length: 4\r\n\r\nfull"

    async def open_later() -> None:
        await trio.sleep(1)
        server.answer = None

    nursery.start_soon(open_later)
    async with open_feed(URL, config(server)) as feed, feed.trades("AAPL"):
        assert 77 <= server.times[1] < 77 * 1.5 + 1
    nursery.cancel_scope.cancel()


async def test_a_status_that_says_no_is_raised(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    server = ScriptedServer(nursery, stay)
    server.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 24\r\n\r\naddress is not allowed.\n"
    async with open_feed(URL, config(server)) as feed:
        with pytest.raises(ConnectError, match=r"403.*address is not allowed") as caught:
            await feed.wait_connected()
    assert (caught.value.status, caught.value.retryable) == (403, False)
    nursery.cancel_scope.cancel()


async def test_states_tell_the_whole_story(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    async def close(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await peer.close(4008, "too slow")

    server = ScriptedServer(nursery, close, stay)
    async with open_feed(URL, config(server)) as feed:
        watch = feed.states()
        async with feed.trades("AAPL") as sub:
            with trio.move_on_after(5):
                await anext(sub)
    seen = [change async for change in watch]
    assert [change.state for change in seen] == [
        "connecting", "connected", "live", "disconnected", "connecting", "connected", "recovering", "live", "closed",
    ]  # fmt: skip
    (cut,) = [change for change in seen if change.state is FeedState.DISCONNECTED]
    assert cut.why is not None
    assert "4008" in cut.why
    assert cut.retry_in is not None
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("garbage", [b"\x81\x05hello", b"\x81\x02[]", b"\x81\x04\xff\xfe\xfd\xfc", b"\xff" * 64,
    b"\x81\x85\x01\x02\x03\x04hello", b"\x81\x7f\x00\x00\x01\x00\x00\x00\x00\x00", b"\x81\x7e\x01"])  # fmt: skip
async def test_garbage_ends_the_connection_and_not_the_feed(
    autojump_clock: MockClock, nursery: trio.Nursery, garbage: bytes
) -> None:
    async def broken(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await peer.trade(1)
        await peer.send_bytes(garbage)
        with trio.move_on_after(5):
            await peer.ended()

    async def back(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe()
        await peer.trade(2)
        await peer.ended()

    server = ScriptedServer(nursery, broken, back)
    async with open_feed(URL, config(server)) as feed, feed.trades("AAPL") as sub:
        try:
            assert [(await anext(sub)).trade_id for _ in range(2)] == ["1", "2"]  # type: ignore[union-attr]
        except DisconnectedError as error:
            # A breach of WebSocket itself: coming back would find the same server.
            assert error.code in (1002, 1007, 1009)
            assert not error.retryable
    nursery.cancel_scope.cancel()


async def test_a_request_that_is_put_off_is_sent_again_later_each_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    asked: list[float] = []

    async def busy(peer: Peer) -> None:
        await peer.greet(heartbeat=100)
        for _ in range(4):
            request = await peer.request()
            asked.append(trio.current_time())
            await peer.send(type="error", code="RATE_LIMITED", message="wait", retryable=True, id=request["id"])
        await peer.accept_subscribe()
        asked.append(trio.current_time())
        await peer.trade(1)
        await peer.ended()

    server = ScriptedServer(nursery, busy)
    async with open_feed(URL, config(server)) as feed, feed.trades("AAPL") as sub:
        assert isinstance(await anext(sub), Trade)
    waits = [later - earlier for earlier, later in pairwise(asked)]
    assert waits == pytest.approx([1, 2, 4, 8])
    nursery.cancel_scope.cancel()


async def test_a_gap_of_the_server_comes_as_a_gap(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    async def drops(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_subscribe(AAPL=10)
        await peer.send(type="gap", dataset="Program", assetClass="stocks", channel="trades", symbol="AAPL",
            epoch="e1", **{"from": 11, "to": 20}, reason="slow_consumer")  # fmt: skip
        await peer.trade(21)
        await peer.ended()

    server = ScriptedServer(nursery, drops)
    async with open_feed(URL, config(server)) as feed, feed.trades("AAPL") as sub:
        gap, event = await anext(sub), await anext(sub)
        assert isinstance(gap, Gap)
        assert (gap.first, gap.last, gap.reason) == (11, 20, "slow_consumer")
        assert isinstance(event, Trade)
        (entry,) = feed.ledger().values()
        assert (entry.begin, entry.last, entry.received, entry.missing) == (10, 21, 1, 10)
    nursery.cancel_scope.cancel()


async def test_a_server_that_tells_no_position_is_taken_at_its_first_number(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async def terse(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        await peer.send(type="subscribed", dataset="Program", assetClass="stocks", channels=["trades"],
            symbols=["AAPL"], epoch="e1", total=1, id=request["id"])  # fmt: skip
        await peer.trade(500)
        await peer.trade(501)
        await peer.ended()

    server = ScriptedServer(nursery, terse)
    async with open_feed(URL, config(server)) as feed, feed.trades("AAPL") as sub:
        assert [(await anext(sub)).trade_id for _ in range(2)] == ["500", "501"]  # type: ignore[union-attr]
        (entry,) = feed.ledger().values()
        assert (entry.begin, entry.last, entry.received, entry.missing) == (499, 501, 2, 0)
    nursery.cancel_scope.cancel()
