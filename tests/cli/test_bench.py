"""`bench`: what it finds out of sound servers, what it says, and how it ends."""

from __future__ import annotations

import json
import signal

import pytest
import trio
from cli.benching import Bench, dialling, load, publish
from cli.kit import Terminal
from processes import serving
from support import START_NS, memory_server, quote, trade
from trio.testing import MockClock

from datafye_trio import HeartbeatConfig, Server, ServerConfig, Synthetic, SyntheticConfig
from datafye_trio.cli import bench as module
from datafye_trio.cli.bench_client import requests_of
from datafye_trio.cli.bench_load import LoadConfig
from datafye_trio.client.options import Wish
from datafye_trio.errors import ConnectError
from datafye_trio.model import Channel, Frequency


async def test_a_sound_server_is_measured(autojump_clock: MockClock, bench: Bench) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 20)
        await bench.run(load(dialling(server), seconds=10.0, connect_rate=10.0), as_json=True)
    assert (bench.code, bench.err.count("\n")) == (0, 1)
    found = bench.found
    assert found["seconds"] == pytest.approx(10, abs=0.01)
    assert (found["receiving"], found["messages"], found["missing"]) == (3, 120, 0)
    rates = found["messages_per_second"]
    assert [rates[name] for name in ("all", "least", "median", "most")] == pytest.approx([12, 4, 4, 4], rel=0.01)
    assert (found["latency_scale"], found["busy"]) == ("latency", 0.5)
    assert list(found["latency_ms"].values()) == pytest.approx([250] * 5, rel=1 / 64)
    assert found["failures"] == found["cut"] == found["refused"] == []


async def test_the_table_says_the_same(autojump_clock: MockClock, bench: Bench) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 20)
        await bench.run(load(dialling(server)))
    lines = [line.split() for line in bench.out.splitlines()]
    assert ["messages/s", "12", "4", "4", "4"] in lines
    assert any(line[:1] == ["latency"] and len(line) == 6 for line in lines)
    assert "3 of 3 clients received, 10.0 s measured\nlost: nothing: every seq was checked\n" in bench.out
    assert "needs clocks that agree" in bench.out


async def test_a_client_survives_by_answering_heartbeats(autojump_clock: MockClock, bench: Bench) -> None:
    config = ServerConfig(heartbeat=HeartbeatConfig(interval=1, timeout=2))
    async with memory_server(config) as server:
        await bench.run(load(dialling(server), seconds=60.0), as_json=True)
    assert (bench.code, bench.found["cut"], bench.found["latency_ms"]) == (0, [], None)


async def test_stamps_of_another_day_are_told_as_a_spread(autojump_clock: MockClock, bench: Bench) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 20, 86_400.0)
        await bench.run(load(dialling(server)))
    assert "the stamps are 24.0 h old" in bench.out
    assert ["spread", *["0.00"] * 5] in [line.split() for line in bench.out.splitlines()]


async def test_a_replay_at_another_speed_has_no_latencies(autojump_clock: MockClock, bench: Bench) -> None:
    async def fast(server: Server) -> None:
        for number in range(80):
            await server.publish(trade("AAPL", number * 10**10 - 86_400 * 10**9))
            await trio.sleep(0.25)

    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(fast, server)
        await bench.run(load(dialling(server)))
    assert "the stamps advance 40.0 s in a second: a replay at another speed" in bench.out
    assert "spread" not in bench.out


async def test_symbols_that_are_refused_are_told(autojump_clock: MockClock, bench: Bench) -> None:
    async with memory_server(sources=[Synthetic(SyntheticConfig(rate=1))]) as server:
        await bench.run(load(dialling(server), symbols=("NOPE",)))
        assert (bench.code, bench.out) == (1, "")
        assert bench.err.startswith("datafye-trio: UNKNOWN_SYMBOL: ")
        await bench.run(load(dialling(server), symbols=("AAPL,NOPE",), channels=("trades,quotes",)))
    assert bench.code == 0
    assert "refused: 3 clients: UNKNOWN_SYMBOL: " in bench.out


async def test_ctrl_c_ends_early_with_what_there_is(autojump_clock: MockClock, bench: Bench) -> None:
    async with memory_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(publish, server, 20)
        nursery.start_soon(bench.run, load(dialling(server), seconds=100.0))
        await trio.sleep(6)
        signal.raise_signal(signal.SIGINT)
    assert bench.code == 130
    assert "3 of 3 clients received, 5.0 s measured" in bench.out
    assert any(line.split()[:1] == ["messages/s"] for line in bench.out.splitlines())


