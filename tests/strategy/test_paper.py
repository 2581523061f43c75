"""The paper book: fills at the quote, refusals, and profit and loss that add up to the last digit."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategy.kit import at, gap, halt, live, quote, resume, trade

from datafye_trio.errors import DatafyeError, FillError
from datafye_trio.model import Channel
from datafye_trio.strategy.paper import Fill, Holding, PaperBook


def test_a_buy_is_filled_at_the_ask_and_a_sell_at_the_bid() -> None:
    book = PaperBook(1_000)
    book.add(quote(7, bid=100.1, ask=100.3))
    assert book.buy("AAPL", 3) == Fill("AAPL", at(7), Decimal(3), Decimal("100.3"), Decimal(0))
    assert book.cash == Decimal("699.1")
    assert book.holding("AAPL") == Holding(Decimal(3), Decimal("300.9"))
    assert book.holding("AAPL").average == Decimal("100.3")
    assert book.unrealised == Decimal("-0.6")  # the spread
    book.add(quote(8, bid=101.0, ask=101.2))
    assert book.sell("AAPL", 2) == Fill("AAPL", at(8), Decimal(-2), Decimal("101.0"), Decimal("1.4"))
    assert (book.cash, book.realised, book.unrealised) == (Decimal("901.1"), Decimal("1.4"), Decimal("0.7"))
    assert book.equity == Decimal("1002.1")


def test_the_size_of_the_quote_bounds_nothing() -> None:
    book = PaperBook()
    book.add(quote(0))
    assert book.buy("AAPL", 1_000_000).quantity == 1_000_000


def test_a_short_position_and_its_end() -> None:
    book = PaperBook()
    book.add(quote(0, bid=50.0, ask=50.1))
    book.sell("AAPL", 10)
    assert book.holding("AAPL") == Holding(Decimal(-10), Decimal(-500))
    assert book.unrealised == Decimal(-1)
    book.add(quote(1, bid=39.9, ask=40.0))
    assert book.unrealised == 100
    assert book.buy("AAPL", 10).realised == 100
    assert (book.holdings, book.cash, book.realised, book.unrealised) == ({}, 100, 100, 0)
    assert book.holding("AAPL") == Holding()
    assert book.holding("AAPL").average is None


# From the tests of the R package PMwR (inst/tinytest/test_.pl_stats.R): amounts, prices, averages, and what is realised
# so far; the averages where nothing is held have no meaning here.
OTHERS = [
    ([1, -1], [100, 100], [100, None], [0, 0]),
    ([1, -1], [100, 101], [100, None], [0, 1]),
    ([1, -1], [100, 99], [100, None], [0, -1]),
    ([1, -5], [100, 101], [100, 101], [0, 1]),
    ([1, 1], [100, 102], [100, 101], [0, 0]),
    ([1, -2, 1], [100, 101, 99], [100, 101, None], [0, 1, 3]),
    ([-1, -1, -1], [100, 98, 96], [100, 99, 98], [0, 0, 0]),
    ([-1, 1, -1, 1], [100, 98, 96, 94], [100, None, 96, None], [0, 2, 2, 4]),
]


@pytest.mark.parametrize(("amounts", "prices", "averages", "realised"), OTHERS)
def test_as_another_implementation_has_it(
    amounts: list[int], prices: list[float], averages: list[float | None], realised: list[float]
) -> None:
    book, found = PaperBook(), []
    for amount, price in zip(amounts, prices, strict=True):
        book.add(quote(0, bid=price, ask=price))
        trade_of(book, "AAPL", amount)
        found.append((book.holding("AAPL").average, book.realised))
    assert found == list(zip(averages, realised, strict=True))


def trade_of(book: PaperBook, symbol: str, amount: Any) -> Fill:
    # Not -amount: of a decimal with more digits than the context has, that is another one.
    sold = amount.copy_negate() if isinstance(amount, Decimal) else -amount
    return book.buy(symbol, amount) if amount > 0 else book.sell(symbol, sold)


CENTS = st.integers(1, 10**7).map(lambda cents: cents / 100)
PRICES = CENTS | st.floats(1e-12, 1e12)
QUANTITIES = st.integers(1, 10**6) | CENTS | st.decimals("1e-9", "1e9", places=9) | st.floats(1e-6, 1e6)
STEPS = st.lists(st.tuples(st.sampled_from(["A", "B"]), st.booleans(), QUANTITIES, PRICES, PRICES), max_size=25)


LONG = [("A", False, 1, 0.01, 0.01)] * 7 + [
    ("A", False, 1.0000000000000002e-06, 0.01, 0.01),
    ("A", True, 166_872, 0.01, 0.01),
    ("A", True, 833_136.0, 0.01, 0.01),
]
"""Quantities whose sum has more digits than a context of decimals usually has."""


@given(STEPS, st.decimals("-1e9", "1e9", places=4))
@example(LONG, Decimal(0))
def test_profit_and_loss_add_up_exactly_after_any_fills(steps: list[Any], cash: Decimal) -> None:
    book, fills, exact = PaperBook(cash), list[Fill](), Model()
    marks = dict[str, tuple[Fraction, Fraction]]()
    with decimal.localcontext(prec=5):  # whatever precision the program works with
        for symbol, is_buy, quantity, bid, ask in steps:
            book.add(quote(0, symbol, bid, ask))
            marks[symbol] = Fraction(repr(bid)), Fraction(repr(ask))
            fills.append((book.buy if is_buy else book.sell)(symbol, quantity))
            exact.fill(symbol, Fraction(fills[-1].quantity), Fraction(fills[-1].price))
            assert Fraction(fills[-1].price) == marks[symbol][is_buy]
            check(book, Fraction(cash), fills, marks)
            # Rounded to 12 places at each fill, and that does not add up to more.
            assert abs(Fraction(book.realised) - exact.realised) <= Fraction(len(fills), 10**12)
    for symbol, holding in book.holdings.items():  # flat again: all is realised, and none of the roundings is left
        trade_of(book, symbol, holding.quantity.copy_negate())
    assert book.unrealised == 0
    assert book.equity == book.cash
    assert Fraction(book.cash) == Fraction(cash) + Fraction(book.realised)


def check(book: PaperBook, cash: Fraction, fills: list[Fill], marks: dict[str, tuple[Fraction, Fraction]]) -> None:
    """All identities, from nothing but the fills."""
    held = {symbol: sum((Fraction(f.quantity) for f in fills if f.symbol == symbol), Fraction()) for symbol in marks}
    assert {symbol: Fraction(h.quantity) for symbol, h in book.holdings.items()} == {s: q for s, q in held.items() if q}
    paid = sum(Fraction(f.quantity) * Fraction(f.price) for f in fills)
    value = sum(quantity * marks[symbol][quantity < 0] for symbol, quantity in held.items())
    assert Fraction(book.cash) == cash - paid
    assert Fraction(book.equity) == cash - paid + value
    assert Fraction(book.equity) == cash + Fraction(book.realised) + Fraction(book.unrealised)
    assert Fraction(book.realised) == sum(Fraction(f.realised) for f in fills)
    assert all((h.cost < 0) == (h.quantity < 0) or h.cost == 0 for h in book.holdings.values())


class Model:
    """Average cost in fractions, as it is defined: a price, and how much at it."""

    def __init__(self) -> None:
        self.realised = Fraction()
        self.held: dict[str, tuple[Fraction, Fraction]] = {}

    def fill(self, symbol: str, quantity: Fraction, price: Fraction) -> None:
        held, average = self.held.get(symbol, (Fraction(), Fraction()))
        closed = min(abs(quantity), abs(held)) if held * quantity < 0 else Fraction()
        self.realised += closed * (price - average) * (1 if held > 0 else -1)
        after = held + quantity
        if held * quantity >= 0:
            average = (held * average + quantity * price) / after
        elif abs(quantity) > abs(held):
            average = price
        self.held[symbol] = after, average


def test_many_partial_sales_stay_short_numbers() -> None:
    book = PaperBook()
    book.add(quote(0, bid=99.99, ask=100.01))
    for n in range(3_000):
        book.buy("AAPL", 7)
        book.sell("AAPL", 3 if n % 2 else 5)
    assert len(str(book.holding("AAPL").cost)) < 40
    assert book.equity == book.realised + book.unrealised


def test_the_extremes_of_floats_are_added_exactly() -> None:
    book = PaperBook(5e-324)
    book.add(quote(0, bid=1.7e308, ask=1.7e308))
    book.sell("AAPL", 1.7e308)
    assert Fraction(book.cash) == Fraction("1.7e308") ** 2 + Fraction("5e-324")


def test_no_fill_without_a_quote() -> None:
    book = PaperBook(10)
    book.add(trade(0))
    book.add(live())
    with pytest.raises(FillError, match="no quote of AAPL: show the book"):
        book.buy("AAPL", 1)
    book.add(quote(0, ask=None))
    with pytest.raises(FillError, match="has no ask"):
        book.buy("AAPL", 1)
    assert book.sell("AAPL", 1).price == 100
    book.add(quote(1, bid=None))
    with pytest.raises(DatafyeError, match="has no bid"):
        book.sell("AAPL", 1)
    with pytest.raises(FillError, match="no quote of MSFT"):
        book.sell("MSFT", 1)
    assert (book.cash, book.holding("AAPL").quantity) == (110, -1)


def test_a_price_of_nought_is_an_empty_side() -> None:
    book = PaperBook()
    book.add(quote(0, bid=10.0, ask=11.0))
    book.buy("AAPL", 1)
    book.add(quote(1, bid=0.0, ask=0.0))
    with pytest.raises(FillError, match="has no ask"):
        book.buy("AAPL", 1)
    with pytest.raises(FillError, match="has no bid"):
        book.sell("AAPL", 1)
    assert book.unrealised == -1


def test_no_fill_while_halted() -> None:
    book = PaperBook()
    book.add(quote(0))
    book.add(halt(1))
    book.add(quote(2))  # quotes may go on
    with pytest.raises(FillError, match=r"AAPL is halted since 22:14:01 UTC \(LULD\)"):
        book.buy("AAPL", 1)
    assert book.holdings == {}
    book.add(resume(3))
    book.buy("AAPL", 1)


def test_after_a_gap_the_quote_is_not_known() -> None:
    book = PaperBook()
    book.add(quote(0))
    book.buy("AAPL", 1)
    book.add(gap(channel=Channel.TRADES))
    book.buy("AAPL", 1)
    book.add(gap("MSFT"))
    book.add(gap())
    with pytest.raises(FillError, match="no quote"):
        book.buy("AAPL", 1)
    assert book.unrealised == -1  # by the last that was seen
    book.add(quote(1))
    book.buy("AAPL", 1)


def test_what_was_never_priced_counts_at_its_cost() -> None:
    book = PaperBook()
    book.add(quote(0, bid=None, ask=20.0))
    book.buy("AAPL", 5)
    assert (book.unrealised, book.equity) == (0, 0)
    book.add(quote(1, bid=19.0, ask=None))
    assert book.unrealised == -5
    book.add(quote(2, bid=None, ask=None))
    assert book.unrealised == -5


@pytest.mark.parametrize("quantity", [0, -1, -0.5, Decimal(0), float("nan"), float("inf"), Decimal("NaN")])
def test_quantities_that_make_no_sense(quantity: Any) -> None:
    book = PaperBook()
    book.add(quote(0))
    for wish in (book.buy, book.sell):
        with pytest.raises(ValueError, match="quantity"):
            wish("AAPL", quantity)
    assert book.holdings == {}


def test_floats_are_the_decimals_that_are_written() -> None:
    book = PaperBook(0.3)
    book.add(quote(0, bid=0.1, ask=0.1))
    book.buy("AAPL", 3)
    assert book.cash == 0
