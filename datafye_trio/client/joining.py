"""Where the stored events of a topic end and its live ones begin: found by comparing the two. No I/O, all sync.

What a server stores carries no `seq`, so the place is found in the data. Live comes first: a topic is subscribed, and
its newest messages up to a `position`, the window, are sent once more. Then stored data is read up to the window:

- Bars of a topic follow each other in time, so the bar that begins last in the window is the last one that is taken
  from the stored ones. What corrects it later is live, and no repeat.
- Ticks may be reported late, so times tell nothing for certain: the window itself is looked for among the stored ones.
  Those beyond its time are held back until it is found; where it never is, they are not taken.
- A topic that has had no live message yet has no window. Stored events are taken up to the dataset's own clock (the
  newest of the other windows, else the server's), and a live one that was among them is passed over.

Where stored data ends before the window begins, nobody knows what lies between: a `Gap` of reason `not_stored`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import attrs

from datafye_trio.aggregates import span_of
from datafye_trio.model import Bar, Frequency, Gap, Live, TopicKey
from datafye_trio.protocol import NS_PER_UNIT, TimestampUnit

__all__ = ["LOOKBACK", "Join", "Past", "Reader", "make_past"]

LOOKBACK: Final = 16
"""Messages in a window: enough to tell ticks that are alike, and to hold a bar that is no correction."""

_HELD: Final = 65_536
"""Ticks beyond their windows' times that are held back at most, in the hope that late reports are to blame."""
_RECENT: Final = 1_024
"""Stored events that the first live ones of a topic without a window are compared with."""
_LATE: Final = 86_400 * 10**9
"""Nanoseconds behind the window in which ticks that stand before it are looked for."""
_OWN: Final = frozenset({"seq", "stream", "channel"})
"""What a message says about its way, and not about its event."""


class Reader:
    """How events are read, as objects or, on raw feeds, as dicts whose times are in the server's unit."""

    def __init__(self, unit: TimestampUnit = "ns") -> None:
        self._factor = NS_PER_UNIT[unit]

    def symbol(self, item: Any) -> str:
        """Whose event it is."""
        return str(item["symbol"] if type(item) is dict else item.symbol)

    def time(self, item: Any) -> int:
        """When it happened; of a bar, its start. Nanoseconds."""
        if type(item) is dict:
            found = next(item[name] for name in ("datetime", "exchangeTimestamp", "timestamp") if name in item)
            return int(found) * self._factor
        if type(item) is Bar:
            return item.start
        return int(getattr(item, "exchange_timestamp", None) or item.timestamp)

    def revision(self, bar: Any) -> int:
        """Which correction of a final bar it is; 0: none."""
        return int((bar.get("revision") if type(bar) is dict else bar.revision) or 0)

    def plain(self, item: Any) -> Any:
        """What can be compared: the event, however it came."""
        return {k: v for k, v in item.items() if k not in _OWN} if type(item) is dict else item


@attrs.define(eq=False)
class Join:
    """What is known of one live topic when its past is asked for.

    Attributes:
        position: the `seq` up to which its messages are past; 0: none are.
        window: the newest of them, oldest first; empty also where the server does not hold them any more.
    """

    key: TopicKey
    epoch: str
    position: int
    window: list[Any] = attrs.Factory(list)


class _Bars:
    """The past of one topic of bars."""

    joined: Final = False
    """Not known before the end of the range, which is not far behind."""
    held: Final = 0

    def __init__(self, join: Join, since: int, reader: Reader, frequency: Frequency, clock: int) -> None:
        self.join = join
        self._since = since
        self._reader = reader
        starts = [reader.time(bar) for bar in join.window]
        self._first = min((reader.time(bar) for bar in join.window if not reader.revision(bar)), default=None)
        self.stop = max(starts) + 1 if starts else span_of(clock, frequency, join.key.asset_class)[0]
        self._last: int | None = None
        self._recent: dict[int, int] = {}

    def take(self, bar: Any) -> list[Any]:
        """What is delivered for a stored bar."""
        start = self._reader.time(bar)
        if start >= self.stop:
            return []
        self._last = start
        if not self.join.window:
            self._recent[start] = self._reader.revision(bar)
            if len(self._recent) > _RECENT:
                del self._recent[next(iter(self._recent))]
        return [bar]

    def give_up(self) -> None:
        """Nothing is held back."""

    def end(self) -> tuple[bool, list[Any]]:
        """Whether something is missing, and the bars of the window that are still to come."""
        if not self.join.window:
            return False, []
        reach = self._since if self._last is None else self._last
        after = self._since - 1 if self._last is None else self._last
        rest = _rest(self.join.window, after + 1, self._reader)
        return bool(rest) and (self._first is None or self._first > reach), rest

    def repeats(self, bar: Any) -> bool | None:
        """Whether a live bar was delivered as a stored one; None: no, and none will be."""
        start = self._reader.time(bar)
        if self.join.window or self._last is None or start > self._last:
            return None
        revision = self._reader.revision(bar)
        return revision <= self._recent.get(start, revision)  # a stored one has what corrected it before