async def test_ctrl_c_before_anything_was_measured(autojump_clock: MockClock, bench: Bench) -> None:
    async def dial() -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.run, load(dial))
        await trio.sleep(1)
        signal.raise_signal(signal.SIGINT)
    assert (bench.code, bench.err) == (130, "")
    assert "0 of 3 clients received, 0.0 s measured" in bench.out


async def test_why_clients_did_not_connect_is_told_for_a_few_reasons(autojump_clock: MockClock, bench: Bench) -> None:
    calls = 0

    async with memory_server() as server:

        async def dial() -> trio.abc.Stream:
            nonlocal calls
            await trio.lowlevel.checkpoint()
            calls += 1
            if calls == 1:
                return server.connect()
            raise ConnectError(f"test answered HTTP 503: reason {calls}")

        await bench.run(load(dial, clients=9))
    assert bench.code == 3
    assert "1 of 9 clients received" in bench.out
    assert bench.out.count("not connected: 1 client: test answered HTTP 503: reason ") == 5
    assert "not connected: 3 clients for other reasons" in bench.out


async def test_a_process_that_is_busy_all_the_time_says_so(autojump_clock: MockClock, bench: Bench) -> None:
    async with memory_server() as server:
        config = load(dialling(server), channels=("quotes",))
        busy = LoadConfig(**{name: getattr(config, name) for name in ("wanted", "clients", "connect_rate", "warmup",
                          "seconds", "wall_clock")}, cpu_clock=trio.current_time)  # fmt: skip
        await server.publish(quote("AAPL", START_NS))
        await bench.run(busy)
    assert bench.code == 0
    assert "this process used 100% of a core" in bench.out
    assert "latency: no event with a stamp has come" in bench.out


def test_requests_keep_to_the_limits_of_the_server() -> None:
    symbols = tuple(f"S{number}" for number in range(1_000))
    wish = Wish((Channel.TRADES, Channel.AGGREGATES), symbols, Frequency.HOUR, running=True, dataset="SIP")
    requests = [json.loads(text) for text in requests_of(wish, {"requestBytes": 4_096, "symbolsPerRequest": 300})]
    assert [request["id"] for request in requests] == list(range(1, len(requests) + 1))
    assert max(len(request["symbols"]) for request in requests) == 300
    trades = [request for request in requests if request["channels"] == ["trades"]]
    assert tuple(symbol for request in trades for symbol in request["symbols"]) == symbols
    assert "frequency" not in trades[0]
    bars = requests[-1]
    assert (bars["frequency"], bars["running"], bars["snapshot"], bars["dataset"]) == ("Hour", True, False, "SIP")
    long = Wish((Channel.TRADES,), tuple("L" * 31 + str(number) for number in range(500)), Frequency.MINUTE)
    assert all(len(text) <= 4_096 for text in requests_of(long, {"requestBytes": 1}))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--clients", "0"), "--clients must be a whole number from 1 to 100,000"),
        (("--seconds", "nan"), "--seconds must be a number of at least 0.1"),
        (("--connect-rate", "0"), "--connect-rate must be a number of at least 0.1"),
        (("--warmup", "-1"), "--warmup must be a number of at least 0"),
        (("--channels", "news"), "unknown channel 'news': use one of quotes, trades, aggregates, sma, ema"),
        (("--symbols", ","), 'symbols: name at least one ("*" is every symbol)'),
        (("ws://localhost/datafye-ws/v1/stocks/history",),
         "'ws://localhost/datafye-ws/v1/stocks/history' is a path of stored data: name one of live data, or none"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line(terminal: Terminal, arguments: tuple[str, ...], line: str) -> None:
    assert terminal.complain("bench", *arguments) == line


@pytest.mark.parametrize(
    ("soft", "hard", "limit"), [(100, 5_000, 1_064), (2_000, 5_000, None), (-1, -1, None), (100, -1, 1_064)]
)
def test_open_files_are_asked_for(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, limit: int | None) -> None:
    asked = []
    monkeypatch.setattr(module.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(module.resource, "setrlimit", lambda _, limits: asked.append(limits))
    module._allow_files(1_064)
    assert asked == ([] if limit is None else [(limit, hard)])


def test_too_few_open_files_are_told(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.resource, "getrlimit", lambda _: (100, 500))
    assert terminal.complain("bench", "--clients", "1000") == (
        "1,000 clients need 1,064 open files, and the system allows 500: raise it (ulimit -n), or name fewer --clients"
    )


def test_a_real_server_over_sockets(terminal: Terminal) -> None:
    with serving("--rate", "1000") as url:
        code, out, err = terminal.run("bench", url, "--clients", "4", "--seconds", "0.2", "--warmup", "0", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["receiving"], found["latency_scale"]) == (4, "latency")
    assert found["messages"] > 0
