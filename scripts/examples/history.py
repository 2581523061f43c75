"""Stored data: the minute bars of five minutes, in order, and then the end.

    python scripts/examples/history.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).
"""

from __future__ import annotations

import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import trio

from datafye_trio import Bar, open_feed

NEW_YORK = ZoneInfo("America/New_York")
START = datetime(2025, 1, 2, 9, 30, tzinfo=NEW_YORK)
END = datetime(2025, 1, 2, 9, 35, tzinfo=NEW_YORK)


async def main(url: str | None) -> None:
    """Print five bars."""
    async with open_feed(url) as feed, feed.history("AAPL", start=START, end=END) as bars:
        async for bar in bars:
            if isinstance(bar, Bar):
                print(bar.time.astimezone(NEW_YORK), bar.open, bar.high, bar.low, bar.close, bar.volume)


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
