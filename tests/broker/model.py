"""What a broker owes its clients, written down independently of how it does it: lists and sets, nothing clever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

Topic = tuple[str, str]
"""(channel, symbol)."""


@attrs.define
class ClientModel:
    """One client: what it wishes for, and all that it is owed in the order it was put.

    `owed` holds (topic, seq, stamp) of data and the texts of answers. `lossless` is whether its outbox, of `limit`
    messages and as many chunks, never had to hold more than that.
    """

    limit: int
    named: dict[str, set[str]] = attrs.Factory(lambda: {"quotes": set(), "trades": set()})
    everything: set[str] = attrs.Factory(set)
    excluded: dict[str, set[str]] = attrs.Factory(lambda: {"quotes": set(), "trades": set()})
    owed: list[Any] = attrs.Factory(list)
    waiting: int = 0
    lossless: bool = True

    def wants(self, topic: Topic) -> bool:
        channel, symbol = topic
        return symbol in self.named[channel] or (channel in self.everything and symbol not in self.excluded[channel])

    def subscribe(self, channel: str, symbols: Iterable[str]) -> None:
        self.named[channel] |= set(symbols)
        self.excluded[channel] -= set(symbols)

    def unsubscribe(self, channel: str, symbols: Iterable[str]) -> None:
        self.named[channel] -= set(symbols)
        self.excluded[channel] |= set(symbols)

    def subscribe_all(self, channel: str) -> None:
        self.everything.add(channel)
        self.excluded[channel] = set()

    def unsubscribe_all(self, channel: str, keep: Iterable[str]) -> None:
        self.named[channel] = {symbol for symbol in keep if self.wants((channel, symbol))}
        self.everything.discard(channel)
        self.excluded[channel] = set()

    def owe(self, items: list[Any]) -> None:
        """One chunk more."""
        if items:
            self.owed += items
            self.waiting += len(items)
            self.lossless &= self.waiting <= self.limit


@attrs.define
class BrokerModel:
    """Positions, and who is owed what."""

    clients: list[ClientModel]
    seqs: dict[Topic, int] = attrs.Factory(dict)

    def publish(self, messages: list[tuple[Topic, int]]) -> None:
        """One pass: (topic, stamp) of each message."""
        numbered = []
        for topic, stamp in messages:
            self.seqs[topic] = self.seqs.get(topic, 0) + 1
            numbered.append((topic, self.seqs[topic], stamp))
        for client in self.clients:
            client.owe([item for item in numbered if client.wants(item[0])])


def check(owed: list[Any], taken: list[Any], *, complete: bool) -> None:
    """Compare what a client took, gaps expanded, with what it is owed.

    `taken`: (topic, seq, stamp) of data, texts of answers, (topic, first, last) as a `Gap`. Between two answers every
    topic's messages must be there in order, once, each either itself or in a gap; what came itself came in the order
    it was published. Unless `complete`, the rest may still be on its way (or have been cut off).
    """
    numbers = _by_answers(owed)
    found = _by_answers(taken)
    if complete:
        assert len(found) == len(numbers)
    assert len(found) <= len(numbers)
    for index, ((answer, part), (expected_answer, expected)) in enumerate(zip(found, numbers, strict=False)):
        assert answer == expected_answer
        last = index == len(found) - 1 and not complete
        _check_part(part, expected, last=last)


def _check_part(part: list[Any], expected: list[Any], *, last: bool) -> None:
    came = [item for item in part if not isinstance(item, Gap)]
    places = {item: place for place, item in enumerate(expected)}
    order = [places[item] for item in came]  # a KeyError: it came, but was not owed
    assert order == sorted(set(order)), "out of order, or twice"
    by_topic: dict[Topic, list[int]] = {}
    for item in part:
        seqs = range(item.first, item.last + 1) if isinstance(item, Gap) else [item[1]]
        by_topic.setdefault(item[0] if not isinstance(item, Gap) else item.topic, []).extend(seqs)
    owed: dict[Topic, list[int]] = {}
    for topic, seq, _ in expected:
        owed.setdefault(topic, []).append(seq)
    if last:
        for topic, seqs in by_topic.items():
            assert seqs == owed[topic][: len(seqs)]
        # Nothing was overtaken: whatever was owed before the last that came has come too, or is in a gap.
        before = expected[: order[-1]] if order else []
        assert all(seq <= by_topic.get(topic, [0])[-1] for topic, seq, _ in before)
    else:
        assert by_topic == owed


@attrs.frozen
class Gap:
    """Messages that were dropped."""

    topic: Topic
    first: int
    last: int


def _by_answers(items: list[Any]) -> list[tuple[str, list[Any]]]:
    """Cut at the answers: (the answer before, what follows it)."""
    parts: list[tuple[str, list[Any]]] = [("", [])]
    for item in items:
        if isinstance(item, str):
            parts.append((item, []))
        else:
            parts[-1][1].append(item)
    return parts
