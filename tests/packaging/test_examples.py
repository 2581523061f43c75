"""Every program in `scripts/examples`: what it prints, under virtual time; and that it runs as a script, by its names.

Under virtual time a program's own `main` runs, and what it opens by TCP, whatever the name, leads to a server in
memory. As a script, a name leads to a local server by a proxy in the environment, as behind a firewall.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import ModuleType

import pytest
import trio
import trustme
from client.plain_server import open_plain_server
from processes import WAIT
from support import quote, trade
from trio.testing import MockClock

from datafye_trio import Server, ServerConfig, Synthetic, SyntheticConfig, open_server
from datafye_trio.testing import Proxy, open_proxy

EXAMPLES = Path(__file__).resolve().parents[2] / "scripts" / "examples"
PRICE = r"\d+\.\d+"
TRADE = r"Trade\(symbol='{}', .*\)\n"
PRINTED = {
    "quotes": rf"(AAPL {PRICE} {PRICE}\n){{5}}",
    "channels": rf"((quote (AAPL|MSFT) {PRICE} {PRICE}|trade (AAPL|MSFT) {PRICE} \d+)\n){{2,}}",
    "reconnect": r"state: connecting\nstate: connected\nstate: live\n(\d+00 trades\n){10}"
    r"([A-Z]+: \d+ received, 0 missing\n){10}",
    "backpressure": r"error: 32 events wait.*\nerror: 32 delivered, 0 dropped, 0 conflated, 0 pauses\n"
    r"(wait: \d{3,} delivered, 0 dropped, 0 conflated, [1-9]\d* pauses\n"
    r"|drop_oldest: \d+ delivered, [1-9]\d* dropped, 0 conflated, 0 pauses\n"
    r"|latest: \d+ delivered, 0 dropped, [1-9]\d* conflated, 0 pauses\n){3}",
    "subscriptions": r"UNKNOWN_SYMBOL: .*\(ZZZZ\)\nsubscribed: AAPL - refused: \('ZZZZ',\)\n"
    rf"subscribed: AAPL MSFT NVDA\ntopics on the wire: 3\n{TRADE.format('MSFT')}subscribed: MSFT\n",
    "history": rf"(2025-01-02 09:3\d:00-05:00 ({PRICE} ){{4}}\d+\n){{5}}",
    "since": rf"[1-9]\d* stored trades of the last ten seconds, then live:\n({TRADE.format('AAPL')}){{5}}",
}
"""What each of them prints, as a regular expression; `lifecycle` is tested by itself."""
OTHERS = {"lifecycle", "sma_crossover", "spread_watcher", "pair_monitor"}
"""The strategies are tested in test_strategies.py."""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def market(rate: float = 100.0) -> list[Synthetic]:
    return [Synthetic(SyntheticConfig(seed=7, rate=rate))]


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server in memory whose wall clock begins now: an example that says "ten seconds ago" means those."""
    begun = time.time_ns()

    def wall_clock() -> int:
        return begun + round(trio.current_time() * 1e9)

    async with open_server(ServerConfig(), market(), listen=False, wall_clock=wall_clock) as server:
        yield server


def map_names(monkeypatch: pytest.MonkeyPatch, connect: Callable[[], trio.abc.Stream]) -> list[tuple[str, int]]:
    """Whatever is opened by TCP leads there; gives the names and ports that were asked for."""
    dialled: list[tuple[str, int]] = []

    async def open_tcp_stream(host: str, port: int) -> trio.abc.Stream:
        dialled.append((host, port))
        return connect()

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    monkeypatch.setattr("datafye_trio.wire.proxy.getproxies", dict)
    return dialled


def test_every_example_is_tested() -> None:
    named = {path.stem for path in EXAMPLES.glob("*.py")}
    assert {name for name in named if not name.startswith("test_")} == {*PRINTED, *OTHERS}  # those: test_recipes


