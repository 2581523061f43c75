"""Log lines: one an event, with peers' texts made harmless, and never the end of a server."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest

from datafye_trio.cli.logging import logging_to
from datafye_trio.logs import get_logger

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_line_has_stamp_level_event_and_values(stream: io.StringIO) -> None:
    with logging_to(stream, "text", "info"):
        get_logger("test").info("connected", connection="c1", count=3, why="a reason", nothing=None, empty="")
    pattern = rf'{STAMP} info connected connection=c1 count=3 why="a reason" nothing=None empty=""\n'
    assert re.fullmatch(pattern, stream.getvalue())


def test_json_lines(stream: io.StringIO) -> None:
    with logging_to(stream, "json", "info"):
        get_logger("test").warning("refused", reason='a "b"\n\x1b', status=403)
    line = json.loads(stream.getvalue())
    assert re.fullmatch(STAMP, line.pop("timestamp"))
    assert line == {"level": "warning", "event": "refused", "reason": 'a "b"\\n\\x1b', "status": 403}


def test_a_peers_text_is_escaped_and_cut(stream: io.StringIO) -> None:
    with logging_to(stream, "text", "info"):
        get_logger("test").info("refused", reason='x\ny="1" \x1b[2J \\' + "z" * 300)
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert 'reason="x\\\\ny=\\"1\\" \\\\x1b[2J \\\\' in line
    assert line.endswith('z…"\n')
    assert len(line) < 280


def test_the_level_decides(stream: io.StringIO) -> None:
    with logging_to(stream, "text", "warning"):
        get_logger("test").info("quiet")
        get_logger("test").warning("loud")
    with logging_to(stream, "text", "debug"):
        get_logger("test").debug("detail")
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["loud", "detail"]


def test_a_bug_has_its_traceback_with_nothing_that_a_terminal_obeys(stream: io.StringIO) -> None:
    with logging_to(stream, "text", "info"):
        try:
            int("\x1b[31m\n")
        except ValueError:
            get_logger("test").exception("request failed")
    first, second, *_, last = stream.getvalue().splitlines()
    assert first.endswith("error request failed")
    assert second == "Traceback (most recent call last):"
    assert last == r"ValueError: invalid literal for int() with base 10: '\x1b[31m\n'"


def test_a_full_disk_loses_lines_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    with logging_to(Full(), "text", "info"):
        get_logger("test").info("lost")
    assert capsys.readouterr() == ("", "")


def test_afterwards_nothing_is_left_behind(stream: io.StringIO) -> None:
    logger = logging.getLogger("datafye_trio")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with logging_to(stream, "text", "debug"):
        assert (logger.level, logger.propagate) == (logging.DEBUG, False)
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
