"""One pass of the broker: everything that has arrived, numbered, kept, encoded once and handed out. All sync.

Cost goes with chunks, not messages: what is done for each delivery is done inside `bytes.join`. Clients that are
subscribed to the same of the touched topics share one chunk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import TypeAlias

from datafye_trio.broker.chunks import CHUNK_BYTES, Chunk
from datafye_trio.broker.subscriber import Subscriber
from datafye_trio.broker.topic import CatchUp, Topic
from datafye_trio.model import Event
from datafye_trio.protocol import Encoding

__all__ = ["Encode", "fan_out"]

Encode: TypeAlias = Callable[[Topic, Event, int, Encoding], bytes]
"""(topic, event, seq, encoding) to a ready-made frame."""


class _Pass:
    """The messages of one pass, by index in the order they were published."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self.topics: list[Topic] = []
        self.seqs: list[int] = []
        self.events: list[Event] = []
        self.json: list[bytes] = []
        self.touched: dict[Topic, bytes | list[bytes]] = {}
        """The frames of each topic, in JSON."""
        self._packed: dict[int, bytes] = {}

    def add(self, topic: Topic, event: Event) -> None:
        topic.seq = seq = topic.seq + 1
        topic.latest = event
        self.topics.append(topic)
        self.seqs.append(seq)
        self.events.append(event)
        # JSON is always made, since the ring keeps it; MessagePack only where a client wants it.
        frame = self._encode(topic, event, seq, "json")
        self.json.append(frame)
        if (frames := self.touched.get(topic)) is None:
            self.touched[topic] = frame
        elif isinstance(frames, list):
            frames.append(frame)
        else:
            self.touched[topic] = [frames, frame]

    @cached_property
    def indices(self) -> Mapping[Topic, list[int]]:
        """The messages of each topic; not needed where everybody wants all."""
        found: defaultdict[Topic, list[int]] = defaultdict(list)
        for index, topic in enumerate(self.topics):
            found[topic].append(index)
        return found

    def newest(self, topic: Topic) -> Event:
        """The last message of a topic of this pass."""
        return self.events[self.indices[topic][-1]]

    def frames(self, indices: Sequence[int], encoding: Encoding) -> Iterable[bytes]:
        return map(self.json.__getitem__ if encoding == "json" else self._packed_frame, indices)

    def chunks(self, topics: Sequence[Topic], encoding: Encoding) -> list[Chunk]:
        """The messages of these topics, in the order they were published, as chunks."""
        indices: Sequence[int]
        if len(topics) == len(self.touched):
            indices = range(len(self.events))
        elif len(topics) == 1:
            indices = self.indices[topics[0]]
        else:
            indices = sorted(chain.from_iterable(map(self.indices.__getitem__, topics)))
        return list(self._split(indices, encoding))

    def _split(self, indices: Sequence[int], encoding: Encoding) -> Iterable[Chunk]:
        # Halving costs one join too many now and then; adding up sizes one by one would cost Python time a message.
        data = b"".join(self.frames(indices, encoding))
        if len(data) <= CHUNK_BYTES or len(indices) == 1:
            # A chunk may wait for seconds: it holds on to the topics only, not to the frames and events of the pass.
            yield Chunk(data, len(indices), partial(_spans, self.topics, self.seqs, indices))
            return
        middle = len(indices) // 2
        yield from self._split(indices[:middle], encoding)
        yield from self._split(indices[middle:], encoding)

    def _packed_frame(self, index: int) -> bytes:
        if index not in self._packed:
            topic, seq = self.topics[index], self.seqs[index]
            self._packed[index] = self._encode(topic, self.events[index], seq, "msgpack")
        return self._packed[index]


def _spans(topics: Sequence[Topic], seqs: Sequence[int], indices: Sequence[int]) -> Iterable[tuple[Topic, int, int]]:
    """The topics of a chunk, with the first and last `seq` of each."""
    found: dict[Topic, tuple[int, int]] = {}
    for index in indices:
        topic, seq = topics[index], seqs[index]
        found[topic] = (found[topic][0] if topic in found else seq, seq)
    return [(topic, first, last) for topic, (first, last) in found.items()]


def fan_out(events: Iterable[tuple[tuple[Topic, ...], Event]], encode: Encode, now: float) -> int:
    """Number, keep and hand out events, each with the topics it belongs to. Returns the number of messages.

    Args:
        events: in the order they were published.
        encode: makes the frame of one message.
        now: the trio time of the pass.
    """
    work = _Pass(encode)
    for topics, event in events:
        for topic in topics:
            work.add(topic, event)
    if work.events:
        _keep(work, now)
        _hand_out(work)
    return len(work.events)


def _keep(work: _Pass, now: float) -> None:
    store = work.topics[0].board.store
    begun = store.begin(now)
    for topic, frames in work.touched.items():
        topic.ring.take(begun, topic.seq if isinstance(frames, bytes) else topic.seq - len(frames) + 1, frames)
    store.end()


def _hand_out(work: _Pass) -> None:
    if len(work.touched) == 1:
        _hand_out_one(work, *work.touched)
        return
    reached: defaultdict[Subscriber, list[Topic]] = defaultdict(list)
    for topic, frames in work.touched.items():
        for subscriber, delivery in topic.subscribers.items():
            if delivery is None:
                reached[subscriber].append(topic)
            elif not isinstance(delivery, CatchUp):
                count = 1 if isinstance(frames, bytes) else len(frames)
                subscriber.latest.offer(topic, work.newest(topic), count, delivery)
    shared: dict[tuple[object, ...], list[Chunk]] = {}
    for subscriber, topics in reached.items():
        key = (subscriber.encoding, *topics)
        if (chunks := shared.get(key)) is None:
            chunks = shared[key] = work.chunks(topics, subscriber.encoding)
        for chunk in chunks:
            subscriber.outbox.put(chunk)


def _hand_out_one(work: _Pass, topic: Topic) -> None:
    """A pass of one topic, as most are where messages come now and then: nothing is to be sorted by client."""
    shared: dict[Encoding, list[Chunk]] = {}
    for subscriber, delivery in topic.subscribers.items():
        if delivery is None:
            if (chunks := shared.get(subscriber.encoding)) is None:
                chunks = shared[subscriber.encoding] = work.chunks([topic], subscriber.encoding)
            for chunk in chunks:
                subscriber.outbox.put(chunk)
        elif not isinstance(delivery, CatchUp):
            subscriber.latest.offer(topic, work.events[-1], len(work.events), delivery)
