"""A feed that outlives its connection: what state it is in, what was lost, and the proof that nothing else was.

    python scripts/examples/reconnect.py [URL]

URL defaults to DATAFYE_WS_URL, else ws://localhost:8080/datafye-ws/v1 (start a server with `datafye-trio serve`).

Stop the server with Ctrl-C while this runs, and start it again: the feed comes back by itself. A server that only lost
the connection sends what was missed; one that began anew numbers anew, which is shown as a gap.
"""

from __future__ import annotations

import sys

import trio

from datafye_trio import Gap, StateWatch, open_feed

COUNT = 1_000


async def show(states: StateWatch) -> None:
    """Print each state of the feed."""
    async for change in states:
        why = f" ({change.why})" if change.why else ""
        print(f"state: {change.state}{why}", flush=True)


async def main(url: str | None) -> None:
    """Follow all trades for a while, then print the account of each symbol."""
    async with open_feed(url) as feed, trio.open_nursery() as nursery:
        nursery.start_soon(show, feed.states())
        async with feed.trades("*") as trades:
            received = 0
            async for event in trades:
                if isinstance(event, Gap):
                    print(event, flush=True)
                    continue
                received += 1
                if received % 100 == 0:
                    print(received, "trades", flush=True)
                if received == COUNT:
                    break
            for entry in feed.ledger().values():
                print(f"{entry.topic.symbol}: {entry.received} received, {entry.missing} missing")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else None)
    except* KeyboardInterrupt:
        pass
