"""Descriptors, feeds and flags that cannot be joined: one line each; and any descriptor is settings or such a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.feeds import CRYPTO, NOON, SIP, STOCKS, SYNTHETIC, read, record, ticks
from cli.specs import HEAD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafye_trio.cli.settings import load
from datafye_trio.errors import ConfigurationError


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return tmp_path / "spec.yaml"


@pytest.mark.parametrize(
    ("text", "replay", "flags", "complaint"),
    [
        (SYNTHETIC, (), {"name": "X"}, "--name cannot be used with a descriptor: {spec} decides that"),
        (SYNTHETIC, (), {"symbols": ["A"]}, "--symbols cannot be used with a descriptor: {spec} decides that"),
        (SYNTHETIC, (), {"speed": 2.0}, "--speed is for none of the datasets that the descriptor leaves to serve"),
        (SYNTHETIC, ("{dir}",), {}, "--replay: {spec} has no dataset that {dir} could feed"),
        (
            HEAD + SIP,
            (),
            {},
            "{spec} leaves nothing to serve; {spec}, line 3: datasets[0]: SIP is left out: it has no feed",
        ),
        (
            f"{HEAD}- dataset: SIP\n  reference: true",
            (),
            {},
            "{spec} leaves nothing to serve; {spec}, line 3: datasets",
        ),
        (HEAD + SIP, ("none",), {}, "--replay: replay of SIP: there is no file none"),
        (HEAD + SIP, ("SIP=none",), {}, "--replay: replay of SIP: there is no file none"),
        (HEAD + SIP, ("SPI={dir}",), {}, "--replay: {spec} has no dataset SPI, it has SIP"),
        (HEAD + SIP, ("SIP=",), {}, "--replay: SIP= names no path"),
        (
            HEAD + SIP + CRYPTO,
            ("{dir}/csv",),
            {},
            "--replay: {dir}/csv/trades.csv does not say what dataset it is of: give its name (dataset); for one of "
            "several datasets, write SIP=PATH",
        ),
        (
            HEAD + SIP + CRYPTO,
            ("none",),
            {},
            "--replay: there is no file none; for one of several datasets, write SIP=",
        ),
        (HEAD + SIP + CRYPTO, ("{dir}/rec",), {}, "--replay: {dir}/rec holds Other, {spec} needs SIP, Crypto"),
        (HEAD + SIP, ("{dir}/rec",), {}, "--replay: replay of SIP: no dataset SIP in {dir}/rec: there is Other"),
        (
            HEAD + CRYPTO,
            ("{dir}/quotes",),
            {},
            "{spec} leaves nothing to serve; {spec}, line 5: datasets[0].live",
        ),
    ],
)
def test_what_cannot_be_joined_is_one_line(
    spec: Path,
    tmp_path: Path,
    text: str,
    replay: tuple[str, ...],
    flags: dict[str, object],
    complaint: str,
) -> None:
    ticks(tmp_path / "csv")
    record(tmp_path / "rec", "Other", STOCKS)
    (tmp_path / "quotes").mkdir()
    (tmp_path / "quotes" / "quotes.csv").write_text(
        f"symbol,ts_ns,bid_price,bid_size,ask_price,ask_size\nA,{NOON},1,1,2,1\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        read(spec, text, *(one.replace("{dir}", str(tmp_path)) for one in replay), **flags)
    expected = complaint.replace("{dir}", str(tmp_path)).replace("{spec}", str(spec))
    assert str(caught.value).startswith(expected)


_SYMBOLS = st.sampled_from(["AAPL", "MSFT", "x:BTC-USD", "not one", "BRK.B", "ON"])
_SCHEMAS = st.sampled_from(["ohlc-1s", "sma-1m", "ema-1d", "ohlc-5m", "rsi-1m", "ohlc"])
_LIVE = st.fixed_dictionaries(
    {},
    optional={"ticks": st.sampled_from(["trades", "quotes,trades", "depth", ""]), "aggregates": st.lists(_SCHEMAS)},
)
_DATASET = st.fixed_dictionaries(
    {"dataset": st.sampled_from(["Synthetic", "SIP", "Crypto", "Other"])},
    optional={
        "symbols": st.fixed_dictionaries({"tickers": st.lists(_SYMBOLS, max_size=3)}),
        "live": _LIVE,
        "history": _LIVE,
        "reference": st.booleans(),
    },
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_DATASET, max_size=3), st.booleans())
def test_any_descriptor_is_settings_or_one_sentence(spec: Path, datasets: list[object], fed: bool) -> None:
    feed = spec.parent / "csv"
    if not feed.exists():
        ticks(feed)
    spec.write_text(json.dumps({"apiVersion": "datafye.io/v1", "datasets": datasets}))
    try:
        found = load({"replay": (f"SIP={feed}",)} if fed else {}, {}, None, spec)
    except ConfigurationError as error:
        assert str(error).isprintable()
    else:
        assert {one.dataset for one in found.datasets} <= {"Synthetic", "SIP"}
