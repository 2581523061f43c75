"""Symbols, channels and frequencies as peers spell them, to the one spelling used inside (protocol.md section 2)."""

from __future__ import annotations

import re
from typing import Final

from datafye_trio.model import AssetClass, Channel, Frequency

__all__ = ["normalise_symbol", "parse_asset_class", "parse_channel", "parse_frequency"]

_SYMBOL: Final = re.compile(r"[A-Z0-9.\-_:/]{1,32}")
_DASHES: Final = str.maketrans("", "", "-/")

_CHANNELS: Final = {channel.value: channel for channel in Channel} | {
    "ticks": Channel.TRADES,
    "aggs": Channel.AGGREGATES,
    "ohlc": Channel.AGGREGATES,
    "bars": Channel.AGGREGATES,
}
_FREQUENCIES: Final = {
    spelling: frequency
    for frequency, short in zip(Frequency, ("1s", "1m", "1h", "1d"), strict=True)
    for spelling in (frequency.value.lower(), short, f"ohlc-{short}")
}


def normalise_symbol(text: str, asset_class: AssetClass) -> str:
    """Upper-case a symbol; a crypto symbol also loses a leading `X:` and any `-` or `/` (`btc/usd` is `BTCUSD`).

    Raises:
        ValueError: not 1 to 32 characters of `A-Z 0-9 . - _ : /`.
    """
    # Checked for ASCII before upper(): "ß".upper() is the well-formed "SS".
    symbol = text.strip().upper() if text.isascii() else ""
    if asset_class is AssetClass.CRYPTO:
        symbol = symbol.removeprefix("X:").translate(_DASHES)
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError(f"{text[:40]!r} is no symbol: 1 to 32 characters of A-Z 0-9 . - _ : /")
    return symbol


def parse_channel(text: str) -> Channel:
    """The channel of a name, `ticks`, `aggs`, `ohlc` and `bars` included.

    Raises:
        ValueError: there is no such channel; the text lists those that exist.
    """
    try:
        return _CHANNELS[text.strip().lower()]
    except KeyError:
        raise ValueError(f"unknown channel {text[:40]!r}: use one of {', '.join(Channel)}") from None


def parse_frequency(text: str) -> Frequency:
    """The frequency of a name; `Minute`, `1m` and `ohlc-1m` are the same, in any case.

    Raises:
        ValueError: there is no such frequency; the text lists those that exist.
    """
    try:
        return _FREQUENCIES[text.strip().lower()]
    except KeyError:
        raise ValueError(f"unknown frequency {text[:40]!r}: use one of {', '.join(Frequency)}") from None


def parse_asset_class(text: str) -> AssetClass:
    """The asset class of a name.

    Raises:
        ValueError: neither `stocks` nor `crypto`.
    """
    try:
        return AssetClass(text.strip().lower())
    except ValueError:
        raise ValueError(f"unknown asset class {text[:40]!r}: use stocks or crypto") from None
