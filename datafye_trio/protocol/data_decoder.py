"""The fast way in for data messages: JSON text to events, for clients that read tens of thousands a second.

`codec.decode_message` takes a message apart step by step and can say what is wrong with it; that costs 11 µs a quote.
Here msgspec decodes into typed structs, generated from the event classes and their wire names, at 1.5 µs. Whatever it
does not take as data (an answer, a heartbeat, a malformed message) is `decode_message`'s to judge: this module explains
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from types import NoneType
from typing import Annotated, Any, Final, Union, get_args

import attrs
import msgspec

from datafye_trio.model import Event, Line
from datafye_trio.protocol.codec import NS_PER_UNIT, TimestampUnit
from datafye_trio.protocol.converters import wire_name
from datafye_trio.protocol.messages import EVENT_TYPES, Data

__all__ = ["RECORDS", "UNDECODABLE", "DataDecoder", "decode_record"]

_LIMIT: Final = 2**63
_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-_LIMIT, le=_LIMIT - 1)]
_COUNT: Final = Annotated[int, msgspec.Meta(ge=0, le=_LIMIT - 1)]
_NUMBER: Final = Annotated[int, msgspec.Meta(ge=1, le=_LIMIT - 1)]
"""A `seq`. They count from 1: to a client that follows a topic, 0 means that no message is due."""
_TIMES: Final = frozenset({"timestamp", "exchange_timestamp", "trf_timestamp", "start"})
_ENVELOPE: Final[list[tuple[str, Any] | tuple[str, Any, Any]]] = [
    ("envelope_dataset", str),
    ("envelope_asset_class", str),
    ("envelope_seq", _NUMBER | None, None),
    ("envelope_stream", str | _INTEGER | None, None),
    ("envelope_snapshot", bool | None, None),
    ("envelope_conflated", _COUNT | None, None),
    ("envelope_running", bool | None, None),
    ("envelope_channel", str | None, None),
]
"""Prefixed, so that no field of an event can have the same name."""
_ENVELOPE_NAMES: Final = {
    "envelope_dataset": "dataset",
    "envelope_asset_class": "assetClass",
    "envelope_seq": "seq",
    "envelope_stream": "stream",
    "envelope_snapshot": "snapshot",
    "envelope_conflated": "conflated",
    "envelope_running": "running",
    "envelope_channel": "channel",
}


class DataDecoder:
    """Decodes the data messages of one connection. `unit` is the server's (`connected.timestampUnit`)."""

    def __init__(self, unit: TimestampUnit = "ns") -> None:
        self._factor = NS_PER_UNIT[unit]

    def decode(self, payload: str | bytes) -> Data | None:
        """The event in its envelope, its times in nanoseconds; None for anything but a sound data message."""
        found = self.read(payload)
        return None if found is None else self.data(found)

    def read(self, payload: str | bytes) -> Any:
        """The first half of `decode`: a struct with the event's own fields, and the envelope's as `envelope_seq` etc.

        For a client that looks at the envelope first; `event` and `data` are the second half. None as in `decode`.
        """
        try:
            return decode_record(payload)
        except UNDECODABLE:
            return None

    def makers(self) -> dict[type[Any], Callable[[Any], Event | None]]:
        """`event`, for each class that `read` finds: one call less."""
        return dict(_MAKERS) if self._factor == 1 else dict.fromkeys(_MAKERS, self.event)

    def event(self, found: Any) -> Event | None:
        """The event of what `read` has found; None where a time has no place in 64 bits."""
        event = _MAKERS[found.__class__](found)
        return event if self._factor == 1 or self._scale(event) else None

    def data(self, found: Any) -> Data | None:
        """The event of what `read` has found, in its envelope; None as in `event`."""
        event = self.event(found)
        if event is None:
            return None
        return Data(
            event,
            found.envelope_dataset,
            found.envelope_asset_class,
            found.envelope_seq,
            found.envelope_stream,
            found.envelope_snapshot is True,
            found.envelope_conflated,
            found.envelope_running is True,
            found.envelope_channel,
        )

    def _scale(self, event: Event) -> bool:
        """Turn times into nanoseconds; False where one has no place in 64 bits. The event is nobody else's yet."""
        for name in _TIMES_OF[type(event)]:
            if (value := getattr(event, name)) is not None:
                scaled = value * self._factor
                if not -_LIMIT <= scaled < _LIMIT:
                    return False
                setattr(event, name, scaled)
        return True


def _wire_type(kind: Any) -> Any:
    """What msgspec is to accept for a field: integers where the class says float, too, and they stay integers."""
    if kind is int:
        return _INTEGER
    if kind is float:
        return _INTEGER | float
    if kind is Line:
        return _LINE
    options = get_args(kind)
    if NoneType in options:
        return reduce(or_, (_wire_type(option) for option in options if option is not NoneType)) | None
    return kind


def _struct(cls: type[Any], envelope: list[Any], **options: Any) -> type[msgspec.Struct]:
    attrs.resolve_types(cls)
    fields: list[Any] = [
        (field.name, _wire_type(field.type), *([] if field.default is attrs.NOTHING else [field.default]))
        for field in attrs.fields(cls)
    ]
    names = {field.name: wire_name(cls, field.name) for field in attrs.fields(cls)}
    rename = names | (_ENVELOPE_NAMES if envelope else {})
    # gc: it lives for one message, and holds nothing that could hold it; 0.05 µs less.
    return msgspec.defstruct(cls.__name__, fields + envelope, rename=rename, kw_only=True, gc=False, **options)


def _maker(cls: type[Any]) -> Callable[[Any], Any]:
    """From a struct to an event. Written out and compiled, like attrs' own methods: `cls(*attrgetter(...)(struct))`
    takes 0.32 µs a quote, this 0.23.
    """
    names = [field.name for field in attrs.fields(cls)]
    values = [f"line(s.{name})" if name.endswith("_line") else f"s.{name}" for name in names]
    known = {"cls": cls, "line": lambda line: _make_line(line)}  # noqa: PLW0108 -- this function makes that one, too
    made: Callable[[Any], Any] = eval(f"lambda s: cls({', '.join(values)})", known)  # noqa: S307 -- our own names only
    return made


_LINE: Final = _struct(Line, [])
_make_line: Final = _maker(Line)
_STRUCTS: Final = {cls: _struct(cls, _ENVELOPE, tag_field="type", tag=kind) for kind, cls in EVENT_TYPES.items()}
_MAKERS: Final[dict[type[Any], Callable[[Any], Event]]] = {struct: _maker(cls) for cls, struct in _STRUCTS.items()}
_TIMES_OF: Final = {
    cls: [field.name for field in attrs.fields(cls) if field.name in _TIMES] for cls in EVENT_TYPES.values()
}
RECORDS: Final[dict[type[Any], type[Any]]] = dict(_STRUCTS)
"""The class of event to the class of what `DataDecoder.read` finds."""
decode_record: Final[Callable[[str | bytes], Any]] = msgspec.json.Decoder(Union[tuple(_STRUCTS.values())]).decode  # noqa: UP007 -- made here
"""`DataDecoder.read` without its `try`: raises one of `UNDECODABLE` for anything but a sound data message."""
UNDECODABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""A ValueError: text that is no UTF-8."""
