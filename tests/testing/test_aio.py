"""The waiting calls from asyncio: the loop goes on meanwhile, and with it the client under test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
import trio
from websockets.asyncio.client import connect

from datafye_trio.errors import DatafyeError, EventError
from datafye_trio.testing import ExpectationError, ThreadedTestServer, run_test_server, trade

Body = Callable[[ThreadedTestServer], Awaitable[None]]


def run(body: Body) -> None:
    """Run a body with a server, as a suite of asyncio's does."""
    with run_test_server() as server:
        asyncio.run(asyncio.wait_for(body(server), 10))


async def subscriber(url: str, messages: list[dict[str, object]]) -> None:
    """A client in the loop of the test: it answers heartbeats, and keeps what comes."""
    async with connect(url) as client:
        await client.send(json.dumps({"action": "subscribe", "channel": "trades", "symbols": ["AAPL"]}))
        async for text in client:
            message = json.loads(text)
            messages.append(message)
            if message["type"] == "heartbeat":
                await client.send(json.dumps({"action": "pong"}))


def test_a_client_in_the_same_loop_gets_data() -> None:
    async def body(server: ThreadedTestServer) -> None:
        messages: list[dict[str, object]] = []
        client = asyncio.create_task(subscriber(server.url, messages))
        await server.aio.wait_connected()
        await server.aio.wait_subscribed("trades", "AAPL")
        await server.aio.publish([trade("AAPL", 1.5), trade("AAPL", 2.5)])
        await server.log.aio.wait_for(lambda log: len(log.messages("trade")) == 2)
        await server.aio.advance(10)  # with the answer to the heartbeat it has read what was before it
        assert [one["tradePrice"] for one in messages if one["type"] == "trade"] == [1.5, 2.5]
        client.cancel()
        await server.aio.wait_closed()

    run(body)


def test_the_clock_moves_while_the_client_answers() -> None:
    async def body(server: ThreadedTestServer) -> None:
        messages: list[dict[str, object]] = []
        client = asyncio.create_task(subscriber(server.url, messages))
        await server.aio.wait_connected()
        await server.aio.advance(400)
        assert len([one for one in messages if one["type"] == "heartbeat"]) == 40
        assert not client.done()
        client.cancel()
        await server.aio.wait_closed()

    run(body)


def test_expectations_plays_and_restarts_are_awaited() -> None:
    async def body(server: ThreadedTestServer) -> None:
        closed = server.expect_close(1012)
        messages: list[dict[str, object]] = []
        client = asyncio.create_task(subscriber(server.url, messages))
        await server.aio.wait_subscribed()
        playing = server.play([trade()], at=5.0)
        await server.aio.advance(5)
        assert await playing.aio.wait() == 1
        await server.faults.aio.restart()
        await closed.aio.wait()
        await server.aio.wait_expected()
        with pytest.raises(Exception, match="1012"):
            await client

    run(body)


def test_errors_are_raised_where_they_are_awaited() -> None:
    async def body(server: ThreadedTestServer) -> None:
        with pytest.raises(ExpectationError, match="expected 1 connections"):
            await server.aio.wait_connected(timeout=0.01)
        with pytest.raises(EventError):
            await server.aio.publish(trade(), "Nowhere")
        with pytest.raises(AssertionError):
            await server.log.aio.wait_for(len, timeout=0.01)

    run(body)


def test_outside_of_asyncio_it_says_what_to_take() -> None:
    async def main(server: ThreadedTestServer) -> None:
        with pytest.raises(DatafyeError, match="`.aio` is for asyncio, which does not run here: under Trio take"):
            await server.aio.wait_connected()

    with run_test_server() as server:
        trio.run(main, server)


def test_moving_the_clock_can_be_given_up() -> None:
    async def body(server: ThreadedTestServer) -> None:
        messages: list[dict[str, object]] = []
        client = asyncio.create_task(subscriber(server.url, messages))
        await server.aio.wait_subscribed()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.aio.advance(10**9), 0.05)
        now = server.now()
        client.cancel()
        await server.aio.wait_closed()
        assert server.now() - now < 5 * 10**9

    run(body)


def test_the_loop_goes_on_and_a_wait_can_be_cancelled() -> None:
    async def body(server: ThreadedTestServer) -> None:
        steps = 0
        waiting = asyncio.create_task(server.aio.wait_connected(timeout=60))
        while steps < 100:
            await asyncio.sleep(0)
            steps += 1
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await server.aio.advance(70)  # or else that wait would fail now, with nobody to tell

    run(body)
