"""How places are shared that any connection may take, and that an address may have hundreds of connections to take.

A fixed limit for each connection does not keep a few of them from taking all places. So whoever holds some must find as
many free to take another one: one alone can take half of all, `n` of them about `n / (n + 1)`, and a newcomer finds one
as long as they are fewer than the places. It is the dynamic threshold by which switches share their memory among
queues, with a factor of 1 (A. K. Choudhury and E. L. Hahne, "Dynamic queue length thresholds for shared-memory packet
switches", IEEE/ACM Transactions on Networking 6(2), 1998). A share for each address was rejected: programs behind one
proxy have one.
"""

from __future__ import annotations

__all__ = ["may_take"]


def may_take(held: int, free: int) -> bool:
    """Whether one that holds `held` places may have another one of the `free` ones."""
    return 0 < free >= held
