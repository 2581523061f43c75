"""What the synthetic market lists: start price, volatility, tick and home of each symbol, and its price over time.

The level of a price is a function of symbol, seed and time, and of nothing else: any moment of any year can be asked
for without walking there. It is a sum of noises of spans 1 s, 4 s, 16 s ... 48 days, each twice the size of the one
before, which is how far a random walk gets; beyond 48 days it returns to the start price, so it never runs away.
"""

from __future__ import annotations

from hashlib import blake2b
from math import exp, log10, sqrt
from typing import Final

import attrs

from datafye_trio.model import AssetClass

__all__ = ["CRYPTO_SYMBOLS", "QUICKSTART_SYMBOLS", "Listing", "make_listing", "mix"]

# Invented: start prices are round numbers of the right order, volatilities (a year's, as a fraction) plausible ones.
_STOCKS: Final = {
    "AAPL": (230.0, 0.28),
    "MSFT": (420.0, 0.24),
    "GOOGL": (180.0, 0.30),
    "AMZN": (210.0, 0.32),
    "NVDA": (140.0, 0.52),
    "TSLA": (320.0, 0.60),
    "META": (600.0, 0.36),
    "NFLX": (900.0, 0.38),
    "AMD": (150.0, 0.50),
    "INTC": (22.0, 0.45),
}
_CRYPTO: Final = {
    "BTCUSD": (95_000.0, 0.55),
    "ETHUSD": (3_400.0, 0.70),
    "SOLUSD": (190.0, 0.90),
    "XRPUSD": (2.2, 0.90),
    "DOGEUSD": (0.32, 1.00),
}

QUICKSTART_SYMBOLS: Final = tuple(_STOCKS)
"""The ten symbols of Datafye's quickstart."""

CRYPTO_SYMBOLS: Final = tuple(_CRYPTO)
"""The default symbols of the crypto flavour."""

_TRADING_SECONDS: Final = {AssetClass.STOCKS: 252 * 6.5 * 3600, AssetClass.CRYPTO: 365 * 24 * 3600.0}
_HOMES: Final = ("XNAS", "XNYS", "ARCX")
_OCTAVES: Final = 12
_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_SQRT3: Final = sqrt(3.0)


def mix(number: int) -> int:
    """SplitMix64's finisher: 64 well-mixed bits of any integer, in plain arithmetic and so the same everywhere."""
    number &= _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


@attrs.frozen
class Listing:
    """One symbol of the market.

    Attributes:
        symbol: in normalised spelling.
        key: 64 bits of its own, from seed and symbol.
        start: the price that the level returns to.
        volatility: standard deviation of the logarithm of the price after one second.
        scale: ticks in one unit of price, a power of ten; a tick is the smallest step of a price.
        lots: smallest sizes in one unit of size, a power of ten; 1 for stocks, whose sizes are whole shares.
        home: MIC of the listing exchange; None for crypto.
    """

    symbol: str
    key: int
    start: float
    volatility: float
    scale: int
    lots: int
    home: str | None

    def level(self, time: int) -> float:
        """The price around which the market stands at `time` (nanoseconds since 1970), in ticks: above 0, unrounded."""
        total, size, span = 0.0, self.volatility, 1_000_000_000
        for octave in range(_OCTAVES):
            place, rest = divmod(time, span)
            left, right = self._noise(octave, place), self._noise(octave, place + 1)
            total += size * (left + (right - left) * (rest / span))
            size *= 2.0
            span *= 4
        return self.start * self.scale * exp(total)

    def _noise(self, octave: int, place: int) -> float:
        """A number of mean 0 and variance 1 for each place of an octave: evenly spread between -sqrt(3) and sqrt(3)."""
        return (mix(self.key + (place * 64 + octave) * _GOLDEN) * 2.0**-63 - 1.0) * _SQRT3


def make_listing(symbol: str, asset_class: AssetClass, seed: int) -> Listing:
    """The listing of a symbol; what is not known of it comes from a digest of seed and symbol: any symbol will do."""
    # A digest, not hash(): Python's own is different in each process.
    digest = blake2b(f"{seed} {asset_class.value} {symbol}".encode(), digest_size=16).digest()
    key, draw = int.from_bytes(digest[:8], "little"), digest[8:]
    stocks = asset_class is AssetClass.STOCKS
    known = _STOCKS if stocks else _CRYPTO
    # 8 to 506 for stocks, 0.05 to 4,900 for crypto, evenly by ratio; a year's volatility of 0.2 to 0.7, or 0.5 to 1.0.
    drawn_start = round((8.0 if stocks else 0.05) * (64.0 if stocks else 1e5) ** (draw[0] / 256), 2)
    start, volatility = known.get(symbol, (drawn_start, (0.2 if stocks else 0.5) + draw[1] / 512))
    if stocks:
        scale, lots, home = 100, 1, "XNAS" if symbol in known else _HOMES[draw[2] % len(_HOMES)]
    else:
        # Cheap coins are priced finer and sold in bigger pieces: a smallest size is worth about ten cents.
        scale, lots, home = 100 if start >= 10 else 10_000, 10 ** max(1, round(log10(start * 10))), None
    return Listing(symbol, key, start, volatility / sqrt(_TRADING_SECONDS[asset_class]), scale, lots, home)
