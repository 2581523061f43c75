"""Which connection serves what: one for all channels, or one for each, as older deployments have it.

`Single` is the layout of this protocol's base path. `PerChannel` connects to the path of one channel at a time, and
first finds out whether such a path greets: if so, all of the protocol holds on each connection. If not, the server is
one that has only what Datafye documents: its messages are not numbered, so that a loss cannot be proved, and each
request needs a connection of its own. What was found out holds for as long as the feed lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import attrs
import trio

from datafye_trio.client.backoff import Backoff
from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import Book
from datafye_trio.client.branch import Branch, GreetedBranch, PlainBranch
from datafye_trio.client.config import FeedConfig
from datafye_trio.client.conversation import Conversation, NotGreeted
from datafye_trio.client.decoding import Intake, RawIntake
from datafye_trio.client.greeting import Listening
from datafye_trio.client.line import Line
from datafye_trio.client.link import Link
from datafye_trio.client.options import plain_asset_class
from datafye_trio.client.plain_decoding import PlainDecoder
from datafye_trio.client.plain_talk import PlainTalk
from datafye_trio.client.plain_topic import PlainLine
from datafye_trio.client.states import JoinedStates, States
from datafye_trio.client.talk import Talk
from datafye_trio.client.urls import endpoint_of, with_path
from datafye_trio.errors import ConnectError, FeedError
from datafye_trio.logs import get_logger
from datafye_trio.model import Channel
from datafye_trio.protocol import Connected

__all__ = ["CHANNEL_PATHS", "GREETING_SECONDS", "PerChannel", "Single", "Wiring", "WiringOptions"]

log = get_logger("feed")

CHANNEL_PATHS: Final = {
    Channel.QUOTES: "stocks/live/quotes",
    Channel.TRADES: "stocks/live/ticks",
    Channel.AGGREGATES: "stocks/live/aggs",
    Channel.SMA: "stocks/live/sma",
    Channel.EMA: "stocks/live/ema",
}
"""As Datafye's samples have them, for every dataset: `Crypto`, too, is served on `stocks/`."""
GREETING_SECONDS: Final = 2.0
"""Within which a server that greets is expected to do so on the path of a channel."""
_NOT_FOUND: Final = 404


@attrs.frozen
class WiringOptions:
    """What the connections of a feed share. `changed` is called after everything that came."""

    url: str
    config: FeedConfig
    states: States
    new_intake: Callable[[], Intake]
    changed: Callable[[], None]

    def link(self, url: str, talk: Conversation, states: States | None = None) -> Link:
        """A link to `url`, with a backoff of its own."""
        backoff = Backoff(self.config.reconnect, self.config.reconnect.jitter)
        return Link(url, talk, self.config, states or self.states, backoff, self.changed)


class Wiring(Protocol):
    """The connections of a feed."""

    @property
    def connected(self) -> Connected | None:
        """What the server last said about itself."""

    @property
    def provable(self) -> bool | None:
        """Whether the server numbers its messages, so that a loss is seen; None: that is not known yet."""

    @property
    def lag(self) -> int:
        """Messages that waited for us at the server when it last sent a heartbeat."""

    def line(self, key: BoardKey) -> Line:
        """What carries a board."""

    def wake(self) -> None:
        """There may be something to ask."""

    def note(self) -> None:
        """Something has come."""

    async def run(self) -> None:
        """Keep the connections until cancelled.

        Raises:
            FeedError: they cannot be kept.
        """


class Single:
    """One connection for everything."""

    def __init__(self, options: WiringOptions, book: Book) -> None:
        self.connected: Connected | None = None
        self._line = Line(options.new_intake())
        self._talk = Talk(book, self._line)
        self._link = options.link(options.url, self._talk)
        self._usual = self._link.patience
        if options.config.layout == "auto":
            self._link.final = (NotGreeted,)
            if endpoint_of(options.url).channel is not None:
                self._link.patience = min(GREETING_SECONDS, self._usual)

    @property
    def provable(self) -> bool | None:
        """See `Wiring`."""
        return None if self.connected is None else True

    @property
    def lag(self) -> int:
        """See `Wiring`."""
        return self._talk.lag

    def line(self, _key: BoardKey) -> Line:
        """See `Wiring`."""
        return self._line

    def wake(self) -> None:
        """See `Wiring`."""
        self._link.wake()

    def note(self) -> None:
        """See `Wiring`."""
        if self._talk.connected is not None:
            self.connected = self._talk.connected
            self._link.final, self._link.patience = (), self._usual

    async def run(self) -> None:
        """See `Wiring`."""
        await self._link.run()

    def patience_after(self, failure: FeedError) -> float | None:
        """For how long to listen on the paths of channels, if what it failed by says that there may be nothing else.

        A path that does not exist says it; to silence, the busiest server of ours may be driven, too, and it is not to
        be mistaken for one that numbers nothing.
        """
        if self.connected is not None:
            return None
        if isinstance(failure, NotGreeted):
            return self._link.patience
        return GREETING_SECONDS if isinstance(failure, ConnectError) and failure.status == _NOT_FOUND else None


