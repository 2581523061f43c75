"""The tap: what is logged of a connection, and what passes."""

from __future__ import annotations

import trio
from support import RawClient, trade, upgrade_head
from testing.kit import front


async def test_what_passes_is_logged_with_its_times(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        await trio.sleep(1)
        client = await kit.subscribed("AAPL")
        await trio.sleep(2)
        await kit.server.publish(trade())
        assert (await client.message())["type"] == "trade"
        await client.close()
        await trio.testing.wait_all_tasks_blocked()
        seen = [(entry.time, entry.direction, entry.kind) for entry in kit.log]
        assert seen == [
            (1.0, "in", "open"),
            (1.0, "out", "text"),
            (1.0, "in", "text"),
            (1.0, "out", "text"),
            (3.0, "out", "text"),
            (3.0, "in", "close"),
            (3.0, "out", "close"),
            (3.0, "out", "gone"),
        ]
        names = [message.get("type", message.get("action")) for message in kit.log.messages()]
        assert names == ["connected", "subscribe", "subscribed", "trade"]


async def test_plain_http_passes_and_is_logged(autojump_clock: trio.testing.MockClock) -> None:
    async with front() as kit:
        client = RawClient(kit.connect())
        await client.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client.http_answer())[0] == 200
        refused = RawClient(kit.connect())
        await refused.stream.send_all(upgrade_head("/nowhere"))
        assert (await refused.http_answer())[0] == 404
        kinds = [(entry.kind, entry.path, entry.code) for entry in kit.log if entry.kind != "gone"]
        assert kinds == [("http", "/health", 200), ("refused", "/nowhere", 404)]
