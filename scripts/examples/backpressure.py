"""A program that is too slow, with each policy: what it gets, and what the feed says about it.

    python scripts/examples/backpressure.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).

The feed itself never waits for a program: it reads on, and answers the server's heartbeats.
"""

from __future__ import annotations

import sys
from typing import Literal

import trio

from datafye_trio import BufferOverflowError, Feed, open_feed


async def follow(feed: Feed, policy: Literal["wait", "drop_oldest", "latest", "error"]) -> None:
    """Do not read for two seconds, then read for one."""
    async with feed.quotes("*", policy=policy, buffer=32) as quotes:
        await trio.sleep(2)
        try:
            with trio.move_on_after(1):
                async for _ in quotes:
                    pass
        except BufferOverflowError as error:
            print(f"{policy}: {error}")
        now = quotes.statistics()
    print(f"{policy}: {now.delivered} delivered, {now.dropped} dropped, {now.conflated} conflated, {now.pauses} pauses")


async def main(url: str | None) -> None:
    """Run all four beside each other, on one connection."""
    async with open_feed(url) as feed, trio.open_nursery() as nursery:
        nursery.start_soon(follow, feed, "wait")  # the default: what is left on the server is fetched later
        nursery.start_soon(follow, feed, "drop_oldest")  # gaps say what was dropped
        nursery.start_soon(follow, feed, "latest")  # only the newest of each symbol
        nursery.start_soon(follow, feed, "error")


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
