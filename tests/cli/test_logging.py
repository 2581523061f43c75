"""Log lines: one an event, with peers' texts made harmless, and never the end of a server."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import re
from typing import Literal

import pytest
import trio
from support import RawClient, memory_server, upgrade_head
from trio.testing import MockClock

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


@pytest.mark.parametrize(
    "request_head",
    [
        upgrade_head("/datafye-ws/v1", "Origin: https://\x1b[2J.example"),
        upgrade_head("/datafye-ws/v1", "Origin: https://a.example\tforged=1"),
        upgrade_head("/\x1b]0;title\x07"),
        upgrade_head("/nowhere" + "y" * 4_000),
        upgrade_head("/datafye-ws/v1?symbols=%1b%5b2J%0aforged"),
        upgrade_head("/datafye-ws/v1", "X-Forwarded-For: 1.2.3.4\x85\x9b2J"),
        b"GET / HTTP/1.1\r\nHost: a\rforged line\r\n\r\n",
        b"\x1b[31m\n\n",
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
async def test_nothing_that_a_peer_sends_makes_a_second_line_or_reaches_a_terminal(
    autojump_clock: MockClock, stream: io.StringIO, form: Literal["text", "json"], request_head: bytes
) -> None:
    with logging_to(stream, form, "debug"):
        async with memory_server() as server:
            client = RawClient(server.connect())
            await client.stream.send_all(request_head)
            with contextlib.suppress(trio.BrokenResourceError):
                while await client.stream.receive_some(65_536):
                    pass
            await client.stream.aclose()
    lines = [line for line in stream.getvalue().split("\n") if line]
    assert lines
    assert all(len(line) < 500 and line.isprintable() for line in lines)
    events = [json.loads(line)["event"] if form == "json" else line.split(" ", 2)[2].split("=")[0] for line in lines]
    assert {event.split(" ")[0] for event in events} <= {"refused", "connected", "disconnected"}


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


async def test_no_descriptor_left_is_a_line_a_second_without_trios_way_to_find_out(
    autojump_clock: MockClock, stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    # It was 20 a second, each with a traceback, past the format and the level of the log.
    class Exhausted(trio.abc.Listener[trio.abc.Stream]):
        async def accept(self) -> trio.abc.Stream:
            raise OSError(errno.EMFILE, "Too many open files")

        async def aclose(self) -> None:
            pass

    with logging_to(stream, "text", "info", clock=trio.current_time), trio.move_on_after(2.05):
        await trio.serve_listeners(trio.aclose_forcefully, [Exhausted(), Exhausted()])
    first, *others = stream.getvalue().splitlines()
    event = "error accept returned EMFILE (Too many open files); retrying in 0.1 seconds"
    assert re.fullmatch(f"{STAMP} {re.escape(event)}", first)
    assert 1 <= len(others) <= 2
    assert all(re.fullmatch(rf"{STAMP} {re.escape(event)} suppressed=(19|21)", line) for line in others)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "request_head",
    [
        upgrade_head("/datafye-ws/v1?SECRET"),
        upgrade_head("/datafye-ws/v1?symbols=A&SECRET"),
        upgrade_head("/datafye-ws/v1?token=SECRET&token=SECRET"),
        upgrade_head("/nowhere?token=SECRET"),
        upgrade_head("/datafye-ws/v1", "Authorization : Bearer SECRET"),
        upgrade_head("/datafye-ws/v1", "SECRET"),
        b"GET /datafye-ws/v1?token=SECRET a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /replay/step?SECRET HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_a_token_does_not_come_into_the_log(
    autojump_clock: MockClock, stream: io.StringIO, request_head: bytes
) -> None:
    with logging_to(stream, "text", "debug"):
        async with memory_server() as server:
            client = RawClient(server.connect())
            await client.stream.send_all(request_head)
            await client.http_answer()
            await client.stream.aclose()
    assert " refused " in stream.getvalue()
    assert "SECRET" not in stream.getvalue()


def test_a_url_is_told_without_its_query(stream: io.StringIO) -> None:
    with logging_to(stream, "text", "info"):
        get_logger("feed").warning("disconnected", url="wss://a.example/datafye-ws/v1?token=SECRET")
    assert stream.getvalue().endswith(" url=wss://a.example/datafye-ws/v1\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_peers_text_in_a_traceback_is_cut(stream: io.StringIO, form: Literal["text", "json"]) -> None:
    with logging_to(stream, form, "info"):
        try:
            {}["x" * 100_000]
        except KeyError:
            get_logger("test").exception("request failed")
    assert len(stream.getvalue()) < 3_000


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
