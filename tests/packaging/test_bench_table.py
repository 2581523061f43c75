"""`scripts/bench`: small real runs of ours, the load client's judgement of what a server sends, and the arithmetic.

The runs are tiny and in this environment: they prove that the parts work together, and time nothing.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import attrs
import msgspec
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
OURS = {"ours": {"dialect": "datafye", "mixed": True, "tls": True}}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The benchmarks' modules, which find each other where they stand."""
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmark import cli, fanout, latency, load, load_clients, payload, processes, resume, rounds, suite, table

    modules: list[ModuleType] = [cli, fanout, latency, load, load_clients, payload, processes, resume, rounds, suite]
    return SimpleNamespace(**{module.__name__.split(".")[1]: module for module in [*modules, table]})


def course(bench: SimpleNamespace, python: Path = Path(sys.executable), rounds: int = 2) -> Any:
    peers = bench.rounds.Peers(OURS, {}, {})
    return bench.rounds.Course(python, peers, rounds, 0.01, quick=True)


def values_of(rows: Sequence[Any]) -> dict[str, Any]:
    assert [row.failure for row in rows] == [""] * len(rows)
    return {row.figure: row.value for row in rows}


# Small real runs.


@pytest.mark.parametrize("name", ["fanout-100", "mixed", "tls"])
def test_a_small_fan_out(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    small = attrs.evolve(bench.fanout.FANOUTS[name], contenders=("ours",), clients=3, audited=50)
    monkeypatch.setitem(bench.fanout.FANOUTS, name, small)
    values = values_of(bench.fanout.run(name, course(bench, rounds=2 if name == "fanout-100" else 1)))
    assert values["messages/s"].lowest > 0


def test_a_small_single(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.latency, "_CLIENTS", 3)
    monkeypatch.setattr(bench.latency, "_INTERVAL", 0.001)
    values = values_of(bench.latency.single(course(bench, rounds=1)))
    assert 0 < values["ms p50"].median <= values["ms p99"].median


def test_a_small_resume(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.resume, "_CLIENTS", 3)
    monkeypatch.setattr(bench.resume, "_MESSAGES", 100)
    assert values_of(bench.resume.run(course(bench, rounds=1)))["ms"].median > 0


# A server that does not do as it should.


def frame(payload: bytes) -> bytes:
    size = len(payload)
    return b"\x81" + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)) + payload


@pytest.fixture
def load_from(bench: SimpleNamespace) -> Iterator[Callable[..., Any]]:
    """A load client of one, and what its server sends it before it hangs up; with `hold` it does not."""
    threads, loads = [], []

    def serve(listener: socket.socket, stream: bytes, hold: bool) -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            connection.recv(65_536)
            connection.sendall(frame(b'{"type":"subscribed"}'))
            connection.recv(65_536)  # its word that it listens
            connection.sendall(stream)
            if hold:
                connection.recv(1)

    def load_from(messages: Sequence[dict[str, Any]], rest: bytes = b"", *, hold: bool = False) -> Any:
        stream = b"".join(frame(msgspec.json.encode(message)) for message in messages) + rest
        listener = socket.create_server(("127.0.0.1", 0))
        threads.append(threading.Thread(target=serve, args=(listener, stream, hold)))
        threads[-1].start()
        loads.append(bench.load.Load(bench.load_clients.Job(listener.getsockname()[1], 1)))
        client = loads[-1]._clients[0]
        client.send(b"go")
        client.socket.setblocking(False)
        return loads[-1]

    yield load_from
    for load in loads:
        load._clients[0].socket.close()
        load._poll.close()
    for thread in threads:
        thread.join()


def quotes(bench: SimpleNamespace, count: int) -> list[dict[str, Any]]:
    import time

    return [bench.payload.message(number, time.time_ns()) for number in range(count)]


