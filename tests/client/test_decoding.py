"""From payloads to items: the next one of its topic at once, all else to the book; typed and raw alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from client.simulated import data
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.aggregates import event_time
from datafye_trio.client.buffers import make_buffer
from datafye_trio.client.decoding import RawIntake, TypedIntake
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic
from datafye_trio.model import EVENT_CHANNELS, AssetClass, Bar, Channel, Frequency, Halt, TopicKey, Trade
from datafye_trio.protocol.messages import Data

TRADES = TopicKey("SIP", AssetClass.STOCKS, Channel.TRADES, "A")
OTHERS = TopicKey("SIP", AssetClass.STOCKS, Channel.TRADES, "B")
QUOTES = TopicKey("SIP", AssetClass.STOCKS, Channel.QUOTES, "A")
BARS = TopicKey("SIP", AssetClass.STOCKS, Channel.AGGREGATES, "A", Frequency.MINUTE)
RUNNING = TopicKey("SIP", AssetClass.STOCKS, Channel.AGGREGATES, "A", Frequency.MINUTE, running=True)
BAR = {
    "type": "ohlc", "symbol": "A", "dataset": "SIP", "assetClass": "stocks", "frequency": "Minute", "datetime": 1,
    "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1, "count": 1, "vwap": 1.0, "final": True, "seq": 1,
}  # fmt: skip
HALT = {"type": "halt", "symbol": "A", "timestamp": 1, "reason": "x", "dataset": "SIP", "assetClass": "stocks"}


class Desk:
    """An intake and what it hands out."""

    def __init__(self, intake: TypedIntake | RawIntake, *keys: TopicKey, capacity: int = 10) -> None:
        self.intake = intake
        self.capacity = capacity
        self.data: list[tuple[int | None, Any]] = []
        self.other: list[Any] = []
        self.topics = [Topic(key) for key in keys]
        self.sinks = [self._sink(topic) for topic in self.topics]
        for topic, sink in zip(self.topics, self.sinks, strict=True):
            sink.topics[topic] = None
            topic.join(sink)
            topic.started("e", 0)
            intake.routes.add(intake.route(topic.key), topic)

    def _sink(self, topic: Topic) -> Sink:
        buffer = make_buffer("wait", self.capacity)
        return Sink(buffer, snapshots=True, partial=False, on_full=topic.park, on_change=lambda: None)

    def take(self, *payloads: Any) -> None:
        texts = [json.dumps(payload) if isinstance(payload, dict) else payload for payload in payloads]
        self.intake.take(texts, self._data, self.other.append)

    def _data(self, data: Data, item: Any) -> None:
        self.data.append((data.seq, item))
        for topic in self.topics:  # as the book does
            if data.seq is not None and self.intake.route(topic.key) == self._route(data):
                (topic.snapshot if data.snapshot else topic.message)(data.seq, item)

    def _route(self, data: Data) -> Any:
        event = data.event
        if isinstance(event, Halt):
            return None
        frequency = Frequency(event.frequency) if isinstance(event, Bar) else None
        channel = EVENT_CHANNELS[type(event)][0]
        key = TopicKey(data.dataset, AssetClass.STOCKS, channel, event.symbol, frequency, running=data.running)
        return self.intake.route(key)

    def told(self) -> Any:
        """All that came of it."""
        waiting = [sink.buffer.pop_many(100) for sink in self.sinks]
        states = [
            (topic.next, topic.wire_next, topic.received, topic.repeated, topic.latest, topic.resync)
            for topic in self.topics
        ]
        return self.data, self.other, waiting, states

    @property
    def waiting(self) -> list[int]:
        return [len(sink.buffer) for sink in self.sinks]


@pytest.fixture(params=[TypedIntake, RawIntake])
def intake(request: pytest.FixtureRequest) -> TypedIntake | RawIntake:
    made: TypedIntake | RawIntake = request.param()
    return made


def trade(seq: Any, **more: Any) -> dict[str, Any]:
    return data(("trades", "A"), 1, seq) | {"tradeSize": 1} | more


def test_the_next_of_its_topic_is_handed_out(intake: TypedIntake | RawIntake) -> None:
    desk = Desk(intake, TRADES)
    desk.take(trade(1), json.dumps(trade(2)).encode())
    assert desk.waiting == [2]
    assert not desk.data
    item = desk.sinks[0].buffer.pop()
    assert item == trade(1) if isinstance(intake, RawIntake) else isinstance(item, Trade)


@pytest.mark.parametrize(
    "message",
    [trade(2), trade(1, dataset="other"), trade(1, symbol="B"), trade(None), HALT | {"seq": 1}, BAR],
)
def test_other_data_is_for_the_book(intake: TypedIntake | RawIntake, message: dict[str, Any]) -> None:
    desk = Desk(intake, TRADES)
    desk.take(message)
    assert desk.waiting == [0]
    assert [seq for seq, _ in desk.data] == [message["seq"]]
    raw = isinstance(intake, RawIntake)
    assert (desk.data[0][1] == message) if raw else isinstance(desk.data[0][1], Trade | Halt | Bar)


@pytest.mark.parametrize(
    "payload", ["{", b"\xff", "[]", "1", '{"type":"heartbeat"}', '{"type":[],"seq":1}', "[" * 9_999]
)
def test_what_is_no_data_is_for_others(intake: TypedIntake | RawIntake, payload: Any) -> None:
    desk = Desk(intake, TRADES)
    desk.take(payload)
    assert desk.other == [payload]
    assert desk.waiting == [0]


@pytest.mark.parametrize("seq", [True, 1.0, "1"])
def test_a_number_that_is_none(intake: TypedIntake | RawIntake, seq: Any) -> None:
    desk = Desk(intake, TRADES)
    desk.take(trade(seq))
    assert desk.waiting == [0]
    assert len(desk.other) == 1


def test_bars_of_a_frequency_finished_or_running(intake: TypedIntake | RawIntake) -> None:
    desk = Desk(intake, BARS, RUNNING)
    desk.take(BAR, BAR | {"running": True}, BAR | {"frequency": "Hour", "seq": 2}, BAR | {"seq": 2, "running": False})
    assert desk.waiting == [2, 1]
    assert len(desk.data) == 1


def test_the_clock_is_told_of_the_latest_of_a_read_not_of_the_last() -> None:
    # A bar comes after the trade that has ended it, and a late trade after others: both are older than what is there.
    told: list[int] = []
    desk = Desk(TypedIntake(lambda event, asset_class: told.append(event_time(event, asset_class))), TRADES, BARS)
    minute = 60_000_000_000
    first, second, third = (BAR | {"seq": n + 1, "datetime": n * minute} for n in range(3))
    ticks = [trade(n, exchangeTimestamp=time) for n, time in ((1, 2 * minute + 5), (2, 2 * minute + 4))]
    desk.take(ticks[0], first, ticks[1], second)
    assert desk.waiting == [2, 2]
    assert told == [minute, 2 * minute, 2 * minute + 5]
    desk.take(third)
    assert told[-1] == 3 * minute


def test_a_time_beyond_64_bits_in_the_unit_of_the_server_is_for_others() -> None:
    desk = Desk(TypedIntake(), TRADES)
    desk.intake.begin("ms")
    late = trade(1, exchangeTimestamp=2**62)
    desk.take(late, trade(1))
    assert desk.other == [json.dumps(late)]
    assert desk.sinks[0].buffer.pop().exchange_timestamp == 1_000_000


def test_raw_times_stay_in_the_unit_of_the_server() -> None:
    desk = Desk(RawIntake(), TRADES)
    desk.intake.begin("ms")
    desk.take(trade(1))
    assert desk.sinks[0].buffer.pop()["exchangeTimestamp"] == 1


def test_text_that_is_no_utf8_in_a_field_that_nobody_knows_is_for_others() -> None:
    desk = Desk(RawIntake(), TRADES)
    payload = json.dumps(trade(1, news="?")).encode().replace(b"?", b"\xff")
    desk.take(payload)
    assert (desk.data, desk.other, desk.waiting) == ([], [payload], [0])


def test_symbols_that_cannot_be_looked_up_do_not_spoil_the_next(intake: TypedIntake | RawIntake) -> None:
    desk = Desk(intake, TRADES)
    desk.take(trade(1), trade(2, dataset=[]), trade(2), trade(3, symbol={}), trade(3, type=[]), trade(3))
    assert desk.waiting == [3]
    assert len(desk.other) == 3


@pytest.mark.parametrize("policy", ["wait", "drop_oldest", "latest", "error"])
def test_a_buffer_holds_no_more_than_its_capacity_after_one_read(policy: Any) -> None:
    desk = Desk(TypedIntake(), TRADES, capacity=3)
    sink, topic = desk.sinks[0], desk.topics[0]
    sink.use(make_buffer(policy, 3))
    desk.take(*[trade(seq) for seq in range(1, 6)])
    assert len([item for item in sink.buffer.pop_many(9) if isinstance(item, Trade)]) == (
        1 if policy == "latest" else 3
    )
    assert topic.next == (6 if policy in {"drop_oldest", "latest"} else 4)


def test_what_the_book_puts_into_a_buffer_takes_room_there(intake: TypedIntake | RawIntake) -> None:
    desk = Desk(intake, TRADES, QUOTES, capacity=3)
    trades, quotes = desk.topics
    quotes.join(desk.sinks[0])
    quotes.leave(desk.sinks[1])
    quote = data(("quotes", "A"), 1, 1)
    desk.take(trade(1), quote, quote | {"snapshot": True}, trade(2))
    assert desk.waiting == [3, 0]
    assert (trades.next, quotes.next) == (2, 2)
    assert list(trades.parked) == desk.sinks[:1]


_ODD = [
    "{",
    b"\xff",
    "[]",
    "1,2",
    "1",
    "null",
    '{"type":"heartbeat"}',
    '{"type":[],"seq":1}',
    json.dumps(HALT | {"seq": 1}),
]
_SEQS = st.one_of(st.integers(0, 12), st.sampled_from([None, True, 1.0, "1"]))
_MESSAGES = st.one_of(
    st.sampled_from(_ODD),
    st.builds(trade, _SEQS, symbol=st.sampled_from(["A", "B", "C"]), dataset=st.sampled_from(["SIP", "other"])),
    st.builds(
        lambda seq, running, frequency: BAR | {"seq": seq, "running": running, "frequency": frequency},
        _SEQS, st.booleans(), st.sampled_from(["Minute", "Hour"]),
    ),
)  # fmt: skip


@pytest.mark.parametrize("made", [TypedIntake, RawIntake])
@given(
    st.lists(st.one_of(st.none(), _MESSAGES), max_size=40), st.integers(1, 6), st.sampled_from(["own", "one", "two"])
)
def test_a_read_of_many_is_many_reads_of_one(made: Any, messages: list[Any], capacity: int, readers: str) -> None:
    """What the loop keeps from one message to the next changes nothing: not an order, not a number."""
    together, single = (Desk(made(), TRADES, OTHERS, BARS, RUNNING, capacity=capacity) for _ in range(2))
    for desk in (together, single):
        if readers != "own":  # the second topic is read into the buffer of the first
            desk.topics[1].join(desk.sinks[0])
        if readers == "one":
            desk.topics[1].leave(desk.sinks[1])
    payloads = []
    due = 0
    for message in messages:
        due += message is None
        payloads.append(trade(due, symbol="B") if message is None else message)  # some runs are without a hole
    together.take(*payloads)
    for payload in payloads:
        single.take(payload)
    assert together.told() == single.told()
