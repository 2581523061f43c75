"""What the tests of `scripts/verify_bars` share: the script as a module, and the texts of small sets."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.append(str(SCRIPTS))
verify_bars: Any = importlib.import_module("verify_bars")
verify_run: Any = importlib.import_module("verify_run")

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_704_207_600 * SECOND  # 2024-01-02T15:00:00Z

TICKS = "symbol,ts_ns,price,size,conditions\n"
BARS = "symbol,start_ns,frequency,open,high,low,close,volume\n"
RUNNING = BARS.strip() + ",first_trade_id,last_trade_id\n"


def ticks(*rows: tuple[float, float, float, str]) -> str:
    return TICKS + "".join(f"ABC,{START + round(at * SECOND)},{p},{size},{c}\n" for at, p, size, c in rows)


def bars(frequency: str, *rows: tuple[float, float, float, float, float, float]) -> str:
    return BARS + "".join(
        f"ABC,{START + round(at * SECOND)},{frequency},{','.join(map(str, values))}\n" for at, *values in rows
    )


TRADES = ticks(
    (-1, 9, 1, ""),
    (0, 10, 100, ""), (30, 12, 50, "I"), (59, 11.5, 100, "@"),
    (60, 11, 200, ""),
    (180, 14, 100, "F"), (200, 13, 5, "Z"),
    (301, 20, 1, ""),
)  # fmt: skip
ALL = bars("1m", (0, 10, 12, 10, 11.5, 250), (60, 11, 11, 11, 11, 200), (180, 14, 14, 13, 13, 105))
CONSOLIDATED = bars("1m", (0, 10, 11.5, 10, 11.5, 250), (60, 11, 11, 11, 11, 200), (180, 14, 14, 13, 14, 105))
REGULAR = bars("1m", (0, 10, 11.5, 10, 11.5, 200), (60, 11, 11, 11, 11, 200))
FIVE = bars("5m", (0, 10, 14, 10, 13, 555))


def run(*arguments: str | Path) -> int:
    code: int = verify_bars.main([str(argument) for argument in arguments])
    return code


def files_of(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """What --json says of each file."""
    report = json.loads(capsys.readouterr().out)
    return {file["file"]: file for one in report["sets"] for file in one["files"]}
