"""Whatever a program subscribes to, adds, takes out and leaves, and when: it sees the same on all three ways."""

from __future__ import annotations

from contextlib import AsyncExitStack
from itertools import groupby
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from strategy.kit import halt, quote, resume, trade
from strategy.ways import BARS, Market, everywhere, moment

from datafye_trio.errors import FeedError
from datafye_trio.model import Bar, Ema, Event, FeedItem
from datafye_trio.strategy import Feed

SYMBOLS = ["A", "B", "*"]
MAKERS = [quote, trade, trade, halt, resume]

_events = st.lists(st.tuples(st.integers(1, 9), st.sampled_from(MAKERS), st.sampled_from("ABC")), max_size=25)
_symbols = st.lists(st.sampled_from([*SYMBOLS, "ZZZ"]), min_size=1, max_size=2, unique=True)
_channels = st.lists(st.sampled_from(["quotes", "trades", "bars", "ema"]), min_size=1, max_size=2, unique=True)
_begin = st.tuples(st.just("begin"), _channels, _symbols, st.booleans())
_change = st.tuples(st.sampled_from(["add", "remove", "leave"]), st.integers(0, 3), _symbols)
_steps = st.lists(_begin | _change, min_size=1, max_size=9)


class Program:
    """Takes a step each half second, between the events, and notes what each subscription yields."""

    def __init__(self, feed: Feed, nursery: trio.Nursery) -> None:
        self.feed = feed
        self.nursery = nursery
        self.subs: list[Any] = []
        self.seen: list[list[tuple[bool, FeedItem]]] = []
        self.said: list[Any] = []

    async def step(self, stack: AsyncExitStack, what: str, *details: Any) -> None:
        if what == "begin":
            channels, symbols, running = details
            made = self.feed.subscribe(channels, symbols, frequency="Second", running=running, partial=True)
            sub = await stack.enter_async_context(made)
            self.subs.append(sub)
            self.seen.append([])
            self.nursery.start_soon(self.read, sub, self.seen[-1])
            return
        number, symbols = details
        if number >= len(self.subs):
            return
        sub = self.subs[number]
        if what == "leave":
            await sub.__aexit__(None, None, None)
        else:
            await (sub.add if what == "add" else sub.remove)(symbols)
            self.said.append(sorted(sub.symbols))

    async def read(self, sub: Any, seen: list[tuple[bool, FeedItem]]) -> None:
        try:
            async for item in sub:
                old = not isinstance(item, Bar | Ema) and moment(item) < self.feed.now()
                seen.append((old, item))
        except FeedError as error:
            self.said.append(type(error).__name__)


@pytest.mark.unmeasured
@settings(max_examples=60)
@given(_events, _steps)
def test_the_same_everywhere(events: list[Any], steps: list[Any]) -> None:
    market: list[Event] = [make(seconds, symbol) for seconds, make, symbol in sorted(events, key=lambda one: one[0])]

    async def strategy(feed: Feed) -> Any:
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            program = Program(feed, nursery)
            for number, step in enumerate(steps):
                await trio.sleep_until(number + 0.5)
                try:
                    await program.step(stack, *step)
                except FeedError as error:
                    program.said.append(str(error))
            await trio.sleep(120)
            nursery.cancel_scope.cancel()
        return [in_order(seen) for seen in program.seen], sorted(map(str, program.said))

    # A recording has what is in it: something of each channel.
    everywhere(strategy, Market([*market, quote(60, "END"), trade(60, "END")], BARS))


def in_order(seen: list[tuple[bool, FeedItem]]) -> list[FeedItem]:
    """The newest quotes that a symbol brings along, when it is added, have no order among themselves."""
    runs = groupby(seen, key=lambda one: one[0])
    return [item for old, run in runs for item in sorted((item for _, item in run), key=str if old else (lambda _: 0))]
