"""The processes of a scenario besides this one: attackers, clients that are watched, servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Final, Self

import trio

from soaking import ENVIRONMENT, program

__all__ = ["Child", "SoakError", "open_child"]

_PATIENCE: Final = 60.0


class SoakError(Exception):
    """A scenario cannot go on; the text says why."""


class Child:
    """A process that is told lines of JSON and answers lines. Left, it is killed, with all that it has started.

    Args:
        command: what to run.
        environment: its variables.
        errors: where its stderr goes; None: where ours goes.
        descriptors: the most that it may have, as `ulimit -n` sets it; None: as many as we may.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] = ENVIRONMENT,
        *,
        errors: IO[bytes] | None = None,
        descriptors: int | None = None,
    ) -> None:
        limit = [] if descriptors is None else ["/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]
        self._command = [*limit, *command]
        self._environment = environment
        self._errors = errors
        self._process: trio.Process | None = None
        self._rest = b""

    async def __aenter__(self) -> Self:
        # In a session of its own: Ctrl-C is this program's, which kills it.
        self._process = await trio.lowlevel.open_process(
            self._command,
            env=dict(self._environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self.process
        self.signal(signal.SIGKILL)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()

    @property
    def process(self) -> trio.Process:
        """The process itself."""
        if self._process is None:
            raise RuntimeError("enter it first")
        return self._process

    def signal(self, number: int) -> None:
        """Send a signal to it, and to all that it has started; nothing where it has ended."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    async def tell(self, order: object) -> None:
        """Give it a line of JSON.

        Raises:
            SoakError: it has ended.
        """
        if self.process.stdin is None:
            raise RuntimeError("its stdin is a pipe")
        try:
            await self.process.stdin.send_all(json.dumps(order).encode() + b"\n")
        except trio.BrokenResourceError:
            raise await self._ended() from None

    async def line(self) -> str:
        """Its next line.

        Raises:
            SoakError: it has ended, or says nothing for a minute.
        """
        if self.process.stdout is None:
            raise RuntimeError("its stdout is a pipe")
        with trio.move_on_after(_PATIENCE) as patience:
            while b"\n" not in self._rest:
                data = await self.process.stdout.receive_some()
                if not data:
                    raise await self._ended()
                self._rest += data
        if patience.cancelled_caught:
            raise SoakError(f"{self._name} has said nothing for {_PATIENCE:g} s")
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    async def answer(self) -> Any:
        """Its next line, which is JSON. Errors as of `line`, or the one that it tells of."""
        answer = json.loads(await self.line())
        if isinstance(answer, dict) and "error" in answer:
            raise SoakError(f"{self._name}: {answer['error']}")
        return answer

    async def ask(self, order: object) -> Any:
        """Give it a line, and wait for its answer."""
        await self.tell(order)
        return await self.answer()

    async def _ended(self) -> SoakError:
        return SoakError(f"{self._name} has ended with exit code {await self.process.wait()}")

    @property
    def _name(self) -> str:
        return f"process {self.process.pid} ({self._command[-2][:100]})"


def open_child(module: str, **job: object) -> Child:
    """A module of this package as a process, with a job."""
    return Child(program(module, json.dumps(job)))
