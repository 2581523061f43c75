"""What may be published: every field of every event, and that nothing which passes can fail further down."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import quote, trade

from datafye_trio.broker.validate import channels_of, check_event
from datafye_trio.errors import EventError
from datafye_trio.model import AssetClass, Bar, Channel, DatasetInfo, Ema, Event, Halt, Line, Quote, Resume, Sma, Trade
from datafye_trio.protocol import Codec, decode_message

BAR = Bar("AAPL", "Minute", 60, 1.0, 2.0, 0.5, 1.5, 100, 3, 1.2)
SMA = Sma("AAPL", "Minute", 60, 1.0, Line(26, 26, 1.0), Line(12, 12, 1.1), 0.1, "BULLISH")
EMA = Ema(*attrs.astuple(SMA, recurse=False), Line(9, 9, 0.1), *["NONE"] * 4)
SOUND: list[Event] = [
    quote(), trade(), Halt("AAPL", 1, "news"), Resume("AAPL", 0, ""), BAR, SMA, EMA,
    Quote("AAPL", 2**63 - 1, None, 0, None, 0.5, listing_exchange="XNYS", exchange_id="Börse"),
    Quote("AAPL", 0, -1.5, 0.0, 2**63 - 1, 1, bid_exchange_id="ĀĂ"),
    Trade("AAPL", 0, -1, 0, "é", "1", "XNAS", "FINN", 5, ("T", "I")),
    Trade("AAPL", 0, 1e18, 1e-8, conditions=()),
    attrs.evolve(BAR, final=False, revision=1),
]  # fmt: skip
NUMBERS = [math.nan, math.inf, -math.inf, 1e300, 2**63, 10**400, "1", True, Decimal(1), Fraction(1), 1j, b"1", [1.0]]
TEXTS = [b"XNAS", 5, 0, 1.5, True, ["XNAS"], "\ud800", "ok\udfff", object()]
TIMES = [-1, 2**63, 10**400, 1.0, math.nan, True, "1", Decimal(1)]
LINES = [None, 1.0, (9, 9, 0.1), Line(9, 9, math.nan), Line(-1, 9, 0.1), Line(9, 9.0, 0.1)]


@pytest.mark.parametrize("event", SOUND, ids=repr)
def test_sound_events_pass_and_can_be_written_and_read(event: Event) -> None:
    check_event(event)
    codec = Codec()
    for encoding in ("json", "msgpack"):
        payload = codec.write(codec.data(event, "D", "stocks", 1), encoding)
        assert decode_message(payload, encoding).event == event


def _wrong(cls: type[Event], names: str, values: list[Any], *, optional: bool) -> list[Any]:
    sound = next(event for event in SOUND if type(event) is cls)
    return [
        pytest.param(attrs.evolve(sound, **{name: value}), name, id=f"{cls.__name__}-{name}-{index}")
        for name in names.split()
        for index, value in enumerate(values if optional else [*values, None])
    ]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        *_wrong(Quote, "bid_price ask_price", NUMBERS, optional=True),
        *_wrong(Quote, "bid_size ask_size", [*NUMBERS, -1, -0.5], optional=False),
        *_wrong(Quote, "exchange_timestamp", TIMES, optional=False),
        *_wrong(Quote, "symbol", TEXTS, optional=False),
        *_wrong(Quote, "bid_exchange_id ask_exchange_id exchange_id listing_exchange", TEXTS, optional=True),
        *_wrong(Trade, "price", NUMBERS, optional=False),
        *_wrong(Trade, "size", [*NUMBERS, -1, -0.5], optional=False),
        *_wrong(Trade, "exchange_timestamp", TIMES, optional=False),
        *_wrong(Trade, "trf_timestamp", TIMES, optional=True),
        *_wrong(Trade, "symbol", TEXTS, optional=False),
        *_wrong(Trade, "exchange_id trade_id listing_exchange trf_id", TEXTS, optional=True),
        *_wrong(Trade, "conditions", ["T", ["T"], (1,), ("\ud800",)], optional=True),
        *_wrong(Halt, "timestamp", TIMES, optional=False),
        *_wrong(Halt, "symbol reason", TEXTS, optional=False),
        *_wrong(Resume, "timestamp", TIMES, optional=False),
        *_wrong(Bar, "open high low close vwap", NUMBERS, optional=True),
        *_wrong(Bar, "volume", [*NUMBERS, -1], optional=False),
        *_wrong(Bar, "start count", TIMES, optional=False),
        *_wrong(Bar, "revision", TIMES, optional=True),
        *_wrong(Bar, "final", [0, "true"], optional=False),
        *_wrong(Sma, "slow_line fast_line", LINES, optional=False),
        *_wrong(Ema, "price macd", NUMBERS, optional=False),
        *_wrong(Ema, "signal_line", LINES, optional=False),
        *_wrong(Ema, "crossover zero_crossover", TEXTS, optional=False),
    ],
)
def test_a_field_that_has_no_place_on_the_wire_is_refused_by_name(event: Event, field: str) -> None:
    with pytest.raises(EventError, match=rf"^{type(event).__name__}\.{field} must be "):
        check_event(event)


@pytest.mark.parametrize("thing", [None, "AAPL", 1, object(), Line(9, 9, 0.1), {"symbol": "AAPL"}, Quote, [quote()]])
def test_what_is_no_event_is_refused(thing: Any) -> None:
    with pytest.raises(EventError, match="is no market event: publish a Quote"):
        check_event(thing)


def test_a_subclass_is_no_event() -> None:
    class Special(Trade):
        pass

    with pytest.raises(EventError, match="^Special is no market event"):
        check_event(Special("AAPL", 1, 1.0, 1))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=2),
    st.sampled_from([2**63 - 1, 2**63, "AAPL", "\ud800", ("T",), ("\ud800",), ["T"], Decimal(1), Line(9, 9, 1.0)]),
)  # fmt: skip


@pytest.mark.unmeasured
@settings(max_examples=100)
@given(st.data())
def test_what_passes_can_be_written_and_comes_back_the_same(data: st.DataObject) -> None:
    sound = data.draw(st.sampled_from(SOUND))
    names = [field.name for field in attrs.fields(type(sound))]
    changes = data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=3))
    event = attrs.evolve(sound, **changes)
    try:
        check_event(event)
    except EventError:
        return
    codec = Codec()
    payload = codec.write(codec.data(event, "D", "stocks", 1), "json")
    json.loads(payload.decode(), parse_constant=pytest.fail)
    assert decode_message(payload).event == event
    assert decode_message(codec.write(codec.data(event, "D", "stocks", 1), "msgpack"), "msgpack").event == event


TICKS = DatasetInfo("Ticks", AssetClass.STOCKS, (Channel.TRADES, Channel.QUOTES))
TRADES_ONLY = DatasetInfo("Trades", AssetClass.CRYPTO, (Channel.TRADES,))


@pytest.mark.parametrize(
    ("event", "dataset", "channels"),
    [
        (quote(), TICKS, (Channel.QUOTES,)),
        (trade(), TICKS, (Channel.TRADES,)),
        (Halt("AAPL", 1, "news"), TICKS, (Channel.QUOTES, Channel.TRADES)),
        (Resume("AAPL", 1, "news"), TICKS, (Channel.QUOTES, Channel.TRADES)),
        (Halt("AAPL", 1, "news"), TRADES_ONLY, (Channel.TRADES,)),
        (BAR, DatasetInfo("Bars", AssetClass.STOCKS, (Channel.AGGREGATES,)), (Channel.AGGREGATES,)),
        (SMA, DatasetInfo("Bars", AssetClass.STOCKS, tuple(Channel)), (Channel.SMA,)),
        (EMA, DatasetInfo("Bars", AssetClass.STOCKS, tuple(Channel)), (Channel.EMA,)),
    ],
)
def test_events_go_out_on_the_channels_of_their_kind(
    event: Event, dataset: DatasetInfo, channels: tuple[Channel, ...]
) -> None:
    assert channels_of(event, dataset) == channels


def test_an_event_without_a_channel_is_refused() -> None:
    with pytest.raises(EventError, match="dataset Trades has no channel for a Quote: it offers trades"):
        channels_of(quote(), TRADES_ONLY)
