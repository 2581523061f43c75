"""The thread of a test server: calls into it, and what happens where it fails, is stuck, has ended or was forked."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel
from testing.threads import bridged, nothing

from datafye_trio.errors import DatafyeError, ServerClosedError
from datafye_trio.testing import bridge as module
from datafye_trio.testing.bridge import Bridge, StuckError


@asynccontextmanager
async def failing(after: trio.Event) -> AsyncIterator[trio.Event]:
    async with trio.open_nursery() as nursery:

        async def fail() -> None:
            await after.wait()
            raise ZeroDivisionError("a task of the server")

        nursery.start_soon(fail)
        yield after
        nursery.cancel_scope.cancel()


def test_runs_in_a_thread_of_its_own_with_its_name() -> None:
    with bridged("mine") as bridge:
        thread = bridge.call(threading.current_thread)
        assert (thread.name, thread.daemon) == ("mine", True)
        assert thread is not threading.current_thread()
    assert not thread.is_alive()


def test_calls_return_and_raise_and_are_in_effect_in_order() -> None:
    with bridged() as bridge:
        assert bridge.call(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            bridge.call(divmod, 1, 0)
        for word in ("a", "b", "c"):
            bridge.call(bridge.value.append, word)
        assert bridge.value == ["a", "b", "c"]


def test_waits_return_and_raise() -> None:
    async def double(number: int) -> int:
        await trio.lowlevel.checkpoint()
        return 2 * number

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise TimeoutError("the function's own")

    with bridged() as bridge:
        assert bridge.wait(double, 21) == 42
        with pytest.raises(TimeoutError, match="the function's own"):
            bridge.wait(fail)


def test_calls_from_its_own_thread_work_and_waits_are_refused() -> None:
    with bridged() as bridge:
        assert bridge.call(lambda: bridge.call(len, "abc")) == 3
        with pytest.raises(DatafyeError, match="own thread"):
            bridge.call(lambda: bridge.wait(trio.sleep, 0))


def test_two_at_once_know_nothing_of_each_other() -> None:
    with bridged() as one, bridged() as two:
        one.clock.jump(1000)
        assert one.call(trio.current_time) >= 1000 > two.call(trio.current_time)
        one.stop()
        assert two.call(len, "ab") == 2


def test_what_entering_raises_is_raised_by_the_start() -> None:
    @asynccontextmanager
    async def refusing() -> AsyncIterator[None]:
        raise OSError("no such port")
        yield

    before = threading.active_count()
    with pytest.raises(OSError, match="no such port"):
        Bridge(refusing, "refusing").start()
    assert threading.active_count() == before


def test_after_the_end_calls_say_so() -> None:
    with bridged() as bridge:
        pass
    bridge.stop()  # once more does nothing
    for ask in (lambda: bridge.call(len, ""), lambda: bridge.wait(trio.sleep, 0), lambda: bridge.submit(trio.sleep, 0)):
        with pytest.raises(ServerClosedError, match="this test server has ended"):
            ask()


def test_before_the_start_calls_say_so() -> None:
    with pytest.raises(DatafyeError, match="has not been started"):
        Bridge(nothing, "early").call(len, "")


def test_the_end_ends_waits_which_are_told() -> None:
    with bridged() as bridge:
        future = bridge.submit(trio.sleep_forever)
    with pytest.raises(ServerClosedError):
        future.result(0)


def test_a_run_that_fails_is_told_by_waits_calls_and_the_stop() -> None:
    bridge = Bridge(lambda: failing(trio.Event()), "failing")
    bridge.start()
    future = bridge.submit(trio.sleep_forever)
    bridge.call(bridge.value.set)
    with pytest.raises(ServerClosedError):
        future.result(5)
    with pytest.RaisesGroup(
        pytest.RaisesExc(ZeroDivisionError, match="a task of the server"), flatten_subgroups=True
    ) as stopped:
        bridge.stop()
    with pytest.raises(ServerClosedError) as late:
        bridge.call(len, "")
    assert late.value.__cause__ is stopped.value


def test_asyncio_awaits_and_cancels() -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async def main(bridge: Bridge[list[str]]) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(bridge.submit(wait)), 0.02)

    with bridged() as bridge:
        asyncio.run(main(bridge))
        assert cancelled.wait(5)


def test_where_no_thread_can_be_started_that_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_start)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        Bridge(nothing, "none").start()


def test_what_comes_while_it_ends_is_too_late() -> None:
    late: list[Future[None]] = []

    @asynccontextmanager
    async def slow_to_end() -> AsyncIterator[None]:
        yield
        late.append(bridge.submit(trio.sleep, 0))
        await trio.sleep(0.01)

    bridge = Bridge(slow_to_end, "ending")
    bridge.start()
    bridge.stop()
    with pytest.raises(ServerClosedError):
        late[0].result(0)


def test_one_that_is_stuck_is_shown_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.05)
    release = threading.Event()
    bridge = Bridge(nothing, "stuck")
    bridge.start()
    with pytest.raises(StuckError, match=r"'stuck' stands here:\n(.*\n)*.*release\.wait\(\)"):
        bridge.call(lambda: release.wait())
    with pytest.raises(StuckError, match="has not ended within"):
        bridge.stop()
    release.set()
    monkeypatch.undo()
    bridge.stop()


def test_a_long_wait_is_none_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.01)
    with bridged() as bridge:
        began = time.monotonic()
        bridge.wait(trio.sleep, 0.05)
        assert time.monotonic() - began >= 0.05


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_is_refused_and_does_no_harm() -> None:
    with bridged() as bridge:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that threads and forks do not mix is the point
            child = os.fork()
        if child == 0:
            status = 1
            try:
                bridge.call(len, "")
            except DatafyeError as error:
                status = 0 if "of which this is a fork" in str(error) else 2
            try:
                bridge.stop()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert bridge.call(len, "abc") == 3
