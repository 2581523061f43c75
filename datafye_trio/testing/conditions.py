"""How the bytes of a connection travel: later, slower, in crumbs, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = ["Conditions", "together"]


@attrs.frozen
class Conditions:
    """The conditions of one direction of a connection. The default is none: each byte passes at once.

    Attributes:
        latency: seconds that each byte is under way. It costs no throughput: what is read meanwhile follows.
        jitter: up to so many seconds more, drawn anew for each piece; the order stays.
        bytes_per_second: the most that passes; None: as fast as it is taken.
        slices: each byte is written by itself.
        held: nothing passes until this ends. What is held back then goes on; what one end does not take, the other
            end's transport and outbox keep.

    Raises:
        ValueError: seconds below 0, or a rate that is not above 0.
    """

    latency: float = 0.0
    jitter: float = 0.0
    bytes_per_second: float | None = None
    slices: bool = False
    held: bool = False

    def __attrs_post_init__(self) -> None:
        if not (self.latency >= 0 and self.jitter >= 0):  # not <, which a NaN would pass
            raise ValueError(f"{self}: seconds are from 0")
        if self.bytes_per_second is not None and not self.bytes_per_second > 0:
            raise ValueError(f"{self}: a rate is above 0")

    @property
    def late(self) -> bool:
        """Whether bytes are under way for some time."""
        return self.latency > 0 or self.jitter > 0


def together(several: Sequence[Conditions]) -> Conditions:
    """The conditions where all of these hold: times add up, and the lowest rate counts."""
    rates = [one.bytes_per_second for one in several if one.bytes_per_second is not None]
    return Conditions(
        latency=sum(one.latency for one in several),
        jitter=sum(one.jitter for one in several),
        bytes_per_second=min(rates, default=None),
        slices=any(one.slices for one in several),
        held=any(one.held for one in several),
    )
