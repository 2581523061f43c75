"""Both views, apart from a feed."""

from __future__ import annotations

import io
import json

import pytest
import trio
import trio.testing
from cli.watching import MemoryOutput

from datafye_trio.cli.text import Screen
from datafye_trio.cli.views import LinesView, TableView
from datafye_trio.errors import SubscriptionError
from datafye_trio.model import AssetClass, Channel, Frequency, Gap, Live, TopicKey, Trade

TRADE = Trade("AAPL", 1, 12.5, 100)
TRADES = TopicKey("SIP", AssetClass.STOCKS, Channel.TRADES, "AAPL")
BARS = TopicKey("SIP", AssetClass.STOCKS, Channel.AGGREGATES, "AAPL", Frequency.SECOND, running=True)
REFUSAL = SubscriptionError("UNKNOWN_SYMBOL", "leave it out", ("X",))
ERROR = b'{"type":"error","code":"UNKNOWN_SYMBOL","message":"leave it out","retryable":false,"symbols":["X"]}\n'


def screen() -> tuple[Screen, io.StringIO]:
    file = io.StringIO()
    return Screen(file=file, force_terminal=True, width=80, height=20), file


async def test_the_table_is_drawn_four_times_a_second_however_much_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    console, file = screen()
    view = TableView("ws://x", console)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(view.run)
        view.status("connected", news=True)
        view.status("refused: trying again in 7.5 s", news=False)
        await view.take([TRADE] * 1_000)
        view.refused(REFUSAL)
        await trio.sleep(1.1)
        assert file.getvalue().count("msg/s") // 2 == 5  # at 0, 0.25 ... 1.0; the header and the status line each
        await view.finish()
    assert "12.50" in file.getvalue()
    assert "1 errors" in file.getvalue()
    assert "trying again in 7.5 s" in file.getvalue()
    assert file.getvalue().endswith("\x1b[?25h")  # the cursor is back


async def test_a_terminal_that_is_gone_ends_the_table(autojump_clock: trio.testing.MockClock) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    view = TableView("ws://x", Screen(file=Gone(), force_terminal=True))
    with trio.move_on_after(60) as in_time:
        await view.run()
    assert not in_time.cancelled_caught
    with trio.move_on_after(60) as waiting:
        await view.gone()
    assert waiting.cancelled_caught  # a table has no other way to tell


async def test_lines_are_events_as_they_came_and_gaps_in_the_words_of_the_wire(
    autojump_clock: trio.testing.MockClock,
) -> None:
    output = MemoryOutput()
    view = LinesView(output, print)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(view.run)
        await view.take([{"type": "quote", "b": 0.1}, Live(TRADES, "e", 1), Gap(TRADES, "e", 3, 4, "expired")])
        await trio.testing.wait_all_tasks_blocked()
        assert output.lines == [
            b'{"type":"quote","b":0.1}',
            b'{"type":"gap","dataset":"SIP","assetClass":"stocks","channel":"trades","symbol":"AAPL","epoch":"e",'
            b'"reason":"expired","from":3,"to":4}',
        ]
        await view.take([Gap(BARS, "e2", None, None, "epoch_changed")])
        await view.finish()
    gap = json.loads(output.lines[-1])
    assert (gap["frequency"], gap["running"], gap["reason"]) == ("Second", True, "epoch_changed")
    assert not {"from", "to"} & gap.keys()


async def test_what_comes_while_the_reader_is_slow_goes_in_one_write(autojump_clock: trio.testing.MockClock) -> None:
    output = MemoryOutput()
    view = LinesView(output, print)
    output.stuck = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(view.run)
        for number in range(3):  # the first in the write, the second waiting, the third in this task
            nursery.start_soon(view.take, [{"n": number}] * 1_000)
            await trio.testing.wait_all_tasks_blocked()
        view.refused(REFUSAL)  # waits for room, as well
        output.stuck.set()
        await trio.testing.wait_all_tasks_blocked()
        await view.take([])
        await view.finish()
    assert [len(block.splitlines()) for block in output.blocks] == [1_000, 1_000, 1_000, 1]
    assert output.blocks[-1] == ERROR


async def test_a_refusal_is_a_line_at_once(autojump_clock: trio.testing.MockClock) -> None:
    output = MemoryOutput()
    view = LinesView(output, print)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(view.run)
        view.refused(REFUSAL)
        await trio.testing.wait_all_tasks_blocked()
        assert output.blocks == [ERROR]
        await view.finish()


async def test_a_reader_of_lines_that_is_gone_ends_the_view(autojump_clock: trio.testing.MockClock) -> None:
    output = MemoryOutput()
    output.failure = BrokenPipeError()
    view = LinesView(output, print)
    with trio.move_on_after(5) as in_time:
        await view.take([{}])
        await view.run()
        await view.take([{}])
        view.refused(REFUSAL)
        await view.finish()
    assert not in_time.cancelled_caught


async def test_another_error_is_the_commands_to_tell(autojump_clock: trio.testing.MockClock) -> None:
    output = MemoryOutput()
    output.failure = OSError(28, "No space left on device")
    view = LinesView(output, print)
    await view.take([{}])
    with pytest.raises(OSError, match="No space left"):
        await view.run()


async def test_a_reader_that_stops_holds_up_the_end_for_a_second_only(autojump_clock: trio.testing.MockClock) -> None:
    output = MemoryOutput()
    output.stuck = trio.Event()
    view = LinesView(output, print)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(view.run)
        await view.take([{}])
        await view.finish()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == 1
