"""Golden frames of every kind of message. Version 1 may add to them; what stands here never changes (protocol.md).

A change here is a change of the wire: if a test of this file fails, the code is wrong, not the table.
"""

from __future__ import annotations

import json

import attrs
import msgspec
import pytest

from datafye_trio.model import Bar, Ema, Event, Halt, Line, Quote, Resume, Sma, Trade
from datafye_trio.protocol import (
    Codec,
    Connected,
    Data,
    DatasetOffer,
    ErrorReply,
    Gap,
    Heartbeat,
    Message,
    PongReply,
    StreamEnd,
    StreamError,
    StreamStart,
    Subscribed,
    SubscriptionGroup,
    SubscriptionList,
    Unsubscribed,
    decode_message,
)
from datafye_trio.protocol.data_decoder import DataDecoder
from datafye_trio.protocol.messages import EVENT_TYPES, MESSAGE_TYPES

T = 1_722_988_800_123_456_789
SIP = DatasetOffer("SIP", "stocks", "e1", ("quotes", "trades"), ("Second", "Minute"))
MESSAGES: list[tuple[Message, str]] = [
    (
        Connected("c7", 1, "ns", 10.0, 30, (SIP,), {"requestBytes": 131072, "topics": 50000}, T),
        ('{"type":"connected","connectionId":"c7","protocol":1,"timestampUnit":"ns","heartbeatInterval":10.0,'
        '"heartbeatTimeout":30,"datasets":[{"dataset":"SIP","assetClass":"stocks","epoch":"e1",'
        '"channels":["quotes","trades"],"frequencies":["Second","Minute"]}],'
        '"limits":{"requestBytes":131072,"topics":50000},"timestamp":1722988800123456789}'),
    ),
    (
        Subscribed("SIP", "stocks", ("quotes",), ("AAPL",), "e1", 1),
        ('{"type":"subscribed","dataset":"SIP","assetClass":"stocks","channels":["quotes"],"symbols":["AAPL"],'
        '"epoch":"e1","total":1}'),
    ),
    (
        Subscribed(
            "SIP", "stocks", ("aggregates",), ("AAPL", "MSFT"), "e1", 2, 7, "Minute", True,
            {"aggregates": {"AAPL": 12, "MSFT": 0}}, ("framerate",),
        ),
        ('{"type":"subscribed","dataset":"SIP","assetClass":"stocks","channels":["aggregates"],'
        '"symbols":["AAPL","MSFT"],"epoch":"e1","total":2,"id":7,"frequency":"Minute","running":true,'
        '"positions":{"aggregates":{"AAPL":12,"MSFT":0}},"ignored":["framerate"]}'),
    ),
    (
        Unsubscribed("SIP", "stocks", ("trades",), ("*",), "e1", 0, "u-1", "Minute", False, ("x",)),
        ('{"type":"unsubscribed","dataset":"SIP","assetClass":"stocks","channels":["trades"],"symbols":["*"],'
        '"epoch":"e1","total":0,"id":"u-1","frequency":"Minute","running":false,"ignored":["x"]}'),
    ),
    (SubscriptionList(()), '{"type":"subscriptions","subscriptions":[]}'),
    (
        SubscriptionList(
            (
                SubscriptionGroup("SIP", "stocks", "sma", ("AAPL",), "Hour", True),
                SubscriptionGroup("Crypto", "crypto", "trades", ("BTCUSD",)),
            ),
            "l",
            ("y",),
        ),
        ('{"type":"subscriptions","subscriptions":[{"dataset":"SIP","assetClass":"stocks","channel":"sma",'
        '"symbols":["AAPL"],"frequency":"Hour","running":true},{"dataset":"Crypto","assetClass":"crypto",'
        '"channel":"trades","symbols":["BTCUSD"]}],"id":"l","ignored":["y"]}'),
    ),
    (
        Gap("SIP", "stocks", "quotes", "AAPL", "e1", "slow_consumer", from_=5, to=9),
        ('{"type":"gap","dataset":"SIP","assetClass":"stocks","channel":"quotes","symbol":"AAPL","epoch":"e1",'
        '"reason":"slow_consumer","from":5,"to":9}'),
    ),
    (
        Gap("SIP", "stocks", "sma", "AAPL", "e2", "epoch_changed", "Minute", True),
        ('{"type":"gap","dataset":"SIP","assetClass":"stocks","channel":"sma","symbol":"AAPL","epoch":"e2",'
        '"reason":"epoch_changed","frequency":"Minute","running":true}'),
    ),
    (Heartbeat(T, 3, 12345), '{"type":"heartbeat","timestamp":1722988800123456789,"lag":3,"sent":12345}'),
    (PongReply(T), '{"type":"pong","timestamp":1722988800123456789}'),
    (PongReply(T, "p", ("z",)), '{"type":"pong","timestamp":1722988800123456789,"id":"p","ignored":["z"]}'),
    (
        ErrorReply("RATE_LIMITED", "slow down", True),
        '{"type":"error","code":"RATE_LIMITED","message":"slow down","retryable":true}',
    ),
    (
        ErrorReply("UNKNOWN_SYMBOL", "no such symbol: \u2014", False, 0, "symbols", ("ZZ",)),
        ('{"type":"error","code":"UNKNOWN_SYMBOL","message":"no such symbol: \u2014","retryable":false,"id":0,'
        '"field":"symbols","symbols":["ZZ"]}'),
    ),
    (StreamStart("s", ("AAPL",)), '{"type":"stream_start","stream":"s","symbols":["AAPL"]}'),
    (
        StreamStart(1, ("*",), ("speed",)),
        '{"type":"stream_start","stream":1,"symbols":["*"],"ignored":["speed"]}',
    ),
    (
        StreamEnd(4, ("AAPL",), 9, "complete"),
        '{"type":"stream_end","stream":4,"symbols":["AAPL"],"count":9,"reason":"complete"}',
    ),
    (
        StreamError("s", ("AAPL",), "INTERNAL", "the file broke"),
        '{"type":"stream_error","stream":"s","symbols":["AAPL"],"code":"INTERNAL","message":"the file broke"}',
    ),
]  # fmt: skip

