"""The judge of a subscription: whether what came, in the order in which it came, is what a numbered source published.

It believes nothing that the client says of itself: numbers come from the events' own content, and the total from the
source's log. A `Gap` counts only where it stands in its place and covers just the events that are missing there; one of
unknown size only where the source's life, and so the epoch, has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import attrs

from datafye_trio.model import Channel, FeedItem, Gap, Live, Quote, Trade
from datafye_trio.testing.numbering import Topic, number_of, numbered

__all__ = ["Flaw", "Oracle", "Verdict"]

_TOLD: Final = 20
"""Flaws that an account spells out; the others are counted."""


class Flaw(StrEnum):
    """What can be wrong. `WRONG_GAP` is counted in gaps, the others in events."""

    LOST = "lost"
    """Never came, and no gap says so."""
    REPEATED = "repeated"
    DISORDERED = "out of order"
    """Came after one that was published later."""
    DAMAGED = "damaged"
    """Is not what was published under its number, or under no number at all."""
    WRONG_GAP = "wrong gap"
    """Covers an event that came, not one beside it that did not, or says without cause that the epoch changed."""


@attrs.frozen
class Verdict:
    """What an oracle found.

    Attributes:
        received: sound events, each counted once.
        gaps: gaps of known size; `covered` are the events in them.
        restarts: gaps of unknown size.
        flaws: how many of each.
        account: the first flaws, a sentence each.
    """

    received: int
    gaps: int
    covered: int
    restarts: int
    flaws: Mapping[Flaw, int]
    account: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing at all is wrong."""
        return not any(self.flaws.values())

    @classmethod
    def sum(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """One verdict on several subscriptions."""
        all_of = list(verdicts)
        flaws: Counter[Flaw] = Counter()
        for verdict in all_of:
            flaws.update(verdict.flaws)
        counts = ((one.received, one.gaps, one.covered, one.restarts) for one in all_of)
        received, gaps, covered, restarts = map(sum, zip(*counts, strict=True)) if all_of else (0, 0, 0, 0)
        account = tuple(line for one in all_of for line in one.account)[:_TOLD]
        return cls(received, gaps, covered, restarts, flaws, account)

    def __str__(self) -> str:
        found = f"{self.received:,} received, {self.gaps:,} gaps over {self.covered:,} messages"
        found += f", {self.restarts:,} changes of epoch; "
        found += ", ".join(f"{self.flaws.get(flaw, 0):,} {flaw}" for flaw in Flaw)
        return "\n  ".join((found, *self.account))


@attrs.define(eq=False)
class _State:
    """Where a topic stands."""

    next: int | None
    """The number that must come now; None: any will do."""
    life: int | None
    fresh: bool
    """Whether a new life must begin with the next event."""
    holes: list[range] = attrs.Factory(list)
    covered: list[range] = attrs.Factory(list)
    after_gap: bool = False

    def begin(self, life: int) -> None:
        self.life, self.fresh = life, False
        self.holes.clear()
        self.covered.clear()


class Oracle:
    """Judges one subscription: give it each item as it comes, and ask at the end.

    Args:
        name: who is judged, for the account.
        positions: the number of the last event before the subscription began, for each topic; 0 for one that is not
            named. None: a topic begins with what comes first.
        life: the source's life in which the subscription began.
    """

    def __init__(self, name: str = "client", positions: Mapping[Topic, int] | None = None, *, life: int = 0) -> None:
        self._name = name
        self._life = life
        self._positions = positions if positions is not None else {}
        self._anywhere = positions is None
        self._topics: dict[Topic, _State] = {}
        self._flaws: Counter[Flaw] = Counter()
        self._account: list[str] = []
        self.received = self.gaps = self.covered = self.restarts = 0

    def take(self, item: FeedItem) -> None:
        """The next item, in the order in which the program got it."""
        if isinstance(item, Trade | Quote):
            self._event(item)
        elif isinstance(item, Gap):
            self._gap((item.topic.channel, item.topic.symbol), item)
        elif not isinstance(item, Live):
            self._flaw(Flaw.DAMAGED, f"{item!r} was never published")

    def reached(self, published: Mapping[Topic, int]) -> bool:
        """Whether each topic has come, or was told lost, as far as it was published."""
        return all((state := self._state(topic)).next is not None and state.next > n for topic, n in published.items())

    def verdict(self, published: Mapping[Topic, int], *, life: int = 0) -> Verdict:
        """The verdict, once everything should have come; ask once.

        Args:
            published: the source's log, for the topics of this subscription.
            life: the source's last life, whose log it is.
        """
        for topic, count in published.items():
            self._end(topic, self._state(topic), count, life)
        return Verdict(self.received, self.gaps, self.covered, self.restarts, self._flaws, tuple(self._account))

    def _state(self, topic: Topic) -> _State:
        state = self._topics.get(topic)
        if state is None:
            first = None if self._anywhere else self._positions.get(topic, 0) + 1
            state = self._topics[topic] = _State(first, None if self._anywhere else self._life, fresh=self._anywhere)
        return state

    def _event(self, event: Trade | Quote) -> None:
        channel = Channel.TRADES if isinstance(event, Trade) else Channel.QUOTES
        topic = channel, event.symbol
        life, number = number_of(event)
        if number < 1 or event != numbered(*topic, number, life):
            return self._flaw(Flaw.DAMAGED, f"{event!r} was never published")
        state = self._state(topic)
        if state.fresh or life != state.life:
            self._begin(topic, state, life, number)
        if state.next is not None and number < state.next:
            return self._late(topic, state, number)
        if state.next is not None and number > state.next:
            self._lost(topic, state, number)
        state.next = number + 1
        state.after_gap = False
        self.received += 1
        return None

    def _begin(self, topic: Topic, state: _State, life: int, number: int) -> None:
        """A new life begins, or should."""
        if not state.fresh:
            self._flaw(Flaw.LOST, f"{_name(topic)}: the epoch changed before {number}, and no gap says so")
            state.next = None
        elif life == state.life:
            self._flaw(Flaw.WRONG_GAP, f"{_name(topic)}: the epoch did not change before {number}, as a gap says")
        state.begin(life)

    def _late(self, topic: Topic, state: _State, number: int) -> None:
        for hole in state.holes:
            if number in hole:  # so it was not lost
                state.holes.remove(hole)
                state.holes += [range(hole.start, number), range(number + 1, hole.stop)]
                self._flaws[Flaw.LOST] -= 1
                self.received += 1
                return self._flaw(Flaw.DISORDERED, f"{_name(topic)}: {number} came after {_before(state)}")
        for gap in state.covered:
            if number in gap:
                text = f"{_name(topic)}: the gap {gap.start} to {gap.stop - 1} covers {number}, which came"
                return self._flaw(Flaw.WRONG_GAP, text)
        return self._flaw(Flaw.REPEATED, f"{_name(topic)}: {number} came again, after {_before(state)}")

    def _lost(self, topic: Topic, state: _State, until: int) -> None:
        """Those before `until` are missing."""
        first = state.next or 1
        state.holes.append(range(first, until))
        beside = "; the gap before it ends too early" if state.after_gap else ""
        self._flaw(Flaw.LOST, f"{_name(topic)}: {first} to {until - 1} never came{beside}", until - first)
        if state.after_gap:
            self._flaws[Flaw.WRONG_GAP] += 1

    def _gap(self, topic: Topic, gap: Gap) -> None:
        state = self._state(topic)
        if gap.first is None or gap.last is None:
            self.restarts += 1
            state.next, state.fresh, state.after_gap = None, True, False
            return None
        self.gaps += 1
        if gap.last < gap.first:
            return self._flaw(Flaw.WRONG_GAP, f"{gap}: it ends before it begins")
        if state.next is not None and gap.first > state.next:
            self._lost(topic, state, gap.first)
        elif state.next is not None and gap.first < state.next:
            self._flaw(Flaw.WRONG_GAP, f"{gap}: {state.next - 1} was already there")
        begins = gap.first if state.next is None else max(gap.first, state.next)
        self.covered += max(0, gap.last + 1 - begins)
        state.covered.append(range(gap.first, gap.last + 1))
        state.next = max(begins, gap.last + 1)
        state.after_gap = True
        return None

    def _end(self, topic: Topic, state: _State, count: int, life: int) -> None:
        if state.fresh:
            if life == state.life:
                self._flaw(Flaw.WRONG_GAP, f"{_name(topic)}: the epoch did not change, as the last gap says")
        elif life != state.life:
            self._flaw(Flaw.LOST, f"{_name(topic)}: nothing came of the last epoch, nor a gap", max(count, 1))
        elif state.next is not None and state.next <= count:
            self._lost(topic, state, count + 1)
        elif state.next is not None and state.next > count + 1:
            kind = Flaw.WRONG_GAP if state.after_gap else Flaw.DAMAGED
            self._flaw(kind, f"{_name(topic)}: {state.next - 1} was never published, {count} was the last")

    def _flaw(self, flaw: Flaw, text: str, count: int = 1) -> None:
        self._flaws[flaw] += count
        if len(self._account) < _TOLD:
            self._account.append(f"{self._name}: {flaw}: {text}")


def _name(topic: Topic) -> str:
    return f"{topic[0]} of {topic[1]}"


def _before(state: _State) -> str:
    return str((state.next or 1) - 1)
