"""What Datafye documents of its WebSocket API, as tables: paths, requests, and the fields of frames.

Only what a public source of Datafye's states is in here; that is less than a real server has, and nothing else. The
frames' fields are those of the REST records: no source shows a frame, and these names are the best evidence there is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

__all__ = ["ENDPOINTS", "FIELDS", "RECORDS", "Endpoint", "complaint"]

_PREFIX: Final = "/datafye-ws/v1/stocks"
_FREQUENCIES: Final = ("Second", "Minute", "Hour", "Day")
_CRYPTO: Final = "Crypto"
_LOCAL_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_SHOWN: Final = 40


@attrs.frozen
class Endpoint:
    """A path, and the one request that Datafye's samples send on it.

    Attributes:
        record: what comes on it: a `type` of data.
        request: the sample's request, field by field. Whatever has other fields than these is not documented.
    """

    record: str
    request: Mapping[str, object]

    @property
    def action(self) -> str:
        """The verb of its request."""
        return str(self.request["action"])


_LIVE: Final = {"action": "subscribe", "dataset": "SIP", "symbols": ["AAPL"]}
_BARS: Final = {**_LIVE, "frequency": "Minute"}
_STORED: Final = {
    "action": "start", "dataset": "SIP", "symbol": "AAPL", "frequency": "Minute", "from": "2025-01-02T09:30:00",
    "to": "2025-01-02T16:00:00",
}  # fmt: skip

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    f"{_PREFIX}/live/quotes": Endpoint("quote", _LIVE),
    f"{_PREFIX}/live/ticks": Endpoint("trade", _LIVE),
    f"{_PREFIX}/live/aggs": Endpoint("ohlc", _BARS),
    f"{_PREFIX}/live/sma": Endpoint("sma", _BARS),
    f"{_PREFIX}/live/ema": Endpoint("ema", _BARS),
    f"{_PREFIX}/history": Endpoint("ohlc", _STORED),
}
"""Every path that a sample uses, for every dataset: no crypto path is in any. Without a slash at the end."""


def _record(*fields: str) -> frozenset[str]:
    return frozenset({"type", "symbol", *fields})


_BOOK: Final = ("exchangeTimestamp", "bidPrice", "bidSize", "askPrice", "askSize")
_TRADE: Final = ("exchangeID", "exchangeTimestamp", "tradeID", "tradePrice", "tradeSize")
_OHLC: Final = _record("datetime", "open", "high", "low", "close", "volume")
_LINES: Final = ("timestamp", "price", "slowLine", "fastLine", "macd")
_SMA: Final = _record(*_LINES, "crossover")
_EMA: Final = _record(
    *_LINES, "signalLine", "zeroCrossover", "signalCrossover", "zeroLineCrossover", "lastZeroLineCrossover"
)

RECORDS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("quote", "stocks"): _record(*_BOOK, "bidExchangeID", "askExchangeID", "listingExchange"),
    ("quote", "crypto"): _record(*_BOOK, "exchangeID"),
    ("trade", "stocks"): _record(*_TRADE, "listingExchange", "trfID", "trfTimestamp"),
    ("trade", "crypto"): _record(*_TRADE),
    ("ohlc", "stocks"): _OHLC,
    ("ohlc", "crypto"): _OHLC,
    ("sma", "stocks"): _SMA,
    ("sma", "crypto"): _SMA,
    ("ema", "stocks"): _EMA,
    ("ema", "crypto"): _EMA,
    ("halt", "stocks"): _record(),
    ("resume", "stocks"): _record(),
}
"""The fields of data, by `type` and asset class.

`type` is known of control frames alone, and that every frame has one. `symbol` is in the wrapper around the REST
records of indicators, not in them; of halts no record is shown. Both have it here, for what tells symbols apart has
this name wherever Datafye names it, and with none nobody could subscribe to two of them.
"""

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("connected", "subscribed", "unsubscribed", "heartbeat", "stream_end"), frozenset({"type"})),
    "error": frozenset({"type", "message"}),
}
"""The fields of the other frames, by `type`: that there are such frames is all that is known of them. An error says in
a text what is wrong; the name of the field is ours."""


def complaint(endpoint: Endpoint, fields: Mapping[str, Any]) -> str | None:
    """What of a request is not as documented, with the name of the field; None where all is.

    An `unsubscribe` is documented to exist, but not its form. It is taken in that of the subscription, with `*` too,
    which ends all of a client's subscriptions.
    """
    found = _undocumented(endpoint, fields)
    if found is None:
        return None
    sample = json.dumps(endpoint.request, separators=(",", ":"))
    return f"{found}: Datafye does not document that; its own clients send {sample} on this path"


def _undocumented(endpoint: Endpoint, fields: Mapping[str, Any]) -> str | None:
    # A tuple, not a set: what a client sends need not be hashable.
    actions = ("subscribe", "unsubscribe") if endpoint.action == "subscribe" else (endpoint.action,)
    if "action" in fields and fields["action"] not in actions:
        return f"action {_shown(fields['action'])}"
    for name in fields:
        if name not in endpoint.request:
            return f"field {_shown(name)}"
    for name in endpoint.request:
        if name not in fields:
            return f"no field {name!r}"
    for name, value in fields.items():
        if not _sound(name, value, fields):
            return f"{name} {_shown(value)}"
    return None


def _sound(name: str, value: object, fields: Mapping[str, Any]) -> bool:
    """Whether a value is of a documented form."""
    if name == "symbols":
        if not isinstance(value, list) or not value:
            return False
        everything = fields["action"] == "unsubscribe" and value == ["*"]
        return everything or all(_is_symbol(one, fields["dataset"]) for one in value)
    if not isinstance(value, str):
        return False
    if name == "symbol":
        return _is_symbol(value, fields["dataset"])
    if name == "frequency":
        return value in _FREQUENCIES
    if name in ("from", "to"):
        return _LOCAL_TIME.fullmatch(value) is not None
    return True


def _is_symbol(value: object, dataset: object) -> bool:
    """Whether a symbol is spelt as in the samples. Of crypto alone it is said that others are folded, `btc/usd`."""
    if not isinstance(value, str) or value == "*":
        return False
    return value == value.strip() and (dataset == _CRYPTO or value == value.upper())


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
