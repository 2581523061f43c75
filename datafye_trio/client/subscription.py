"""One subscription, as a program sees it: a context manager that yields events, in order, and gaps in their place.

Nothing here waits for the wire but entering, `add` and `remove`; leaving never waits, and cancellation at any point
leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

import trio

from datafye_trio.client.board import BoardKey
from datafye_trio.client.buffers import make_buffer
from datafye_trio.client.host import Host
from datafye_trio.client.options import Wish, parse_symbols, symbol_texts
from datafye_trio.client.sink import Sink, merged
from datafye_trio.client.statistics import SubscriptionStatistics
from datafye_trio.errors import BufferOverflowError, FeedClosedError, SubscriptionError
from datafye_trio.logs import get_logger
from datafye_trio.model import AssetClass
from datafye_trio.protocol import ErrorCode

__all__ = ["Subscription"]

log = get_logger("feed")
T = TypeVar("T")

_SHOWN: Final = 5
"""Symbols in a line of the log."""
_STEP: Final = 64
"""Items after which the clock is looked at."""
_TURN_SECONDS: Final = 0.005
_TURN_ITEMS: Final = 2_048
"""How long a program may go on with what waits before others get their turn: one network read holds 700 quotes, or
2,000 messages of 64 bytes; with a checkpoint within them, the buffer would grow although the program is the faster
side."""
_BATCH: Final = 2_048


class Subscription(AbstractAsyncContextManager["Subscription[T]"], Generic[T]):
    """Made by a feed: `async with feed.quotes("AAPL") as sub: async for event in sub: ...`.

    Entering waits for the server's answer. Iterating yields events, and a `Gap` where some are missing; on the wire it
    ends by an error only: what ended the feed, or this subscription; where the data itself ends, as a recording does,
    iterating ends too. Several tasks may iterate: each item goes to one of them.

    Raises on entering:
        SubscriptionError: the server refuses something; with `partial`, everything.
        FeedError: the feed cannot go on.
    """

    def __init__(self, host: Host, wish: Wish) -> None:
        self._host = host
        self._wish = wish
        self._boards: Sequence[tuple[BoardKey, AssetClass]] = ()
        self._lot = trio.lowlevel.ParkingLot()
        self._buffer = make_buffer(wish.policy, wish.buffer)
        self._pop: Callable[[], T] = self._buffer.pop
        self._sink = Sink(
            self._buffer,
            snapshots=wish.snapshot,
            partial=wish.partial,
            on_full=self._full,
            on_change=self._changed,
        )
        self._batched = 0
        self._step = max(1, min(_STEP, wish.buffer // 4))
        self._left = self._allowed = self._step
        """How many items may be iterated before the clock is looked at, and how many might be so far."""
        self._turn_began, self._turn_items = trio.current_time(), 0
        self._begun = self._closed = False
        self._adding = trio.Lock()

    async def __aenter__(self) -> Self:
        self._begin()
        try:
            self._boards = await self._host.boards(self._wish)
            self._attach(self._wish.symbols)
            await self._answered()
            self._check_accepted()
        except BaseException:
            self._leave()
            raise
        self._sink.entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        await trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC102 -- waits for nothing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next item. Cancel-safe. A checkpoint where it waits, and every now and then where it does not.

        Raises:
            FeedError: there will be no more, after all that was received: what ended the feed, or a refusal after a
                reconnection, or BufferOverflowError.
        """
        if self._left == 0:
            await self._pace()
        try:
            item = self._pop()
        except IndexError:
            await self._wait()
            item = self._pop()
        self._left -= 1
        return item

    async def receive_many(self) -> list[T]:
        """All items that wait, at least one and at most 2,048: less work for each. Always a checkpoint. Cancel-safe.

        None where the data has ended.

        Raises:
            FeedError: as iterating does.
        """
        await trio.lowlevel.checkpoint()
        if not len(self._buffer):
            try:
                await self._wait()
            except StopAsyncIteration:
                return []
        items: list[T] = self._buffer.pop_many(_BATCH)
        self._batched += len(items)
        self._make_room()
        return items

    async def add(self, symbols: str | Sequence[str]) -> None:
        """Subscribe to more symbols; those that are there already go on undisturbed.

        Cancelled, what the server has not answered yet is taken back. Refused without `partial`, none of the refused is
        there. Several tasks may add; they do so one after the other.

        Raises:
            SubscriptionError: the server refuses some of them; the others are subscribed.
            FeedError: the feed, or the subscription, has ended.
        """
        texts = symbol_texts(symbols)
        self._check_open()
        async with self._adding:
            before = len(self._sink.refusals)
            self._sink.entered = False
            try:
                self._attach(texts)
                await self._answered()
            finally:
                self._host.book.take_back(self._sink)
                self._host.wake()
                self._sink.entered = True
            if (refusals := self._sink.refusals[before:]) and not self._wish.partial:
                del self._sink.refusals[before:]
                raise merged(refusals)

    async def remove(self, symbols: str | Sequence[str]) -> None:
        """Unsubscribe symbols, of all its channels. Items of theirs that wait are still delivered. Raises as `add`."""
        texts = symbol_texts(symbols)
        self._check_open()
        for asset_class in {asset_class for _, asset_class in self._boards}:
            self._host.book.detach(self._sink, parse_symbols(texts, asset_class)[0])
        self._host.wake()
        self._changed()  # a task may wait for an answer about them, and need not any more
        await trio.lowlevel.checkpoint()

    @property
    def symbols(self) -> tuple[str, ...]:
        """What it is subscribed to now, in normal form; `*` where it has every symbol."""
        if self._sink.stars:
            return ("*",)
        return tuple(dict.fromkeys(topic.key.symbol for topic in self._sink.topics))

    @property
    def rejected(self) -> tuple[SubscriptionError, ...]:
        """What the server has refused, with `partial`."""
        return tuple(self._sink.refusals)

    def statistics(self) -> SubscriptionStatistics:
        """How it fares."""
        sink, buffer = self._sink, self._buffer
        return SubscriptionStatistics(
            waiting=len(buffer),
            capacity=buffer.capacity,
            delivered=self._batched + self._allowed - self._left,
            gaps=sink.gaps,
            missing=sink.missing,
            dropped=buffer.dropped,
            conflated=buffer.conflated,
            paused=sink.paused,
            pauses=sink.pauses,
        )

    async def _pace(self) -> None:
        """Between two steps of an iteration: let others have their turn when it is time, and make room."""
        self._left = self._step
        self._allowed += self._step
        self._turn_items += self._step
        self._make_room()
        if self._turn_items >= _TURN_ITEMS or trio.current_time() - self._turn_began > _TURN_SECONDS:
            await trio.lowlevel.checkpoint()
            self._begin_turn()

    def _begin_turn(self) -> None:
        self._turn_began, self._turn_items = trio.current_time(), 0

    def _make_room(self) -> None:
        """Ask for what was left on the server, once there is room for it."""
        if self._sink.paused and self._buffer.drained:
            self._host.book.unpause(self._sink)
            self._host.wake()

    async def _wait(self) -> None:
        """Wait until there is an item; raises what has ended it: StopAsyncIteration at the end of the data."""
        self._make_room()
        if self._closed or self._sink.complete or self._sink.failure is not None:
            await trio.lowlevel.checkpoint()  # else to park is one, and each costs a turn of the scheduler
        while not len(self._buffer):
            self._check_open()
            if self._sink.complete:
                raise StopAsyncIteration("the data has ended")
            self._host.book.waiting.add(self._sink)
            try:
                await self._lot.park()
            finally:
                self._host.book.waiting.discard(self._sink)
        self._begin_turn()

    async def _answered(self) -> None:
        await trio.lowlevel.checkpoint()
        while self._sink.pending:
            self._check_open()
            await self._lot.park()
        self._check_open()

    def _check_accepted(self) -> None:
        refusals = self._sink.refusals
        if refusals and not (self._wish.partial and (self._sink.topics or self._sink.stars)):
            raise merged(refusals)

    def _begin(self) -> None:
        if self._begun:
            raise FeedClosedError("a subscription is entered once: ask the feed for another one")
        self._begun = True

    def _check_open(self) -> None:
        if not self._begun:
            raise FeedClosedError("the subscription was not entered: write `async with feed.subscribe(...) as sub:`")
        if self._closed:
            raise FeedClosedError("the subscription is closed: its `async with` has ended")
        if (failure := self._sink.failure) is not None:
            self._host.failure_met |= failure is self._host.failure
            raise failure.with_traceback(None)  # else it grows by each task and each time it is raised

    def _attach(self, texts: Sequence[str]) -> None:
        sound, wrong = parse_symbols(texts, self._boards[0][1])
        if wrong:
            what = "no well-formed symbols: 1 to 32 characters of A-Z 0-9 . - _ : /"
            if any(len(text.replace(",", " ").split()) > 1 for text in wrong):
                what += '; several are a list: ["AAPL", "MSFT"]'
            self._sink.refusals.append(SubscriptionError(ErrorCode.UNKNOWN_SYMBOL, what, tuple(wrong)))
        if sound and (not wrong or self._wish.partial):
            self._host.book.attach(self._sink, self._boards, sound)
            self._host.wake()

    def _leave(self) -> None:
        self._closed = True
        self._host.book.detach(self._sink)
        self._host.wake()
        self._lot.unpark_all()

    def _changed(self) -> None:
        self._lot.unpark_all()

    def _full(self, sink: Sink) -> None:
        if self._wish.policy == "wait":
            if not sink.pauses:
                log.warning(
                    "a subscription lags: what comes is left for later",
                    channels=", ".join(self._wish.channels),
                    symbols=", ".join(self._wish.symbols[:_SHOWN]),
                    waiting=len(self._buffer),
                )
            self._host.book.pause(sink)
        else:
            self._host.book.detach(sink)
            sink.fail(
                BufferOverflowError(
                    f"{self._buffer.capacity} events wait, and more come (policy {self._wish.policy}): read faster, "
                    "subscribe to less, or choose a larger buffer or another policy"
                )
            )
        self._host.wake()
