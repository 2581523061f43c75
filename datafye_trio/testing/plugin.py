"""The pytest plugin: a market data server for each test that asks for one, and a look at what the test leaves behind.

pytest loads this module in every run of whoever has the package installed. So it imports pytest and nothing else; what
a test needs is imported when a test needs it (a test of ours holds that), and what is for pytest-trio only where that
is loaded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from datafye_trio.testing.audience import OpenConnection
    from datafye_trio.testing.threaded import ThreadedTestServer

__all__ = ["LEAVE_SECONDS", "Trial", "trial_of"]

LEAVE_SECONDS: Final = 1.0
"""How long clients and threads may take to go at the end of a test."""
_OPTIONS: Final = ("seed", "heartbeat_interval", "dialect", "datasets", "leaks")
_LEAKS: Final = ("fail", "ignore")
_MARKER: Final = (
    "datafye(seed=0, heartbeat_interval=10.0, dialect=None, datasets=('SIP', 'Crypto'), leaks='fail'): settings of the "
    "market data server of a test (fixtures datafye, datafye_url, datafye_server). dialect='datafye' offers only what "
    "Datafye documents; with leaks='ignore' clients and threads may outlive the test."
)
_LOG_LINES: Final = 50
_POOLS: Final = ("ThreadPoolExecutor-", "asyncio_")
"""Threads of pools, by their names: they outlive what they were started for, and end with the process or the loop."""


class Trial:
    """One test that has a server: its settings, what is found at its end, and the log.

    Attributes:
        options: for `open_test_server` and `run_test_server`.
        strict: whether clients and threads that are left are an error.
        failed: whether the test has failed, so that what it leaves is no wonder.
        ended: whether its server has.
        problems: what is wrong.
        tails: each makes the last lines of a log.
    """

    def __init__(self, item: pytest.Item) -> None:
        marked: dict[str, Any] = {}
        for marker in item.iter_markers("datafye"):  # the closest first
            marked = {**marker.kwargs, **marked}
        self.strict = marked.pop("leaks", "fail") == "fail"
        self.options = marked
        self.failed = False
        self.ended = False
        self.problems: list[str] = []
        self.tails: list[Callable[[int], str]] = []
        self._threads = set(threading.enumerate())

    def note_clients(self, connections: tuple[OpenConnection, ...]) -> None:
        """These clients are connected after all the time that they were given."""
        self.problems += [
            f"A client is still connected at the end of the test: #{one.number}, {one.path}, from {one.address}. Close "
            "it in the test, or in the fixture that has opened it."
            for one in connections
        ]

    def judge(self) -> None:
        """Fail if anything is wrong; not where the test has failed anyway."""
        if self.failed:
            return
        if self.strict:
            self.problems += [
                f"A thread that was started in the test is left at its end: {thread.name}. Join it."
                for thread in self._threads_left()
            ]
        if self.problems:
            pytest.fail("\n\n".join(self.problems), pytrace=False)

    def log(self) -> str:
        """The end of what has passed."""
        try:
            return "\n".join(tail(_LOG_LINES) for tail in self.tails)
        except Exception as error:  # noqa: BLE001 -- a server that is stuck must not hide why the test has failed
            return f"(cannot be read: {error})"

    def _threads_left(self) -> list[threading.Thread]:
        """Those that were started since, and have not ended in time; without daemons, whom nobody has to wait for."""
        deadline = time.monotonic() + LEAVE_SECONDS
        started = [thread for thread in threading.enumerate() if thread not in self._threads and not thread.daemon]
        started = [thread for thread in started if not thread.name.startswith(_POOLS)]
        for thread in started:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [thread for thread in started if thread.is_alive()]


_TRIAL: Final = pytest.StashKey[Trial]()


def trial_of(request: pytest.FixtureRequest) -> Trial:
    """The trial of the test that a fixture is for."""
    stash = request.node.stash
    if _TRIAL not in stash:
        stash[_TRIAL] = Trial(request.node)
    found: Trial = stash[_TRIAL]
    return found


@pytest.fixture
def datafye(request: pytest.FixtureRequest) -> Iterator[ThreadedTestServer]:
    """A market data server on 127.0.0.1, in a thread of its own, for clients of any kind.

    Publish (`datafye.publish(trade("AAPL", 189.12))`), wait (`datafye.wait_subscribed("trades", "AAPL")`), move its
    clock (`datafye.advance(40)`), break things (`datafye.faults.mute()`), and look at all that passed (`datafye.log`).
    Under asyncio the calls that wait are awaited: `await datafye.aio.wait_subscribed(...)`.
    """
    from datafye_trio.errors import ConfigurationError
    from datafye_trio.testing.threaded import run_test_server

    trial = trial_of(request)
    try:
        with run_test_server(**trial.options) as server:
            trial.tails.append(server.log.tail)
            yield server
            if trial.strict and not trial.failed:
                server.faults.clear()  # of a client that is mute nobody would hear that it has gone
                try:
                    server.wait_closed(timeout=LEAVE_SECONDS)
                except AssertionError:
                    trial.note_clients(server.connections)
    except AssertionError as wrong:  # what the server finds at its end; a test's own are not raised here
        trial.problems.append(str(wrong))
    except ConfigurationError as error:
        raise pytest.fail.Exception(f"@pytest.mark.datafye: {error}", pytrace=False) from None
    trial.judge()


@pytest.fixture
def datafye_url(datafye: ThreadedTestServer) -> str:
    """The base URL of the market data server `datafye`: `ws://127.0.0.1:.../datafye-ws/v1`."""
    return datafye.url


class _WithoutTrio:
    """What there is of the Trio fixture where pytest-trio is not loaded."""

    @pytest.fixture
    def datafye_server(self) -> None:
        """A market data server for Trio tests; needs pytest-trio, which is not loaded (pip install pytest-trio)."""
        pytest.fail(
            "The fixture datafye_server is for Trio tests, and pytest-trio is not loaded: pip install pytest-trio. "
            "Under another plugin a Trio test has `async with open_test_server() as server:`, and for all other tests "
            "there is the fixture datafye.",
            pytrace=False,
        )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, and bring the Trio fixture where it can run."""
    config.addinivalue_line("markers", _MARKER)
    manager = config.pluginmanager
    trio = any(getattr(plugin, "__name__", "") == "pytest_trio.plugin" for plugin in manager.get_plugins())
    name = "datafye_trio.testing.trio_plugin"
    manager.register(import_module(name) if trio else _WithoutTrio(), name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marker that means nothing, also where the test asks for no server.

    Not at collection: what is wrong with one test would be the end of all, of `pytest --fixtures`, and, under
    pytest-xdist, of the workers, whose controller then shows a traceback of its own.
    """
    for marker in item.iter_markers("datafye"):
        wrong = sorted(marker.kwargs.keys() - {*_OPTIONS})
        if marker.args or wrong:
            what = f"{wrong[0]}=" if wrong else "what is not named"
            taken = ", ".join(_OPTIONS)
            pytest.fail(f"@pytest.mark.datafye does not take {what}: it takes {taken}, by name", pytrace=False)
        if (leaks := marker.kwargs.get("leaks", "fail")) not in _LEAKS:
            pytest.fail(f"@pytest.mark.datafye: leaks={leaks!r}: say 'fail' or 'ignore'", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge a test whose server has ended within it, as pytest-trio's fixtures do."""
    result = yield
    trial = item.stash.get(_TRIAL, None)
    if trial is not None and trial.ended:
        trial.judge()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test has failed, and show its server's log then."""
    report = yield
    trial = item.stash.get(_TRIAL, None)
    if trial is not None and call.excinfo is not None:
        trial.failed = True
        if report.failed and trial.tails and (log := trial.log()) not in report.longreprtext:
            report.sections.append(("datafye log", log))
    return report
