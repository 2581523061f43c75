"""SIGHUP of `serve`: the rules of access and the certificate, read again while the server runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

from datafye_trio.cli.settings import SETTINGS, Settings, value_of
from datafye_trio.cli.signals import have_hung_up
from datafye_trio.cli.values import Given
from datafye_trio.errors import ConfigurationError, ServerClosedError
from datafye_trio.logs import get_logger
from datafye_trio.server import Server
from datafye_trio.server.networks import files_of

__all__ = ["Reloader"]

log = get_logger("serve")
_LISTS: Final = ("access.allow", "access.deny", "access.trusted_proxies", "access.origins", "control.allow")
_RELOADED: Final = (*_LISTS, "cert", "key")


class Reloader:
    """Reads the settings again at SIGHUP, and tells the log what came of it, in one line.

    What is wrong leaves all as it was.

    Args:
        settings: those that the server has started with.
        again: reads them again.
        outside: what flags and variables say, which still wins over the file.
        file: the settings' file.
    """

    def __init__(
        self,
        settings: Settings,
        again: Callable[[], Settings],
        outside: Mapping[str, Given] | None = None,
        file: Path | None = None,
    ) -> None:
        self._settings = settings
        self._again = again
        self._outside = {} if outside is None else outside
        self._file = file
        self._server: Server | None = None
        self._opened = trio.Event()

    def opened(self, server: Server | None) -> None:
        """There is a server now; None for one that is not to be changed."""
        self._server = server
        self._opened.set()

    async def run(self, signals: AsyncIterator[int], terminals: Sequence[int], stop: Callable[[], None]) -> None:
        """Reload at each signal. Where it says that one of these terminals is gone, `stop` is called in its place.

        Somebody who closes the window of a server wants it ended, as ever; and it would keep its port.
        """
        async for _ in signals:
            if have_hung_up(terminals):
                stop()
                continue
            await self._opened.wait()
            await self._reload()

    async def _reload(self) -> None:
        if self._server is None:
            log.warning("not reloaded", why="a server with --testing has neither lists nor a certificate to reload")
            return
        try:
            settings, put_into_force = await trio.to_thread.run_sync(self._read, self._server, abandon_on_cancel=True)
            ended = put_into_force()
        except ServerClosedError:
            pass  # it is stopping, and nobody comes any more
        except ConfigurationError as error:
            log.error("not reloaded, all stays as it was", why=str(error))
        except Exception:
            log.exception("not reloaded, all stays as it was")
        else:
            self._tell(settings, ended)

    def _read(self, server: Server) -> tuple[Settings, Callable[[], int]]:
        """In a thread, since descriptors, lists and certificates may take a while to read: clients are not to wait."""
        settings = self._again()
        return settings, server.prepare_reload(settings.server)

    def _tell(self, settings: Settings, ended: int) -> None:
        server = settings.server
        files = [] if self._file is None else [str(self._file)]
        fixed = []
        for name in _LISTS:
            entries = value_of(settings, name)
            named = files_of(entries)
            files += named
            if name in self._outside and len(named) < len(entries):
                fixed.append(self._outside[name].where)
        files += [path for path in (server.cert, server.key) if path]
        later = [
            name for name in SETTINGS
            if name not in _RELOADED and value_of(settings, name) != value_of(self._settings, name)
        ]  # fmt: skip
        if settings.datasets != self._settings.datasets:
            later.append("datasets")
        log.info(
            "reloaded",
            files=",".join(dict.fromkeys(files)) or "none",
            **({"as_started": ",".join(fixed)} if fixed else {}),
            **({"only_by_restart": ",".join(later)} if later else {}),
            ended=ended,
        )
