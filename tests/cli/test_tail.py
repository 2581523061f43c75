"""`tail`: what it prints, what it says, and how it ends, with a server in memory; then as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
import trio.testing
from cli.kit import Terminal
from cli.watching import WAIT, MemoryOutput
from processes import serving, until
from support import memory_server, quote, trade
from trio.testing import MockClock

from datafye_trio import HeartbeatConfig, Server, ServerConfig, Synthetic, SyntheticConfig
from datafye_trio.cli.feed_flags import config_of, wanted_of
from datafye_trio.cli.following import Follower
from datafye_trio.cli.tail import TailFlags
from datafye_trio.cli.views import LinesView
from datafye_trio.client import FeedConfig, open_raw_feed
from datafye_trio.errors import ConnectError

URL = "ws://test"


class Tail:
    """`tail` of a server in memory, and what it wrote and said. `server` None: there is nobody."""

    def __init__(self, server: Server | None, **flags: object) -> None:
        self.output = MemoryOutput()
        self.said: list[str] = []
        self.code: int | None = None
        self.server = server
        self.stream: trio.abc.Stream | None = None
        self.refusal = ConnectError("cannot connect to test: Connection refused")
        given = TailFlags(**flags)
        self._seconds = given.seconds
        self._wanted = wanted_of(URL, given, {"policy": given.policy, "buffer": given.buffer})
        self._config = FeedConfig(
            open_stream=self._dial, reconnect=config_of(given.ca, reconnect=given.reconnect).reconnect
        )

    async def run(self) -> None:
        view = LinesView(self.output, self.said.append)
        follower = Follower(open_raw_feed(URL, self._config), self._wanted, view, self.said.append)
        self.code = await follower.run(self._seconds, None)

    @property
    def found(self) -> list[object]:
        """The numbers of trades, and the reasons of gaps with what they cover."""
        lines = [json.loads(line) for line in self.output.lines]
        return [(line["reason"], line.get("from"), line.get("to")) if "reason" in line else int(line["tradeID"])
                for line in lines]  # fmt: skip

    async def _dial(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self.server is None:
            raise self.refusal
        self.stream = self.server.connect()
        return self.stream


async def test_lines_appear_at_once_and_it_ends_after_its_seconds(autojump_clock: MockClock) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        tail = Tail(server, seconds=10)
        nursery.start_soon(tail.run)
        await trio.sleep(1)
        await server.publish([quote("AAPL", 1), trade("MSFT", 2)])
        await trio.testing.wait_all_tasks_blocked()
        assert [json.loads(line)["type"] for line in tail.output.lines] == ["quote", "trade"]
    assert (tail.code, tail.said, trio.current_time()) == (0, ["connected"], 10)


async def test_an_outage_costs_nothing_that_the_server_still_holds(autojump_clock: MockClock) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        tail = Tail(server, channels=("trades",), seconds=200)
        nursery.start_soon(tail.run)
        await trio.sleep(1)
        await server.publish(trade("AAPL", 1))
        await trio.sleep(100)
        tail.server = None
        assert tail.stream is not None
        await tail.stream.aclose()
        await trio.sleep(20)
        await server.publish([trade("AAPL", 2), trade("AAPL", 3)])
        tail.server = server
        await trio.sleep(20)
        await server.publish(trade("AAPL", 4))
    assert tail.found == [1, 2, 3, 4]
    assert tail.said[0] == "connected"
    assert tail.said[-1] == "connected again"
    refusals = [text for text in tail.said if "Connection refused: trying again in " in text]
    assert len(refusals) == 1  # of many attempts: what stays the same is said once a minute


async def test_it_waits_for_a_server_that_is_not_there_yet(autojump_clock: MockClock) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        tail = Tail(None, channels=("trades",), seconds=500)
        nursery.start_soon(tail.run)
        await trio.sleep(130)
        assert 2 <= len(tail.said) <= 3
        assert tail.said[0].startswith("cannot connect to test: Connection refused: trying again in 0.")
        tail.server = server
        await trio.sleep(10)
        await server.publish(trade("AAPL", 1))
    assert (tail.code, tail.found) == (0, [1])


@pytest.mark.parametrize("retryable", [False, True])
async def test_what_will_not_pass_ends_it(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str], retryable: bool
) -> None:
    tail = Tail(None, reconnect=not retryable)
    tail.refusal = ConnectError("no trust in test", kind="tls", retryable=retryable)
    await tail.run()
    assert (tail.code, tail.said) == (1, [])
    assert capsys.readouterr().err == "datafye-trio: no trust in test\n"


async def test_all_refused_ends_it_and_a_part_is_said_and_printed(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with memory_server(sources=[Synthetic(SyntheticConfig(rate=1))]) as server:
        tail = Tail(server, symbols=("NOPE",))
        await tail.run()
        assert (tail.code, tail.output.lines) == (1, [])
        assert capsys.readouterr().err.startswith("datafye-trio: UNKNOWN_SYMBOL: ")
        tail = Tail(server, symbols=("AAPL,NOPE",), seconds=1)
        await tail.run()
    assert tail.code == 0
    refused = json.loads(tail.output.lines[0])
    assert (refused["type"], refused["code"], refused["symbols"]) == ("error", "UNKNOWN_SYMBOL", ["NOPE"])
    assert [text for text in tail.said if "NOPE" in text] == [tail.said[1]]  # once, though asked on two channels


async def test_all_refused_after_an_outage_ends_it(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [[Synthetic(SyntheticConfig(symbols=(symbol,), rate=1))] for symbol in ("AAPL", "MSFT")]
    async with memory_server(sources=sources[0]) as one, memory_server(sources=sources[1]) as another:
        tail = Tail(one, symbols=("AAPL",))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tail.run)
            await trio.sleep(1)
            tail.server = another
            assert tail.stream is not None
            await tail.stream.aclose()
    assert tail.code == 1
    assert capsys.readouterr().err.startswith("datafye-trio: UNKNOWN_SYMBOL: ")


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("wait", list(range(1, 301))),
        ("drop_oldest", [1, 2, 3, ("buffer_full", 4, 290), *range(291, 301)]),
        ("latest", [1, 2, 3, 300]),
    ],
)
async def test_a_reader_that_is_stuck_never_delays_a_pong_and_the_policy_decides(
    autojump_clock: MockClock, policy: str, kept: list[object]
) -> None:
    config = ServerConfig(heartbeat=HeartbeatConfig(interval=1, timeout=2))
    async with memory_server(config) as server, trio.open_nursery() as nursery:
        tail = Tail(server, channels=("trades",), symbols=("AAPL",), policy=policy, buffer=10, seconds=150)
        nursery.start_soon(tail.run)
        await trio.sleep(1)
        tail.output.stuck = trio.Event()
        for number in range(1, 301):  # 1 is in the write, 2 in the queue, 3 in hand
            await server.publish(trade("AAPL", number))
            await trio.sleep(0.1)
        tail.output.stuck.set()
    assert tail.found == kept
    assert tail.said[0] == "connected"
    assert not any("trying again" in text for text in tail.said)  # two seconds without a pong would have cut it


async def test_policy_error_ends_it_after_what_it_has(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        tail = Tail(server, channels=("trades",), policy="error", buffer=5)
        nursery.start_soon(tail.run)
        await trio.sleep(1)
        tail.output.stuck = trio.Event()
        for number in range(1, 21):
            await server.publish(trade("AAPL", number))
            await trio.sleep(0.1)
        tail.output.stuck.set()
    assert tail.code == 1
    assert tail.found == list(range(1, 9))  # one in the write, one in the queue, one in hand, five in the buffer
    assert "5 events wait" in capsys.readouterr().err


async def test_it_ends_when_its_reader_does_though_nothing_comes(autojump_clock: MockClock) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        tail = Tail(server)
        nursery.start_soon(tail.run)
        await trio.sleep(1)
        tail.output.closed.set()
    assert (tail.code, trio.current_time()) == (0, 1)


async def test_a_full_disk_ends_it(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        tail = Tail(server)
        tail.output.failure = OSError(28, "No space left on device")
        nursery.start_soon(tail.run)
        await trio.sleep(1)
        await server.publish(trade("AAPL", 1))
    assert tail.code == 1
    assert capsys.readouterr().err == "datafye-trio: cannot write to stdout: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--buffer", "0"), "buffer capacity: a whole number of at least 1, not 0"),
        (("--channels", "news"), "unknown channel 'news': use one of quotes, trades, aggregates, sma, ema"),
        (("--symbols", ","), 'symbols: name at least one ("*" is every symbol)'),
        (("ws://localhost/datafye-ws/v1/stocks/history",),
         "'ws://localhost/datafye-ws/v1/stocks/history' is a path of stored data: name one of live data, or none"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line(terminal: Terminal, arguments: tuple[str, ...], line: str) -> None:
    assert terminal.complain("tail", *arguments) == line


@contextmanager
def tailing(url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "datafye_trio", "tail", url, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()  # a no-op where the test went well


def test_a_process_whose_reader_leaves_ends_at_once_though_nothing_more_comes() -> None:
    with serving("--rate", "1", "--symbols", "AAPL") as url, tailing(url, "--channels", "trades") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().endswith(": connected\n")
        process.stdout.close()
        began = time.monotonic()
        assert process.wait(WAIT) == 0
        assert time.monotonic() - began < 5
        assert process.stderr.read() == ""


def test_a_process_survives_a_server_that_is_killed_and_ends_by_ctrl_c() -> None:
    with socket.create_server(("localhost", 0)) as listener:
        port = str(listener.getsockname()[1])
    command = [sys.executable, "-m", "datafye_trio", "serve", "--port", port, "--rate", "500"]
    with tailing(f"ws://localhost:{port}", "--symbols", "AAPL") as process:  # before there is a server
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(2):
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
                lines = [json.loads(process.stdout.readline()) for _ in range(20)]
                server.kill()
        until(lambda: process.poll() is None)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT)
        assert process.returncode == 0
    assert {line["type"] for line in lines} <= {"quote", "trade", "gap"}
    assert all(json.loads(line) for line in out.splitlines())  # whole lines, the last one too
    assert "connected again" in err
    assert "(epoch_changed)" in err
