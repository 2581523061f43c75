"""The settings of bars and indicators: what is wrong is said at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from datafye_trio.aggregates import Aggregation, EmaPeriods, SmaPeriods, every_trade
from datafye_trio.errors import ConfigurationError


def test_the_customary_periods() -> None:
    assert (SmaPeriods().fast, SmaPeriods().slow) == (20, 50)
    assert (EmaPeriods().fast, EmaPeriods().slow, EmaPeriods().signal) == (12, 26, 9)
    SmaPeriods(1, 2)
    EmaPeriods(1, 2, 1)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SmaPeriods(0, 50), "the fast periods of an SMA are a whole number from 1, not 0"),
        (lambda: SmaPeriods(-1, 50), "the fast periods of an SMA are a whole number from 1, not -1"),
        (lambda: SmaPeriods(20, 50.0), "the slow periods of an SMA are a whole number from 1, not 50.0"),
        (lambda: SmaPeriods(50, 50), "the fast periods of an SMA are fewer than the slow ones, not 50, 50"),
        (lambda: EmaPeriods(26, 12), "the fast periods of an EMA are fewer than the slow ones, not 26, 12"),
        (lambda: EmaPeriods(12, 26, 0), "the signal periods of an EMA are a whole number from 1, not 0"),
        (lambda: Aggregation(every_trade, lateness=-1), "the lateness of bars is 0 seconds or more, not -1"),
        (lambda: Aggregation(every_trade, grace=math.nan), "the grace of bars is 0 seconds or more, not nan"),
        (lambda: EmaPeriods(signal="9"), "the signal periods of an EMA are a whole number from 1, not '9'"),
    ],
)
def test_settings_that_make_no_sense(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value) == text
