"""What a test expects of a client, said beforehand: met, missing or out of order, in words that show what came instead.

A subscription counts when the server has accepted it, not when it was asked for: what its answers say is in normal
form, whatever spelling the client has. Several requests of one connection add up. An expectation is met for good, also
if what met it is undone later.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, Protocol, Self

import trio

from datafye_trio.errors import ConfigurationError, DatafyeError, ServerClosedError
from datafye_trio.model import Event
from datafye_trio.testing.facts import Fact, Facts, Topic, Wanted, full_path
from datafye_trio.testing.failures import Failure
from datafye_trio.testing.log import Entry, Log

__all__ = ["Actor", "Expectation", "ExpectationError", "Expectations"]

_SHOWN: Final = 12
"""Lines of what came instead."""


class ExpectationError(AssertionError, DatafyeError):
    """What a test expected did not happen; the text shows what was expected against what was seen."""


class Actor(Protocol):
    """Who does what is to follow on an expectation: the test server."""

    async def publish(self, events: Event | Sequence[Event], dataset: str | None = None) -> None:
        """Publish events."""

    def close_connection(self, code: int, connection: int) -> None:
        """Close a connection with a code."""

    def drop_connection(self, connection: int) -> None:
        """Cut a connection."""


class Expectation:
    """One thing that is expected; made by the `expect_...` calls of a test server.

    Attributes:
        text: what it is, for people.
        topic: what it is about.
        times: how often it has happened.
    """

    def __init__(self, book: Expectations, topic: Topic, text: str, matches: Callable[[Fact], bool]) -> None:
        self.topic: Topic = topic
        self.text = text
        self.times = 0
        self.matches = matches
        self.then: list[Callable[[int], Any]] = []
        self._book = book

    @property
    def met(self) -> bool:
        """Whether it has happened, and in its place if it has one."""
        return self.times > 0

    async def wait(self, timeout: float = 5.0) -> None:
        """Wait until it is met. Cancel-safe.

        Raises:
            ExpectationError: not within `timeout` seconds, or out of order.
        """
        await self._book.wait_for([self], timeout)

    def then_publish(self, *events: Event, dataset: str | None = None) -> Self:
        """Publish events each time that it happens."""

        async def publish(_: int) -> None:
            await self._book.actor.publish(events, dataset)

        self.then.append(publish)
        return self

    def then_close(self, code: int) -> Self:
        """Close the connection with a code each time that it happens."""
        self.then.append(lambda connection: self._book.actor.close_connection(code, connection))
        return self

    def then_drop(self) -> Self:
        """Cut the connection each time that it happens, without a word."""
        self.then.append(self._book.actor.drop_connection)
        return self


class Expectations:
    """All expectations of one server, and what was seen of clients. Tell it of each entry of the log by `hear`.

    Args:
        log: what failures show the end of.
        actor: does what is to follow.
        nursery: for what follows.
    """

    def __init__(self, log: Log, actor: Actor, nursery: trio.Nursery) -> None:
        self.actor = actor
        self.failures: list[Failure] = []
        """What was to follow, and could not be done."""
        self._log = log
        self._nursery = nursery
        self._groups: list[list[Expectation]] = []
        self._open: list[Expectation] | None = None
        """The group that is made now, in order."""
        self._seen: dict[Topic, deque[Fact]] = defaultdict(lambda: deque(maxlen=_SHOWN))
        self._counts: Counter[Topic] = Counter()
        self._due: deque[tuple[Expectation, int]] = deque()
        """What is to follow, and on which connection: no more than clients may ask for, which the server limits."""
        self._violations: dict[Expectation, str] = {}
        self._facts = Facts()
        self._changed = trio.lowlevel.ParkingLot()

    # What is expected.

    def connect(self, path: str | None = None) -> Expectation:
        """A handshake that succeeds, on a path below the base path; None: on any."""
        wanted = None if path is None else full_path(path)
        text = "a connection" if wanted is None else f"a connection to {wanted}"
        return self._add("connect", text, lambda fact: wanted in (None, full_path(fact.path)))

    def subscribe(
        self,
        topic: Literal["subscribe", "unsubscribe"],
        channel: str,
        symbols: str | Sequence[str],
        *,
        frequency: str | None = None,
        dataset: str | None = None,
    ) -> Expectation:
        """A subscription, or the end of one, that the server accepts: to at least these symbols; `*` covers all.

        Raises:
            ConfigurationError: a channel, a frequency or a symbol that cannot be.
        """
        wanted = Wanted(channel, symbols, frequency, dataset)
        article = "a subscription to" if topic == "subscribe" else "the end of a subscription to"
        return self._add(topic, f"{article} {wanted}", wanted.matches)

    def pong(self) -> Expectation:
        """A pong message, which answers a heartbeat."""
        return self._add("pong", "an answer to a heartbeat", lambda _: True)

    def close(self, code: int | None = None) -> Expectation:
        """The end of a connection, whoever closes it first, with a code; 1006: without a word; None: any."""
        text = "the end of a connection" if code is None else f"the end of a connection with {code}"
        return self._add("close", text, lambda fact: code in (None, fact.code))

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """What is expected inside has to happen in this order.

        Raises:
            ConfigurationError: inside another one.
        """
        if self._open is not None:
            raise ConfigurationError("in_order() inside in_order(): one order is enough")
        self._open = []
        self._groups.append(self._open)
        try:
            yield
        finally:
            self._open = None

    # What comes.

    def hear(self, entry: Entry) -> None:
        """An entry of the log."""
        for fact in self._facts.of(entry):
            self._seen[fact.topic].append(fact)
            self._counts[fact.topic] += 1
            for group in self._groups:
                self._match(group, fact)
            self._changed.unpark_all()

    async def wait_for(self, wanted: Sequence[Expectation] | None = None, timeout: float = 5.0) -> None:
        """Wait until these are met, by default all. Cancel-safe.

        Raises:
            ExpectationError: not within `timeout` seconds, or something was out of order.
        """
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(timeout):
            while not self._violations and not all(one.met for one in wanted or self.all()):
                await self._changed.park()
        self.check(wanted, within=timeout)

    def check(self, wanted: Sequence[Expectation] | None = None, *, within: float | None = None) -> None:
        """Raise unless these are met, by default all.

        Raises:
            ExpectationError: one is not, or something was out of order.
        """
        lines = list(self._violations.values())
        missing = [one for one in wanted or self.all() if not one.met and one not in self._violations]
        limit = "" if within is None else f" within {within:g} s"
        lines += [f"expected {one.text}{limit}, which did not come" for one in missing]
        if lines:
            raise self.failure(lines, {one.topic for one in missing})

    def failure(self, lines: Sequence[str], topics: Iterable[Topic]) -> ExpectationError:
        """The error that says this, what was seen of these kinds, and the end of the log."""
        return ExpectationError("\n".join([*lines, *self._instead(topics)]))

    def all(self) -> list[Expectation]:
        """All that is expected."""
        return [one for group in self._groups for one in group]

    def _add(self, topic: Topic, text: str, matches: Callable[[Fact], bool]) -> Expectation:
        made = Expectation(self, topic, text, matches)
        if self._open is None:
            self._groups.append([made])
        else:
            self._open.append(made)
        return made

    def _match(self, group: list[Expectation], fact: Fact) -> None:
        # All are asked, for they add up what they are told.
        found = [one for one in group if one.topic == fact.topic and not fact.refusal and one.matches(fact)]
        due = next((one for one in group if not one.met), None)
        early = next((one for one in found if not one.met and one is not due), None)
        if due is not None and due in found:
            self._happened(due, fact)  # and no other: two that are alike want it twice
        elif due is not None and early is not None:
            self._violations.setdefault(early, f"out of order: {early.text} came ({fact}) before {due.text}")
        else:
            for one in found:
                self._happened(one, fact)

    def _happened(self, one: Expectation, fact: Fact) -> None:
        one.times += 1
        if one.then:
            self._due.append((one, fact.connection))
            if len(self._due) == 1:  # one task at a time, so that what follows does so in order
                self._nursery.start_soon(self._follow_all)

    async def _follow_all(self) -> None:
        while self._due:
            await self._follow(*self._due[0])
            self._due.popleft()

    async def _follow(self, one: Expectation, connection: int) -> None:
        try:
            for do in tuple(one.then):
                result = do(connection)
                if result is not None:
                    await result
        except ServerClosedError:  # in an outage nobody is there to take it
            pass
        except Exception as error:  # noqa: BLE001 -- it has a task to itself; the end of the test tells
            self.failures.append(Failure(f"what was to follow on {one.text} failed", error))

    def _instead(self, topics: Iterable[Topic]) -> Iterator[str]:
        for topic in sorted(topics):
            seen, count = self._seen[topic], self._counts[topic]
            which = f", the last {len(seen)} of {count}" if count > len(seen) else ""
            yield f"seen of that kind ({topic}){which}:" if seen else f"nothing of that kind was seen ({topic})"
            yield from (f"  {fact}" for fact in seen)
        yield "the end of the log:"
        yield self._log.tail()
