"""The settings of a feed."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
import trio

from datafye_trio.client.backoff import Reconnect
from datafye_trio.errors import ConfigurationError
from datafye_trio.wire.client import ClientOptions

__all__ = ["FeedConfig", "Layout"]

Layout: TypeAlias = Literal["auto", "single", "per-channel"]


@attrs.frozen
class FeedConfig:
    """How a feed connects, and comes back. Times in seconds.

    Attributes:
        reconnect: waits, and how often.
        layout: `single`: one connection for all channels. `per-channel`: one for each, on paths of their own, as older
            deployments have it. `auto`: single, unless the server answers 404 to it, or accepts and does not greet.
        ssl_context: for `wss://`; the default trusts what the system trusts, and checks names.
        ca: a PEM file with the authorities to trust instead.
        proxy: `environment` (the usual variables), None, or `http://host:port`.
        connect_seconds: for one attempt: name, address, TLS and handshake.
        answer_seconds: within which the server must greet, and answer a request.
        ping_interval: of WebSocket pings, to servers that send no heartbeats.
        open_stream: makes a transport in place of TCP and TLS: memory streams, in tests and in process.

    Raises:
        ConfigurationError: a value that cannot work.
    """

    reconnect: Reconnect = Reconnect()
    layout: Layout = "auto"
    ssl_context: ssl.SSLContext | None = None
    ca: Path | None = None
    proxy: str | None = "environment"
    connect_seconds: float = 10.0
    answer_seconds: float = 30.0
    ping_interval: float = 20.0
    open_stream: Callable[[], Awaitable[trio.abc.Stream]] | None = None

    def __attrs_post_init__(self) -> None:
        if self.layout not in ("auto", "single", "per-channel"):
            raise ConfigurationError(f"layout {self.layout!r}: use auto, single or per-channel")
        for name in ("connect_seconds", "answer_seconds", "ping_interval"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
                raise ConfigurationError(f"{name}: a number of seconds above 0, not {seconds!r}")
        if not isinstance(self.reconnect, Reconnect):
            raise ConfigurationError(f"reconnect: a Reconnect(...), not {self.reconnect!r}")

    def client_options(self) -> ClientOptions:
        """The part that concerns one connection."""
        return ClientOptions(
            ssl_context=self.ssl_context,
            ca=self.ca,
            proxy=self.proxy,
            connect_seconds=self.connect_seconds,
            open_stream=self.open_stream,
        )
