"""Tasks beside the body of an `async with`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import trio

from datafye_trio.errors import FeedClosedError, leaves_of

__all__ = ["Background"]


class Background:
    """A nursery that another context manager holds open for its own tasks, and that no exception shows.

    What the body raises leaves it bare, not in a group; so does what a task raises, which cancels the body first.
    """

    def __init__(self) -> None:
        self._manager: AbstractAsyncContextManager[trio.Nursery] = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def open(self) -> trio.Nursery:
        """To be called by `__aenter__`, as the last thing that may fail there.

        Raises:
            FeedClosedError: it was open before.
        """
        if self._nursery is not None:
            raise FeedClosedError("it is entered once: make another one")
        self._nursery = await self._manager.__aenter__()
        return self._nursery

    async def close(self, error: BaseException | None) -> None:
        """To be called by `__aexit__` with what the body has raised: cancels the tasks, and waits for their end.

        Raises:
            BaseException: what a task has raised; the first one. What the body raised itself is its cause.
        """
        assert self._nursery is not None  # noqa: S101 -- set by open
        self._nursery.cancel_scope.cancel()
        kind, traceback = (None, None) if error is None else (type(error), error.__traceback__)
        try:
            await self._manager.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            # What the body raised goes on by itself.
            own = {id(leaf) for leaf in leaves_of(error)} if error is not None else set()
            ours = [leaf for leaf in leaves_of(group) if id(leaf) not in own and not isinstance(leaf, trio.Cancelled)]
            if ours:
                raise ours[0] from (None if isinstance(error, trio.Cancelled) else error)
        await trio.lowlevel.checkpoint_if_cancelled()  # tells outside what was taken out of the group
