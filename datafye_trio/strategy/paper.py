"""A paper book for examples and tests: what a strategy would hold if each wish were filled at the quote.

It is a model, and no exchange simulator. A buy is filled at the ask and a sell at the bid, at once and in full,
whatever the size of the quote: there are no orders, no queue, no latency, no impact, no fees, no margin, no borrowing,
no dividends and no splits. What it earns says little about what a market would have let anybody earn.

Accounting is by average cost, as on many brokers' statements (https://www.moomoo.com/au/support/topic6_46 writes it
down; the tests compare with cases of the R package PMwR). A fill that adds to a position adds its price times its
quantity to the position's cost. One that takes away from it realises, for the quantity c that it closes,
`c * (price - average cost)` on a long position and `c * (average cost - price)` on a short one, and leaves the average
as it was. What goes beyond the position opens one on the other side, at its own price. Unrealised is what closing
everything at the newest quotes would realise.

Arithmetic is exact, in decimals: a price of 189.12 is the decimal 189.12, not the float beside it. Only the cost of
what is closed is a quotient, and is rounded, to 12 places towards zero. What that takes from one of realised and
unrealised is in the other, so `cash + value of positions == first cash + realised + unrealised` to the last digit.
"""

from __future__ import annotations

from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final, TypeAlias

import attrs

from datafye_trio.errors import FillError
from datafye_trio.model import Channel, FeedItem, Gap, Quote
from datafye_trio.strategy.halts import Halts

__all__ = ["Fill", "Holding", "PaperBook"]

Amount: TypeAlias = int | float | Decimal

