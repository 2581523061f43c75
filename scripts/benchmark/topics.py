"""The benchmark of topics: what a message costs with few topics and with many, and how long a long subscription takes.

Publishing: two servers, one with 10 topics and one with 100,000, each with one client that is subscribed to all of
them, in turns. Every topic has had messages before anything is measured, so that none is made meanwhile, and both
servers are given the same number of messages in batches of the same size, all topics in turn. So a pass of the server
brings one of 100,000 topics one message, and one of 10 topics a hundred: what is measured is what a topic costs in a
pass. Taken is the processor's time of the server's process, from making an event to writing it to the socket.

Subscribing: the time from a request for 5,000 symbols to its answer, on a new connection each time; once of symbols
that the server has never heard of, so that it makes their topics, and once of those same symbols.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import attrs

from benchmark.driven import Client, Driven, open_clients, open_driven, subscription, symbol_names
from benchmark.wanted import SUBSCRIBE_MS, TOPICS_RATIO

__all__ = ["TopicsSettings", "run", "table"]


@attrs.frozen
class TopicsSettings:
    """How many topics few and many are, messages of a round, symbols of the long request, and rounds."""

    few: int = 10
    many: int = 100_000
    messages: int = 100_000
    symbols: int = 5_000
    rounds: int = 5


def run(settings: TopicsSettings) -> dict[str, object]:
    """Measure in turns; the costs are in microseconds a message, the times in milliseconds.

    Raises:
        SystemExit: a quote was lost, or a request refused.
    """
    few, many = _publishing(settings)
    new, known = _subscribing(settings)
    return {
        "benchmark": "topics",
        "few_topics": settings.few,
        "many_topics": settings.many,
        "messages": settings.messages,
        "symbols": settings.symbols,
        "rounds": settings.rounds,
        "few_us": _spread(few),
        "many_us": _spread(many),
        "ratio": _spread([one / other for one, other in zip(many, few, strict=True)]),
        "subscribe_new_ms": _spread(new),
        "subscribe_known_ms": _spread(known),
    }


def table(result: dict[str, Any]) -> str:
    """The result, for people."""
    rows = [
        (f"a message, {result['few_topics']:,} topics", "few_us", "us", ""),
        (f"a message, {result['many_topics']:,} topics", "many_us", "us", ""),
        ("  ratio", "ratio", "", f"wanted: {TOPICS_RATIO:g} at most"),
        (f"subscribe to {result['symbols']:,} new symbols", "subscribe_new_ms", "ms", f"wanted: {SUBSCRIBE_MS:g} ms"),
        (
            f"subscribe to {result['symbols']:,} known symbols",
            "subscribe_known_ms",
            "ms",
            f"wanted: {SUBSCRIBE_MS:g} ms",
        ),
    ]
    lines = [f"topics: processor's time of the server, and time to the answer (median of {result['rounds']}, span)"]
    for title, key, unit, wanted in rows:
        one = result[key]
        span = f"({one['lowest']:.2f} to {one['highest']:.2f})"
        lines.append(f"  {title:36}{one['median']:8.2f} {unit:2} {span:20} {wanted}".rstrip())
    return "\n".join(lines)


def _publishing(settings: TopicsSettings) -> tuple[list[float], list[float]]:
    everything = [subscription(["*"])]  # before there is any topic: a connection may ask for 50,000 at most
    with (
        open_driven() as one,
        open_driven() as other,
        open_clients(one.port, everything) as ones,
        open_clients(other.port, everything) as others,
    ):
        contenders = ((one, ones, settings.few), (other, others, settings.many))
        for server, clients, topics in contenders:
            made = max(topics, settings.messages)
            server.cost(clients, made, topics, made)
        costs: tuple[list[float], list[float]] = ([], [])
        for number in range(settings.rounds):
            for (server, clients, topics), found in zip(contenders, costs, strict=True):
                found.append(_microseconds(server, clients, topics, settings.messages))
            few, many = (found[-1] for found in costs)
            print(f"  round {number + 1}: {few:6.2f} us a message, and {many:6.2f}", file=sys.stderr)
        return costs


def _microseconds(server: Driven, clients: Sequence[Client], topics: int, messages: int) -> float:
    return server.cost(clients, messages, topics, messages) / messages * 1e6


def _subscribing(settings: TopicsSettings) -> tuple[list[float], list[float]]:
    new, known = [], []
    with open_driven() as server:
        for number in range(settings.rounds):
            request = subscription(symbol_names(settings.symbols, number * settings.symbols))
            with open_clients(server.port, [subscription(["WARM"])] * 2) as (first, second):
                new.append(_milliseconds(first, request, settings.symbols))
                known.append(_milliseconds(second, request, settings.symbols))
            print(f"  round {number + 1}: {new[-1]:6.1f} ms of new symbols, {known[-1]:6.1f} of known", file=sys.stderr)
    return new, known


def _milliseconds(client: Client, request: str, symbols: int) -> float:
    begin = time.perf_counter()
    answer = client.ask(request)
    seconds = time.perf_counter() - begin
    if (got := len(answer["symbols"])) != symbols:
        raise SystemExit(f"{got:,} of {symbols:,} symbols were subscribed")
    return seconds * 1e3


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
