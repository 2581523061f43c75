"""Subscribe, unsubscribe and list, for one connection.

Joining a topic, reading its position and queueing the answer happen in one sync call: no message can come between,
so that `positions` is exact and nothing of the topic precedes `subscribed`. What takes long, that is making topics,
leaving them and showing their latest messages, comes before or after, in slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from datafye_trio.broker import Board, Broker, Delivery, Subscriber, Topic, may_take
from datafye_trio.connection.answers import Answers
from datafye_trio.connection.limits import RequestLimits
from datafye_trio.connection.resuming import Resuming, find_point
from datafye_trio.connection.selection import ALL, Selection, find_dataset, select, select_symbols
from datafye_trio.connection.slices import SLICE, in_slices
from datafye_trio.errors import RequestError
from datafye_trio.model import Channel
from datafye_trio.protocol import (
    Endpoint,
    ErrorCode,
    ListSubscriptions,
    Subscribe,
    Subscribed,
    SubscriptionGroup,
    SubscriptionList,
    Unsubscribe,
    Unsubscribed,
)

__all__ = ["Subscribing"]


class Subscribing:
    """What a connection does to its subscriber. Every method returns the refusals, one for each kind."""

    def __init__(
        self, broker: Broker, subscriber: Subscriber, endpoint: Endpoint, limits: RequestLimits, answers: Answers
    ) -> None:
        self._broker = broker
        self._subscriber = subscriber
        self._endpoint = endpoint
        self._limits = limits
        self._answers = answers
        self.resuming = Resuming(broker, subscriber)

    async def subscribe(self, request: Subscribe, ignored: tuple[str, ...]) -> Sequence[RequestError]:
        """Join what can be joined, answer, then send snapshots. Cancelled, it has done nothing.

        Raises:
            RequestError: nothing of it can be done.
        """
        dataset = find_dataset(self._broker, request, self._endpoint)
        chosen = select(dataset, request, self._endpoint, self._limits.symbols)
        point = None if request.resume is None else find_point(request.resume, chosen)
        unheard = [] if point is None else point.unheard(chosen)
        if chosen.everything:
            self._limit_all(chosen, len(unheard))
        else:
            await self._make(chosen)
        if chosen.boards and (chosen.symbols or chosen.everything):
            fresh, delivery = self._join(request, chosen, unheard, ignored)
            if point is not None:
                fresh = self.resuming.begin(fresh, point, delivery)
            self._snapshots(request, fresh, delivery)
            self._broker.notify()
        return chosen.refusals

    async def unsubscribe(self, request: Unsubscribe, ignored: tuple[str, ...]) -> Sequence[RequestError]:
        """Leave what is named, and answer. `*` without a dataset leaves those channels in every dataset, of the asset
        class that the request names, if it does.

        Raises:
            RequestError: nothing of it can be done.
        """
        dataset = find_dataset(self._broker, request, self._endpoint)
        chosen = select(dataset, request, self._endpoint, self._limits.symbols)
        if not chosen.everything:
            return await self._leave(request, chosen, ignored)
        if len(request.except_ or ()) > self._limits.symbols:
            raise RequestError(
                ErrorCode.SUBSCRIPTION_LIMIT, f"except may name {self._limits.symbols} symbols", field="except"
            )
        named = {board.dataset for board in self._subscriber.boards} | {dataset.info.name}
        refusals: list[RequestError] = []
        for other in self._broker.datasets.values() if request.dataset is None else [dataset]:
            asked = request.asset_class is None or other.info.asset_class is dataset.info.asset_class
            if asked and other.info.name in named:
                found = select(other, request, self._endpoint, self._limits.symbols)
                if other is not dataset:
                    found.refusals.clear()  # "all quotes" asks nothing wrong of a dataset that has none
                await self._leave_all(request, found, ignored)
                refusals += found.refusals
        self._broker.notify()
        return refusals

    async def list(self, request: ListSubscriptions, ignored: tuple[str, ...]) -> None:
        """Answer with what is subscribed; a `*` subscription is listed as such."""
        listed: dict[Board, list[str]] = {board: [] for board in self._subscriber.wildcards}

        def add(topics: Sequence[Topic]) -> None:
            for topic in topics:
                listed.setdefault(topic.board, []).append(topic.symbol)

        await in_slices(self._broker.turn, [*self._subscriber.topics], add, 8 * SLICE)  # little is done to each
        listed.update({board: [ALL] for board in self._subscriber.wildcards})
        groups = [
            SubscriptionGroup(
                dataset=board.dataset,
                asset_class=board.asset_class,
                channel=board.key.channel,
                symbols=tuple(symbols),
                frequency=board.key.frequency,
                running=board.key.running or None,
            )
            for board, symbols in listed.items()
        ]
        self._answers.send(SubscriptionList(tuple(groups), request.id, ignored or None))

    def _limit_all(self, chosen: Selection, unheard: int) -> None:
        """Refuse `*` where it would exceed the topics of this connection, or of the server.

        `unheard` topics are made for it, beside those that there are.
        """
        topics = self._subscriber.topics
        fresh = sum(topic.pinned and topic not in topics for board in chosen.boards for topic in board.topics.values())
        if fresh + unheard > self._limits.topics - len(topics) or (
            unheard and not may_take(self._held() + unheard - 1, self._free() - unheard + 1)
        ):
            chosen.boards = []
            chosen.refusals.append(self._too_many([ALL]))

    async def _make(self, chosen: Selection) -> None:
        """Make the topics that there are not, and take out of a selection what would exceed the limits."""
        boards, fitting = chosen.boards, list[str]()
        room, held = self._limits.topics - len(self._subscriber.topics), self._held()

        def make(symbols: Sequence[str]) -> None:
            nonlocal room, held
            free = self._free()
            for symbol in symbols:
                topics = [board.topics.get(symbol) for board in boards]
                room -= sum(topic not in self._subscriber.topics for topic in topics)
                if (new := topics.count(None)) and not may_take(held + new - 1, free - new + 1):
                    room = -1
                if room < 0:  # what comes behind it is refused, too
                    return
                held, free = held + new, free - new
                for board in boards:
                    board.topic(symbol)
                fitting.append(symbol)

        try:
            await in_slices(self._broker.turn, chosen.symbols, make, max(1, SLICE // max(1, len(boards))))
        except trio.Cancelled:
            for board in boards:
                board.forget_unjoined(fitting)
            raise
        if refused := chosen.symbols[len(fitting) :]:
            chosen.refusals.append(self._too_many(refused))
            chosen.symbols = fitting

    def _free(self) -> int:
        """How many topics more the server may have."""
        return max(0, self._broker.config.max_topics - self._broker.topic_count())

    def _held(self) -> int:
        """How many of the connection's topics there are because somebody asked for them: see `may_take`."""
        topics = self._subscriber.topics
        if self._free() >= 2 * self._limits.topics:
            return len(topics)  # counts all, for nothing: whatever it asks for, as many will be free
        return sum(not topic.pinned for topic in topics)

    def _too_many(self, symbols: Sequence[str]) -> RequestError:
        return RequestError(
            ErrorCode.SUBSCRIPTION_LIMIT,
            f"a connection may have {self._limits.topics} topics, the server {self._broker.config.max_topics}, and "
            "some must be left for others: unsubscribe some first",
            symbols=tuple(symbols),
        )

    def _join(
        self, request: Subscribe, chosen: Selection, unheard: Sequence[str], ignored: tuple[str, ...]
    ) -> tuple[Sequence[Topic], Delivery | None]:
        """Join and answer. Returns the topics that are new to the connection, and how it receives them."""
        delivery = None
        if request.delivery == "latest":
            delivery = Delivery(1 / request.max_rate if request.max_rate else 0.0)
        fresh: list[Topic] = []
        positions: dict[str, dict[str, int]] = {}
        for board in chosen.boards:
            if chosen.everything:
                fresh += self._subscriber.join_all(board, delivery)
                fresh += [self._subscriber.include(board, symbol, delivery)[0] for symbol in unheard]
                topics = [topic for topic in board.topics.values() if topic in self._subscriber.topics]
            else:
                topics, new = self._subscriber.include_many(board, chosen.symbols, delivery)
                fresh += new
            positions[board.key.channel] = self._subscriber.positions(topics)
        self._answers.send(
            Subscribed(
                **self._answer_fields(request, chosen, [ALL] if chosen.everything else chosen.symbols),
                positions=positions if request.resume is None else None,
                ignored=ignored or None,
            )
        )
        return fresh, delivery

    def _snapshots(self, request: Subscribe, topics: Sequence[Topic], delivery: Delivery | None) -> None:
        wanted = [
            topic
            for topic in topics
            if topic.latest is not None
            and (topic.board.key.channel is Channel.QUOTES if request.snapshot is None else request.snapshot)
        ]
        if len(wanted) <= SLICE:
            self._answers.snapshots(wanted)
        else:
            self.resuming.show(wanted, delivery)

    async def _leave(self, request: Unsubscribe, chosen: Selection, ignored: tuple[str, ...]) -> Sequence[RequestError]:
        left: list[str] = []
        missing: list[str] = []
        # What is taken out of a `*` subscription is remembered, and so is limited like a topic.
        room = self._limits.topics - self._subscriber.exclusions()
        if len(chosen.symbols) > room:
            chosen.refusals.append(self._too_many(chosen.symbols[room:]))

        def leave(symbols: Sequence[str]) -> None:
            for symbol in symbols:
                # A list, not a generator: every board must be left, whatever the first one says.
                gone = [self._subscriber.exclude(board, symbol) for board in chosen.boards]
                (left if any(gone) else missing).append(symbol)

        size = max(1, SLICE // max(1, len(chosen.boards)))
        await in_slices(self._broker.turn, chosen.symbols[:room], leave, size)
        if chosen.boards:
            self._answers.send(Unsubscribed(**self._answer_fields(request, chosen, left), ignored=ignored or None))
            self._broker.notify()
        if missing and chosen.boards:
            chosen.refusals.append(
                RequestError(ErrorCode.NOT_SUBSCRIBED, "these symbols were not subscribed", symbols=tuple(missing))
            )
        return chosen.refusals

    async def _leave_all(self, request: Unsubscribe, chosen: Selection, ignored: tuple[str, ...]) -> None:
        turn, subscriber = self._broker.turn, self._subscriber
        keep = dict.fromkeys(select_symbols(chosen.dataset, request.except_ or ())[0])  # none of what is no symbol
        boards = dict.fromkeys(chosen.boards)
        gone = [topic for topic in subscriber.topics if topic.board in boards and topic.symbol not in keep]
        for board in boards:
            fresh = subscriber.to_keep(board, keep)
            room = self._limits.topics - (len(subscriber.topics) - len(gone))
            if len(fresh) > min(room, self._free()):
                chosen.refusals.append(self._too_many(fresh))
            else:  # while the `*` still holds them: so none of their messages is missed
                await in_slices(turn, fresh, partial(subscriber.keep, board))
        for board in boards:
            subscriber.leave_wildcard(board)
        await in_slices(turn, gone, subscriber.leave_topics)
        if chosen.boards:
            self._answers.send(Unsubscribed(**self._answer_fields(request, chosen, [ALL]), ignored=ignored or None))

    def _answer_fields(
        self, request: Subscribe | Unsubscribe, chosen: Selection, symbols: Sequence[str]
    ) -> dict[str, Any]:
        keys = [board.key for board in chosen.boards]
        frequencies = {key.frequency for key in keys if key.frequency}
        running = {key.running for key in keys if key.channel is Channel.AGGREGATES}
        return {
            "dataset": chosen.dataset.info.name,
            "asset_class": chosen.dataset.info.asset_class,
            "channels": tuple(dict.fromkeys(key.channel for key in keys)),
            "symbols": tuple(symbols),
            "epoch": chosen.dataset.epoch,
            "total": len(self._subscriber.topics),
            "id": request.id,
            # With `*`, several frequencies may be left at once: then there is none to name.
            "frequency": frequencies.pop() if len(frequencies) == 1 else None,
            "running": True if running == {True} else None,
        }
