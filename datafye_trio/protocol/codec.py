"""The one codec: messages and events to bytes and back, as JSON text or as MessagePack (protocol.md section 3).

`type` comes first, no spaces, absent optionals are left out. msgspec writes it all: dicts made by functions that cattrs
generates, and for events, which are many, structs (`data_encoder`). Given attrs classes directly, it would ignore the
renames, sort `type` last and write None as null. Times of events are nanoseconds inside; a server configured to `us` or
`ms` divides on the way out. Times of all other messages are in that unit from the start (`Codec.timestamp`): `pong`
brings them back.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Any, Final, Literal, TypeAlias

import cattrs
import msgspec

from datafye_trio.errors import RequestError
from datafye_trio.model import Event
from datafye_trio.protocol.codes import ErrorCode
from datafye_trio.protocol.converters import make_converter
from datafye_trio.protocol.data_encoder import LIVE, STORED, TIMES
from datafye_trio.protocol.messages import EVENT_TYPES, MESSAGE_TYPES, Data, Message
from datafye_trio.protocol.strict import parse_json, parse_msgpack

__all__ = ["Codec", "Encoding", "NS_PER_UNIT", "TimestampUnit", "decode_event", "decode_message"]

Encoding: TypeAlias = Literal["json", "msgpack"]
TimestampUnit: TypeAlias = Literal["ns", "us", "ms"]

NS_PER_UNIT: Final[dict[TimestampUnit, int]] = {"ns": 1, "us": 1_000, "ms": 1_000_000}
_CONVERTER: Final = make_converter()


class Codec:
    """Encodes what a server sends, with its unit of time. One serves any number of connections."""

    def __init__(self, unit: TimestampUnit = "ns") -> None:
        self.unit: TimestampUnit = unit
        self._divisor = NS_PER_UNIT[unit]
        self._write: Final[dict[Encoding, Callable[[Any], bytes]]] = {
            "json": msgspec.json.Encoder().encode,
            "msgpack": msgspec.msgpack.Encoder().encode,
        }
        self._names: Final = {cls: name for name, cls in MESSAGE_TYPES.items()}
        self._to_dict: Final = {cls: _CONVERTER.get_unstructure_hook(cls) for cls in MESSAGE_TYPES.values()}

    def encode(self, message: Message, encoding: Encoding = "json") -> bytes:
        """The payload of a message that is no data."""
        cls = type(message)
        return self._write[encoding]({"type": self._names[cls], **self._to_dict[cls](message)})

    def data(self, event: Event, dataset: str, asset_class: str, seq: int) -> Any:
        """A live data message, ready for `write`; its `snapshot`, `conflated`, `running` and `channel` may be set."""
        found = LIVE[event.__class__](event, dataset, asset_class, seq)
        return found if self._divisor == 1 else self._scaled(found, event)

    def stored(self, event: Event, dataset: str, asset_class: str, stream: str | int) -> Any:
        """A stored data message, ready for `write`: a `stream` stands in place of the `seq`."""
        found = STORED[event.__class__](event, dataset, asset_class, stream)
        return found if self._divisor == 1 else self._scaled(found, event)

    def write(self, data: Any, encoding: Encoding) -> bytes:
        """The payload of a data message."""
        return self._write[encoding](data)

    def timestamp(self, time_ns: int) -> int:
        """A time in this codec's unit, for the messages that are no events."""
        return time_ns // self._divisor

    def _scaled(self, found: Any, event: Event) -> Any:
        for name in TIMES[event.__class__]:
            if (time := getattr(event, name)) is not None:
                setattr(found, name, time // self._divisor)
        return found


def decode_message(payload: str | bytes, encoding: Encoding = "json") -> Message | Data:
    """What a server sent, as a message or an event in its envelope. Times stay in the server's unit.

    Unknown fields are ignored, as protocol.md asks of clients.

    Raises:
        RequestError: MALFORMED_JSON or INVALID_MESSAGE, with the field that is wrong.
    """
    if encoding == "json":
        fields = parse_json(payload if isinstance(payload, str) else payload.decode("utf-8", "surrogateescape"))
    else:
        fields = parse_msgpack(payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogatepass"))
    kind = fields.get("type")
    try:
        if isinstance(kind, str) and kind in EVENT_TYPES:
            return _decode_data(fields, EVENT_TYPES[kind])
        if isinstance(kind, str) and kind in MESSAGE_TYPES:
            message: Message = _CONVERTER.structure(fields, MESSAGE_TYPES[kind])
            return message
    except (cattrs.BaseValidationError, ValueError) as error:
        why = "; ".join(cattrs.transform_error(error)) if isinstance(error, cattrs.BaseValidationError) else str(error)
        raise RequestError(ErrorCode.INVALID_MESSAGE, f"a {kind} message is wrong: {why}") from None
    raise RequestError(ErrorCode.INVALID_MESSAGE, "a message has no known type", field="type")


def decode_event(text: str) -> Event:
    """A data message without its envelope, as an event. Its times are nanoseconds. Unknown fields are ignored.

    Raises:
        RequestError: MALFORMED_JSON or INVALID_MESSAGE, with what is wrong.
    """
    fields = parse_json(text)
    kind = fields.get("type")
    cls = EVENT_TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise RequestError(ErrorCode.INVALID_MESSAGE, f"type must be one of {', '.join(EVENT_TYPES)}", field="type")
    try:
        event: Event = _CONVERTER.structure(fields, cls)
    except cattrs.BaseValidationError as error:
        why = "; ".join(cattrs.transform_error(error))
        raise RequestError(ErrorCode.INVALID_MESSAGE, f"a {kind} message is wrong: {why}") from None
    return event


def _decode_data(fields: dict[str, Any], cls: type[Event]) -> Data:
    # An event that happens to have a field of the envelope's name would be ambiguous; none has.
    event: Event = _CONVERTER.structure(fields, cls)
    return Data(
        event=event,
        dataset=_typed(fields, "dataset", str),
        asset_class=_typed(fields, "assetClass", str),
        seq=_typed(fields, "seq", int, NoneType),
        stream=_typed(fields, "stream", str, int, NoneType),
        snapshot=_typed(fields, "snapshot", bool, NoneType) or False,
        conflated=_typed(fields, "conflated", int, NoneType),
        running=_typed(fields, "running", bool, NoneType) or False,
        channel=_typed(fields, "channel", str, NoneType),
    )


def _typed(fields: dict[str, Any], name: str, *kinds: type[Any]) -> Any:
    if type(value := fields.get(name)) not in kinds:
        raise ValueError(f"{name} is missing or of the wrong type")
    return value
