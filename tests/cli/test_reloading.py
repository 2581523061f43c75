"""SIGHUP of `serve`: what is read again, what the log says, and what a terminal that is gone means."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from cli.kit import Terminal
from support import RawClient, memory_server, upgrade_head

from datafye_trio.cli import serve as serve_module
from datafye_trio.cli.reloading import Reloader
from datafye_trio.cli.serve import run
from datafye_trio.cli.settings import load, outside_file
from datafye_trio.cli.signals import have_hung_up
from datafye_trio.server import Server
from datafye_trio.wire.client import ClientSocketClosed, open_client

WAIT = 30


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "serve.toml"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The lines of `serve`."""
    caplog.set_level(logging.INFO, "datafye_trio.serve")
    return caplog


def put(file: Path, text: str) -> None:
    file.write_text(text)


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(WAIT):
        while not condition():
            await trio.testing.wait_all_tasks_blocked()


def said(record: logging.LogRecord) -> dict[str, Any]:
    """What a line says, but for logging's own."""
    own = {*vars(logging.makeLogRecord({})), "message"}  # what has formatted it leaves that behind
    return {"event": record.getMessage()} | {
        name: value for name, value in vars(record).items() if name not in own and not name.startswith("_")
    }


class Hung:
    """A running server, and SIGHUPs for it."""

    def __init__(self, server: Server, send: Callable[[int], None], log: pytest.LogCaptureFixture) -> None:
        self.server = server
        self._send = send
        self._log = log

    def hang_up(self) -> None:
        self._send(signal.SIGHUP)

    async def up(self) -> dict[str, Any]:
        """Send one, and wait for the line that it makes."""
        before = len(self._log.records)
        self.hang_up()
        await until(lambda: len(self._log.records) > before)
        return said(self._log.records[before])


@asynccontextmanager
async def hung(log: pytest.LogCaptureFixture, file: Path | None, **flags: object) -> AsyncIterator[Hung]:
    again = partial(load, flags, {}, file)
    settings = again()
    send, receive = trio.open_memory_channel[int](1)
    async with memory_server(settings.server) as server, trio.open_nursery() as nursery:
        reloader = Reloader(settings, again, outside_file(flags, {}), file)
        nursery.start_soon(reloader.run, receive, [], lambda: None)
        await trio.testing.wait_all_tasks_blocked()
        reloader.opened(server)
        yield Hung(server, send.send_nowait, log)
        nursery.cancel_scope.cancel()


async def test_the_file_and_its_lists_are_read_again(log: pytest.LogCaptureFixture, file: Path, tmp_path: Path) -> None:
    deny = tmp_path / "deny.txt"
    put(deny, "192.0.2.1\n")
    put(file, f"[access]\ndeny = ['@{deny}']\n")
    async with hung(log, file) as process:
        client = RawClient(process.server.connect(ip_address("192.0.2.7")))
        await client.stream.send_all(upgrade_head())
        assert (await client.http_answer())[0] == 101
        put(deny, "192.0.2.7\n")
        assert await process.up() == {"event": "reloaded", "files": f"{file},{deny}", "ended": 1}
        assert (await client.closed())[0] == 1008
        await client.stream.aclose()
        put(file, "[access]\nallow = ['10.0.0.0/8']\n")
        assert await process.up() == {"event": "reloaded", "files": str(file), "ended": 0}
        assert process.server.config.access.allow == ("10.0.0.0/8",)


async def test_clients_are_served_while_a_list_is_read(
    log: pytest.LogCaptureFixture, file: Path, tmp_path: Path
) -> None:
    # 200,000 networks held up everybody for five seconds, and a pipe for as long as it pleased.
    deny, served = tmp_path / "deny.txt", threading.Event()
    in_time: list[bool] = []
    put(deny, "192.0.2.1\n")
    put(file, f"[access]\ndeny = ['@{deny}']\n")

    def write() -> None:
        with deny.open("w") as pipe:  # waits for somebody to read
            in_time.append(served.wait(5))
            pipe.write("192.0.2.7\n")

    async with hung(log, file) as process:
        client = RawClient(process.server.connect(ip_address("192.0.2.7")))
        await client.stream.send_all(upgrade_head())
        assert (await client.http_answer())[0] == 101
        await client.message()
        deny.unlink()
        os.mkfifo(deny)
        writer = threading.Thread(target=write)
        writer.start()
        process.hang_up()
        await trio.testing.wait_all_tasks_blocked()
        assert (await client.ask(action="ping"))["type"] == "pong"
        served.set()
        await until(lambda: log.records)
        writer.join()
        assert (await client.closed())[0] == 1008
        await client.stream.aclose()
        assert (in_time, said(log.records[0])["ended"]) == ([True], 1)


