"""Wrong data descriptors: one sentence with file, line and field, whatever the text."""

from __future__ import annotations

import json

import pytest
from cli.specs import HEAD, LIVE, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a", "line 1: must be a mapping with apiVersion, kind, metadata, mode, datasets, broker, credentials, not"),
        ("~", "line 1: must be a mapping with apiVersion"),
        ("datasets: []", "line 1: apiVersion must be datafye.io/v1"),
        ("apiVersion: datafye.io/v2", "line 1: apiVersion: apiVersion must be datafye.io/v1"),
        ("apiVersion: [1]", "line 1: apiVersion: must be a text, not a list"),
        (
            "apiVersion: datafye.io/v1\nkind: AlgoSpec",
            "line 2: kind: must be DataSpec: only data descriptors can be served",
        ),
        ("apiVersion: datafye.io/v1\nmode: dry", "line 2: mode: must be one of live, paper, backtest"),
        ("apiVersion: datafye.io/v1", "line 1: datasets is missing or empty: list at least one"),
        ("apiVersion: datafye.io/v1\ndatasets:\n", "line 1: datasets is missing or empty: list at least one"),
        ("apiVersion: datafye.io/v1\ndatasets: []\n", "line 1: datasets is missing or empty: list at least one"),
        ("apiVersion: datafye.io/v1\ndatasets: SIP\n", "line 2: datasets: must be a list, not 'SIP'"),
        ("apiVersion: datafye.io/v1\ndatasets: {dataset: SIP}", "line 2: datasets: must be a list, not a mapping"),
        (
            HEAD + "- SIP",
            "line 3: datasets[0]: must be a mapping with dataset, provider, symbols, reference, live, history, no",
        ),
        (
            HEAD + "-",
            "line 3: datasets[0]: must be a mapping with dataset, provider, symbols, reference, live, history, no",
        ),
        (HEAD + "- provider: Polygon", "line 3: datasets[0]: dataset is missing: name it, such as dataset: SIP"),
        (HEAD + "- dataset: ''", "line 3: datasets[0].dataset: must be a text, not an empty text"),
        (HEAD + "- dataset: ../x", "line 3: datasets[0].dataset: must be a name of letters, digits and . - _"),
        (HEAD + "- dataset: sip", "line 3: datasets[0].dataset: there is no dataset sip: write SIP"),
        (
            HEAD + "- dataset: SIP\n  live: {ticks: trades}\n- dataset: SIP\n  live: {ticks: trades}",
            "line 5: datasets[1]: the dataset SIP comes twice, first in line 3",
        ),
        (
            HEAD + "- dataset: SIP\n  symbols: AAPL",
            "line 4: datasets[0].symbols: must be a mapping with tickers, not 'AAPL'",
        ),
        (
            HEAD + "- dataset: SIP\n  symbols:\n    tickers: {a: b}",
            "line 5: datasets[0].symbols.tickers: must be a list or a text with commas, not a mapping",
        ),
        (
            HEAD + "- dataset: SIP\n  symbols: {tickers: []}",
            "line 4: datasets[0].symbols.tickers: is empty: name at least one symbol",
        ),
        (
            HEAD + "- dataset: SIP\n  symbols:\n    tickers:\n    - A\n    - B C",
            "line 7: datasets[0].symbols.tickers[1]: 'B C' is no symbol: 1 to 32 characters of A-Z 0-9 . - _ : /",
        ),
        (
            HEAD + "- dataset: SIP\n  symbols:\n    tickers:\n    - A\n    - a",
            "line 7: datasets[0].symbols.tickers[1]: A comes twice, first in line 6",
        ),
        (
            HEAD + "- dataset: SIP\n  symbols: {tickers: [null]}",
            "line 4: datasets[0].symbols.tickers[0]: must be a text, not null",
        ),
        (
            HEAD + "- dataset: SIP\n  symbols: {tickers: 'A,,B'}",
            "line 4: datasets[0].symbols.tickers[1]: must be a text, not an empty text",
        ),
        (HEAD + "- dataset: SIP\n  reference: perhaps", "line 4: datasets[0].reference: must be true or false"),
        (
            HEAD + "- dataset: SIP\n  live: trades",
            "line 4: datasets[0].live: must be a mapping with ticks, aggregates, not 'trades'",
        ),
        (
            HEAD + "- dataset: SIP\n  live: {ticks: {trades: true}}",
            "line 4: datasets[0].live.ticks: must be a list or a text with commas, not a mapping",
        ),
        (
            HEAD + "- dataset: SIP\n  live: {ticks: 'the trades'}",
            "line 4: datasets[0].live.ticks[0]: must be a kind of ticks, such as trades",
        ),
        (
            HEAD + "- dataset: SIP\n  live: {ticks: 'trades,ticks'}",
            "line 4: datasets[0].live.ticks[1]: trades comes twice, first in line 4",
        ),
        (
            HEAD + "- dataset: SIP\n  live: {aggregates: ohlc}",
            "line 4: datasets[0].live.aggregates[0]: must be a schema such as ohlc-1m: what, a dash, and the span",
        ),
        (
            HEAD + "- dataset: SIP\n  live:\n    aggregates:\n    - ohlc-1m\n    - ohlc-1m",
            "line 7: datasets[0].live.aggregates[1]: ohlc-1m comes twice, first in line 6",
        ),
        (
            HEAD + "- dataset: SIP\n  history: {ticks: [{duration: 3d}]}",
            "line 4: datasets[0].history.ticks[0]: schema is missing: name it, such as schema: trades",
        ),
        (
            HEAD + "- dataset: SIP\n  history: {ticks: [{schema: trades, duration: long}]}",
            "line 4: datasets[0].history.ticks[0].duration: must be a duration such as 30d",
        ),
    ],
)
def test_what_is_wrong_raises_with_line_and_field(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        spec(text)
    assert str(caught.value).startswith(f"spec.yaml, {complaint}")


_WORDS = st.sampled_from(
    ["SIP", "Crypto", "Synthetic", "sip", "AAPL", "X:BTCUSD", "trades", "quotes,trades", "ohlc-1m", "ema-1d,sma-1h",
     "30d", "rsi-5m", "true", "", "~", "datafye.io/v1", "DataSpec", "backtest", "\u202e", "\ud800"]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["apiVersion", "kind", "mode", "datasets", "dataset", "symbols", "tickers", "live", "history", "ticks",
     "aggregates", "schema", "duration", "reference", "provider", "credentials", "broker", "other"]
)  # fmt: skip
_ANYTHING = st.recursive(
    st.none() | _WORDS | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=25,
)
_SMALL = (
    _WORDS
    | st.sampled_from([None, "\u202e"])
    | st.lists(_WORDS, max_size=2)
    | st.dictionaries(_KEYS, _WORDS, max_size=2)
)
_SCHEMAS = st.fixed_dictionaries({}, optional={"ticks": _SMALL, "aggregates": _SMALL | st.lists(_SMALL, max_size=2)})
_NEARLY = st.fixed_dictionaries(
    {"dataset": st.sampled_from(["SIP", "Crypto", "Synthetic"]), "live": _SCHEMAS | _SMALL},
    optional={"reference": _SMALL, "symbols": st.fixed_dictionaries({"tickers": _SMALL}), "history": _SCHEMAS | _SMALL},
)
"""A dataset that is read to its inner fields: anything at all seldom comes further than its name."""
_LISTS = st.lists(_NEARLY, min_size=1, max_size=2) | st.lists(_ANYTHING, max_size=3)
_DOCUMENTS = _LISTS.map(lambda datasets: {"apiVersion": "datafye.io/v1", "datasets": datasets}) | _ANYTHING


@settings(max_examples=150)
@given(_DOCUMENTS)
def test_any_document_is_a_descriptor_or_one_sentence(document: object) -> None:
    try:
        found = spec(json.dumps(document))
    except ConfigurationError as error:
        assert str(error).startswith("spec.yaml, line ")
        assert str(error).isprintable()
    else:
        assert all(line.isprintable() for line in found.warnings)
        assert found.datasets


def test_every_beginning_of_a_descriptor_is_one_or_a_sentence() -> None:
    for end in range(len(LIVE)):
        try:
            spec(LIVE[:end])
        except ConfigurationError as error:
            assert str(error).startswith("spec.yaml")
