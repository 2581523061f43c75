"""The examples on a market at its worst: sides that are empty or crossed, halts, and prices of very different size."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from strategy.kit import at

from datafye_trio.model import Event, Halt, Quote, Resume, Trade
from datafye_trio.strategy import run_on_recording

EXAMPLES = Path(__file__).resolve().parents[2] / "scripts" / "examples"
SETTINGS: dict[str, dict[str, Any]] = {
    "sma_crossover": {"fast": 2, "slow": 4},
    "spread_watcher": {"factor": 1.5},
    "pair_monitor": {"entry": 1.0},
}


def strategy(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"wild_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return partial(module.strategy, **SETTINGS[name])


def wild(seed: int, prices: dict[str, float]) -> Iterator[Event]:
    """Two minutes of two symbols."""
    chance = random.Random(seed)
    for n in range(600):
        time, symbol = at(n / 5), chance.choice(sorted(prices))
        price = prices[symbol] = prices[symbol] * (1 + chance.gauss(0, 0.01))
        bid, ask = price * 0.999, price * (1.001 + 0.002 * chance.random())
        yield chance.choices(
            [
                Quote(symbol, time, bid, 1, ask, 1),
                Quote(symbol, time, None, 0, ask, 1),
                Quote(symbol, time, bid, 1, 0.0, 0),
                Quote(symbol, time, ask, 1, bid, 1),
                Trade(symbol, time, price, 0.5),
                Halt(symbol, time, "LULD"),
                Resume(symbol, time, "LULD"),
            ],
            weights=[60, 4, 4, 4, 20, 2, 6],
        )[0]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("prices", [(1e-5, 6e4), (6e4, 1e-5), (180.0, 420.0)])
def test_nothing_of_it_ends_an_example(name: str, prices: tuple[float, float]) -> None:
    decisions = [
        run_on_recording(strategy(name), list(wild(seed, dict(zip(("AAPL", "MSFT"), prices, strict=True)))))
        for seed in range(3)
    ]
    assert any(decisions)
