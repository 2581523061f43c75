"""The book of one symbol of the synthetic market during one block: where bid and ask stand, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from statistics import NormalDist
from typing import Final

from datafye_trio.model import Quote, Trade
from datafye_trio.sources.listings import Listing

__all__ = ["Book"]

# The 64 bits of a slot, from the lowest: 20 say which symbol, 2 the kind, 8 the step, 4 the spread, then for a quote
# 7 and 7 the sizes, 4 and 4 the venues; for a trade 14 the size, 4 the venue, 2 whether at a side, 10 which or where.
_STEPS: Final = tuple(NormalDist().inv_cdf((place + 0.5) / 256) for place in range(256))
_SPREADS: Final = (1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 5, 8)
_QUOTE_SIZES: Final = tuple(100 * (1 + place**3 // 100_000) for place in range(128))
# Nearly half of all prints are odd lots; the rest are hundreds, mostly one.
_TRADE_SIZES: Final = tuple(1 + place**2 // 140 for place in range(116)) + tuple(
    100 * (1 + place**3 // 140_000) for place in range(140)
)
_MICS: Final = (
    "XNAS", "XNAS", "XNAS", "XNAS", "ARCX", "ARCX", "ARCX", "BATS",
    "BATS", "EDGX", "EDGX", "XNYS", "IEXG", "MEMX", "BATY", "EDGA",
)  # fmt: skip
_CRYPTO_VENUES: Final = (
    "Coinbase", "Coinbase", "Coinbase", "Coinbase", "Coinbase", "Binance", "Binance", "Binance",
    "Binance", "Binance", "Kraken", "Kraken", "Kraken", "Bitstamp", "Gemini", "OKX",
)  # fmt: skip


class Book:
    """One symbol during one block: its bid and ask in ticks, and how they came there.

    `walk` for each quote that passes, wanted or not; `settle` before `quote` and `trade`.
    """

    __slots__ = (
        "_ask", "_begin", "_bid", "_listing", "_moved", "_place", "_slope", "_step", "_walk", "_width", "_word",
    )  # fmt: skip

    def __init__(self, listing: Listing, begin: float, slope: float, step: float) -> None:
        self._listing, self._begin, self._slope, self._step = listing, begin, slope, step
        self._width = max(1, round(begin / 20_000))  # dear stocks have wide spreads: a tick for each 200 dollars
        self._walk = 0.0
        self._bid = self._ask = self._place = self._word = 0
        self._moved = False

    def walk(self, place: int, word: int) -> None:
        """Take a step. Where bid and ask stand then is left open: who wants trades only asks for it once a trade."""
        self._walk += self._step * _STEPS[word >> 22 & 0xFF]
        self._place, self._word, self._moved = place, word, True

    def settle(self, bridge: Sequence[float]) -> None:
        """Put bid and ask around the middle where the last step led, if there was one."""
        if not self._moved:
            return
        self._moved = False
        place = self._place
        spread = self._width * _SPREADS[self._word >> 30 & 0xF]
        # A ratio, not a distance: at a rate of one event an hour the walk would else lead below zero.
        middle = (self._begin + self._slope * place) * exp(self._walk * bridge[place])
        self._bid = max(1, int(middle - spread / 2))
        self._ask = self._bid + spread

    def quote(self, time: int, word: int) -> Quote:
        """Bid and ask as they stand."""
        listing = self._listing
        scale = listing.scale
        return Quote(
            listing.symbol,
            time,
            self._bid / scale,  # one division of integers: the double that is nearest to the decimal price
            _QUOTE_SIZES[word >> 34 & 0x7F],
            self._ask / scale,
            _QUOTE_SIZES[word >> 41 & 0x7F],
            _MICS[word >> 48 & 0xF],
            _MICS[word >> 52 & 0xF],
            None,
            listing.home,
        )

    def trade(self, slot: int, time: int, word: int) -> Trade:
        """A print at the bid, at the ask, or (one in four) between them; its id is the number of its slot."""
        listing = self._listing
        side = word >> 52 & 3
        if side == 0:
            ticks = self._bid + (word >> 54 & 0x3FF) * (self._ask - self._bid + 1) // 1024
        else:
            ticks = self._bid if word >> 54 & 1 else self._ask
        price, venue = ticks / listing.scale, word >> 48 & 0xF
        if listing.home is None:
            # Cubed: many small ones, few big ones.
            size = (1 + ((word >> 34 & 0x3FFF) ** 3 >> 22)) / listing.lots
            return Trade(listing.symbol, time, price, size, _CRYPTO_VENUES[venue], str(slot))
        return Trade(
            listing.symbol, time, price, _TRADE_SIZES[word >> 34 & 0xFF], _MICS[venue], str(slot), listing.home
        )
