"""A thread with a Trio run of its own, in which one async context manager is open, and calls into it from outside.

Rules:

- a plain call runs between two steps of the run's tasks, so that calls are in effect in the order in which they were
  made; one that waits is a task there, with a cancel scope that giving the call up cancels;
- nothing here waits without a bound on a thread that is stuck: who waits looks every few seconds whether it still
  answers, and is told where it stands if it does not;
- the thread is a daemon, so that one that is stuck does not hold up the end of the process as well.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, Final, Generic, ParamSpec, TypeVar

import trio
from trio.testing import MockClock

from datafye_trio.errors import DatafyeError, ServerClosedError

__all__ = ["Bridge", "StuckError"]

_T = TypeVar("_T")
_R = TypeVar("_R")
_P = ParamSpec("_P")
_ANSWER_SECONDS: Final = 10.0
"""Real seconds in which a healthy thread answers a plain call, however loaded the machine is."""
_STOP_SECONDS: Final = 10.0
"""Real seconds for the end: the server's own deadlines run in its clock, and that jumps by then."""
_STOP_JUMP: Final = 0.1
"""Real seconds of quiet after which an ending server's clock jumps to its next deadline: peers that answer a close do
so sooner, and for others nobody waits."""


class StuckError(DatafyeError):
    """The thread of a test server does not answer; the text shows where it stands."""


