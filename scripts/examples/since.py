"""From history to live without a seam: the trades of the last ten seconds, then each new one as it comes.

    python scripts/examples/since.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import trio

from datafye_trio import Live, open_feed


async def main(url: str | None) -> None:
    """Count the stored trades up to the mark, then print five live ones."""
    since = datetime.now(UTC) - timedelta(seconds=10)
    async with open_feed(url) as feed, feed.trades("AAPL", since=since) as trades:
        stored = 0
        async for event in trades:
            if isinstance(event, Live):
                break
            stored += 1
        print(f"{stored} stored trades of the last ten seconds, then live:")
        for _ in range(5):
            print(await anext(trades))


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
