"""Benchmarks: `scripts/bench fanout`, `scripts/bench client`, `scripts/bench aggregate` and `scripts/bench strategy`.

fanout: one topic, quotes of about 190 bytes, 100 clients in one other process, as fast as possible, through
`open_server` with its default settings (seq, ring and outbox on). Every frame is counted, and the last `seq` is checked
at each client: a round in which anything is missing is an error, not a number.

client: events a second received by this project's client and by those of other libraries from one stream, all made
dicts by the same decoder (and by ours, typed events too). The peers live in `.venv-bench`, made on first use.

aggregate: bars of four frequencies at once out of the trades of 1,000 symbols, in turns with polars' `group_by_dynamic`
on the same trades. First both must make the same bars: prices and counts exactly, volumes to 1e-9.

strategy: a trading day of a made-up market, 6.5 hours of ten symbols, from a recording on disk through the crossover of
the examples in the market's own time: how many times faster than the day itself. All rounds must decide the same.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import trio

from benchmark import ENVIRONMENT, program
from datafye_trio import Quote, ServerConfig, open_server
from datafye_trio.model import AssetClass, Channel, DatasetInfo
from datafye_trio.sources import BATCH, Publisher

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
        path = "/datafye-ws/v1/stocks/live/quotes"
        process = await trio.lowlevel.open_process(
            program(sys.executable, "load", server.port, path, clients, count, _REQUEST),
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
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
    given = _parser().parse_args()
    # The load tells whether somebody else was measured, too.
    machine = (
        f"Python {platform.python_version()}, {platform.machine()}, {_cores()} cores, load {os.getloadavg()[0]:.1f}"
    )
    result, table = given.run(given, machine)
    print(json.dumps(result | {"machine": machine}) if given.json else table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    benchmarks = parser.add_subparsers(metavar="BENCHMARK", required=True)
    fanout = benchmarks.add_parser("fanout", help="messages a second from one topic to many clients")
    fanout.add_argument("--clients", type=_count, default=100)
    fanout.add_argument("--messages", type=_count, default=60_000, help="messages of the topic in a round")
    fanout.set_defaults(run=_run_fanout)
    client = benchmarks.add_parser("client", help="events a second received, beside other libraries")
    client.add_argument("--messages", type=_count, default=400_000, help="events of a round; slow clients get a part")
    client.add_argument("--quick", action="store_true", help="a quarter of the messages, three rounds")
    client.add_argument("--offline", action="store_true", help="only the peers that are installed in .venv")
    client.add_argument(
        "--decoder",
        choices=("msgspec", "json"),
        default="msgspec",
        help="what the peers decode with [default: msgspec]",
    )
    client.add_argument("--contenders", nargs="+", metavar="NAME", help="only these; a wrong name shows all")
    client.set_defaults(run=_run_client)
    aggregate = benchmarks.add_parser("aggregate", help="trades a second through bars of four frequencies")
    aggregate.add_argument("--symbols", type=_count, default=1_000)
    aggregate.add_argument("--trades", type=_count, default=1_000_000, help="trades of a round")
    aggregate.set_defaults(run=_run_aggregate)
    strategy = benchmarks.add_parser("strategy", help="a trading day through a strategy in virtual time")
    strategy.add_argument("--rate", type=_rate, default=5.0, help="events a second of the market [default: 5]")
    strategy.set_defaults(run=_run_strategy)
    for benchmark in (fanout, client, aggregate, strategy):
        benchmark.add_argument("--rounds", type=_count, default=5)
        benchmark.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0.001 <= rate <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0.001 to 100000")
    return rate


def _run_fanout(given: argparse.Namespace, machine: str) -> tuple[dict[str, object], str]:
    print(f"{machine}; {given.clients} clients, {given.messages:,} messages a round", file=sys.stderr)
    result = trio.run(partial(_fanout, given.clients, given.messages, given.rounds))
    return result, (
        f"fanout: {result['median']:,.0f} messages/s to {given.clients} clients (median of {given.rounds}; "
        f"{result['lowest']:,.0f} to {result['highest']:,.0f}), {result['frame_bytes']} bytes a frame"
    )


def _run_client(given: argparse.Namespace, machine: str) -> tuple[dict[str, object], str]:
    # The environment of the peers is made by this benchmark alone.
    from benchmark.client_rounds import ReceiveSettings, known, run, table
    from benchmark.peers_venv import SetupError, peers_python

    messages, rounds = (max(1, given.messages // 4), 3) if given.quick else (given.messages, given.rounds)
    contenders = known(given.contenders)
    try:
        python = Path(sys.executable) if given.offline else peers_python()
    except (SetupError, OSError) as error:
        raise SystemExit(str(error)) from None
    print(f"{machine}; {messages:,} messages a round", file=sys.stderr)
    result = run(ReceiveSettings(python, messages, rounds, contenders=contenders, decoder=given.decoder))
    return result, f"{machine}\n{table(result)}"


def _run_aggregate(given: argparse.Namespace, machine: str) -> tuple[dict[str, object], str]:
    # Polars is wanted by this benchmark alone.
    from benchmark.aggregating import AggregateSettings, run

    print(f"{machine}; {given.symbols:,} symbols, {given.trades:,} trades a round", file=sys.stderr)
    result = run(AggregateSettings(given.symbols, given.trades, given.rounds))
    lines = [f"aggregate: {result['bars']:,} bars of {given.trades:,} trades (median of {given.rounds} rounds, span)"]
    for name in ("ours", "polars"):
        rate: Any = result[name]
        lines.append(f"  {name:7}{rate['median']:12,.0f} trades/s ({rate['lowest']:,.0f} to {rate['highest']:,.0f})")
    ratio: Any = result["ratio"]
    lines.append(f"  ratio  {ratio['median']:12.3f}          ({ratio['lowest']:.3f} to {ratio['highest']:.3f})")
    return result, "\n".join(lines)


def _run_strategy(given: argparse.Namespace, machine: str) -> tuple[dict[str, object], str]:
    # Arrow is wanted by this benchmark alone.
    from benchmark.strategy_day import StrategySettings, run

    print(f"{machine}; a day at {given.rate:g} events a second", file=sys.stderr)
    result = run(StrategySettings(given.rate, given.rounds))
    lines = [
        f"strategy: {result['events']:,} events of 6.5 hours, {result['decisions']:,} decisions (median of "
        f"{given.rounds} rounds, span)"
    ]
    for title, key, places in (
        ("seconds", "seconds", 2),
        ("of a processor", "processor_seconds", 2),  # where others have their share of the machine
        ("times real time", "times_real_time", 0),
        ("events/s", "events_a_second", 0),
    ):
        span: Any = result[key]
        low, high = (f"{span[end]:,.{places}f}" for end in ("lowest", "highest"))
        lines.append(f"  {title:15} {span['median']:10,.{places}f} ({low} to {high})")
    return result, "\n".join(lines)


def _cores() -> float:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or math.nan
