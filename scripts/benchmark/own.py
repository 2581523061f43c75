"""Benchmarks with options and tables of their own: `scripts/bench client`, `idle`, `topics`, `growth`, and two more.

client: events a second received by this project's client and by those of other libraries from one stream, all made
dicts by the same decoder (and by ours, typed events too). The peers live in `.venv-bench`, made on first use.

aggregate: bars of four frequencies at once out of the trades of 1,000 symbols, in turns with polars' `group_by_dynamic`
on the same trades. First both must make the same bars: prices and counts exactly, volumes to 1e-9.

strategy: a trading day of a made-up market, 6.5 hours of ten symbols, from a recording on disk through the crossover of
the examples in the market's own time: how many times faster than the day itself. All rounds must decide the same.

idle, topics: parts of the table, in more detail.

growth: the processor's time of the server as messages, clients, topics or symbols grow, and the exponent of each.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmark.machine import describe, facts

__all__ = ["OWN", "bench_python", "count", "run"]

OWN: Final = ("client", "idle", "topics", "growth", "aggregate", "strategy")


def run(arguments: Sequence[str]) -> int:
    """Run one of `OWN` and print its table, or JSON."""
    given = _parser().parse_args(arguments)
    machine = describe(facts())  # before: the load tells whether somebody else was measured, too
    result, table = given.run(given, machine)
    print(json.dumps(result | {"machine": machine}) if given.json else table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    benchmarks = parser.add_subparsers(metavar="BENCHMARK", required=True)
    client = benchmarks.add_parser("client", help="events a second received, beside other libraries")
    client.add_argument("--messages", type=count, default=400_000, help="events of a round; slow clients get a part")
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
    aggregate.add_argument("--symbols", type=count, default=1_000)
    aggregate.add_argument("--trades", type=count, default=1_000_000, help="trades of a round")
    aggregate.set_defaults(run=_run_aggregate)
    strategy = benchmarks.add_parser("strategy", help="a trading day through a strategy in virtual time")
    strategy.add_argument("--rate", type=_rate, default=5.0, help="events a second of the market [default: 5]")
    strategy.set_defaults(run=_run_strategy)
    idle = benchmarks.add_parser("idle", help="memory of an idle connection, connections a second")
    idle.add_argument("--connections", type=count, default=500)
    idle.add_argument("--offline", action="store_true", help="with .venv itself instead of .venv-bench")
    idle.set_defaults(run=_run_idle)
    topics = benchmarks.add_parser("topics", help="what a message costs by topics, and a long subscribe")
    topics.add_argument("--topics", type=count, default=100_000, help="how many are many [default: 100000]")
    topics.add_argument("--messages", type=count, default=100_000, help="of a round [default: 100000]")
    topics.set_defaults(run=_run_topics)
    growth = benchmarks.add_parser("growth", help="how the server's cost grows")
    growth.add_argument("--scale", type=_rate, default=1.0, help="so many times the messages [default: 1]")
    growth.set_defaults(run=_run_growth)
    for benchmark in (client, aggregate, strategy, idle, topics, growth):
        benchmark.add_argument("--rounds", type=count, default=5)
        benchmark.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser


def count(text: str) -> int:
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


def bench_python(*, offline: bool) -> Path:
    """The Python that runs servers and clients: of `.venv-bench`, made where needed, or that of this process."""
    from benchmark.peers_venv import SetupError, peers_python

    try:
        return Path(sys.executable) if offline else peers_python()
    except (SetupError, OSError) as error:
        raise SystemExit(str(error)) from None


def _run_client(given: argparse.Namespace, machine: str) -> tuple[dict[str, object], str]:
    from benchmark.client_rounds import ReceiveSettings, known, run, table

    messages, rounds = (max(1, given.messages // 4), 3) if given.quick else (given.messages, given.rounds)
    contenders = known(given.contenders)
    python = bench_python(offline=given.offline)
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


def _run_idle(given: argparse.Namespace, machine: str) -> tuple[dict[str, object], str]:
    from benchmark.idle import IdleSettings, run, table

    python = bench_python(offline=given.offline)
    print(machine, file=sys.stderr)
    result = run(IdleSettings(python, given.connections, given.rounds))
    return result, f"{machine}\n{table(result)}"


def _run_topics(given: argparse.Namespace, machine: str) -> tuple[dict[str, object], str]:
    from benchmark.topics import TopicsSettings, run, table

    print(machine, file=sys.stderr)
    result = run(TopicsSettings(many=given.topics, messages=given.messages, rounds=given.rounds))
    return result, f"{machine}\n{table(result)}"


def _run_growth(given: argparse.Namespace, machine: str) -> tuple[dict[str, object], str]:
    from benchmark.growth import GrowthSettings, run, table

    print(machine, file=sys.stderr)
    result = run(GrowthSettings(given.rounds, given.scale))
    return result, f"{machine}\n{table(result)}"
