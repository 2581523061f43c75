"""What a client may ask (protocol.md section 2), as classes, and the strict way from a plain object to one of them."""

from __future__ import annotations

import math
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

import attrs
import cattrs

from datafye_trio.errors import RequestError
from datafye_trio.protocol.codes import ErrorCode
from datafye_trio.protocol.converters import fields_of, make_converter, wire_name
from datafye_trio.protocol.session import ACTIONS

__all__ = [
    "ListSubscriptions", "More", "Ping", "Pong", "Request", "ResumeFrom", "Start", "Stop", "Subscribe", "Unsubscribe",
    "find_id", "parse_request", "request_to_dict",
]  # fmt: skip


@attrs.frozen
class ResumeFrom:
    """What a returning client has: the last `seq` of each symbol within `epoch`."""

    epoch: str
    positions: dict[str, int]


@attrs.frozen
class Subscribe:
    """Data of these symbols on these channels, from now on. `symbols` of `("*",)` is every symbol of the dataset."""

    symbols: tuple[str, ...]
    channels: tuple[str, ...] | None = None
    id: str | int | None = None
    dataset: str | None = None
    asset_class: str | None = None
    frequency: str | None = None
    running: bool | None = None
    snapshot: bool | None = None
    delivery: str | None = None
    max_rate: float | None = None
    resume: ResumeFrom | None = None


@attrs.frozen
class Unsubscribe:
    """No more data of these; with `("*",)`, of none of the channels but the symbols of `except_`."""

    symbols: tuple[str, ...]
    channels: tuple[str, ...] | None = None
    id: str | int | None = None
    dataset: str | None = None
    asset_class: str | None = None
    frequency: str | None = None
    running: bool | None = None
    except_: tuple[str, ...] | None = None


@attrs.frozen
class ListSubscriptions:
    """What is subscribed on this connection."""

    id: str | int | None = None


@attrs.frozen
class Ping:
    """Answered by a pong."""

    id: str | int | None = None


@attrs.frozen
class Pong:
    """The answer to heartbeats: to those up to `timestamp`, or to all without one."""

    timestamp: int | None = None
    id: str | int | None = None


@attrs.frozen
class Start:
    """A stream of stored data (history path). No `symbols`, or `("*",)`, is every symbol of the dataset.

    `rate` is messages a second. With a `window` the stream sends so many messages, and then as many as `more` grants.
    `skip` leaves out so many of the first ones: what a client has already that comes back after a lost connection.
    """

    from_: str
    to: str
    frequency: str
    symbols: tuple[str, ...] | None = None
    channel: str | None = None
    id: str | int | None = None
    dataset: str | None = None
    rate: float | None = None
    window: int | None = None
    skip: int | None = None


@attrs.frozen
class More:
    """Grants a stream that has a window `count` messages more (history path)."""

    id: str | int
    count: int


@attrs.frozen
class Stop:
    """Ends one stream, or all without an `id` (history path)."""

    id: str | int | None = None


Request: TypeAlias = Subscribe | Unsubscribe | ListSubscriptions | Ping | Pong | Start | More | Stop

_CLASSES: Final[dict[str, type[Any]]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "subscriptions": ListSubscriptions,
    "ping": Ping,
    "pong": Pong,
    "start": Start,
    "more": More,
    "stop": Stop,
}
_NAMES: Final = {cls: name for name, cls in _CLASSES.items()}
_FIELDS: Final = {name: fields_of(cls) for name, cls in _CLASSES.items()}
_VERBS: Final = ("action", "type", "op")
_CONVERTER: Final = make_converter()
R = TypeVar("R")


def find_id(fields: dict[str, Any]) -> str | int | None:
    """The request's id if it has a sound one, to be echoed even when the rest is refused."""
    try:
        return cast("str | int", _CONVERTER.structure(fields.get("id"), str | int))  # type: ignore[arg-type]  # a union is no type to mypy
    except ValueError:
        return None


