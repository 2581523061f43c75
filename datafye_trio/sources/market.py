"""The synthetic market: an endless, reproducible sequence of quotes and trades. Pure: no clock, no I/O, no Trio.

Time is a grid of slots, `rate` a second, counted from 1970; each slot holds one event. All that happens in a slot
follows from the seed, the settings and the slot's number, so markets that start at different times agree wherever both
are: what is generated later for a span of the past is what a live client saw. The price is that the grid is fixed: the
first event comes up to one slot after the start.

Slots are made in blocks. A block draws 64 bits for each of its slots, opens each symbol at its level (`listings`), and
leads it to its level at the end of the block by a random walk pinned at both ends (a Brownian bridge).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, dropwhile, takewhile
from math import ceil, inf, sqrt
from random import Random
from struct import unpack
from typing import Final, Literal

import attrs

from datafye_trio.aggregates.settings import Aggregation
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel, Halt, Resume, Timed
from datafye_trio.protocol.names import normalise_symbol
from datafye_trio.sources.book import Book
from datafye_trio.sources.listings import CRYPTO_SYMBOLS, QUICKSTART_SYMBOLS, make_listing, mix

__all__ = ["NOTIONAL_RATE", "Choice", "SyntheticConfig", "SyntheticMarket"]

NOTIONAL_RATE: Final = 1000
"""Events in a second of market time when the rate is the highest possible and wall-clock time means nothing."""

_SECOND: Final = 1_000_000_000
_RATES: Final = (0.001, 1_000_000.0)
_BLOCK: Final = (1024, 65_536)  # a start costs up to a block, since its slots build on each other
_SLOTS_A_SYMBOL: Final = 256  # opening a symbol costs as much as twenty events
_HALT_EVERY: Final = 60  # seconds, and at least so many slots:
_HALT_SLOTS: Final = 64
_MOST_SYMBOLS: Final = 10_000
_NEVER: Final = 2**80


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
        channels: offer only these; None is all that the asset class has. Trades are folded into bars even if they are
            not offered themselves.
        aggregation: the bars and indicators to make of the trades; None is none.
        history: whether the market of any other time can be asked for.

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
    channels: tuple[Channel, ...] | None = None
    aggregation: Aggregation | Literal["default"] | None = "default"
    history: bool = True

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
        if self.aggregation is None and not self.ticks:
            raise ConfigurationError("a synthetic market without ticks and aggregates has nothing to offer")

    @property
    def is_live(self) -> bool:
        """Whether market time is the wall clock's, so that this clock can close the bars of a quiet symbol."""
        return self.rate != inf and self.start_ns is None

    @property
    def ticks(self) -> tuple[Channel, ...]:
        """Of quotes and trades, what is offered."""
        held = (Channel.TRADES,) if self.asset_class is AssetClass.CRYPTO else (Channel.QUOTES, Channel.TRADES)
        return held if self.channels is None else tuple(channel for channel in held if channel in self.channels)


@attrs.frozen
class Choice:
    """Which events of a market are wanted. Halts and resumes of the symbols belong to quotes and trades alike."""

    symbols: frozenset[str] | None = None
    quotes: bool = True
    trades: bool = True


_EVERYTHING: Final = Choice()


