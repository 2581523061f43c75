"""From tick files to our bars by the way that a user takes: `datafye-trio import`, replay, a server, a client.

The import is the real command in a process of its own. The server runs here, on a free port of localhost, since only a
program can give it a rule of its own; the bars come over a real WebSocket.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeAlias

import trio
from verify_compare import Span

from datafye_trio import Aggregation, Replay, ReplayConfig, ServerConfig, TradeRule, open_server
from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Bar, Channel, Frequency, Trade
from datafye_trio.protocol import Data, ErrorReply, Gap, Heartbeat, Subscribed, decode_message
from datafye_trio.protocol.data_decoder import DataDecoder
from datafye_trio.recordings.csv_ticks import TickFile, read_ticks
from datafye_trio.sources import Mark, Publisher
from datafye_trio.wire.client import ClientSocket, ClientSocketClosed, open_client

__all__ = ["Bars", "import_trades", "receive_bars", "spans_of"]

Bars: TypeAlias = dict[tuple[str, str, int], Bar]
"""Our bars by frequency, symbol and start: of each the last revision."""

_DATASET: Final = "Verify"
_GOING_AWAY: Final = 1001
_PATIENCE: Final = 60.0
_LATENESS: Final = 86_400.0
"""A day: others make their bars when the day is over, so that no trade comes too late for them."""


def import_trades(files: Sequence[TickFile], asset_class: AssetClass, folder: Path) -> None:
    """Import trades into a recording.

    Raises:
        SourceError: the command has failed, or has left rows out; the text is what it says.
    """
    paths = [str(file.path) for file in files]
    flags = ["--dataset", _DATASET, "--asset-class", asset_class.value]
    # -P: a folder named like a library, where the person happens to be, must not be taken for it.
    command = [sys.executable, "-P", "-m", "datafye_trio", "import", *paths, str(folder), *flags]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " / ".join(done.stderr.strip().splitlines()[:3])
        raise SourceError(f"datafye-trio import ended with {done.returncode}: {said}")


def spans_of(files: Iterable[TickFile], asset_class: AssetClass) -> tuple[int, dict[str, Span]]:
    """How many trades there are, and when each symbol's first and last happened: of the files, not of the recording.

    Raises:
        SourceError: a file cannot be read, or a row is malformed.
    """
    count = 0
    spans: dict[str, Span] = {}
    for file in files:
        key = "ts_ns" if "ts_ns" in file.columns else "recv_ns"
        with closing(read_ticks(file, asset_class, key)) as ticks:
            for _, trade in ticks:
                if isinstance(trade, Trade):
                    count += 1
                    time = trade.exchange_timestamp
                    first, last = spans.get(trade.symbol, (time, time))
                    spans[trade.symbol] = min(first, time), max(last, time)
    return count, spans


class _Told(Replay):
    """A replay that says when all that follows from its trades was handed out, and why it could not go on."""

    def __init__(self, config: ReplayConfig) -> None:
        super().__init__(config)
        self.handed_out = trio.Event()
        self.failure: SourceError | None = None

    async def run(self, publisher: Publisher) -> None:
        """As `Replay.run`."""
        try:
            await super().run(publisher)
            await publisher.mark(Mark.END)
            await publisher.room()
        except SourceError as error:
            self.failure = error
            raise
        finally:
            self.handed_out.set()


async def receive_bars(
    recording: Path, asset_class: AssetClass, rule: TradeRule, frequencies: frozenset[Frequency]
) -> Bars:
    """The bars of a recording by a rule, replayed at full speed through a server, as a client receives them.

    Raises:
        SourceError: the replay has failed, or the bars did not come in whole.
    """
    wanted = tuple(frequency for frequency in Frequency if frequency in frequencies)
    aggregation = Aggregation(rule, wanted, lateness=_LATENESS, sma=None, ema=None)
    source = _Told(
        ReplayConfig(
            recording,
            _DATASET,
            asset_class,
            speed=math.inf,
            wait_for_client=len(wanted),
            aggregation=aggregation,
            channels=(Channel.AGGREGATES,),
            history=False,
        )
    )
    bars: Bars = {}
    config = ServerConfig(port=0, drain_seconds=_PATIENCE)
    # The server ends first: it lets its client read what is left and says goodbye, by which `_receive` ends.
    async with trio.open_nursery() as nursery, open_server(config, [source]) as server:
        url = f"{server.url}/{asset_class}/live/aggregates"
        nursery.start_soon(_receive, url, wanted, bars)
        await source.handed_out.wait()
    if source.failure is not None:
        raise source.failure
    return bars


async def _receive(url: str, frequencies: Sequence[Frequency], bars: Bars) -> None:
    async with open_client(url) as socket:
        for frequency in frequencies:
            request = {"action": "subscribe", "dataset": _DATASET, "symbols": ["*"], "frequency": frequency.value}
            await socket.send(json.dumps(request))
        await _take(socket, bars)


async def _take(socket: ClientSocket, bars: Bars) -> None:
    """Take bars until the server says goodbye; their numbers prove that none was lost."""
    decoder = DataDecoder()
    last: dict[tuple[str, str], int] = {}
    while True:
        try:
            text = await socket.receive()
        except ClientSocketClosed as closed:
            if closed.code != _GOING_AWAY:
                raise SourceError(f"the connection to our own server was {closed}") from None
            return
        data = decoder.decode(text)
        if data is None:
            await _answer(socket, text)
            continue
        _keep(data, last, bars)


def _keep(data: Data, last: dict[tuple[str, str], int], bars: Bars) -> None:
    bar = data.event
    if not isinstance(bar, Bar):
        raise SourceError(f"not only bars have come: {bar}")
    topic = bar.frequency, bar.symbol
    if data.seq != last.get(topic, 0) + 1:
        raise SourceError(f"bars of {bar.symbol} were lost: number {data.seq} came after {last.get(topic, 0)}")
    last[topic] = data.seq
    bars[bar.frequency, bar.symbol, bar.start] = bar


async def _answer(socket: ClientSocket, text: str | bytes) -> None:
    message = decode_message(text)
    if isinstance(message, Heartbeat):
        with suppress(ClientSocketClosed):  # the server may have said goodbye meanwhile: reading comes to that
            await socket.send(json.dumps({"action": "pong", "timestamp": message.timestamp}))
    elif isinstance(message, Gap | ErrorReply):
        raise SourceError(f"our own server says: {message}")
    elif isinstance(message, Subscribed) and message.ignored:
        raise SourceError(f"our own server ignores of the request: {message.ignored}")
