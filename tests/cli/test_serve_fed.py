"""`serve` of what comes from elsewhere: another server (`--upstream`), or standard input (`--stdin`)."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme
from support import trade

from datafye_trio import Program, ServerConfig, open_feed, open_server
from datafye_trio.cli.serve import run
from datafye_trio.cli.settings import load
from datafye_trio.errors import ConfigurationError

WAIT = 30
LINES = [
    {"type": "trade", "symbol": "AAPL", "exchangeTimestamp": n, "exchangeID": "XNAS", "tradeID": str(n),
     "tradePrice": 1.5, "tradeSize": 10}
    for n in range(3)
]  # fmt: skip


async def url_of(capsys: pytest.CaptureFixture[str]) -> str:
    out = ""
    while not out.endswith("\n"):
        await trio.sleep(0.01)
        out += capsys.readouterr().out
    return out.removeprefix("listening on ").strip()


async def test_a_relay_passes_on_what_another_server_has(capsys: pytest.CaptureFixture[str]) -> None:
    codes = []

    async def serve(upstream: str) -> None:
        codes.append(await run(load({"port": 0, "upstream": upstream}, {}, None)))

    with trio.fail_after(WAIT):
        async with (
            open_server(ServerConfig(port=0), [Program("One"), Program("Two")]) as up,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(serve, up.url)
            async with open_feed(await url_of(capsys)) as feed, feed.trades("AAPL", dataset="Two") as sub:
                await up.publish(trade("AAPL", 7), dataset="Two")
                assert (await anext(sub)).trade_id == "7"
                assert [offer.dataset for offer in feed.server.datasets] == ["One", "Two"]
            signal.raise_signal(signal.SIGINT)
    assert codes == [0]


async def test_an_upstream_with_tls_is_trusted_by_its_own_authority(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    both = tmp_path / "both.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)

    async def serve(upstream: str) -> None:
        await run(load({"port": 0, "upstream": upstream, "upstream_ca": str(tmp_path / "ca.pem")}, {}, None))

    with trio.fail_after(WAIT):
        async with (
            open_server(ServerConfig(port=0, cert=str(both), key=str(both)), [Program()]) as up,
            trio.open_nursery() as nursery,
        ):
            assert up.url.startswith("wss://")
            nursery.start_soon(serve, up.url)
            async with open_feed(await url_of(capsys)) as feed, feed.trades("AAPL") as sub:
                await up.publish(trade("AAPL", 7))
                assert (await anext(sub)).trade_id == "7"
            signal.raise_signal(signal.SIGINT)


async def test_a_signal_ends_the_waiting_for_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    codes = []

    async def serve() -> None:
        codes.append(await run(load({"port": 0, "upstream": f"ws://127.0.0.1:{port}"}, {}, None)))

    with trio.fail_after(WAIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await trio.sleep(0.2)
            assert capsys.readouterr().out == ""
            signal.raise_signal(signal.SIGINT)
    assert codes == [0]


async def test_a_dataset_that_the_server_does_not_have_is_said() -> None:
    with trio.fail_after(WAIT):
        async with open_server(ServerConfig(port=0), [Program("One")]) as up:
            with pytest.raises(ConfigurationError, match="has no dataset Three: One"):
                await run(load({"port": 0, "upstream": up.url, "dataset": "Three"}, {}, None))


@pytest.mark.parametrize("redirected", [False, True])
def test_lines_of_standard_input_are_served(redirected: bool, tmp_path: Path) -> None:
    text = "".join(json.dumps(line) + "\n" for line in LINES)
    (tmp_path / "lines").write_text(text)
    command = [sys.executable, "-m", "datafye_trio", "serve", "--port", "0", "--stdin", "--dataset", "Mine"]
    with (tmp_path / "lines").open() as file:
        source = file if redirected else subprocess.PIPE
        with subprocess.Popen(
            command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                host, port = process.stdout.readline().removeprefix("listening on ws://").partition("/")[0].split(":")
                if process.stdin is not None:
                    process.stdin.write(text)
                    process.stdin.close()
                    process.stdin = None
                health = _health_once_ended(host, int(port))
                assert (health["datasets"][0]["dataset"], health["datasets"][0]["source"]) == ("Mine", "ended")
                process.send_signal(signal.SIGTERM)
                assert process.wait(WAIT) == 0
            finally:
                process.kill()


def _health_once_ended(host: str, port: int) -> dict[str, list[dict[str, str]]]:
    for _ in range(500):
        with socket.create_connection((host, port), timeout=WAIT) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while data := client.recv(65_536):
                answer += data
        content: dict[str, list[dict[str, str]]] = json.loads(answer.partition(b"\r\n\r\n")[2])
        if content["datasets"][0]["source"] == "ended":
            return content
    raise AssertionError(content)
