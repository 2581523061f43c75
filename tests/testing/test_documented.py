"""Datafye's samples' requests, and all that is none of them: each wrong in one place, which the complaint names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testing.spoken import BARS, BASE, FACTS, HISTORY, LIVE_PATHS, SAMPLES, documented

from datafye_trio.testing.documented import ENDPOINTS, FIELDS, RECORDS, complaint


def test_the_paths_are_those_of_the_samples() -> None:
    assert ENDPOINTS.keys() == SAMPLES.keys() == {*(f"{BASE}/{path}" for path in LIVE_PATHS.values()), HISTORY}
    for kind, path in LIVE_PATHS.items():
        assert ENDPOINTS[f"{BASE}/{path}"].record == kind


def test_the_fields_are_those_of_the_facts() -> None:
    """Against the table that was written from the facts by another hand."""
    for (kind, asset_class), fields in RECORDS.items():
        assert fields == documented(kind, asset_class)
    for kind, fields in FIELDS.items():
        assert fields == documented(kind)
    found = {f"{kind} {asset_class}" for kind, asset_class in RECORDS} | {*FIELDS}
    assert found == {*FACTS} | {"sma crypto", "ema crypto"}


@pytest.mark.parametrize(("path", "text"), SAMPLES.items())
def test_the_samples_requests_are_documented(path: str, text: str) -> None:
    assert complaint(ENDPOINTS[path], json.loads(text)) is None
    for changes in ({"dataset": "Crypto"}, {"dataset": "Synthetic"}):
        assert complaint(ENDPOINTS[path], json.loads(text) | changes) is None


@pytest.mark.parametrize("frequency", ["Second", "Minute", "Hour", "Day"])
def test_all_frequencies_are_documented(frequency: str) -> None:
    assert complaint(ENDPOINTS[f"{BASE}/live/ema"], {**json.loads(BARS), "frequency": frequency}) is None


@pytest.mark.parametrize("symbols", [["AAPL", "MSFT"], ["BRK.A"], ["*"]])
def test_to_unsubscribe_has_the_form_of_the_subscription(symbols: list[str]) -> None:
    for path in LIVE_PATHS.values():
        request = json.loads(SAMPLES[f"{BASE}/{path}"]) | {"action": "unsubscribe", "symbols": symbols}
        assert complaint(ENDPOINTS[f"{BASE}/{path}"], request) is None


def test_crypto_symbols_may_be_spelt_otherwise() -> None:
    request = {"action": "subscribe", "dataset": "Crypto", "symbols": ["btc/usd", "X:ETHUSD", "BTC-USD"]}
    assert complaint(ENDPOINTS[f"{BASE}/live/ticks"], request) is None


QUOTES = f"{BASE}/live/quotes"
AGGS = f"{BASE}/live/aggs"
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "ping": (QUOTES, {"action": "ping"}, 'action "ping"'),
    "list": (QUOTES, {"action": "subscriptions"}, 'action "subscriptions"'),
    "start on a live path": (QUOTES, {"action": "start"}, 'action "start"'),
    "subscribe on the history path": (HISTORY, {"action": "subscribe"}, 'action "subscribe"'),
    "unsubscribe on the history path": (HISTORY, {"action": "unsubscribe"}, 'action "unsubscribe"'),
    "stop": (HISTORY, {"action": "stop"}, 'action "stop"'),
    "more": (HISTORY, {"action": "more"}, 'action "more"'),
    "another case": (QUOTES, {"action": "Subscribe"}, 'action "Subscribe"'),
    "no action at all": (QUOTES, {"action": 1}, "action 1"),
    "a list of actions": (QUOTES, {"action": ["subscribe"]}, 'action ["subscribe"]'),
    "an object for an action": (HISTORY, {"action": {"start": 1}}, 'action {"start": 1}'),
    "an id": (QUOTES, {"id": 1}, 'field "id"'),
    "channels": (QUOTES, {"channels": ["quotes"]}, 'field "channels"'),
    "a snapshot": (QUOTES, {"snapshot": False}, 'field "snapshot"'),
    "a resume": (QUOTES, {"resume": {"epoch": "e", "positions": {}}}, 'field "resume"'),
    "a delivery": (QUOTES, {"delivery": "latest"}, 'field "delivery"'),
    "running bars": (AGGS, {"running": True}, 'field "running"'),
    "an asset class": (QUOTES, {"assetClass": "stocks"}, 'field "assetClass"'),
    "a frequency of ticks": (QUOTES, {"frequency": "Minute"}, 'field "frequency"'),
    "a null": (QUOTES, {"frequency": None}, 'field "frequency"'),
    "a window": (HISTORY, {"window": 10}, 'field "window"'),
    "a rate": (HISTORY, {"rate": 10}, 'field "rate"'),
    "several symbols of history": (HISTORY, {"symbols": ["AAPL"]}, 'field "symbols"'),
    "a name that is no name": (QUOTES, {"x" * 100: 1}, 'field "' + "x" * 39 + "..."),
    "one symbol": (QUOTES, {"symbols": "AAPL"}, 'symbols "AAPL"'),
    "no symbol": (QUOTES, {"symbols": []}, "symbols []"),
    "every symbol": (QUOTES, {"symbols": ["*"]}, 'symbols ["*"]'),
    "every symbol, and one": (QUOTES, {"action": "unsubscribe", "symbols": ["*", "AAPL"]}, 'symbols ["*", "AAPL"]'),
    "a small symbol": (QUOTES, {"symbols": ["AAPL", "msft"]}, 'symbols ["AAPL", "msft"]'),
    "a space": (QUOTES, {"symbols": ["AAPL", " MSFT"]}, 'symbols ["AAPL", " MSFT"]'),
    "a space in crypto": (QUOTES, {"dataset": "Crypto", "symbols": ["BTCUSD "]}, 'symbols ["BTCUSD "]'),
    "a number for a symbol": (QUOTES, {"symbols": [1]}, "symbols [1]"),
    "a small symbol of history": (HISTORY, {"symbol": "aapl"}, 'symbol "aapl"'),
    "all of history": (HISTORY, {"symbol": "*"}, 'symbol "*"'),
    "a list of symbols of history": (HISTORY, {"symbol": ["AAPL"]}, 'symbol ["AAPL"]'),
    "a dataset of no name": (QUOTES, {"dataset": 7}, "dataset 7"),
    "a small frequency": (AGGS, {"frequency": "minute"}, 'frequency "minute"'),
    "a short frequency": (AGGS, {"frequency": "1m"}, 'frequency "1m"'),
    "stored ticks": (HISTORY, {"frequency": "Tick"}, 'frequency "Tick"'),
    "a time with a zone": (HISTORY, {"from": "2025-01-02T09:30:00Z"}, 'from "2025-01-02T09:30:00Z"'),
    "a time with an offset": (HISTORY, {"to": "2025-01-02T16:00:00-05:00"}, 'to "2025-01-02T16:00:00-05:00"'),
    "a day": (HISTORY, {"from": "2025-01-02"}, 'from "2025-01-02"'),
    "nanoseconds": (HISTORY, {"from": 1735828200000000000}, "from 1735828200000000000"),
}


@pytest.mark.parametrize(("path", "changes", "named"), WRONG.values(), ids=WRONG)
def test_what_is_not_documented_is_named(path: str, changes: dict[str, Any], named: str) -> None:
    found = complaint(ENDPOINTS[path], json.loads(SAMPLES[path]) | changes)
    assert found == f"{named}: Datafye does not document that; its own clients send {SAMPLES[path]} on this path"


@pytest.mark.parametrize(("path", "text"), SAMPLES.items())
def test_what_the_samples_always_send_may_not_be_left_out(path: str, text: str) -> None:
    whole = json.loads(text)
    for name in whole:
        found = complaint(ENDPOINTS[path], {other: value for other, value in whole.items() if other != name})
        assert found is not None
        assert found.startswith(f"no field '{name}': Datafye does not document that;")
