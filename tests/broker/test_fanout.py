"""One pass: encoded once, shared chunks, exact spans, and a cost that other topics have no part in."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from typing import cast

import pytest
from broker.kit import QUOTES, TRADES, Client, CountingCodec, Rig, make_broker
from support import quote, trade

from datafye_trio import Program
from datafye_trio.broker import Chunk, Dataset, Delivery, Topic
from datafye_trio.broker.chunks import CHUNK_BYTES
from datafye_trio.broker.fanout import fan_out
from datafye_trio.model import Event, Halt
from datafye_trio.protocol import Encoding


def one_pass(dataset: Dataset, *events: Event) -> int:
    """A pass by itself."""
    return fan_out(dataset.expand(events, 0.0), dataset._broker.encode, 0.0)


def chunks_of(client: Client) -> list[Chunk]:
    found = []
    while (chunk := client.outbox.next_nowait()) is not None:
        found.append(chunk)
    return found


async def test_a_message_is_encoded_once_for_each_encoding_in_use_however_many_clients(rig: Rig) -> None:
    clients = [rig.client("AAPL", encoding=encoding) for encoding in ("json", "msgpack") for _ in range(5)]
    await rig.publish(quote(n=1), quote(n=2), quote("MSFT"))
    assert Counter(rig.codec.written) == Counter(
        [("json", "AAPL", 1), ("json", "AAPL", 2), ("json", "MSFT", 1), ("msgpack", "AAPL", 1), ("msgpack", "AAPL", 2)]
    )
    assert [client.seqs() for client in clients] == [[1, 2]] * 10


async def test_messagepack_clients_of_different_topics_share_the_encoding_too(rig: Rig) -> None:
    rig.client("AAPL", encoding="msgpack")
    rig.client("AAPL", "MSFT", encoding="msgpack")
    await rig.publish(quote("AAPL"), quote("MSFT"))
    assert [entry[:2] for entry in rig.codec.written if entry[0] == "msgpack"] == [
        ("msgpack", "AAPL"),
        ("msgpack", "MSFT"),
    ]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_clients_that_want_the_same_of_what_is_touched_share_the_very_chunks(
    rig: Rig, encoding: Encoding
) -> None:
    alike = [rig.client("AAPL", "MSFT", encoding=encoding) for _ in range(2)]
    alike.append(rig.client("MSFT", "IBM", "AAPL", encoding=encoding))  # IBM is not touched, the order does not matter
    other = rig.client("AAPL", encoding=encoding)
    await rig.publish(quote("MSFT"), quote("AAPL"), quote("MSFT"))
    first, *rest = [chunks_of(client) for client in alike]
    assert len(first) == 1
    for chunks in rest:
        assert chunks[0] is first[0]
    assert chunks_of(other)[0] is not first[0]


async def test_a_client_of_several_topics_gets_them_in_the_order_they_were_published(rig: Rig) -> None:
    client = rig.client("AAPL", "MSFT")
    client.subscribe(rig.dataset.boards[TRADES], "AAPL")
    await rig.publish(quote("MSFT"), trade("AAPL"), quote("AAPL"), quote("IBM"), trade("AAPL"), quote("MSFT"))
    assert [(m["type"], m["symbol"], m["seq"]) for m in client.take()] == [
        ("quote", "MSFT", 1), ("trade", "AAPL", 1), ("quote", "AAPL", 1), ("trade", "AAPL", 2), ("quote", "MSFT", 2),
    ]  # fmt: skip


async def test_a_halt_is_one_message_on_each_channel_with_the_seq_of_that_topic(rig: Rig) -> None:
    client = rig.client("AAPL")
    client.subscribe(rig.dataset.boards[TRADES], "AAPL")
    await rig.publish(quote(), quote(), trade(), Halt("AAPL", 1, "news"))
    assert [(m["type"], m["seq"]) for m in client.take()] == [
        ("quote", 1), ("quote", 2), ("trade", 1), ("halt", 3), ("halt", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("symbols", [["AAPL"], ["AAPL", "MSFT", "IBM"]])
async def test_chunks_have_at_most_64_kib_and_exact_spans(rig: Rig, symbols: list[str]) -> None:
    client = rig.client(*symbols)
    await rig.publish(*[quote(symbols[n * n % len(symbols)], n) for n in range(1_000)])
    chunks = chunks_of(client)
    assert len(chunks) > 2
    assert sum(chunk.messages for chunk in chunks) == 1_000
    reached = dict.fromkeys(symbols, 0)
    for chunk in chunks:
        assert len(chunk.data) <= CHUNK_BYTES
        spans = list(chunk.spans())
        assert sum(last - first + 1 for _, first, last in spans) == chunk.messages
        for topic, first, last in spans:
            assert first == reached[topic.symbol] + 1
            reached[topic.symbol] = last
    assert reached == {symbol: rig.quotes.topics[symbol].seq for symbol in symbols}


async def test_one_message_beyond_64_kib_is_a_chunk_of_its_own(rig: Rig) -> None:
    client = rig.client("AAPL")
    await rig.publish(Halt("AAPL", 1, "x" * 2 * CHUNK_BYTES), quote())
    assert [chunk.messages for chunk in chunks_of(client)] == [1, 1]


async def test_a_chunk_does_not_keep_the_frames_and_events_of_its_pass_alive() -> None:
    broker = make_broker()
    dataset = broker.add(Program())
    client = Client(broker)
    client.subscribe(dataset.boards[QUOTES], "AAPL")
    one_pass(dataset, quote("AAPL"), *[quote("MSFT") for _ in range(100)])
    (chunk,) = chunks_of(client)
    assert [(topic.symbol, *span) for topic, *span in chunk.spans()] == [("AAPL", 1, 1)]
    topics, seqs, indices = chunk.spans.args
    assert {type(topic) for topic in topics} == {Topic}
    assert {type(seq) for seq in seqs} == {int}
    assert indices == [0]


async def test_everything_is_kept_in_the_rings_whether_or_not_somebody_listens(rig: Rig) -> None:
    client = rig.client("MSFT", encoding="msgpack")
    await rig.publish(quote("AAPL", 1), quote("MSFT", 2), quote("AAPL", 3))
    client.take()
    topics = rig.quotes.topics
    assert (len(topics["AAPL"].ring), len(topics["MSFT"].ring)) == (2, 1)
    listener = rig.client("AAPL")
    await rig.publish(quote("AAPL", 4))
    (chunk,) = chunks_of(listener)
    assert topics["AAPL"].ring.after(2) == [chunk.data]
    assert (topics["AAPL"].seq, topics["AAPL"].latest) == (3, quote("AAPL", 4))


async def test_a_pass_counts_its_messages() -> None:
    dataset = make_broker().add(Program())
    assert one_pass(dataset) == 0
    assert one_pass(dataset, quote(), Halt("AAPL", 1, "news")) == 3


async def test_conflating_clients_are_offered_the_last_of_a_pass_once(rig: Rig) -> None:
    client = rig.client("AAPL", delivery=Delivery())
    await rig.publish(quote(n=1), quote(n=2), quote(n=3))
    assert [(m["seq"], m["conflated"]) for m in client.take()] == [(3, 2)]


class Calls:
    """Counts the calls, of Python and of C functions, in its body."""

    def __enter__(self) -> Calls:
        self.count = 0
        self._before = sys.getprofile()
        gc.disable()  # a collection calls whoever listens for one: Hypothesis does
        sys.setprofile(self._note)
        return self

    def _note(self, frame: object, event: str, arg: object) -> None:
        self.count += event in ("call", "c_call")

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(self._before)
        gc.enable()


async def _cost(other_topics: int, other_clients: int) -> tuple[int, int, int]:
    """The writes, chunks and calls of a pass of three quotes for one client, beside others that it does not touch."""
    broker = make_broker()
    dataset = broker.add(Program())
    others = [f"S{n}" for n in range(other_topics)]
    one_pass(dataset, *map(quote, others))
    bystanders = [Client(broker) for _ in range(other_clients)]
    for bystander in bystanders:
        bystander.subscribe(dataset.boards[QUOTES], *others)
    client = Client(broker)
    client.subscribe(dataset.boards[QUOTES], "AAPL")
    events = dataset.expand([quote(n=1), quote(n=2), quote(n=3)], 0.0)
    codec = cast("CountingCodec", broker.codec)
    codec.written.clear()
    with Calls() as calls:
        fan_out(events, broker.encode, 0.0)
    assert not any(bystander.outbox.pending() for bystander in bystanders)
    return len(codec.written), len(chunks_of(client)), calls.count


async def test_what_a_pass_costs_does_not_depend_on_other_topics_and_their_clients() -> None:
    await _cost(0, 0)  # the first pass of a process fills caches
    alone = await _cost(0, 0)
    assert alone[:2] == (3, 1)
    assert await _cost(2_000, 50) == alone


async def test_another_client_of_the_same_topics_costs_no_encoding_and_no_joining() -> None:
    """The calls that one more client costs do not depend on how many messages the pass has."""

    async def calls(clients: int, messages: int) -> int:
        broker = make_broker()
        dataset = broker.add(Program())
        for _ in range(clients):
            Client(broker).subscribe(dataset.boards[QUOTES], "AAPL")
        events = dataset.expand([quote(n=n) for n in range(messages)], 0.0)
        with Calls() as counted:
            fan_out(events, broker.encode, 0.0)
        return counted.count

    few = await calls(11, 2) - await calls(1, 2)
    assert await calls(11, 200) - await calls(1, 200) == few
