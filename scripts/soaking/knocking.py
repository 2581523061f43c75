"""A good client that connects again and again: whether it is let in, and how long that takes."""

from __future__ import annotations

import ssl
from typing import Final

import trio

from soaking.frames import CLOSE, frame, upgrade

__all__ = ["knock", "knock_until", "knock_while"]

_PATIENCE: Final = 10.0
_READ: Final = 65_536


async def knock(port: int, tls: ssl.SSLContext | None = None) -> float | None:
    """Connect, shake hands, wait for the first message, and close; the seconds until that message, None without one."""
    began = trio.current_time()
    with trio.move_on_after(_PATIENCE):
        try:
            plain = await trio.open_tcp_stream("127.0.0.1", port)
            stream = (
                plain if tls is None else trio.SSLStream(plain, tls, server_hostname="localhost", https_compatible=True)
            )
            async with plain:
                return await _greeted(stream, began)
        except (OSError, trio.BrokenResourceError):
            pass
    return None


async def _greeted(stream: trio.abc.Stream, began: float) -> float | None:
    await stream.send_all(upgrade())
    answer = b""
    while b'"connected"' not in answer:
        if not (data := await stream.receive_some(_READ)):
            return None
        answer += data
    seconds = trio.current_time() - began
    await stream.send_all(frame(b"\x03\xe8", CLOSE))
    while await stream.receive_some(_READ):
        pass
    return seconds


async def knock_while(port: int, interval: float, taken: list[float | None], tls: ssl.SSLContext | None = None) -> None:
    """Knock for ever, with pauses of `interval` seconds, and note in `taken` what each took. Cancel-safe."""
    while True:
        taken.append(await knock(port, tls))
        await trio.sleep(interval)


async def knock_until(port: int, interval: float, patience: float) -> float | None:
    """Knock until let in; the seconds from now until then, None if `patience` seconds were not enough."""
    began = trio.current_time()
    with trio.move_on_after(patience):
        while await knock(port) is None:  # noqa: ASYNC110 -- nothing tells this process when that one lets it in
            await trio.sleep(interval)
        return trio.current_time() - began
    return None
