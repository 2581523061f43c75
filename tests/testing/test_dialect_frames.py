"""What is left of data: each kind to the byte, and of any event nothing that is not documented."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testing.spoken import BAR, BASE, EMA, LIVE_PATHS, SAMPLES, SMA, check, live

from datafye_trio.model import Bar, Ema, Event, Halt, Line, Quote, Resume, Sma, Trade
from datafye_trio.testing.dialect import Dialect

DATA: list[tuple[str, Event, str, str]] = [
    (
        "quote", Quote("AAPL", 5, 1.25, 100, 1.5, 200, "XNAS", "ARCX", None, "XNAS"), "stocks",
        '{"type":"quote","symbol":"AAPL","exchangeTimestamp":5,"bidExchangeID":"XNAS","bidPrice":1.25,"bidSize":100,'
        '"askExchangeID":"ARCX","askPrice":1.5,"askSize":200,"listingExchange":"XNAS"}',
    ),
    (
        "quote", Quote("BTCUSD", 5, 1.25, 0.5, 1.5, 0.25, exchange_id="Coinbase"), "crypto",
        '{"type":"quote","symbol":"BTCUSD","exchangeTimestamp":5,"exchangeID":"Coinbase","bidPrice":1.25,"bidSize":0.5,'
        '"askPrice":1.5,"askSize":0.25}',
    ),
    (
        "trade", Trade("AAPL", 5, 1.25, 10, "XNAS", "7", "XNAS", "TRF", 4, ("@",)), "stocks",
        '{"type":"trade","symbol":"AAPL","exchangeTimestamp":5,"exchangeID":"XNAS","tradeID":"7","tradePrice":1.25,'
        '"tradeSize":10,"listingExchange":"XNAS","trfID":"TRF","trfTimestamp":4}',
    ),
    (
        "trade", Trade("BTCUSD", 5, 1.25, 0.1, "Coinbase", "7", "x", "y", 4, ("@",)), "crypto",
        '{"type":"trade","symbol":"BTCUSD","exchangeTimestamp":5,"exchangeID":"Coinbase","tradeID":"7",'
        '"tradePrice":1.25,"tradeSize":0.1}',
    ),
    (
        "ohlc", BAR, "stocks",
        '{"type":"ohlc","symbol":"AAPL","datetime":1700000000000000000,"open":1.5,"high":2,"low":1,"close":2,'
        '"volume":100}',
    ),
    (
        "sma", SMA, "crypto",
        '{"type":"sma","symbol":"AAPL","timestamp":1700000000000000000,"price":10.5,'
        '"slowLine":{"periods":9,"count":3,"ma":10.5},"fastLine":{"periods":9,"count":3,"ma":10.5},"macd":0.0,'
        '"crossover":"NONE"}',
    ),
    (
        "ema", EMA, "stocks",
        '{"type":"ema","symbol":"AAPL","timestamp":1700000000000000000,"price":10.5,'
        '"slowLine":{"periods":9,"count":3,"ma":10.5},"fastLine":{"periods":9,"count":3,"ma":10.5},"macd":0.0,'
        '"signalLine":{"periods":9,"count":3,"ma":10.5},"zeroCrossover":"A","signalCrossover":"B",'
        '"zeroLineCrossover":"C","lastZeroLineCrossover":"D"}',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "event", "asset_class", "text"), DATA)
def test_data_has_the_fields_of_the_records(kind: str, event: Event, asset_class: str, text: str) -> None:
    passed = Dialect(f"{BASE}/{LIVE_PATHS[kind]}").from_server(live(event, asset_class, conflated=3))
    assert passed is not None
    assert json.loads(passed) == json.loads(text)
    assert len(passed) == len(text)  # written as shortly, with the numbers as they were


TEXTS = st.text(max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
TIMES = st.integers(-(2**63), 2**63 - 1)
MAYBE = st.none() | TEXTS
LINES = st.builds(Line, st.integers(1, 99), st.integers(0, 99), NUMBERS)
WORDS = (TEXTS,) * 5
AVERAGES = (TEXTS, st.just("Minute"), TIMES, NUMBERS, LINES, LINES, NUMBERS, TEXTS)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        Quote, TEXTS, TIMES, st.none() | NUMBERS, NUMBERS, st.none() | NUMBERS, NUMBERS, MAYBE, MAYBE, MAYBE, MAYBE
    ),
    st.builds(
        Trade, TEXTS, TIMES, NUMBERS, NUMBERS, MAYBE, MAYBE, MAYBE, MAYBE, st.none() | TIMES,
        st.none() | st.tuples(TEXTS),
    ),
    st.builds(
        Bar, TEXTS, st.just("Day"), TIMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(0, 99), NUMBERS,
        st.booleans(), st.none() | st.integers(1, 9),
    ),
    st.builds(Sma, *AVERAGES),
    st.builds(Ema, *AVERAGES, LINES, *WORDS[:4]),
    st.builds(Halt, TEXTS, TIMES, TEXTS),
    st.builds(Resume, TEXTS, TIMES, TEXTS),
)  # fmt: skip
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "snapshot": st.just(True), "conflated": st.integers(1, 9), "running": st.just(True), "channel": TEXTS,
        "later": TEXTS,
    },
)  # fmt: skip


@given(
    event=EVENTS,
    envelope=ENVELOPES,
    asset_class=st.sampled_from(["stocks", "crypto"]),
    path=st.sampled_from([*SAMPLES]),
)
def test_no_event_has_a_field_that_is_not_documented(
    event: Event, envelope: dict[str, Any], asset_class: str, path: str
) -> None:
    sent = live(event, asset_class, **envelope)
    passed = Dialect(path).from_server(sent)
    if passed is not None:
        frame = json.loads(passed)
        check(frame, asset_class)
        whole = json.loads(sent)
        assert frame == {name: whole[name] for name in frame}  # values are never touched
