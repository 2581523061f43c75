"""From payloads to items: the next one of its topic at once, all else to the book; typed and raw alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from client.simulated import data

from datafye_trio.aggregates import event_time
from datafye_trio.client.buffers import make_buffer
from datafye_trio.client.decoding import RawIntake, TypedIntake
from datafye_trio.client.sink import Sink
from datafye_trio.client.topic import Topic
from datafye_trio.model import AssetClass, Bar, Channel, Frequency, Halt, TopicKey, Trade

TRADES = TopicKey("SIP", AssetClass.STOCKS, Channel.TRADES, "A")
BARS = TopicKey("SIP", AssetClass.STOCKS, Channel.AGGREGATES, "A", Frequency.MINUTE)
RUNNING = TopicKey("SIP", AssetClass.STOCKS, Channel.AGGREGATES, "A", Frequency.MINUTE, running=True)
BAR = {
    "type": "ohlc", "symbol": "A", "dataset": "SIP", "assetClass": "stocks", "frequency": "Minute", "datetime": 1,
    "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1, "count": 1, "vwap": 1.0, "final": True, "seq": 1,
}  # fmt: skip
HALT = {"type": "halt", "symbol": "A", "timestamp": 1, "reason": "x", "dataset": "SIP", "assetClass": "stocks"}


class Desk:
    """An intake and what it hands out."""

    def __init__(self, intake: TypedIntake | RawIntake, *keys: TopicKey) -> None:
        self.intake = intake
        self.data: list[tuple[int | None, Any]] = []
        self.other: list[Any] = []
        self.topics = [Topic(key) for key in keys]
        self.sinks = [self._sink() for _ in keys]
        for topic, sink in zip(self.topics, self.sinks, strict=True):
            topic.join(sink)
            topic.started("e", 0)
            intake.routes.add(intake.route(topic.key), topic)

    def _sink(self) -> Sink:
        buffer = make_buffer("wait", 10)
        return Sink(buffer, snapshots=False, partial=False, on_full=lambda _: None, on_change=lambda: None)

    def take(self, *payloads: Any) -> None:
        texts = [json.dumps(payload) if isinstance(payload, dict) else payload for payload in payloads]
        self.intake.take(texts, lambda data, item: self.data.append((data.seq, item)), self.other.append)

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
