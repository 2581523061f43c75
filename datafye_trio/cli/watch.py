"""`datafye-trio watch`: subscribe to a server and show what comes, as a live table or as JSON lines."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final, NoReturn
from urllib.parse import urlsplit

import trio

from datafye_trio.cli.flags import WatchFlags
from datafye_trio.cli.text import Screen, one_line, say
from datafye_trio.cli.views import LinesView, TableView, View
from datafye_trio.errors import ConfigurationError, ConnectError, RequestError
from datafye_trio.protocol import (
    ErrorReply,
    Gap,
    Heartbeat,
    Subscribe,
    Subscribed,
    decode_message,
    find_endpoint,
    request_to_dict,
)
from datafye_trio.wire import ClientOptions, ClientSocket, ClientSocketClosed, open_client

__all__ = ["run", "watch"]

_FAILED: Final = 1
_HURRIED: Final = 130
_ID: Final = "watch"
_SHOW_CURSOR: Final = b"\x1b[?25h"


class _RefusedError(Exception):
    """The server takes nothing of what was asked for."""


def watch(url: str, flags: WatchFlags) -> int:
    """Show what a server sends until a signal, or for `--seconds`; returns the exit code.

    Raises:
        ConfigurationError: the URL or a flag cannot be used.
    """
    if flags.seconds is not None and not 0 < flags.seconds < math.inf:
        raise ConfigurationError("--seconds must be a number above 0")
    return trio.run(run, url, flags)


async def run(url: str, flags: WatchFlags) -> int:
    """Watch until SIGINT, SIGTERM, `--seconds` or the end of whoever reads stdout (0), or until it fails (1)."""
    client = open_client(url, ClientOptions(ca=flags.ca))
    table = sys.stdout.isatty() and not flags.json
    view: View = TableView(url, Screen()) if table else LinesView(url, sys.stdout.fileno())
    watching = trio.CancelScope(deadline=trio.current_time() + (flags.seconds or math.inf))
    failures: list[str] = []
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, watching, table)
            nursery.start_soon(_show, view, watching, failures)
            with watching:
                try:
                    async with client as socket:
                        view.status("connected")
                        await _follow(socket, _request(url, flags), view)
                except (ConnectError, ClientSocketClosed, _RefusedError) as error:
                    failures.append(str(error))
            await view.finish()
            nursery.cancel_scope.cancel()
    for failure in failures:
        say(f"datafye-trio: {one_line(failure, 500)}")
    return _FAILED if failures else 0


async def _obey(signals: AsyncIterator[int], watching: trio.CancelScope, table: bool) -> None:
    terminal = sys.stdout.fileno() if table else None  # asked now: a live view puts another stdout in place
    async for _ in signals:
        if watching.cancel_called:
            if terminal is not None:
                os.write(terminal, _SHOW_CURSOR)
            os._exit(_HURRIED)
        watching.cancel()


async def _show(view: View, watching: trio.CancelScope, failures: list[str]) -> None:
    try:
        await view.run()
    except OSError as error:
        failures.append(f"cannot write to stdout: {error.strerror}")
    watching.cancel()


def _request(url: str, flags: WatchFlags) -> Subscribe:
    channels = _split(flags.channels)
    endpoint = find_endpoint(urlsplit(url).path)
    if not channels and (endpoint is None or endpoint.channel is None):
        channels = ("quotes", "trades")
    return Subscribe(
        symbols=_split(flags.symbols),
        channels=channels or None,
        id=_ID,
        dataset=flags.dataset,
        frequency=flags.frequency,
        running=flags.running or None,
    )


def _split(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


async def _follow(socket: ClientSocket, request: Subscribe, view: View) -> NoReturn:
    """Subscribe, then hand every message to the view and answer heartbeats, until the connection ends.

    Raises:
        ClientSocketClosed: the server has closed, or is gone.
        _RefusedError: nothing was subscribed.
    """
    await socket.send(json.dumps(request_to_dict(request)))
    subscribed = puzzled = False
    while True:
        received = await socket.receive()
        text = received if isinstance(received, str) else received.decode("utf-8", "replace")
        try:
            message = decode_message(text)
        except RequestError as error:
            # A newer server may send what we do not know; a broken one should not go unnoticed either.
            if not puzzled:
                say(f"a message is left out: {one_line(error.message)}")
            puzzled = True
            continue
        match message:
            case Heartbeat():
                await socket.send(json.dumps({"action": "pong", "timestamp": message.timestamp}))
            case Subscribed():
                subscribed = True
            case ErrorReply():
                if message.id == _ID and not subscribed:
                    raise _RefusedError(_explain(message))
                say(one_line(_explain(message), 500))
            case Gap():
                lost = f"{message.from_} to {message.to}" if message.from_ is not None else "some messages"
                say(one_line(f"gap on {message.channel} of {message.symbol}: {lost} lost ({message.reason})"))
            case _:
                pass
        await view.take(text, message)


def _explain(error: ErrorReply) -> str:
    symbols = f" ({', '.join(error.symbols)})" if error.symbols else ""
    return f"{error.code}: {error.message}{symbols}"
