"""The rate of log lines for one address and kind."""

import io
import logging

import pytest

from datafye_trio.cli import log_rate
from datafye_trio.cli.log_rate import OnceASecond
from datafye_trio.cli.logging import logging_to
from datafye_trio.logs import get_logger


def record(address: str | None, event: str = "refused") -> logging.LogRecord:
    made = logging.LogRecord("datafye_trio.server", logging.INFO, "", 0, event, (), None)
    if address is not None:
        made.address = address
    return made


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def test_a_second_line_of_the_same_kind_waits_a_second_and_tells_how_many_were_dropped(clock: list[float]) -> None:
    once = OnceASecond(lambda: clock[0])
    assert [once.filter(record("1.2.3.4")) for _ in range(4)] == [True, False, False, False]
    clock[0] = 1.0
    following = record("1.2.3.4")
    assert once.filter(following)
    assert following.suppressed == 3  # type: ignore[attr-defined]


def test_other_addresses_other_kinds_and_lines_without_address_pass() -> None:
    once = OnceASecond(lambda: 0.0)
    others = [record("1.2.3.4"), record("1.2.3.5"), record("1.2.3.4", "connected"), record(None), record(None)]
    assert all(once.filter(one) for one in others)


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rate, "_MAX_KEYS", 2)
    once = OnceASecond(lambda: 0.0)
    assert all(once.filter(record(f"1.2.3.{n}")) for n in range(3))
    assert [once.filter(record(f"1.2.3.{n}")) for n in (2, 0)] == [False, True]


def test_the_log_of_the_command_line_has_the_limit() -> None:
    stream = io.StringIO()
    with logging_to(stream, "text", "info"):
        for _ in range(1000):
            get_logger("server").info("refused", address="1.2.3.4", status=403)
    assert len(stream.getvalue().splitlines()) < 500
