"""What each client of the load client must receive, and the audit of a warm-up: every frame against that, in full."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from benchmark.load_clients import DIALECTS, Client, Job, LoadError
from benchmark.payload import is_trade, message, symbol_of

__all__ = ["MARK", "Audit", "Expected"]

MARK: Final = 0x7E
"""The length byte of a frame of 126 to 65,535 bytes of payload: in each message's head, and nowhere else in it. Pings
and heartbeats are shorter, so whoever counts this byte counts messages."""
_SLACK: Final = 60_000_000_000
"""A stamp may be at most so many nanoseconds old."""

_NO_DATA: Final = (b'{"type":"heartbeat"', b'{"type":"subscribed"')

Topic: TypeAlias = tuple[str, str]


class Expected:
    """The messages that an order publishes, by topic: their numbers, and how many came before in earlier orders."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.before: Counter[Topic] = Counter()
        self.numbers: dict[Topic, list[int]] = {}
        self._next = 0

    def order(self, count: int) -> None:
        """The next order publishes so many."""
        self.before.update({topic: len(numbers) for topic, numbers in self.numbers.items()})
        first, self._next = self._next, self._next + count
        if self._job.symbols == 1:
            self.numbers = {("quote", symbol_of(0, 1)): list(range(first, self._next))}
            return
        self.numbers = {}
        for number in range(first, self._next):
            topic = ("trade" if is_trade(number, self._job.symbols) else "quote"), symbol_of(number, self._job.symbols)
            self.numbers.setdefault(topic, []).append(number)

    def topics(self, client: int) -> Mapping[Topic, Sequence[int]]:
        """The numbers that this client must receive, by topic."""
        if not self._job.basket:
            return self.numbers
        wanted = set(self._job.wants(client))
        return {topic: numbers for topic, numbers in self.numbers.items() if topic[1] in wanted}

    def sequences(self, topic: Topic, place: int) -> tuple[int, int]:
        """The `seq` of the message at this place of a topic, from 0, or from the end: of a peer, and of ours."""
        place %= len(self.numbers[topic])
        return self.numbers[topic][place] + 1, self.before[topic] + place + 1


class Audit:
    """One client's warm-up, message by message: its topics, their order, every field, the framing, no byte over."""

    def __init__(self, client: Client, job: Job, expected: Expected) -> None:
        self._client = client
        self._job = job
        self._expected = expected
        self._topics = expected.topics(client.number)
        self._places: Counter[Topic] = Counter()
        self._content = DIALECTS[job.dialect].content

    def feed(self, data: bytes) -> int:
        """Check what this completes; returns how many messages of the order that were.

        Raises:
            LoadError: anything is not as it must be.
        """
        found = 0
        for opcode, payload in self._client.frames.feed(data):
            if opcode not in (1, 2) or payload.startswith(_NO_DATA):
                continue
            self._check(payload)
            found += 1
        return found

    def _check(self, payload: bytes) -> None:
        head = b"\x81" + bytes([MARK]) + len(payload).to_bytes(2)
        if not 126 <= len(payload) < 65_536 or (head + payload).count(MARK) != 1 or not payload.endswith(b"}"):
            raise self._error("cannot be counted by its head", payload)
        try:
            fields: dict[str, Any] = msgspec.json.decode(self._content(payload))
            topic = fields["type"], fields["symbol"]
            stamp = fields["exchangeTimestamp"]
            numbers = self._topics[topic]
        except (ValueError, KeyError, TypeError):
            raise self._error("is not what it asked for", payload) from None
        place = self._places[topic]
        self._places[topic] += 1
        if place >= len(numbers):
            raise self._error("is one too many", payload)
        sound = message(numbers[place], stamp, self._job.symbols)
        if fields | {"seq": sound["seq"]} != sound or list(fields) != list(sound):
            raise self._error(f"should be {sound}", payload)
        if fields["seq"] not in self._expected.sequences(topic, place):
            raise self._error(f"should have a seq of {self._expected.sequences(topic, place)}", payload)
        if not 0 <= time.time_ns() - stamp < _SLACK:
            raise self._error("has a stamp that cannot be", payload)

    def _error(self, what: str, payload: bytes) -> LoadError:
        return LoadError(f"a message to client {self._client.number} {what}: {payload[:400].decode(errors='replace')}")
