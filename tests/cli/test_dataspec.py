"""Data descriptors: the vendor's own are read whole, and what cannot be done is a warning with line and field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from cli.specs import BACKTEST, HEAD, LIVE, spec

from datafye_trio.cli.dataspec import DataSpec, read_dataspec
from datafye_trio.errors import ConfigurationError


def outline(found: DataSpec) -> list[tuple[str, str, tuple[str, ...] | None, str, bool]]:
    return [
        (one.name, one.asset_class.value, one.symbols, " ".join(map(str, one.offers)), one.has_history)
        for one in found.datasets
    ]


def test_a_live_descriptor_in_the_style_of_the_vendor() -> None:
    found = spec(LIVE)
    assert outline(found) == [
        ("SIP", "stocks", ("AAPL", "MSFT", "GOOGL"), "trades quotes ohlc-1s ohlc-1m ohlc-1d", True),
    ]  # fmt: skip
    assert found.warnings == [
        "spec.yaml, line 11: datasets[0].reference: this server has no reference data",
        "spec.yaml, line 22: datasets[0].history.reference: this server has no reference data",
        "spec.yaml, line 17: datasets[0].history.ticks[0].duration: not applied: history goes back as far as there is "
        "data",
    ]
    assert [offer.field.line for offer in found.datasets[0].offers] == [13, 13, 14, 14, 14]


def test_a_backtest_descriptor_in_the_style_of_the_vendor() -> None:
    found = spec(BACKTEST)
    assert outline(found) == [
        ("SIP", "stocks", ("AAPL", "ON"), "trades ohlc-1m", True),
        ("Crypto", "crypto", ("BTCUSD",), "ohlc-1m", True),
        ("Synthetic", "stocks", None, "ohlc-1m ema-1d", False),
    ]
    assert len(found.warnings) == 1  # the durations, once


def test_json_is_yaml() -> None:
    text = BACKTEST.replace("ON", "'ON'")  # another reader of YAML makes true of ON
    assert outline(spec(json.dumps(yaml.safe_load(text), indent=2))) == outline(spec(BACKTEST))


@pytest.mark.parametrize(
    "live",
    [
        "{ticks: [trades, quotes], aggregates: [ohlc-1m, SMA-1h]}",
        "{ticks: 'Trades , quotes', aggregates: 'ohlc-1m,sma-1h'}",
        "{ticks: [{schema: trades, duration: 1d}, quotes], aggregates: [{schema: ohlc-1m}, sma-1h]}",
    ],
)
def test_texts_and_lists_mean_the_same(live: str) -> None:
    found = spec(f"{HEAD}- dataset: SIP\n  live: {live}")
    assert outline(found) == [("SIP", "stocks", None, "trades quotes ohlc-1m sma-1h", False)]


def test_ticks_are_quotes_and_trades_and_tickers_may_be_one_text() -> None:
    found = spec(f"{HEAD}- dataset: Crypto\n  symbols: {{tickers: 'btc/usd, ETHUSD'}}\n  live: {{ticks: ticks}}")
    assert outline(found) == [("Crypto", "crypto", ("BTCUSD", "ETHUSD"), "quotes trades", False)]
    assert found.warnings == []


def test_null_and_nothing_are_absent() -> None:
    text = "- dataset: SIP\n  symbols:\n  provider: ~\n  history: null\n  live: {ticks: '', aggregates: [ohlc-1s]}"
    assert outline(spec(HEAD + text)) == [("SIP", "stocks", None, "ohlc-1s", False)]
    assert outline(spec(f"{HEAD}- dataset: SIP\n  symbols: {{tickers: }}\n  live: {{ticks: trades}}"))[0][2] is None


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "- dataset: SIP\n  live: {ticks: 'trades,depth'}",
            "line 4: datasets[0].live.ticks[1]: this server has no ticks depth",
        ),
        (
            "- dataset: SIP\n  live: {ticks: [trades, quote]}",
            "line 4: datasets[0].live.ticks[1]: this server has no ticks quote: did you mean quotes?",
        ),
        (
            "- dataset: SIP\n  live:\n    aggregates:\n    - ohlc-1s\n    - ohlc-5m",
            "line 7: datasets[0].live.aggregates[1]: this server has no bars of 5m: it has 1s, 1m, 1h, 1d",
        ),
        (
            "- dataset: SIP\n  live: {aggregates: 'ohlc-1s,rsi-1m'}",
            "line 4: datasets[0].live.aggregates[1]: this server has no rsi: it has ohlc, sma, ema",
        ),
        ("- dataset: SIP\n  live: {ticks: trades, depth: 5}", "line 4: datasets[0].live.depth: unknown, and ignored"),
        (
            "- dataset: SIP\n  symbol: {tickers: [A]}\n  live: {ticks: trades}",
            "line 4: datasets[0].symbol: unknown, and ignored: did you mean symbols?",
        ),
        (
            "- dataset: SIP\n  adjusted: true\n  live: {ticks: trades}",
            "line 4: datasets[0].adjusted: unknown, and ignored",
        ),
        ("- dataset: SIP\n  live: {ticks: trades}\nspare: 1", "line 5: spare: unknown, and ignored"),
        (
            "- dataset: SIP\n  live: {ticks: trades}\nbroker: {provider: Alpaca}",
            "line 5: broker: this server serves data and takes no orders",
        ),
        (
            "- dataset: Mine\n  live: {ticks: trades}",
            "line 3: datasets[0].dataset: Datafye has no dataset Mine; only a recording of that name can feed it",
        ),
        (
            "- dataset: Crypto\n  symbols: {tickers: ['X:BTCUSD']}\n  live: {ticks: trades}",
            "line 4: datasets[0].symbols.tickers[0]: here X:BTCUSD is BTCUSD; Datafye itself wants it written so,",
        ),
        (
            "- dataset: SIP\n  reference: true",
            "line 3: datasets[0]: SIP offers nothing that this server has: give it live.ticks or live.aggregates",
        ),
        (
            "- dataset: SIP\n  live: {}\n  history: {ticks: trades}",
            "line 3: datasets[0]: SIP offers nothing that this server has: give it live.ticks or live.aggregates",
        ),
        (
            "- dataset: SIP\n  live: {ticks: trades}\n  history: {reference: true}",
            "line 5: datasets[0].history.reference: this server has no reference data",
        ),
    ],
)
def test_what_cannot_be_done_is_a_warning_with_line_and_field(text: str, warning: str) -> None:
    assert any(line.startswith(f"spec.yaml, {warning}") for line in spec(HEAD + text).warnings)


def test_reference_false_asks_for_nothing() -> None:
    assert spec(f"{HEAD}- dataset: SIP\n  reference: false\n  live: {{ticks: trades}}").warnings == []


def test_secrets_are_in_no_message() -> None:
    found = spec(LIVE + "credentials:\n  key: SECRET1\n  nested: [SECRET2]\nmetadata2: SECRET3\n")
    assert "SECRET" not in " ".join(found.warnings)


def test_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(LIVE)
    assert read_dataspec(file).name == str(file)
    file.write_text("[")
    with pytest.raises(ConfigurationError, match=rf"^{file}, line 1: "):
        read_dataspec(file)