class _Ticks:
    """The past of one topic of trades."""

    def __init__(self, join: Join, since: int, reader: Reader, clock: int) -> None:
        self.join = join
        self.joined = False
        self._since = since
        self._reader = reader
        self._wanted = [reader.plain(tick) for tick in join.window]
        times = [reader.time(tick) for tick in join.window]
        self._newest = max(times, default=0)
        self.stop = self._newest + _LATE if times else clock
        self.start = min([since, *times])
        self._recent: deque[Any] = deque(maxlen=len(times) or _RECENT)
        self._held: list[Any] = []
        self._begun = False
        self._last = 0

    def take(self, tick: Any) -> list[Any]:
        """What is delivered for a stored tick."""
        time, plain = self._reader.time(tick), self._reader.plain(tick)
        if not self._wanted:
            if time >= self.stop:
                return []
            self._recent.append(plain)
            self._last = max(self._last, time)
            return [tick]
        if not self._begun:
            self._begun = True
            if plain in self._wanted:  # stored data begins within the window
                self._wanted = self._wanted[self._wanted.index(plain) :]
                self._recent = deque(maxlen=len(self._wanted))
        self._recent.append(plain)
        if time >= self._since:
            self._held.append(tick)
        self.joined = plain == self._wanted[-1] and list(self._recent) == self._wanted
        if self.joined or (time <= self._newest and not self._is_beyond):
            found, self._held = self._held, []
            return found
        return []

    @property
    def held(self) -> int:
        """Ticks that are held back."""
        return len(self._held)

    def give_up(self) -> None:
        """The window is not to be found."""
        self.joined = True
        self._recent.clear()
        self._held.clear()

    @property
    def _is_beyond(self) -> bool:
        return bool(self._held) and self._reader.time(self._held[0]) > self._newest

    def end(self) -> tuple[bool, list[Any]]:
        """Whether something is missing, and the ticks of the window that are still to come."""
        window = self.join.window
        if not window or (self.joined and self._recent):
            return False, []
        tail = list(self._recent)
        for size in range(min(len(tail), len(self._wanted)), 0, -1):
            if tail[-size:] == self._wanted[:size]:
                return False, window[len(window) - len(self._wanted) + size :]
        rest = _rest(window, self._since, self._reader)
        return len(rest) == len(window), rest

    def repeats(self, tick: Any) -> bool | None:
        """Whether a live tick was delivered as a stored one; None: no, and none will be."""
        if self._wanted or not self._recent:
            return None
        time = self._reader.time(tick)
        if time > self._last:
            return None
        if self._reader.plain(tick) in self._recent:
            return True
        full = len(self._recent) == _RECENT
        return full and time < min(self._reader.time(one) for one in self._recent)


_Topic: TypeAlias = _Bars | _Ticks


class Past:
    """The stored events of several topics, which come mixed.

    Attributes:
        start, stop: the range to ask for.
    """

    def __init__(self, topics: Sequence[_Topic], start: int, stop: int, reader: Reader) -> None:
        self.start = start
        self.stop = stop
        self._topics = {topic.join.key.symbol: topic for topic in topics}
        self._reader = reader
        self._open = len(topics)
        self._held = 0
        self._until_now = [topic for topic in topics if not topic.join.window]

    @property
    def done(self) -> bool:
        """Whether what is still stored is of no use."""
        return not self._open

    def take(self, item: Any) -> list[Any]:
        """What is delivered for a stored event."""
        if self._until_now and self._reader.time(item) >= self._until_now[0].stop:
            self._open -= len(self._until_now)
            self._until_now.clear()
        topic = self._topics.get(self._reader.symbol(item))
        if topic is None or topic.joined:
            return []
        before = topic.held
        found = topic.take(item)
        self._held += topic.held - before
        if self._held > _HELD:
            self._held -= topic.held
            topic.give_up()
        self._open -= topic.joined
        return found

    def end(self) -> list[Any]:
        """What stands between the stored events and the live ones."""
        found: list[Any] = []
        for topic in self._topics.values():
            join = topic.join
            missing, rest = topic.end()
            if missing:
                found.append(Gap(join.key, join.epoch, None, None, "not_stored"))
            found += [Live(join.key, join.epoch, join.position - len(rest)), *rest]
        return found

    def repeats(self, item: Any) -> bool:
        """Whether a live event was among the stored ones. Once one of a topic is not, none is."""
        topic = self._topics.get(self._reader.symbol(item))
        if topic is None:
            return False
        found = topic.repeats(item)
        if found is None:
            del self._topics[topic.join.key.symbol]
        return bool(found)

    @property
    def overlaps(self) -> bool:
        """Whether a live event can still be one that was stored."""
        return bool(self._topics)


def _rest(window: list[Any], start: int, reader: Reader) -> list[Any]:
    """The window from its first event on that happened at or after a time."""
    place = next((n for n, item in enumerate(window) if reader.time(item) >= start), len(window))
    return window[place:]


def make_past(joins: Sequence[Join], since: int, reader: Reader, frequency: Frequency | None, now: int) -> Past:
    """The past of these topics, from `since` (nanoseconds) on; `now` is the server's clock."""
    times = [reader.time(item) for join in joins for item in join.window]
    clock = max(times) if times else now
    if frequency is not None:
        bars = [_Bars(join, since, reader, frequency, clock) for join in joins]
        return Past(bars, since, max(one.stop for one in bars), reader)
    ticks = [_Ticks(join, since, reader, clock) for join in joins]
    return Past(ticks, min(one.start for one in ticks), max(one.stop for one in ticks), reader)
