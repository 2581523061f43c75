"""What one client of a load has received: counted, every `seq` checked, latencies sampled. No I/O, all sync."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from datafye_trio.cli.bench_latency import Latencies
from datafye_trio.cli.bench_topics import Topics
from datafye_trio.errors import RequestError
from datafye_trio.model import Channel, Halt, Resume
from datafye_trio.protocol import (
    NS_PER_UNIT,
    Connected,
    Data,
    ErrorCode,
    ErrorReply,
    Gap,
    Heartbeat,
    Subscribed,
    decode_message,
)  # fmt: skip

__all__ = ["BenchIntake", "GaveUpError", "Gauge", "Totals", "text_of"]

_ADOPT: Final = -1
"""The next message of a topic tells where its numbers stand."""
_SAMPLES: Final = 8
_MOST: Final = 2**62
_HALTED: Final = (Channel.QUOTES, Channel.TRADES)


class GaveUpError(Exception):
    """This end has had enough of the server; the text says why."""


@attrs.define(eq=False)
class Gauge:
    """What all clients of a load measure with. `latencies` is replaced when it is time to measure."""

    wall_clock: Callable[[], int]
    topics: Topics
    latencies: Latencies = attrs.Factory(Latencies)


@attrs.define
class Totals:
    """What was received.

    Attributes:
        messages: live data.
        bytes: of payloads, answers and heartbeats among them.
        missing: messages that are known to be lost, in `gaps` places; `told` of these were told by the server.
        repeated: messages whose number was not above the last one.
        unwanted: of topics that were not subscribed to.
        unreadable: what could not be understood.
        lag: the most messages that waited at the server, as its heartbeats say.
    """

    messages: int = 0
    bytes: int = 0
    missing: int = 0
    gaps: int = 0
    told: int = 0
    repeated: int = 0
    unwanted: int = 0
    unreadable: int = 0
    lag: int = 0


class BenchIntake:
    """See the module.

    Attributes:
        totals: what has come.
        beats: whether a heartbeat is to be answered; who answers it takes it back.
        pending: the ids of requests that were not answered; accepted: the topics that were, `*` as one.
        refused: what the server does not give of what was asked, in its words.
    """

    def __init__(self, gauge: Gauge, *, star: bool) -> None:
        self.totals = Totals()
        self.beats = False
        self.pending: set[str | int] = set()
        self.accepted = 0
        self.refused: str | None = None
        self._gauge = gauge
        self._star = star
        self._unit = 1
        self._due = array("q", [0])
        """The next `seq` by the number of the topic; 0: not subscribed to, or a symbol that is new."""

    def begin(self, greeting: Connected) -> None:
        """A connection has begun."""
        self._unit = {str(unit): factor for unit, factor in NS_PER_UNIT.items()}.get(greeting.timestamp_unit, 1)

    def take(self, payloads: Sequence[bytes | str]) -> None:
        """Take what has come.

        Raises:
            GaveUpError: it is no JSON.
        """
        now = self._gauge.wall_clock()
        topics, due, others = self._gauge.topics, self._due, 0
        look = topics.look
        for payload, found in zip(payloads, map(topics.find, payloads), strict=True):
            if found is None and (found := look(payload)) is None:
                others += 1
                self._other(text_of(payload))
                continue
            number, seq, _ = found
            try:
                if due[number] == seq:
                    due[number] = seq + 1
                    continue
            except IndexError:
                pass  # a topic that another client has met first
            self._odd(number, seq)
        self.totals.messages += len(payloads) - others
        self.totals.bytes += sum(map(len, payloads))
        if others < len(payloads):
            self._sample(payloads, now)

    def _sample(self, payloads: Sequence[bytes | str], now: int) -> None:
        """The latencies of 8 to 15 messages of a read, the first among them, each for all up to the next one."""
        step = max(1, len(payloads) // _SAMPLES)
        latencies, look = self._gauge.latencies, self._gauge.topics.look
        for payload in payloads[::step]:
            if (found := look(payload)) is not None and found[2]:
                latencies.add(now, found[2] * self._unit, step)

    def _odd(self, number: int, seq: int) -> None:
        """A message that is not the next one of its topic, or the first one of it."""
        due = self._expected(number)
        if due == _ADOPT:
            self._due[number] = seq + 1
            return
        if not due and not self._star:
            self.totals.unwanted += 1
            return
        due = due or 1  # a symbol that is new
        if seq < due:
            self.totals.repeated += 1
            return
        if seq > due:
            self.totals.gaps += 1
            self.totals.missing += seq - due
        self._due[number] = seq + 1

    def _expected(self, number: int) -> int:
        if (more := number + 1 - len(self._due)) > 0:
            self._due.extend([0] * more)
        return self._due[number]

    def _expect(self, number: int, seq: int) -> None:
        self._expected(number)
        if number:
            self._due[number] = seq

    def _other(self, text: str) -> None:
        try:
            message = decode_message(text)
        except RequestError as error:
            if error.code == ErrorCode.MALFORMED_JSON:
                raise GaveUpError(f"the server sends no sound JSON: {error.message}") from None
            self.totals.unreadable += 1
            return
        match message:
            case Heartbeat():
                self.beats = True
                self.totals.lag = max(self.totals.lag, message.lag)
            case Subscribed():
                self._subscribed(message)
            case ErrorReply():
                self.refused = f"{message.code}: {message.message}"
                self._answered(message.id)
            case Gap():
                self._lost(message)
            case Data(snapshot=True):
                pass
            case Data(event=Halt() | Resume(), channel=None, seq=int(seq)):
                self._halted(message.dataset, message.event.symbol, seq)
            case Data():
                self.totals.unreadable += 1
            case _:
                pass

    def _subscribed(self, message: Subscribed) -> None:
        self.accepted += len(message.symbols)
        number = self._gauge.topics.number
        of_topic = message.frequency, message.running
        for channel in message.channels:
            places = None if message.positions is None else message.positions.get(channel, {})
            if places is None:
                for symbol in message.symbols:
                    self._expect(number(channel, message.dataset, symbol, *of_topic), _ADOPT)
            else:
                for symbol, seq in places.items():
                    if 0 <= seq < _MOST:
                        self._expect(number(channel, message.dataset, symbol, *of_topic), seq + 1)
        self._answered(message.id)

    def _lost(self, message: Gap) -> None:
        topic = self._gauge.topics.number(
            message.channel, message.dataset, message.symbol, message.frequency, message.running
        )
        self.totals.gaps += 1
        self.totals.told += 1
        first, last = message.from_, message.to
        if first is None or last is None or not 1 <= first <= last < _MOST:
            self._expect(topic, _ADOPT)
            return
        due = self._expected(topic)
        self.totals.missing += max(0, last + 1 - (due if due > 0 else first))
        self._expect(topic, max(due, last + 1))

    def _halted(self, dataset: str, symbol: str, seq: int) -> None:
        """A halt of a server that does not say on which channel: it is the next of one of them, or nobody can tell."""
        self.totals.messages += 1
        for channel in _HALTED:
            number = self._gauge.topics.number(channel, dataset, symbol)
            if self._expected(number) == seq:
                self._expect(number, seq + 1)
                return

    def _answered(self, number: str | int | None) -> None:
        if number is not None:
            self.pending.discard(number)


def text_of(payload: bytes | str) -> str:
    """A payload as text, whatever it is."""
    return payload if isinstance(payload, str) else payload.decode("utf-8", "replace")
