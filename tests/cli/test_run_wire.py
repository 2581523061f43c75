"""`datafye-trio run` on a server: in memory under virtual time, and as a process that signals end."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from cli.kit import Terminal
from processes import WAIT, serving
from support import START_NS, memory_server, trade
from trio.testing import MockClock

from datafye_trio import Server, Synthetic
from datafye_trio.cli.run_progress import RunView, summary
from datafye_trio.cli.run_watching import Watched
from datafye_trio.cli.run_wire import Wire
from datafye_trio.client import FeedConfig, Reconnect
from datafye_trio.errors import ConnectError, FeedError
from datafye_trio.strategy import Feed, open_latest

URL = "ws://test/datafye-ws/v1"


def wire(server: Server | None, **options: Any) -> Wire:
    """A run on a server in memory, or on none."""

    async def connect() -> trio.abc.Stream:
        if server is None:
            raise ConnectError("cannot connect to test: Connection refused", kind="refused", retryable=True)
        return server.connect()

    return Wire(URL, FeedConfig(open_stream=connect, **options), RunView(quiet=False))


def taking(count: int) -> Callable[[Feed], Awaitable[list[float]]]:
    async def strategy(feed: Feed) -> list[float]:
        async with feed.trades("AAPL") as trades:
            return [(await anext(trades)).price for _ in range(count)]  # type: ignore[union-attr]

    return strategy


async def publish(server: Server, count: int) -> None:
    for number in range(count):
        await trio.sleep(1)
        await server.publish(trade(n=number * 1_000_000_000))


async def test_events_and_market_time_are_counted_from_the_first_event(autojump_clock: MockClock) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 20)
        run = wire(server)
        found = await run.follow(taking(20))
    assert isinstance(found, list)
    assert len(found) == 20
    standing = run.standing
    assert (standing.events, standing.gaps, standing.missing, run.stopped) == (20, 0, 0, False)
    assert START_NS <= standing.began <= START_NS + 20_000_000  # it looks every 20 ms until there is one
    assert standing.market_seconds == pytest.approx(19, abs=0.03)
    assert summary("returned", standing).startswith("returned: 20 events, 19.0 s of market time in 20.0")


async def test_gaps_are_counted(autojump_clock: MockClock) -> None:
    async def strategy(feed: Feed) -> int:
        async with feed.trades("AAPL", policy="drop_oldest", buffer=1) as trades:
            await anext(trades)
            await trio.sleep(10)
            return len([await anext(trades) for _ in range(2)])

    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 12)
        run = wire(server)
        assert await run.follow(strategy) == 2
    assert run.standing.dropped > 5


async def test_what_the_strategy_raises_leaves_bare(autojump_clock: MockClock) -> None:
    async def fail(feed: Feed) -> None:
        await taking(1)(feed)
        raise KeyError("mine")

    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 2)
        run = wire(server)
        with pytest.raises(KeyError, match="mine"):
            await run.follow(fail)
    assert run.standing.events == 1


async def test_a_server_that_is_not_there_is_waited_for_or_ends_it(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConnectError):
        await wire(None, reconnect=Reconnect(attempts=0)).follow(taking(1))
    with trio.move_on_after(100) as waited:
        await wire(None).follow(taking(1))
    assert waited.cancelled_caught
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 4
    assert all("Connection refused" in line for line in lines)


async def test_a_feed_that_ends_unmet_is_an_error(autojump_clock: MockClock) -> None:
    async def looks_away(feed: Feed) -> str:
        await trio.sleep(1)
        return "done"

    with pytest.raises(FeedError):
        await wire(None, reconnect=Reconnect(attempts=0)).follow(looks_away)


async def test_a_sigterm_stops_it(autojump_clock: MockClock) -> None:
    cleaned = []

    async def strategy(feed: Feed) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await trio.sleep_forever()
        finally:
            cleaned.append(True)

    async with memory_server() as server:
        run = wire(server)
        assert await run.follow(strategy) is None
    assert (run.stopped, cleaned) == (True, [True])


async def test_progress_is_a_line_where_nobody_looks(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 30)
        await wire(server).follow(taking(25))
    connected, first, second = capsys.readouterr().err.splitlines()
    assert connected == "connected"
    assert re.fullmatch(r"2023-11-14T22:13:\d\dZ  (9|10) events  1/s  (0\.9|1\.0) times real time  0 gaps", first)
    assert re.fullmatch(r"2023-11-14T22:13:\d\dZ  (19|20) events  1/s  1\.0 times real time  0 gaps", second)


async def test_all_that_a_feed_of_the_wire_has_is_there(autojump_clock: MockClock) -> None:
    async def strategy(feed: Feed) -> object:
        assert isinstance(feed, Watched)
        assert feed.taken() == 0
        await feed.wait_connected()
        symbol = "AAPL"
        async with feed.subscribe("trades", symbol) as trades:
            await anext(trades)
        async with feed.quotes(symbol), feed.bars(symbol), feed.sma(symbol), feed.ema(symbol), feed.trades(symbol):
            held = len(feed.ledger())
        with pytest.raises(AttributeError):
            _ = feed.absent
        return held, feed.state.state

    async with memory_server(sources=[Synthetic()]) as server:
        held, state = await wire(server).follow(strategy)  # type: ignore[misc]
    assert (held, str(state)) == (5, "live")


async def test_what_is_closed_is_counted_and_not_kept(autojump_clock: MockClock) -> None:
    kept: list[weakref.ref[object]] = []

    async def strategy(feed: Feed) -> None:
        for _ in range(5):
            async with feed.trades("AAPL") as trades:
                await anext(trades)
                kept.append(weakref.ref(trades))
            del trades
        subscription = feed.trades("AAPL")
        async with subscription, open_latest(feed.trades("AAPL")) as latest:
            await anext(subscription)
            async for _ in subscription:
                break
            assert "AAPL" in latest
            assert subscription.symbols == ("AAPL",)

    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 12)
        run = wire(server)
        await run.follow(strategy)
    gc.collect()
    assert [one() for one in kept] == [None] * 5
    assert run.standing.events == 5 + 2 + 2


PROGRAM = """
import trio
async def strategy(feed, most: int):
    async with feed.quotes("*") as quotes:
        taken = [await anext(quotes) for _ in range(most)]
    return len(taken)
async def endless(feed):
    async with feed.quotes("*") as quotes:
        async for quote in quotes:
            print("quote", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(PROGRAM)
    return tmp_path


def endless(folder: Path, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "datafye_trio", "run", "mine.py:endless", url]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_real_servers_and_signals(terminal: Terminal, folder: Path) -> None:
    with serving("--rate", "5000") as url, endless(folder, url) as one, endless(folder, url) as other:
        code, out, err = terminal.run("run", f"{folder}/mine.py:strategy", url, "--set", "most=200")
        assert (code, json.loads(out)) == (0, 200)
        assert re.fullmatch(r"connected\nreturned: 200 events, .*\n", err), err
        for process, number, how in ((one, signal.SIGINT, "interrupted"), (other, signal.SIGTERM, "stopped")):
            assert process.stdout is not None
            assert process.stdout.readline() == "quote\n"
            process.send_signal(number)
            _, err = process.communicate(timeout=WAIT)
            assert process.returncode == 0
            assert re.fullmatch(rf"connected\n{how}: [1-9].*\n", err), err


def test_an_authority_that_is_not_there_is_one_line(terminal: Terminal, folder: Path) -> None:
    line = terminal.complain("run", f"{folder}/mine.py:endless", "wss://localhost:1", "--ca", "/absent.pem")
    assert "/absent.pem" in line
