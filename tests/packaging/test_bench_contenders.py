"""The servers that `scripts/bench` measures: each serves everything, in order, whatever it is ordered to do.

The runs are tiny and in this environment: they prove that the contenders work, and time nothing.
"""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SYMBOLS = 4
NAMES = [
    *("ours", "raw limit", "trio-websocket", "websockets.trio", "websockets", "aiohttp"),
    *("picows, uvloop", "node ws", "mosquitto", "nchan"),  # where they are installed
]


@pytest.fixture
def contend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark's own module, which finds its neighbours where it stands."""
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmark import contend

    return contend


def messages(client: Any, count: int, content: Any) -> Iterator[dict[str, Any]]:
    """What a client receives: so many messages, and nothing behind them."""
    client.socket.settimeout(10)
    while count > 0:
        data = client.socket.recv(65_536)
        assert data, "disconnected"
        for _, payload in client.frames.feed(data):
            if b'"exchangeTimestamp"' in payload:
                count -= 1
                yield json.loads(content(payload))
    assert count == 0
    assert not client.frames.rest


@pytest.mark.parametrize("name", NAMES)
def test_serves_everything_in_order(contend: ModuleType, name: str) -> None:
    from benchmark.load_clients import DIALECTS, Job, connect
    from benchmark.payload import message, symbol_of
    from benchmark.processes import open_speaker

    if why := contend.CONTENDERS[name].missing():
        pytest.skip(why)
    able = contend.CONTENDERS[name]
    symbols, basket = (SYMBOLS, 2) if able.mixed else (1, 0)
    job = json.dumps({"clients": 2, "symbols": symbols})
    seen: Counter[tuple[int, str, str]] = Counter()
    with open_speaker(name, sys.executable, "contend", name, job) as server:
        wanted = Job(server.answer()["port"], 2, symbols, basket, able.dialect)
        clients = connect(wanted)
        first = 0
        for order in ({"do": "burst"}, {"do": "pace", "rate": 100_000}, {"do": "single", "interval": 0.000_1}):
            server.order(**order, count=50)
            for client in clients:
                numbers = [n for n in range(first, first + 50) if symbol_of(n, symbols) in wanted.wants(client.number)]
                got = list(messages(client, len(numbers), DIALECTS[able.dialect].content))
                if name == "ours":  # which counts within a topic
                    for one in got:
                        topic = client.number, one["type"], one["symbol"]
                        seen[topic] += 1
                        assert one["seq"] == seen[topic]
                expected = [message(n, m["exchangeTimestamp"], symbols) for n, m in zip(numbers, got, strict=True)]
                assert [list(one) for one in got] == [list(one) for one in expected]
                own = {"seq": 0} if name == "ours" else {}
                assert [one | own for one in got] == [one | own for one in expected]
                stamps = [one["exchangeTimestamp"] for one in got]
                assert stamps == sorted(stamps)
            assert server.answer()["done"] == order["do"]
            first += 50
        for client in clients:
            client.socket.close()


QUIT = '{"do":"quit"}\n'


@pytest.mark.parametrize(
    ("name", "said"), [("ours", ""), ("raw limit", QUIT), ("websockets", ""), ("websockets.trio", QUIT)]
)
def test_ends_when_it_is_told_to(contend: ModuleType, name: str, said: str) -> None:
    done = start(contend, name, said)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["port"] > 0


def test_says_what_is_no_order(contend: ModuleType) -> None:
    done = start(contend, "raw limit", '{"do":"burst","count":-1}\n')
    assert done.returncode == 1
    assert """'{"do":"burst","count":-1}' is no order: see""" in done.stderr


def start(contend: ModuleType, name: str, said: str) -> subprocess.CompletedProcess[str]:
    import benchmark

    command = benchmark.program(sys.executable, "contend", name, '{"clients": 1}')
    return subprocess.run(
        command, env=benchmark.ENVIRONMENT, input=said, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["picows", "{}"], "give CONTENDER JOB; the contenders are: ours; "),
        (["ours"], "give CONTENDER JOB; the contenders are: ours; "),
        (["ours", "{clients: 1}"], "'{clients: 1}' is no job: give a JSON object such as "),
        (["ours", '{"client": 1}'], "is no job"),
        (["ours", "[]"], "is no job"),
    ],
)
def test_refuses_what_it_cannot_use(
    contend: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["contend", *arguments])
    with pytest.raises(SystemExit) as ended:
        contend.main()
    assert text in str(ended.value.code)


def test_says_who_cannot_run_here_and_why(
    contend: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmark import server_mosquitto, server_node

    monkeypatch.setattr(server_node, "missing", lambda: "there is no such program")
    monkeypatch.setattr(server_mosquitto, "missing", lambda: None)
    monkeypatch.setattr(server_mosquitto, "versions", lambda: {"mosquitto": "2"})
    table = {
        "lacks a module": contend.Contender("server_picows", needs=("no_such_module",)),
        "lacks a program": contend.Contender("server_node"),
        "is here": contend.Contender("server_mosquitto", needs=("trio",), mixed=False),
    }
    monkeypatch.setattr(contend, "CONTENDERS", table)
    monkeypatch.setattr(sys, "argv", ["contend"])
    assert contend.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert told["contenders"] == {"is here": {"dialect": "datafye", "mixed": False, "tls": True}}
    assert told["missing"] == {
        "lacks a module": "No module named 'no_such_module'",
        "lacks a program": "there is no such program",
    }
    assert list(told["versions"]) == ["mosquitto", "msgspec", "trio", "trio-websocket"]


def test_says_which_program_is_not_here(contend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    told = {name: contend.CONTENDERS[name].missing() for name in ("node ws", "mosquitto", "nchan")}
    assert told == {
        "node ws": "node is not installed",
        "mosquitto": "mosquitto is not installed",
        "nchan": "nginx is not installed",
    }


async def test_a_server_that_is_held_up_does_not_hide_it(contend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open loop: a message is stamped with when it was due, however late it is published."""
    from benchmark import serving

    now = 1_000_000_000
    lines = [b'{"do":"pace","rate":1000,"count":5}\n', b""]
    late: list[int] = []

    class Slow:
        async def publish(self, _symbol: str, text: bytes) -> None:
            nonlocal now
            late.append(now - json.loads(text)["exchangeTimestamp"])
            if len(late) == 2:
                now += 10_000_000

        async def turn(self) -> None:
            pass

    async def line() -> bytes:
        return lines.pop(0)

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += round(seconds * 1e9)

    monkeypatch.setattr(serving.time, "time_ns", lambda: now)
    monkeypatch.setattr(serving, "tell", lambda **_: None)
    await serving.obey(Slow(), serving.Loop(line, sleep), 1)
    assert late == [0, 0, 9_000_000, 8_000_000, 7_000_000]


def test_who_has_gone_gets_nothing_more(contend: ModuleType) -> None:
    from benchmark.serving import Topics

    topics = Topics()
    topics.subscribe("one", '{"symbols": ["A", "B"]}')
    topics.subscribe("other", b'{"symbols": ["B"]}')
    assert (topics.wanting("A"), topics.wanting("B"), topics.wanting("C")) == (["one"], ["one", "other"], ())
    topics.remove("one")
    topics.remove("one")
    assert (topics.wanting("A"), topics.wanting("B"), topics.everybody) == ([], ["other"], ["other"])
