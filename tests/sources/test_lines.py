"""JSON lines: what is sound is published at once, what is not is counted and shown, and the stream goes on."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import trio
import trio.testing
from support import RawClient, memory_server

from datafye_trio import AssetClass, Channel, DatasetInfo, JsonLines

INFO = DatasetInfo("Mine", AssetClass.STOCKS, (Channel.QUOTES, Channel.TRADES))


def line(n: int, **other: Any) -> bytes:
    fields = {
        "type": "trade", "symbol": "AAPL", "exchangeTimestamp": n, "exchangeID": "XNAS", "tradeID": str(n),
        "tradePrice": 1.5, "tradeSize": 10, **other,
    }  # fmt: skip
    return json.dumps(fields).encode() + b"\n"


async def publish(*parts: bytes) -> tuple[list[Any], JsonLines]:
    """What a client gets of these reads, and the source."""
    send, receive = trio.testing.memory_stream_one_way_pair()
    source = JsonLines(INFO, lambda: receive)
    async with memory_server(sources=[source]) as server:
        client = await RawClient.connect(server)
        await client.message()
        await client.ask(action="subscribe", channels=["trades"], symbols=["*"])
        for part in parts:
            await send.send_all(part)
            await trio.testing.wait_all_tasks_blocked()
        await send.aclose()
        await trio.testing.wait_all_tasks_blocked()
        await client.send(action="ping")
        *events, _ = await client.until("pong")
        await client.close()
    return events, source


def told(caplog: pytest.LogCaptureFixture, what: str) -> list[Any]:
    return [record for record in caplog.records if record.getMessage() == what]


async def test_lines_are_published_in_order_however_they_are_cut(autojump_clock: trio.testing.MockClock) -> None:
    whole = line(1) + b"\n  \n" + line(2) + line(3).rstrip(b"\n")
    for size in (1, 7, 100, len(whole)):
        parts = [whole[start : start + size] for start in range(0, len(whole), size)]
        events, source = await publish(*parts)
        assert [(event["seq"], event["tradeID"]) for event in events] == [(1, "1"), (2, "2"), (3, "3")]
        assert (source.lines, source.bad) == (5, 0)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"{\n", "no JSON"),
        (b"[1]\n", "object"),
        (b'{"type": "heartbeat"}\n', "type must be one of quote, trade"),
        (b'{"type": []}\n', "type must be one of"),
        (b'{"type": "trade"}\n', "a trade message is wrong"),
        (b"\xff\n", "the line is no UTF-8"),
        (b'"' + b"x" * 200_000 + b'"\n', "longer than 131072 bytes"),
        (line(1, symbol="aapl"), "publish it as 'AAPL'"),
        (line(1, type="ohlc"), "ohlc message is wrong"),
        (line(1, tradePrice=math.nan), ""),
    ],
)
async def test_a_bad_line_is_left_out_and_said(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, bad: bytes, why: str
) -> None:
    events, source = await publish(line(1), bad, line(2))
    assert [event["tradeID"] for event in events] == ["1", "2"]
    assert (source.lines, source.bad) == (3, 1)
    (shown,) = told(caplog, "a line is left out")
    assert shown.line == 2
    assert why in shown.why
    (ended,) = told(caplog, "the lines have ended")
    assert (ended.lines, ended.left_out) == (3, 1)


async def test_only_the_first_bad_lines_are_shown(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    _, source = await publish(b"?\n" * 50, line(1))
    assert (source.lines, source.bad) == (51, 50)
    assert [record.line for record in told(caplog, "a line is left out")] == [1, 2, 3, 4, 5]


async def test_what_cannot_be_read_is_a_crash_that_says_so(autojump_clock: trio.testing.MockClock) -> None:
    class Broken(trio.abc.ReceiveStream):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            await trio.lowlevel.checkpoint()
            raise OSError("the disk is gone")

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    async with memory_server(sources=[JsonLines(INFO, Broken)]) as server:
        await server.source_crashed.wait()
        client = RawClient(server.connect())
        await client.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, _, body = await client.http_answer()
        assert (status, json.loads(body)["why"]) == (503, "Mine crashed: line 1: cannot be read: the disk is gone")
