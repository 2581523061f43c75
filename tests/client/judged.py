"""Subscriptions over a simulated server, and their judge: each message once, in order, or an exact gap."""

from __future__ import annotations

from typing import Any

import attrs
from client.simulated import Key, Server

from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import Book
from datafye_trio.client.buffers import Policy, make_buffer
from datafye_trio.client.decoding import RawIntake, TypedIntake
from datafye_trio.client.line import Line
from datafye_trio.client.sink import Sink
from datafye_trio.client.talk import Talk
from datafye_trio.errors import BufferOverflowError
from datafye_trio.model import AssetClass, Channel, Gap, Quote, TopicKey

STOCKS = AssetClass.STOCKS


@attrs.define
class Place:
    """Where a subscription stands in a topic: None where it may go on anywhere."""

    epoch: int
    seq: int | None


class Reader:
    """A subscription without its waiting."""

    def __init__(self, game: Game, channel: str, policy: Policy, capacity: int, *, snapshots: bool) -> None:
        self.game, self.channel, self.policy = game, channel, policy
        self.buffer = make_buffer(policy, capacity)
        self.sink = Sink(self.buffer, snapshots=snapshots, partial=True, on_full=self._full, on_change=lambda: None)
        self.sink.entered = True
        self.wanted: set[str] = set()
        self.unwanted: set[str] = set()
        self.places: dict[Key, Place] = {}
        self.bounds: dict[Key, tuple[int, int]] = {}
        """Of a topic: the epoch and the `seq` after which all is due to it at the latest."""
        self.told = 0

    def _full(self, sink: Sink) -> None:
        if self.policy == "wait":
            self.game.talk.book.pause(sink)
        else:
            self.game.talk.book.detach(sink)
            sink.fail(BufferOverflowError("full"))

    def add(self, *symbols: str) -> None:
        self.game.talk.book.attach(self.sink, [(BoardKey("SIP", Channel(self.channel)), STOCKS)], symbols)
        self.wanted |= set(symbols)
        self.unwanted -= self.unwanted if "*" in symbols else set(symbols)

    def remove(self, symbol: str) -> None:
        """What it has of the topic so far is judged no further: a later begin is a new one."""
        self.take(10_000)
        self.game.talk.book.detach(self.sink, [symbol])
        if symbol == "*":
            self.wanted.clear()
            self.unwanted.clear()
            self.places.clear()
            self.bounds.clear()
            return
        self.wanted.discard(symbol)
        if "*" in self.wanted:
            self.unwanted.add(symbol)
        self.places.pop((self.channel, symbol), None)
        self.bounds.pop((self.channel, symbol), None)

    def leave(self) -> None:
        self.game.talk.book.detach(self.sink)
        self.game.readers.remove(self)

    def take(self, count: int) -> None:
        """As `Subscription.__anext__`."""
        for _ in range(count):
            if not len(self.buffer):
                return
            self._judge(self.buffer.pop())
            if self.sink.paused and self.buffer.drained:
                self.game.talk.book.unpause(self.sink)

    def drain(self) -> list[Any]:
        """All that waits, judged; it does not ask for more."""
        found = [self.buffer.pop() for _ in range(len(self.buffer))]
        for item in found:
            self._judge(item)
        return found

    def note_bounds(self) -> None:
        """What the server has answered is due from here on at the latest."""
        for key, numbers in self.game.server.topics.items():
            if key in self.bounds or key[0] != self.channel or not self.wants(key[1]):
                continue
            board = self.game.talk.book.boards[BoardKey("SIP", Channel(self.channel))]
            if not self.sink.pending & {board, board.topics.get(key[1])}:
                self.bounds[key] = self.game.server.epoch, numbers.head

    def wants(self, symbol: str) -> bool:
        return symbol in self.wanted or ("*" in self.wanted and symbol not in self.unwanted)

    def _judge(self, item: Any) -> None:
        if isinstance(item, Gap):
            self._judge_gap(item)
            return
        key, epoch, seq = identify(item)
        place = self.places.get(key)
        shown = self.sink.snapshots and self.channel == "quotes"
        if place is None:
            if key in self.bounds and self.policy != "latest":
                assert (epoch, seq) <= (self.bounds[key][0], self.bounds[key][1] + 1), (
                    f"{key}: begins too late at {seq}"
                )
        elif not (shown and (epoch, seq) == (place.epoch, place.seq)):
            assert epoch == place.epoch, f"{key}: epoch {place.epoch} to {epoch} without a gap"
            follows = place.seq is None or (seq > place.seq if self.policy == "latest" else seq == place.seq + 1)
            assert follows, f"{key}: {seq} after {place.seq} ({self.policy})"
        self.places[key] = Place(epoch, seq)

    def _judge_gap(self, gap: Gap) -> None:
        key, epoch = (str(gap.topic.channel), gap.topic.symbol), int(gap.epoch[1:])
        place = self.places.get(key)
        if gap.first is None or gap.last is None:
            if self.policy == "wait":
                assert gap.reason == "epoch_changed"
                assert place is None or epoch > place.epoch, f"{key}: epoch {place.epoch} again"
            self.places[key] = Place(epoch, None)
            return
        if place is not None and place.seq is not None:
            assert epoch == place.epoch
            assert gap.first > place.seq if self.policy == "latest" else gap.first == place.seq + 1, f"{gap} at {place}"
        elif place is None and key in self.bounds and self.policy != "latest":
            assert (epoch, gap.first) <= (self.bounds[key][0], self.bounds[key][1] + 1), f"{gap} begins too late"
        if self.policy == "wait":
            assert any(
                told.key == key
                and told.epoch == gap.epoch
                and told.first <= gap.first <= told.floor
                and gap.last <= told.last
                for told in self.game.server.expired
            ), f"{gap}: nobody said so"
        self.places[key] = Place(epoch, gap.last)


