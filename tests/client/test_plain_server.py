"""The server of the tests that has no extension of ours: that it has none, and is what Datafye's samples meet."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from client.plain_server import BASE, FIELDS, HISTORY, KINDS, PlainConfig, PlainServer, open_plain_server
from support import START_NS, RawClient, quote, trade, upgrade_head

from datafye_trio.model import Bar, Ema, Event, Line, Sma
from datafye_trio.protocol import format_time

LINE = Line(9, 3, 10.5)
EVENTS: dict[str, Event] = {
    "quote": quote(),
    "trade": trade(),
    "ohlc": Bar("AAPL", "Minute", START_NS, 1, 2, 1, 2, 100, 3, 1.5),
    "sma": Sma("AAPL", "Minute", START_NS, 10.5, LINE, LINE, 0.0, "NONE"),
    "ema": Ema("AAPL", "Minute", START_NS, 10.5, LINE, LINE, 0.0, "NONE", LINE, "NONE", "NONE", "NONE", "NONE"),
}


async def connect(server: PlainServer, path: str) -> RawClient:
    client = RawClient(server.connect())
    await client.stream.send_all(upgrade_head(path))
    assert (await client.http_answer())[0] == 101
    return client


def request(kind: str, **more: Any) -> dict[str, Any]:
    frequency = {} if kind in ("quote", "trade") else {"frequency": "Minute"}
    return {"action": "subscribe", "dataset": "SIP", "symbols": ["AAPL"], **frequency, **more}


@pytest.mark.parametrize(("path", "kind"), KINDS.items())
async def test_each_kind_of_data_has_its_path_and_only_documented_fields(
    autojump_clock: trio.testing.MockClock, path: str, kind: str
) -> None:
    async with open_plain_server() as server:
        client = await connect(server, path)
        await client.send(**request(kind))
        await trio.testing.wait_all_tasks_blocked()
        await server.publish(*EVENTS.values())
        await server.publish(EVENTS[kind], dataset="Crypto")
        frame = await client.message()
        assert frame.pop("type") == kind
        assert frame["symbol"] == "AAPL"
        assert frame.keys() <= {*FIELDS[kind], "symbol"}
        assert not frame.keys() & {"seq", "dataset", "assetClass", "frequency", "final", "count", "vwap"}
        with trio.move_on_after(100) as silence:
            await client.frame()
        assert silence.cancelled_caught
        assert server.requests == [(path, request(kind))]
        assert server.faults == []


@pytest.mark.parametrize("path", ["/datafye-ws/v1", "/datafye-ws/v1/stream", f"{BASE}/live", f"{BASE}/live/trades"])
async def test_other_paths_are_404(autojump_clock: trio.testing.MockClock, path: str) -> None:
    async with open_plain_server() as server:
        client = RawClient(server.connect())
        await client.stream.send_all(upgrade_head(path))
        assert (await client.http_answer())[0] == 404
        assert server.refused == [path]
        assert await client.frame() == (-1, b"")


async def test_history_is_the_bars_of_the_span_and_an_end(autojump_clock: trio.testing.MockClock) -> None:
    minute = 60 * 10**9
    async with open_plain_server() as server:
        server.history = [
            Bar(symbol, frequency, START_NS + n * minute, 1, 2, 1, 2, n, 3, None)
            for symbol in ("AAPL", "MSFT") for frequency in ("Minute", "Hour") for n in range(5)
        ]  # fmt: skip
        client = await connect(server, HISTORY)
        span = {"from": format_time(START_NS + minute), "to": format_time(START_NS + 3 * minute)}
        await client.send(action="start", dataset="SIP", symbol="AAPL", frequency="Minute", **span)
        *bars, end = await client.messages(3)
        assert [bar["volume"] for bar in bars] == [1, 2]
        assert bars[0].keys() == {"type", *FIELDS["ohlc"]}
        assert end == {"type": "stream_end"}
        assert server.faults == []


async def test_what_the_samples_do_not_do_is_noted(autojump_clock: trio.testing.MockClock) -> None:
    async with open_plain_server() as server:
        client = await connect(server, f"{BASE}/live/quotes")
        await client.send(**request("quote", id=1, symbols="AAPL", action="sub"))
        await client.send(action="pong")
        await trio.testing.wait_all_tasks_blocked()
        fields, action, symbols, second = server.faults
        assert "'id'" in fields
        assert "'sub'" in action
        assert "'AAPL'" in symbols
        assert "second request" in second
        assert len(server.requests) == 1


async def test_the_greeting_and_the_answer_are_a_choice(autojump_clock: trio.testing.MockClock) -> None:
    async with open_plain_server(PlainConfig(connected=True, subscribed=True, indicator_symbols=False)) as server:
        client = await connect(server, f"{BASE}/live/ema")
        assert await client.message() == {"type": "connected"}
        assert await client.ask(**request("ema")) == {"type": "subscribed"}
        await server.publish(EVENTS["ema"])
        assert (await client.message()).keys() == {"type", *FIELDS["ema"]}


async def test_a_symbol_may_be_refused(autojump_clock: trio.testing.MockClock) -> None:
    async with open_plain_server(PlainConfig(refusals={"NONE": "no such symbol"})) as server:
        client = await connect(server, f"{BASE}/live/ticks")
        answer = await client.ask(**request("trade", symbols=["AAPL", "NONE"]))
        assert answer == {"type": "subscribed", "status": "no such symbol"}
        await server.publish(EVENTS["trade"])
        with trio.move_on_after(100) as silence:
            await client.frame()
        assert silence.cancelled_caught


async def test_it_can_be_mute_and_close_and_break(autojump_clock: trio.testing.MockClock) -> None:
    async with open_plain_server() as server:
        client, other = await connect(server, f"{BASE}/live/ticks"), await connect(server, f"{BASE}/live/ticks")
        await client.send(**request("trade"))
        await trio.testing.wait_all_tasks_blocked()
        server.muted = True
        await server.publish(EVENTS["trade"])
        with trio.move_on_after(100) as silence:
            await client.frame()
        assert silence.cancelled_caught
        server.muted = False
        await server.tell(type="halt", symbol="AAPL")
        assert await client.message() == await other.message() == {"type": "halt", "symbol": "AAPL"}
        await other.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.peers) == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.close_all, 1012, "restart")
            assert await client.closed() == (1012, "restart")
            await client.stream.aclose()


async def test_it_listens() -> None:
    with trio.fail_after(10):
        async with open_plain_server() as server:
            client = RawClient(await trio.open_tcp_stream("127.0.0.1", await server.listen()))
            await client.stream.send_all(upgrade_head(f"{BASE}/live/sma"))
            assert (await client.http_answer())[0] == 101
            await client.stream.aclose()
