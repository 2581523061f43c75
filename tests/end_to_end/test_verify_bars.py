"""`scripts/verify_bars` on small sets made here, and on the sample data: what it says, and how it ends."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from end_to_end.verifying import (
    ALL,
    CONSOLIDATED,
    FIVE,
    MINUTE,
    REGULAR,
    RUNNING,
    SCRIPTS,
    SECOND,
    START,
    TICKS,
    TRADES,
    bars,
    files_of,
    run,
)
from processes import WAIT

from datafye_trio.model import AssetClass


def test_the_script_compares_a_whole_set(make: Callable[..., Path]) -> None:
    folder = make("stock_set", {"trades.csv": TRADES, "bars_1m.csv": ALL, "bars_5m_all.csv.gz": FIVE, "notes.txt": "-"})
    command = [sys.executable, str(SCRIPTS / "_start.py"), "verify_bars", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    head, _, title, *lines, _, totals, verdict = done.stdout.splitlines()
    assert head.split() == ["file", "rule", "bars", "equal", "differs", "missing", "extra", "incomplete", "outside"]
    assert title == "stock_set (stocks, 8 trades)"
    assert [" ".join(line.split()) for line in lines] == [
        "bars_1m.csv all 3 3 0 0 0 0 0",
        "bars_5m_all.csv.gz all 1 1 0 0 0 0 0",
    ]
    assert " ".join(totals.split()) == "1 set, 2 files 4 4 0 0 0 0 0"
    assert verdict.startswith("all equal: 4 bars (")


@pytest.mark.usefixtures("quick")
def test_rules_are_known_by_the_name_of_the_file(make: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    make("stocks_a", {"t.csv": TRADES, "bars_1m.csv": ALL, "bars_1m_consolidated.csv": CONSOLIDATED})
    conditions = bars("1m", *[(0, 10, 12, 10, 11.5, 250), (60, 11, 11, 11, 11, 200), (180, 14, 14, 14, 14, 100)])
    folder = make("stocks_b", {"t.csv": TRADES, "bars_1m_conditions.csv": conditions, "bars_1m_Mine.csv": REGULAR})
    assert run(folder.parent, "--filter", "mine=,@", "--json") == 0
    found = files_of(capsys)
    assert {name: (file["rule"], file["bars"], file["equal"]) for name, file in found.items()} == {
        "bars_1m.csv": ("all", 3, 3),
        "bars_1m_consolidated.csv": ("consolidated", 3, 3),
        "bars_1m_conditions.csv": ("conditions", 3, 3),
        "bars_1m_Mine.csv": ("mine", 2, 2),
    }


@pytest.mark.usefixtures("quick")
def test_a_wrong_digit_is_a_difference_and_shown_in_full(
    make: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make("stocks", {"t.csv": TRADES, "bars_1m.csv": ALL.replace("11.5,250", "11.51,250")})
    assert run(folder) == 1
    text = capsys.readouterr().out
    assert f"ABC 1m 2024-01-02T15:00:00.000000000Z ({START}) differs in close\n" in text
    assert "    theirs  open 10.0  high 12.0  low 10.0  close 11.51  volume 250.0\n" in text
    assert "    ours    open 10.0  high 12.0  low 10.0  close 11.5  volume 250.0\n" in text
    assert "FAILED: 1 difference (" in text


@pytest.mark.usefixtures("quick")
def test_the_wrong_rule_is_seen(make: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = make("stocks", {"t.csv": TRADES, "bars_1m.csv": ALL})
    assert run(folder, "--rule", "Consolidated", "--json") == 1
    found = files_of(capsys)["bars_1m.csv"]
    assert (found["rule"], found["equal"], found["differs"]) == ("consolidated", 1, 2)


@pytest.mark.usefixtures("quick")
def test_bars_that_are_missing_and_extra_are_differences(
    make: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    changed = ALL.replace(f"ABC,{START + MINUTE},", f"ABC,{START + 2 * MINUTE},")
    folder = make("stocks", {"t.csv": TRADES, "bars_1m.csv": changed})
    assert run(folder) == 1
    text = capsys.readouterr().out
    assert f"({START + 2 * MINUTE}) is missing in ours\n    theirs  open 11.0" in text
    assert f"({START + MINUTE}) is only in ours\n    ours    open 11.0" in text


@pytest.mark.usefixtures("quick")
def test_bars_that_the_ticks_do_not_cover_are_told_and_no_difference(
    make: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(-120, 1, 1, 1, 1, 1), (0, 10, 12, 10, 11.5, 250), (300, 20, 21, 19, 20, 2), (900, 1, 1, 1, 1, 1)]
    rows[1:1] = [(-60, 9, 9, 9, 9, 1)]
    rows[3:3] = [(60, 11, 11, 11, 11, 200), (180, 14, 14, 13, 13, 105)]
    files = {
        "t.csv": TRADES,
        "bars_1m.csv": bars("1m", *rows),
        "bars_1d.csv": bars("1d", (-5 * 3_600, 9, 21, 1, 20, 999)),
    }
    folder = make("stocks", files)
    assert run(folder) == 0
    text = capsys.readouterr().out
    lines = [" ".join(line.split()[:9]) for line in text.splitlines() if line.startswith("bars_")]
    assert lines == ["bars_1d.csv all 1 0 0 0 0 1 0", "bars_1m.csv all 7 4 0 0 0 1 2"]
    assert "the ticks hold no whole bar" in text


@pytest.mark.usefixtures("quick")
def test_a_set_of_which_nothing_can_be_compared_is_not_green(
    make: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make("stocks", {"t.csv": TRADES, "bars_1m.csv": bars("1m", (9_000, 1, 1, 1, 1, 1))})
    assert run(folder) == 1
    text = capsys.readouterr().out
    assert "NOTHING COMPARED" in text
    assert "FAILED: 1 set with nothing to compare (" in text


@pytest.mark.usefixtures("quick")
def test_running_bars_step_by_step(make: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    trades = "symbol,ts_ns,price,size,first_trade_id,last_trade_id\n" + "".join(
        f"{symbol},{START + n * SECOND},{price},{size},{first},{last}\n"
        for n, (symbol, price, size, first, last) in enumerate(
            [("A", 2, 0.1, 11, 11), ("A", 3, 0.2, 12, 14), ("B", 9, 1, 5, 5), ("A", 1, 1, 16, 16), ("A", 5, 2, 17, 17)]
        )
    )
    rows = [
        ("A", 0, 2, 2, 2, 2, 7, 1, 10),
        ("B", 0, 8, 9, 8, 9, 3, 1, 5),
        ("A", 0, 2, 3, 2, 3, 7.3, 1, 14),  # 11, and 12 to 14 put together
        ("A", 0, 2, 3, 2, 3, 7.3, 1, 14),  # nothing new
        ("A", 0, 1, 3, 1, 1, 9, 1, 16),  # 15 was not recorded
        ("A", 60, 5, 5, 5, 5, 2, 17, 17),  # all of a new bar
        ("A", 120, 5, 5, 5, 5, 0, -1, -1),  # a bar without a trade
        ("A", 60, 5, 5, 5, 5, 2, 17, 17),
        ("A", 60, 5, 5, 5, 5, 2, 17, 15),  # goes back
    ]
    text = RUNNING + "".join(
        f"{symbol},{START + at * SECOND},1m,{','.join(map(str, values))}\n" for symbol, at, *values in rows
    )
    folder = make("crypto", {"t.csv": trades, "running_bars_1m.csv": text})
    assert run(folder, "--json") == 0
    found = files_of(capsys)["running_bars_1m.csv"]
    assert (found["bars"], found["equal"], found["incomplete"]) == (7, 4, 3)
    assert found["note"] == "2 steps within a bar, 2 into a new one"
    (folder / "running_bars_1m.csv").write_text(text.replace("7.3,1,14", "7.4,1,14", 1))
    assert run(folder, "--json") == 1
    assert files_of(capsys)["running_bars_1m.csv"]["differs"] == 2  # the step to it, and the one from it


@pytest.mark.parametrize(
    ("name", "conditions", "asset_class"),
    [
        ("crypto_x", True, "crypto"), ("equity_x", False, "stocks"), ("stocks", False, "stocks"),
        ("other", True, "stocks"), ("other", False, "crypto"),
    ],
)  # fmt: skip
def test_the_asset_class_of_a_set(make: Callable[..., Path], name: str, conditions: bool, asset_class: str) -> None:
    text = TICKS if conditions else TICKS.replace(",conditions", "")
    folder = make(name, {"t.csv": text, "bars_1m.csv": ALL})
    find = importlib.import_module("verify_sets").find_sets
    assert [one.asset_class for one in find(folder)] == [asset_class]
    assert [one.asset_class for one in find(folder.parent, AssetClass.STOCKS)] == ["stocks"]


@pytest.mark.usefixtures("quick")
def test_the_sample_data_agrees(sample: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = sample("equity_xxx_taq_20180102").parent
    assert run(folder, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    counts = {
        (one["set"].split("_")[1], file["file"]): (file["equal"], file["bars"] - file["incomplete"] - file["outside"])
        for one in report["sets"]
        for file in one["files"]
    }
    assert counts == {
        ("btcusdt", "bars_1m.csv"): (10, 10),
        ("btcusdt", "bars_5m.csv"): (2, 2),
        ("usdm", "running_bars_1m.csv"): (38, 38),  # 36 within a minute, 2 into the next one
        ("xrpeth", "bars_1m.csv"): (2_469, 2_469),
        ("xrpeth", "bars_5m.csv"): (706, 706),
        ("qqq", "bars_1s.csv"): (2, 2),
        ("qqq", "bars_1m.csv"): (1, 1),
        ("qqq", "bars_1h.csv"): (0, 0),
        ("qqq", "bars_1d.csv"): (0, 0),
        ("xxx", "bars_1s_all.csv.gz"): (19_761, 19_761),
        ("xxx", "bars_1m_all.csv"): (956, 956),
        ("xxx", "bars_5m_all.csv"): (253, 253),
        ("xxx", "bars_1m_conditions.csv"): (780, 780),
    }