class PerChannel:
    """A connection for each channel, or (where the server does not greet) for each dataset, channel and frequency.

    `patience` is the time in seconds within which a server that greets is expected to do so.
    """

    def __init__(self, options: WiringOptions, book: Book) -> None:
        self.connected: Connected | None = None
        self.provable: bool | None = None
        self.patience = GREETING_SECONDS
        self._options = options
        self._book = book
        self._branches: dict[BoardKey | Channel, Branch] = {}
        self._states = JoinedStates(options.states)
        self._nursery: trio.Nursery | None = None
        self._failure: FeedError | None = None

    @property
    def lag(self) -> int:
        """See `Wiring`."""
        return sum(branch.lag for branch in self._branches.values())

    def line(self, key: BoardKey) -> Line:
        """See `Wiring`."""
        name = key.channel if self.provable else key
        if (branch := self._branches.get(name)) is None:
            branch = self._branches[name] = self._branch(key)
            assert self._nursery is not None  # noqa: S101 -- nobody subscribes before it is known what there is
            self._nursery.start_soon(self._keep, branch)
        return branch.line

    def wake(self) -> None:
        """See `Wiring`."""
        for branch in self._branches.values():
            branch.wake()

    def note(self) -> None:
        """See `Wiring`."""
        for branch in self._branches.values():
            self.connected = branch.connected or self.connected
            branch.note()

    async def run(self) -> None:
        """See `Wiring`."""
        greeting = await self._find_out()
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(trio.sleep_forever)
            self.connected, self.provable = greeting, greeting is not None
            if not self.provable:
                what = "this server numbers nothing: it cannot be proved that nothing is lost"
                log.warning(what, url=self._options.url)
            self._states.tell()
            self._options.changed()
        if self._failure is not None:
            raise self._failure

    async def _find_out(self) -> Connected | None:
        """What the server says about itself on the first of the paths that exists; None where it says nothing.

        Raises:
            FeedError: there is no such path, or no connection.
        """
        failure: ConnectError | None = None
        for path in CHANNEL_PATHS.values():
            try:
                return await self._listen(with_path(self._options.url, path))
            except NotGreeted:
                return None
            except ConnectError as error:
                if error.status != _NOT_FOUND:
                    raise
                failure = failure or error
        assert failure is not None  # noqa: S101 -- there are paths
        raise failure

    async def _listen(self, url: str) -> Connected | None:
        listening, done = Listening(), trio.CancelScope()

        def heard() -> None:
            if listening.connected is not None:
                done.cancel()

        link = attrs.evolve(self._options, changed=heard).link(url, listening)
        link.final, link.patience = (NotGreeted,), self.patience
        with done:
            await link.run()
        return listening.connected

    def _branch(self, key: BoardKey) -> Branch:
        url = with_path(self._options.url, CHANNEL_PATHS[key.channel])
        states = self._states.part(url)
        intake = self._options.new_intake()
        if self.provable:
            talk = Talk(self._book, Line(intake))
            return GreetedBranch(talk, self._options.link(url, talk, states), states)
        decoder = PlainDecoder(key, plain_asset_class(key.dataset))
        plain = PlainTalk(self._book, PlainLine(intake), decoder, raw=isinstance(intake, RawIntake))
        return PlainBranch(plain, self._options.link(url, plain, states), states)

    async def _keep(self, branch: Branch) -> None:
        try:
            await branch.run()
        except FeedError as failure:
            self._failure = self._failure or failure
            assert self._nursery is not None  # noqa: S101 -- this runs in it
            self._nursery.cancel_scope.cancel()
