"""What may be published. Checked at the call: further down a NaN would go out as null, in silence, and a text that
cannot be encoded would stop the fan-out for everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, TypeAlias

import attrs

from datafye_trio.errors import EventError
from datafye_trio.model import EVENT_CHANNELS, Channel, DatasetInfo, Event, Line, Quote, Trade

__all__ = ["channels_of", "check_event"]

_MAX: Final = 2**63 - 1
_NUMBERS: Final = frozenset({int, float})
"""Exactly these: a bool, a Decimal or a NumPy scalar is written otherwise, or not at all."""

Check: TypeAlias = Callable[[Any], bool]


def channels_of(event: Event, dataset: DatasetInfo, *, or_none: bool = False) -> tuple[Channel, ...]:
    """The channels of a dataset that an event, which was checked, goes out on.

    Raises:
        EventError: none, which is fine only with `or_none`.
    """
    found = tuple(channel for channel in EVENT_CHANNELS[type(event)] if channel in dataset.channels)
    if not found and not or_none:
        offered = ", ".join(dataset.channels)
        raise EventError(f"dataset {dataset.name} has no channel for a {type(event).__name__}: it offers {offered}")
    return found


def check_event(event: Event) -> None:
    """Refuse what is no event, and fields that have no place on the wire.

    Raises:
        EventError: no event; or a field of the wrong type, a number that is NaN, infinite or beyond 64 bits, a
            negative size or time, a text that is not Unicode. The text names the field.
    """
    if _plain(event):
        return
    if (rules := _RULES.get(type(event))) is None:
        raise EventError(f"{type(event).__name__} is no market event: publish a Quote, Trade, Halt or Resume")
    values, checks = rules
    for value, (check, optional, name, what) in zip(values(event), checks, strict=True):
        if not (optional if value is None else check(value)):
            raise EventError(f"{type(event).__name__}.{name} must be {what}, not {value!r}")


def _plain(event: Event) -> bool:
    """Whether it is a quote or trade as they mostly are, all sound: the rules agree, at four times the cost."""
    if type(event) is Quote:
        return (
            type(event.symbol) is str
            and event.symbol.isascii()
            and type(event.exchange_timestamp) is int
            and 0 <= event.exchange_timestamp <= _MAX
            and (event.bid_price is None or (type(event.bid_price) in _NUMBERS and -_MAX <= event.bid_price <= _MAX))
            and (event.ask_price is None or (type(event.ask_price) in _NUMBERS and -_MAX <= event.ask_price <= _MAX))
            and type(event.bid_size) in _NUMBERS
            and 0 <= event.bid_size <= _MAX
            and type(event.ask_size) in _NUMBERS
            and 0 <= event.ask_size <= _MAX
            and _ascii(event.bid_exchange_id, event.ask_exchange_id, event.exchange_id, event.listing_exchange)
        )
    return (
        type(event) is Trade
        and type(event.symbol) is str
        and event.symbol.isascii()
        and type(event.exchange_timestamp) is int
        and 0 <= event.exchange_timestamp <= _MAX
        and type(event.price) in _NUMBERS
        and -_MAX <= event.price <= _MAX
        and type(event.size) in _NUMBERS
        and 0 <= event.size <= _MAX
        and event.trf_timestamp is None
        and event.conditions is None
        and _ascii(event.exchange_id, event.trade_id, event.listing_exchange, event.trf_id)
    )


def _ascii(*texts: str | None) -> bool:
    for text in texts:  # noqa: SIM110 -- all() of a generator costs as much again as the whole check
        if text is not None and not (type(text) is str and text.isascii()):
            return False
    return True


# The bounds do more than they say: a NaN compares false with everything, and an infinity is beyond any bound.


def _number(value: Any) -> bool:
    return type(value) in _NUMBERS and -_MAX <= value <= _MAX


def _size(value: Any) -> bool:
    return type(value) in _NUMBERS and 0 <= value <= _MAX


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MAX


def _text(value: Any) -> bool:
    if type(value) is not str:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _texts(value: Any) -> bool:
    return type(value) is tuple and all(map(_text, value))


def _line(value: Any) -> bool:
    return type(value) is Line and _count(value.periods) and _count(value.count) and _number(value.ma)


def _flag(value: Any) -> bool:
    return type(value) is bool


_KINDS: Final[dict[str, tuple[Check, str]]] = {
    "float": (_number, "a finite number"),
    "size": (_size, "a finite number from 0"),
    "int": (_count, "an integer from 0 to 2**63 - 1"),
    "str": (_text, "a Unicode text"),
    "bool": (_flag, "true or false"),
    "tuple[str, ...]": (_texts, "a tuple of Unicode texts"),
    "Line": (_line, "a Line of sound numbers"),
}
"""By the annotations of the model; `size` stands for the numbers that cannot be negative."""


def _rules(cls: type[Any]) -> tuple[Callable[[Event], tuple[Any, ...]], list[tuple[Check, bool, str, str]]]:
    """The fields of an event class as one tuple, and a check for each: one C call and no `getattr` for each field."""
    fields = attrs.fields(cls)
    checks = []
    for field in fields:
        # As it is written: `field.type` is the text or the type, depending on who has asked attrs to resolve it before.
        written: str = cls.__annotations__[field.name]
        kind = written.removesuffix(" | None")
        check, what = _KINDS["size" if field.name.endswith(("size", "volume")) else kind]
        optional = written != kind
        checks.append((check, optional, field.name, f"{what}, or None" if optional else what))
    return attrgetter(*(field.name for field in fields)), checks


_RULES: Final = {cls: _rules(cls) for cls in EVENT_CHANNELS}
