"""One client sends 64 MiB before or during its handshake, or behind it without reading an answer.

A round for each: a request that never ends (`head`), more behind the request than it may send (`behind`), one frame
that is as large (`frame`), as many messages as that takes (`messages`). The most memory that the server ever has may
grow by a MiB, by the kernel's own record (VmHWM). Before, each was tried once with a MiB, so that what is loaded or
made on first use is there.
"""

from __future__ import annotations

import argparse
from typing import Final

import attrs
import trio

from soaking.children import open_child
from soaking.knocking import knock
from soaking.running import say
from soaking.scenario import Report, Scenario, judge, whole
from soaking.sending_early import KINDS
from soaking.serving import Memory, Serve, open_serve

__all__ = ["SCENARIO", "Round", "judge_rounds"]

_MIB: Final = 2**20
_WARM_BYTES: Final = _MIB
_SAMPLE_SECONDS: Final = 0.02
_SOUND: Final = "messages"
"""They are within every budget, so that their connection may stay."""


@attrs.frozen
class Round:
    """One way to send too much: what was taken, for how long, how it ended, and the bytes that memory grew by."""

    kind: str
    sent: int
    seconds: float
    end: str
    resident: int
    proportional: int
    let_in: bool

    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.sent / _MIB:.1f} MiB taken in {self.seconds:.2f} s, then {self.end}; highest resident "
            f"memory {self.resident / _MIB:+.2f} MiB, highest proportional {self.proportional / _MIB:+.2f} MiB"
        )


def judge_rounds(rounds: list[Round], most: int, failures: list[str]) -> Report:
    """The verdict on all rounds, where memory may grow by so many bytes."""
    promises: dict[str, bool] = {}
    for one in rounds:
        promises |= {
            f"{one.kind}: memory grew by more than {most / _MIB:g} MiB": one.resident <= most,
            f"{one.kind}: the connection was not ended": one.end != "open" or one.kind == _SOUND,
            f"{one.kind}: a good client was not let in afterwards": one.let_in,
        }
    promises[f"the server has logged errors: {failures[:3]}"] = not failures
    return judge([str(one) for one in rounds], promises)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mib", type=whole, default=64, help="that the client tries to send (default: 64)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this one; may be repeated (default: all)")


async def _run(given: argparse.Namespace) -> Report:
    async with open_serve(rate=1.0) as server:
        kinds = given.kind or KINDS
        for kind in kinds:
            await _attack(server, kind, _WARM_BYTES)
        rounds = []
        for kind in kinds:
            say(f"sending {given.mib} MiB, {kind}")
            rounds.append(await _attack(server, kind, given.mib * _MIB))
        return judge_rounds(rounds, _MIB, server.failures)


async def _attack(server: Serve, kind: str, size: int) -> Round:
    server.forget_highest()
    before = server.memory
    samples: list[Memory] = []
    async with (
        open_child("sending_early", port=server.port, kind=kind, bytes=size) as attacker,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_sample, server, samples)
        end = await attacker.answer()
        nursery.cancel_scope.cancel()
    after = server.memory
    highest = max(memory.proportional for memory in (*samples, after))
    return Round(
        kind,
        end["sent"],
        end["seconds"],
        end["end"],
        after.highest - before.resident,
        highest - before.proportional,
        await knock(server.port) is not None,
    )


async def _sample(server: Serve, samples: list[Memory]) -> None:
    while True:
        samples.append(server.memory)
        await trio.sleep(_SAMPLE_SECONDS)


SCENARIO: Final = Scenario("early", "64 MiB sent before or during a handshake", _arguments, _run)