_PLACES: Final = 12
# Two floats multiplied have up to 34 digits, and a sum of the greatest and the least such product 1,300.
_EXACT: Final = Context(prec=10_000, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_ZERO: Final = Decimal(0)


@attrs.frozen
class Fill:
    """What was filled.

    Attributes:
        symbol: of what.
        time: of the quote, in nanoseconds since 1970 UTC.
        quantity: above 0 where it was bought, below 0 where it was sold.
        price: the ask, or the bid.
        realised: what it has realised; 0 where it closed nothing.
    """

    symbol: str
    time: int
    quantity: Decimal
    price: Decimal
    realised: Decimal


@attrs.frozen
class Holding:
    """A position: `quantity` is below 0 for a short one, and so is `cost`, which is then what was received for it."""

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO

    @property
    def average(self) -> Decimal | None:
        """The average cost of one, as precise as the context of `decimal` is; None where nothing is held."""
        return self.cost / self.quantity if self.quantity else None

    def after(self, quantity: Decimal, price: Decimal) -> tuple[Holding, Decimal]:
        """The position after a fill, and what that realised."""
        held, cost = self.quantity, self.cost
        if held * quantity >= 0:
            return Holding(_add(held, quantity), _add(cost, _times(quantity, price))), _ZERO
        rest = _add(held, quantity)
        if rest * held > 0:
            closed = _less(held, rest)
            gone = _share(cost, closed, held)
            return Holding(rest, _less(cost, gone)), _less(_times(closed, price), gone)
        return Holding(rest, _times(rest, price)), _less(_times(held, price), cost)


class PaperBook:
    """See the module. Show it what comes, and buy and sell: `book.add(item)`, `book.buy("AAPL", 100)`. All sync.

    Args:
        cash: what there is at first; it may go below 0.
    """

    def __init__(self, cash: Amount = 0) -> None:
        self._cash = _decimal("cash", cash)
        self._realised = _ZERO
        self._quotes: dict[str, Quote] = {}
        self._marks: dict[tuple[str, bool], Decimal] = {}
        """The newest price of each side that was seen: bids (False) and asks (True)."""
        self._holdings: dict[str, Holding] = {}
        self._halts = Halts()

    def add(self, item: FeedItem) -> None:
        """Take in an item of a feed: quotes, halts, resumptions and gaps matter, and anything else may be shown too.

        After a gap in its quotes a symbol has no quote until the next one comes. A price of 0 is none: some venues
        write an empty side like that.
        """
        if isinstance(item, Quote):
            self._quotes[item.symbol] = item
            for is_ask, price in ((False, item.bid_price), (True, item.ask_price)):
                if price:
                    self._marks[item.symbol, is_ask] = _decimal("price", price)
        elif isinstance(item, Gap):
            if item.topic.channel is Channel.QUOTES:
                self._quotes.pop(item.topic.symbol, None)
        else:
            self._halts.add(item)

    def buy(self, symbol: str, quantity: Amount) -> Fill:
        """Buy at the ask; closes a short position first.

        Raises:
            FillError: there is no quote, or none with an ask, or the symbol is halted. Nothing has changed.
            ValueError: the quantity is not above 0.
        """
        return self._fill(symbol, quantity, is_buy=True)

    def sell(self, symbol: str, quantity: Amount) -> Fill:
        """Sell at the bid; what is not held is sold short.

        Raises:
            FillError: there is no quote, or none with a bid, or the symbol is halted. Nothing has changed.
            ValueError: the quantity is not above 0.
        """
        return self._fill(symbol, quantity, is_buy=False)

    def holding(self, symbol: str) -> Holding:
        """The position in a symbol; one of nothing where there is none."""
        return self._holdings.get(symbol, Holding())

    @property
    def holdings(self) -> dict[str, Holding]:
        """All positions that are not flat, by symbol: a copy."""
        return dict(self._holdings)

    @property
    def cash(self) -> Decimal:
        """First cash, less what was paid, plus what was received."""
        return self._cash

    @property
    def realised(self) -> Decimal:
        """The sum of what all fills have realised."""
        return self._realised

    @property
    def unrealised(self) -> Decimal:
        """What closing all positions would realise: long ones at the bid, short ones at the ask.

        By the newest price of that side that was seen, also where there is no quote now; a position for which there
        never was one counts at its cost.
        """
        total = _ZERO
        for symbol, holding in self._holdings.items():
            total = _add(total, _less(self._value(symbol, holding), holding.cost))
        return total

    @property
    def equity(self) -> Decimal:
        """Cash and the value of all positions, at the prices of `unrealised`."""
        total = self._cash
        for symbol, holding in self._holdings.items():
            total = _add(total, self._value(symbol, holding))
        return total

    def _fill(self, symbol: str, quantity: Amount, *, is_buy: bool) -> Fill:
        wanted = _decimal("quantity", quantity)
        if wanted <= 0:
            raise ValueError(f"quantity: above 0, not {quantity!r}: to sell is a call of its own")
        if (halt := self._halts.get(symbol)) is not None:
            since = f"{halt.time:%H:%M:%S} UTC"
            raise FillError(f"{symbol} is halted since {since} ({halt.reason}): wait for its resumption")
        quote = self._quotes.get(symbol)
        if quote is None:
            raise FillError(f"no quote of {symbol}: show the book its quotes first, with `book.add`")
        asked = quote.ask_price if is_buy else quote.bid_price
        if not asked:
            raise FillError(f"the quote of {symbol} has no {'ask' if is_buy else 'bid'}: wait for the next one")
        price, signed = _decimal("price", asked), wanted if is_buy else wanted.copy_negate()
        holding, realised = self.holding(symbol).after(signed, price)
        if holding.quantity:
            self._holdings[symbol] = holding
        else:
            self._holdings.pop(symbol, None)
        self._cash = _less(self._cash, _times(signed, price))
        self._realised = _add(self._realised, realised)
        return Fill(symbol, quote.exchange_timestamp, signed, price, realised)

    def _value(self, symbol: str, holding: Holding) -> Decimal:
        mark = self._marks.get((symbol, holding.quantity < 0))
        return holding.cost if mark is None else _times(holding.quantity, mark)


def _decimal(what: str, amount: Amount) -> Decimal:
    """An amount as it is written; of a float, the shortest decimal that is read back as it.

    Raises:
        ValueError: it is no finite number.
    """
    # repr(float(...)): subclasses of float, such as numpy's, have a repr of their own.
    found = Decimal(repr(float(amount)) if isinstance(amount, float) else amount)
    if not found.is_finite():
        raise ValueError(f"{what}: a number, not {amount!r}")
    return found


def _add(one: Decimal, other: Decimal) -> Decimal:
    return _EXACT.add(one, other)


def _less(one: Decimal, other: Decimal) -> Decimal:
    # Not `one + -other`: unary minus rounds to the caller's precision.
    return _EXACT.subtract(one, other)


def _times(one: Decimal, other: Decimal) -> Decimal:
    return _EXACT.multiply(one, other)


def _share(cost: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """`cost * part / whole`, rounded towards zero."""
    return _EXACT.divide_int(_times(cost, part).scaleb(_PLACES, _EXACT), whole).scaleb(-_PLACES, _EXACT)
