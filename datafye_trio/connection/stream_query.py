"""From the words of a start to a question that stored data can answer: which dataset, symbols, kind of data, range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from datafye_trio.broker import Broker, Dataset
from datafye_trio.connection.selection import ALL, check_symbol_count, find_dataset, select_symbols, unknown_symbols
from datafye_trio.errors import RequestError
from datafye_trio.model import Channel, Frequency
from datafye_trio.protocol import Endpoint, ErrorCode, Start, parse_channel, parse_frequency, parse_time
from datafye_trio.sources import History, HistoryQuery

__all__ = ["Stored", "find_stored"]

_TICK: Final = "tick"
_TICK_CHANNELS: Final = (Channel.TRADES, Channel.QUOTES)


@attrs.frozen
class Stored:
    """What a start asks for, as far as it can be met; `refusals` has one error for each kind of refusal.

    `symbols` is how the stream names them: `("*",)` for all.
    """

    dataset: Dataset
    history: History
    query: HistoryQuery
    symbols: tuple[str, ...]
    refusals: Sequence[RequestError] = ()


def find_stored(broker: Broker, request: Start, endpoint: Endpoint, max_symbols: int) -> Stored:
    """Resolve a start. Whether there is anything in the range, only reading tells.

    Raises:
        RequestError: nothing of the request can be met.
    """
    dataset = find_dataset(broker, request, endpoint)
    if (history := dataset.history) is None:
        having = [name for name, other in broker.datasets.items() if other.history is not None]
        hint = f"{', '.join(having)} has" if having else "no dataset of this server has any"
        raise RequestError(
            ErrorCode.CHANNEL_NOT_AVAILABLE,
            f"dataset {dataset.info.name} has no stored data: {hint}",
            field="dataset",
        )
    channel, frequency = _kind(request)
    if channel not in history.channels:
        raise RequestError(
            ErrorCode.CHANNEL_NOT_AVAILABLE,
            f"dataset {dataset.info.name} has no stored {channel}: it has {', '.join(history.channels)}",
            field="channel" if request.channel is not None else "frequency",
        )
    start, end = _range(request)
    symbols, refusals = _symbols(dataset, request, max_symbols)
    query = HistoryQuery(channel, frequency, symbols, start, end)
    return Stored(dataset, history, query, symbols or (ALL,), refusals)


def _kind(request: Start) -> tuple[Channel, Frequency | None]:
    """The channel, and the frequency of bars."""
    channel = _channel(request.channel)
    if request.frequency.strip().lower() == _TICK:
        if channel not in _TICK_CHANNELS:
            raise RequestError(
                ErrorCode.INVALID_MESSAGE, "frequency Tick needs a channel: trades or quotes", field="channel"
            )
        return channel, None
    try:
        frequency = parse_frequency(request.frequency)
    except ValueError as error:
        raise RequestError(ErrorCode.INVALID_FREQUENCY, f"{error}, or Tick", field="frequency") from None
    if channel in _TICK_CHANNELS:
        raise RequestError(
            ErrorCode.INVALID_MESSAGE, f"{frequency} is a frequency of bars: ask for {channel} as Tick", field="channel"
        )
    return channel or Channel.AGGREGATES, frequency


def _channel(text: str | None) -> Channel | None:
    if text is None:
        return None
    try:
        return parse_channel(text)
    except ValueError as error:
        raise RequestError(ErrorCode.UNKNOWN_CHANNEL, str(error), field="channel") from None


def _range(request: Start) -> tuple[int, int]:
    start, end = _time("from", request.from_), _time("to", request.to)
    if start >= end:
        raise RequestError(ErrorCode.INVALID_RANGE, "from must be before to, which is not part of it", field="from")
    return start, end


def _time(field: str, text: str) -> int:
    try:
        return parse_time(text.strip())
    except ValueError as error:
        raise RequestError(ErrorCode.INVALID_RANGE, f"{field}: {error}", field=field) from None


def _symbols(
    dataset: Dataset, request: Start, max_symbols: int
) -> tuple[tuple[str, ...] | None, Sequence[RequestError]]:
    """The symbols in normal form, None for all, and what is refused of them."""
    wanted = request.symbols
    if wanted is None:
        return None, ()
    check_symbol_count(wanted, max_symbols)
    if any(symbol.strip() == ALL for symbol in wanted):
        return None, ()
    symbols, unknown = select_symbols(dataset, wanted)
    refusals = [unknown_symbols(dataset, unknown)] if unknown else []
    if not symbols:
        raise refusals[0]
    return tuple(symbols), refusals
