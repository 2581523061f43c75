"""A broker that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from broker.kit import Rig, running_rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A broker with one open dataset. A test that looks at time asks for `autojump_clock` as well, by itself."""
    async with running_rig() as found:
        yield found
