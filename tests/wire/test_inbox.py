"""The inbox: order, marks, its bound, and its end."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from datafye_trio.wire.inbox import Inbox


def test_all_is_taken_at_once_up_to_a_mark() -> None:
    inbox = Inbox(100)
    inbox.put([b"1"], 0, 10)
    inbox.put([b"2", None, None, b"3"], 2, 10)
    assert (inbox.take(), inbox.take(), inbox.marked) == ([b"1", b"2"], [], True)
    inbox.unmark()
    assert (inbox.take(), inbox.marked) == ([], True)
    inbox.unmark()
    assert (inbox.marked, inbox.take(), inbox.take()) == (False, [b"3"], [])


def test_what_is_discarded_is_gone_and_nothing_comes_after_the_end() -> None:
    inbox = Inbox(100)
    inbox.put([None, b"1"], 1, 10)
    inbox.end()
    inbox.put([b"2"], 0, 10)
    inbox.unmark()
    assert inbox.take() == [b"1"]
    inbox = Inbox(100)
    inbox.put([None, b"1"], 1, 10)
    inbox.end(discard=True)
    inbox.unmark()
    assert (inbox.marked, inbox.take()) == (False, [])


@pytest.mark.parametrize("how", ["take", "unmark", "end"])
async def test_there_is_room_again(how: str, autojump_clock: MockClock) -> None:
    inbox = Inbox(10)
    await inbox.wait_room()
    inbox.put([None] if how == "unmark" else [b"1"], int(how == "unmark"), 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.wait_room)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        {"take": inbox.take, "unmark": inbox.unmark, "end": inbox.end}[how]()


async def test_waiting_for_something_or_the_end(autojump_clock: MockClock) -> None:
    inbox = Inbox(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.wait)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        inbox.put([b"1"], 0, 1)
    with assert_checkpoints():
        await inbox.wait()
    inbox.take()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.wait)
        await wait_all_tasks_blocked()
        inbox.end()
    with assert_checkpoints():
        await inbox.wait()
