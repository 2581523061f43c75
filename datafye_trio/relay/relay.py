"""A relay: a source that has its events from another server, and only those that its own clients want.

One subscription for all: however many clients want a topic, it costs one on the wire. Positions are kept, so that a
client may come back to this relay, to another one, or to the server itself, and resumes where it was. A topic is there
for clients only once the server has said where it stands; what a client lacks and this relay does not have (it was
started anew, say) is fetched from the server, as far as that still has it.

A server that numbers nothing has none of that: its events get numbers of this relay's own (`numbering`).
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import attrs
import trio

from datafye_trio.client.book import ALL
from datafye_trio.client.feed import WireFeed
from datafye_trio.client.states import FeedState
from datafye_trio.client.tap import Tap
from datafye_trio.errors import ConfigurationError, RequestError, SourceError, SubscriptionError
from datafye_trio.logs import get_logger, is_told
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Frequency, TopicKey
from datafye_trio.protocol import DatasetOffer, ErrorCode
from datafye_trio.relay.fetching import Fetching
from datafye_trio.relay.interest import Interest, Wanted
from datafye_trio.relay.numbering import NumberingTap
from datafye_trio.sources import BATCH, Publisher
from datafye_trio.sources.positions import Positioned, Positions, Want

__all__ = ["Relay", "RelayConfig"]

log = get_logger("relay")

_ON: Final = (FeedState.CONNECTED, FeedState.RECOVERING, FeedState.LIVE)
_REMEMBERED: Final = 1_000


@attrs.frozen
class RelayConfig:
    """How a relay treats what nobody wants any more. Times in seconds.

    Attributes:
        linger: a topic without a client is kept so long, since clients come back. Longer than a request may wait to be
            admitted (10 s): else it could be gone when its turn comes.
        check: how often that is looked at.

    Raises:
        ConfigurationError: a value that is not above 0.
    """

    linger: float = 15.0
    check: float = 5.0

    def __attrs_post_init__(self) -> None:
        if not (self.linger > 0 and self.check > 0):
            raise ConfigurationError("linger and check of a relay must be above 0")


class Relay:
    """See the module: one dataset of a server, as a source for another one.

    Args:
        feed: an open feed, connected once.
        offer: the dataset, as that server has told it; of one that tells nothing, what to offer, and an epoch for it.
        config: see there.
    """

    def __init__(self, feed: WireFeed[Any], offer: DatasetOffer, config: RelayConfig | None = None) -> None:
        self._feed = feed
        self._offer = offer
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
        self._numbered = bool(feed.provable)
        self._tap = Tap(feed, self._wake) if self._numbered else NumberingTap(feed, self._wake, offer.epoch)
        self._interest = Interest(self._tap, self._info, self._config.linger)
        self._fetching = Fetching(feed)
        self._refusal_count = 0
        self._named: set[str] = set()
        """Symbols of refusals: what is relayed of them may be refused, and its subscribers are to be told."""
        self._refusals: deque[SubscriptionError] = deque(maxlen=_REMEMBERED)

    @property
    def dataset(self) -> DatasetInfo:
        """The dataset as the server offers it; its symbols are open, since nobody can list them."""
        return self._info

    @property
    def epoch(self) -> str:
        """See `Relaying.epoch`."""
        return self._epoch

    @property
    def connected(self) -> bool:
        """See `Relaying.connected`."""
        return self._feed.state.state in _ON

    @property
    def upstream(self) -> Mapping[str, object]:
        """See `Relaying.upstream`."""
        change = self._feed.state
        return {
            "url": change.url.partition("?")[0],  # /health is for everybody, and tokens are written behind it
            "state": change.state.value,
            "sinceSeconds": round(trio.current_time() - change.time, 3),
            **({"why": change.why} if change.why else {}),
            "numbered": self._numbered,
            "topics": len(self._interest.placed),
            "waiting": len(self._tap),
            "refused": self._refusal_count,
        }

    def renewed(self) -> Relay:
        """Another one of the same dataset, for a server that is started anew; this one has run."""
        epoch = self._epoch if self._numbered else secrets.token_hex(8)
        return Relay(self._feed, attrs.evolve(self._offer, epoch=epoch), self._config)

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
                self._pump(self._positions)
                if (failure := self._tap.failure) is not None and not len(self._tap):
                    raise SourceError(f"{self._feed.state.url}: {failure}")
                if trio.current_time() >= due:
                    due = trio.current_time() + self._config.check
                    for topic in self._interest.drop_unwanted(self._positions, trio.current_time()):
                        self._fetching.forget(topic)
                await trio.lowlevel.checkpoint()  # between batches, others have their turn
        finally:
            self._tap.close()
            self._positions = None
            self._changed.unpark_all()

    # What connections ask.

    def admitted(self, want: Want) -> bool:
        """See `Relaying.admitted`."""
        return self._runs() and not self._interest.missing(want) and not self._lacking(want)

    async def admit(self, want: Want, deadline: float) -> Sequence[RequestError]:
        """See `Relaying.admit`. Cancel-safe."""
        await trio.lowlevel.checkpoint()
        if want.running and not self._numbered:
            what = f"the server that {self._info.name} comes from sends finished bars only: leave `running` out"
            symbols = (ALL,) if want.symbols is None else want.symbols
            return [RequestError(ErrorCode.CHANNEL_NOT_AVAILABLE, what, field="running", symbols=symbols)]
        with trio.move_on_at(deadline):
            while not self._runs():
                await self._changed.park()
            self._interest.ask(want)
            while self._runs() and self._interest.missing(want) - self._refused(want):
                await self._changed.park()
            while (lacking := self._lacking(want)) and self._positions is not None:
                await self._fetching.fetch(lacking, self._positions)
        self._note_refusals()  # also what was refused in this very step
        return self._complaints(want)

    def _lacking(self, want: Want) -> dict[TopicKey, int]:
        """The topics that somebody wants to resume from before what is kept here, and from where."""
        if (positions := self._positions) is None or want.epoch != self._epoch or not self._numbered:
            return {}  # what is not numbered cannot be asked for again
        found = {}
        for key in self._interest.topics(want):
            after = want.after.get(key.symbol, 0 if want.symbols is None else None)
            if after is not None and positions.lacks(key, after) and not self._fetching.tried(key, after):
                found[key] = after
        return found

    def _runs(self) -> bool:
        return self._positions is not None

    def _refused(self, want: Want) -> set[Wanted]:
        # A relay that has stopped is subscribed to nothing: that is no refusal of the server's.
        return self._interest.refused(want) if self._runs() else set()

    def _complaints(self, want: Want) -> list[RequestError]:
        missing, refused = self._interest.missing(want), self._refused(want)
        complaints = [self._complaint(symbol) for symbol in _symbols(missing & refused)]
        if late := _symbols({*(missing - refused), *self._lacking(want)}):
            why = f"the server that {self._info.name} comes from has not answered yet: try again later"
            complaints.append(RequestError(ErrorCode.INTERNAL, why, field="symbols", symbols=late))
        return complaints

    def _complaint(self, symbol: str) -> RequestError:
        """In the server's own words."""
        said = next((one for one in reversed(self._refusals) if not one.symbols or symbol in one.symbols), None)
        code = ErrorCode.UNKNOWN_SYMBOL if said is None or said.code not in list(ErrorCode) else ErrorCode(said.code)
        message = "the server that this comes from refuses it" if said is None else said.message
        return RequestError(code, message, field="symbols", symbols=(symbol,))

    # What comes.

    def _wake(self) -> None:
        self._news.set()

    def _pump(self, positions: Positions) -> None:
        """Pass on what waits, at most a batch, and place what was answered."""
        # By epoch: to place a topic in the next one would end this one too early.
        runs = [list(run) for _, run in groupby(self._tap.take(BATCH), itemgetter(1))] or [[]]
        for items in runs:
            self._interest.place_first(items, positions)
            if items is runs[-1] and not len(self._tap):
                self._interest.place_answered(positions)
            positions.relay([Positioned(*item) for item in items if item[0] in self._interest.placed])
        if len(self._tap):
            self._news.set()
        self._epoch = positions.epoch
        self._note_refusals()
        if self._named and not len(self._tap):
            self._withdraw(positions)
        self._changed.unpark_all()

    def _withdraw(self, positions: Positions) -> None:
        """What was relayed, and is refused now: whoever has it must not wait for it in vain."""
        named, self._named = self._named, set()
        for board, symbols in self._interest.drop_refused(named).items():
            reasons: dict[tuple[str, str], list[str]] = {}
            for symbol in symbols:
                said = self._complaint(symbol)
                reasons.setdefault((said.code, said.message), []).append(symbol)
            for (code, message), gone in reasons.items():
                why = RequestError(code, f"subscribed no longer: {message}", field="symbols")
                positions.withdraw(board.channel, board.frequency, board.running, gone, why)

    def _note_refusals(self) -> None:
        for refusal in self._tap.take_refusals():
            self._named.update(refusal.symbols or (ALL,))
            self._refusal_count += 1
            self._refusals.append(refusal)
            if is_told(self._refusal_count):
                log.warning("the server refuses something", code=refusal.code, why=str(refusal)[:200])


def _symbols(what: Iterable[Wanted]) -> tuple[str, ...]:
    return tuple(sorted(one.symbol if isinstance(one, TopicKey) else ALL for one in what))
