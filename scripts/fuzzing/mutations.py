"""Very many mutated handshakes and frames, one stranger after the other, to one whole server in one process.

All the while a client is subscribed there, that must get every message in order. Nothing may leave the server, nothing
may be logged as an error, and what strangers get back must be sound.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import attrs
import trio
from trio.testing import MockClock

from datafye_trio import ServerConfig
from fuzzing.mutating import Mutator
from fuzzing.target_server import GoodClient, attack, check_code, serving, watched_log
from fuzzing.targets import TARGETS, seeds_of

__all__ = ["Mutations", "attack_many"]

_EACH = 100
"""After so many strangers the good client gets a message, and proves that it is served."""


@attrs.define
class Mutations:
    """What came of them. `outcomes` counts the HTTP status of each answer, 0 for none."""

    executions: int = 0
    delivered: int = 0
    outcomes: Counter[int] = attrs.Factory(Counter)
    closes: Counter[int] = attrs.Factory(Counter)
    broken: list[str] = attrs.Factory(list)

    @property
    def sound(self) -> bool:
        """Whether nothing has broken."""
        return not self.broken

    def __str__(self) -> str:
        answers = ", ".join(f"{status or 'none'}: {count:,}" for status, count in sorted(self.outcomes.items()))
        closes = ", ".join(f"{code}: {count:,}" for code, count in sorted(self.closes.items()))
        lines = [
            f"{self.executions:,} mutated handshakes and frames; a client got its {self.delivered:,} messages",
            f"  answers: {answers}",
            f"  close codes behind a 101: {closes}",
            f"  uncaught exceptions and broken promises: {len(self.broken)}",
            *(f"    {text}" for text in self.broken[:10]),
        ]
        return "\n".join(lines)


def attack_many(seed: int, count: int, stopped: Callable[[], bool], report: Callable[[Mutations], None]) -> Mutations:
    """Send so many, until `stopped`."""
    found = Mutations()
    with watched_log() as log:
        run = partial(_attack_all, random.Random(seed), count, stopped, report, found)
        try:
            trio.run(run, clock=MockClock(autojump_threshold=0))
        except Exception as error:  # noqa: BLE001 -- the server's exit, which is what must not be
            found.broken.append(f"the server's exit: {error!r}")
        found.broken += [record.getMessage() for record in log.errors]
    return found


async def _attack_all(
    dice: random.Random,
    count: int,
    stopped: Callable[[], bool],
    report: Callable[[Mutations], None],
    found: Mutations,
) -> None:
    target, seeds = TARGETS["server"], seeds_of("server")
    mutator = Mutator(dice, target.words, target.longest)
    async with serving(ServerConfig()) as server:
        client = await GoodClient.connect(server)
        while found.executions < count and not stopped():
            data = mutator.change(dice.choice(seeds), dice.choice(seeds))
            try:
                answer = await attack(server, data)
                if answer.reading.ended == "closed":
                    check_code(answer.reading.code, data)
            except (AssertionError, ValueError) as error:
                found.broken.append(f"{error} -- {data[:200]!r}")
            else:
                found.outcomes[answer.status] += 1
                if answer.status == 101:
                    found.closes[answer.reading.code or 0] += 1
            found.executions += 1
            if found.executions % _EACH == 0:
                await client.answer_heartbeats()
                await client.get_one()
                found.delivered = client.received
            report(found)