class Bridge(Generic[_T]):
    """Runs `async with manager() as value` in a thread of its own.

    Attributes:
        clock: the run's clock. It goes with real time, until somebody jumps it.
        value: what the manager gave; only for use in calls.

    Args:
        manager: makes the context manager; called in the thread, in the run.
        name: the thread's.
    """

    value: _T

    def __init__(self, manager: Callable[[], AbstractAsyncContextManager[_T]], name: str) -> None:
        self.clock = MockClock(rate=1.0)
        self._manager = manager
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ready: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._stop_asked = False
        self._stopping: trio.Event
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery

    def start(self) -> None:
        """Start; returns when the manager is entered.

        Raises:
            Exception: what entering it raised.
        """
        try:
            self._thread.start()
            self._ready.result()
        except BaseException:  # Ctrl-C, too: the thread is not to outlive a start that nobody waits for
            self._stop_running()
            if self._thread.ident is not None:
                self._thread.join(_STOP_SECONDS)
            raise

    def stop(self) -> None:
        """Leave the manager and wait for the thread's end, which is bounded. Idempotent.

        Raises:
            Exception: what leaving raised, or what ended the run before.
            StuckError: it does not end.
        """
        if os.getpid() != self._process:
            return  # a forked child has no such thread; the server is its parent's
        self._stop_running()
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            raise StuckError(f"the test server has not ended within {_STOP_SECONDS:g} s.\n{self._whereabouts()}")
        self._result(self._ended)

    def call(self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call a function in the run and return what it returns. It must not wait.

        Raises:
            ServerClosedError: the run has ended.
            StuckError: the thread does not answer.
            Exception: what the function raised.
        """
        __tracebackhide__ = True
        if threading.current_thread() is self._thread:
            return function(*args, **kwargs)
        future: Future[_R] = Future()
        self._soon(partial(_fulfil, future, partial(function, *args, **kwargs)))
        return self._result(future)

    def look(self, function: Callable[[], _R]) -> _R:
        """As `call`, for what only looks; it works after the end, too, when nothing changes any more.

        Raises:
            StuckError: the thread does not answer.
        """
        if not self._ended.done():
            with suppress(ServerClosedError):
                return self.call(function)
        return function()

    def wait(self, function: Callable[_P, Awaitable[_R]], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call an async function in the run and wait for what it returns. Ctrl-C ends the wait, and the function.

        Raises:
            ServerClosedError, StuckError: as `call`.
            DatafyeError: this is the thread of the run itself.
            Exception: what the function raised.
        """
        __tracebackhide__ = True
        if threading.current_thread() is self._thread:
            raise DatafyeError("this is the test server's own thread: a wait here would stop the server")
        future: Future[_R] = Future()
        try:
            self._start(future, partial(function, *args, **kwargs))
            return self._result(future)
        finally:  # wherever Ctrl-C has struck, also between those two
            future.cancel()

    def submit(self, function: Callable[_P, Awaitable[_R]], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """Start an async function in the run; cancelling the future cancels it there.

        Raises:
            ServerClosedError: the run has ended.
        """
        future: Future[_R] = Future()
        self._start(future, partial(function, *args, **kwargs))
        return future

    # In the thread.

    def _run(self) -> None:
        try:
            trio.run(self._main, clock=self.clock)
        except BaseException as error:  # noqa: ASYNC103, BLE001 -- the caller's: told by start, stop, and every call
            self._ended.set_exception(error)
            if not self._ready.done():
                self._ready.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _main(self) -> None:
        self._stopping = trio.Event()
        self._token = trio.lowlevel.current_trio_token()
        if self._stop_asked:  # before there was a token by which to ask
            self._end()
        async with self._manager() as self.value, trio.open_nursery() as self._nursery:
            self._ready.set_result(None)
            try:
                await self._stopping.wait()
            finally:  # also where the manager's tasks have failed: from now on nothing can be started
                self._stopping.set()
                self._nursery.cancel_scope.cancel()

    def _begin(self, future: Future[Any], serve: Callable[[], Awaitable[None]]) -> None:
        if not self._stopping.is_set():
            self._nursery.start_soon(serve)
        elif future.set_running_or_notify_cancel():
            future.set_exception(_closed())

    def _end(self) -> None:
        self._stopping.set()
        self.clock.autojump_threshold = _STOP_JUMP

    # Outside.

    def _stop_running(self) -> None:
        self._stop_asked = True
        if self._token is not None:
            with suppress(ServerClosedError):
                self._soon(self._end)

    def _soon(self, function: Callable[[], object]) -> None:
        __tracebackhide__ = True
        if os.getpid() != self._process:
            raise DatafyeError(
                f"the test server runs in process {self._process}, of which this is a fork: use its URL here"
            )
        try:
            if self._token is None:
                raise DatafyeError("this test server has not been started")
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            raise _closed() from self._ended.exception(_ANSWER_SECONDS)

    def _start(self, future: Future[_R], function: Callable[[], Awaitable[_R]]) -> None:
        __tracebackhide__ = True
        scope = trio.CancelScope()

        def given_up(done: Future[_R]) -> None:
            if done.cancelled():
                with suppress(ServerClosedError):  # where that has ended, so has the function
                    self._soon(scope.cancel)

        future.add_done_callback(given_up)
        self._soon(partial(self._begin, future, partial(_serve, future, scope, function)))

    def _result(self, future: Future[_R]) -> _R:
        """What a future gives. The wait is cut in pieces, and after each the thread has to show that it is alive."""
        __tracebackhide__ = True
        while True:
            try:
                return future.result(_ANSWER_SECONDS)
            except TimeoutError:
                if future.done():  # just now, or it was the function's own
                    return future.result()
            except (AssertionError, DatafyeError) as error:
                # Its text says all: where in here it was raised tells a test nothing.
                raise error.with_traceback(None) from error.__cause__
            alive: Future[None] = Future()
            self._soon(partial(alive.set_result, None))
            try:
                alive.result(_ANSWER_SECONDS)
            except TimeoutError:
                raise StuckError(f"the test server does not answer.\n{self._whereabouts()}") from None

    def _whereabouts(self) -> str:
        frame = sys._current_frames().get(self._thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "(nowhere)\n"
        return f"Its thread {self._thread.name!r} stands here:\n{stack}"


def _closed() -> ServerClosedError:
    return ServerClosedError("this test server has ended: ask it within the `with` block, or within the test")


def _fulfil(future: Future[_R], function: Callable[[], _R]) -> None:
    try:
        future.set_result(function())
    except Exception as error:  # noqa: BLE001 -- it is the caller's
        future.set_exception(error)


async def _serve(future: Future[_R], scope: trio.CancelScope, function: Callable[[], Awaitable[_R]]) -> None:
    """Run a function for a future. Cancelled by the end of the run, the caller is told that the server has ended."""
    outcome: Callable[[], object] = partial(future.set_exception, _closed())
    try:
        with scope:
            value = await function()
            outcome = partial(future.set_result, value)
    except Exception as error:  # noqa: BLE001 -- likewise
        outcome = partial(future.set_exception, error)
    finally:
        if future.set_running_or_notify_cancel():
            outcome()
