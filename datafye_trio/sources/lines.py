"""Events as JSON lines: data messages as they are on the wire, without dataset and `seq`, one a line.

A line that is none does not end the feed: lines are counted, and the first few are shown with their number.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeAlias

import trio

from datafye_trio.errors import EventError, RequestError, SourceError
from datafye_trio.logs import get_logger
from datafye_trio.model import DatasetInfo, Event
from datafye_trio.protocol import decode_event
from datafye_trio.sources.base import Publisher

__all__ = ["JsonLines", "Reader"]

log = get_logger("lines")

Reader: TypeAlias = Callable[[], trio.abc.ReceiveStream]
"""Opens where the lines come from."""

_LONGEST: Final = 128 * 1024
_SHOWN: Final = 5


class JsonLines:
    """A source of JSON lines: it publishes what comes, as soon as it has come, and ends where the lines end.

    Args:
        info: what the lines are to be taken as.
        reader: opens the stream of lines, once.
    """

    def __init__(self, info: DatasetInfo, reader: Reader) -> None:
        self._info = info
        self._reader = reader
        self.lines = 0
        """Lines so far, empty ones too."""
        self.bad = 0
        """Lines that could not be published."""

    @property
    def dataset(self) -> DatasetInfo:
        """What the lines are taken as."""
        return self._info

    async def run(self, publisher: Publisher) -> None:
        """Publish line by line, never faster than clients read.

        Raises:
            SourceError: the lines cannot be read.
        """
        try:
            async with self._reader() as stream, aclosing(_blocks(stream)) as blocks:
                async for block in blocks:
                    for line in block:
                        await self._publish(line, publisher)
        except (OSError, trio.BrokenResourceError) as error:
            raise SourceError(f"line {self.lines + 1}: cannot be read: {error}") from None
        if self.bad:
            log.warning("the lines have ended", lines=self.lines, left_out=self.bad)

    async def _publish(self, line: bytes, publisher: Publisher) -> None:
        self.lines += 1
        if not line.strip():
            return
        try:
            event = _event(line)
            await publisher.room()
            await publisher.publish(event)
        except (EventError, RequestError) as error:
            self.bad += 1
            if self.bad <= _SHOWN:
                log.warning(
                    "a line is left out", line=self.lines, why=str(error)[:200], shown=f"{self.bad} of {_SHOWN}"
                )


def _event(line: bytes) -> Event:
    if len(line) > _LONGEST:
        raise EventError(f"the line is longer than {_LONGEST} bytes")
    try:
        return decode_event(line.decode())
    except UnicodeDecodeError:
        raise EventError("the line is no UTF-8") from None


async def _blocks(stream: trio.abc.ReceiveStream) -> AsyncGenerator[list[bytes], None]:
    """All whole lines that each read brings; of one that is too long, no more than shows that it is."""
    rest = b""
    while data := await stream.receive_some(65_536):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _LONGEST:
            rest = rest[: _LONGEST + 1]
        yield lines
    if rest:
        yield [rest]
