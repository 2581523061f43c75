"""The table of paths in protocol.md section 1, and the query that subscribes at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.model import AssetClass, Channel
from datafye_trio.protocol import BASE_PATH, Endpoint, find_endpoint, parse_query

BELOW = [("", Endpoint()), ("/stream", Endpoint())] + [
    (f"/{asset_class}{rest}", Endpoint(asset_class, channel, history))
    for asset_class in AssetClass
    for rest, channel, history in [
        ("/live", None, False),
        ("/live/quotes", Channel.QUOTES, False),
        ("/live/trades", Channel.TRADES, False),
        ("/live/ticks", Channel.TRADES, False),
        ("/live/aggregates", Channel.AGGREGATES, False),
        ("/live/aggs", Channel.AGGREGATES, False),
        ("/live/ohlc", Channel.AGGREGATES, False),
        ("/live/sma", Channel.SMA, False),
        ("/live/ema", Channel.EMA, False),
        ("/history", None, True),
    ]
]


@pytest.mark.parametrize(("path", "endpoint"), BELOW)
def test_paths(path: str, endpoint: Endpoint) -> None:
    assert find_endpoint(BASE_PATH + path) == endpoint
    assert find_endpoint(BASE_PATH + path + "/") == endpoint
    assert find_endpoint(BASE_PATH + path + "//") is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/health",
        "/stream",
        "/datafye-ws",
        "/datafye-ws/v2",
        "/datafye-ws/v10",
        "/datafye-ws/v1x",
        "/datafye-ws/v1stream",
        "/Datafye-ws/v1",
        "//datafye-ws/v1",
        "/datafye-ws//v1",
        "/datafye-ws/v1/stocks",
        "/datafye-ws/v1/Stocks/live",
        "/datafye-ws/v1/bonds/live",
        "/datafye-ws/v1/stocks/live/bars",
        "/datafye-ws/v1/stocks/live/quotes/AAPL",
        "/datafye-ws/v1/stocks/history/quotes",
        "/datafye-ws/v1/stocks/../stream",
        "/datafye-ws/v1/./stream",
        "/datafye-ws/v1/stocks/..",
        "/datafye-ws/v1/%73tream",
        "/datafye-ws/v1/stream%2f",
        "/datafye-ws/v1/stream\x00",
        "/datafye-ws/v1/stream?x=1",
        "http://localhost/datafye-ws/v1",
    ],
)
def test_what_is_no_path(path: str) -> None:
    assert find_endpoint(path) is None


@settings(max_examples=75)
@given(st.text())
def test_only_the_table_is_served(rest: str) -> None:
    expected = dict(BELOW).get(rest.removesuffix("/"))
    assert find_endpoint(BASE_PATH + rest) == expected


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {}),
        ("symbols=AAPL", {"symbols": ["AAPL"]}),
        ("symbols=AAPL,MSFT&channels=quotes,trades", {"symbols": ["AAPL", "MSFT"], "channels": ["quotes", "trades"]}),
        ("symbols=*", {"symbols": ["*"]}),
        ("symbols=%2A&dataset=My%20Data", {"symbols": ["*"], "dataset": "My Data"}),
        ("symbols=A,,B,", {"symbols": ["A", "B"]}),
        ("symbols=", {"symbols": []}),
        ("frequency=Minute&dataset=a,b", {"frequency": "Minute", "dataset": "a,b"}),
        ("symbols=btc/usd", {"symbols": ["btc/usd"]}),
        ("other=1", {"other": "1"}),
    ],
)
def test_queries(query: str, fields: dict[str, object]) -> None:
    assert parse_query(query) == fields


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("symbols", "written as name=value"),
        ("symbols=A&", "written as name=value"),
        ("symbols=A&&dataset=B", "written as name=value"),
        ("symbols=A&symbols=B", "the parameter 'symbols' stands twice"),
        ("x=%ff", "decode"),
        ("&".join(f"p{index}=1" for index in range(17)), "(?i)max number of fields"),
    ],
)
def test_bad_queries(query: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_query(query)


@settings(max_examples=100)
@given(st.text() | st.text("symbols=&,%2A+;", max_size=40))
def test_any_query_gives_fields_or_a_value_error(query: str) -> None:
    try:
        fields = parse_query(query)
    except ValueError:
        return
    assert all(isinstance(name, str) for name in fields)
    assert all(isinstance(value, list if name in ("channels", "symbols") else str) for name, value in fields.items())
