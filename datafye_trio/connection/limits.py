"""The budgets of one connection (protocol.md section 8)."""

from __future__ import annotations

import attrs

__all__ = ["RequestLimits"]


@attrs.frozen
class RequestLimits:
    """What one connection may ask for: `rate` requests a second, `burst` at once; `errors` within 10 s end it.

    `streams` is how many streams of stored data may run at once.
    """

    topics: int = 50_000
    symbols: int = 10_000
    rate: float = 100.0
    burst: int = 2_000
    errors: int = 20
    streams: int = 64
