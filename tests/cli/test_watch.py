"""`watch` against a server in this process: what it shows, how it ends, and what it says when it cannot go on."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing
from cli.kit import Terminal
from cli.watching import WAIT, Watch, server, subscribed
from processes import serving
from support import quote, trade

from datafye_trio import HeartbeatConfig
from datafye_trio.cli import signals as module
from datafye_trio.cli.watch import WatchFlags, run


@pytest.fixture
def watch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    one = Watch(capsys, monkeypatch)
    yield one
    one.stdout.close()


async def test_json_lines_are_the_frames_of_events_and_nothing_else(watch: Watch) -> None:
    async with server() as one, trio.open_nursery() as nursery:
        nursery.start_soon(watch.run, one.url)
        await subscribed(one, 4)
        await one.publish([quote("AAPL", 1), trade("MSFT", 2)])
        await watch.lines(2)
        signal.raise_signal(signal.SIGINT)
    assert watch.code == 0
    assert [(event["type"], event["symbol"], event["seq"]) for event in watch.events] == [
        ("quote", "AAPL", 1), ("trade", "MSFT", 1),
    ]  # fmt: skip
    assert watch.out.startswith('{"type":"quote","dataset":"Program","assetClass":"stocks","seq":1,"symbol":"AAPL"')
    assert watch.err == f"{one.url}: connected\n"


async def test_it_ends_by_itself_after_its_seconds(watch: Watch) -> None:
    async with server() as one:
        await watch.run(one.url, seconds=0.05)
    assert (watch.code, watch.out) == (0, "")


async def test_it_asks_for_what_it_was_told(watch: Watch) -> None:
    async with server() as one, trio.open_nursery() as nursery:
        flags = {"channels": ("ticks",), "symbols": ("aapl, msft",), "dataset": "Program"}
        nursery.start_soon(lambda: watch.run(one.url, **flags))
        await subscribed(one, 2)
        await one.publish([quote("AAPL", 1), trade("AAPL", 2)])
        await watch.lines(1)
        signal.raise_signal(signal.SIGTERM)
    assert [event["type"] for event in watch.events] == ["trade"]


async def test_bars_of_a_frequency_and_those_that_are_still_forming(watch: Watch) -> None:
    async with server() as one, trio.open_nursery() as nursery:
        flags = {"channels": ("bars",), "symbols": ("AAPL",), "frequency": "1s", "running": True}
        nursery.start_soon(lambda: watch.run(one.url, **flags))
        await subscribed(one, 1)
        await one.publish([trade("AAPL", 1), trade("AAPL", 2), trade("AAPL", 10**9)])
        await watch.lines(4)
        signal.raise_signal(signal.SIGTERM)
    assert [(event["frequency"], event["final"], event["count"]) for event in watch.events] == [
        ("Second", False, 1), ("Second", False, 2), ("Second", True, 2), ("Second", False, 1),
    ]  # fmt: skip


async def test_a_path_for_one_channel_is_not_asked_for_two(watch: Watch) -> None:
    async with server() as one, trio.open_nursery() as nursery:
        nursery.start_soon(watch.run, one.url + "/stocks/live/quotes")
        await subscribed(one, 2)
        await one.publish([quote("AAPL", 1), trade("AAPL", 2)])
        await watch.lines(1)
        signal.raise_signal(signal.SIGINT)
    assert [event["type"] for event in watch.events] == ["quote"]


async def test_heartbeats_are_answered(watch: Watch) -> None:
    async with server(heartbeat=HeartbeatConfig(interval=0.05, timeout=0.1)) as one:
        await watch.run(one.url, seconds=0.5)
    assert (watch.code, watch.err) == (0, f"{one.url}: connected\n")


async def test_a_request_refused_in_part_is_said_and_shown(watch: Watch) -> None:
    async with server() as one, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: watch.run(one.url, symbols=("AAPL", "NOPE")))
        await subscribed(one, 2)
        await one.publish(trade("AAPL", 2))
        await watch.lines(2)
        signal.raise_signal(signal.SIGINT)
    assert watch.code == 0
    assert [event["type"] for event in watch.events] == ["error", "trade"]
    assert watch.err.splitlines()[1].startswith("UNKNOWN_SYMBOL: ")
    assert watch.err.endswith("(NOPE)\n")


async def test_a_request_refused_altogether_ends_it(watch: Watch) -> None:
    async with server() as one:
        await watch.run(one.url, symbols=("NOPE",))
    assert (watch.code, watch.out) == (1, "")
    assert watch.err.splitlines()[1].startswith("datafye-trio: UNKNOWN_SYMBOL: ")


async def test_a_server_that_goes_away_is_come_back_to(watch: Watch) -> None:
    flags = {"channels": ("trades",), "symbols": ("AAPL",)}
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            async with server() as one:
                nursery.start_soon(lambda: watch.run(one.url, **flags))
                await subscribed(one, 1)
                await one.publish(trade("AAPL", 1))
                await watch.lines(1)
            async with server(port=urlsplit(one.url).port) as another:
                await subscribed(another, 1)
                await another.publish(trade("AAPL", 2))
                await watch.lines(3)
                signal.raise_signal(signal.SIGINT)
    assert watch.code == 0
    assert [event.get("reason", event.get("tradeID")) for event in watch.events] == ["1", "epoch_changed", "2"]
    said = watch.err.splitlines()
    assert said[1].startswith(f"{one.url}: closed with 1001: the server shuts down: trying again in ")
    assert said[-2:] == [
        f"{one.url}: connected again",
        "gap on trades of AAPL: an unknown number of messages lost (epoch_changed)",
    ]


async def test_it_does_not_come_back_where_that_is_not_wanted(watch: Watch) -> None:
    async def serve(task_status: trio.TaskStatus[str]) -> None:
        async with server() as one:
            task_status.started(one.url)
            await subscribed(one, 4)

    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve)
        await watch.run(url, reconnect=False)
    assert watch.code == 1
    assert watch.err.splitlines()[1] == "datafye-trio: closed with 1001: the server shuts down"


async def test_nobody_there(watch: Watch) -> None:
    with trio.fail_after(WAIT):
        await watch.run("ws://nowhere.invalid", reconnect=False)
    assert (watch.code, watch.out) == (1, "")
    assert watch.err.startswith("datafye-trio: cannot connect to nowhere.invalid: ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("http://localhost",), "'http://localhost' is no WebSocket URL: write ws://localhost"),
        (
            ("ws://localhost/x",),
            "'ws://localhost/x': this protocol has no path '/x'; for all channels, write ws://localhost/datafye-ws/v1",
        ),
        (("--seconds", "0"), "--seconds must be a number above 0"),
        (("--seconds", "inf"), "--seconds must be a number above 0"),
        (("--seconds", "x"), 'Invalid value for --seconds: unable to convert "x" into float.'),
        (("wss://localhost", "--ca", "no.pem"), "cannot use the authorities in no.pem: No such file or directory"),
        (("--sybmols", "A"), "Unknown option: --sybmols. Did you mean --symbols?"),
    ],
)
def test_a_wrong_command_line_is_one_line(terminal: Terminal, arguments: tuple[str, ...], line: str) -> None:
    assert terminal.complain("watch", *arguments) == line


class Tty(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return os.open(os.devnull, os.O_WRONLY)


async def test_in_a_terminal_it_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Tty()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    async with server() as one, trio.open_nursery() as nursery:
        nursery.start_soon(run, one.url, WatchFlags())
        await subscribed(one, 4)
        await one.publish([quote("AAPL", 1), trade("AAPL", 2)])
        while "100.06" not in screen.getvalue():
            await trio.testing.wait_all_tasks_blocked(0.01)
        signal.raise_signal(signal.SIGINT)
    assert "100.02" in screen.getvalue()


async def test_a_second_signal_ends_it_at_once_and_gives_the_cursor_back(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    written: list[bytes] = []
    monkeypatch.setattr(module.os, "_exit", codes.append)
    write = os.write

    def writing(file: int, data: bytes) -> int:
        if not data.startswith(b"\x1b"):  # the server's, to a socket
            return write(file, data)
        written.append(data)
        return len(data)

    monkeypatch.setattr(module.os, "write", writing)
    monkeypatch.setattr(sys, "stdout", Tty())
    async with server() as one, trio.open_nursery() as nursery:
        nursery.start_soon(run, one.url, WatchFlags())
        await subscribed(one, 4)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert (codes, written) == ([130], [b"\x1b[?25h"])


async def test_a_second_signal_without_a_terminal(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(module.os, "_exit", codes.append)
    async with server() as one, trio.open_nursery() as nursery:
        nursery.start_soon(watch.run, one.url)
        await subscribed(one, 4)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert codes == [130]


@pytest.fixture
def full() -> Iterator[io.BufferedWriter]:
    with Path("/dev/full").open("wb") as file:
        yield file


async def test_a_full_disk_is_said(watch: Watch, full: io.BufferedWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch.stdout, "fileno", full.fileno)
    async with server() as one, trio.open_nursery() as nursery:
        nursery.start_soon(watch.run, one.url)
        await subscribed(one, 4)
        await one.publish(trade("AAPL", 2))
    assert watch.code == 1
    assert watch.err.splitlines()[1] == "datafye-trio: cannot write to stdout: No space left on device"


def test_a_process_whose_reader_leaves_ends_with_0() -> None:
    with serving("--rate", "500") as url:
        command = [sys.executable, "-m", "datafye_trio", "watch", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["dataset"] == "Synthetic"
            process.stdout.close()
            assert process.wait(WAIT) == 0


def test_a_process_in_a_terminal_draws_a_table() -> None:
    leader, follower = pty.openpty()
    with serving("--rate", "500") as url:
        command = [sys.executable, "-m", "datafye_trio", "watch", url, "--seconds", "1"]
        with subprocess.Popen(command, stdout=follower, stderr=subprocess.STDOUT) as process:
            os.close(follower)
            shown = b""
            try:
                while data := os.read(leader, 65_536):
                    shown += data
            except OSError:
                pass  # how Linux says that nobody has the other end open any more
            assert process.wait(WAIT) == 0
    os.close(leader)
    for word in (b"symbol", b"AAPL", b"TSLA", b"connected", b"msg/s"):
        assert word in shown
    assert shown.endswith(b"\x1b[?25h")
