"""What a message of the peer does. The reader waits for its turn where much is asked for, but never for an outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import trio

from datafye_trio.broker import Broker, Subscriber
from datafye_trio.connection.admission import Admission, Late
from datafye_trio.connection.answers import Answers
from datafye_trio.connection.limits import RequestLimits
from datafye_trio.connection.streams import Streams
from datafye_trio.connection.subscribing import Subscribing
from datafye_trio.errors import RequestError
from datafye_trio.logs import get_logger
from datafye_trio.protocol import (
    CloseCode,
    Ending,
    Endpoint,
    ErrorCode,
    ListSubscriptions,
    More,
    Ping,
    Pong,
    PongReply,
    Request,
    Session,
    Start,
    Subscribe,
    Unsubscribe,
    find_id,
    parse_json,
    parse_msgpack,
    parse_request,
)  # fmt: skip

__all__ = ["Handler"]

log = get_logger("connection")


_REQUEST_BYTES: Final = 1_024
"""What counts as one request more. A client with 50,000 topics, the most that one may have, resumes them all with some
1,300 of the 2,000 that it may send at once."""


class Handler:
    """Serves the messages of one connection. `on_pong` is told the timestamp of each pong, in the codec's unit."""

    def __init__(
        self,
        broker: Broker,
        subscriber: Subscriber,
        endpoint: Endpoint,
        limits: RequestLimits,
        on_pong: Callable[[int | None], None],
    ) -> None:
        self._broker = broker
        self._subscriber = subscriber
        self._endpoint = endpoint
        self._limits = limits
        self._on_pong = on_pong
        self._end: Callable[[Ending], None] = lambda _: None
        self._answers = Answers(broker, subscriber)
        self._subscribing = Subscribing(broker, subscriber, endpoint, limits, self._answers)
        self._admission = Admission(broker, endpoint, limits.symbols, self._serve_late)
        self.streams = Streams(broker, subscriber, endpoint, limits, self._answers)

    def open(self, nursery: trio.Nursery, session: Session, end: Callable[[Ending], None]) -> None:
        """Before the first message is read: where the tasks run that some requests need, and what ends it all."""
        self._session, self._end = session, end
        self.streams.nursery = self._subscribing.resuming.nursery = self._admission.nursery = nursery
        self._subscribing.resuming.start()
        self._admission.start()

    def cancel(self) -> None:
        """The connection ends: end those tasks without a word."""
        self.streams.cancel()
        self._subscribing.resuming.cancel()
        self._admission.cancel()

    def let_go(self) -> None:
        """The connection has ended: hold none of those that hold us."""
        self._end = lambda _: None
        self._admission.let_go()

    async def handle(self, message: str | bytes, session: Session) -> Ending | None:
        """Serve one message and queue the answers. Returns the ending if this was too much.

        Never raises: a bug below is answered INTERNAL, logged, and harms nobody else.
        """
        try:
            fields = parse_json(message) if isinstance(message, str) else parse_msgpack(message)
        except RequestError as error:
            return self._refuse([error], None, session)
        return await self.handle_fields(fields, session, len(message))

    async def handle_fields(self, fields: dict[str, Any], session: Session, size: int = 0) -> Ending | None:
        """As `handle`, for a message of so many bytes that was parsed, or that the URL's query stands for."""
        request_id = find_id(fields)
        try:
            request, ignored = parse_request(fields, history=self._endpoint.history)
            # Each KiB counts as one more: ten thousand symbols are no small request, nor is a pong of blanks.
            cost = size // _REQUEST_BYTES + (not isinstance(request, Pong))
            if cost:
                admitted = session.count_request(trio.current_time(), cost)
                if admitted is None:
                    return Ending(
                        CloseCode.TOO_MANY_REQUESTS, f"more than {self._limits.rate:g} requests a second: slow down"
                    )
                if not admitted:
                    self._answers.error(_rate_limited(self._limits.rate), request_id)
                    return None  # not counted as an error: the budget has its own close code
        except RequestError as error:
            return self._refuse([error], request_id, session)
        return self._refuse(await self._answered(request, ignored), request_id, session)

    async def _answered(
        self, request: Request, ignored: tuple[str, ...], *, late: bool = False
    ) -> Sequence[RequestError]:
        """Serve a request; returns what is refused of it."""
        try:
            return await self._serve(request, ignored, late=late)
        except RequestError as error:
            return [error]
        except Exception:
            log.exception("request failed")
            return [RequestError(ErrorCode.INTERNAL, "the server failed at this request: try again later")]

    async def _serve_late(self, late: Late) -> None:
        served = () if late.request is None else await self._answered(late.request, late.ignored, late=True)
        refusals = [*served, *late.refusals]
        if (ending := self._refuse(refusals, late.id, self._session)) is not None:
            self._end(ending)

    def _refuse(
        self, refusals: Sequence[RequestError], request_id: str | int | None, session: Session
    ) -> Ending | None:
        too_many = False
        for refusal in refusals:
            self._answers.error(refusal, request_id)
            too_many |= session.count_error(trio.current_time())
        if too_many:
            return Ending(CloseCode.TOO_MANY_ERRORS, f"{self._limits.errors} request errors within 10 s", drain=True)
        return None

    async def _serve(self, request: Request, ignored: tuple[str, ...], *, late: bool) -> Sequence[RequestError]:
        match request:
            case Pong():
                self._on_pong(request.timestamp)
            case Ping():
                self._ping(request, ignored)
            case Subscribe() | Unsubscribe() | ListSubscriptions() if not late and self._admission.defers(
                request, ignored
            ):
                pass  # comes back by `_serve_late`
            case Subscribe():
                return await self._subscribing.subscribe(request, ignored)
            case Unsubscribe():
                return await self._subscribing.unsubscribe(request, ignored)
            case ListSubscriptions():
                await self._subscribing.list(request, ignored)
            case Start():
                return self.streams.start(request, ignored)
            case More():
                self.streams.more(request)
            case _:
                self.streams.stop(request)
        return ()

    def _ping(self, request: Ping, ignored: tuple[str, ...]) -> None:
        broker, encoding = self._broker, self._subscriber.encoding

        def make() -> bytes:
            reply = PongReply(broker.codec.timestamp(broker.wall_clock()), request.id, ignored or None)
            return broker.frame(broker.codec.encode(reply, encoding), encoding)

        self._subscriber.outbox.express(make)


def _rate_limited(rate: float) -> RequestError:
    return RequestError(ErrorCode.RATE_LIMITED, f"more than {rate:g} requests a second: wait a moment")
