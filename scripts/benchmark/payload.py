"""What is published in the benchmarks of servers, and who wants what: pure functions that all processes share.

Message `number` counts from 0 on, over all orders that one server's process gets. Its values depend on its number
alone, so that the load client can tell every message from its neighbours; its stamp is the time at which it was due.
With one symbol all messages are quotes; with more, every fourth is a trade, and how often a symbol comes follows Zipf.

A payload is the JSON that our own server writes, field by field: quotes of about 188 bytes, trades of about 161. That
is above 125, so that each frame has the length byte 126, and far from sizes in whose frames 0x7E, 0x81 or a brace would
stand elsewhere: the load client counts frames by such bytes.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any, Final

__all__ = [
    "CHANNELS", "DATASET", "PATHS", "basket", "is_trade", "message", "quote_values", "schedule", "symbol_names",
    "symbol_of", "trade_values",
]  # fmt: skip

DATASET: Final = "Bench"
CHANNELS: Final = ("quotes", "trades")
PATHS: Final = {1: "/datafye-ws/v1/stocks/live/quotes", 2: "/datafye-ws/v1/stocks/live"}
"""Where to ask for this many channels; the path of two names none, so the request does."""
_PERIOD: Final = 1 << 16


@cache
def symbol_names(symbols: int) -> tuple[str, ...]:
    """All symbols, the busiest first."""
    return tuple(f"S{number:04}" for number in range(symbols))


@cache
def schedule(symbols: int) -> tuple[str, ...]:
    """The symbols of the messages, in order; it begins again at its end."""
    weights = [1 / (rank + 1) for rank in range(symbols)]
    return tuple(Random(symbols).choices(symbol_names(symbols), weights, k=_PERIOD))


def symbol_of(number: int, symbols: int) -> str:
    """The symbol of this message."""
    return schedule(symbols)[number % _PERIOD]


def is_trade(number: int, symbols: int) -> bool:
    """Whether this message is a trade, not a quote."""
    return symbols > 1 and number % 4 == 3


def quote_values(number: int) -> tuple[float, int, float, int]:
    """Bid price and size, ask price and size; the bid's size tells 900 messages in a row apart."""
    return (18_911 + number % 7) / 100, 100 + number % 900, 189.2, 500


def trade_values(number: int) -> tuple[float, int]:
    """Price and size; the size tells 900 messages in a row apart."""
    return (18_911 + number % 7) / 100, 100 + number % 900


def message(number: int, stamp: int, symbols: int = 1) -> dict[str, Any]:
    """The message of a peer, to be encoded once, for all its clients; `stamp` is in nanoseconds since 1970.

    Its `seq` counts all messages, from 1. Our server counts within a topic, which costs the peers nothing here.
    """
    if is_trade(number, symbols):
        price, size = trade_values(number)
        return {
            "type": "trade",
            "dataset": DATASET,
            "assetClass": "stocks",
            "seq": number + 1,
            "symbol": symbol_of(number, symbols),
            "exchangeTimestamp": stamp,
            "tradePrice": price,
            "tradeSize": size,
        }
    bid_price, bid_size, ask_price, ask_size = quote_values(number)
    return {
        "type": "quote",
        "dataset": DATASET,
        "assetClass": "stocks",
        "seq": number + 1,
        "symbol": symbol_of(number, symbols),
        "exchangeTimestamp": stamp,
        "bidPrice": bid_price,
        "bidSize": bid_size,
        "askPrice": ask_price,
        "askSize": ask_size,
    }


def basket(client: int, symbols: int, size: int) -> list[str]:
    """The symbols that this client wants: without repetition, the busy ones more likely (Zipf, too); sorted."""
    if size >= symbols:
        return list(symbol_names(symbols))
    random = Random(client)
    # The largest of random ** (1 / weight), weight 1 / rank: a weighted draw without putting back.
    keys = {name: random.random() ** (rank + 1) for rank, name in enumerate(symbol_names(symbols))}
    return sorted(sorted(keys, key=lambda name: -keys[name])[:size])
