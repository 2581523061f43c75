"""Foreign text, made harmless; and streams that nobody reads any more."""

from __future__ import annotations

import io
import os

import pytest

from datafye_trio.cli.text import Screen, discard, one_line, printable, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 😀", "plain é 😀"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\x9b\udcff", "\\x9b\\udcff"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut() -> None:
    assert one_line("a" * 300) == "a" * 200 + "…"
    assert one_line("a" * 200) == "a" * 200


def test_a_stream_that_nobody_reads_is_discarded_for_good() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        assert not say("nobody", stream)
        assert say("nobody", stream)  # into nowhere: no error, also none when the file is closed


def test_a_closed_stream_is_no_error() -> None:
    stream = io.StringIO()
    stream.close()
    assert not say("nobody", stream)
    discard(io.StringIO())


def test_a_screen_says_that_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        with pytest.raises(BrokenPipeError):
            Screen(file=stream).print("nobody")
        discard(stream)
