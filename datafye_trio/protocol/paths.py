"""What a URL asks for (protocol.md section 1): the path gives the channels, the query may subscribe at once."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

import attrs

from datafye_trio.model import AssetClass, Channel
from datafye_trio.protocol.names import parse_channel

__all__ = ["BASE_PATH", "Endpoint", "find_endpoint", "parse_query"]

BASE_PATH: Final = "/datafye-ws/v1"
_PLURAL: Final = frozenset({"channels", "symbols"})


@attrs.frozen
class Endpoint:
    """A WebSocket path. `channel` is None where the request must name its channels."""

    asset_class: AssetClass | None = None
    channel: Channel | None = None
    history: bool = False


def _endpoints() -> dict[str, Endpoint]:
    found = {"": Endpoint(), "/stream": Endpoint()}
    for asset_class in AssetClass:
        found[f"/{asset_class}/live"] = Endpoint(asset_class)
        found[f"/{asset_class}/history"] = Endpoint(asset_class, history=True)
        for name in ("quotes", "trades", "ticks", "aggregates", "aggs", "ohlc", "sma", "ema"):
            found[f"/{asset_class}/live/{name}"] = Endpoint(asset_class, parse_channel(name))
    return found


_ENDPOINTS: Final = _endpoints()


def find_endpoint(path: str) -> Endpoint | None:
    """The endpoint of a path (without query), or None. Exact match of a fixed set, but for one trailing slash."""
    if not path.startswith(BASE_PATH):
        return None
    return _ENDPOINTS.get(path.removeprefix(BASE_PATH).removesuffix("/"))


def parse_query(query: str) -> dict[str, Any]:
    """The subscribe request that a query makes, or an empty dict where it asks for nothing.

    Raises:
        ValueError: a parameter that is malformed or stands twice.
    """
    if not query:
        return {}
    if not all("=" in part for part in query.split("&")):
        # In our words: the library's repeat the part, and a token that somebody sends so would stand in the log.
        raise ValueError("a parameter is written as name=value")
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=16)
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"the parameter {name[:40]!r} stands twice")
        fields[name] = [part for part in value.split(",") if part] if name in _PLURAL else value
    return fields
