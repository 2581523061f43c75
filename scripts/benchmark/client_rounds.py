"""The benchmark of clients: events a second received from one stream, ours beside its peers, in one run.

A process of its own writes ready-made frames (`client_source`), the same bytes for all. Each contender
(`client_peers`) is a fresh process of the same Python: all of them in turn, then all again, round after round. A
contender that does not end at the right event with the right count is an error, not a number. Ratios are made within
a round and then summed up, so that what else the machine does falls on both sides; where it does much, the processor's
time an event is the number to trust.

The decoder alone bounds every result: 0.55 us a message as a dict, 0.38 as a struct, of a core that gives
trio-websocket 55,000 events a second. So 1.8 million dicts a second is the most that any client could reach there.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import attrs

from benchmark import ENVIRONMENT, program
from benchmark.client_peers import CONTENDERS
from benchmark.client_source import symbol_at, time_at

__all__ = ["ReceiveSettings", "known", "run", "table"]

_REFERENCES: Final = ("trio-websocket", "aiohttp", "picows, uvloop")
_DEADLINE: Final = 60

_Results: TypeAlias = dict[str, list[dict[str, float]]]


@attrs.frozen
class ReceiveSettings:
    """How much, how often, and who: `python` is that of the environment with the peers, `decoder` what they use."""

    python: Path
    messages: int
    rounds: int
    symbols: int = 10
    contenders: Sequence[str] = tuple(CONTENDERS)
    decoder: str = "msgspec"


def known(names: Sequence[str] | None) -> Sequence[str]:
    """The contenders of these names; all for None.

    Raises:
        SystemExit: there is none of that name; the text shows all.
    """
    if unknown := [name for name in names or () if name not in CONTENDERS]:
        raise SystemExit(f"no contender {unknown[0]!r}; there are: {'; '.join(CONTENDERS)}")
    return names or tuple(CONTENDERS)


def run(settings: ReceiveSettings) -> dict[str, object]:
    """Measure all contenders in turns.

    Raises:
        SystemExit: one failed, or received anything but the stream.
    """
    probe = subprocess.run(
        program(settings.python, "client_peers"),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    here: dict[str, dict[str, str]] = json.loads(probe.stdout)
    for name in settings.contenders:
        if why := here["missing"].get(name):
            print(f"  {name} is left out: {why}", file=sys.stderr)
    names = [name for name in settings.contenders if name not in here["missing"]]
    command = program(sys.executable, "client_source", settings.symbols, settings.messages)
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as source:
        try:
            return _summary(settings, _measure(settings, names, source)) | {"versions": here["versions"]}
        finally:
            source.kill()


def _measure(settings: ReceiveSettings, names: Sequence[str], source: subprocess.Popen[str]) -> _Results:
    if source.stdin is None or source.stdout is None or not (port := source.stdout.readline().strip()):
        raise SystemExit("the source of the benchmark did not start")
    for name in names:
        _one(settings, source.stdin, port, name, 0.1)  # a warm-up
    results: _Results = {name: [] for name in names}
    for number in range(settings.rounds):
        print(f"  round {number + 1}", file=sys.stderr)
        for name, rounds in results.items():
            rounds.append(_one(settings, source.stdin, port, name, 1.0))
            print(f"    {name:23}{_rate(rounds[-1]):12,.0f} events/s", file=sys.stderr)
    return results


def _one(settings: ReceiveSettings, orders: IO[str], port: str, name: str, part: float) -> dict[str, float]:
    contender = CONTENDERS[name]
    count = max(1, int(settings.messages * contender.part * part))
    orders.write(f"{count}\n")
    orders.flush()
    command = program(settings.python, "client_peers", name, port, settings.symbols, count, settings.decoder)
    try:
        done = subprocess.run(
            command,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
            timeout=_DEADLINE,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{name} did not receive {count:,} events within {_DEADLINE} s") from None
    if done.returncode:
        raise SystemExit(f"{name} failed with exit code {done.returncode}: {done.stdout or 'see above'}")
    result: dict[str, Any] = json.loads(done.stdout)
    expected = (count, symbol_at(count - 1, settings.symbols), time_at(count - 1))
    if (result["events"], result["symbol"], result["time_ns"]) != expected:
        raise SystemExit(f"{name} received something else than the stream: {result}, not {expected}")
    return result


def _rate(result: dict[str, float]) -> float:
    return result["events"] / result["seconds"]


def _summary(settings: ReceiveSettings, results: _Results) -> dict[str, object]:
    rates = {name: [_rate(one) for one in rounds] for name, rounds in results.items()}
    return {
        "benchmark": "client",
        "symbols": settings.symbols,
        "messages": settings.messages,
        "rounds": settings.rounds,
        "decoder": settings.decoder,
        "contenders": {
            name: _spread(mine)
            | {
                "processor_us": statistics.median(
                    one["processor_seconds"] / one["events"] * 1e6 for one in results[name]
                ),
                "ratios": {
                    other: _spread([a / b for a, b in zip(mine, rates[other], strict=True)])
                    for other in _REFERENCES
                    if other in rates
                },
            }
            for name, mine in rates.items()
        },
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def table(result: dict[str, Any]) -> str:
    """The result, for people."""
    contenders = result["contenders"]
    references = [name for name in _REFERENCES if name in contenders]
    title = f"client: events/s (median of {result['rounds']} rounds, span), processor's time an event, ratio to"
    lines = [
        f"the peers decode with {result['decoder']}",
        title,
        " " * 69 + "".join(f"{name:>16}" for name in references),
    ]
    for name, one in contenders.items():
        span = f"({one['lowest']:,.0f} to {one['highest']:,.0f})"
        ratios = "".join(f"{one['ratios'][other]['median']:16.2f}" for other in references)
        lines.append(f"  {name:23}{one['median']:12,.0f} {span:>24} {one['processor_us']:5.2f} us{ratios}")
    lines.append("  " + ", ".join(f"{name} {number}" for name, number in result["versions"].items()))
    return "\n".join(lines)
