"""What the tests of sources are given: a publisher that only notes, the time it says, and speeds to play at."""

from __future__ import annotations

import pytest
from sources.kit import SPEEDS, START_NS, NotingPublisher


@pytest.fixture
async def publisher() -> NotingPublisher:
    return NotingPublisher()


@pytest.fixture
def start_ns() -> int:
    return START_NS


@pytest.fixture(params=SPEEDS, ids=str)
def speed(request: pytest.FixtureRequest) -> float:
    found: float = request.param
    return found
