"""Requests that have to wait: of a relayed dataset, topics are there only once the server they come from has answered.

The reader never waits. What cannot be served yet is served by a task, and so is every later request about
subscriptions, in order: or else an unsubscribe would overtake the subscribe that it is about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import attrs
import trio

from datafye_trio.broker import Board, Broker
from datafye_trio.connection.resuming import find_point
from datafye_trio.connection.selection import Selection, find_dataset, select, select_symbols
from datafye_trio.errors import RequestError
from datafye_trio.protocol import Endpoint, ErrorCode, ListSubscriptions, Subscribe, Unsubscribe
from datafye_trio.sources.positions import Relaying, Want

__all__ = ["Admission", "Late"]

Waiting: TypeAlias = Subscribe | Unsubscribe | ListSubscriptions
_MOST: Final = 1_024
_SECONDS: Final = 10.0
"""For one request to be admitted: less than the patience of a client that waits for its answer."""


@attrs.frozen
class Late:
    """A request whose turn has come: what can be served of it, if anything, and what is refused."""

    request: Waiting | None
    ignored: tuple[str, ...]
    refusals: Sequence[RequestError]
    id: str | int | None


class Admission:
    """Those of one connection.

    Args:
        broker: whose datasets are asked for.
        endpoint: what the path is for.
        max_symbols: of one request.
        serve: serves one request whose turn has come.
    """

    def __init__(
        self,
        broker: Broker,
        endpoint: Endpoint,
        max_symbols: int,
        serve: Callable[[Late], Awaitable[None]],
    ) -> None:
        self.nursery: trio.Nursery | None = None
        self._broker = broker
        self._endpoint = endpoint
        self._max_symbols = max_symbols
        self._serve = serve
        self._queue: deque[tuple[Waiting, tuple[str, ...], float]] = deque()
        self._scope: trio.CancelScope | None = None
        """Of the task that serves what waits, while there is one."""
        self._ended = False

    def let_go(self) -> None:
        """The connection has ended, and so has its task: nothing is served any more."""
        del self._serve

    def defers(self, request: Waiting, ignored: tuple[str, ...]) -> bool:
        """Whether a request has to wait; then it is served later.

        Raises:
            RequestError: it cannot be served at all, or too many wait.
        """
        if not self._queue:
            if not isinstance(request, Subscribe):
                return False
            source, wants = self._wants(request)
            if source is None or all(map(source.admitted, wants)):
                return False
        elif len(self._queue) >= _MOST:
            raise RequestError(ErrorCode.RATE_LIMITED, f"{_MOST} requests wait: wait for their answers")
        self._queue.append((request, ignored, trio.current_time() + _SECONDS))
        self.start()
        return True

    def start(self) -> None:
        """Serve what waits, if there is a nursery to do it in yet."""
        if self._queue and self.nursery is not None and self._scope is None and not self._ended:
            self._scope = trio.CancelScope()
            self.nursery.start_soon(self._run, self._scope)

    def cancel(self) -> None:
        """The connection ends: what waits is not served any more."""
        self._ended = True
        if self._scope is not None:
            self._scope.cancel()

    async def _run(self, scope: trio.CancelScope) -> None:
        with scope:
            while self._queue:
                request, ignored, deadline = self._queue[0]
                refusals: list[RequestError] = []
                rest: Waiting | None = request
                if isinstance(request, Subscribe):
                    refusals = await self._admit(request, deadline)
                    rest = self._without(request, refusals) if refusals else request
                await self._serve(Late(rest, ignored, refusals, request.id))
                self._queue.popleft()
        self._scope = None

    async def _admit(self, request: Subscribe, deadline: float) -> list[RequestError]:
        try:
            source, wants = self._wants(request)
        except RequestError:
            return []  # its own turn says so
        refusals: dict[tuple[str, str], RequestError] = {}
        for want in wants:
            for one in await source.admit(want, deadline) if source is not None else ():
                known = refusals.get((one.code, one.message))
                symbols = tuple(dict.fromkeys([*(known.symbols if known else ()), *one.symbols]))
                refusals[one.code, one.message] = RequestError(one.code, one.message, field=one.field, symbols=symbols)
        return list(refusals.values())

    def _without(self, request: Subscribe, refusals: Sequence[RequestError]) -> Subscribe | None:
        """What is left of a request; None where that is nothing."""
        dataset = find_dataset(self._broker, request, self._endpoint)
        gone = {symbol for refusal in refusals for symbol in refusal.symbols}
        left = [text for text in request.symbols if text.strip() not in gone]
        left = [text for text in left if not gone.intersection(select_symbols(dataset, [text])[0])]
        return attrs.evolve(request, symbols=tuple(left)) if left else None

    def _wants(self, request: Subscribe) -> tuple[Relaying | None, list[Want]]:
        dataset = find_dataset(self._broker, request, self._endpoint)
        if not isinstance(dataset.source, Relaying):
            return None, []
        chosen = select(dataset, request, self._endpoint, self._max_symbols)
        if not (chosen.symbols or chosen.everything):
            return None, []
        return dataset.source, [_want(request, chosen, board) for board in chosen.boards]


def _want(request: Subscribe, chosen: Selection, board: Board) -> Want:
    symbols = None if chosen.everything else tuple(chosen.symbols)
    point = None if request.resume is None else find_point(request.resume, chosen)
    if point is None:
        return Want(board.key.channel, board.key.frequency, board.key.running, symbols)
    return Want(board.key.channel, board.key.frequency, board.key.running, symbols, point.epoch, point.positions)