SLOW, FAST = Line(26, 26, 100.5), Line(12, 12, 101.25)
ENVELOPE = '"dataset":"SIP","assetClass":"stocks","seq":7'
STOCKS: list[tuple[Event, str]] = [
    (
        Quote("AAPL", T, 189.99, 300, 190.01, 200, "XNAS", "ARCX", listing_exchange="XNAS"),
        (
            '"symbol":"AAPL","exchangeTimestamp":1722988800123456789,"bidPrice":189.99,"bidSize":300,"askPrice":190.01,'
            '"askSize":200,"bidExchangeID":"XNAS","askExchangeID":"ARCX","listingExchange":"XNAS"'
        ),
    ),
    (  # an empty side is null, an unknown venue is left out
        Quote("AAPL", T, None, 0, 190.0, 200),
        (
            '"symbol":"AAPL","exchangeTimestamp":1722988800123456789,"bidPrice":null,"bidSize":0,"askPrice":190.0,'
            '"askSize":200'
        ),
    ),
    (
        Trade("AAPL", T, 190.0, 100, "XNAS", "t1", "XNAS", "FINR", T + 1, ("@", "I")),
        (
            '"symbol":"AAPL","exchangeTimestamp":1722988800123456789,"tradePrice":190.0,"tradeSize":100,'
            '"exchangeID":"XNAS","tradeID":"t1","listingExchange":"XNAS","trfID":"FINR",'
            '"trfTimestamp":1722988800123456790,"conditions":["@","I"]'
        ),
    ),
    (
        Trade("AAPL", T, 190.0, 100),
        '"symbol":"AAPL","exchangeTimestamp":1722988800123456789,"tradePrice":190.0,"tradeSize":100',
    ),
    (
        Bar("AAPL", "Minute", T, 1.0, 2.5, 0.5, 2.0, 1000, 10, 1.75),
        (
            '"symbol":"AAPL","frequency":"Minute","datetime":1722988800123456789,"open":1.0,"high":2.5,"low":0.5,'
            '"close":2.0,"volume":1000,"count":10,"vwap":1.75,"final":true'
        ),
    ),
    (
        Bar("AAPL", "Second", T, 1.0, 2.5, 0.5, 2.0, 1000, 10, 1.75, False, 2),
        (
            '"symbol":"AAPL","frequency":"Second","datetime":1722988800123456789,"open":1.0,"high":2.5,"low":0.5,'
            '"close":2.0,"volume":1000,"count":10,"vwap":1.75,"final":false,"revision":2'
        ),
    ),
    (
        Sma("AAPL", "Minute", T, 102.0, SLOW, FAST, 0.75, "BULLISH"),
        (
            '"symbol":"AAPL","frequency":"Minute","timestamp":1722988800123456789,"price":102.0,'
            '"slowLine":{"periods":26,"count":26,"ma":100.5},"fastLine":{"periods":12,"count":12,"ma":101.25},'
            '"macd":0.75,"crossover":"BULLISH"'
        ),
    ),
    (
        Ema("AAPL", "Day", T, 102.0, SLOW, FAST, 0.75, "NONE", Line(9, 3, 0.5), "BEARISH", "NONE", "BULLISH", "NONE"),
        (
            '"symbol":"AAPL","frequency":"Day","timestamp":1722988800123456789,"price":102.0,'
            '"slowLine":{"periods":26,"count":26,"ma":100.5},"fastLine":{"periods":12,"count":12,"ma":101.25},'
            '"macd":0.75,"crossover":"NONE","signalLine":{"periods":9,"count":3,"ma":0.5},"zeroCrossover":"BEARISH",'
            '"signalCrossover":"NONE","zeroLineCrossover":"BULLISH","lastZeroLineCrossover":"NONE"'
        ),
    ),
    (Halt("AAPL", T, "LUDP"), '"symbol":"AAPL","timestamp":1722988800123456789,"reason":"LUDP"'),
    (Resume("AAPL", T, "over"), '"symbol":"AAPL","timestamp":1722988800123456789,"reason":"over"'),
]
CRYPTO: list[tuple[Event, str]] = [
    (
        Quote("BTCUSD", T, 55000.1, 0.25, 55000.2, 1e-8, exchange_id="Coinbase"),
        (
            '"symbol":"BTCUSD","exchangeTimestamp":1722988800123456789,"bidPrice":55000.1,"bidSize":0.25,'
            '"askPrice":55000.2,"askSize":1e-8,"exchangeID":"Coinbase"'
        ),
    ),
    (
        Trade("BTCUSD", T, 55000.1, 0.00001234, "Coinbase", "991"),
        (
            '"symbol":"BTCUSD","exchangeTimestamp":1722988800123456789,"tradePrice":55000.1,"tradeSize":0.00001234,'
            '"exchangeID":"Coinbase","tradeID":"991"'
        ),
    ),
]
NAMES = {cls: name for name, cls in EVENT_TYPES.items()}


