"""Faults by HTTP, for a server in another process: `POST /faults/drop`, `GET /faults`, `POST /faults/clear`.

What a fault takes is the parameters of its method of `Faults`, as a JSON object in the body (`{"after": 1000}`) or in
the query (`?after=1000`). From loopback alone, and never from a foreign web page: whoever can post here cuts anybody.
While connections are refused without a word (an outage, `refuse` with status null), so are these.
"""

from __future__ import annotations

import inspect
from ipaddress import ip_address
from typing import Any, Final

import trio

from datafye_trio.errors import ConfigurationError, ServerClosedError
from datafye_trio.logs import get_logger
from datafye_trio.server import AccessConfig
from datafye_trio.server.access import Access, Address, fold
from datafye_trio.server.control import FORWARDED
from datafye_trio.server.http import respond_error, respond_json
from datafye_trio.testing.calling import arguments
from datafye_trio.testing.faults import Fault, Faults
from datafye_trio.testing.posting import Posted, read_request
from datafye_trio.wire import HttpError

__all__ = ["FAULTS", "Control"]

log = get_logger("control")

FAULTS: Final = (
    "mute", "no_heartbeats", "delay", "slow_reads", "slices", "reorder", "duplicate", "corrupt", "drop", "close",
    "refuse", "restart", "lose_ring",
)  # fmt: skip
"""What can be called for: methods of `Faults`. It has others, which are for the server's own parts."""

_PATH: Final = "/faults"
_CLEAR: Final = "clear"
_LOOPBACK: Final = ip_address("127.0.0.1")
_READ_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 5.0


class Control:
    """Answers the requests below `/faults` (an `Answer` of `Door`).

    Args:
        faults: what is called for.
        access: whose `origins` may post from a web page, besides loopback's.
    """

    def __init__(self, faults: Faults, access: AccessConfig | None = None) -> None:
        self._faults = faults
        self._access = Access(access if access is not None else AccessConfig())

    async def __call__(self, stream: trio.abc.HalfCloseableStream, read: bytes) -> None:
        """Do what is asked, and say what came of it: a restart once the server is there again.

        Args:
            stream: the client's.
            read: what was read of the request already.

        Raises:
            trio.BrokenResourceError: the client has gone.
        """
        try:
            content = await self.answer(await _read_in_time(stream, read), _address(stream))
        except HttpError as error:
            log.info("refused", status=error.status, reason=error.reason)
            with trio.move_on_after(_ANSWER_SECONDS):
                await respond_error(stream, error)
        else:
            with trio.move_on_after(_ANSWER_SECONDS):
                await respond_json(stream, 200, content)

    async def answer(self, posted: Posted, client: Address) -> dict[str, Any]:
        """What a request gets.

        Raises:
            HttpError: 400, 403, 404 or 405; 409 while the server is down.
        """
        self._check_client(posted, client)
        path, _, name = posted.head.path.removeprefix(_PATH).partition("/")
        wanted = "POST" if name else "GET"
        if path or (name and name not in (*FAULTS, _CLEAR)):
            raise HttpError(404, f"no such fault: POST {_PATH}/ and one of {', '.join((*FAULTS, _CLEAR))}")
        if posted.head.method != wanted:
            raise HttpError(405, f"only {wanted} is answered here", (("Allow", wanted),))
        if not name:
            return self._standing()
        if name == _CLEAR:
            arguments(self._faults.clear, name, posted.head.query, posted.body)
            self._faults.clear()
            return self._standing()
        return await self._call(name, posted)

    def _check_client(self, posted: Posted, client: Address) -> None:
        if not client.is_loopback:
            raise HttpError(403, f"faults are for this machine alone: {client} is another")
        self._access.check_origin(posted.head, loopback=True)
        self._access.check_commander(posted.head, client)
        signs = [name for name in FORWARDED if name in posted.head.headers]
        if signs:
            raise HttpError(403, f"faults are for this machine alone: {signs[0].title()} speaks for another")

    async def _call(self, name: str, posted: Posted) -> dict[str, Any]:
        method = getattr(self._faults, name)
        given = arguments(method, name, posted.head.query, posted.body)
        try:
            outcome = method(**given)
            if inspect.isawaitable(outcome):
                outcome = await outcome
        except ServerClosedError as error:
            raise HttpError(409, str(error)) from None
        except (ValueError, ConfigurationError) as error:
            raise HttpError(400, f"{name}: {error}") from None
        log.info("called for", fault=name, **given)
        return _told(outcome) if isinstance(outcome, Fault) else {"fault": name, "active": False}

    def _standing(self) -> dict[str, Any]:
        taps = self._faults.taps.values()
        return {
            "active": [_told(fault) for fault in self._faults.active],
            "connections": [
                {"connection": tap.number, "path": tap.request.path, "address": tap.request.address}
                for tap in taps
                if tap.opened
            ],
        }


def _told(fault: Fault) -> dict[str, Any]:
    return {"fault": str(fault), "active": fault.active, "done": fault.hits}


async def _read_in_time(stream: trio.abc.ReceiveStream, read: bytes) -> Posted:
    with trio.move_on_after(_READ_SECONDS):
        return await read_request(stream, read)
    raise HttpError(408, f"the request is not whole after {_READ_SECONDS:g} s")


def _address(stream: trio.abc.Stream) -> Address:
    if not isinstance(stream, trio.SocketStream):
        return _LOOPBACK
    try:
        return fold(stream.socket.getpeername()[0])
    except OSError:
        raise trio.BrokenResourceError("the client has gone") from None
