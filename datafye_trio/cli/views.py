"""Where `tail` and `watch` show what comes: JSON lines, or a live table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

import msgspec
import trio
from rich.console import Console
from rich.live import Live

from datafye_trio.cli.output import Output
from datafye_trio.cli.table import Board
from datafye_trio.client import RawItem
from datafye_trio.errors import SubscriptionError
from datafye_trio.model import FeedItem, Gap
from datafye_trio.protocol import Codec, ErrorReply
from datafye_trio.protocol import Gap as GapMessage

__all__ = ["LinesView", "TableView", "View", "gap_message"]

T = TypeVar("T", contravariant=True)

_REFRESH: Final = 0.25
_LAST_SECONDS: Final = 1.0


class View(Protocol[T]):
    """Where the items of a feed go."""

    def status(self, text: str, *, news: bool) -> None:
        """How the connection fares, in words; no `news` where the same was said within the last minute."""

    def refused(self, refusal: SubscriptionError) -> None:
        """The server has refused a part."""

    async def take(self, items: Sequence[T]) -> None:
        """Items, in order. Waits where the view cannot take more. Cancelled, these may not be shown."""

    async def run(self) -> None:
        """Show what was taken, until `finish`; returns before that where nobody looks any more.

        Raises:
            OSError: it cannot be shown for another reason, such as a full disk.
        """

    async def gone(self) -> None:
        """Wait until nobody looks any more; for ever where that shows only by showing something."""

    async def finish(self) -> None:
        """Show what is left, within a second."""


class TableView:
    """A table in a terminal, drawn a few times a second however many events come."""

    def __init__(self, url: str, console: Console) -> None:
        self._board = Board(url, trio.current_time())
        self._console = console
        self._finished = trio.Event()
        self._ended = trio.Event()

    def status(self, text: str, *, news: bool) -> None:  # noqa: ARG002 -- old news is not to stand there
        """Shown below the table, always the newest."""
        self._board.status = text

    def refused(self, _: SubscriptionError) -> None:
        """Counted."""
        self._board.errors += 1

    async def take(self, items: Sequence[FeedItem]) -> None:
        """Kept for the next refresh."""
        await trio.lowlevel.checkpoint()
        for item in items:
            self._board.take(item)

    async def run(self) -> None:
        """Draw until `finish`."""
        with suppress(BrokenPipeError), Live(console=self._console, auto_refresh=False) as live:
            while not self._finished.is_set():
                self._draw(live)
                with trio.move_on_after(_REFRESH):
                    await self._finished.wait()
            self._draw(live)
        self._ended.set()

    async def gone(self) -> None:
        """See `View`. A terminal that is gone sends SIGHUP."""
        await trio.sleep_forever()

    async def finish(self) -> None:
        """Draw once more, and give the cursor back."""
        self._finished.set()
        with trio.move_on_after(_LAST_SECONDS):
            await self._ended.wait()

    def _draw(self, live: Live) -> None:
        self._board.mark(trio.current_time())
        live.update(self._board.render(self._console.width, self._console.height), refresh=True)


class LinesView:
    """One JSON line for each event, as the server wrote it, and for each gap and refusal.

    A line waits for nothing while the stream is quiet. While whoever reads is slow, many lines go in one write, since
    what has come meanwhile is taken at once. Two blocks of lines wait here at most; the rest is left to the
    subscription.
    """

    def __init__(self, output: Output, tell: Callable[[str], object]) -> None:
        self._output = output
        self._tell = tell
        self._codec = Codec()
        self._encoder = msgspec.json.Encoder()
        self._refusals = b""
        self._send, self._receive = trio.open_memory_channel[bytes](1)
        self._ended = trio.Event()

    def status(self, text: str, *, news: bool) -> None:
        """For people, since stdout is for events."""
        if news:
            self._tell(text)

    def refused(self, refusal: SubscriptionError) -> None:
        """An `error` line, at once where there is room for it."""
        symbols = refusal.symbols or None
        self._refusals += self._line(ErrorReply(refusal.code, refusal.message, retryable=False, symbols=symbols))
        with suppress(trio.WouldBlock, trio.BrokenResourceError):
            self._send.send_nowait(self._refusals)
            self._refusals = b""

    async def take(self, items: Sequence[RawItem]) -> None:
        """Waits for whoever reads."""
        block, self._refusals = bytearray(self._refusals), b""
        encode_into, line = self._encoder.encode_into, self._line
        for item in items:
            if isinstance(item, Gap):
                block += line(gap_message(item))
            elif isinstance(item, dict):
                encode_into(item, block, -1)
                block += b"\n"
        with suppress(trio.BrokenResourceError):  # nobody reads: the run ends
            await self._send.send(bytes(block))

    async def run(self) -> None:
        """Write until `finish`."""
        try:
            async with self._receive:
                async for block in self._receive:
                    await self._output.write(block)
        except BrokenPipeError:
            pass
        finally:
            self._ended.set()

    async def gone(self) -> None:
        """See `View`."""
        await self._output.gone()

    async def finish(self) -> None:
        """Write what waits."""
        self._send.close()
        with trio.move_on_after(_LAST_SECONDS):
            await self._ended.wait()

    def _line(self, message: Any) -> bytes:
        return self._codec.encode(message) + b"\n"


def gap_message(gap: Gap) -> GapMessage:
    """A gap in the wire's spelling (protocol.md section 3)."""
    topic = gap.topic
    return GapMessage(
        dataset=topic.dataset,
        asset_class=topic.asset_class,
        channel=topic.channel,
        symbol=topic.symbol,
        epoch=gap.epoch,
        reason=gap.reason,
        frequency=topic.frequency,
        running=topic.running or None,
        from_=gap.first,
        to=gap.last,
    )
