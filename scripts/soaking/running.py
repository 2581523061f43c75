"""What the scenarios of `scripts/soak` share: the server's process, and clients whose items an oracle judges."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import attrs
import trio

from datafye_trio.client import FeedConfig, Reconnect, open_feed
from datafye_trio.model import Channel, FeedItem
from datafye_trio.testing import Oracle, Topic, Verdict
from soaking import ENVIRONMENT, program
from soaking.server import ServerSettings, symbols_of

__all__ = ["Client", "ServerProcess", "say", "topics_of", "wait_for_all"]

_START_SECONDS: Final = 60.0


def say(text: str) -> None:
    """Progress, for the person who waits."""
    print(text, file=sys.stderr, flush=True)


class ServerProcess:
    """A server's process, with `environment` added to its own. Left, it is killed."""

    def __init__(self, settings: ServerSettings, environment: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._environment = {**ENVIRONMENT, **(environment or {})}
        self._process: trio.Process | None = None
        self._rest = b""

    async def __aenter__(self) -> Self:
        # In a session of its own: Ctrl-C is this program's, which kills it.
        self._process = await trio.lowlevel.open_process(
            program("server", json.dumps(attrs.asdict(self._settings))),
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None  # set by __aenter__
        self.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            await self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    await pipe.aclose()

    def kill(self) -> None:
        """SIGKILL, at once."""
        if self._process is not None:
            self._process.kill()

    @property
    def pid(self) -> int:
        """Its number."""
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process.pid

    async def end(self) -> int:
        """Have it end in good order; its exit code."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the server was not started")
        await self._process.stdin.aclose()
        return await self._process.wait()

    async def watch(self) -> dict[str, Any]:
        """What it says of itself; see `soaking.server`."""
        await self.tell("watch")
        answer: dict[str, Any] = await self.answer()
        return answer

    async def tell(self, word: str) -> None:
        """Give it a word."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the server was not started")
        await self._process.stdin.send_all(word.encode() + b"\n")

    async def answer(self) -> Any:
        """Its next answer.

        Raises:
            RuntimeError: it has ended.
        """
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("the server was not started")
        while b"\n" not in self._rest:
            data = await self._process.stdout.receive_some()
            if not data:
                raise RuntimeError(f"the server has ended with {await self._process.wait()}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    async def listen(self) -> int:
        """Have it listen; the port."""
        await self.tell("listen")
        with trio.fail_after(_START_SECONDS):
            port: int = await self.answer()
        return port

    async def log(self) -> dict[Topic, int]:
        """The log, which it gives at its end."""
        return {(Channel.TRADES, symbol): count for symbol, count in (await self.answer()).items()}


def topics_of(client: int, each: int, symbols: int) -> tuple[Topic, ...]:
    """The topics of a client: neighbours share theirs, and all are wanted by as many."""
    names = symbols_of(symbols)
    return tuple((Channel.TRADES, names[(client * each + n) % symbols]) for n in range(min(each, symbols)))


class Client:
    """One client of a server, and its judge."""

    def __init__(self, number: int, topics: Sequence[Topic], reconnect: Reconnect) -> None:
        self.topics = tuple(topics)
        self.oracle = Oracle(f"client {number}", {})
        self.subscribed = trio.Event()
        self.done = trio.Event()
        self._config = FeedConfig(reconnect)
        self._end: Mapping[Topic, int] | None = None

    async def run(self, port: int) -> None:
        """Subscribe, and have judged what comes, until cancelled."""
        async with (
            open_feed(f"ws://127.0.0.1:{port}/datafye-ws/v1", self._config) as feed,
            feed.trades([symbol for _, symbol in self.topics]) as subscription,
        ):
            self.subscribed.set()
            async for item in subscription:
                self.take(item)

    def take(self, item: FeedItem) -> None:
        """The next item."""
        self.oracle.take(item)
        if self._end is not None:
            self.end(self._end)

    def end(self, log: Mapping[Topic, int]) -> None:
        """This is the log: `done` once all of it has come, or was told lost."""
        self._end = {topic: log[topic] for topic in self.topics}
        if self.oracle.reached(self._end):
            self.done.set()

    def verdict(self, life: int = 0) -> Verdict:
        """The verdict, after `end`."""
        return self.oracle.verdict(self._end or {}, life=life)


async def wait_for_all(clients: Sequence[Client], log: Mapping[Topic, int], seconds: float) -> None:
    """Wait until all of the log has come to each client; what has not by then will be found to be lost."""
    with trio.move_on_after(seconds):
        for client in clients:
            client.end(log)
        for client in clients:
            await client.done.wait()