@pytest.mark.parametrize("name", PRINTED)
async def test_what_it_prints(
    name: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATAFYE_WS_URL", raising=False)
    async with serving() as server:
        dialled = map_names(monkeypatch, server.connect)
        with trio.fail_after(90):
            await load(name).main(None)
    assert set(dialled) == {("localhost", 8080)}
    printed = capsys.readouterr().out
    assert re.fullmatch(PRINTED[name], printed), printed


async def test_quotes_of_every_deployment(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes = load("quotes")
    monkeypatch.setenv("DATAFYE_WS_URL", "ws://named.example:7775")
    async with serving() as server:
        dialled = map_names(monkeypatch, server.connect)
        for url in (quotes.DEPLOYMENTS["local"], quotes.DEPLOYMENTS["internal"], None):
            with trio.fail_after(60):
                await quotes.main(url)
    assert dialled == [("localhost", 8080), ("api.rumi.local", 80), ("named.example", 7775)]
    assert quotes.DEPLOYMENTS["external"] == "wss://alice-trading-api.datafye.io/datafye-ws/v1"
    assert len(capsys.readouterr().out.splitlines()) == 15


async def test_a_server_that_has_only_what_datafye_documents(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_plain_server() as server, trio.open_nursery() as nursery:
        map_names(monkeypatch, server.connect)
        for name in ("quotes", "channels"):
            nursery.start_soon(load(name).main, None)
        for n in range(12):  # until both know what they talk to, these go to nobody
            await trio.sleep(1)
            await server.publish(quote(n=n), trade(n=n))
    assert server.faults == []
    kinds = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert kinds.count("AAPL") == 5
    assert {"quote", "trade"} < set(kinds)


@asynccontextmanager
async def reconnecting(monkeypatch: pytest.MonkeyPatch, servers: list[Server]) -> AsyncIterator[Proxy]:
    """The example on reconnection, connected with the first of these by a proxy that can cut; waits for its end."""

    async def reach() -> trio.abc.Stream:
        return servers[0].connect()

    async with open_proxy(reach) as proxy, trio.open_nursery() as nursery:
        map_names(monkeypatch, proxy.connect)
        nursery.start_soon(load("reconnect").main, None)
        await trio.sleep(3)
        yield proxy


async def test_a_feed_that_is_cut_says_so_and_loses_nothing(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as server, reconnecting(monkeypatch, [server]) as proxy:
        proxy.refuse_for(2)
        assert proxy.cut_all() == 1
    lines = capsys.readouterr().out.splitlines()
    states = [line.split()[1] for line in lines if line.startswith("state:")]
    assert (states[0], states[-1]) == ("connecting", "live")
    assert {"disconnected", "recovering"} < set(states)
    assert sum(line.endswith("received, 0 missing") for line in lines) == 10
    assert not any("gap" in line for line in lines)
    assert any(record.getMessage().startswith("disconnected: ") for record in caplog.records)


async def test_a_server_that_begins_anew_is_shown_as_a_gap(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving() as first, serving() as second:
        servers = [first]
        async with reconnecting(monkeypatch, servers) as proxy:
            servers[0] = second
            proxy.cut_all()
    lines = capsys.readouterr().out.splitlines()
    assert "gap on trades of AAPL: an unknown number of messages lost (epoch_changed)" in lines


def environment(**more: str) -> dict[str, str]:
    """This process's, without any proxy of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PYTHONWARNINGS": "error"} | more


async def run(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run Python in the folder of the examples, within `WAIT` seconds."""
    with trio.fail_after(WAIT):
        return await trio.run_process(
            [sys.executable, *arguments],
            cwd=EXAMPLES, env=env, capture_stdout=True, capture_stderr=True, check=False,
        )  # fmt: skip


ONE_AFTER_ANOTHER = """
import runpy, sys
_, url, *scripts = sys.argv
for script in scripts:
    sys.argv = [script, url]
    runpy.run_path(script, run_name="__main__")
"""
"""One process for all, since most of an example's time goes into imports."""


async def test_they_run_as_scripts_and_end_by_themselves() -> None:
    quick = [name for name in PRINTED if name not in ("reconnect", "backpressure")]
    async with open_server(ServerConfig(port=0), market(rate=1_000.0)) as server:
        scripts = [f"{name}.py" for name in quick]
        done = await run("-c", ONE_AFTER_ANOTHER, server.url, *scripts, env=environment())
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch("".join(PRINTED[name] for name in quick), done.stdout.decode())


async def test_ctrl_c_ends_one_without_a_traceback() -> None:
    command = [sys.executable, str(EXAMPLES / "reconnect.py")]
    with trio.fail_after(WAIT):
        async with open_server(ServerConfig(port=0), market(rate=10.0)) as server:
            process = await trio.lowlevel.open_process(
                [*command, server.url], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            assert process.stdout is not None
            printed = b""
            while b"state: live" not in printed:
                printed += await process.stdout.receive_some()
            process.send_signal(signal.SIGINT)
            async for more in process.stdout:
                printed += more
            assert await process.wait() == 0
    assert b"Traceback" not in printed


@asynccontextmanager
async def name_mapping(names: dict[str, int]) -> AsyncIterator[str]:
    """An HTTP proxy that connects whoever asks for such a name with a port of this machine; gives its URL."""

    async def copy(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
        with suppress(trio.BrokenResourceError):  # a client that has what it wanted may not read the rest
            async for data in source:
                await sink.send_all(data)

    async def serve(stream: trio.SocketStream) -> None:
        line = (await stream.receive_some()).decode().splitlines()[0]
        target = line.removeprefix("CONNECT ").removesuffix(" HTTP/1.1")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        there = await trio.open_tcp_stream("127.0.0.1", names[target])
        async with stream, there, trio.open_nursery() as nursery:
            nursery.start_soon(copy, stream, there)
            await copy(there, stream)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_internal_and_external_names(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("alice-trading-api.datafye.io")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    secure = ServerConfig(port=0, cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))
    done: dict[str, subprocess.CompletedProcess[bytes]] = {}

    async def follow(name: str, env: dict[str, str]) -> None:
        done[name] = await run("quotes.py", name, env=env)

    async with (
        open_server(ServerConfig(port=0), market()) as internal,
        open_server(secure, market()) as external,
        name_mapping(
            {"api.rumi.local:80": internal.port, "alice-trading-api.datafye.io:443": external.port}
        ) as proxy,
    ):  # fmt: skip
        env = environment(http_proxy=proxy, https_proxy=proxy, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow, "internal", env)
            nursery.start_soon(follow, "external", env)
    for name, one in done.items():
        assert (one.returncode, one.stderr) == (0, b""), name
        assert re.fullmatch(PRINTED["quotes"], one.stdout.decode()), name


async def test_the_lifecycle_prints_the_frames_of_all_five_steps() -> None:
    async with open_server(ServerConfig(port=0), market()) as server:
        url = f"{server.url}/stocks/live/quotes".replace("localhost", "127.0.0.1")
        done = await run("lifecycle.py", url, "MSFT", env=environment())
    assert done.returncode == 0, done.stderr
    steps = done.stdout.decode().split("\n# ")
    assert [step[:2] for step in steps[1:]] == ["1.", "2.", "3.", "4.", "5."]
    frames = ("connected", "subscribed", "quote", "unsubscribed", "closed with 1000")
    assert all(frame in step for step, frame in zip(steps[1:], frames, strict=True))
    gone = await run("lifecycle.py", "ws://127.0.0.1:9/", env=environment())
    assert (gone.returncode, len(gone.stderr.splitlines())) == (1, 1)
