"""The scenarios of `scripts/soak` with attackers: each as small as it goes, and what its verdict hangs on."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)


def scenario(name: str) -> Any:
    return importlib.import_module(f"soaking.scenarios.{name}")


async def run(name: str, *arguments: str) -> Any:
    parser = importlib.import_module("soaking.cli").parser()
    given = parser.parse_args([name, *arguments])
    return await given.run(given)


# Small runs. What hangs on time is not looked at: a busy machine says nothing about the scenario.


async def test_slow_handshakes_are_counted() -> None:
    report = await run("handshakes", "--connections", "7", "--seconds", "0.2")
    assert [line.split()[:5] for line in report.figures] == [
        [f"{kind}:", "7", "of", "7", "gone"] for kind in ("silent", "half", "drip")
    ]
    assert not [missed for missed in report.missed if "descriptors" in missed or "errors" in missed]


async def test_a_flooder_is_cut_and_the_others_lose_nothing() -> None:
    report = await run("flood", "--clients", "2", "--seconds", "0.1", "--kind", "garbage")
    (line,) = report.figures
    assert line.startswith("garbage: ")
    assert "with 4501" in line
    assert not [missed for missed in report.missed if "lost" in missed or "errors" in missed]


async def test_what_is_sent_early_is_refused_for_what_it_is() -> None:
    report = await run("early", "--mib", "3", "--kind", "head", "--kind", "frame")
    ends = {line.split(":")[0]: line.split("then ")[1].split(";")[0] for line in report.figures}
    assert ends["frame"] in ("1009", "reset")
    assert ends["head"] in ("431", "reset")
    assert not [missed for missed in report.missed if "not ended" in missed or "errors" in missed]


async def test_a_server_that_stops_tells_its_clients() -> None:
    report = await run("stop", "--clients", "4", "--seconds", "0.1")
    assert report.figures[0] == "4 clients: 4 got 1001; 0 are still open"
    assert report.figures[1].endswith("with exit code 0")


async def test_clients_are_not_harmed_where_descriptors_run_out() -> None:
    report = await run("descriptors", "--limit", "80", "--connections", "100", "--clients", "2", "--seconds", "0.5")
    assert " 0 lost, 0 out of order" in report.figures[1]
    assert "never" not in report.figures[2]
    assert not [missed for missed in report.missed if "harmed" in missed or "use up" in missed]


async def test_a_server_that_does_not_start_is_said() -> None:
    serving, children = (importlib.import_module(f"soaking.{name}") for name in ("serving", "children"))
    with pytest.raises(children.SoakError, match=r"exit code 2: .*policy"):
        async with serving.open_serve("--policy", "wild"):
            pytest.fail("it has started")


# Verdicts.


def figures(**changes: Any) -> Any:
    fine = {
        "seconds": 1.0, "messages": 100, "p50": 1.0, "p99": 5.0, "worst": 9.0, "lost": 0, "disordered": 0, "open": 2,
        "ended": {},
    }  # fmt: skip
    return importlib.import_module("soaking.crowd").Figures(**{**fine, **changes})


def test_the_verdict_on_handshakes() -> None:
    module = scenario("handshakes")
    fine = module.Round("silent", (4.9, 5.1), 0, (0.002, 0.01), (9, 9))
    assert module.judge_rounds([fine], 5.0, []).proved
    wrongs = [
        attrs.evolve(fine, closed=(4.9, 6.1)),
        attrs.evolve(fine, closed=(3.9, 5.0)),
        attrs.evolve(fine, open=1),
        attrs.evolve(fine, good=(0.002, 0.11)),
        attrs.evolve(fine, good=(0.002, None)),
        attrs.evolve(fine, good=()),
        attrs.evolve(fine, descriptors=(9, 10)),
    ]
    assert [len(module.judge_rounds([fine, wrong], 5.0, []).missed) for wrong in wrongs] == [1] * len(wrongs)
    assert not module.judge_rounds([fine], 5.0, ["boom"]).proved


def test_the_verdict_on_floods() -> None:
    module = scenario("flood")
    fine = module.Round("pings", (0.1, 1.9), {"1008": 2}, figures(), figures(p99=24.0))
    assert module.judge_rounds([fine], []).proved
    wrongs = [
        attrs.evolve(fine, seconds=(0.1, 2.1)),
        attrs.evolve(fine, seconds=()),
        attrs.evolve(fine, codes={"open": 1}),
        attrs.evolve(fine, flooded=figures(p99=25.1)),
        attrs.evolve(fine, flooded=figures(lost=1)),
        attrs.evolve(fine, flooded=figures(ended={"1008": 1})),
        attrs.evolve(fine, flooded=figures(messages=0)),
    ]
    assert [len(module.judge_rounds([wrong], []).missed) for wrong in wrongs] == [1] * len(wrongs)


def test_the_verdict_on_early_data() -> None:
    module = scenario("early")
    fine = module.Round("head", 8_192, 0.1, "431", 2**20, 2**20, let_in=True)
    assert module.judge_rounds([fine], 2**20, []).proved
    wrongs = [attrs.evolve(fine, resident=2**20 + 1), attrs.evolve(fine, end="open"), attrs.evolve(fine, let_in=False)]
    assert [len(module.judge_rounds([wrong], 2**20, []).missed) for wrong in wrongs] == [1] * len(wrongs)


def test_the_verdict_on_a_stopped_client() -> None:
    module = scenario("stopped")
    fine = module.Result(
        9.0, "4008", (figures(),) * 3, (figures(p99=6.0), figures(p99=5.0), figures(p99=90.0)), (figures(),)
    )
    assert module.judge_result(fine, []).proved
    assert "cut 9.0 s after the stop, found 4008" in module.judge_result(fine, []).figures[0]
    wrongs = [
        attrs.evolve(fine, cut=None),
        attrs.evolve(fine, cut=15.1),
        attrs.evolve(fine, code="1000"),
        attrs.evolve(fine, during=(figures(p99=6.1),)),
        attrs.evolve(fine, after=(figures(lost=1),)),
    ]
    assert [len(module.judge_result(wrong, []).missed) for wrong in wrongs] == [1] * len(wrongs)


def test_the_verdict_on_a_stop() -> None:
    judge = scenario("stop").judge_stop
    told = figures(open=0, ended={"1001": 3, "1012": 2})
    assert judge(5, told, 0, 4.9, []).proved
    wrongs = [
        judge(5, figures(open=1, ended={"1001": 4}), 0, 4.9, []),
        judge(5, figures(open=0, ended={"1001": 4, "reset": 1}), 0, 4.9, []),
        judge(5, told, 0, 5.1, []),
        judge(5, told, 1, 4.9, []),
        judge(5, attrs.evolve(told, lost=1), 0, 4.9, []),
    ]
    assert [len(wrong.missed) for wrong in wrongs] == [1] * len(wrongs)


def test_the_verdict_on_descriptors() -> None:
    module = scenario("descriptors")
    fine = module.Result(128, 128, 10, 0, figures(), figures(), figures(), 0.9)
    assert module.judge_result(fine, []).proved
    wrongs = [
        attrs.evolve(fine, back=None),
        attrs.evolve(fine, back=1.1),
        attrs.evolve(fine, let_in=10),
        attrs.evolve(fine, during=figures(disordered=1)),
    ]
    assert [len(module.judge_result(wrong, []).missed) for wrong in wrongs] == [1] * len(wrongs)


# What counts.


def quote(seq: int, stamp: int = 0) -> bytes:
    text = json.dumps({"seq": seq, "symbol": "AAPL", "exchangeTimestamp": stamp}, separators=(",", ":")).encode()
    return bytes([0x81, len(text)]) + text


def test_a_watched_client_counts_what_is_missing_and_what_comes_twice() -> None:
    watched = importlib.import_module("soaking.crowd").Watched()
    data = quote(7) + quote(8)
    assert watched.take(data[:30], 0) == b""
    watched.take(data[30:], 50_000)
    assert (watched.messages, watched.lost, watched.disordered) == (2, 0, 0)
    assert watched.late == Counter({5: 2})
    watched.take(quote(12) + quote(13) + quote(13) + quote(14), 0)
    assert (watched.messages, watched.lost, watched.disordered) == (6, 3, 1)
    watched.take(quote(15), 0)
    assert (watched.lost, watched.disordered) == (3, 1)


def test_a_watched_client_answers_heartbeats_pings_and_closes() -> None:
    watched = importlib.import_module("soaking.crowd").Watched()
    heartbeat = b'{"type":"heartbeat"}'
    assert b'{"action":"pong"}' in watched.take(bytes([0x81, len(heartbeat)]) + heartbeat, 0)
    assert watched.take(b"\x89\x02hi", 0) == b"\x8a\x82\0\0\0\0hi"
    assert watched.take(b"\x88\x04\x03\xe9by", 0) == b"\x88\x82\0\0\0\0\x03\xe9"
    assert watched.code == "1001"


@pytest.mark.parametrize(("share", "value"), [(0.5, 1), (0.98, 1), (0.99, 7), (1.0, 7)])
def test_percentiles_of_counts(share: float, value: int) -> None:
    assert importlib.import_module("soaking.crowd").percentile(Counter({7: 2, 1: 98}), share) == value


def test_a_percentile_of_nothing() -> None:
    assert importlib.import_module("soaking.crowd").percentile(Counter(), 0.99) == 0


def test_a_flood_is_whole_frames() -> None:
    flooding = importlib.import_module("soaking.flooding")
    for kind in flooding.KINDS:
        data, at = flooding.flood_of(kind), 0
        while at < len(data):
            size, start = data[at + 1] & 0x7F, at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start])
            at = start + 4 + size
        assert at == len(data) > 0
