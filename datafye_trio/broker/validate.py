"""What may be published. Checked at the call, because further down a NaN would go out as null, in silence."""

from __future__ import annotations

from math import isfinite
from typing import Final

from datafye_trio.errors import EventError
from datafye_trio.model import Bar, Channel, DatasetInfo, Ema, Event, Halt, Quote, Resume, Sma, Trade

__all__ = ["channels_of", "check_event"]

_MAX_TIME: Final = 2**63 - 1
_CHANNELS: Final[dict[type, tuple[Channel, ...]]] = {
    Quote: (Channel.QUOTES,),
    Trade: (Channel.TRADES,),
    Bar: (Channel.AGGREGATES,),
    Sma: (Channel.SMA,),
    Ema: (Channel.EMA,),
    Halt: (Channel.QUOTES, Channel.TRADES),
    Resume: (Channel.QUOTES, Channel.TRADES),
}


def channels_of(event: Event, dataset: DatasetInfo) -> tuple[Channel, ...]:
    """The channels of a dataset that an event goes out on.

    Raises:
        EventError: none, or it is no event at all.
    """
    wanted = _CHANNELS.get(type(event))
    if wanted is None:
        raise EventError(f"{type(event).__name__} is no market event: publish a Quote, Trade, Halt or Resume")
    found = tuple(channel for channel in wanted if channel in dataset.channels)
    if not found:
        offered = ", ".join(dataset.channels)
        raise EventError(f"dataset {dataset.name} has no channel for a {type(event).__name__}: it offers {offered}")
    return found


def check_event(event: Event) -> None:
    """Refuse numbers that have no place on the wire.

    Raises:
        EventError: a price or size that is NaN, infinite, negative or no number; a time that is no 64-bit integer.
    """
    try:
        match event:
            case Trade():
                sound = isfinite(event.price) and isfinite(event.size) and event.size >= 0
                time = event.exchange_timestamp
            case Quote():
                sound = (
                    (event.bid_price is None or isfinite(event.bid_price))
                    and (event.ask_price is None or isfinite(event.ask_price))
                    and isfinite(event.bid_size)
                    and isfinite(event.ask_size)
                    and event.bid_size >= 0
                    and event.ask_size >= 0
                )
                time = event.exchange_timestamp
            case _:
                sound, time = True, getattr(event, "timestamp", 0)
    except TypeError as error:
        raise EventError(f"{event} holds something that is no number: {error}") from None
    if not sound:
        raise EventError(f"{event} holds a NaN, an infinity or a negative size")
    if type(time) is not int or not 0 <= time <= _MAX_TIME:
        raise EventError(f"{event} has no sound time: nanoseconds since 1970 UTC, as an integer")
