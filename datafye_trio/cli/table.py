"""The live table of `watch`: what is known of each symbol, and how it is drawn. No I/O; times are passed in."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from rich.console import Group
from rich.table import Table
from rich.text import Text

from datafye_trio.cli.text import one_line
from datafye_trio.model import Bar, Event, FeedItem, Gap, Halt, Live, Quote, Resume, Trade

__all__ = ["Board"]

_WINDOW: Final = 8
"""Refreshes over which messages a second are averaged: 2 s at four a second."""
_MOST_DECIMALS: Final = 8
_SYMBOL: Final = 16
_WIDTHS: Final = (("change", 72), ("msg/s", 56), ("spread", 46))
"""Columns that a terminal narrower than this goes without."""


class _Rate:
    """Messages a second over the last refreshes."""

    def __init__(self, now: float) -> None:
        self.count = 0
        self._marks = deque([(now, 0)], maxlen=_WINDOW + 1)

    def mark(self, now: float) -> None:
        self._marks.append((now, self.count))

    def value(self) -> float:
        (start, before), (end, after) = self._marks[0], self._marks[-1]
        return (after - before) / (end - start) if end > start else 0.0


class _Row:
    """One symbol."""

    def __init__(self, now: float) -> None:
        self.rate = _Rate(now)
        self.last: float | None = None
        self.bid: float | None = None
        self.ask: float | None = None
        self.halted = False
        self._first: dict[str, float] = {}
        self._decimals = 2

    def take(self, event: Event) -> None:
        match event:
            case Trade():
                self.last = event.price
                self._first.setdefault("trade", event.price)
                self._see(event.price)
            case Quote():
                self.bid, self.ask = event.bid_price, event.ask_price
                if self.bid is not None and self.ask is not None:
                    self._first.setdefault("middle", (self.bid + self.ask) / 2)
                    self._see(self.bid)
                    self._see(self.ask)
            case Halt() | Resume():
                self.halted = isinstance(event, Halt)
            case Bar():
                if event.close is not None:
                    self.last = event.close
                    self._first.setdefault("trade", event.close)
                    self._see(event.close)
            case _:
                pass  # indicators are counted, but have no column

    def change(self) -> float | None:
        """In percent since the first trade seen; of the middle of the quote where there was no trade."""
        now, first = self.last, self._first.get("trade")
        if now is None and self.bid is not None and self.ask is not None:
            now, first = (self.bid + self.ask) / 2, self._first.get("middle")
        return round(100 * (now / first - 1), 2) + 0.0 if now is not None and first else None  # + 0.0: no -0.00

    def price(self, value: float | None) -> str:
        """A price with as many decimals as this symbol has shown so far, so that columns stand still."""
        return "" if value is None else f"{value:,.{self._decimals}f}"

    def _see(self, price: float) -> None:
        text = f"{price:.{_MOST_DECIMALS}f}".rstrip("0")
        self._decimals = max(self._decimals, len(text.partition(".")[2]))


class Seen(NamedTuple):
    """Totals of what came."""

    messages: int
    errors: int
    gaps: int


class Board:
    """Everything that a view has seen. `take` each item, `mark` each refresh, then `render`.

    Attributes:
        status: how the connection fares, in words.
        errors: what was refused.
    """

    def __init__(self, url: str, now: float) -> None:
        self.status = "connecting"
        self._url = url
        self._rows: dict[str, _Row] = {}
        self._total = _Rate(now)
        self.errors = self._gaps = 0
        self._now = now

    @property
    def seen(self) -> Seen:
        """Totals of what came."""
        return Seen(self._total.count, self.errors, self._gaps)

    def take(self, item: FeedItem) -> None:
        """Count and keep what an item says."""
        if isinstance(item, Gap):
            self._gaps += 1
        elif not isinstance(item, Live):
            row = self._rows.get(item.symbol)
            if row is None:
                row = self._rows[item.symbol] = _Row(self._now)
            row.take(item)
            row.rate.count += 1
            self._total.count += 1

    def mark(self, now: float) -> None:
        """A refresh begins: rates are over the time since earlier ones."""
        self._now = now
        self._total.mark(now)
        for row in self._rows.values():
            row.rate.mark(now)

    def render(self, width: int, height: int) -> Group:
        """The table and the status line, for a terminal of this size; what does not fit below is counted."""
        dropped = {name for name, least in _WIDTHS if width < least}
        columns = [
            name for name in ("symbol", "last", "bid", "ask", "spread", "change", "msg/s") if name not in dropped
        ]
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
        for name in columns:
            table.add_column(name, justify="left" if name == "symbol" else "right", no_wrap=True, overflow="ellipsis")
        room = max(1, height - 4)
        for symbol in sorted(self._rows)[:room]:
            cells = _cells(symbol, self._rows[symbol])
            table.add_row(*(cells[name] for name in columns))
        hidden = len(self._rows) - room
        more = [Text(f"and {hidden} more symbols", style="dim")] if hidden > 0 else []
        return Group(table, *more, self._status())

    def _status(self) -> Text:
        text = (
            f"{one_line(self._url)}  {one_line(self.status)}  {self._total.value():,.0f} msg/s"
            f"  {self.errors} errors  {self._gaps} gaps"
        )
        return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def _cells(symbol: str, row: _Row) -> dict[str, Text]:
    change = row.change()
    spread = row.ask - row.bid if row.bid is not None and row.ask is not None else None
    style = "" if not change else "green" if change > 0 else "red"
    return {
        "symbol": Text(
            one_line(symbol, _SYMBOL) + (" halted" if row.halted else ""), "yellow" if row.halted else "bold"
        ),
        "last": Text(row.price(row.last), style),
        "bid": Text(row.price(row.bid)),
        "ask": Text(row.price(row.ask)),
        "spread": Text(row.price(spread)),
        "change": Text("" if change is None else f"{change:+.2f} %", style),
        "msg/s": Text(f"{row.rate.value():,.1f}"),
    }