def parse_request(fields: dict[str, Any], *, history: bool) -> tuple[Request, tuple[str, ...]]:
    """The request in a plain object, and the fields of it that nobody knows.

    Args:
        fields: what `strict` made of the message; left unchanged.
        history: whether it came on a history path, which has its own actions.

    Raises:
        RequestError: UNKNOWN_ACTION, or INVALID_MESSAGE with the `field` that is wrong.
    """
    # null is how many languages write an option that is not set.
    fields = {name: value for name, value in fields.items() if value is not None}
    action = _take_action(fields, history=history)
    known = _FIELDS[action]
    for one, many in (("symbol", "symbols"), ("channel", "channels")):
        if many in known and one in fields and one not in known:
            text = fields.pop(one)
            if not isinstance(text, str):
                raise RequestError(ErrorCode.INVALID_MESSAGE, f"{one} must be a text", field=one)
            fields.setdefault(many, [text])
    if fields.get("symbols") == "*":
        fields["symbols"] = ["*"]
    request = _structure(fields, _CLASSES[action])
    _check(request)
    return request, tuple(sorted(name[:40] for name in fields if name not in known))


def request_to_dict(request: Request) -> dict[str, Any]:
    """The wire form of a request, `action` first: what a client sends."""
    return {"action": _NAMES[type(request)], **_CONVERTER.unstructure(request)}


def _take_action(fields: dict[str, Any], *, history: bool) -> str:
    named = [fields.pop(verb) for verb in _VERBS if verb in fields]
    allowed = ACTIONS[history]
    listed = ", ".join(sorted(allowed))
    if not named:
        raise RequestError(ErrorCode.INVALID_MESSAGE, f"name an action: one of {listed}", field="action")
    action = named[0]
    if not isinstance(action, str):
        raise RequestError(ErrorCode.INVALID_MESSAGE, "action must be a text", field="action")
    if action not in allowed:
        where = " on the history path" if history else " on a live path"
        hint = where if action in _CLASSES else ""
        raise RequestError(
            ErrorCode.UNKNOWN_ACTION, f"unknown action {action[:40]!r}{hint}: use one of {listed}", field="action"
        )
    return action


def _structure(fields: dict[str, Any], cls: type[R]) -> R:
    try:
        return _CONVERTER.structure(fields, cls)
    except cattrs.ClassValidationError as group:
        name, why = _first_fault(group)
        raise RequestError(ErrorCode.INVALID_MESSAGE, f"{name} {why}", field=name) from None


def _first_fault(group: cattrs.ClassValidationError) -> tuple[str, str]:
    """The wire name of the first wrong field and what is wrong with it."""
    fault = group.exceptions[0]
    notes: list[str | cattrs.AttributeValidationNote] = getattr(fault, "__notes__", [])
    name = next(
        (wire_name(group.cl, note.name) for note in notes if isinstance(note, cattrs.AttributeValidationNote)), ""
    )
    if isinstance(fault, cattrs.ClassValidationError):
        inner, why = _first_fault(fault)
        return f"{name}.{inner}".strip("."), why
    if isinstance(fault, KeyError):
        return str(fault.args[0]), "is missing"
    return name, str(fault)


def _check(request: Request) -> None:
    if isinstance(request, Subscribe | Unsubscribe | Start) and request.symbols == ():
        raise RequestError(
            ErrorCode.INVALID_MESSAGE, 'symbols is empty: name at least one, or "*" for all', field="symbols"
        )
    match request:
        case Subscribe():
            _check_delivery(request)
        case Start():
            _check_above_0("rate", request.rate)
            _check_above_0("window", request.window)
            _check_above_0("skip", request.skip)
        case More():
            _check_above_0("count", request.count)
        case _:
            pass


def _check_above_0(name: str, value: float | None) -> None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise RequestError(ErrorCode.INVALID_MESSAGE, f"{name} must be above 0", field=name)


_DELIVERIES: Final[tuple[Literal["all", "latest"], ...]] = ("all", "latest")


def _check_delivery(request: Subscribe) -> None:
    if request.delivery is not None and request.delivery not in _DELIVERIES:
        raise RequestError(ErrorCode.INVALID_MESSAGE, "delivery must be all or latest", field="delivery")
    if request.max_rate is not None:
        if request.delivery != "latest":
            raise RequestError(ErrorCode.INVALID_MESSAGE, "maxRate needs delivery latest", field="maxRate")
        _check_above_0("maxRate", request.max_rate)
