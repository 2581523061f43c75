"""Basic quotes of one symbol, from a local, an internal or an external deployment.

    python scripts/examples/quotes.py [local|internal|external|URL]

Without an argument: DATAFYE_WS_URL, else the local deployment (start a server with `datafye-trio serve`).
"""

from __future__ import annotations

import sys

import trio

from datafye_trio import Quote, deployment_url, open_feed

DEPLOYMENTS = {
    "local": deployment_url("local"),  # ws://localhost:8080/datafye-ws/v1
    "internal": deployment_url("internal"),  # ws://api.rumi.local/datafye-ws/v1
    # wss://alice-trading-api.datafye.io/datafye-ws/v1
    "external": deployment_url("external", user="alice", side="trading"),
}


async def main(url: str | None) -> None:
    """Print five quotes."""
    async with open_feed(url) as feed, feed.quotes("AAPL") as quotes:
        shown = 0
        async for event in quotes:
            if isinstance(event, Quote):
                print(event.symbol, event.bid_price, event.ask_price)
                shown += 1
            if shown == 5:
                break


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        trio.run(main, DEPLOYMENTS.get(where, where) if where else None)
    except* KeyboardInterrupt:
        pass
