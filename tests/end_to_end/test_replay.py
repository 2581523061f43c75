"""Real input: a `datafye-trio serve --replay` process to a client that others wrote, compared row by row."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from processes import WAIT, serving
from websockets.sync.client import connect

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
BTCUSDT = DATA / "crypto_btcusdt_binance_spot_20240808"
XXX = DATA / "equity_xxx_taq_20180102"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded ticks are not on this machine")


def receive(url: str, request: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Subscribe, and take data messages until there are `count`."""
    found: list[dict[str, Any]] = []
    with connect(url, compression=None, max_queue=None, open_timeout=WAIT) as client:
        client.send(json.dumps(request))
        while len(found) < count:
            message = json.loads(client.recv(WAIT))
            if message["type"] in ("quote", "trade"):
                found.append(message)
            else:
                assert message["type"] in ("connected", "subscribed", "heartbeat"), message
    return found


def rows(path: Path) -> list[dict[str, str]]:
    """A tick file, read independently of the package."""
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def number(text: str) -> float | None:
    return float(text) if text else None


def check_sequence(messages: list[dict[str, Any]]) -> None:
    assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))


@needs_data
def test_every_btcusdt_tick_arrives_once_in_order_and_equal() -> None:
    trades, quotes = rows(BTCUSDT / "trades.csv.gz"), rows(BTCUSDT / "quotes.csv.gz")
    assert (len(trades), len(quotes)) == (19_904, 73_174)
    request = {"action": "subscribe", "channels": ["quotes", "trades"], "symbols": ["BTCUSDT"]}
    arguments = ("--replay", str(BTCUSDT), "--dataset", "Crypto", "--speed", "max", "--wait-for-client", "2")
    with serving(*arguments) as url:
        found = receive(f"{url}/crypto/live", request, len(trades) + len(quotes))
    got_trades = [message for message in found if message["type"] == "trade"]
    got_quotes = [message for message in found if message["type"] == "quote"]
    check_sequence(got_trades)
    check_sequence(got_quotes)
    for row, got in zip(trades, got_trades, strict=True):
        assert (got["exchangeTimestamp"], got["tradeID"]) == (int(row["ts_ns"]), row["trade_id"])
        assert (got["tradePrice"], got["tradeSize"]) == (float(row["price"]), float(row["size"]))
        assert got["exchangeID"] == row["exchange"]
    for row, got in zip(quotes, got_quotes, strict=True):
        assert got["exchangeTimestamp"] == int(row["recv_ns"])
        assert (got["bidPrice"], got["bidSize"]) == (float(row["bid_price"]), float(row["bid_size"]))
        assert (got["askPrice"], got["askSize"]) == (float(row["ask_price"]), float(row["ask_size"]))


@needs_data
def test_every_xxx_tick_arrives_with_venue_and_conditions() -> None:
    trades, quotes = rows(XXX / "trades.csv.gz"), rows(XXX / "quotes.csv.gz")
    assert (len(trades), len(quotes)) == (77_263, 131_401)
    request = {"action": "subscribe", "dataset": "SIP", "channels": ["quotes", "trades"], "symbols": ["XXX"]}
    arguments = ("--replay", str(XXX), "--dataset", "SIP", "--speed", "max", "--wait-for-client", "2")
    with serving(*arguments) as url:
        found = receive(f"{url}/stream", request, len(trades) + len(quotes))
    got_trades = [message for message in found if message["type"] == "trade"]
    got_quotes = [message for message in found if message["type"] == "quote"]
    check_sequence(got_trades)
    check_sequence(got_quotes)
    mic = {"N": "XNYS", "P": "ARCX", "Q": "XNAS", "T": "XNAS"}
    for row, got in zip(trades, got_trades, strict=True):
        assert (got["exchangeTimestamp"], got["assetClass"]) == (int(row["ts_ns"]), "stocks")
        assert (got["tradePrice"], got["tradeSize"]) == (float(row["price"]), int(row["size"]))
        assert "".join(got.get("conditions", [])) == row["conditions"].strip()
        assert got["exchangeID"] == mic.get(row["exchange"], got["exchangeID"])
        assert len(got["exchangeID"]) == 4
    for row, got in zip(quotes, got_quotes, strict=True):
        assert (got["bidPrice"], got["bidSize"]) == (number(row["bid_price"]), int(row["bid_size"]))
        assert (got["askPrice"], got["askSize"]) == (number(row["ask_price"]), int(row["ask_size"]))
        assert got["bidExchangeID"] == got["askExchangeID"]


@pytest.mark.parametrize("path", ["quotes", "ticks"])
@pytest.mark.parametrize(("dataset", "symbol"), [("Synthetic", "AAPL"), ("Crypto", "BTCUSD")])
def test_the_samples_requests(path: str, dataset: str, symbol: str) -> None:
    """As Datafye's samples send them: no channel, no id, dataset Crypto on a stocks path, nothing read before."""
    with serving("--dataset", dataset, "--rate", "500") as url, connect(f"{url}/stocks/live/{path}") as client:
        client.send(json.dumps({"action": "subscribe", "dataset": dataset, "symbols": [symbol]}))
        assert '{"type":"connected"' in str(client.recv(WAIT))
        answer = json.loads(client.recv(WAIT))
        if (dataset, path) == ("Crypto", "quotes"):
            assert (answer["type"], answer["code"]) == ("error", "CHANNEL_NOT_AVAILABLE")
            return
        assert answer["type"] == "subscribed"
        first = json.loads(client.recv(WAIT))
        assert (first["type"], first["symbol"]) == ("quote" if path == "quotes" else "trade", symbol)
        client.close(1000, "done")
