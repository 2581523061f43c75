"""What a client of `bench` makes of what comes: counts, numbers that are missing, latencies."""

from __future__ import annotations

from typing import Any

import pytest
from cli.benching import data, gap, intake, subscribed
from support import START_NS

from datafye_trio.cli import bench_topics
from datafye_trio.cli.bench_intake import Gauge, GaveUpError, Totals
from datafye_trio.cli.bench_topics import Topics
from datafye_trio.protocol import Connected


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("payloads", "found"),
    [
        ([data(1), data(2), data(3)], {"messages": 3}),
        ([data(1), data(4)], {"messages": 2, "gaps": 1, "missing": 2}),
        ([data(1), data(2), data(1), data(3)], {"messages": 4, "repeated": 1}),
        ([data(1), data(1, symbol="MSFT")], {"messages": 2, "unwanted": 1}),
        ([data(1), data(1, kind="halt", channel="quotes"), data(2, kind="halt", channel="trades")],
         {"messages": 3, "unwanted": 1}),
        ([data(1), data(2, kind="halt"), data(3)], {"messages": 3}),
        ([data(1), data(1, snapshot=True), data(2)], {"messages": 2}),
        ([data(1), gap(**{"from": 2, "to": 5}), data(6)], {"messages": 2, "gaps": 1, "told": 1, "missing": 4}),
        ([data(1), gap(**{"from": 3, "to": 5}), data(6)], {"messages": 2, "gaps": 1, "told": 1, "missing": 4}),
        ([data(1), gap(reason="epoch_changed"), data(9), data(10)], {"messages": 3, "gaps": 1, "told": 1}),
        ([data(1), gap(**{"from": 5, "to": 2}), data(9)], {"messages": 2, "gaps": 1, "told": 1}),
        ([b'{"type":"news"}', data(1), data(0), data(2, exchangeTimestamp="x")], {"messages": 1, "unreadable": 3}),
        ([data(1), b'{"type":"heartbeat","timestamp":1,"lag":7,"sent":1}', b'{"type":"pong","timestamp":1}'],
         {"messages": 1, "lag": 7}),
        ([data(1), data(2).decode()], {"messages": 2}),
    ],
)  # fmt: skip
def test_every_number_is_checked(payloads: list[bytes | str], found: dict[str, int], shared: bool) -> None:
    one = intake(shared=shared)
    one.take([subscribed()])
    one.totals.bytes = 0
    one.take(payloads)
    assert one.totals == Totals(**found, bytes=sum(map(len, payloads)))


def test_a_topic_goes_on_where_the_server_says_and_a_new_symbol_begins_at_one() -> None:
    one = intake(star=True)
    one.take([subscribed(positions={"trades": {"AAPL": 41}}), data(42), data(1, symbol="NEW"), data(3, symbol="LATE")])
    assert (one.totals.gaps, one.totals.missing, one.totals.unwanted) == (1, 2, 0)


def test_without_positions_the_first_message_tells_where_the_numbers_stand() -> None:
    one = intake()
    one.take([subscribed(positions=None), data(7), data(8), data(10)])
    assert (one.totals.gaps, one.totals.missing) == (1, 1)


def test_bars_are_topics_by_frequency_and_running() -> None:
    one = intake()
    one.take([subscribed("aggregates", frequency="Minute"), subscribed("aggregates", frequency="Minute", running=True)])
    one.take([data(1, "ohlc"), data(1, "ohlc", running=True), data(2, "ohlc", running=True), data(2, "ohlc")])
    one.take([data(1, "ohlc", frequency="Hour")])
    assert (one.totals.gaps, one.totals.repeated, one.totals.unwanted) == (0, 0, 1)


def test_what_is_no_json_is_the_end() -> None:
    with pytest.raises(GaveUpError, match="no sound JSON"):
        intake().take([subscribed(), b'{"type":"trade",'])


def test_answers_are_noted_whoever_asked() -> None:
    one = intake()
    one.pending = {1, 2}
    refusal = b'{"type":"error","code":"UNKNOWN_SYMBOL","message":"leave them out","retryable":false,"id":2}'
    one.take([subscribed(number=1), refusal])
    assert (one.pending, one.accepted, one.refused) == (set(), 1, "UNKNOWN_SYMBOL: leave them out")


def test_a_message_that_is_big_or_forgotten_is_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_topics, "_REMEMBERED", 2)
    topics = Topics(shared=True)
    gauge = Gauge(lambda: START_NS, topics)
    both = [intake(gauge=gauge), intake(gauge=gauge)]
    payloads = [data(1), data(2), data(3), data(4, conditions=["x" * 2_000]), data(5)]
    for one in both:
        one.take([subscribed(), *payloads])
        assert (one.totals.messages, one.totals.gaps) == (5, 0)
    assert len(topics._known) <= 2


def test_a_server_that_invents_topics_for_ever_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_topics, "_MOST", 3)
    one = intake(star=True)
    one.take([data(1, symbol=f"S{number}") for number in range(10)])
    assert (one.totals.messages, one.totals.unreadable) == (3, 7)


@pytest.mark.parametrize(
    ("count", "fields", "counted"),
    [(1, {}, 1), (7, {}, 7), (1_000, {}, 1_000), (5, {"exchangeTimestamp": 0}, 0)],
)
def test_latencies_of_a_sample_stand_for_all(count: int, fields: dict[str, Any], counted: int) -> None:
    gauge = Gauge(lambda: START_NS + 2_000_000_000, Topics(shared=True))
    intake(star=True, gauge=gauge).take([data(number + 1, **fields) for number in range(count)])
    latencies = gauge.latencies
    assert latencies.count == counted
    assert latencies.percentile(50) == (2_000_000_000 if counted else 0)
    assert sum(latencies._counts.values()) == counted


def test_stamps_are_read_in_the_unit_of_the_server() -> None:
    gauge = Gauge(lambda: START_NS + 5_000_000, Topics(shared=True))
    one = intake(star=True, gauge=gauge)
    one.begin(Connected("c", 1, "ms", 10.0, 30.0, (), {}, 0))
    one.take([data(1, exchangeTimestamp=START_NS // 1_000_000)])
    assert gauge.latencies.least == 5_000_000
