"""Descriptions of datasets, and the sources that they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafye_trio.aggregates import Aggregation, EmaPeriods, SmaPeriods, consolidated, every_trade
from datafye_trio.cli.datasets import ProgramConfig, describe, open_source, settings_of
from datafye_trio.cli.values import Given
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel, Frequency, Trade
from datafye_trio.recordings.writer import RecordingWriter
from datafye_trio.sources import (
    CRYPTO_SYMBOLS,
    QUICKSTART_SYMBOLS,
    Replay,
    ReplayConfig,
    Synthetic,
    SyntheticConfig,
)


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


def test_a_replay_of_a_recording_need_not_be_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")

    def record(name: str) -> None:
        with RecordingWriter(tmp_path, name, AssetClass.STOCKS) as writer:
            writer.add(Channel.TRADES, 1, Trade("A", 1, 2.5, 3))

    record("SIP")
    description = describe(given(replay=[str(tmp_path)], aggregates=["ohlc-1s"]))
    source = open_source(description)
    assert isinstance(source, Replay)
    assert source.dataset.name == "SIP"
    assert source.aggregation is not None
    assert source.aggregation.rule is consolidated  # the name decided that
    record("Other")
    with pytest.raises(ConfigurationError, match=r"^replay: .* holds several datasets: name one of Other, SIP$"):
        describe(given(replay=[str(tmp_path)]))


def test_a_program_without_and_with_a_list_of_symbols() -> None:
    open_ended = open_source(describe(given(source="program", name="Mine"))).dataset
    assert (open_ended.name, open_ended.symbols, open_ended.channels) == ("Mine", None, ("quotes", "trades"))
    closed = open_source(
        describe(given(source="program", name="Crypto", symbols=["btc/usd"], channels=["ticks"]))
    ).dataset
    assert (closed.symbols, closed.channels) == (frozenset({"BTCUSD"}), (Channel.TRADES,))


ALL = tuple(f"{kind}-{span}" for kind in ("ohlc", "sma", "ema") for span in ("1s", "1m", "1h", "1d"))
DEFAULTS = {
    "ticks": None, "aggregates": ALL, "bars": "all", "lateness": 60.0, "sma": (20, 50), "ema": (12, 26, 9),
    "history": True,
}  # fmt: skip


def test_the_settings_of_each_kind_are_those_that_it_was_made_from() -> None:
    synthetic = {"name": "S", "asset_class": "stocks", "symbols": ["A"], "seed": 1, "rate": 2.0, "halts": True}
    assert settings_of(describe(given(**synthetic, start_ns=5))) == {
        "source": "synthetic", **synthetic, "symbols": ("A",), "start_ns": 5, **DEFAULTS,
    }  # fmt: skip
    replay = {"name": "SIP", "asset_class": "stocks", "speed": 3.0, "loop": True, "wait_for_client": 2}
    part = {
        "from": "1970-01-01T00:00:01.000000000Z",
        "to": "1970-01-01T00:00:02.000000000Z",
        "shift_to_now": True,
        "paused": True,
    }
    assert settings_of(describe(given(**replay, **part, replay="a.csv"))) == {
        "source": "replay", **replay, **part, "replay": (Path("a.csv"),), "symbols": None, **DEFAULTS,
        "bars": "consolidated",
    }  # fmt: skip
    assert settings_of(ProgramConfig()) == {
        "source": "program", "name": "Program", "asset_class": "stocks", "symbols": None,
        "channels": ("quotes", "trades"), "stdin": False,
    }  # fmt: skip
    assert settings_of(describe(given(upstream="ws://a.example", name="SIP"))) == {
        "source": "relay", "upstream": "ws://a.example", "upstream_ca": None, "name": "SIP",
    }  # fmt: skip


OFFERED = {
    "ticks": ["quotes"], "aggregates": ["ohlc-1s", "ema-1d"], "bars": "all", "lateness": 5.0, "sma": [2, 3],
    "ema": [3, 4, 2], "history": False,
}  # fmt: skip


@pytest.mark.parametrize("kind", [{"source": "synthetic"}, {"replay": "a.csv", "name": "SIP"}])
def test_what_is_offered_is_described_in_the_words_of_a_descriptor(kind: dict[str, object]) -> None:
    description = describe(given(**kind, **OFFERED))
    assert isinstance(description, SyntheticConfig | ReplayConfig)
    assert description.channels == (Channel.QUOTES, Channel.AGGREGATES, Channel.EMA)
    aggregation = description.aggregation
    assert isinstance(aggregation, Aggregation)
    assert (aggregation.rule, aggregation.lateness) == (every_trade, 5.0)
    assert (aggregation.sma, aggregation.ema) == (SmaPeriods(2, 3), EmaPeriods(3, 4, 2))
    assert [aggregation.frequencies_of(channel) for channel in (Channel.AGGREGATES, Channel.SMA, Channel.EMA)] == [
        (Frequency.SECOND,), (), (Frequency.DAY,),
    ]  # fmt: skip
    found = settings_of(description)
    assert {name: found[name] for name in OFFERED} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in OFFERED.items()
    }


def test_what_says_nothing_new_changes_nothing() -> None:
    said = {name: list(value) if isinstance(value, tuple) else value for name, value in DEFAULTS.items() if value}
    assert describe(given(**said)) == SyntheticConfig()


def test_no_aggregates_are_no_bars() -> None:
    description = describe(given(aggregates=[], ticks=["trades"]))
    assert isinstance(description, SyntheticConfig)
    assert (description.aggregation, description.channels) == (None, (Channel.TRADES,))
    assert settings_of(description)["aggregates"] == ()


def test_a_market_or_a_replay_offers_no_more_than_it_was_told(tmp_path: Path) -> None:
    market = open_source(describe(given(ticks=["trades"], aggregates=["ohlc-1m"], history=False)))
    assert isinstance(market, Synthetic)
    assert (market.dataset.channels, market.history) == ((Channel.TRADES,), None)
    file = tmp_path / "trades.csv"
    file.write_text("symbol,ts_ns,price,size\nBTCUSD,1,2.5,3\n")
    replay = open_source(
        describe(given(replay=[str(file)], name="Crypto", symbols=["btc-usd", "BTCUSD"], ticks=[], history=False))
    )
    assert isinstance(replay, Replay)
    assert (replay.dataset.symbols, replay.dataset.channels) == (frozenset({"BTCUSD"}), ())
    assert replay.history is None
    assert replay.aggregation is not None


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"ticks": ["trade"]}, "--ticks: ticks are quotes or trades, not 'trade'"),
        ({"ticks": "trades"}, "--ticks must be a list of texts"),
        ({"aggregates": ["ohlc-5m"]}, "--aggregates: there is no 'ohlc-5m' among aggregates: did you mean ohlc-1m?"),
        (
            {"aggregates": ["volume"]},
            "--aggregates: there is no 'volume' among aggregates: there are ohlc-1s, ohlc-1m,",
        ),
        ({"bars": "some"}, "--bars must be one of all, consolidated, not 'some'"),
        ({"lateness": -1}, "--lateness must not be below 0, not -1"),
        ({"sma": [1, 2, 3]}, "--sma: sma has 2 periods (fast, slow), not 3"),
        ({"sma": [3, 2]}, "--sma: the fast periods of an SMA are fewer than the slow ones, not 3, 2 (sma)"),
        ({"ema": [1, 2]}, "--ema: ema has 3 periods (fast, slow, signal), not 2"),
        ({"ema": [1.5, 2, 3]}, "--ema must be a list of integers, such as [20, 50], not [1.5, 2, 3]"),
        ({"ema": [True, 2, 3]}, "--ema must be a list of integers"),
        ({"ticks": [], "aggregates": []}, "--ticks, --aggregates: a synthetic market without ticks and aggregates has"),
        ({"history": "no"}, "--history must be true or false, not 'no'"),
        ({"source": "program", "bars": "all"}, "--bars is not for a program dataset: it has source, name, asset_class"),
    ],
)
def test_a_wrong_offer_is_one_line(values: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        describe(given(**values))
    assert str(caught.value).startswith(line)


def test_an_error_that_names_no_setting_goes_on_as_it_is() -> None:
    with pytest.raises(ConfigurationError, match=r"^--symbols: '\?' is no symbol"):
        describe(given(source="program", symbols=["?"]))
