"""Benchmarks of the server: `scripts/bench fanout`.

fanout: one topic, quotes of about 190 bytes, 100 clients in one other process, as fast as possible, through
`open_server` with its default settings (seq, ring and outbox on). Every frame is counted, and the last `seq` is checked
at each client: a round in which anything is missing is an error, not a number.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio

from datafye_trio import Quote, ServerConfig, open_server
from datafye_trio.model import AssetClass, Channel, DatasetInfo
from datafye_trio.sources import BATCH, Publisher

_CLIENT = Path(__file__).with_name("bench_client.py")
_REQUEST = '{"action":"subscribe","symbols":["AAPL"],"snapshot":false}'


class Burst:
    """A source that publishes `count` quotes of one symbol at full speed, once `clients` have subscribed."""

    dataset = DatasetInfo("Bench", AssetClass.STOCKS, (Channel.QUOTES,))

    def __init__(self, count: int) -> None:
        self._count = count
        self.go = trio.Event()

    async def run(self, publisher: Publisher) -> None:
        """Publish, waiting for room before each batch as every source at full speed does."""
        await self.go.wait()
        start = publisher.now_ns()
        for first in range(0, self._count, BATCH):
            await publisher.room()
            await publisher.publish([_quote(start + n) for n in range(first, min(first + BATCH, self._count))])
        await trio.sleep_forever()


def _quote(time_ns: int) -> Quote:
    return Quote("AAPL", time_ns, 189.11 + time_ns % 7 / 100, 300, 189.2, 500)


async def _round(clients: int, count: int) -> dict[str, float]:
    source = Burst(count)
    async with open_server(ServerConfig(port=0), [source]) as server:
        command = [sys.executable, str(_CLIENT), str(server.port), "/datafye-ws/v1/stocks/live/quotes"]
        process = await trio.lowlevel.open_process(
            [*command, str(clients), str(count), _REQUEST], stdout=subprocess.PIPE
        )
        if process.stdout is None:
            raise RuntimeError("the load client has no stdout")
        output = b""
        with trio.fail_after(120):
            while b"ready" not in output:
                output += await process.stdout.receive_some()
            source.go.set()
            while data := await process.stdout.receive_some():
                output += data
            await process.wait()
    result: dict[str, float] = json.loads(output.split(b"ready", 1)[1])
    if not result.get("complete"):
        raise SystemExit(f"a round lost something: {result}")
    return result


async def _fanout(clients: int, count: int, rounds: int) -> dict[str, object]:
    rates = []
    await _round(clients, count // 10)  # warm-up
    for number in range(rounds):
        result = await _round(clients, count)
        rates.append(result["frames"] / result["seconds"])
        print(f"  round {number + 1}: {rates[-1]:12,.0f} messages/s", file=sys.stderr)
    size = result["bytes"] / result["frames"]
    return {
        "benchmark": "fanout",
        "clients": clients,
        "messages": count,
        "frame_bytes": round(size, 1),
        "median": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
    }


def main() -> int:
    """Run a benchmark and print its table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=["fanout"])
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--messages", type=int, default=60_000, help="messages of the topic in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = parser.parse_args()
    machine = f"Python {platform.python_version()}, {platform.machine()}, {_cores()} cores"
    print(f"{machine}; {given.clients} clients, {given.messages:,} messages a round", file=sys.stderr)
    result = trio.run(partial(_fanout, given.clients, given.messages, given.rounds))
    if given.json:
        print(json.dumps(result | {"machine": machine}))
    else:
        print(
            f"fanout: {result['median']:,.0f} messages/s to {given.clients} clients (median of {given.rounds}; "
            f"{result['lowest']:,.0f} to {result['highest']:,.0f}), {result['frame_bytes']} bytes a frame"
        )
    return 0


def _cores() -> float:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or math.nan


if __name__ == "__main__":
    sys.exit(main())
