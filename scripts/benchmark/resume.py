"""How long it takes until 100 clients, all at once, have each resumed 1,000 messages: a network's return.

One client is subscribed when the messages are published, so that the topic is alive; 100 others are connected and
silent. Then each of these sends its request, and the time is from the first request to the last one's last message.
There is no peer: none of them keeps what it has sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmark.rounds import OURS, Course, Pair, in_turns, open_pair
from benchmark.table import Row, rows_of

__all__ = ["run"]

_CLIENTS: Final = 100
_MESSAGES: Final = 1_000


def run(course: Course) -> list[Row]:
    """Measure; the figure is in milliseconds."""

    def turn(name: str, audited: bool | None) -> tuple[bool, Mapping[str, float]]:
        if not audited:
            with open_pair(course, name, _CLIENTS, late=True) as pair:
                pair.audit(_MESSAGES)
                _resume(pair, audit=True)
        with open_pair(course, name, _CLIENTS, late=True) as pair:
            pair.burst(_MESSAGES)
            return True, {"ms": _resume(pair)["seconds"] * 1e3}

    return rows_of("resume", in_turns(course, course.peers.chosen([OURS]), turn))


def _resume(pair: Pair, **how: bool) -> dict[str, Any]:
    pair.load.order(do="resume", count=_MESSAGES, **how)
    pair.load.answer(pair.server)
    return pair.load.answer(pair.server)
