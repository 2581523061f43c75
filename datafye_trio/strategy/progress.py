"""How far a run on a recording is."""

from __future__ import annotations

import attrs

__all__ = ["Progress"]


@attrs.frozen
class Progress:
    """How far a run is: market time in nanoseconds since 1970 UTC, events so far, and real seconds since the start."""

    time: int
    events: int
    seconds: float
