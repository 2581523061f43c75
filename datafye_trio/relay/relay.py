"""A relay: a source that has its events from another server, and only those that its own clients want.

One subscription for all: however many clients want a topic, it costs one on the wire. Positions are kept, so that a
client may come back to this relay, to another one, or to the server itself, and resumes where it was. A topic is there
for clients only once the server has said where it stands; what a client lacks and this relay does not have (it was
started anew, say) is fetched from the server, as far as that still has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import trio

from datafye_trio.client.board import BoardKey
from datafye_trio.client.feed import Feed
from datafye_trio.client.states import FeedState
from datafye_trio.client.tap import Placed, Tap
from datafye_trio.errors import RequestError, SourceError
from datafye_trio.logs import get_logger
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Frequency, Gap, TopicKey
from datafye_trio.protocol import DatasetOffer, ErrorCode
from datafye_trio.relay.fetching import Fetching
from datafye_trio.sources import BATCH, Publisher
from datafye_trio.sources.positions import Positioned, Positions, Want

__all__ = ["Relay", "RelayConfig"]

log = get_logger("relay")


@attrs.frozen
class RelayConfig:
    """How a relay treats what nobody wants any more. Times in seconds.

    Attributes:
        linger: a topic without a client is kept so long, since clients come back.
        check: how often that is looked at.
    """

    linger: float = 15.0
    check: float = 5.0


class Relay:
    """See the module: one dataset of a server, as a source for another one.

    Args:
        feed: an open feed, connected once.
        offer: the dataset, as that server has told it.
        config: see there.
    """

    def __init__(self, feed: Feed[Any], offer: DatasetOffer, config: RelayConfig | None = None) -> None:
        self._feed = feed
        self._config = config if config is not None else RelayConfig()
        self._info = DatasetInfo(
            offer.dataset,
            AssetClass(offer.asset_class),
            tuple(Channel(name) for name in offer.channels if name in list(Channel)),
            tuple(Frequency(name) for name in offer.frequencies if name in list(Frequency)),
        )
        self._epoch = offer.epoch
        self._positions: Positions | None = None
        self._news = trio.Event()
        self._changed = trio.lowlevel.ParkingLot()
        self._tap = Tap(feed, self._wake)
        self._placed: set[TopicKey] = set()
        self._asked: set[TopicKey] = set()
        """Subscribed to, and not placed yet."""
        self._stars: set[BoardKey] = set()
        """The boards of which every symbol was placed."""
        self._idle: dict[TopicKey | BoardKey, float] = {}
        """What nobody wants, and since when."""
        self._refused = 0
        self._fetching = Fetching(feed)

    @property
    def dataset(self) -> DatasetInfo:
        """The dataset as the server offers it; its symbols are open, since nobody can list them."""
        return self._info

    @property
    def epoch(self) -> str:
        """See `Relaying.epoch`."""
        return self._epoch

    @property
    def upstream(self) -> Mapping[str, object]:
        """See `Relaying.upstream`."""
        change = self._feed.state
        return {
            "url": change.url,
            "state": change.state.value,
            "sinceSeconds": round(trio.current_time() - change.time, 3),
            **({"why": change.why} if change.why else {}),
            "topics": len(self._placed),
            "waiting": len(self._tap),
            "refused": len(self._tap.refusals),
        }

    @property
    def connected(self) -> bool:
        """See `Relaying.connected`."""
        return self._feed.state.state in (FeedState.CONNECTED, FeedState.RECOVERING, FeedState.LIVE)

    async def run(self, publisher: Publisher) -> None:
        """Pass on what comes, until cancelled.

        Raises:
            SourceError: the server cannot be reached any more, and says not to try.
        """
        self._positions = publisher.positions
        self._changed.unpark_all()
        due = trio.current_time() + self._config.check
        try:
            while True:
                with trio.move_on_at(due):
                    await self._news.wait()
                self._news = trio.Event()
                if (failure := self._tap.failure) is not None and not len(self._tap):
                    raise SourceError(f"relay of {self._info.name}: {failure}")
                self._pump(self._positions)
                if trio.current_time() >= due:
                    due = trio.current_time() + self._config.check
                    self._drop_unwanted(self._positions)
                await trio.lowlevel.checkpoint()
        finally:
            self._tap.close()
            self._positions = None
            self._changed.unpark_all()

    # What connections ask.

    def admitted(self, want: Want) -> bool:
        """See `Relaying.admitted`."""
        return self._positions is not None and not self._missing(want) and not self._lacking(want)

    async def admit(self, want: Want, deadline: float) -> Sequence[RequestError]:
        """See `Relaying.admit`. Cancel-safe."""
        await trio.lowlevel.checkpoint()
        with trio.move_on_at(deadline):
            while self._positions is None:
                await self._changed.park()
            self._ask(want)
            while self._missing(want) - self._lost(want):
                await self._changed.park()
            while (lacking := self._lacking(want)) and self._positions is not None:
                await self._fetching.fetch(lacking, self._positions)
        return self._complaints(want)

    def _ask(self, want: Want) -> None:
        board, asset_class = self._board(want), self._info.asset_class
        if want.symbols is None:
            self._idle.pop(board, None)
            if not self._tap.has_all(board):
                self._tap.join(board, asset_class, None)
            return
        keys = [self._key(want, symbol) for symbol in want.symbols]
        for key in keys:
            self._idle.pop(key, None)
        if board in self._stars:
            return
        fresh = [key for key in keys if not self._tap.has(key)]
        self._asked.update(fresh)
        if fresh:
            self._tap.join(board, asset_class, [key.symbol for key in fresh])

    def _missing(self, want: Want) -> set[TopicKey | BoardKey]:
        """What is not placed yet."""
        board = self._board(want)
        if board in self._stars:
            return set()
        if want.symbols is None:
            return {board}
        return {key for symbol in want.symbols if (key := self._key(want, symbol)) not in self._placed}

    def _lost(self, want: Want) -> set[TopicKey | BoardKey]:
        """What is not placed and never will be: the server has refused it."""
        board = self._board(want)
        if want.symbols is None:
            return set() if self._tap.has_all(board) else {board}
        return {key for symbol in want.symbols if not self._tap.has(key := self._key(want, symbol))}

    def _lacking(self, want: Want) -> dict[TopicKey, int]:
        """The topics that somebody wants to resume from before what is kept here, and from where."""
        if (positions := self._positions) is None or want.epoch != self._epoch:
            return {}
        symbols = want.symbols
        if symbols is None:
            board = self._board(want)
            symbols = tuple(key.symbol for key in self._placed if _board_of(key) == board)
        found = {}
        for symbol in symbols:
            after = want.after.get(symbol, 0 if want.symbols is None else None)
            key = self._key(want, symbol)
            if after is None or key not in self._placed or self._fetching.tried(key, after):
                continue
            if positions.lacks(key, after):
                found[key] = after
        return found

    def _complaints(self, want: Want) -> list[RequestError]:
        missing, lost = self._missing(want), self._lost(want)
        complaints = []
        if refused := missing & lost:
            last = self._tap.refusals[-1] if self._tap.refusals else None
            code, message = (last.code, last.message) if last else (ErrorCode.UNKNOWN_SYMBOL, "refused upstream")
            complaints.append(RequestError(ErrorCode(code), message, field="symbols", symbols=_symbols(refused)))
        if late := {*(missing - lost), *self._lacking(want)}:
            why = f"the server that {self._info.name} comes from has not answered: try again later"
            complaints.append(RequestError(ErrorCode.INTERNAL, why, field="symbols", symbols=_symbols(late)))
        return complaints

    # What comes.

    def _wake(self) -> None:
        self._news.set()

    def _pump(self, positions: Positions) -> None:
        """Pass on what waits, at most a batch, and place what was answered."""
        items = self._tap.take(BATCH)
        self._place_first(items, positions)
        if len(self._tap):
            self._news.set()
        else:
            self._place_answered(positions)  # with nothing waiting, where the tap stands is where we do
        if items:
            positions.relay([Positioned(*item) for item in items if item[0] in self._placed])
            self._epoch = items[-1][1]
        self._changed.unpark_all()
        self._note_refusals()

    def _place_answered(self, positions: Positions) -> None:
        for key in [key for key in self._asked if self._tap.position(key) or not self._tap.has(key)]:
            self._asked.discard(key)
            self._place(key, positions)
        for board in _boards(self._info):
            if board not in self._stars and self._tap.receives_all(board):
                self._stars.add(board)
                for key in self._tap.known(board):
                    self._place(key, positions)

    def _place_first(self, items: Iterable[Placed], positions: Positions) -> None:
        """A topic of which something has come stands just before that."""
        for key, epoch, seq, item in items:
            if key in self._placed or seq == 0:
                continue
            first = item.first if isinstance(item, Gap) else seq
            self._placed.add(key)
            self._asked.discard(key)
            positions.place(key, epoch, (first or 1) - 1)

    def _place(self, key: TopicKey, positions: Positions) -> None:
        if key not in self._placed and (place := self._tap.position(key)) is not None:
            self._placed.add(key)
            positions.place(key, *place)
            self._epoch = place[0]

    def _note_refusals(self) -> None:
        if (count := len(self._tap.refusals)) > self._refused:
            last = self._tap.refusals[-1]
            log.warning("the server refuses something", code=last.code, why=str(last)[:200], so_far=count)
            self._refused = count

    # What nobody wants any more.

    def _drop_unwanted(self, positions: Positions) -> None:
        """Leave what had no client for a while. One step: nothing of it can come, or be wanted, in between."""
        now = trio.current_time()
        for board in _boards(self._info):
            wanted = positions.wanted(board.channel, board.frequency, board.running)
            if board in self._stars and self._is_over(board, positions.wants_all(*board[1:]), now):
                self._leave_star(board, wanted, positions)
            elif board not in self._stars:
                placed = [key for key in self._placed if _board_of(key) == board]
                over = [key for key in placed if self._is_over(key, key.symbol in wanted, now)]
                self._tap.leave(over)
                self._forget(over, positions)

    def _leave_star(self, board: BoardKey, wanted: Collection[str], positions: Positions) -> None:
        self._stars.discard(board)
        asked = {key.symbol for key in self._asked if _board_of(key) == board}
        placed = [key for key in self._placed if _board_of(key) == board]
        keep = sorted({*wanted, *asked})
        self._tap.leave_all(board, self._info.asset_class, keep)
        self._forget([key for key in placed if key.symbol not in wanted], positions)
        names = (attrs.evolve(placed[0], symbol=symbol) for symbol in keep) if placed else ()
        self._asked.update(key for key in names if key not in self._placed)

    def _is_over(self, what: TopicKey | BoardKey, wanted: bool, now: float) -> bool:
        if wanted:
            self._idle.pop(what, None)
            return False
        if now - self._idle.setdefault(what, now) < self._config.linger:
            return False
        del self._idle[what]
        return True

    def _forget(self, keys: Iterable[TopicKey], positions: Positions) -> None:
        for key in keys:
            self._placed.discard(key)
            self._fetching.forget(key)
            positions.forget(key)

    def _board(self, want: Want) -> BoardKey:
        return BoardKey(self._info.name, want.channel, want.frequency, want.running)

    def _key(self, want: Want, symbol: str) -> TopicKey:
        return TopicKey(self._info.name, self._info.asset_class, want.channel, symbol, want.frequency, want.running)


def _board_of(key: TopicKey) -> BoardKey:
    return BoardKey(key.dataset, key.channel, key.frequency, key.running)


def _symbols(what: Iterable[TopicKey | BoardKey]) -> tuple[str, ...]:
    return tuple(sorted(one.symbol if isinstance(one, TopicKey) else "*" for one in what))


def _boards(info: DatasetInfo) -> Iterator[BoardKey]:
    for channel in info.channels:
        if not channel.has_frequency:
            yield BoardKey(info.name, channel)
            continue
        for frequency in info.frequencies:
            yield BoardKey(info.name, channel, frequency)
            if channel is Channel.AGGREGATES:
                yield BoardKey(info.name, channel, frequency, running=True)
