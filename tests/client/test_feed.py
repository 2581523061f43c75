"""`open_feed`: what leaves it, where it connects to, and what happens when a feed cannot go on."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
from client.test_subscription import dialing, served
from support import memory_server, trade
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import (
    ConfigurationError,
    ConnectError,
    FeedClosedError,
    FeedConfig,
    FeedState,
    Reconnect,
    open_feed,
)  # fmt: skip

REFUSED = FeedConfig(Reconnect(attempts=0), open_stream=None)


async def refuse() -> trio.abc.Stream:
    raise ConnectionRefusedError(111, "Connection refused")


def refusing(attempts: int = 0) -> FeedConfig:
    return FeedConfig(Reconnect(attempts=attempts), open_stream=refuse)


async def test_entering_does_not_wait_for_a_connection(autojump_clock: MockClock) -> None:
    async with open_feed("ws://nowhere", refusing(attempts=1_000)) as feed:
        assert feed.state.state is FeedState.CONNECTING
        assert feed.server is None
        assert not feed.ledger()


async def test_a_failure_that_nobody_met_is_raised_at_the_end(autojump_clock: MockClock) -> None:
    with pytest.raises(ConnectError) as caught:
        async with open_feed("ws://nowhere", refusing()):
            await trio.sleep(10)
    assert caught.value.kind == "refused"


async def test_a_failure_that_was_met_is_not_raised_again(autojump_clock: MockClock) -> None:
    async with open_feed("ws://nowhere", refusing()) as feed:
        for _ in range(2):
            with pytest.raises(ConnectError):
                await feed.wait_connected()
        assert feed.state.state is FeedState.CLOSED
        assert "refused" in str(feed.state.why)


async def test_the_bodys_own_error_wins(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError):
        async with open_feed("ws://nowhere", refusing()):
            await trio.sleep(10)
            raise KeyError


async def test_a_group_of_the_bodys_stays_a_group(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(KeyError):
        async with served():
            raise ExceptionGroup("mine", [KeyError("mine")])


async def test_cancelling_the_feed_is_quick_and_clean(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        with trio.move_on_after(1) as scope:
            async with open_feed("ws://test", dialing(server)) as feed, feed.trades("A") as sub:
                await anext(sub)
        assert scope.cancelled_caught
        assert trio.current_time() < 3.1
        await wait_all_tasks_blocked()
        assert not any(dataset.subscribed_topics() for dataset in server._broker.datasets.values())


async def test_everything_ends_with_the_feed(autojump_clock: MockClock) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        ended = []

        async def follow() -> None:
            async with feed.trades("A") as sub:
                try:
                    await anext(sub)
                except FeedClosedError as error:
                    ended.append(str(error))

        async with open_feed("ws://test", dialing(server)) as feed:
            watch = feed.states()
            nursery.start_soon(follow)
            await trio.sleep(1)
        assert [change.state async for change in watch][-1] is FeedState.CLOSED
        await wait_all_tasks_blocked()
        assert ended == ["the feed is closed: its `async with` has ended"]


async def test_the_server_is_known_once_it_has_greeted(autojump_clock: MockClock) -> None:
    async with served() as (_, feed):
        connected = await feed.wait_connected()
        assert feed.server is connected
        assert [offer.dataset for offer in connected.datasets] == ["Program"]


async def test_a_server_that_comes_later_is_found(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        begun = trio.current_time()

        async def dial() -> trio.abc.Stream:
            if trio.current_time() < begun + 100:
                raise ConnectionRefusedError(111, "Connection refused")
            return server.connect()

        async with open_feed("ws://test", FeedConfig(open_stream=dial)) as feed, feed.trades("A") as sub:
            assert 100 <= trio.current_time() - begun < 106  # growth stops at 5 s where the address refuses
            await server.publish(trade("A", 1))
            assert await anext(sub) == trade("A", 1)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:8080", "ws://", "ws://localhost:0", "ws://h/elsewhere"])
def test_a_url_that_cannot_be_used_is_refused_at_the_call(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_feed(url)


def test_settings_that_cannot_be_used_are_refused_at_the_call(tmp_path: Path) -> None:
    for wrong in ({"layout": "double"}, {"connect_seconds": 0}, {"ping_interval": -1}, {"answer_seconds": 0},
        {"connect_seconds": "1"}, {"ping_interval": None}, {"reconnect": 5}):  # fmt: skip
        with pytest.raises(ConfigurationError):
            FeedConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        open_feed("wss://localhost", FeedConfig(ca=tmp_path / "missing.pem"))
    with pytest.raises(ConfigurationError, match="proxy"):
        open_feed("wss://localhost", FeedConfig(proxy="socks5://localhost:1"))
    assert FeedConfig(ssl_context=ssl.create_default_context()).client_options().ssl_context is not None


async def test_the_url_comes_from_the_environment(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAFYE_WS_URL", "ws://elsewhere:7775")
    async with open_feed(config=refusing(1_000)) as feed:
        assert feed.state.url == "ws://elsewhere:7775/datafye-ws/v1"
    monkeypatch.delenv("DATAFYE_WS_URL")
    async with open_feed(config=refusing(1_000)) as feed:
        assert feed.state.url == "ws://localhost:8080/datafye-ws/v1"


async def test_a_cancellation_while_it_ends_is_told_outside(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        with trio.CancelScope() as scope:
            async with open_feed("ws://test", dialing(server)) as feed:
                await feed.wait_connected()
                scope.cancel()
        assert scope.cancelled_caught
