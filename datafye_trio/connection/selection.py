"""From the words of a request to boards and symbols: which dataset, which channels, which symbols, what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from datafye_trio.broker import Board, BoardKey, Broker, Dataset
from datafye_trio.errors import RequestError
from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import (
    Endpoint,
    ErrorCode,
    Start,
    Subscribe,
    Unsubscribe,
    normalise_symbol,
    parse_asset_class,
    parse_channel,
    parse_frequency,
)  # fmt: skip

__all__ = [
    "ALL", "Selection", "check_symbol_count", "find_dataset", "select", "select_symbols", "unknown_symbols",
]  # fmt: skip

ALL: Final = "*"
_PLAIN: Final = re.compile(r"(?:[A-Z0-9._]{1,32}\n)*[A-Z0-9._]{1,32}")
"""Symbols, a line each, that are in normal form in every asset class."""
_MOST_CHANNELS: Final = 64
"""In one request: several times all names of all channels."""


@attrs.define
class Selection:
    """What a request is about, as far as it can be met; `refusals` has one error for each kind of refusal.

    `symbols` are in normal form and without repeats; `everything` is whether `*` was among them.
    """

    dataset: Dataset
    boards: list[Board]
    symbols: list[str]
    everything: bool
    refusals: list[RequestError]


def find_dataset(broker: Broker, request: Subscribe | Unsubscribe | Start, endpoint: Endpoint) -> Dataset:
    """The dataset that a request names; else the first of its asset class, else the server's first.

    Raises:
        RequestError: UNKNOWN_DATASET, or INVALID_MESSAGE for an asset class that does not exist.
    """
    if request.dataset is not None:
        if (found := broker.datasets.get(request.dataset.strip())) is None:
            offered = ", ".join(broker.datasets)
            raise RequestError(
                ErrorCode.UNKNOWN_DATASET,
                f"unknown dataset {request.dataset[:40]!r}: this server has {offered}",
                field="dataset",
            )
        return found
    named = None if isinstance(request, Start) else _asset_class(request.asset_class)
    wanted = named or endpoint.asset_class or AssetClass.STOCKS
    datasets = list(broker.datasets.values())
    return next((dataset for dataset in datasets if dataset.info.asset_class is wanted), datasets[0])


def select(dataset: Dataset, request: Subscribe | Unsubscribe, endpoint: Endpoint, max_symbols: int) -> Selection:
    """Resolve channels and symbols within a dataset.

    Raises:
        RequestError: nothing of the request can be met.
    """
    check_symbol_count(request.symbols, max_symbols)
    everything = any(symbol.strip() == ALL for symbol in request.symbols)
    boards, refusals = _select_boards(dataset, request, endpoint, everything=everything)
    symbols, unknown = ([], []) if everything else select_symbols(dataset, request.symbols)
    if unknown:
        refusals.append(unknown_symbols(dataset, unknown))
    return Selection(dataset, boards, symbols, everything, refusals)


def check_symbol_count(symbols: Sequence[str], max_symbols: int) -> None:
    """Refuse a request that names too many symbols.

    Raises:
        RequestError: SUBSCRIPTION_LIMIT.
    """
    if len(symbols) > max_symbols:
        raise RequestError(
            ErrorCode.SUBSCRIPTION_LIMIT,
            f"a request may name {max_symbols} symbols, this one names {len(symbols)}: split it",
            field="symbols",
        )


def unknown_symbols(dataset: Dataset, unknown: Sequence[str]) -> RequestError:
    """The refusal of symbols that `select_symbols` did not find."""
    what = "not offered by" if dataset.info.symbols is not None else "no well-formed symbols of"
    return RequestError(
        ErrorCode.UNKNOWN_SYMBOL,
        f"{len(unknown)} of the symbols are {what} dataset {dataset.info.name}: leave them out",
        field="symbols",
        symbols=tuple(unknown),
    )


def _asset_class(text: str | None) -> AssetClass | None:
    if text is None:
        return None
    try:
        return parse_asset_class(text)
    except ValueError as error:
        raise RequestError(ErrorCode.INVALID_MESSAGE, str(error), field="assetClass") from None


def _select_boards(
    dataset: Dataset, request: Subscribe | Unsubscribe, endpoint: Endpoint, *, everything: bool
) -> tuple[list[Board], list[RequestError]]:
    names = _channel_names(dataset, request, endpoint)
    frequency = _frequency(request.frequency)
    boards: dict[Board, None] = {}
    refusals: dict[ErrorCode, RequestError] = {}
    for name in names:
        try:
            channel = _channel(dataset, name, endpoint)
            if everything and isinstance(request, Unsubscribe):
                # "All bars" is a clean slate: without a frequency, or without `running`, it is all of those too.
                found = _boards_of(dataset, channel, frequency, request.running)
            else:
                found = _boards_of(dataset, channel, frequency or Frequency.MINUTE, bool(request.running))
            boards |= dict.fromkeys(found)
        except RequestError as error:
            refusals.setdefault(ErrorCode(error.code), error)
    return list(boards), list(refusals.values())


def _channel_names(dataset: Dataset, request: Subscribe | Unsubscribe, endpoint: Endpoint) -> Sequence[str]:
    if request.channels:
        if len(request.channels) > _MOST_CHANNELS:
            raise RequestError(
                ErrorCode.INVALID_MESSAGE,
                f"channels has {len(request.channels)} names, {_MOST_CHANNELS} are plenty: name each once",
                field="channels",
            )
        return request.channels
    if endpoint.channel is not None:
        return (endpoint.channel,)
    if isinstance(request, Unsubscribe):
        return tuple(dataset.info.channels)
    raise RequestError(
        ErrorCode.INVALID_MESSAGE,
        f"this path carries all channels: name channels, such as {list(map(str, dataset.info.channels))}",
        field="channels",
    )


def _channel(dataset: Dataset, name: str, endpoint: Endpoint) -> Channel:
    try:
        channel = parse_channel(name)
    except ValueError as error:
        raise RequestError(ErrorCode.UNKNOWN_CHANNEL, str(error), field="channels") from None
    if endpoint.channel is not None and channel is not endpoint.channel:
        raise RequestError(
            ErrorCode.CHANNEL_NOT_AVAILABLE,
            f"this path carries {endpoint.channel} only: connect to /{dataset.info.asset_class}/live for {channel}",
            field="channels",
        )
    if channel not in dataset.info.channels:
        raise RequestError(ErrorCode.CHANNEL_NOT_AVAILABLE, _why_not(dataset, channel), field="channels")
    return channel


def _boards_of(dataset: Dataset, channel: Channel, frequency: Frequency | None, running: bool | None) -> list[Board]:
    """The boards of a channel; of all its frequencies, and running or not, where that is None."""
    if not channel.has_frequency:
        return [dataset.boards[BoardKey(channel)]]
    if channel is not Channel.AGGREGATES:
        running = None  # only bars come while they form
    found = [
        board
        for key, board in dataset.boards.items()
        if key.channel is channel and frequency in (None, key.frequency) and running in (None, key.running)
    ]
    if not found:
        offered = dict.fromkeys(key.frequency for key in dataset.boards if key.channel is channel and key.frequency)
        raise RequestError(
            ErrorCode.INVALID_FREQUENCY,
            f"dataset {dataset.info.name} has {channel} by {', '.join(offered)}: name one of these as frequency",
            field="frequency",
        )
    return found


def _why_not(dataset: Dataset, channel: Channel) -> str:
    offered = ", ".join(dataset.info.channels)
    return f"dataset {dataset.info.name} has no {channel}: it offers {offered}"


def _frequency(text: str | None) -> Frequency | None:
    if text is None:
        return None
    try:
        return parse_frequency(text)
    except ValueError as error:
        raise RequestError(ErrorCode.INVALID_FREQUENCY, str(error), field="frequency") from None


def select_symbols(dataset: Dataset, texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """The symbols in normal form, and the texts that are none of this dataset."""
    offered = dataset.info.symbols
    known: dict[str, None] = {}
    unknown: dict[str, None] = {}
    named = dict.fromkeys(texts)
    if _PLAIN.fullmatch("\n".join(named)):  # ten thousand at once, in a millisecond
        if offered is None:
            return list(named), []
        return [symbol for symbol in named if symbol in offered], [name for name in named if name not in offered]
    for text in named:
        try:
            symbol = normalise_symbol(text, dataset.info.asset_class)
        except ValueError:
            unknown[text[:40]] = None
            continue
        if offered is not None and symbol not in offered:
            unknown[symbol] = None
        else:
            known[symbol] = None
    return list(known), list(unknown)