def test_what_is_sound_is_counted(bench: SimpleNamespace, load_from: Callable[..., Any]) -> None:
    messages = quotes(bench, 5)
    load = load_from(messages[:3], b"".join(frame(msgspec.json.encode(message)) for message in messages[3:]), hold=True)
    # A heartbeat is none of the messages.
    assert load.audit(5) == {"frames": 5}
    load = load_from(messages[:2], frame(b'{"type":"heartbeat"}') + frame(msgspec.json.encode(messages[2])))
    assert load.burst(3)["frames"] == 3


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda sound: sound[:-1], "was disconnected"),
        (lambda sound: [sound[0], *sound[2:], sound[1]], "should be"),
        (lambda sound: [sound[0] | {"bidPrice": 1.0}, *sound[1:]], "should be"),
        (lambda sound: [sound[0] | {"symbol": "OTHER"}, *sound[1:]], "is not what it asked for"),
        (lambda sound: [*sound[:-1], sound[-1] | {"seq": 9}], "should have a seq of"),
        (lambda sound: [sound[0] | {"exchangeTimestamp": 1}, *sound[1:]], "cannot be"),
        (lambda sound: [*sound, sound[0]], "is one too many|bytes too many"),
    ],
    ids=["lost", "order", "price", "symbol", "seq", "stamp", "surplus"],
)
def test_an_audit_finds_what_is_not_sound(
    bench: SimpleNamespace,
    load_from: Callable[..., Any],
    spoil: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    error: str,
) -> None:
    load = load_from(spoil(quotes(bench, 4)))
    with pytest.raises(bench.load_clients.LoadError, match=error):
        load.audit(4)


@pytest.mark.parametrize("sent", [2, 4])
def test_a_burst_with_a_message_less_or_more_is_an_error(
    bench: SimpleNamespace, load_from: Callable[..., Any], sent: int
) -> None:
    load = load_from(quotes(bench, sent))
    with pytest.raises(bench.load_clients.LoadError, match=r"was disconnected|got 4 messages, not 3|bytes too many"):
        load.burst(3)


def test_a_burst_that_ends_with_another_message_is_an_error(
    bench: SimpleNamespace, load_from: Callable[..., Any]
) -> None:
    sound = quotes(bench, 4)
    load = load_from([sound[0], sound[1], sound[3]])
    with pytest.raises(bench.load_clients.LoadError, match="not with a seq of"):
        load.burst(3)


# Processes that fail.


def python_that(folder: Path, contend: str, load: str) -> Path:
    program = folder / "python"
    program.write_text(f'#!/bin/sh\ncase "$2" in *contend) {contend};; *) {load};; esac\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("contend", "load", "error"),
    [
        ("echo it broke >&2; exit 3", "cat", "ours ended with exit code 3; ours said: it broke"),
        ("echo nonsense; cat", "cat", "which is no JSON object"),
        (
            """echo '{"port":1}'; cat >/dev/null""",
            """echo '{"error":"client 2 misses one"}'""",
            "the load client of ours: client 2 misses one",
        ),
    ],
    ids=["ends", "babbles", "loses"],
)
def test_a_failure_has_a_name_and_no_number(
    bench: SimpleNamespace, tmp_path: Path, contend: str, load: str, error: str
) -> None:
    [row] = bench.fanout.run("fanout-100", course(bench, python_that(tmp_path, contend, load)))
    assert row.contender == "ours"
    assert row.value is None
    assert error in row.failure


# Arithmetic.


def test_ratios_are_made_within_a_round(bench: SimpleNamespace) -> None:
    values = {"ours": {"messages/s": [10.0, 40.0, 90.0]}, "picows, uvloop": {"messages/s": [1.0, 2.0, 3.0]}}
    rows = bench.table.rows_of("fanout-100", bench.rounds.Turns(values, {"nchan": "it broke"}))
    ours, picows, nchan = rows
    assert ours.ratio is None
    assert picows.ratio == bench.table.Spread(20.0, 10.0, 30.0)
    assert (picows.wanted.least, picows.met) == (15, True)
    assert (nchan.value, nchan.met) == (None, None)
    table = bench.table.render(rows, {})
    assert "20.0 (10.0 to 30.0)" in table
    assert ">= 15: met" in table
    assert "no figure: it broke" in table
    assert [row["met"] for row in bench.table.to_json(rows)] == [None, True, None]


