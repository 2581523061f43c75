"""Ctrl-C while a program waits for a test server's thread: the wait ends at once, and nothing goes on without it."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from testing.threads import bridged, nothing

from datafye_trio.testing import bridge as module
from datafye_trio.testing.bridge import Bridge


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """A shell starts what it runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_wait_and_the_function() -> None:
    cancelled = threading.Event()
    waiting = threading.Event()

    async def wait() -> None:
        waiting.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    def interrupt() -> None:
        waiting.wait(5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    with bridged() as bridge:
        other.start()
        with pytest.raises(KeyboardInterrupt):
            bridge.wait(wait)
        assert cancelled.wait(5)
    other.join()


def test_ctrl_c_between_the_start_of_a_function_and_the_wait_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    struck: list[bool] = []
    soon = Bridge._soon

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    def interrupted(self: Bridge[object], function: Callable[[], object]) -> None:
        soon(self, function)
        if not struck:
            struck.append(True)
            raise KeyboardInterrupt

    with bridged() as bridge:
        monkeypatch.setattr(Bridge, "_soon", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bridge.wait(wait)
        assert cancelled.wait(5)


def test_ctrl_c_while_it_starts_leaves_no_thread() -> None:
    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await trio.sleep(0.01)
        yield

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        Bridge(slow, "slow").start()
    assert threading.active_count() == before


def test_ctrl_c_before_its_run_has_begun_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = threading.Event()
    run, start, join = trio.run, threading.Thread.start, threading.Thread.join

    def late_run(*args: object, **options: object) -> None:
        assert interrupted.wait(5)
        run(*args, **options)  # type: ignore[arg-type]

    def interrupted_start(self: threading.Thread) -> None:
        start(self)
        raise KeyboardInterrupt

    def late_join(self: threading.Thread, timeout: float | None = None) -> None:
        interrupted.set()
        join(self, timeout)

    monkeypatch.setattr(module.trio, "run", late_run)
    monkeypatch.setattr(threading.Thread, "start", interrupted_start)
    monkeypatch.setattr(threading.Thread, "join", late_join)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        Bridge(nothing, "early").start()
    assert threading.active_count() == before
