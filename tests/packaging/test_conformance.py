"""`scripts/conformance`: what is given to it, what results come to, and both echoes, with a stand-in for the judge."""

import importlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio
import trio.testing

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SOUND = {
    "case": "1.1.1",
    "passed": True,
    "behavior": "OK",
    "close": "OK",
    "why": "",
    "why_close": "",
    "milliseconds": 3,
}


@pytest.fixture
def conformity(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of the script, which finds its neighbours where it stands."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return lambda name: importlib.import_module(f"conformity.{name}")


@pytest.fixture
def run(conformity: Callable[[str], ModuleType]) -> Callable[..., int]:
    """Run it in this process with a judge that gives these results for each section; its exit code."""

    def call(*arguments: str, judged: Callable[[str, list[str]], Awaitable[list[dict[str, Any]]]]) -> int:
        result = conformity("verdicts").Result

        async def judge(_python: Path, side: str, patterns: list[str], _secrets: object) -> list[Any]:
            return [result.of(line) for line in await judged(side, patterns)]

        code: int = conformity("cli").main(arguments, judge)
        return code

    return call


async def sound(_side: str, patterns: list[str]) -> list[dict[str, Any]]:
    return [SOUND | {"case": each.replace("*", "1")} for each in patterns]


def test_both_sides_go_through_all_sections(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", judged=sound) == 0
    found = json.loads(capsys.readouterr().out)
    cases = ["1.1", "2.1", "3.1", "4.1", "5.1", "6.1", "7.1", "9.1", "10.1"]
    assert {side: [each["case"] for each in results] for side, results in found.items()} == dict.fromkeys(
        ("server", "client"), cases
    )


def test_only_what_is_asked_for(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("client", "--cases", "6.4", "--cases", "9.*", "--cases", "6.1.1", "--json", judged=sound) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["case"] for each in found["client"]] == ["6.4.1", "6.1.1", "9.1"]
    assert list(found) == ["client"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--cases", "12.*"], "permessage-deflate is not offered"),
        (["--cases", "8.1"], "the sections are 1, 2, 3, 4, 5, 6, 7, 9, 10"),
        (["--cases", "six"], "'six' is no pattern of cases"),
        (["both"], "invalid choice: 'both'"),
    ],
)
def test_refuses_what_it_cannot_use(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments, judged=sound)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "verdict", "why"),
    [
        ({}, "OK", ""),
        ({"behavior": "NON-STRICT"}, "NON-STRICT", ""),
        ({"behavior": "INFORMATIONAL", "close": "INFORMATIONAL"}, "INFORMATIONAL", ""),
        ({"behavior": "FAILED", "passed": False, "why": "differs"}, "FAILED", "differs"),
        ({"behavior": "UNIMPLEMENTED", "why": "nothing"}, "FAILED", "nothing"),
        ({"close": "WRONG CODE", "passed": False, "why_close": "not 1002"}, "FAILED", "WRONG CODE: not 1002"),
        ({"close": "UNCLEAN", "passed": False, "why_close": "dropped"}, "FAILED", "UNCLEAN: dropped"),
    ],
)
def test_what_the_judge_did_not_let_pass_has_failed(
    conformity: Callable[[str], ModuleType], line: dict[str, Any], verdict: str, why: str
) -> None:
    result = conformity("verdicts").Result.of(SOUND | line)
    assert (result.verdict, result.why) == (verdict, why)


