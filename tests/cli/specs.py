"""Data descriptors for tests, in the style of the vendor's own."""

from __future__ import annotations

from datafye_trio.cli.dataspec import DataSpec, parse_dataspec
from datafye_trio.cli.yaml_tree import parse_yaml

HEAD = "apiVersion: datafye.io/v1\ndatasets:\n"

LIVE = """\
apiVersion: datafye.io/v1
metadata:
  name: desk
  description: "Three stocks, with ${MY_KEY}"
mode: live
datasets:
  - dataset: SIP
    provider: Polygon
    symbols:
      tickers: ["AAPL", "MSFT", "GOOGL"]
    reference: true
    live:
      ticks: "trades,quotes"
      aggregates: "ohlc-1s,ohlc-1m,ohlc-1d"
    history:
      ticks:
        - { schema: trades, duration: 30d }
        - { schema: quotes, duration: 7d }
      aggregates:
        - { schema: ohlc-1s, duration: 30d }
        - { schema: ohlc-1d, duration: 365d }
      reference:
        duration: 365d
"""
"""In the style of the vendor's samples: texts with commas below live, a list of schemas below history."""

BACKTEST = """\
apiVersion: datafye.io/v1
kind: DataSpec
metadata:
  name: both
  requestedBy: {actorType: algo, actorId: algo-momentum-v2}
mode: backtest
datasets:
  - dataset: SIP
    symbols:
      tickers:
        - AAPL
        - ON
    history:
      ticks:
        - { schema: trades, duration: 90d }
      aggregates:
        - { schema: ohlc-1m, duration: 90d }
  - dataset: Crypto
    symbols:
      tickers:
        - BTCUSD
    history:
      aggregates:
        - { schema: ohlc-1m, duration: 90d }
  - dataset: Synthetic
    live: {aggregates: "ohlc-1m, ema-1d"}
credentials:
  polygon_api_key: ${POLYGON_API_KEY}
"""
"""In the style of the vendor's certification run: history alone, of which a replay makes the live feed."""


README = """\
apiVersion: datafye.io/v1
kind: DataSpec
metadata: {name: desk}
mode: backtest
datasets:
  - dataset: SIP
    symbols:
      tickers: [AAPL, MSFT]
    live:
      ticks: "trades,quotes"
      aggregates: "ohlc-1s,ohlc-1m,ema-1m"
    history:
      aggregates:
        - { schema: ohlc-1m, duration: 90d }
  - dataset: Crypto
    symbols:
      tickers: [BTCUSD]
    live:
      ticks: trades
      aggregates: ohlc-1m
  - dataset: Synthetic
    symbols:
      tickers: [AAPL]
    live:
      ticks: "trades,quotes"
"""
"""What the README shows."""


def spec(text: str) -> DataSpec:
    return parse_dataspec(parse_yaml(text.encode(), "spec.yaml"), "spec.yaml")
