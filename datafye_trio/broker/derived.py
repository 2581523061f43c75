"""Bars and indicators of one dataset, folded in the very pass that hands out their trades: sync, and so never ahead of
a trade, nor behind one that was handed out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from datafye_trio.aggregates import Aggregation, Derivation, Value
from datafye_trio.broker.quiet import Quiet
from datafye_trio.broker.topic import Board, BoardKey, Routed, Topic
from datafye_trio.logs import get_logger
from datafye_trio.model import EVENT_CHANNELS, AssetClass, Bar, Trade
from datafye_trio.sources import Mark

__all__ = ["Derived", "topics_of_bar"]

log = get_logger("bars")


def topics_of_bar(event: Value, boards: Mapping[BoardKey, Board]) -> tuple[Topic, ...]:
    """The topics of a bar or of an indicator's value.

    A final bar also goes out on the topic of running bars, which would else end every span with a bar that is not
    final. On that topic nothing is published before somebody is subscribed to it, and while nobody is, final bars
    alone: who was cut, or too slow, comes back, and is to find those that he has missed.

    Raises:
        KeyError: its frequency is not offered.
    """
    channel = EVENT_CHANNELS[type(event)][0]
    found = []
    # Frequencies are texts, and equal to their names: the key need not be made of the enum's member.
    if not isinstance(event, Bar) or event.final:
        found.append(boards[BoardKey(channel, event.frequency)].pin(event.symbol))  # type: ignore[arg-type]
    if isinstance(event, Bar):
        running = boards[BoardKey(channel, event.frequency, running=True)]  # type: ignore[arg-type]
        if running.is_wanted(event.symbol) or (event.final and running.was_wanted(event.symbol)):
            found.append(running.pin(event.symbol))
    return tuple(found)


class Derived:
    """The bars and indicators of one dataset. All is sync and never raises. `quiet` tells when a bar is over."""

    def __init__(
        self, aggregation: Aggregation, dataset: str, asset_class: AssetClass, boards: Mapping[BoardKey, Board]
    ) -> None:
        self._derivation = Derivation(aggregation, asset_class)
        self._bars = self._derivation.bars
        self.quiet = Quiet(self._bars, aggregation.grace)
        self._dataset = dataset
        self._boards = boards
        self._running = [board for key, board in boards.items() if key.running]

    @property
    def late(self) -> int:
        """Trades that came too late for their bars, and are in none."""
        return self._bars.late

    def after(self, trade: Trade, now: float) -> list[Routed]:
        """What a trade brings about: bars and indicators that it finishes or corrects, and bars under way."""
        bars = self._bars
        clock, late, beginnings = bars.clock, bars.late, bars.beginnings
        values = self._derivation.add(trade)
        found = self._routed(values) if values else []
        if bars.late != late:
            self._note_late(trade, clock)
        if bars.beginnings != beginnings:
            log.warning("market time begins anew: all trades were too late for their bars", dataset=self._dataset)
        for board in self._running:
            if (board.topics or board.wildcards) and board.is_wanted(trade.symbol):
                found += self._running_bar(trade.symbol, board.key)
        self.quiet.note(now)
        return found

    def on(self, mark: Mark) -> list[Routed]:
        """What a mark of the source brings about."""
        match mark:
            case Mark.END:
                return self._routed(self._derivation.finish())
            case Mark.QUIET if (time := self.quiet.until()) is not None:
                return self._routed(self._derivation.close_until(time))
            case Mark.JUMP:
                self._derivation.reset()
        return []

    def _running_bar(self, symbol: str, key: BoardKey) -> list[Routed]:
        assert key.frequency is not None  # noqa: S101 -- the key of bars has one
        bar = self._derivation.running(symbol, key.frequency)
        return [] if bar is None else self._routed([bar])

    def _routed(self, values: Iterable[Value]) -> list[Routed]:
        return [(topics_of_bar(value, self._boards), value) for value in values]

    def _note_late(self, trade: Trade, clock: int) -> None:
        # The first, the tenth, the hundredth: a feed that is late as a rule must not fill the log.
        if str(self.late).rstrip("0") == "1":
            log.warning(
                "trade too late for its bars",
                dataset=self._dataset,
                symbol=trade.symbol,
                seconds=(clock - trade.exchange_timestamp) / 1e9,
                so_far=self.late,
            )
