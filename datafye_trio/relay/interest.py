"""What a relay is subscribed to at the server, and where each topic stands here. All sync.

A topic is asked for when the first client wants it, placed when the server has said where it stands, and left when
nobody has wanted it for a while. All that is placed is passed on; nothing else is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TypeAlias

from datafye_trio.client.board import BoardKey
from datafye_trio.client.book import ALL
from datafye_trio.client.tap import Placed, Tap
from datafye_trio.model import Channel, DatasetInfo, Gap, TopicKey
from datafye_trio.sources.positions import Positions, Want

__all__ = ["Interest", "Wanted"]

Wanted: TypeAlias = TopicKey | BoardKey
"""A topic, or a board for every symbol of it."""


class Interest:
    """See the module. `linger` is how long, in seconds, what nobody wants is kept: clients come back."""

    def __init__(self, tap: Tap, info: DatasetInfo, linger: float) -> None:
        self.placed: set[TopicKey] = set()
        self._tap = tap
        self._info = info
        self._linger = linger
        self._asked: set[TopicKey] = set()
        """Subscribed to, and not placed yet."""
        self._stars: set[BoardKey] = set()
        """The boards of which every symbol was placed."""
        self._idle: dict[Wanted, float] = {}
        """What nobody wants, and since when."""

    # What clients want.

    def ask(self, want: Want) -> None:
        """Subscribe to what is not there yet."""
        board = self.board(want)
        if want.symbols is None:
            self._idle.pop(board, None)
            if not self._tap.has_all(board):
                self._tap.join(board, self._info.asset_class, None)
            return
        keys = self._keys(want)
        for key in keys:
            self._idle.pop(key, None)
        if not self._tap.has_all(board):
            self._join([key for key in keys if not self._tap.has(key)])

    def missing(self, want: Want) -> set[Wanted]:
        """What is not placed yet."""
        board = self.board(want)
        if board in self._stars:
            return set()
        return {board} if want.symbols is None else {key for key in self._keys(want) if key not in self.placed}

    def refused(self, want: Want) -> set[Wanted]:
        """What the server has refused; more exactly, what is not subscribed, once it was asked for."""
        board = self.board(want)
        if self._tap.has_all(board):
            return set()
        return {board} if want.symbols is None else {key for key in self._keys(want) if not self._tap.has(key)}

    def topics(self, want: Want) -> list[TopicKey]:
        """What is placed of it."""
        if want.symbols is not None:
            return [key for key in self._keys(want) if key in self.placed]
        return self._of(self.board(want))

    def board(self, want: Want) -> BoardKey:
        """Whose symbols are wanted."""
        return BoardKey(self._info.name, want.channel, want.frequency, want.running)

    # What comes.

    def place_first(self, items: Iterable[Placed], positions: Positions) -> None:
        """A topic of which something comes for the first time stands just before that."""
        for key, epoch, seq, item in items:
            if key in self.placed or seq == 0 or not self._tap.has(key):
                continue  # or it was left meanwhile
            first = item.first if isinstance(item, Gap) else seq
            self.placed.add(key)
            self._asked.discard(key)
            positions.place(key, epoch, (first or 1) - 1)

    def place_answered(self, positions: Positions) -> None:
        """What the server has answered stands where the tap does; to be called when nothing waits in that."""
        for key in [key for key in self._asked if self._tap.position(key) or not self._tap.has(key)]:
            self._asked.discard(key)
            self._place(key, positions)
        for board in boards_of(self._info):
            if board not in self._stars and self._tap.receives_all(board):
                self._stars.add(board)
                for key in self._tap.known(board):
                    self._place(key, positions)

    # What the server has taken back.

    def drop_refused(self, named: Collection[str]) -> dict[BoardKey, list[str]]:
        """Forget what was placed and has been refused since, after a new connection say; returns its symbols.

        `named` are the symbols of the refusals, `*` among them where any may be meant.
        """
        gone: dict[BoardKey, list[str]] = {}
        for board in [board for board in self._stars if not self._tap.has_all(board)]:
            self._stars.discard(board)
            gone[board] = [ALL]
        anyone = ALL in named
        keys = [key for key in self.placed if (anyone or key.symbol in named) and not self._tap.has(key)]
        self._tap.leave(keys)  # its own way of saying that they are over
        for key in keys:
            self.placed.discard(key)
            gone.setdefault(_board_of(key), []).append(key.symbol)
        return gone

    # What nobody wants any more.

    def drop_unwanted(self, positions: Positions, now: float) -> list[TopicKey]:
        """Leave what had no client for a while; returns it. In one step: nothing can happen in between."""
        dropped: list[TopicKey] = []
        for board in boards_of(self._info):
            wanted = positions.wanted(board.channel, board.frequency, board.running)
            if board not in self._stars:
                over = [key for key in self._of(board) if self._is_over(key, key.symbol in wanted, now)]
                self._tap.leave(over)
            elif self._is_over(board, positions.wants_all(board.channel, board.frequency, board.running), now):
                over = self._leave_star(board, wanted)
            else:
                continue
            for key in over:
                self.placed.discard(key)
                positions.forget(key)
            dropped += over
        return dropped

    def _leave_star(self, board: BoardKey, wanted: Collection[str]) -> list[TopicKey]:
        self._stars.discard(board)
        keep = {self._key(board, symbol) for symbol in wanted}
        keep |= {key for key in self._asked if _board_of(key) == board}
        self._tap.leave_all(board, self._info.asset_class, sorted(key.symbol for key in keep))
        self._asked |= keep - self.placed
        return [key for key in self._of(board) if key not in keep]

    def _is_over(self, what: Wanted, wanted: bool, now: float) -> bool:
        if wanted:
            self._idle.pop(what, None)
            return False
        if now - self._idle.setdefault(what, now) < self._linger:
            return False
        del self._idle[what]
        return True

    def _join(self, keys: list[TopicKey]) -> None:
        if keys:
            self._asked.update(keys)
            self._tap.join(_board_of(keys[0]), self._info.asset_class, [key.symbol for key in keys])

    def _place(self, key: TopicKey, positions: Positions) -> None:
        if key not in self.placed and (place := self._tap.position(key)) is not None:
            self.placed.add(key)
            positions.place(key, *place)

    def _of(self, board: BoardKey) -> list[TopicKey]:
        return [key for key in self.placed if _board_of(key) == board]

    def _keys(self, want: Want) -> list[TopicKey]:
        board = self.board(want)
        return [self._key(board, symbol) for symbol in want.symbols or ()]

    def _key(self, board: BoardKey, symbol: str) -> TopicKey:
        return TopicKey(board.dataset, self._info.asset_class, board.channel, symbol, board.frequency, board.running)


def boards_of(info: DatasetInfo) -> Iterator[BoardKey]:
    """The boards that a dataset has."""
    for channel in info.channels:
        if not channel.has_frequency:
            yield BoardKey(info.name, channel)
            continue
        for frequency in info.frequencies:
            yield BoardKey(info.name, channel, frequency)
            if channel is Channel.AGGREGATES:
                yield BoardKey(info.name, channel, frequency, running=True)


def _board_of(key: TopicKey) -> BoardKey:
    return BoardKey(key.dataset, key.channel, key.frequency, key.running)
