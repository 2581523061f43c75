"""One address, connected for as long as the feed lives: a connection after another, with waits between them.

Each connection has three tasks. The reader takes all that comes and never waits for a consumer; the sender writes
requests and answers to heartbeats; the watch tells a quiet server from a dead link. Whichever finds that the connection
has ended says why, and the other two end with it. The first reason wins.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import trio

from datafye_trio.client.backoff import Backoff, comes_back
from datafye_trio.client.config import FeedConfig
from datafye_trio.client.conversation import Conversation, NotGreeted
from datafye_trio.client.states import FeedState, States
from datafye_trio.errors import ConfigurationError, ConnectError, DisconnectedError, FeedError
from datafye_trio.logs import get_logger
from datafye_trio.wire.client import ClientSocket, ClientSocketClosed, open_client

__all__ = ["Link"]

log = get_logger("feed")

_LOST: Final = 1006
_WRITE_SECONDS: Final = 5.0
_HEARTBEATS_MISSED: Final = 2
_SHORTEST_INTERVAL: Final = 0.1
_LONGEST_INTERVAL: Final = 300.0
"""Outside of these, a promise of heartbeats is none: it would end every connection at once, or find no dead one."""
_UNPROMISED_INTERVAL: Final = 10.0
"""Seconds between heartbeats of a server that sends them without having said how often."""
_PUT_OFF_SECONDS: Final = 1.0
_PUT_OFF_CEILING: Final = 30.0
"""What the server puts off is asked again after one second, two, four, up to this: 20 errors in 10 s would end it."""


class Link:
    """See the module. `changed` is called after everything that came, once `talk` has taken it.

    Attributes:
        final: the failures after which it does not come back, whatever they advise.
        patience: the seconds within which the server must greet.
    """

    def __init__(
        self,
        url: str,
        talk: Conversation,
        config: FeedConfig,
        states: States,
        backoff: Backoff,
        changed: Callable[[], None],
    ) -> None:
        self.url = url
        self.talk = talk
        self.final: tuple[type[FeedError], ...] = ()
        self.patience = config.answer_seconds
        self._config = config
        self._states = states
        self._backoff = backoff
        self._changed = changed
        self._wake = trio.Event()
        self._news = trio.Event()
        self._watched: tuple[float | None, int] = (None, 0)
        self._oldest = 0
        """The request whose answer is waited for since `_asked`."""
        self._failure: DisconnectedError | None = None
        self._opened = self._beaten = self._asked = 0.0
        self._again = math.inf
        """When what was put off is to be asked again."""
        self._put_off_wait = _PUT_OFF_SECONDS

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def run(self) -> NoReturn:
        """Be connected, again and again. Cancelled, it says goodbye within two seconds.

        Raises:
            ConnectError, DisconnectedError: what happened says to stop, or it happened too often.
        """
        while True:
            if self._states.current.state is not FeedState.CONNECTING:
                self._states.set(FeedState.CONNECTING, url=self.url)
            healthy = 0.0
            try:
                async with open_client(self.url, self._config.client_options()) as socket:
                    self._opened = trio.current_time()
                    self._states.set(FeedState.CONNECTED, url=self.url)
                    failure: ConnectError | DisconnectedError = await self._serve(socket)
                    healthy = trio.current_time() - self._opened
            except ConnectError as error:
                failure = error
            except ConfigurationError as error:  # it was good when the feed was opened: a file that is being replaced
                failure = ConnectError(f"cannot connect to {self.url}: {error}", kind="tls")
            finally:
                self.talk.cut()
            wait = None if isinstance(failure, self.final) else self._backoff.next(failure, healthy)
            if wait is None:
                raise failure
            what = f"disconnected: {failure}"  # all that a program sees that did not set up logging
            log.warning(what, url=self.url, retry_in=round(wait, 2))
            self._states.set(FeedState.DISCONNECTED, url=self.url, why=str(failure), retry_in=wait)
            await trio.sleep(wait)

    async def _serve(self, socket: ClientSocket) -> DisconnectedError:
        """Follow one connection; returns why it has ended."""
        self._failure, self._again, self._put_off_wait = None, math.inf, _PUT_OFF_SECONDS
        self._beaten = self._asked = self._opened
        self._oldest = 0
        self.talk.begin()
        self._wake.set()
        async with trio.open_nursery() as nursery:
            for task in (self._read, self._send, self._watch):
                nursery.start_soon(self._until_it_ends, task, socket, nursery.cancel_scope)
        return self._why_ended()

    def _why_ended(self) -> DisconnectedError:
        assert self._failure is not None  # noqa: S101 -- the nursery ends by a task that has set it, or by a raise
        return self._failure

    async def _until_it_ends(
        self, task: Callable[[ClientSocket], Awaitable[NoReturn]], socket: ClientSocket, connection: trio.CancelScope
    ) -> None:
        try:
            await task(socket)
        except ClientSocketClosed as closed:
            self._end(DisconnectedError(closed.code, closed.reason, retryable=comes_back(closed.code)), connection)
        except DisconnectedError as failure:
            if failure.code == _LOST:
                socket.abandon()
            else:
                socket.reproach(failure.code, failure.reason)
            self._end(failure, connection)

    def _end(self, failure: DisconnectedError, connection: trio.CancelScope) -> None:
        self._failure = self._failure or failure
        connection.cancel()

    async def _read(self, socket: ClientSocket) -> NoReturn:
        while True:
            payloads = await socket.receive_many()
            beats = self.talk.heartbeats
            try:
                self.talk.take(payloads)
            finally:
                self._changed()  # what came before what cannot be understood is there, too
            if self.talk.heartbeats != beats:
                self._beaten = trio.current_time()
            if self._watched != (watched := (self._interval(), self.talk.unanswered)):
                self._watched = watched
                self._wait_for(self.talk.unanswered)
                self._news.set()
            if self._put_off() or self.talk.has_outgoing:
                self._wake.set()
            self._tell_state()

    def _put_off(self) -> bool:
        """Whether there is something new that is to be asked again later."""
        if not self.talk.put_off or self._again != math.inf:
            return False
        self._again = trio.current_time() + self._put_off_wait
        self._put_off_wait = min(2 * self._put_off_wait, _PUT_OFF_CEILING)
        return True

    def _tell_state(self) -> None:
        state = self._states.current.state
        if self.talk.settled:
            self._put_off_wait = _PUT_OFF_SECONDS
            if state is not FeedState.LIVE:
                self._states.set(FeedState.LIVE, url=self.url)
        elif state is FeedState.CONNECTED:
            self._states.set(FeedState.RECOVERING, url=self.url)

    async def _send(self, socket: ClientSocket) -> NoReturn:
        while True:
            with trio.move_on_at(self._again):
                await self._wake.wait()
            self._wake = trio.Event()
            if trio.current_time() >= self._again:
                self._again = math.inf
                self.talk.try_again()
                self._changed()
            texts = self.talk.outgoing()
            if self.talk.greeted:
                self._tell_state()  # there may be nothing left to ask
            if self._wait_for(self.talk.unanswered):
                self._news.set()
            for text in texts:
                # Each has its time: to come back with 50,000 topics takes 2 MB, and not every line is fast.
                with trio.move_on_after(_WRITE_SECONDS) as writing:
                    await socket.send(text)
                if writing.cancelled_caught:
                    raise DisconnectedError(_LOST, f"the server took nothing for {_WRITE_SECONDS:g} s")
            self._put_off()

    def _wait_for(self, oldest: int) -> bool:
        """Give the oldest request its time, from when it became that one; whether it is another than before.

        A program that never stops adding symbols has requests under way all the time, each of them answered soon.
        """
        if (news := oldest != self._oldest) and oldest:
            self._asked = trio.current_time()
        self._oldest = oldest
        return news and bool(oldest)

    async def _watch(self, socket: ClientSocket) -> NoReturn:
        while True:
            self._news = trio.Event()
            due = self._due()
            with trio.move_on_at(due):
                await self._news.wait()  # a promise that makes it due earlier
                continue
            if trio.current_time() < self._due():
                continue  # a heartbeat has come meanwhile
            if due == self._answer_due():
                within = f"of the server did not come within {due - self._asked:g} s"
                if not self.talk.greeted:
                    raise NotGreeted(_LOST, f"the first message {within}")
                raise DisconnectedError(_LOST, f"an answer {within}")
            if self._interval() is not None:
                silence = due - self._beaten
                raise DisconnectedError(_LOST, f"no heartbeat for {silence:g} s: the connection is dead")
            await self._ping(socket)

    def _due(self) -> float:
        """When something is to be done, or given up."""
        if not self.talk.greeted:
            return self._answer_due()
        interval = self._interval()
        heartbeat = self._config.ping_interval if interval is None else _HEARTBEATS_MISSED * interval
        return min(self._answer_due(), self._beaten + heartbeat)

    def _answer_due(self) -> float:
        if not self.talk.greeted:
            return self._asked + self.patience
        return self._asked + self._config.answer_seconds if self.talk.unanswered else math.inf

    def _interval(self) -> float | None:
        """Seconds between heartbeats; None where the server sends none."""
        promised = self.talk.heartbeat_interval
        if promised is not None and _SHORTEST_INTERVAL <= promised <= _LONGEST_INTERVAL:
            return promised
        return _UNPROMISED_INTERVAL if self.talk.heartbeats else None

    async def _ping(self, socket: ClientSocket) -> None:
        with trio.move_on_after(self._config.ping_interval) as waiting:
            await socket.ping()
        if waiting.cancelled_caught:
            raise DisconnectedError(_LOST, f"no answer to a ping within {self._config.ping_interval:g} s")
        self._beaten = trio.current_time()
