"""Errors that a server logs: whose they are, and how they read."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterator

import pytest

from datafye_trio.logs import get_logger
from datafye_trio.testing.failures import Failure, Failures


def test_each_gets_its_own_errors_and_no_more() -> None:
    one, other = Failures(), Failures()
    with one, other:
        mine, theirs, nobodys = (contextvars.copy_context() for _ in range(3))
        mine.run(one.own)
        theirs.run(other.own)
        log = get_logger("connection")
        mine.run(log.error, "mine")
        theirs.run(log.error, "theirs")
        nobodys.run(log.error, "nobody's")
        mine.run(log.warning, "no error")
        mine.run(get_logger("feed").error, "a client's")
    mine.run(log.error, "afterwards")
    assert [failure.text for failure in one.found] == ["mine"]
    assert [failure.text for failure in other.found] == ["theirs"]
    assert not logging.getLogger("datafye_trio.connection").handlers


def test_exceptions_are_told_by_what_is_in_their_groups() -> None:
    found = Failures()
    with found:
        context = contextvars.copy_context()
        context.run(found.own)
        errors = ExceptionGroup("several", [KeyError("a"), ExceptionGroup("inner", [ValueError("b")])])
        context.run(get_logger("server").error, "connection failed", exc_info=errors)
    (failure,) = found.found
    assert failure == Failure("connection failed", errors)
    assert str(failure) == "connection failed: KeyError: 'a'; ValueError: b"
    assert str(Failure("alone", None)) == "alone"


def test_where_it_was_raised_is_told() -> None:
    def events() -> Iterator[object]:
        yield from ()
        raise ValueError("a test's own")

    with pytest.raises(ValueError) as raised:
        list(events())
    line = events.__code__.co_firstlineno + 2
    assert str(Failure("play() failed", raised.value)) == f"play() failed: ValueError: a test's own ({__file__}:{line})"
