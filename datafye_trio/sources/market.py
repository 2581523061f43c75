"""The synthetic market: an endless, reproducible sequence of quotes and trades. Pure: no clock, no I/O, no Trio.

Time is a grid of slots, `rate` a second, counted from 1970; each slot holds one event. All that happens in a slot
follows from the seed, the settings and the slot's number, so markets that start at different times agree wherever both
are: what is generated later for a span of the past is what a live client saw. The price is that the grid is fixed: the
first event comes up to one slot after the start.

Slots are made in blocks. A block draws 64 bits for each of its slots, opens each symbol at its level (`listings`), and
leads it to its level at the end of the block by a random walk pinned at both ends (a Brownian bridge).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import count, islice
from math import ceil, exp, inf, sqrt
from random import Random
from statistics import NormalDist
from struct import unpack
from typing import Final

import attrs

from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Event, Halt, Quote, Resume, Trade
from datafye_trio.protocol.names import normalise_symbol
from datafye_trio.sources.listings import CRYPTO_SYMBOLS, QUICKSTART_SYMBOLS, Listing, make_listing, mix

__all__ = ["NOTIONAL_RATE", "SyntheticConfig", "SyntheticMarket"]

NOTIONAL_RATE: Final = 1000
"""Events in a second of market time when the rate is the highest possible and wall-clock time means nothing."""

_SECOND: Final = 1_000_000_000
_RATES: Final = (0.001, 1_000_000.0)
_BLOCK: Final = (1024, 65_536)  # a start costs up to a block, since its slots build on each other
_SLOTS_A_SYMBOL: Final = 256  # opening a symbol costs as much as twenty events
_HALT_EVERY: Final = 60  # seconds, and at least so many slots:
_HALT_SLOTS: Final = 64
_MOST_SYMBOLS: Final = 10_000

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


@attrs.frozen
class SyntheticConfig:
    """A market to be made up.

    Attributes:
        asset_class: stocks have quotes and trades, crypto trades only and sizes in fractions.
        symbols: what is traded, in any spelling; by default the quickstart's ten, or the best known coins.
        seed: another seed is another market.
        rate: events a second of the whole market, 0.001 to a million; `math.inf` is as fast as clients that read take
            them, and then a second of market time holds 1,000 (`NOTIONAL_RATE`).
        halts: now and then (once a minute) trading in one symbol stops and goes on; stocks only.
        dataset: the name on the wire; by default `Synthetic`, or `Crypto`.
        start_ns: where market time begins, in nanoseconds since 1970; by default the time at the start.

    Raises:
        ConfigurationError: a value is out of its range; the text names it.
    """

    asset_class: AssetClass = AssetClass.STOCKS
    symbols: tuple[str, ...] = attrs.field()
    seed: int = 0
    rate: float = 100.0
    halts: bool = False
    dataset: str = attrs.field()
    start_ns: int | None = None

    @symbols.default
    def _default_symbols(self) -> tuple[str, ...]:
        return CRYPTO_SYMBOLS if self.asset_class is AssetClass.CRYPTO else QUICKSTART_SYMBOLS

    @dataset.default
    def _default_dataset(self) -> str:
        return "Crypto" if self.asset_class is AssetClass.CRYPTO else "Synthetic"

    def __attrs_post_init__(self) -> None:
        try:
            # dict.fromkeys: without repeats, in the order given. A converter of attrs does not see the asset class.
            symbols = tuple(dict.fromkeys(normalise_symbol(symbol, self.asset_class) for symbol in self.symbols))
        except ValueError as error:
            raise ConfigurationError(f"symbols of a synthetic market: {error}") from None
        object.__setattr__(self, "symbols", symbols)
        if not 1 <= len(self.symbols) <= _MOST_SYMBOLS:
            raise ConfigurationError(f"a synthetic market has 1 to {_MOST_SYMBOLS} symbols, not {len(self.symbols)}")
        if self.rate != inf and not _RATES[0] <= self.rate <= _RATES[1]:
            raise ConfigurationError(
                f"the rate is {_RATES[0]} to {_RATES[1]:.0f} events a second or inf, not {self.rate}"
            )
        if self.halts and self.asset_class is AssetClass.CRYPTO:
            raise ConfigurationError("halts are for stocks: crypto trades around the clock")
        if self.start_ns is not None and self.start_ns < 0:
            raise ConfigurationError(f"a market starts in 1970 or later, not at {self.start_ns} ns")


class SyntheticMarket:
    """The events of a synthetic market from `start_ns` on: the same for the same settings, in any process, at any time.

    Times rise strictly, by exactly 1 / rate. Bid is below ask by whole ticks, both above 0; a trade is at or inside its
    symbol's last quote, and not while the symbol is halted.
    """

    def __init__(self, config: SyntheticConfig, start_ns: int) -> None:
        # Exact, so that slot and time agree for ever; 1/3 of an event a second has no finite decimal.
        rate = Fraction(NOTIONAL_RATE if config.rate == inf else config.rate).limit_denominator(1_000_000)
        self._per, self._in = rate.denominator * _SECOND, rate.numerator  # the time of slot n is n * per // in
        self._first = -(-start_ns * self._in // self._per)
        self._asset_class = config.asset_class
        self._listings = tuple(make_listing(symbol, config.asset_class, config.seed) for symbol in config.symbols)
        self._slots = min(max(len(self._listings) * _SLOTS_A_SYMBOL, _BLOCK[0]), _BLOCK[1])
        self._bridge = [2.0 * sqrt(n * (self._slots - n)) / self._slots for n in range(self._slots)]
        self._seed = config.seed
        self._halt_slots = max(ceil(_HALT_EVERY * rate), _HALT_SLOTS) if config.halts else 0
        # A symbol's share of the slots, of which three in four are quotes, in seconds from one step to the next.
        quotes = Fraction(3, 4) if config.asset_class is AssetClass.STOCKS else Fraction(1)
        self._root_step = sqrt(len(self._listings) / (rate * quotes))

    def __iter__(self) -> Iterator[tuple[int, Event]]:
        """(market time in nanoseconds, event) without end; each iteration begins at the start again."""
        number, passed = divmod(self._first, self._slots)
        yield from islice(self._block(number), passed, None)
        for later in count(number + 1):
            yield from self._block(later)

    def _block(self, number: int) -> Iterator[tuple[int, Event]]:
        """The events of one block, one a slot."""
        first = number * self._slots
        words = unpack(f"<{self._slots}Q", Random(f"{self._seed} {number}").randbytes(8 * self._slots))
        books: list[_Book | None] = [None] * len(self._listings)
        crypto = self._asset_class is AssetClass.CRYPTO
        change, changing, halting = self._next_change(first)
        halted = -1 if halting else changing
        for place, word in enumerate(words):
            slot = first + place
            time = slot * self._per // self._in
            if slot == change:
                yield time, self._halt_or_resume(changing, time, halting=halting)
                halted = changing if halting else -1
                change, changing, halting = self._next_change(slot + 1)
                continue
            index = (word & 0xFFFFF) * len(books) >> 20
            book = books[index]
            opens = book is None
            if book is None:
                book = books[index] = self._open(index, first)
            # A block opens each symbol by a quote: its trades must not refer to one of the block before.
            is_trade = crypto or (word >> 20 & 3 == 0 and not opens and index != halted)
            if crypto or not is_trade:
                book.move(place, self._bridge[place], word)
            yield time, (book.trade(slot, time, word) if is_trade else book.quote(time, word))

    def _open(self, index: int, first: int) -> _Book:
        listing = self._listings[index]
        begin = listing.level(first * self._per // self._in)
        end = listing.level((first + self._slots) * self._per // self._in)
        return _Book(listing, begin, (end - begin) / self._slots, listing.volatility * self._root_step)

    def _next_change(self, slot: int) -> tuple[int, int, bool]:
        """The first halt or resume at or after a slot: its slot, whose it is, whether it is a halt."""
        if not self._halt_slots:
            return -1, -1, True
        window = slot // self._halt_slots
        halt, resume, index = self._pause(window)
        if slot > resume:
            halt, resume, index = self._pause(window + 1)
        return (halt, index, True) if slot <= halt else (resume, index, False)

    def _pause(self, window: int) -> tuple[int, int, int]:
        """The one pause of a span of time: the slots of its halt and its resume, both in that span, and whose it is."""
        span = self._halt_slots
        draw = mix(mix(self._seed) + window)
        halt = window * span + draw % (span // 2)
        return halt, halt + span // 8, (draw >> 32) % len(self._listings)

    def _halt_or_resume(self, index: int, time: int, *, halting: bool) -> Halt | Resume:
        symbol = self._listings[index].symbol
        return Halt(symbol, time, "volatility pause") if halting else Resume(symbol, time, "pause over")


class _Book:
    """One symbol during one block: its bid and ask in ticks, and how they came there."""

    __slots__ = ("_ask", "_begin", "_bid", "_listing", "_slope", "_step", "_walk", "_width")

    def __init__(self, listing: Listing, begin: float, slope: float, step: float) -> None:
        self._listing, self._begin, self._slope, self._step = listing, begin, slope, step
        self._width = max(1, round(begin / 20_000))  # dear stocks have wide spreads: a tick for each 200 dollars
        self._walk = 0.0
        self._bid = self._ask = 0

    def move(self, place: int, bridge: float, word: int) -> None:
        """Take a step, and put bid and ask around the new middle."""
        self._walk += self._step * _STEPS[word >> 22 & 0xFF]
        spread = self._width * _SPREADS[word >> 30 & 0xF]
        # A ratio, not a distance: at a rate of one event an hour the walk would else lead below zero.
        middle = (self._begin + self._slope * place) * exp(self._walk * bridge)
        self._bid = max(1, int(middle - spread / 2))
        self._ask = self._bid + spread

    def quote(self, time: int, word: int) -> Quote:
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
