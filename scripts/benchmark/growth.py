"""How the server's cost grows: processor seconds of its process as one thing grows and all else stays the same.

On paper. Let a pass of the broker hand out M messages, of T topics, in C chunks of B bytes to their subscribers:

- Each message is checked, numbered and encoded once: O(M), however many receive it.
- Each topic touched gets one segment of its ring and offers itself to its subscribers: O(sum of them over T).
- Clients that want the same of the touched topics share chunks: O(B) to join them, once a set of topics; then one
  system call a chunk and client: O(C), and O(B) of copying in the kernel. So a client costs chunks, not messages.
- Nothing looks at topics, clients or symbols that a pass does not touch, but for one: a source at full speed asks all
  clients whether they lag, before each batch. The rings forget from their ends, in O(1) a segment.
- A request costs O(its symbols), whatever the server holds; a connection that ends, O(its topics).

So the cost is linear in messages and in deliveries, at worst; less than linear in clients and in the symbols of a
client, because messages are encoded once and go out in chunks; and it depends on topics only by how many of them a
pass touches, which is bounded by its messages: growing with the number of topics as long as that is less than the
1,024 messages of a pass, and from there on not at all.

Measured. Each row grows one thing to its double, four times its size and eight times. The exponent is the slope of a
straight line through the logarithms, by least squares: 1 is linear, 0 is no growth. Each point has a server of its own,
which has published something of all topics before.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import attrs

from benchmark.driven import open_clients, open_driven, subscription, symbol_names

__all__ = ["GrowthSettings", "run", "slope", "table"]

_FACTORS: Final = (1, 2, 4, 8)
_WANTED: Final = 1.1
"""The largest exponent that counts as linear: a tenth is for the noise of a machine that others use."""


@attrs.frozen
class GrowthSettings:
    """`scale` makes all counts of messages smaller, for a quick look; `rounds` is how often each point is measured."""

    rounds: int = 5
    scale: float = 1.0


@attrs.frozen
class _Load:
    """One point: quotes over symbols to clients, each of which asks for `basket` of the symbols, or for all (0)."""

    messages: int
    clients: int = 20
    symbols: int = 10
    basket: int = 0


def _cost(load: _Load) -> tuple[float, int]:
    """The processor seconds of a load, and its deliveries."""
    wanted = [_basket(load, client) for client in range(load.clients)]
    names = symbol_names(load.symbols)
    requests = [subscription([names[number] for number in basket] or ["*"]) for basket in wanted]
    with open_driven() as server, open_clients(server.port, requests) as clients:
        for count in (load.symbols, load.messages):  # first once each, to make the topics
            # The symbols take turns from the first one on: the first `rest` of them have one message more.
            each, rest = divmod(count, load.symbols)
            deliveries = sum(
                each * len(basket) + sum(number < rest for number in basket) if basket else count for basket in wanted
            )
            seconds = server.cost(clients, count, load.symbols, deliveries)
    return seconds, deliveries


def _basket(load: _Load, client: int) -> Sequence[int]:
    return Random(client).sample(range(load.symbols), load.basket)


def _subscribe_cost(symbols: int) -> tuple[float, int]:
    """The processor seconds of a request for so many symbols that are new to the server, and their number."""
    with open_driven() as server, open_clients(server.port, [subscription(["WARM"])]) as clients:
        begin = server.processor_seconds()
        for number in range(4):  # a single one is over in the wink of a clock
            clients[0].ask(subscription(symbol_names(symbols, number * symbols)))
        return server.processor_seconds() - begin, 4 * symbols


def _sweeps(scale: float) -> dict[str, Callable[[int], tuple[float, int]]]:
    """For each thing that grows, what measures it at a factor."""

    def messages(count: int) -> int:
        return max(1, round(count * scale))

    return {
        "messages, from 10,000": lambda factor: _cost(_Load(messages(10_000 * factor))),
        "clients, from 25": lambda factor: _cost(_Load(messages(20_000), clients=25 * factor)),
        "topics, from 1,000": lambda factor: _cost(_Load(messages(40_000), clients=10, symbols=1_000 * factor)),
        "symbols a client, from 50": lambda factor: _cost(
            _Load(messages(40_000), clients=50, symbols=4_000, basket=50 * factor)
        ),
        "symbols a request, from 1,000": lambda factor: _subscribe_cost(max(1, round(1_000 * factor * scale))),
    }


def run(settings: GrowthSettings) -> dict[str, object]:
    """Measure everything `rounds` times, each time all of it.

    Raises:
        SystemExit: something was lost.
    """
    sweeps = _sweeps(settings.scale)
    seconds: dict[str, list[list[float]]] = {name: [] for name in sweeps}
    deliveries: dict[str, list[int]] = {}
    for number in range(settings.rounds):
        print(f"  round {number + 1}", file=sys.stderr)
        for name, measure in sweeps.items():
            points = [measure(factor) for factor in _FACTORS]
            seconds[name].append([point for point, _ in points])
            deliveries[name] = [count for _, count in points]
            print(f"    {name:30} exponent {slope(_FACTORS, seconds[name][-1]):5.2f}", file=sys.stderr)
    return {
        "benchmark": "growth",
        "rounds": settings.rounds,
        "factors": list(_FACTORS),
        "sweeps": {
            name: {
                "seconds": [statistics.median(point) for point in zip(*rounds, strict=True)],
                "deliveries": deliveries[name],
                "exponent": _spread([slope(_FACTORS, points) for points in rounds]),
            }
            for name, rounds in seconds.items()
        },
    }


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent of growth: b of the cost a * size ** b that fits best, by least squares of the logarithms.

    Raises:
        ValueError: a cost or a size is not above 0.
    """
    return statistics.linear_regression(list(map(math.log, sizes)), list(map(math.log, costs))).slope


def table(result: dict[str, Any]) -> str:
    """The result, for people."""
    factors = "".join(f"{f'{factor}x':>9}" for factor in result["factors"])
    lines = [
        f"growth: processor seconds of the server, us a delivery below (median of {result['rounds']} rounds); "
        f"wanted: exponents of {_WANTED:g} at most",
        f"{'':32}{factors}   exponent (span)",
    ]
    for name, sweep in result["sweeps"].items():
        exponent = sweep["exponent"]
        seconds = "".join(f"{value:9.3f}" for value in sweep["seconds"])
        each = zip(sweep["seconds"], sweep["deliveries"], strict=True)
        costs = "".join(f"{value / count * 1e6:9.3f}" for value, count in each)
        lines.append(
            f"  {name:30}{seconds}   {exponent['median']:5.2f} ({exponent['lowest']:.2f} to {exponent['highest']:.2f})"
        )
        lines.append(f"  {'':30}{costs}")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
