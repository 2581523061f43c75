"""From a fresh transport to a checked WebSocket request, or an HTTP answer. Everything here happens within 5 s."""

from __future__ import annotations

from typing import Any, Final

import attrs

from datafye_trio.protocol import Encoding, Endpoint, find_endpoint, parse_query
from datafye_trio.wire import Head, HttpError, WebSocketOffer, check_upgrade

__all__ = ["WebSocketRequest", "check_websocket"]

_SUBPROTOCOLS: Final[dict[str, Encoding]] = {"datafye.v1.json": "json", "datafye.v1.msgpack": "msgpack"}


@attrs.frozen
class WebSocketRequest:
    """An upgrade request that may be accepted. `query` is the subscription that the URL asks for."""

    endpoint: Endpoint
    query: dict[str, Any]
    key: str
    subprotocol: str | None
    encoding: Encoding


def check_websocket(head: Head) -> WebSocketRequest:
    """Check path, query and the WebSocket headers of a request.

    Raises:
        HttpError: 404, 426 or 400.
    """
    endpoint = find_endpoint(head.path)
    if endpoint is None:
        raise HttpError(404, f"nothing is served at {head.path[:100]}: see the paths below /datafye-ws/v1")
    if not head.wants_upgrade:
        raise HttpError(426, "this is a WebSocket path: connect with a WebSocket client", (("Upgrade", "websocket"),))
    offer = check_upgrade(head)
    try:
        query = parse_query(head.query)
    except ValueError as error:
        raise HttpError(400, f"malformed query: {str(error)[:100]}") from None
    subprotocol = _choose(offer)
    return WebSocketRequest(endpoint, query, offer.key, subprotocol, _SUBPROTOCOLS.get(subprotocol or "", "json"))


def _choose(offer: WebSocketOffer) -> str | None:
    """The first subprotocol of the client's list that is known; with only unknown ones, none, and so JSON."""
    return next((name for name in offer.subprotocols if name in _SUBPROTOCOLS), None)
