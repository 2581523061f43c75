"""The fixture for Trio tests; `datafye_trio.testing.plugin` brings it where pytest-trio is loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_trio

from datafye_trio.testing.plugin import LEAVE_SECONDS, trial_of

if TYPE_CHECKING:
    from datafye_trio.testing.server import TestServer

__all__ = ["datafye_server"]


@pytest_trio.trio_fixture  # type: ignore[untyped-decorator]
async def datafye_server(request: pytest.FixtureRequest) -> AsyncIterator[TestServer]:
    """A market data server for Trio tests, in the same Trio run as the test.

    Under `autojump_clock` it is in memory: `async with datafye_server.open_feed() as feed: ...`; without, clients of
    any kind reach it on 127.0.0.1, by `datafye_server.url`.
    """
    from datafye_trio.testing.expectations import ExpectationError
    from datafye_trio.testing.opening import open_test_server

    trial = trial_of(request)
    try:
        async with open_test_server(**trial.options) as server:
            trial.tails.append(server.log.tail)
            yield server  # noqa: ASYNC119 -- pytest-trio always finishes its fixtures
            if trial.strict:
                server.faults.clear()  # of a client that is mute nobody would hear that it has gone
                try:
                    await server.wait_closed(timeout=LEAVE_SECONDS)
                except ExpectationError:
                    trial.note_clients(server.connections)
    except ExpectationError as wrong:
        trial.problems.append(str(wrong))
    trial.ended = True