class Game:
    """Server, wire and readers. The methods are what may happen, at any time, in any order."""

    def __init__(self, *, raw: bool = False, **limits: int) -> None:
        self.server = Server(limits)
        self.talk = make_talk(raw=raw)
        self.readers: list[Reader] = []

    def connect(self) -> None:
        if not self.server.connected:
            self.server.connect()
            self.talk.begin()

    def cut(self) -> None:
        if self.server.connected:
            self.server.cut()
            self.talk.cut()

    def restart(self) -> None:
        """The server is another one: nothing is left of what it had."""
        self.cut()
        self.server.epoch += 1
        self.server.topics.clear()
        self._forget_unheard()

    def renew(self) -> None:
        """Not while somebody has every symbol of none: there is no topic then by which the server could tell."""
        if self.server.stars <= {channel for channel, _ in self.server.sent}:
            self.server.renew()
            self._forget_unheard()

    def _forget_unheard(self) -> None:
        """Of symbols that `*` has not brought yet, nobody can say that they began anew."""
        for reader in self.readers:
            for key in [
                key
                for key in reader.bounds
                if key not in reader.places and (key[1] not in reader.wanted or "*" in reader.wanted)
            ]:
                del reader.bounds[key]

    def ask(self) -> None:
        if self.server.connected:
            self.server.to_server.extend(self.talk.outgoing())

    def serve(self, count: int) -> None:
        for _ in range(min(count, len(self.server.to_server))):
            self.server.serve()

    def deliver(self, count: int) -> None:
        wire = self.server.to_client
        self.talk.take([wire.popleft() for _ in range(min(count, len(wire)))])
        self.check()

    def try_again(self) -> None:
        self.talk.try_again()

    def open(self, channel: str, symbols: tuple[str, ...], policy: Policy, capacity: int, *, snapshots: bool) -> None:
        if len(self.readers) < 5:
            reader = Reader(self, channel, policy, capacity, snapshots=snapshots)
            self.readers.append(reader)
            reader.add(*symbols)

    def check(self) -> None:
        """What holds at every moment."""
        for reader in list(self.readers):
            if reader.sink.failure is not None:
                self.readers.remove(reader)
            else:
                reader.note_bounds()
        for entry in self.talk.book.ledger().values():
            if entry.last is not None:
                assert entry.last - entry.begin == entry.received + entry.missing, entry

    def settle(self) -> None:
        """Nothing new happens, and everybody reads: all must be answered, and all be told."""
        self.server.busy = False
        self.connect()
        for _ in range(200):
            self.try_again()
            self.ask()
            self.serve(1_000)
            self.deliver(1_000)
            for reader in self.readers:
                reader.take(7)
            idle = not (self.server.to_client or self.server.to_server or self.talk.has_outgoing or self.talk.put_off)
            if idle and not any(len(reader.buffer) for reader in self.readers):
                return
        raise AssertionError("it never comes to rest")

    def finish(self) -> None:
        """Everybody has all there is, and the wire holds what is wanted and no more."""
        self.settle()
        for key in list(self.server.topics):
            self.server.publish(key)  # what was left out before it is noticed now
        self.settle()
        assert self.talk.settled
        assert not self.talk.unanswered
        assert not self.talk.unreadable
        for reader in self.readers:
            assert not reader.sink.paused
            assert not reader.sink.pending
            for key, numbers in self.server.topics.items():
                if key[0] == reader.channel and reader.wants(key[1]):
                    assert reader.places.get(key) == Place(self.server.epoch, numbers.head), (
                        key,
                        reader.policy,
                        reader.places,
                        numbers,
                    )
        self._check_wire()

    def _check_wire(self) -> None:
        stars = {reader.channel for reader in self.readers if "*" in reader.wanted}
        assert self.server.stars == stars
        wanted = {
            key
            for key in self.server.topics
            if any(reader.channel == key[0] and reader.wants(key[1]) for reader in self.readers)
        }
        assert self.server.sent == wanted
        kept = {
            (str(key.channel), topic.key.symbol)
            for key, board in self.talk.book.boards.items()
            for topic in board.topics.values()
        }
        assert wanted <= kept
        extra = kept - wanted
        by_name = {(one.channel, symbol) for one in self.readers for symbol in one.wanted}
        assert not {key for key in extra if key in self.server.topics and key not in by_name}


def make_talk(*, raw: bool = False) -> Talk:
    """One conversation, which carries everything."""
    line = Line(RawIntake() if raw else TypedIntake())
    return Talk(Book(lambda _: line), line)


def identify(item: Any) -> tuple[Key, int, int]:
    """Which message it is."""
    if isinstance(item, dict):
        channel = item["type"] + "s"
        return (channel, item["symbol"]), item["exchangeTimestamp"], item["seq"]
    if isinstance(item, Quote):
        return ("quotes", item.symbol), item.exchange_timestamp, int(item.bid_size)
    return ("trades", item.symbol), item.exchange_timestamp, int(item.size)


def topic_key(key: Key) -> TopicKey:
    return TopicKey("SIP", STOCKS, Channel(key[0]), key[1])
