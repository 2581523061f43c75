"""Tasks beside a body: what anybody raises leaves bare, and nothing is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from datafye_trio.errors import FeedClosedError
from datafye_trio.strategy.background import Background


class beside(AbstractAsyncContextManager[None]):  # noqa: N801
    def __init__(self, *tasks: Callable[[], Awaitable[Any]]) -> None:
        self.tasks = tasks
        self.background = Background()

    async def __aenter__(self) -> None:
        nursery = await self.background.open()
        for task in self.tasks:
            nursery.start_soon(task)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.background.close(error)  # noqa: ASYNC102 -- ends when its tasks do


async def failing() -> None:
    await trio.sleep(1)
    raise KeyError("ours")


async def test_tasks_end_with_the_body(autojump_clock: MockClock) -> None:
    ended = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with beside(task, task):
        await trio.sleep(2)
    assert ended == [2, 2]


async def test_what_the_body_raises_is_the_very_same(autojump_clock: MockClock) -> None:
    mine = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with beside(trio.sleep_forever):
            raise mine
    assert caught.value is mine
    group = ExceptionGroup("mine", [ValueError(), ExceptionGroup("", [KeyError()])])
    with pytest.RaisesGroup(ValueError, pytest.RaisesGroup(KeyError), check=lambda found: found is group):
        async with beside(trio.sleep_forever):
            raise group


async def test_what_a_task_raises_cancels_the_body_and_leaves_bare(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError, match="ours") as caught:
        async with beside(failing):
            await trio.sleep(5)
    assert trio.current_time() == 1
    assert caught.value.__cause__ is None


async def test_both(autojump_clock: MockClock) -> None:
    mine = ValueError("mine")
    with pytest.raises(KeyError, match="ours") as caught:
        async with beside(failing):
            try:
                await trio.sleep(5)
            finally:
                raise mine
    assert caught.value.__cause__ is mine


async def test_cancelled_from_outside(autojump_clock: MockClock) -> None:
    with trio.move_on_after(1) as scope:
        async with beside(trio.sleep_forever):
            await trio.sleep(5)
    assert scope.cancelled_caught
    with trio.CancelScope() as scope:
        async with beside(trio.sleep_forever):
            scope.cancel()  # the body itself does not notice
        pytest.fail("not told")
    assert scope.cancelled_caught


async def test_is_entered_once(autojump_clock: MockClock) -> None:
    one = beside()
    async with one:
        pass
    with pytest.raises(FeedClosedError, match="entered once"):
        async with one:
            pytest.fail("entered")