class SyntheticMarket:
    """The events of a synthetic market from `start_ns` on: the same for the same settings, in any process, at any time.

    Times rise strictly, by exactly 1 / rate. Bid is below ask by whole ticks, both above 0; a trade is at or inside its
    symbol's last quote, and not while the symbol is halted.
    """

    def __init__(self, config: SyntheticConfig, start_ns: int) -> None:
        # Exact, so that slot and time agree for ever; 1/3 of an event a second has no finite decimal.
        rate = Fraction(NOTIONAL_RATE if config.rate == inf else config.rate).limit_denominator(1_000_000)
        self._per, self._in = rate.denominator * _SECOND, rate.numerator  # the time of slot n is n * per // in
        self._start = start_ns
        self._asset_class = config.asset_class
        self._listings = tuple(make_listing(symbol, config.asset_class, config.seed) for symbol in config.symbols)
        self._slots = min(max(len(self._listings) * _SLOTS_A_SYMBOL, _BLOCK[0]), _BLOCK[1])
        self._bridge = [2.0 * sqrt(n * (self._slots - n)) / self._slots for n in range(self._slots)]
        self._seed = config.seed
        self._halt_slots = max(ceil(_HALT_EVERY * rate), _HALT_SLOTS) if config.halts else 0
        # A symbol's share of the slots, of which three in four are quotes, in seconds from one step to the next.
        quotes = Fraction(3, 4) if config.asset_class is AssetClass.STOCKS else Fraction(1)
        self._root_step = sqrt(len(self._listings) / (rate * quotes))

    def __iter__(self) -> Iterator[Timed]:
        """(market time in nanoseconds, event) without end; each iteration begins at the start again."""
        return chain.from_iterable(self.blocks(self._start, None))

    def blocks(self, start: int, end: int | None, choice: Choice = _EVERYTHING) -> Iterator[Iterator[Timed]]:
        """What is chosen of the events in `start <= time < end` (None: without end), a block at a time.

        Empty blocks come too: each costs its slots, some milliseconds at most, whatever is chosen.
        """
        first, stop = self._slot_at(start), inf if end is None else self._slot_at(end)
        number = first // self._slots
        while max(first, number * self._slots) < stop:
            block: Iterator[Timed] = chain.from_iterable(self._stretches(number, choice))
            if number * self._slots < first:
                block = dropwhile(lambda timed: timed[0] < start, block)
            if (number + 1) * self._slots > stop:
                block = takewhile(lambda timed: end is None or timed[0] < end, block)
            yield block
            number += 1

    def _slot_at(self, time: int) -> int:
        """The first slot at or after a time."""
        return -(-time * self._in // self._per)

    def _stretches(self, number: int, choice: Choice) -> Iterator[Iterable[Timed]]:
        """What is chosen of one block: stretches of ticks, and the halts and resumes between them, one event a slot."""
        first = number * self._slots
        words = unpack(f"<{self._slots}Q", Random(f"{self._seed} {number}").randbytes(8 * self._slots))
        wanted = bytes(choice.symbols is None or listing.symbol in choice.symbols for listing in self._listings)
        block = _Block(first, words, wanted, choice, [None] * len(self._listings))
        place = 0
        while place < self._slots:
            change, index, halting = self._next_change(first + place)
            yield self._ticks(block, range(place, min(change - first, self._slots)), -1 if halting else index)
            if change < first + self._slots and wanted[index]:
                yield [self._halt_or_resume(index, change, halting=halting)]
            place = change - first + 1

    def _ticks(self, block: _Block, places: range, halted: int) -> Iterator[Timed]:
        """The quotes and trades of some places of a block, all while the same symbol is halted (-1: none)."""
        books, quotes, trades = block.books, block.choice.quotes, block.choice.trades
        crypto = self._asset_class is AssetClass.CRYPTO
        for place, word in block.chosen(places):
            index = (word & 0xFFFFF) * len(books) >> 20
            book = books[index]
            opens = book is None
            if book is None:
                book = books[index] = self._open(index, block.first)
            # A block opens each symbol by a quote: its trades must not refer to one of the block before.
            is_trade = crypto or (word >> 20 & 3 == 0 and not opens and index != halted)
            if crypto or not is_trade:
                book.walk(place, word)
            if trades if is_trade else quotes:
                book.settle(self._bridge)
                slot = block.first + place
                time = slot * self._per // self._in
                yield time, (book.trade(slot, time, word) if is_trade else book.quote(time, word))

    def _open(self, index: int, first: int) -> Book:
        listing = self._listings[index]
        begin = listing.level(first * self._per // self._in)
        end = listing.level((first + self._slots) * self._per // self._in)
        return Book(listing, begin, (end - begin) / self._slots, listing.volatility * self._root_step)

    def _next_change(self, slot: int) -> tuple[int, int, bool]:
        """The first halt or resume at or after a slot: its slot, whose it is, whether it is a halt."""
        if not self._halt_slots:
            return _NEVER, -1, True
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

    def _halt_or_resume(self, index: int, slot: int, *, halting: bool) -> Timed:
        symbol, time = self._listings[index].symbol, slot * self._per // self._in
        return time, (Halt(symbol, time, "volatility pause") if halting else Resume(symbol, time, "pause over"))


@attrs.frozen
class _Block:
    """One block under way: its first slot, 64 bits for each slot, which listings are wanted, and their books."""

    first: int
    words: tuple[int, ...]
    wanted: bytes
    choice: Choice
    books: list[Book | None]

    def chosen(self, places: range) -> Iterable[tuple[int, int]]:
        """The places whose symbols are wanted, with their bits."""
        words = self.words[places.start : places.stop]
        if all(self.wanted):
            return enumerate(words, places.start)
        wanted, symbols = self.wanted, len(self.wanted)
        return [
            (place, word) for place, word in enumerate(words, places.start) if wanted[(word & 0xFFFFF) * symbols >> 20]
        ]
