"""Real input: a `datafye-trio serve --replay` process to a client that others wrote, compared row by row."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from processes import WAIT, serving
from websockets.sync.client import connect

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
BTCUSDT = DATA / "crypto_btcusdt_binance_spot_20240808"
XXX = DATA / "equity_xxx_taq_20180102"
QUOTE_FIELDS = {"bid_price": "bidPrice", "bid_size": "bidSize", "ask_price": "askPrice", "ask_size": "askSize"}
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


def column(messages: list[dict[str, Any]], name: str) -> list[Any]:
    return [message[name] for message in messages]


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
    # Whole columns at once: an assert for each of 93,078 rows would take longer than the replay.
    assert column(got_trades, "exchangeTimestamp") == [int(row["ts_ns"]) for row in trades]
    assert column(got_trades, "tradeID") == [row["trade_id"] for row in trades]
    assert column(got_trades, "tradePrice") == [float(row["price"]) for row in trades]
    assert column(got_trades, "tradeSize") == [float(row["size"]) for row in trades]
    assert column(got_trades, "exchangeID") == [row["exchange"] for row in trades]
    assert column(got_quotes, "exchangeTimestamp") == [int(row["recv_ns"]) for row in quotes]
    for field, name in QUOTE_FIELDS.items():
        assert column(got_quotes, name) == [float(row[field]) for row in quotes]


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
    assert {message["assetClass"] for message in found} == {"stocks"}
    assert column(got_trades, "exchangeTimestamp") == [int(row["ts_ns"]) for row in trades]
    assert column(got_trades, "tradePrice") == [float(row["price"]) for row in trades]
    assert column(got_trades, "tradeSize") == [int(row["size"]) for row in trades]
    assert ["".join(got.get("conditions", [])) for got in got_trades] == [row["conditions"].strip() for row in trades]
    venues = {row["exchange"]: got["exchangeID"] for row, got in zip(trades, got_trades, strict=True)}
    assert column(got_trades, "exchangeID") == [venues[row["exchange"]] for row in trades]
    assert {"N": "XNYS", "P": "ARCX", "T": "XNAS", "Z": "BATS"}.items() <= venues.items()
    assert {len(mic) for mic in venues.values()} == {4}
    for field, name in QUOTE_FIELDS.items():
        assert column(got_quotes, name) == [number(row[field]) for row in quotes]
    assert column(got_quotes, "exchangeTimestamp") == [int(row["ts_ns"]) for row in quotes]
    assert column(got_quotes, "bidExchangeID") == column(got_quotes, "askExchangeID")


@pytest.fixture(scope="module", params=[("Synthetic", "AAPL"), ("Crypto", "BTCUSD")], ids=lambda market: market[0])
def market(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, str]]:
    """A market of each asset class, for all that Datafye's samples send: dataset, symbol, and the server's URL."""
    dataset, symbol = request.param
    with serving("--dataset", dataset, "--rate", "50") as url:
        yield dataset, symbol, url


def test_the_samples_requests(market: tuple[str, str, str]) -> None:
    """As Datafye's samples send them: no channel, no id, dataset Crypto on a stocks path, nothing read before."""
    dataset, symbol, url = market
    for path in ("quotes", "ticks"):
        with connect(f"{url}/stocks/live/{path}") as client:
            client.send(json.dumps({"action": "subscribe", "dataset": dataset, "symbols": [symbol]}))
            assert '{"type":"connected"' in str(client.recv(WAIT))
            answer = json.loads(client.recv(WAIT))
            if (dataset, path) == ("Crypto", "quotes"):
                assert (answer["type"], answer["code"]) == ("error", "CHANNEL_NOT_AVAILABLE")
                continue
            assert answer["type"] == "subscribed"
            first = json.loads(client.recv(WAIT))
            assert (first["type"], first["symbol"]) == ("quote" if path == "quotes" else "trade", symbol)
            client.close(1000, "done")
    request = {"action": "subscribe", "dataset": dataset, "symbols": [symbol], "frequency": "Second"}
    with ExitStack() as clients:  # all at once: each waits for the same second to end
        kinds = {}
        for path, kind in (("aggs", "ohlc"), ("sma", "sma"), ("ema", "ema")):
            client = clients.enter_context(connect(f"{url}/stocks/live/{path}"))
            client.send(json.dumps(request))
            kinds[kind] = client
        for kind, client in kinds.items():
            got = [json.loads(client.recv(WAIT)) for _ in range(3)]
            assert [message["type"] for message in got] == ["connected", "subscribed", kind]
            assert (got[2]["symbol"], got[2]["frequency"]) == (symbol, "Second")
            client.close(1000, "done")


def test_the_samples_history_request(market: tuple[str, str, str]) -> None:
    """One symbol as a text, times without an offset: New York's, whatever the asset class."""
    dataset, symbol, url = market
    start, end = "2025-01-02T09:30:00", "2025-01-02T16:00:00"
    request = {"dataset": dataset, "symbol": symbol, "frequency": "Minute", "from": start, "to": end}
    with connect(f"{url}/stocks/history") as client:
        client.send(json.dumps({"action": "start"} | request))
        got = [json.loads(client.recv(WAIT))]
        while got[-1]["type"] != "stream_end":
            got.append(json.loads(client.recv(WAIT)))
        client.close(1000, "done")
    bars = [message for message in got if message["type"] == "ohlc"]
    assert [message["type"] for message in got] == ["connected", "stream_start", *["ohlc"] * 390, "stream_end"]
    first = 1_735_828_200_000_000_000  # 14:30 UTC
    assert [bar["datetime"] for bar in bars] == [first + n * 60 * 10**9 for n in range(390)]
    assert {bar["symbol"] for bar in bars} == {symbol}
