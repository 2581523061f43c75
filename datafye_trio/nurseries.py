"""The nursery that an `open_...` of this package owns while its body runs.

Such a context manager is a class, not an async generator, since a nursery must not stay open across a yield. And what
the body raises is to leave it bare: `except FeedError` around `open_feed` would never match the group that a nursery
makes of it.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import trio

from datafye_trio.errors import leaves_of

__all__ = ["BareNursery"]


class BareNursery:
    """For `__aenter__` and `__aexit__`. `nursery` is None before `enter`.

    Args:
        what: whose tasks these are, for the group that is raised where several of them fail.
    """

    def __init__(self, what: str) -> None:
        self.nursery: trio.Nursery | None = None
        self._what = what
        self._manager: AbstractAsyncContextManager[trio.Nursery] | None = None

    async def enter(self) -> trio.Nursery:
        """Open it."""
        self._manager = trio.open_nursery()  # not before: an `open_...` may be made where trio does not run yet
        self.nursery = await self._manager.__aenter__()
        return self.nursery

    async def leave(self, error: BaseException | None) -> None:
        """Cancel what still runs, and wait for its end.

        Args:
            error: what the body has raised; it goes on by itself, as the caller's `__aexit__` returns None.

        Raises:
            BaseException: what a task has raised, bare; a group where several have.
        """
        assert self.nursery is not None and self._manager is not None  # noqa: S101, PT018 -- entered before it is left
        self.nursery.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except BaseExceptionGroup as group:
            # Leaf by leaf: taking cancellations out of a group makes it anew, so a body's own group is not itself here.
            own = {id(leaf) for leaf in leaves_of(error)} if error is not None else set()
            ours = [leaf for leaf in leaves_of(group) if id(leaf) not in own and not isinstance(leaf, trio.Cancelled)]
            if len(ours) == 1:
                raise ours[0] from None
            if ours:
                raise BaseExceptionGroup(f"several tasks of {self._what} failed", ours) from None
