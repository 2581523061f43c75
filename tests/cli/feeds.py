"""Descriptors with feeds: datasets in the words of a descriptor, recordings and tick files that feed them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cli.specs import HEAD

from datafye_trio.cli.descriptor import Described, read_descriptor
from datafye_trio.cli.values import Given
from datafye_trio.model import AssetClass, Bar, Channel, Event, Quote, Trade
from datafye_trio.recordings.writer import RecordingWriter

NOON = 1_760_011_200_000_000_000
STOCKS = [Trade("AAPL", NOON, 2.5, 100), Trade("MSFT", NOON + 1, 3.5, 100), Trade("AAPL", NOON + 10**9, 2.6, 100)]
COINS = [Trade("BTCUSD", NOON, 95_000.5, 0.25), Trade("BTCUSD", NOON + 60 * 10**9, 95_001.0, 0.5)]
SYNTHETIC = (
    f"{HEAD}- dataset: Synthetic\n  symbols: {{tickers: [AAPL, ON]}}\n  live: {{ticks: trades, aggregates: ohlc-1s}}\n"
)
SIP = "- dataset: SIP\n  live: {ticks: 'trades,quotes', aggregates: 'ohlc-1s,ema-1d'}\n"
CRYPTO = """- dataset: Crypto
  symbols: {tickers: [BTCUSD]}
  live: {ticks: trades, aggregates: ohlc-1m}
  history: {ticks: trades}
"""


def record(folder: Path, dataset: str, events: Iterable[Event]) -> Path:
    """Add a dataset to a recording."""
    asset_class = AssetClass.CRYPTO if dataset == "Crypto" else AssetClass.STOCKS
    channels = {Trade: Channel.TRADES, Quote: Channel.QUOTES, Bar: Channel.AGGREGATES}
    with RecordingWriter(folder, dataset, asset_class) as writer:
        for event in events:
            time = event.start if isinstance(event, Bar) else event.exchange_timestamp  # type: ignore[union-attr]  # of these three
            writer.add(channels[type(event)], time, event)
    return folder


def ticks(folder: Path, symbol: str = "AAPL") -> Path:
    """A folder with a tick file that does not know its dataset."""
    folder.mkdir()
    (folder / "trades.csv").write_text(f"symbol,ts_ns,price,size\n{symbol},{NOON},2.5,3\n")
    return folder


def read(spec: Path, text: str, *replay: object, **flags: object) -> Described:
    spec.write_text(text)
    given = {name: Given(value, f"--{name}") for name, value in flags.items()}
    if replay:
        given["replay"] = Given([str(one) for one in replay], "--replay")
    return read_descriptor(spec, given)
