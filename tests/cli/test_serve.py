"""`serve`, in this process where possible: what it says, how it ends; and a few times as a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from cli.kit import Terminal

from datafye_trio.cli import serve as module
from datafye_trio.cli.serve import run
from datafye_trio.cli.settings import load
from datafye_trio.wire.client import ClientSocketClosed, open_client

WAIT = 30
LISTENING = "listening on "


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file to replay whose second row is malformed."""
    file = tmp_path / "trades.csv"
    file.write_text("symbol,ts_ns,price,size\nBTCUSD,1,2.5,3\nBTCUSD,2,cheap,3\n")
    return file


class Run:
    """`run` in a task, and what it printed."""

    def __init__(self, nursery: trio.Nursery, capsys: pytest.CaptureFixture[str], **flags: object) -> None:
        self.code: int | None = None
        self.ended = trio.Event()
        self._capsys = capsys
        nursery.start_soon(self._run, flags)

    async def _run(self, flags: dict[str, object]) -> None:
        self.code = await run(load({"port": 0, **flags}, {}, None))
        self.ended.set()

    async def url(self) -> str:
        out = ""
        with trio.fail_after(WAIT):
            while not out.endswith("\n"):
                await trio.testing.wait_all_tasks_blocked()
                out += self._capsys.readouterr().out
        assert out.startswith(LISTENING)
        return out.removeprefix(LISTENING).strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_0_and_clients_are_told(
    capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            server = Run(nursery, capsys)
            async with open_client(await server.url()) as client:
                signal.raise_signal(number)
                with pytest.raises(ClientSocketClosed, match="closed with 1001: the server shuts down"):
                    while True:
                        await client.receive()
            await server.ended.wait()
    assert server.code == 0


async def test_a_second_signal_ends_it_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    at_once = trio.Event()
    monkeypatch.setattr(module.os, "_exit", lambda code: (codes.append(code), at_once.set()))
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            server = Run(nursery, capsys)
            port = int((await server.url()).split(":")[2].partition("/")[0])
            stalled = await trio.open_tcp_stream("127.0.0.1", port)  # half a request: the end has to wait for it
            await stalled.send_all(b"GET / HTTP/1.1\r\n")
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            await at_once.wait()
            await stalled.aclose()
            await server.ended.wait()
    assert codes == [130]


async def test_a_crashed_source_ends_it_with_1_if_so_wished(capsys: pytest.CaptureFixture[str], broken: Path) -> None:
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            flags = {"replay": (str(broken),), "dataset": "Crypto", "speed": "max"}
            leaving = Run(nursery, capsys, on_source_error="exit", **flags)
            await leaving.ended.wait()
    assert leaving.code == 1


async def test_a_crashed_source_is_kept_by_default(capsys: pytest.CaptureFixture[str], broken: Path) -> None:
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            server = Run(nursery, capsys, replay=(str(broken),), dataset="Crypto", speed="max")
            url = await server.url()
            async with open_client(f"{url}/crypto/live/trades") as client:
                assert json.loads(await client.receive())["type"] == "connected"
            assert not server.ended.is_set()
            signal.raise_signal(signal.SIGINT)
            await server.ended.wait()
    assert server.code == 0


def test_the_whole_command_with_its_log(terminal: Terminal, broken: Path) -> None:
    code, out, err = terminal.run(
        "serve", "--port", "0", "--replay", str(broken), "--dataset", "Crypto", "--on-source-error", "exit"
    )
    assert code == 1
    assert out.startswith("listening on ws://localhost:")
    assert out.count("\n") == 1
    assert f'dataset=Crypto state=crashed why="{broken}' in err
    assert err.splitlines()[-1].endswith('stopping why="a source has crashed"')


def test_a_port_in_use_is_one_line(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = terminal.complain("serve", "--port", str(port))
    assert line == f"port {port} of localhost is in use: choose another, or 0 for any"


def test_two_datasets_of_one_name_are_one_line(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "serve.toml").write_text("port = 0\n[[datasets]]\n[[datasets]]\n")
    line = terminal.complain("serve", CONFIG=str(tmp_path / "serve.toml"))
    assert line == "the dataset Synthetic is named twice: give each source its own"


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "datafye_trio", "serve", "--port", "0", *arguments]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DATAFYE_TRIO_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_says_where_it_listens_and_ends_with_0(number: signal.Signals) -> None:
    with serving() as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on ws://localhost:")
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (0, "")
    assert 'stopping why="asked by a signal"' in err


def test_a_process_whose_output_nobody_reads_any_more_goes_on() -> None:
    with serving("--log-level", "debug") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        process.stdout.close()
        process.stderr.close()
        host, port = line.removeprefix("listening on ws://").partition("/")[0].split(":")
        for _ in range(3):  # each is logged, to nobody
            with socket.create_connection((host, int(port)), timeout=WAIT) as client:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == 0


def test_a_process_whose_log_nobody_reads_serves_on_and_ends() -> None:
    reader, writer = os.pipe()
    room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    os.write(writer, b"x" * room)  # not one line fits
    command = [sys.executable, "-m", "datafye_trio", "serve", "--port", "0", "--log-level", "debug"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=writer, text=True) as process:
        try:
            assert process.stdout is not None
            host, port = process.stdout.readline().removeprefix("listening on ws://").partition("/")[0].split(":")
            for _ in range(3):
                with socket.create_connection((host, int(port)), timeout=WAIT) as client:
                    client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")  # logged as refused
                    assert client.recv(100).startswith(b"HTTP/1.1 404 ")
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT) == 0
        finally:
            process.kill()
    os.close(reader)
    os.close(writer)


def test_a_process_with_a_wrong_setting_says_one_line_and_ends_with_2() -> None:
    with serving("--rate", "x") as process:
        assert process.communicate(timeout=WAIT) == ("", "datafye-trio: --rate must be a number or max, not 'x'\n")
        assert process.returncode == 2
