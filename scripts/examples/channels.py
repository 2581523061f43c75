"""Several channels and symbols in one subscription: one stream of quotes and trades, in the order in which they came.

    python scripts/examples/channels.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).
"""

from __future__ import annotations

import sys

import trio

from datafye_trio import Gap, Quote, Trade, open_feed


async def main(url: str | None) -> None:
    """Print what comes until both channels were seen."""
    async with open_feed(url) as feed, feed.subscribe(["quotes", "trades"], ["AAPL", "MSFT"]) as events:
        seen = set()
        async for event in events:
            match event:
                case Quote():
                    print("quote", event.symbol, event.bid_price, event.ask_price)
                case Trade():
                    print("trade", event.symbol, event.price, event.size)
                case Gap():
                    print(event)
            seen.add(type(event))
            if {Quote, Trade} <= seen:
                break


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
