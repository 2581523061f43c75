"""`serve --testing`: the same server, whose clients get faults on demand; and what it does not go with."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from cli.feeds import SYNTHETIC
from cli.kit import Terminal
from support import RawClient, trade, upgrade_head

from datafye_trio import Program, ServerConfig, open_feed, open_server
from datafye_trio.cli.serve import run
from datafye_trio.cli.settings import load
from datafye_trio.model import Trade

WAIT = 30
QUICK = {"rate": "1000", "seed": "7"}


async def begin(nursery: trio.Nursery, serve: Callable[[], Awaitable[None]], capsys: pytest.CaptureFixture[str]) -> str:
    """Start it, and wait until it says where it is."""
    nursery.start_soon(serve)
    out = ""
    while not out.endswith("\n"):
        await trio.sleep(0.01)
        out += capsys.readouterr().out
    assert out.startswith("listening on ws://localhost:")
    return out.removeprefix("listening on ").strip()


@asynccontextmanager
async def serving(
    capsys: pytest.CaptureFixture[str], *, descriptor: Path | None = None, **flags: object
) -> AsyncIterator[str]:
    """The URL of `serve --testing`; it ends by a signal, with 0."""
    codes = []

    async def serve() -> None:
        codes.append(await run(load({"port": 0, "testing": True, **flags}, {}, None, descriptor)))

    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            yield await begin(nursery, serve, capsys)
            signal.raise_signal(signal.SIGTERM)
    assert codes == [0]


async def dial(url: str) -> RawClient:
    port = urlsplit(url).port
    assert port is not None
    return RawClient(await trio.open_tcp_stream("127.0.0.1", port))


async def post(url: str, target: str) -> Any:
    client = await dial(url)
    await client.stream.send_all(f"POST {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    status, _, body = await client.http_answer()
    await client.stream.aclose()
    assert status == 200, body
    return json.loads(body)


async def connect(url: str, path: str = "") -> tuple[RawClient, dict[str, Any]]:
    client = await dial(url)
    await client.stream.send_all(upgrade_head(f"/datafye-ws/v1{path}"))
    assert (await client.http_answer())[0] == 101
    return client, await client.message()


async def test_what_is_served_can_be_broken_and_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(capsys, **QUICK) as url:
        client, connected = await connect(url, "/stocks/live/trades?symbols=*")
        assert (await client.messages(2))[1]["type"] == "trade"
        assert (await post(url, "/faults/drop"))["done"] == 1
        assert await client.closed() == (1006, "")
        await client.stream.aclose()
        await post(url, "/faults/restart")
        client, again = await connect(url)
        assert connected["datasets"][0]["dataset"] == again["datasets"][0]["dataset"] == "Synthetic"
        assert connected["datasets"][0]["epoch"] != again["datasets"][0]["epoch"]
        await client.stream.aclose()


async def test_a_replay_is_controlled_as_ever_and_begins_anew_with_a_restart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = "".join(f"A,{n + 1}000000000,1,1,{n}\n" for n in range(5))
    (tmp_path / "t.csv").write_text("symbol,ts_ns,price,size,trade_id\n" + rows)
    async with serving(capsys, replay=(str(tmp_path),), dataset="T", paused=True) as url:
        for _ in range(2):
            client, _ = await connect(url, "/stocks/live/trades?symbols=A")
            assert (await post(url, "/replay/step?n=2"))["position"] == 2 * 10**9
            assert [message.get("tradeID") for message in await client.messages(3)] == [None, "0", "1"]
            await client.stream.aclose()
            await post(url, "/faults/restart?clean=false")


async def test_a_descriptor_says_what_is_served(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(SYNTHETIC)
    async with serving(capsys, descriptor=tmp_path / "d.yaml") as url:
        for _ in range(2):
            client, connected = await connect(url)
            (offer,) = connected["datasets"]
            assert (offer["dataset"], offer["channels"]) == ("Synthetic", ["trades", "aggregates"])
            await client.stream.aclose()
            await post(url, "/faults/restart")


async def test_a_relay_goes_on_after_a_restart(capsys: pytest.CaptureFixture[str]) -> None:
    async with open_server(ServerConfig(port=0), [Program("One")]) as up, serving(capsys, upstream=up.url) as url:
        for n in range(3):
            async with open_feed(url) as feed, feed.trades("AAPL", dataset="One") as sub:
                await up.publish(trade("AAPL", n))
                found = await anext(sub)
                assert isinstance(found, Trade)
                assert found.trade_id == str(n)
            await post(url, "/faults/restart")


async def test_a_crash_of_a_source_ends_it_if_so_wished(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("symbol,ts_ns,price,size\nA,1,2.5,3\nA,2,cheap,3\n")
    flags = {"replay": (str(tmp_path),), "dataset": "Crypto", "speed": "max", "on_source_error": "exit"}
    with trio.fail_after(WAIT):
        assert await run(load({"port": 0, "testing": True, **flags}, {}, None)) == 1


REFUSED = {
    "another host": (
        ("--testing", "--host", "0.0.0.0"),
        "--testing: whoever reaches the port can cut every client, hence it is for this machine alone, and 0.0.0.0 can "
        "be reached from outside: leave out host, or testing",
    ),
    "another host, for those that may": (
        ("--testing", "--host", "192.0.2.1", "--allow", "10.0.0.0/8"),
        "--testing: whoever reaches the port can cut every client, hence it is for this machine alone, and 192.0.2.1 "
        "can be reached from outside: leave out host, or testing",
    ),
    "a name": (
        ("--testing", "--host", "example.org"),
        "--testing: whoever reaches the port can cut every client, hence it is for this machine alone, and example.org "
        "can be reached from outside: leave out host, or testing",
    ),
    "TLS": (
        ("--testing", "--cert", "c.pem", "--key", "k.pem"),
        "--testing: frames are changed on their way, which TLS would hide: leave out cert and key, or testing",
    ),
}


@pytest.mark.parametrize(("arguments", "line"), REFUSED.values(), ids=REFUSED)
def test_what_it_does_not_go_with_is_one_line(terminal: Terminal, arguments: tuple[str, ...], line: str) -> None:
    assert terminal.complain("serve", *arguments) == line


def test_a_variable_and_a_file_say_it_too_and_are_named(terminal: Terminal, tmp_path: Path) -> None:
    line = terminal.complain("serve", "--cert", "c.pem", "--key", "k.pem", TESTING="yes")
    assert line.startswith("DATAFYE_TRIO_TESTING: frames are changed")
    (tmp_path / "serve.toml").write_text('testing = true\nhost = "10.0.0.1"\n')
    line = terminal.complain("serve", "--config", str(tmp_path / "serve.toml"))
    assert line.startswith(f"testing in {tmp_path / 'serve.toml'}: whoever reaches the port")
    for host in ("127.0.0.2", "::1", "localhost"):
        assert load({"testing": True, "host": host}, {}, None).process.testing


def test_it_is_printed_among_the_settings_and_told_in_the_help(terminal: Terminal) -> None:
    code, out, _ = terminal.run("serve", "--print-config")
    assert (code, "\ntesting = false\n" in out) == (0, True)
    code, out, _ = terminal.run("serve", "--help")
    assert code == 0
    assert "POST /faults/drop" in " ".join(out.split())
