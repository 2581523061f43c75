"""Subscriptions while they run: symbols added and removed, topics shared, refusals taken in part.

    python scripts/examples/subscriptions.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).
"""

from __future__ import annotations

import sys

import trio

from datafye_trio import SubscriptionError, open_feed


async def main(url: str | None) -> None:
    """Open, add, share, remove."""
    async with open_feed(url) as feed:
        try:
            async with feed.trades(["AAPL", "ZZZZ"]):
                pass
        except SubscriptionError as error:
            print(error)
        async with feed.trades(["AAPL", "ZZZZ"], partial=True) as trades:
            print("subscribed:", *trades.symbols, "- refused:", *(error.symbols for error in trades.rejected))

            await trades.add(["MSFT", "NVDA"])
            print("subscribed:", *trades.symbols)

            async with feed.trades("MSFT") as shared:  # the same topic: nothing more goes over the wire
                print("topics on the wire:", len(feed.ledger()))
                print(await anext(shared))

            await trades.remove(["AAPL", "NVDA"])
            print("subscribed:", *trades.symbols)


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
