"""The progress of `run`: what it says, in a terminal and without one, and the summary."""

from __future__ import annotations

import io
import sys

import pytest

from datafye_trio.cli.run_progress import RunView, Standing, summary

BEGAN = 1_767_364_200_000_000_000  # 2026-01-02T14:30:00Z
HOUR = 3_600_000_000_000


class Tty(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


def standing(seconds: float, events: int, market: float, gaps: int = 0, missing: int = 0) -> Standing:
    return Standing(BEGAN, BEGAN + round(market * 1e9), events, seconds, gaps, missing)


def test_without_a_terminal_it_is_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with RunView(quiet=False) as view:
        for half in range(1, 50):
            view.show(standing(half / 2, 50_000 * half, 1_800 * half))
    assert capsys.readouterr().err.splitlines() == [
        "2026-01-03T00:30:00Z  1,000,000 events  100,000/s  3,600 times real time  0 gaps",
        "2026-01-03T10:30:00Z  2,000,000 events  100,000/s  3,600 times real time  0 gaps",
    ]


def test_rates_are_those_since_the_line_before(capsys: pytest.CaptureFixture[str]) -> None:
    with RunView(quiet=False) as view:
        view.show(standing(10, 100, 10))
        view.show(standing(20, 1_100, 35, gaps=1, missing=2))
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("100 events  10/s  1.0 times real time  0 gaps")
    assert second.endswith("1,100 events  100/s  2.5 times real time  1 gap (2 messages missing)")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with RunView(quiet=True) as view:
        view.show(standing(100, 1, 1))
        view.tell("connected")
    assert capsys.readouterr().err == ""


def test_in_a_terminal_it_is_drawn_in_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    with RunView(quiet=False) as view:
        view.show(standing(0.5, 1, 1))
        view.show(standing(1.0, 2, 1_801))
        sys.stdout.write("of the strategy\n")
    assert "15:00:01Z  2 events  2/s  3,600 times real time  0 gaps" in screen.getvalue()
    assert "of the strategy" not in screen.getvalue()  # stdout is no terminal: it goes where it was sent
    assert capsys.readouterr().out == "of the strategy\n"


def test_a_terminal_that_is_gone_ends_the_line_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Tty):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    with RunView(quiet=False) as view:
        view.show(standing(0.5, 1, 1))


@pytest.mark.parametrize(
    ("of", "line"),
    [
        (standing(12.3, 234_000, 23_400),
         "234,000 events, 6:30:00 of market time in 12.30 s (1,902 times real time, 19,024 events/s), 0 gaps"),
        (standing(0.5, 1, 4, 2, 1),
         "1 event, 4.0 s of market time in 0.50 s (8.0 times real time, 2 events/s), 2 gaps (1 message missing)"),
        (Standing(), "0 events, 0.0 s of market time in 0.00 s (0.0 times real time, 0 events/s), 0 gaps"),
        (standing(100, 7, 2 * 86_400 + 61),
         "7 events, 2 days, 0:01:01 of market time in 100.00 s (1,729 times real time, 0 events/s), 0 gaps"),
    ],
)  # fmt: skip
def test_the_summary(of: Standing, line: str) -> None:
    assert summary("returned", of) == f"returned: {line}"
