"""Topics without numbers: wherever something may be missing there is a gap, and nowhere else."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import Book
from datafye_trio.client.buffers import make_buffer
from datafye_trio.client.decoding import RawIntake
from datafye_trio.client.plain_decoding import PlainDecoder
from datafye_trio.client.plain_talk import PlainTalk
from datafye_trio.client.plain_topic import PlainLine
from datafye_trio.client.sink import Sink
from datafye_trio.model import AssetClass, Channel, Gap

KEY = BoardKey("SIP", Channel.TRADES)
SYMBOLS = ("AAPL", "MSFT")
Step: TypeAlias = str | int
"""A symbol whose next message is sent; "cut"; or so many items are read."""
CUT = "cut"


class Plain:
    """A subscription of a plain server, and the log of what was sent: numbers, and cuts between them."""

    def __init__(self, capacity: int) -> None:
        self.line = PlainLine(RawIntake())
        self.book = Book(lambda _: self.line)
        self.talk = PlainTalk(self.book, self.line, PlainDecoder(KEY, AssetClass.STOCKS), raw=True)
        self.buffer = make_buffer("wait", capacity)
        self.sink = Sink(
            self.buffer, snapshots=False, partial=False, on_full=self.book.pause, on_change=lambda: None
        )  # fmt: skip
        self.sent: dict[str, list[int | str]] = {symbol: [] for symbol in SYMBOLS}
        self.read: list[Any] = []
        self.book.attach(self.sink, [(KEY, AssetClass.STOCKS)], SYMBOLS)
        self.connect()

    def connect(self) -> None:
        self.talk.begin()
        (request,) = self.talk.outgoing()
        assert json.loads(request) == {"action": "subscribe", "dataset": "SIP", "symbols": list(SYMBOLS)}
        self.talk.try_again()
        assert self.talk.settled

    def step(self, step: Step) -> None:
        if isinstance(step, int):
            for _ in range(min(step, len(self.buffer))):
                self.read.append(self.buffer.pop())
                if self.sink.paused and self.buffer.drained:
                    self.book.unpause(self.sink)
        elif step == CUT:
            self.talk.cut()
            for log in self.sent.values():
                log.append(CUT)
            self.connect()
        else:
            log = self.sent[step]
            log.append(len(log))
            fields = {"symbol": step, "exchangeTimestamp": len(log), "tradePrice": 1, "tradeSize": len(log) - 1}
            self.talk.take([json.dumps({"type": "trade", **fields})])

    def told(self, symbol: str) -> list[int | str]:
        """What the program has read of a symbol: numbers, and gaps, of which one is as good as two."""
        found: list[int | str] = []
        for item in self.read:
            if isinstance(item, Gap):
                if item.topic.symbol == symbol and found[-1:] != [CUT]:
                    found.append(CUT)
            elif item["symbol"] == symbol:
                found.append(item["tradeSize"])
        return found


def expected(sent: list[int | str], told: list[int | str]) -> list[int | str]:
    """The log with a gap for each stretch that did not come, or that a cut fell into."""
    came = {item for item in told if item != CUT}
    found: list[int | str] = []
    for item in sent:
        if item in came:
            found.append(item)
        elif found[-1:] != [CUT]:
            found.append(CUT)
    return found


@pytest.mark.unmeasured
@settings(max_examples=200)
@given(st.integers(1, 5), st.lists(st.sampled_from([*SYMBOLS, *SYMBOLS, CUT]) | st.integers(1, 4), max_size=60))
def test_a_gap_stands_wherever_something_may_be_missing_and_nowhere_else(capacity: int, steps: list[Step]) -> None:
    plain = Plain(capacity)
    for step in steps:
        plain.step(step)
        assert len(plain.buffer) <= capacity
    while len(plain.buffer):
        plain.step(1)
    for symbol in SYMBOLS:
        told = plain.told(symbol)
        assert told == expected(plain.sent[symbol], told)
    entries = plain.book.ledger().values()
    assert all(entry.restarts == sum(step == CUT for step in steps) for entry in entries)
