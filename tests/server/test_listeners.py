"""Listening where it is not plain: no IPv6, a port that only one of the two loopback addresses has free, IPv6 hosts."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
import trio

from datafye_trio import AccessConfig, ConfigurationError, ServerConfig, open_server
from datafye_trio.server.listeners import open_listeners

REAL = trio.open_tcp_listeners


def failing(on: str, error: int, times: int = 10**9) -> Callable[..., Any]:
    """`trio.open_tcp_listeners`, failing for one host."""
    left = times

    async def opened(port: int, *, host: str) -> list[trio.SocketListener]:
        nonlocal left
        if host == on and left:
            left -= 1
            raise OSError(error, "so be it")
        return list(await REAL(port, host=host if host != "::1" else "127.0.0.1")) if host != on else []

    return opened


async def close(listeners: list[trio.SocketListener]) -> None:
    for listener in listeners:
        await listener.aclose()


async def test_without_ipv6_one_address_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio, "open_tcp_listeners", failing("::1", errno.EADDRNOTAVAIL))
    listeners = await open_listeners("localhost", 0)
    assert len(listeners) == 1
    await close(listeners)


async def test_a_free_port_must_be_free_on_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio, "open_tcp_listeners", failing("::1", errno.EADDRINUSE, times=2))
    listeners = await open_listeners("localhost", 0)  # the third try
    free_port = listeners[0].socket.getsockname()[1]
    assert len(listeners) == 1
    await close(listeners)
    monkeypatch.setattr(trio, "open_tcp_listeners", failing("::1", errno.EADDRINUSE))
    with pytest.raises(ConfigurationError, match="in use"):
        await open_listeners("localhost", 0)
    with pytest.raises(ConfigurationError, match="in use"):
        await open_listeners("localhost", free_port)


async def test_a_name_that_can_be_none_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on aaa.*: that is no host name"):
        await open_listeners("a" * 300, 0)


async def test_every_address_is_ipv4_too() -> None:
    # `--host :: --allow 0.0.0.0/0,::/0` let nobody in by IPv4.
    config = ServerConfig(host="::", port=0, access=AccessConfig(allow=("127.0.0.1", "::1")))
    async with open_server(config) as server, await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_an_ipv6_host_is_bracketed_in_the_url() -> None:
    try:
        async with open_server(ServerConfig(host="::1", port=0)) as server:
            assert server.url == f"ws://[::1]:{server.port}/datafye-ws/v1"
    except ConfigurationError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
