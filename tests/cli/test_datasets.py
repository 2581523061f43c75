"""Descriptions of datasets, and the sources that they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafye_trio.cli.datasets import ProgramConfig, describe, open_source, settings_of
from datafye_trio.cli.values import Given
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel
from datafye_trio.sources import CRYPTO_SYMBOLS, QUICKSTART_SYMBOLS


def given(**values: object) -> dict[str, Given]:
    return {name: Given(value, f"--{name}") for name, value in values.items()}


def test_nothing_said_is_the_quickstart() -> None:
    info = open_source(describe({})).dataset
    assert (info.name, info.asset_class, info.symbols) == ("Synthetic", "stocks", frozenset(QUICKSTART_SYMBOLS))


def test_crypto_is_a_market_of_coins() -> None:
    info = open_source(describe(given(name="Crypto"))).dataset
    assert (info.asset_class, info.symbols, info.channels) == ("crypto", frozenset(CRYPTO_SYMBOLS), (Channel.TRADES,))
    assert open_source(describe(given(asset_class="crypto"))).dataset.name == "Crypto"
    assert open_source(describe(given(name="Crypto", asset_class="stocks"))).dataset.asset_class == "stocks"


def test_a_replay_opens_its_files(tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    file.write_text("symbol,ts_ns,price,size\nBTCUSD,1,2.5,3\n")
    source = open_source(describe(given(replay=[str(file)], name="Crypto")))
    assert (source.dataset.asset_class, source.dataset.channels) == (AssetClass.CRYPTO, (Channel.TRADES,))


def test_a_replay_without_its_files_is_a_wrong_setting(tmp_path: Path) -> None:
    description = describe(given(replay=[str(tmp_path / "none.csv")], name="T"))
    with pytest.raises(ConfigurationError, match=r"^replay of T: .*none\.csv"):
        open_source(description)


def test_a_program_without_and_with_a_list_of_symbols() -> None:
    open_ended = open_source(describe(given(source="program", name="Mine"))).dataset
    assert (open_ended.name, open_ended.symbols, open_ended.channels) == ("Mine", None, ("quotes", "trades"))
    closed = open_source(
        describe(given(source="program", name="Crypto", symbols=["btc/usd"], channels=["ticks"]))
    ).dataset
    assert (closed.symbols, closed.channels) == (frozenset({"BTCUSD"}), (Channel.TRADES,))


def test_the_settings_of_each_kind_are_those_that_it_was_made_from() -> None:
    synthetic = {"name": "S", "asset_class": "stocks", "symbols": ["A"], "seed": 1, "rate": 2.0, "halts": True}
    assert settings_of(describe(given(**synthetic, start_ns=5))) == {
        "source": "synthetic", **synthetic, "symbols": ("A",), "start_ns": 5,
    }  # fmt: skip
    replay = {"name": "R", "asset_class": "stocks", "speed": 3.0, "loop": True, "wait_for_client": 2}
    assert settings_of(describe(given(**replay, replay="a.csv"))) == {
        "source": "replay", **replay, "replay": (Path("a.csv"),),
    }  # fmt: skip
    assert settings_of(ProgramConfig()) == {
        "source": "program", "name": "Program", "asset_class": "stocks", "symbols": None,
        "channels": ("quotes", "trades"),
    }  # fmt: skip


def test_an_error_that_names_no_setting_goes_on_as_it_is() -> None:
    with pytest.raises(ConfigurationError, match=r"^--symbols: '\?' is no symbol"):
        describe(given(source="program", symbols=["?"]))