@pytest.mark.parametrize(("message", "text"), MESSAGES, ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_message(message: Message, text: str) -> None:
    codec = Codec()
    assert codec.encode(message).decode() == text
    packed = codec.encode(message, "msgpack")
    assert_same(packed, text)
    assert decode_message(text) == decode_message(packed, "msgpack") == message


def test_every_message_and_event_has_a_golden_frame() -> None:
    assert {type(message) for message, _ in MESSAGES} == set(MESSAGE_TYPES.values())
    assert {type(event) for event, _ in STOCKS} == set(EVENT_TYPES.values())


def data_cases() -> list[tuple[Event, str, str, str]]:
    return [
        (event, dataset, asset_class, fields)
        for cases, dataset, asset_class in ((STOCKS, "SIP", "stocks"), (CRYPTO, "Crypto", "crypto"))
        for event, fields in cases
    ]


@pytest.mark.parametrize(("event", "dataset", "asset_class", "fields"), data_cases())
def test_data(event: Event, dataset: str, asset_class: str, fields: str) -> None:
    codec = Codec()
    plain = codec.data(event, dataset, asset_class, 7)
    kind = NAMES[type(event)]
    text = f'{{"type":"{kind}","dataset":"{dataset}","assetClass":"{asset_class}","seq":7,{fields}}}'
    assert codec.write(plain, "json").decode() == text
    packed = codec.write(plain, "msgpack")
    assert_same(packed, text)
    expected = Data(event, dataset, asset_class, 7)
    assert decode_message(text) == decode_message(packed, "msgpack") == expected


def test_marks_of_a_snapshot_of_conflation_and_of_the_topic_of_running_bars() -> None:
    codec = Codec()
    plain = msgspec.to_builtins(codec.data(Halt("AAPL", 5, "x"), "SIP", "stocks", 7))
    marks = '"running":true,"snapshot":true,"conflated":3'
    text = f'{{"type":"halt",{ENVELOPE},"symbol":"AAPL","timestamp":5,"reason":"x",{marks}}}'
    assert codec.write(plain | json.loads(f"{{{marks}}}"), "json").decode() == text
    data = codec.data(Halt("AAPL", 5, "x"), "SIP", "stocks", 7)
    data.conflated, data.snapshot, data.running = 3, True, True
    assert codec.write(data, "json").decode() == text
    expected = Data(Halt("AAPL", 5, "x"), "SIP", "stocks", 7, snapshot=True, conflated=3, running=True)
    assert decode_message(text) == DataDecoder().decode(text) == expected


def test_a_halt_names_the_channel_it_came_on_but_not_from_an_older_server() -> None:
    text = f'{{"type":"halt",{ENVELOPE},"symbol":"AAPL","timestamp":5,"reason":"x","channel":"trades"}}'
    data = Codec().data(Halt("AAPL", 5, "x"), "SIP", "stocks", 7)
    data.channel = "trades"
    assert Codec().write(data, "json").decode() == text
    expected = Data(Halt("AAPL", 5, "x"), "SIP", "stocks", 7, channel="trades")
    assert decode_message(text) == DataDecoder().decode(text) == expected
    older = text.replace(',"channel":"trades"', "")
    assert decode_message(older) == DataDecoder().decode(older) == attrs.evolve(expected, channel=None)


def test_data_of_a_stream_has_its_name_and_no_seq() -> None:
    text = '{"type":"halt","dataset":"SIP","assetClass":"stocks","stream":"s","symbol":"A","timestamp":5,"reason":"x"}'
    assert Codec().write(Codec().stored(Halt("A", 5, "x"), "SIP", "stocks", "s"), "json").decode() == text
    assert decode_message(text) == Data(Halt("A", 5, "x"), "SIP", "stocks", stream="s")


def assert_same(packed: bytes, text: str) -> None:
    """MessagePack holds the same object, its keys in the same order; `==` alone would not see the order."""
    unpacked = msgspec.msgpack.decode(packed)
    assert json.dumps(unpacked) == json.dumps(json.loads(text))