def test_one_failed_case_is_told_and_is_exit_1(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    async def judged(_side: str, _patterns: list[str]) -> list[dict[str, Any]]:
        bad = {"case": "1.1.3", "behavior": "FAILED", "passed": False, "why": "other bytes came back"}
        return [SOUND, SOUND | {"case": "1.1.2", "behavior": "NON-STRICT"}, SOUND | bad]

    assert run("server", "--cases", "1.*", judged=judged) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split()[:-1] == ["all", "3", "1", "1", "0", "1"]
    assert printed[3] == "FAILED 1.1.3: other bytes came back"


def test_over_tls_the_table_says_so(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("client", "--cases", "1.*", "--tls", judged=sound) == 0
    assert capsys.readouterr().out.startswith("client over TLS ")


def test_no_verdict_is_exit_1(
    run: Callable[..., int], conformity: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    async def judged(_side: str, _patterns: list[str]) -> list[dict[str, Any]]:
        raise conformity("judges").ConformanceError("the judge broke off")

    assert run("server", judged=judged) == 1
    assert capsys.readouterr().err == "the judge broke off\n"


def test_ctrl_c_is_exit_130(run: Callable[..., int]) -> None:
    async def judged(_side: str, _patterns: list[str]) -> list[dict[str, Any]]:
        await trio.testing.wait_all_tasks_blocked()  # whoever hears the signal does so now
        os.kill(os.getpid(), signal.SIGINT)
        await trio.sleep_forever()

    assert run("server", judged=judged) == 130


async def test_the_echoes_are_judged_by_a_program_of_its_own(
    conformity: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The stand-in has two cases, and each side must echo text as text and binary as binary."""
    (tmp_path / "kosoku.py").write_text(KOSOKU)
    judges = conformity("judges")
    program = tmp_path / "judging.py"
    program.write_text((SCRIPTS / "conformity" / "judging.py").read_text())
    monkeypatch.setattr(judges, "_JUDGING", program)
    python = tmp_path / "python"  # -I would hide the stand-in
    python.write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    sound = [("1.1", "OK", ""), ("1.2", "OK", "")]
    with conformity("tls").made_secrets() as secrets:
        for side in ("server", "client"):
            for used in (None, secrets):
                results = await judges.judge_side(python, side, ["1.*"], used)
                assert [(each.case, each.verdict, each.why) for each in results] == sound, (side, used)
        # A handshake for each case, and two more of the client: for the number of cases, and to finish.
        assert secrets.context.session_stats()["accept_good"] == 2 + 4
    with pytest.raises(judges.ConformanceError, match="the judge of the server broke off: no such case: 2"):
        await judges.judge_side(python, "server", ["2.*"])


KOSOKU = '''
"""In place of the real one: speaks to both echoes with trio-websocket, from a thread of its own."""
import trio
import trio.testing
from trio_websocket import serve_websocket, open_websocket_url
from types import SimpleNamespace as Namespace

class FailureError(Exception):
    results = []

CASES = {"1.1": "text \\u20ac", "1.2": b"binary"}

async def judge(websocket, case):
    await websocket.send_message(CASES[case])
    good = await websocket.get_message() == CASES[case]
    value = Namespace(value="OK" if good else "FAILED")
    return Namespace(case_id=case, passed=good, behavior=value, behavior_close=Namespace(value="OK"),
                     result="other bytes", result_close="", duration=1)

async def run_fuzzingclient(url, patterns):
    if patterns != ["1.*"]:
        raise ValueError(f"no such case: {patterns[0][0]}")
    async def all_cases():
        results = []
        for case in CASES:
            async with open_websocket_url(url) as websocket:
                results.append(await judge(websocket, case))
        return results
    return trio.run(all_cases)

class run_fuzzingserver:
    def __init__(self, patterns, host, port):
        pass
    async def __aenter__(self):
        import threading
        self.results, self.ready = [], threading.Event()
        self.thread = threading.Thread(target=trio.run, args=(self.serve,))
        self.thread.start()
        self.ready.wait()
        return self
    async def __aexit__(self, *_):
        self.thread.join()
    async def get_result(self):
        self.thread.join()
        return self.results
    async def serve(self):
        async with trio.open_nursery() as nursery:
            async def handle(request):
                websocket = await request.accept()
                if request.path == "/getCaseCount":
                    await websocket.send_message(str(len(CASES)))
                elif request.path.startswith("/updateReports"):
                    await websocket.aclose()
                    nursery.cancel_scope.cancel()
                    return
                else:
                    case = list(CASES)[int(request.path.split("case=")[1].split("&")[0]) - 1]
                    self.results.append(await judge(websocket, case))
                await websocket.aclose()
            server = await nursery.start(serve_websocket, handle, "127.0.0.1", 0, None)
            self.port = server.port
            self.ready.set()
'''
