"""What a test server sees its clients do, entry by entry of its log, and what a test may want to see of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass
from datafye_trio.protocol import BASE_PATH, find_endpoint, normalise_symbol, parse_channel, parse_frequency
from datafye_trio.testing.log import Entry

__all__ = ["Fact", "Facts", "Topic", "Wanted", "full_path"]

_SHOWN: Final = 12
"""Symbols in a line."""
_LOST: Final = 1006
_TOLD: Final = frozenset({"dataset", "assetClass", "channels", "symbols"})
_CLASSES: Final = frozenset(AssetClass)

Topic: TypeAlias = Literal["connect", "subscribe", "unsubscribe", "pong", "close"]
"""What a fact is about."""


@attrs.frozen
class Fact:
    """Something that a client did, or had done to it. `symbols`, `asset_class` and the rest are of subscriptions."""

    topic: Topic
    connection: int
    time: float
    path: str = ""
    code: int | None = None
    dataset: str = ""
    asset_class: str = ""
    channels: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    frequency: str | None = None
    refusal: str = ""

    def __str__(self) -> str:
        where = f"connection {self.connection} at {self.time:.3f} s"
        if self.refusal:
            return f"{where}: a request was refused: {self.refusal}"
        if self.topic in ("subscribe", "unsubscribe"):
            frequency = f" ({self.frequency})" if self.frequency else ""
            what = f"{self.topic}d {', '.join(self.channels)}{frequency} of {_names(self.symbols)} ({self.dataset})"
        elif self.topic == "connect":
            what = f"connected to {self.path}"
        else:
            what = "answered a heartbeat" if self.topic == "pong" else f"closed with {self.code}"
        return f"{where}: {what}"


class Facts:
    """Finds the facts in entries of a log, in order."""

    def __init__(self) -> None:
        self._closed: set[int] = set()

    def of(self, entry: Entry) -> Iterator[Fact]:
        """The facts that one entry tells: mostly none."""
        where = (entry.connection, entry.time)
        if entry.kind == "open":
            yield Fact("connect", *where, path=entry.path)
        elif entry.kind in ("close", "gone") and entry.connection not in self._closed:
            # Whoever closes first says why; the other end repeats it.
            self._closed.add(entry.connection)
            yield Fact("close", *where, code=entry.code if entry.kind == "close" else _LOST)
        elif entry.kind in ("text", "binary"):
            yield from _facts_of_message(entry)


class Wanted:
    """Subscriptions, or the ends of some, to at least these symbols. Adds up what was accepted, by connection.

    Raises:
        ConfigurationError: a channel, a frequency or a symbol that cannot be.
    """

    def __init__(self, channel: str, symbols: str | Sequence[str], frequency: str | None, dataset: str | None) -> None:
        self._symbols = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        if not self._symbols:
            raise ConfigurationError("name the symbols that are expected: at least one, or *")
        try:
            self._channel = parse_channel(channel).value
            self._frequency = None if frequency is None else parse_frequency(frequency).value
            for name in self._symbols:
                _normal(name, AssetClass.STOCKS)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        self._dataset = dataset
        self._accepted: dict[tuple[int, str], set[str]] = defaultdict(set)

    def __str__(self) -> str:
        frequency = f" ({self._frequency})" if self._frequency else ""
        dataset = f" in {self._dataset}" if self._dataset else ""
        return f"{self._channel}{frequency} of {_names(self._symbols)}{dataset}"

    def matches(self, fact: Fact) -> bool:
        """Whether a fact makes it complete, or is one more of it."""
        if (
            self._channel not in fact.channels
            or self._dataset not in (None, fact.dataset)
            or (self._frequency is not None and fact.frequency not in (None, self._frequency))
        ):
            return False
        wanted = {_normal(name, AssetClass(fact.asset_class)) for name in self._symbols}
        accepted = self._accepted[fact.connection, fact.dataset]
        accepted.update(fact.symbols)
        everything = "*" in fact.symbols
        return (everything or wanted <= accepted) and (everything or bool(wanted & {*fact.symbols}))


def _facts_of_message(entry: Entry) -> Iterator[Fact]:
    # Not each of a million quotes is to be decoded: a look at the bytes tells what cannot be meant.
    where = (entry.connection, entry.time)
    if entry.direction == "in":
        if b"pong" in entry.payload and (message := entry.message) is not None:
            verb = next((message[name] for name in ("action", "type", "op") if name in message), None)
            if verb == "pong":
                yield Fact("pong", *where)
    elif (b"subscribed" in entry.payload or b"error" in entry.payload) and (message := entry.message) is not None:
        kind = message.get("type")
        # A dialect may tell no more than the type, and a fault may have damaged what is told.
        if kind in ("subscribed", "unsubscribed") and message.keys() >= _TOLD and message["assetClass"] in _CLASSES:
            yield Fact(
                "subscribe" if kind == "subscribed" else "unsubscribe",
                *where,
                dataset=message["dataset"],
                asset_class=message["assetClass"],
                channels=tuple(message["channels"]),
                symbols=tuple(message["symbols"]),
                frequency=message.get("frequency"),
            )
        elif kind == "error":
            yield Fact("subscribe", *where, refusal=f"{message.get('code', 'error')}: {message.get('message')}")


def _normal(symbol: str, asset_class: AssetClass) -> str:
    return symbol if symbol == "*" else normalise_symbol(symbol, asset_class)


def _names(symbols: Sequence[str]) -> str:
    shown = ", ".join(symbols[:_SHOWN])
    return shown if len(symbols) <= _SHOWN else f"{shown}, ... ({len(symbols)} symbols)"


def full_path(path: str) -> str:
    """A path below the base path or not, without query and slash at the end, in full.

    Raises:
        ConfigurationError: no server of this protocol has it.
    """
    below = path.partition("?")[0].strip("/").removeprefix(BASE_PATH.strip("/")).strip("/")
    full = f"{BASE_PATH}/{below}" if below else BASE_PATH
    if find_endpoint(full) is None:
        raise ConfigurationError(f"{path!r} is no path of this protocol: expect one such as stocks/live/quotes")
    return full