async def test_what_is_wrong_is_one_line_and_changes_nothing(log: pytest.LogCaptureFixture, file: Path) -> None:
    put(file, "[access]\ndeny = ['192.0.2.1']\n")
    async with hung(log, file) as process:
        before = process.server.config
        for content, why in (
            ("[access]\ndeny = ['x']\n", f"access.deny in {file}: 'x' is no network: write an address or CIDR such as"),
            ("[access]\ndeny = ['@no.txt']\n", "cannot read the list no.txt: No such file or directory"),
            ("[acess]\n", f"unknown setting acess in {file}"),
            ("cert = 'a'\nkey = 'b'", "a server cannot begin or end TLS while it runs"),
        ):
            put(file, content)
            line = await process.up()
            assert line["event"] == "not reloaded, all stays as it was"
            assert line["why"].startswith(why)
        assert process.server.config == before
        assert process.server.url.startswith("ws://")


async def test_a_bug_is_told_and_ends_nothing(log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hung(log, None) as process:
        with monkeypatch.context() as patch:
            patch.setattr(Server, "prepare_reload", lambda *_: 1 // 0)
            assert (await process.up())["event"] == "not reloaded, all stays as it was"
            assert log.records[-1].exc_info is not None
        assert await process.up() == {"event": "reloaded", "files": "none", "ended": 0}


async def test_what_flags_say_and_what_needs_a_restart_is_named(log: pytest.LogCaptureFixture, file: Path) -> None:
    put(file, "[access]\nallow = ['::1']\n")
    put(file.with_name("deny.txt"), "")
    deny = f"@{file.with_name('deny.txt')}"
    async with hung(log, file, allow=("127.0.0.0/8",), deny=(deny,), port=0) as process:
        put(file, "max_topics = 5\n[access]\nallow = ['10.0.0.0/8']\n[[datasets]]\nseed = 3\n")
        assert await process.up() == {
            "event": "reloaded",
            "files": f"{file},{deny[1:]}",
            "as_started": "--allow",
            "only_by_restart": "max_topics,datasets",
            "ended": 0,
        }
        assert process.server.config.access.allow == ("127.0.0.0/8",)
        assert process.server.config.max_topics != 5


async def test_a_server_for_tests_says_that_there_is_nothing_to_reload(log: pytest.LogCaptureFixture) -> None:
    settings = load({}, {}, None)
    reloader = Reloader(settings, lambda: settings)
    reloader.opened(None)
    send, receive = trio.open_memory_channel[int](1)
    send.send_nowait(signal.SIGHUP)
    send.close()
    await reloader.run(receive, [], lambda: None)
    assert [record.getMessage() for record in log.records] == ["not reloaded"]


async def test_a_server_that_has_stopped_has_nothing_to_complain_of(log: pytest.LogCaptureFixture) -> None:
    settings = load({}, {}, None)
    reloader = Reloader(settings, lambda: settings)
    async with memory_server() as server:
        reloader.opened(server)
    send, receive = trio.open_memory_channel[int](1)
    send.send_nowait(signal.SIGHUP)
    send.close()
    await reloader.run(receive, [], lambda: None)
    assert not log.records


async def test_sighup_reloads_the_command_and_does_not_end_it(
    log: pytest.LogCaptureFixture, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(file, "port = 0\n")
    again = partial(load, {}, {}, file)
    settings = again()
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, settings, Reloader(settings, again, {}, file))
            out = ""
            while not out.endswith("\n"):
                await trio.testing.wait_all_tasks_blocked()
                out += capsys.readouterr().out
            url = out.removeprefix("listening on ").strip()
            async with open_client(url) as client:
                put(file, "port = 0\n[access]\ndeny = ['127.0.0.0/8', '::1']\n")
                signal.raise_signal(signal.SIGHUP)
                with pytest.raises(ClientSocketClosed, match=r"closed with 1008: the address .* is not allowed here"):
                    while True:
                        await client.receive()
            assert [record.getMessage() for record in log.records] == ["reloaded"]
            signal.raise_signal(signal.SIGTERM)


async def test_a_terminal_that_is_gone_ends_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    window, terminal = os.openpty()
    monkeypatch.setattr(serve_module, "terminals", lambda: [terminal])
    assert not have_hung_up([terminal])
    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, load({"port": 0}, {}, None))
            while not capsys.readouterr().out:
                await trio.testing.wait_all_tasks_blocked()
            os.close(window)
            signal.raise_signal(signal.SIGHUP)
    os.close(terminal)


def test_the_collector_looks_at_less_while_it_serves_and_at_all_afterwards(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def run(*_: object) -> int:
        seen.append((gc.get_threshold(), gc.get_freeze_count() > 0))
        return 0

    before = gc.get_threshold()
    monkeypatch.setattr(serve_module, "run", run)
    assert terminal.run("serve")[0] == 0
    assert seen == [((50_000, 10, 10), True)]
    assert gc.get_threshold() == before
