"""The live table, rendered to text."""

from __future__ import annotations

import io

import attrs
import pytest
from rich.console import Console

from datafye_trio.cli.table import Board
from datafye_trio.model import (
    AssetClass,
    Bar,
    Channel,
    Event,
    Gap,
    Halt,
    Live,
    Quote,
    Resume,
    TopicKey,
    Trade,
)  # fmt: skip

URL = "ws://localhost:8080/datafye-ws/v1"


@pytest.fixture
def board() -> Board:
    return Board(URL, 0.0)


def take(board: Board, *events: Event) -> None:
    for event in events:
        board.take(event)


def text(board: Board, width: int = 100, height: int = 24) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(board.render(width, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(board: Board, width: int = 100, height: int = 24) -> list[list[str]]:
    return [line.split() for line in text(board, width, height).splitlines()]


def trade(symbol: str, price: float) -> Trade:
    return Trade(symbol, 1, price, 100)


def quote(symbol: str, bid: float | None, ask: float | None) -> Quote:
    return Quote(symbol, 1, bid, 100, ask, 100)


def test_it_shows_last_bid_ask_spread_change_and_rate_of_each_symbol_in_order(board: Board) -> None:
    board.status = "connected"
    take(board, trade("MSFT", 400.0), quote("AAPL", 99.99, 100.01), trade("AAPL", 100.0), trade("AAPL", 101.0))
    board.mark(2.0)
    assert rows(board) == [
        ["symbol", "last", "bid", "ask", "spread", "change", "msg/s"],
        ["AAPL", "101.00", "99.99", "100.01", "0.02", "+1.00", "%", "1.5"],
        ["MSFT", "400.00", "+0.00", "%", "0.5"],
        [URL, "connected", "2", "msg/s", "0", "errors", "0", "gaps"],
    ]


def test_without_trades_the_change_is_that_of_the_middle(board: Board) -> None:
    take(board, quote("AAPL", 99.0, 101.0), quote("AAPL", 97.0, 101.0))
    assert rows(board)[1] == ["AAPL", "97.00", "101.00", "4.00", "-1.00", "%", "0.0"]


def test_an_empty_side_of_the_book_is_blank(board: Board) -> None:
    take(board, quote("AAPL", None, 101.0))
    assert rows(board)[1] == ["AAPL", "101.00", "0.0"]


def test_a_change_too_small_to_show_has_no_minus(board: Board) -> None:
    take(board, trade("AAPL", 100_000.0), trade("AAPL", 99_999.99))
    assert "+0.00 %" in text(board)


def test_prices_keep_the_decimals_that_a_symbol_has_shown(board: Board) -> None:
    take(board, trade("DOGE", 0.12345), trade("DOGE", 0.1), trade("BIG", 12345.5))
    assert [row[1] for row in rows(board)[1:3]] == ["12,345.50", "0.10000"]


def test_a_halt_stands_beside_the_symbol_until_it_ends(board: Board) -> None:
    take(board, trade("AAPL", 1.0), Halt("AAPL", 1, "news"))
    assert rows(board)[1][:2] == ["AAPL", "halted"]
    take(board, Resume("AAPL", 2, "news"))
    assert "halted" not in text(board)


def test_rates_are_over_the_last_two_seconds(board: Board) -> None:
    for refresh in range(1, 41):
        take(board, *[trade("AAPL", 1.0)] * (10 if refresh > 30 else 0))
        board.mark(refresh / 4)
    assert rows(board)[1][-1] == "40.0"


def test_of_a_bar_the_close_is_shown_where_it_has_one(board: Board) -> None:
    bar = Bar("AAPL", "Minute", 1, 1.0, 1.0, 1.0, 1.25, 1, 1, 1.0)
    take(board, bar, attrs.evolve(bar, open=None, high=None, low=None, close=None))
    assert rows(board)[1][:2] == ["AAPL", "1.25"]


def test_bars_errors_and_gaps_are_counted_and_other_messages_are_not(board: Board) -> None:
    take(board, Bar("AAPL", "Minute", 1, 1.0, 1.0, 1.0, 1.0, 1, 1, 1.0))
    topic = TopicKey("Synthetic", AssetClass.STOCKS, Channel.TRADES, "AAPL")
    board.take(Gap(topic, "e", 1, 2, "expired"))
    board.take(Live(topic, "e", 3))
    board.errors += 1
    assert board.seen == (1, 1, 1)
    assert text(board).splitlines()[-1].rstrip().endswith("1 errors  1 gaps")


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (72, "symbol last bid ask spread change msg/s"),
        (71, "symbol last bid ask spread msg/s"),
        (55, "symbol last bid ask spread"),
        (40, "symbol last bid ask"),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns_and_no_line_is_too_long(board: Board, width: int, columns: str) -> None:
    take(board, trade("BTCUSD", 123_456.78), quote("BTCUSD", 123_456.77, 123_456.79))
    lines = text(board, width).splitlines()
    assert lines[0].split() == columns.split()
    assert len(lines) == 3
    assert max(map(len, lines)) <= width


def test_what_does_not_fit_below_is_counted(board: Board) -> None:
    take(board, *(trade(f"S{n}", 1.0) for n in range(10)))
    lines = text(board, height=8).splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["S0", "S1", "S2", "S3"]
    assert lines[5] == "and 6 more symbols"
    assert len(lines) < 8


def test_a_symbol_cannot_play_with_the_terminal(board: Board) -> None:
    take(board, trade("\x1b[2J[red]" + "X" * 50, 1.0))
    assert "\x1b" not in text(board)
    assert "\\x1b[2J[red]XXX" in text(board)
