"""One client of a load: connects once, subscribes, and receives until it is cut. It never comes back.

It stands on the fast lane alone. A feed makes an event of each message, and it comes back after a loss, and fetches
what it has missed: that is what a load test wants to see.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs
import trio

from datafye_trio.cli.bench_intake import BenchIntake, Gauge, GaveUpError, text_of
from datafye_trio.client.options import Wish
from datafye_trio.errors import ConnectError, RequestError
from datafye_trio.model import Channel
from datafye_trio.protocol import Connected, Subscribe, decode_message, request_to_dict
from datafye_trio.wire.client import ClientOptions, ClientSocket, ClientSocketClosed, open_client

__all__ = ["BenchClient", "Wanted", "requests_of"]

_ANSWER_SECONDS: Final = 10.0
_WRITE_SECONDS: Final = 5.0
_LOST: Final = 1006
_PONG: Final = '{"action":"pong"}'
_ENVELOPE_BYTES: Final = 1_024
"""Of a request, for all but its symbols."""
_LEAST_BYTES: Final = 4_096


@attrs.frozen
class Wanted:
    """What each client of a load does: where it connects, and what it asks for."""

    url: str
    options: ClientOptions
    wish: Wish


class BenchClient:
    """See the module. `run` it in a task, wait for `greeted`, `subscribe`; `at_end` is called when it has ended.

    Attributes:
        intake: what it has received.
        handshake: seconds until the WebSocket was open; None: it was not.
        answer: seconds from asking until all was answered; None: it was not.
        failure: why it never got to receive.
        cut: close code and reason of the end of one that did.
        ended: whether it has ended.
    """

    def __init__(self, wanted: Wanted, gauge: Gauge, at_end: Callable[[], None]) -> None:
        self.intake = BenchIntake(gauge, star="*" in wanted.wish.symbols)
        self.handshake: float | None = None
        self.answer: float | None = None
        self.failure: str | None = None
        self.cut: tuple[int, str] | None = None
        self.ended = False
        self.greeted = trio.Event()
        self._answered = trio.Event()
        self._wanted = wanted
        self._at_end = at_end
        self._scope = trio.CancelScope()
        self._socket: ClientSocket | None = None
        self._greeting: Connected | None = None

    async def run(self) -> None:
        """Connect and receive, until the server ends it or until cancelled; says goodbye within 2 s then."""
        try:
            with self._scope:
                await self._live()
        except (ConnectError, GaveUpError) as error:
            self._end(str(error), (_LOST, str(error)))
        except ClientSocketClosed as closed:
            self._end(str(closed), (closed.code, closed.reason))
        finally:
            self.ended, self._socket = True, None
            self.greeted.set()
            self._answered.set()
            self._at_end()

    async def subscribe(self) -> None:
        """Ask for what is wanted, and wait for the answers; without them within 10 s, the client ends. Cancel-safe."""
        if self._socket is None or self._greeting is None:
            return
        socket, began = self._socket, trio.current_time()
        requests = list(requests_of(self._wanted.wish, self._greeting.limits))
        self.intake.pending = set(range(1, len(requests) + 1))
        with trio.move_on_after(_ANSWER_SECONDS) as waiting:
            try:
                for text in requests:
                    await socket.send(text)
            except ClientSocketClosed:
                return  # `run` tells why
            await self._answered.wait()
        if self.ended:
            return
        if waiting.cancelled_caught:
            self._give_up(f"no answer to a subscribe request within {_ANSWER_SECONDS:g} s")
        elif not self.intake.accepted:
            self._give_up(self.intake.refused or "the server has accepted nothing of what was asked")
        else:
            self.answer = trio.current_time() - began

    def _give_up(self, why: str) -> None:
        self._end(why, (_LOST, why))
        self._scope.cancel()

    def _end(self, failure: str, cut: tuple[int, str]) -> None:
        """Note why it ends; the first reason wins."""
        if self.failure is None and self.cut is None:
            if self.answer is None:
                self.failure = failure
            else:
                self.cut = cut

    async def _live(self) -> None:
        began = trio.current_time()
        async with open_client(self._wanted.url, self._wanted.options) as socket:
            self.handshake = trio.current_time() - began
            self._greeting = await _greeting_of(socket)
            self._socket = socket
            self.intake.begin(self._greeting)
            self.greeted.set()
            while True:
                self.intake.take(await socket.receive_many())
                if not self.intake.pending:
                    self._answered.set()
                if self.intake.beats:
                    self.intake.beats = False
                    await _answer_heartbeats(socket)


async def _greeting_of(socket: ClientSocket) -> Connected:
    with trio.move_on_after(_ANSWER_SECONDS) as waiting:
        first = await socket.receive()
    if waiting.cancelled_caught:
        raise GaveUpError(f"connected, but no greeting within {_ANSWER_SECONDS:g} s: is it a server of this protocol?")
    try:
        message = decode_message(text_of(first))
    except RequestError as error:
        raise GaveUpError(f"no greeting of this protocol: {error.message}") from None
    if not isinstance(message, Connected):
        raise GaveUpError(f"no greeting of this protocol, but {type(message).__name__} first")
    return message


async def _answer_heartbeats(socket: ClientSocket) -> None:
    """One pong for all that came together: a flood of heartbeats makes no flood of answers."""
    with trio.move_on_after(_WRITE_SECONDS) as writing:
        await socket.send(_PONG)
    if writing.cancelled_caught:
        socket.abandon()
        raise GaveUpError(f"the server took nothing for {_WRITE_SECONDS:g} s")


def requests_of(wish: Wish, limits: Mapping[str, int]) -> Iterator[str]:
    """Subscribe requests for a wish, as texts; their ids count from 1. No more in one than the server's limits allow.

    One for each channel, since `frequency` and `running` are not for all of them. Snapshots are left out: they repeat
    a number.
    """
    room = max(_LEAST_BYTES, limits.get("requestBytes", 128 * 1024)) - _ENVELOPE_BYTES
    most = max(1, limits.get("symbolsPerRequest", 10_000))
    parts: list[list[str]] = [[]]
    used = 0
    for symbol in ("*",) if "*" in wish.symbols else dict.fromkeys(wish.symbols):
        size = len(json.dumps(symbol)) + 1
        if parts[-1] and (used + size > room or len(parts[-1]) >= most):
            parts.append([])
            used = 0
        parts[-1].append(symbol)
        used += size
    number = 0
    for channel in wish.channels:
        for symbols in parts:
            number += 1
            request = Subscribe(
                tuple(symbols),
                (channel,),
                number,
                wish.dataset,
                None,
                wish.frequency if channel.has_frequency else None,
                (wish.running and channel is Channel.AGGREGATES) or None,
                snapshot=False,
            )
            yield json.dumps(request_to_dict(request), separators=(",", ":"))
