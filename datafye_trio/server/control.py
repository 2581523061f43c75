"""Control of replays by HTTP: `POST /replay/pause`, `/resume`, `/step?n=10`, `/seek?to=2024-08-08T23:55:00Z`.

From loopback alone unless configured, and never from a foreign web page: whoever can post here decides what every
client of a replay sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import trio

from datafye_trio.broker import Broker
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.logs import get_logger
from datafye_trio.protocol import format_time, parse_time
from datafye_trio.server.access import Access, Address
from datafye_trio.server.config import ControlConfig
from datafye_trio.server.http import CONTROL_PREFIX
from datafye_trio.server.networks import Networks
from datafye_trio.sources import Controllable, PlayState
from datafye_trio.wire import Head, HttpError

__all__ = ["FORWARDED", "Control", "status"]

log = get_logger("control")

_LOOPBACK: Final = ("127.0.0.0/8", "::1")
_SETTLING_SECONDS: Final = 1.0
"""How long an answer waits for what was asked: a long step goes on after it."""
_PARAMETERS: Final = {"pause": (), "resume": (), "step": ("n",), "seek": ("to",)}
_LONGEST: Final = 64
FORWARDED: Final = ("x-forwarded-for", "forwarded", "x-real-ip", "via")
"""Signs that a proxy speaks for somebody; only from the first does a trusted one tell us for whom."""

_Act: TypeAlias = Callable[[Controllable], None]


class Control:
    """Answers the requests below `/replay/`.

    Raises:
        ConfigurationError: a file of the list cannot be used.
    """

    def __init__(self, config: ControlConfig, access: Access, broker: Broker) -> None:
        self._allow = Networks(_LOOPBACK + config.allow)
        self._access = access
        self._broker = broker

    async def answer(self, head: Head, peer: Address, client: Address) -> dict[str, Any]:
        """Do what is asked, and say how the replay stands once it is done, or after a second.

        Args:
            head: the request.
            peer: whose connection it is.
            client: who asks: the peer, or whom a trusted proxy forwards.

        Raises:
            HttpError: 403, 404, 400, or 409 for a replay that has ended.
        """
        self._check_client(head, peer, client)
        action = head.path.removeprefix(CONTROL_PREFIX)
        if action not in _PARAMETERS:
            raise HttpError(404, f"no such control: write {CONTROL_PREFIX} and {', '.join(_PARAMETERS)}")
        parameters = _parse(head.query, ("dataset", *_PARAMETERS[action]))
        act = _act(action, parameters)
        chosen = self._choose(action, parameters.get("dataset"))
        try:
            for replay in chosen.values():
                act(replay)
        except SourceError as error:
            raise HttpError(409, str(error)) from None
        except ConfigurationError as error:
            raise HttpError(400, str(error)) from None
        log.info("controlled", action=action, datasets=",".join(chosen), address=str(client))
        with trio.move_on_after(_SETTLING_SECONDS):
            for replay in chosen.values():
                await replay.wait_settled()
        answers = [{"dataset": name, **status(replay)} for name, replay in chosen.items()]
        return answers[0] if len(answers) == 1 else {"replays": answers}

    def _check_client(self, head: Head, peer: Address, client: Address) -> None:
        # Loopback is this machine as long as a proxy on another does not say it: of its own, or by somebody's header.
        if client not in self._allow or (client.is_loopback and not peer.is_loopback):
            raise HttpError(403, f"{client} may not control replays here: ask the operator to add it to control.allow")
        self._access.check_commander(head, client)
        # A proxy that nobody configured, on this machine say, would lend its address to everybody.
        signs = [name for name in FORWARDED if name in head.headers]
        if signs and not ("x-forwarded-for" in signs and self._access.is_proxy(peer)):
            raise HttpError(403, f"{signs[0].title()} from {peer}, which is not among the trusted proxies")

    def _choose(self, action: str, name: str | None) -> dict[str, Controllable]:
        """The replays that are meant: the one that is named, the only one, or for pause and resume all that go on."""
        sources = [(name, dataset.source) for name, dataset in self._broker.datasets.items()]
        replays: dict[str, Controllable] = {name: one for name, one in sources if isinstance(one, Controllable)}
        if not replays:
            raise HttpError(404, "there is no replay on this server")
        names = ", ".join(replays)
        if name is not None:
            if name not in replays:
                raise HttpError(404, f"there is no replay of {name[:_LONGEST]!r} here: the replays are {names}")
            return {name: replays[name]}
        if len(replays) > 1 and action in ("step", "seek"):
            raise HttpError(400, f"say which replay is meant with dataset=NAME: {names}")
        going_on = {name: replay for name, replay in replays.items() if replay.state is not PlayState.ENDED}
        return going_on or replays


def status(replay: Controllable) -> dict[str, Any]:
    """How a replay stands: its state, and where in its own time, in nanoseconds and as a text."""
    position = replay.position
    return {
        "state": replay.state.value,
        "position": position,
        "time": None if position is None else format_time(position),
    }


def _act(action: str, parameters: dict[str, str]) -> _Act:
    if action == "pause":
        return lambda replay: replay.pause()
    if action == "resume":
        return lambda replay: replay.resume()
    if action == "step":
        n = _count(parameters.get("n", "1"))
        return lambda replay: replay.step(n)
    if "to" not in parameters:
        raise HttpError(400, "say where to go: /replay/seek?to=2024-08-08T23:55:00Z, or nanoseconds since 1970")
    to = _time(parameters["to"])
    return lambda replay: replay.seek(to)


def _parse(query: str, known: tuple[str, ...]) -> dict[str, str]:
    # A plus is a plus, as in +02:00: forms write a space so, but no form is sent here.
    text = query.replace("+", "%2B")
    if text and not all("=" in part for part in text.split("&")):
        raise HttpError(400, "malformed query: a parameter is written as name=value")  # see `parse_query`
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=16)
    except ValueError as error:
        raise HttpError(400, f"malformed query: {str(error)[:100]}") from None
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise HttpError(400, "a parameter stands twice in the query")
    for name in parameters:
        if name not in known:
            raise HttpError(400, f"unknown parameter {name[:_LONGEST]!r}: this control has {', '.join(known)}")
    return parameters


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        return int(text)
    raise HttpError(400, f"n={text[:_LONGEST]!r} is no number of events: write an integer from 1 to 999999999")


def _time(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) < 2**63:
        return int(text)
    try:
        return parse_time(text)
    except ValueError as error:
        raise HttpError(400, f"to={error}") from None
