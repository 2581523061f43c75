"""Events that have a position already: what a source that relays them tells the broker, and what it is asked.

Such events were numbered elsewhere, and keep epoch and `seq`. So a topic may begin at any number, its past is still to
be had where it came from, and somebody who subscribes has to wait until that place has said where the topic stands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import attrs

from datafye_trio.errors import RequestError
from datafye_trio.model import Channel, Event, Frequency, Gap, TopicKey

__all__ = ["Positioned", "Positions", "Relaying", "Want"]


class Positioned(NamedTuple):
    """One item of a topic: an event with its `seq`; with 0, the newest event once more (a snapshot); or a gap."""

    topic: TopicKey
    epoch: str
    seq: int
    item: Event | Gap


class Positions(Protocol):
    """A dataset's topics as their source numbers them. All sync: in effect when a call returns."""

    @property
    def epoch(self) -> str:
        """The life of the numbering now."""

    def place(self, topic: TopicKey, epoch: str, seq: int) -> None:
        """A topic stands at `seq`: the next event has the one after it. Its subscribers are told what they lack."""

    def relay(self, items: Sequence[Positioned]) -> None:
        """Hand out events and gaps, in order. A number that is left out becomes an exact gap."""

    def prepend(self, topic: TopicKey, first: int, events: Sequence[Event]) -> None:
        """Keep older events, of which `first` is the `seq` of the first, for those who resume.

        They must reach up to what is kept already; what is beyond that is left out.
        """

    def lacks(self, topic: TopicKey, after: int) -> bool:
        """Whether events after a `seq` are there no more, or were never there."""

    def wants_all(self, channel: Channel, frequency: Frequency | None, running: bool) -> bool:
        """Whether somebody is subscribed to every symbol."""

    def wanted(self, channel: Channel, frequency: Frequency | None, running: bool) -> Collection[str]:
        """The symbols that somebody receives."""

    def forget(self, topic: TopicKey) -> None:
        """Drop a topic that nobody is subscribed to: its events come no longer."""

    def withdraw(
        self, channel: Channel, frequency: Frequency | None, running: bool, symbols: Collection[str], why: RequestError
    ) -> None:
        """Drop topics that come no longer: nobody is subscribed to them any more, and who was is told why.

        `*` among the symbols ends the subscriptions to every symbol.
        """


@attrs.frozen
class Want:
    """What somebody wants to subscribe to: symbols of one channel, None for every symbol.

    `after` is the last `seq` that he has of each, in the numbering of `epoch`, where he resumes.
    """

    channel: Channel
    frequency: Frequency | None
    running: bool
    symbols: tuple[str, ...] | None
    epoch: str | None = None
    after: Mapping[str, int] = attrs.Factory(dict)


@runtime_checkable
class Relaying(Protocol):
    """A source whose topics are somewhere else, and come only when they are asked for."""

    @property
    def epoch(self) -> str:
        """The life of the numbering at the beginning."""

    @property
    def upstream(self) -> Mapping[str, object]:
        """Where the events come from, and how that fares, for `/health`."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection to where the events come from."""

    def admitted(self, want: Want) -> bool:
        """Whether all of it is there, and can be subscribed to in this very step."""

    async def admit(self, want: Want, deadline: float) -> Sequence[RequestError]:
        """Ask for it, and wait until it is there. Returns what is refused, or was not to be had in time.

        Args:
            want: what is wanted.
            deadline: the trio time to give up at.
        """
