"""What a subscription is about, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypedDict

import attrs

from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import ALL
from datafye_trio.client.buffers import DEFAULT_CAPACITY, Policy, make_buffer
from datafye_trio.errors import ConfigurationError, SubscriptionError
from datafye_trio.model import AssetClass, Channel, Frequency
from datafye_trio.protocol import DatasetOffer, ErrorCode, normalise_symbol, parse_channel, parse_frequency

__all__ = [
    "SubscribeOptions", "Wish", "make_wish", "parse_symbols", "plain_asset_class", "resolve", "resolve_plain",
    "symbol_texts",
]  # fmt: skip

_STOCKS: Final = "SIP"
_CRYPTO: Final = "Crypto"


class SubscribeOptions(TypedDict, total=False):
    """The keyword arguments that every way to subscribe takes.

    - `dataset`: by default the server's first one (of `asset_class`, where that is given).
    - `asset_class`: `stocks` or `crypto`.
    - `policy`: what happens when the buffer is full: `wait` (default: what comes meanwhile is fetched later), `error`,
      `drop_oldest`, or `latest` (only the newest event of each topic is kept).
    - `buffer`: the events that may wait for the program; 65,536 by default.
    - `partial`: True to go on with what the server accepts; the rest is in `rejected`.
    - `snapshot`: on quotes, whether the newest quote of each symbol comes first; True by default.
    """

    dataset: str
    asset_class: str
    policy: Policy
    buffer: int
    partial: bool
    snapshot: bool


@attrs.frozen
class Wish:
    """What is wanted, in the words of the protocol; the dataset is None where the server's first will do."""

    channels: tuple[Channel, ...]
    symbols: tuple[str, ...]
    frequency: Frequency
    running: bool = False
    dataset: str | None = None
    asset_class: AssetClass | None = None
    policy: Policy = "wait"
    buffer: int = DEFAULT_CAPACITY
    partial: bool = False
    snapshot: bool = True


def make_wish(
    channels: str | Sequence[str],
    symbols: str | Sequence[str],
    frequency: str,
    options: SubscribeOptions,
    *,
    running: bool = False,
) -> Wish:
    """Check what a program asks for.

    Raises:
        ConfigurationError: something that no server could make sense of.
    """
    make_buffer(options.get("policy", "wait"), options.get("buffer", DEFAULT_CAPACITY))
    names, wanted = _texts("channels", channels, "quotes"), symbol_texts(symbols)
    if not isinstance(frequency, str):
        raise ConfigurationError(f"frequency: a text such as 'Minute', not {frequency!r}"[:200])
    known = SubscribeOptions.__annotations__
    if unknown := [name for name in options if name not in known]:
        raise TypeError(f"unknown option {unknown[0]!r}: use {', '.join(known)}")
    try:
        asset_class = options.get("asset_class")
        return Wish(
            tuple(dict.fromkeys(parse_channel(name) for name in names)),
            wanted,
            parse_frequency(frequency),
            running,
            options.get("dataset"),
            None if asset_class is None else AssetClass(asset_class),
            options.get("policy", "wait"),
            options.get("buffer", DEFAULT_CAPACITY),
            options.get("partial", False),
            options.get("snapshot", True),
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def symbol_texts(symbols: str | Sequence[str]) -> tuple[str, ...]:
    """The symbols that a program names; one text is one symbol.

    Raises:
        ConfigurationError: there are none, or something else than texts.
    """
    return _texts("symbols", symbols, "AAPL")


def _texts(what: str, given: object, example: str) -> tuple[str, ...]:
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else None
    if found is None or isinstance(given, bytes) or not all(isinstance(text, str) for text in found):
        told = repr(given if found is None or isinstance(given, bytes) else list(found[:5]))[:100]
        raise ConfigurationError(f"{what}: a text such as {example!r}, or a list of them, not {told}")
    if not found:
        every = ' ("*" is every symbol)' if what == "symbols" else ""
        raise ConfigurationError(f"{what}: name at least one{every}")
    return found


def resolve(wish: Wish, datasets: Sequence[DatasetOffer]) -> list[tuple[BoardKey, AssetClass]]:
    """The boards of a wish at a server that has these datasets, with the asset class of the one that is meant.

    Raises:
        SubscriptionError: the server does not have the dataset.
    """
    offers = [offer for offer in datasets if wish.dataset in (None, offer.dataset)]
    if wish.dataset is None and wish.asset_class is not None:
        offers = [offer for offer in offers if offer.asset_class == wish.asset_class]
    known = [offer for offer in offers if offer.asset_class in list(AssetClass)]
    if not known:
        what = wish.dataset or (f"of {wish.asset_class}" if wish.asset_class else "that this client knows")
        offered = ", ".join(offer.dataset for offer in datasets) or "none"
        raise SubscriptionError(ErrorCode.UNKNOWN_DATASET, f"there is no dataset {what}: this server has {offered}")
    dataset, asset_class = known[0].dataset, AssetClass(known[0].asset_class)
    return [(_key(wish, dataset, channel), asset_class) for channel in wish.channels]


def resolve_plain(wish: Wish) -> list[tuple[BoardKey, AssetClass]]:
    """The boards of a wish at a server that does not say what it has.

    Without a dataset it is `SIP`, as Datafye's REST API has it, or `Crypto` where that asset class is asked for.

    Raises:
        SubscriptionError: running bars, which are an extension.
    """
    if wish.running and Channel.AGGREGATES in wish.channels:
        what = "this server sends finished bars only: leave `running` out"
        raise SubscriptionError(ErrorCode.CHANNEL_NOT_AVAILABLE, what)
    dataset = wish.dataset or (_CRYPTO if wish.asset_class is AssetClass.CRYPTO else _STOCKS)
    return [(_key(wish, dataset, channel), plain_asset_class(dataset)) for channel in wish.channels]


def plain_asset_class(dataset: str) -> AssetClass:
    """The asset class of a dataset of Datafye's."""
    return AssetClass.CRYPTO if dataset == _CRYPTO else AssetClass.STOCKS


def parse_symbols(texts: Sequence[str], asset_class: AssetClass) -> tuple[list[str], list[str]]:
    """Symbols in normal form without repeats, and the texts that are none; `*` alone where it is among them."""
    if any(text.strip() == ALL for text in texts):
        return [ALL], []
    sound: dict[str, None] = {}
    wrong: dict[str, None] = {}
    for text in texts:
        try:
            sound[normalise_symbol(text, asset_class)] = None
        except ValueError:
            wrong[text[:40]] = None
    return list(sound), list(wrong)


def _key(wish: Wish, dataset: str, channel: Channel) -> BoardKey:
    if not channel.has_frequency:
        return BoardKey(dataset, channel)
    return BoardKey(dataset, channel, wish.frequency, wish.running and channel is Channel.AGGREGATES)
