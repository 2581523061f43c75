"""`scripts/bench strategy`: that it measures a whole day, and that rounds which differ give no number."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmarks, which find each other where they stand."""
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmark import cli

    return cli


def measured(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", "strategy", *arguments])
    code: int = bench.main()
    return code


def test_a_thin_day(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert measured(bench, monkeypatch, "--rate", "0.05", "--rounds", "2", "--json") == 0
    out, err = capsys.readouterr()
    result: dict[str, Any] = json.loads(out)
    assert (result["benchmark"], result["events"], result["market_seconds"]) == ("strategy", 1_170, 23_400)
    assert result["decisions"] > 3
    assert result["times_real_time"]["lowest"] == pytest.approx(23_400 / result["seconds"]["highest"])
    assert [line.split()[:2] for line in err.splitlines()[1:]] == [["round", "1:"], ["round", "2:"]]


def test_the_table(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert measured(bench, monkeypatch, "--rate", "0.01", "--rounds", "1") == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "strategy: 234 events of 6.5 hours, 0 decisions (median of 1 rounds, span)"
    assert [line[2:18].strip() for line in rest] == ["seconds", "of a processor", "times real time", "events/s"]


def test_a_rate_that_cannot_be(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("0", "nan", "many"):
        with pytest.raises(SystemExit):
            measured(bench, monkeypatch, "--rate", wrong)
        assert f"'{wrong}' is no number from 0.001 to 100000" in capsys.readouterr().err


def test_a_round_that_decides_otherwise_is_no_number(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark import strategy_day

    played = strategy_day.run_on_recording
    rounds: list[list[Any]] = []

    def forgetful(*arguments: Any) -> list[Any]:
        rounds.append(played(*arguments))
        return rounds[-1][len(rounds) - 1 :]

    monkeypatch.setattr(strategy_day, "run_on_recording", forgetful)
    with pytest.raises(SystemExit, match="round 2 was another one"):
        strategy_day.run(strategy_day.StrategySettings(rate=0.05, rounds=3))
