"""wss:// for what is judged: the judge speaks ws:// alone, so that a bridge in this process stands before its side."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import attrs
import trio

from datafye_trio.cli.certificates import issue
from datafye_trio.server import ServerConfig
from datafye_trio.server.listeners import tls_context
from datafye_trio.wire import ClientOptions
from datafye_trio.wire.dialing import dial, find_route

__all__ = ["Connect", "Secrets", "bridge_to", "made_secrets"]

Connect = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens a transport to one server."""
_HOST: Final = "127.0.0.1"


@attrs.frozen
class Secrets:
    """A server's TLS, as production sets it up, and the file of the authority that a client trusts."""

    context: ssl.SSLContext
    authority: Path

    def dialler(self, port: int) -> Connect:
        """How production dials wss:// at this port."""
        options = ClientOptions(ca=self.authority, proxy=None)
        return partial(dial, find_route(f"wss://{_HOST}:{port}", options))

    def listener(self, plain: trio.SocketListener) -> trio.SSLListener[trio.SocketStream]:
        """With TLS on all that it accepts."""
        return trio.SSLListener(plain, self.context, https_compatible=True)


@contextmanager
def made_secrets() -> Iterator[Secrets]:
    """A certificate of this run, and its files until the end of the block."""
    issued = issue([_HOST], datetime.now(UTC), 1)
    with TemporaryDirectory() as folder:
        certificate, key, authority = (Path(folder, name) for name in ("cert.pem", "key.pem", "ca.pem"))
        for path, content in (
            (certificate, issued.certificate),
            (key, issued.key),
            (authority, issued.authority),
        ):
            path.write_bytes(content)
        context = tls_context(ServerConfig(cert=str(certificate), key=str(key)))
        assert context is not None
        yield Secrets(context, authority)


async def bridge_to(connect: Connect, near: trio.abc.Stream) -> None:
    """Carry the bytes of `near` to a connection of its own and back, until either has ended; both have then."""
    far = await connect()
    async with near, far, trio.open_nursery() as nursery:

        async def carry(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
            with suppress(trio.BrokenResourceError):  # a reset is an end like any other here
                async for data in source:
                    await target.send_all(data)
            nursery.cancel_scope.cancel()

        nursery.start_soon(carry, near, far)
        await carry(far, near)
