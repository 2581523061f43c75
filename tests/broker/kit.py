"""A broker without sockets, and a client that takes from its outbox what a writer would."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgpack
import trio
from support import virtual_wall_clock

from datafye_trio import Program, Source
from datafye_trio.broker import Board, BoardKey, Broker, BrokerConfig, Chunk, Dataset, Delivery, OutboxLimits
from datafye_trio.broker.ring import Ring, RingLimits, RingStore
from datafye_trio.broker.topic import Topic
from datafye_trio.model import Channel, Event
from datafye_trio.protocol import Codec, Encoding

QUOTES, TRADES = BoardKey(Channel.QUOTES), BoardKey(Channel.TRADES)


def length_framed(payload: bytes, encoding: Encoding) -> bytes:
    """Stands in for a WebSocket frame: the length, then the payload."""
    return struct.pack("!I", len(payload)) + payload


def unframed(data: bytes, encoding: Encoding) -> Iterator[dict[str, Any]]:
    """The messages in joined frames."""
    while data:
        (size,) = struct.unpack_from("!I", data)
        payload, data = data[4 : 4 + size], data[4 + size :]
        yield json.loads(payload) if encoding == "json" else msgpack.unpackb(payload)


class CountingCodec(Codec):
    """Notes every data message that is written, by encoding and `seq`."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[Encoding, str, int]] = []

    def write(self, data: Any, encoding: Encoding) -> bytes:
        self.written.append((encoding, data.symbol, data.seq))
        return super().write(data, encoding)


def make_broker(
    *, outbox: OutboxLimits | None = None, ring: RingLimits | None = None, memory: int = 2 * 2**30
) -> Broker:
    """A broker with a counting codec and length-prefixed frames. Needs a running trio."""
    config = BrokerConfig(outbox or OutboxLimits(), ring or RingLimits(), memory)
    return Broker(
        config, CountingCodec(), length_framed, wall_clock=virtual_wall_clock, new_epoch=lambda: "epoch-1"
    )  # fmt: skip


def make_board(key: BoardKey = QUOTES, limits: RingLimits | None = None) -> Board:
    """A board of no broker."""
    return Board("Program", "stocks", "epoch-1", key, RingStore(limits or RingLimits(), 0.0))


def make_topic(symbol: str = "AAPL") -> Topic:
    """A topic of no broker."""
    board = make_board()
    return Topic(board, symbol, Ring(board.store))


class Client:
    """A subscriber of a broker, and what it took so far.

    `taken` holds data messages (dicts), answers (texts) and gaps ((channel, symbol, first, last) each), in order.
    """

    def __init__(self, broker: Broker, encoding: Encoding = "json") -> None:
        self.broker = broker
        self.full = 0
        self.subscriber = broker.subscriber(encoding, self._count_full)
        self.outbox = self.subscriber.outbox
        self.taken: list[Any] = []

    def _count_full(self) -> None:
        self.full += 1

    def subscribe(self, board: Board, *symbols: str, delivery: Delivery | None = None) -> None:
        for symbol in symbols:
            self.subscriber.include(board, symbol, delivery)

    def answer(self, text: str) -> None:
        """Queue an answer, as `connection.answers` does."""
        self.subscriber.latest.seal()
        self.outbox.put(Chunk(text.encode()))

    def take(self, chunks: int = 1_000_000) -> list[Any]:
        """Take at most so many chunks, as the writer does for one write; returns what they hold."""
        start = len(self.taken)
        chunk = self.outbox.next_nowait()
        for held in self.outbox.take_held():
            if isinstance(held, Chunk):
                self._open(held)
            else:
                self.taken += [(topic.board.key.channel.value, topic.symbol, *span) for topic, span in held.items()]
        while chunk is not None:
            self._open(chunk)
            chunks -= 1
            chunk = self.outbox.next_nowait() if chunks else None
        self._unframe(self.subscriber.latest.take_due())
        self.outbox.written()
        return self.taken[start:]

    def seqs(self, *chunks: int) -> list[int]:
        """The `seq` of what `take` brings; fails on anything but data."""
        return [message["seq"] for message in self.take(*chunks)]

    def _open(self, chunk: Chunk) -> None:
        if chunk.latest is not None:
            self.subscriber.latest.open_batch(chunk.latest)
            self._unframe(self.subscriber.latest.take_due())
        elif chunk.messages:
            self._unframe([chunk.data])
        elif chunk.data:
            self.taken.append(chunk.data.decode())

    def _unframe(self, frames: Sequence[bytes]) -> None:
        for data in frames:
            self.taken += unframed(data, self.subscriber.encoding)


class Rig:
    """A broker whose fan-out runs, with one dataset (`Program`) or more."""

    def __init__(self, broker: Broker, dataset: Dataset) -> None:
        self.broker = broker
        self.dataset = dataset
        self.quotes = dataset.boards[QUOTES]
        self.codec = cast("CountingCodec", broker.codec)

    async def publish(self, *events: Event) -> None:
        """Publish events as one pass, and wait until they are handed out."""
        self.dataset.publish_nowait(events)
        await self.broker.settle()

    def client(self, *symbols: str, encoding: Encoding = "json", delivery: Delivery | None = None) -> Client:
        """A client that is subscribed to the quotes of symbols."""
        client = Client(self.broker, encoding)
        client.subscribe(self.quotes, *symbols, delivery=delivery)
        return client


@asynccontextmanager
async def running_rig(
    *sources: Source, outbox: OutboxLimits | None = None, ring: RingLimits | None = None, memory: int = 2 * 2**30
) -> AsyncIterator[Rig]:
    """A rig with these sources; a `Program` that is open for any symbol if there are none."""
    broker = make_broker(outbox=outbox, ring=ring, memory=memory)
    datasets = [broker.add(source) for source in sources or [Program()]]
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        yield Rig(broker, datasets[0])
        nursery.cancel_scope.cancel()
