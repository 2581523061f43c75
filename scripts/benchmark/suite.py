"""The benchmarks of the table, by name: what each measures, and how to run it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs

from benchmark import fanout, latency, resume
from benchmark.load_clients import LoadError
from benchmark.processes import BenchError
from benchmark.rounds import OURS, Course, say
from benchmark.table import Row, Spread
from benchmark.wanted import wanted_of

__all__ = ["SUITE", "TITLES", "run"]


def _client(course: Course) -> list[Row]:
    # The other benchmarks have no need of its peers.
    from benchmark.client_rounds import ReceiveSettings, run

    chosen = ["trio-websocket", "aiohttp", "picows, uvloop", "open_feed", "open_raw_feed", "the fast lane alone"]
    settings = ReceiveSettings(course.python, 40_000 if course.quick else 400_000, course.rounds, contenders=chosen)
    contenders: Any = run(settings)["contenders"]
    figure = "events/s"
    rows = []
    for name, one in contenders.items():
        value = _spread(one)
        wanted = wanted_of("client", name, figure)
        rows += [
            Row("client", name, figure, value, _spread(contenders[each.ours]["ratios"][name]), each) for each in wanted
        ] or [Row("client", name, figure, value)]
    return rows


def _topics(course: Course) -> list[Row]:
    from benchmark.topics import TopicsSettings, run

    counts = {"many": 20_000, "messages": 20_000} if course.quick else {}
    result: Any = run(TopicsSettings(rounds=course.rounds, **counts))
    few, many, symbols = (f"{result[name]:,}" for name in ("few_topics", "many_topics", "symbols"))
    rows = [
        ("us/message", f"{few} topics", "few_us", ""),
        ("us/message", f"{many} topics", "many_us", "ratio"),
        ("ms", f"{symbols} new symbols", "subscribe_new_ms", ""),
        ("ms", f"{symbols} known symbols", "subscribe_known_ms", ""),
    ]
    return [
        Row(
            "topics",
            name,
            figure,
            _spread(result[key]),
            _spread(result[ratio]) if ratio else None,
            next(iter(wanted_of("topics", key, figure)), None),
        )
        for figure, name, key, ratio in rows
    ]


def _idle(course: Course) -> list[Row]:
    from benchmark.idle import IdleSettings, run

    result: Any = run(IdleSettings(course.python, 200 if course.quick else 500, course.rounds))
    figures = {
        "bytes": "bytes/connection",
        "one_by_one": "connections/s, one by one",
        "at_once": "connections/s, 50 at once",
        "at_once_us": "us of the processor",
    }
    return [
        Row(
            "idle",
            name,
            figure,
            _spread(one[key]),
            None if name == OURS else _spread(result["ratios"][key]),
            next(iter(wanted_of("idle", name, figure)), None),
        )
        for key, figure in figures.items()
        for name, one in result["contenders"].items()
    ]


def _spread(one: Mapping[str, float]) -> Spread:
    return Spread(one["median"], one["lowest"], one["highest"])


@attrs.frozen
class Benchmark:
    """One part of the table."""

    title: str
    run: Callable[[Course], list[Row]]


SUITE: Final = {
    "fanout-100": Benchmark("deliveries to 100 clients, one topic", partial(fanout.run, "fanout-100")),
    "fanout-1000": Benchmark("deliveries to 1,000 clients, one topic", partial(fanout.run, "fanout-1000")),
    "mixed": Benchmark(
        "deliveries to 200 clients, each with 50 of 500 symbols (Zipf), quotes and trades", partial(fanout.run, "mixed")
    ),
    "single": Benchmark("an idle server, a message each 20 ms: how late at the last of 100 clients", latency.single),
    "latency": Benchmark("the same, at half of the rate that picows delivers", latency.latency),
    "rate": Benchmark("the highest rate to 100 clients with p99 below 50 ms", latency.rate),
    "client": Benchmark("events received from one stream, each made a dict or (open_feed) an event", _client),
    "topics": Benchmark("the processor's time of a message by topics, and a long subscribe; ratio: to few", _topics),
    "idle": Benchmark("what an idle connection takes, and how many a second come and go", _idle),
    "resume": Benchmark("until 100 clients, all at once, have resumed 1,000 messages each", resume.run),
    "tls": Benchmark("fanout-100 with TLS, which the one load client decrypts", partial(fanout.run, "tls")),
}
TITLES: Final = {name: one.title for name, one in SUITE.items()}


def run(names: Sequence[str], course: Course) -> list[Row]:
    """Run these benchmarks; one that cannot be run at all is a row that says why."""
    rows = []
    for name in names:
        say(f"{name}: {SUITE[name].title}")
        begin = time.monotonic()
        try:
            rows += SUITE[name].run(course)
        except (BenchError, LoadError, SystemExit) as error:
            say(f"  {error}")
            rows.append(Row(name, "all", failure=str(error)))
        say(f"  that took {time.monotonic() - begin:.0f} s")
    return rows