@pytest.mark.parametrize(("theirs", "met"), [([3.0], True), ([2.0], True), ([1.5], False)])
def test_a_time_is_to_be_no_longer(bench: SimpleNamespace, theirs: list[float], met: bool) -> None:
    values = {"ours": {"ms p99": [2.0]}, "picows, uvloop": {"ms p99": theirs}}
    row = bench.table.rows_of("latency", bench.rounds.Turns(values, {}))[1]
    assert row.met is met
    assert ("NOT MET" in bench.table.render([row], {})) is not met


def test_percentiles_are_of_what_was(bench: SimpleNamespace) -> None:
    found = bench.load.percentiles([float(value) for value in range(1_000, 0, -1)])
    assert found == {"p50": 500.0, "p99": 990.0, "p99.9": 999.0, "worst": 1_000.0}
    assert bench.load.percentiles([3.0])["p50"] == 3.0


@pytest.mark.parametrize(
    ("limit", "start", "step", "found"), [(1_000, 400, 2.0, 800), (1_000, 800, 1.25, 1_000), (700, 800, 1.25, 640)]
)
def test_the_search_for_a_rate(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, limit: float, start: float, step: float, found: float
) -> None:
    monkeypatch.setattr(bench.latency._Search, "holds", lambda _self, rate: rate <= limit)
    assert bench.latency._Search(course(bench), "ours").highest(start, step) == found


def test_baskets_are_the_same_everywhere(bench: SimpleNamespace) -> None:
    mine = bench.payload.basket(7, 500, 50)
    assert (len(set(mine)), mine) == (50, bench.payload.basket(7, 500, 50))
    assert mine != bench.payload.basket(8, 500, 50)


# The command.


@pytest.fixture
def call(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str, str]]:
    def call(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        try:
            code = bench.cli.main()
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return call


def test_help_names_all_of_them(bench: SimpleNamespace, call: Callable[..., tuple[Any, str, str]]) -> None:
    code, printed, _ = call("--help")
    assert code == 0
    for name in (*bench.suite.SUITE, "aggregate", "strategy", "growth", "examples:", "--quick"):
        assert name in printed


def test_a_name_that_is_none(call: Callable[..., tuple[Any, str, str]]) -> None:
    assert call("fanout")[0].startswith("there is no benchmark 'fanout'; there are: fanout-100, ")
    assert "there is no contender 'nobody'; there are: ours; " in call("--offline", "--contenders", "nobody")[0]
    code, _, said = call("--seconds", "0")
    assert code == 2
    assert "'0' is no number from 0.01 to 10" in said


def test_one_object_and_an_exit_code(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple[Any, str, str]]
) -> None:
    failed = bench.table.Row("resume", "ours", failure="it broke")
    monkeypatch.setattr(bench.cli, "find_peers", lambda _python: bench.rounds.Peers(OURS, {}, {"trio": "1"}))
    monkeypatch.setitem(bench.suite.SUITE, "resume", bench.suite.Benchmark("", lambda _course: [failed]))
    code, printed, said = call("resume", "--offline", "--json")
    result = json.loads(printed)
    assert (code, result["rows"][0]["failure"], result["versions"]) == (1, "it broke", {"trio": "1"})
    assert result["machine"]["cores"] >= 1
    assert "resume: " in said


def test_control_c_is_no_traceback(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, call: Callable[..., tuple[Any, str, str]]
) -> None:
    def interrupted(_course: Any) -> list[Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.cli, "find_peers", lambda _python: bench.rounds.Peers(OURS, {}, {}))
    monkeypatch.setitem(bench.suite.SUITE, "resume", bench.suite.Benchmark("", interrupted))
    code, printed, said = call("resume", "--offline")
    assert (code, printed) == (130, "")
    assert said.endswith("stopped\n")
