"""The property of the broker: whatever is done in whatever order, each client gets exactly what it is owed.

Random subscribing, unsubscribing, publishing, taking, stalling and cutting against a model of lists and sets.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
from broker.kit import TRADES, Client, Rig, running_rig
from broker.model import BrokerModel, ClientModel, Gap, check
from hypothesis import given, settings
from hypothesis import strategies as st
from support import START_NS, quote, trade
from trio.testing import MockClock

from datafye_trio.broker import Board, OutboxLimits, Policy
from datafye_trio.model import Halt
from datafye_trio.protocol import Encoding

SYMBOLS = ["A", "B", "C", "D"]
CLIENTS: list[Encoding] = ["json", "msgpack", "json"]

client = st.integers(0, len(CLIENTS) - 1)
channel = st.sampled_from(["quotes", "trades"])
symbols = st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=3, unique=True)
event = st.tuples(st.sampled_from(["quote", "trade", "halt"]), st.sampled_from(SYMBOLS))
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("subscribe"), client, channel, symbols),
        st.tuples(st.just("subscribe_all"), client, channel),
        st.tuples(st.just("unsubscribe"), client, channel, symbols),
        st.tuples(st.just("unsubscribe_all"), client, channel, st.sets(st.sampled_from(SYMBOLS))),
        st.tuples(st.just("publish"), st.lists(event, min_size=1, max_size=8)),
        st.tuples(st.just("publish"), st.lists(event, min_size=1, max_size=8)),
        st.tuples(st.just("take"), client, st.integers(1, 5)),
        st.tuples(st.just("disconnect"), client),
    ),
    max_size=50,
)


class Game:
    """The broker and its model, moved together. The methods are the operations."""

    def __init__(self, rig: Rig, limit: int) -> None:
        self.rig = rig
        self.limit = limit
        self.boards: dict[str, Board] = {"quotes": rig.quotes, "trades": rig.dataset.boards[TRADES]}
        self.clients = [Client(rig.broker, encoding) for encoding in CLIENTS]
        self.model = BrokerModel([ClientModel(limit) for _ in CLIENTS])
        self.stamps = 0

    def subscribe(self, who: int, channel: str, symbols: list[str]) -> None:
        self.clients[who].subscribe(self.boards[channel], *symbols)
        self.model.clients[who].subscribe(channel, symbols)
        self._answer(who, f"subscribed {channel} {symbols}")

    def subscribe_all(self, who: int, channel: str) -> None:
        self.clients[who].subscriber.join_all(self.boards[channel], None)
        self.model.clients[who].subscribe_all(channel)
        self._answer(who, f"subscribed {channel} *")

    def unsubscribe(self, who: int, channel: str, symbols: list[str]) -> None:
        for symbol in symbols:
            self.clients[who].subscriber.exclude(self.boards[channel], symbol)
        self.model.clients[who].unsubscribe(channel, symbols)
        self._answer(who, f"unsubscribed {channel} {symbols}")

    def unsubscribe_all(self, who: int, channel: str, keep: set[str]) -> None:
        self.clients[who].subscriber.leave_all(self.boards[channel], frozenset(keep))
        self.model.clients[who].unsubscribe_all(channel, keep)
        self._answer(who, f"unsubscribed {channel} * except {keep}")

    async def publish(self, events: list[tuple[str, str]]) -> None:
        made, messages = [], []
        for kind, symbol in events:
            self.stamps += 1
            match kind:
                case "quote":
                    made.append(quote(symbol, self.stamps))
                case "trade":
                    made.append(trade(symbol, self.stamps))
                case "halt":
                    made.append(Halt(symbol, START_NS + self.stamps, "news"))
            channels = {"quote": ["quotes"], "trade": ["trades"], "halt": ["quotes", "trades"]}[kind]
            messages += [((name, symbol), START_NS + self.stamps) for name in channels]
        self.model.publish(messages)
        await self.rig.publish(*made)

    def take(self, who: int, chunks: int) -> None:
        client, model = self.clients[who], self.model.clients[who]
        client.take(chunks)
        stats = client.outbox.statistics()
        # What waits for a client that lost nothing is what it is owed and did not take.
        if model.lossless and not client.full:
            assert stats.dropped == 0
            model.waiting = len(model.owed) - len(client.taken)
            assert stats.messages <= model.waiting

    def disconnect(self, who: int) -> None:
        """The old one is judged, a new one takes its place."""
        self.judge(who, complete=False)
        self.rig.broker.remove(self.clients[who].subscriber)
        self.judge(who, complete=False)
        self.clients[who] = Client(self.rig.broker, CLIENTS[who])
        self.model.clients[who] = ClientModel(self.limit)

    def judge(self, who: int, *, complete: bool) -> None:
        client, model = self.clients[who], self.model.clients[who]
        if model.lossless:
            assert client.full == 0
            assert client.outbox.statistics().dropped == 0
        assert client.full <= (client.outbox.limits.policy == "disconnect")
        check(model.owed, _heard(client), complete=complete and not client.full)

    def _answer(self, who: int, text: str) -> None:
        self.clients[who].answer(text)
        self.model.clients[who].owe([text])


def _heard(client: Client) -> list[Any]:
    """What a client took, in the model's words."""
    found: list[Any] = []
    for item in client.taken:
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, tuple):
            name, symbol, first, last = item
            found.append(Gap((name, symbol), first, last))
        elif item["type"] == "halt":
            found.append(((item["channel"], item["symbol"]), item["seq"], item["timestamp"]))
        else:
            found.append(((item["type"] + "s", item["symbol"]), item["seq"], item["exchangeTimestamp"]))
    return found


async def _play(ops: list[tuple[Any, ...]], policy: Policy, limit: int) -> None:
    async with running_rig(outbox=OutboxLimits(messages=limit, seconds=1e9, policy=policy)) as rig:
        game = Game(rig, limit)
        for name, *arguments in ops:
            result = getattr(game, name)(*arguments)
            if result is not None:
                await result
        for who, client in enumerate(game.clients):
            client.take()
            game.judge(who, complete=True)
        for (name, symbol), seq in game.model.seqs.items():
            topic = game.boards[name].topics[symbol]
            assert (topic.seq, len(topic.ring)) == (seq, seq)
        assert rig.broker.budget.used == 0


@pytest.mark.unmeasured
@settings(max_examples=100)
@given(OPS)
def test_with_room_enough_each_client_gets_everything_in_order_and_once(ops: list[tuple[Any, ...]]) -> None:
    trio.run(_play, ops, "disconnect", 10_000, clock=MockClock(autojump_threshold=0))


@pytest.mark.unmeasured
@settings(max_examples=100)
@given(OPS, st.integers(1, 12))
def test_a_client_that_is_cut_has_all_up_to_there_and_harms_nobody(ops: list[tuple[Any, ...]], limit: int) -> None:
    trio.run(_play, ops, "disconnect", limit, clock=MockClock(autojump_threshold=0))


@pytest.mark.unmeasured
@settings(max_examples=100)
@given(OPS, st.integers(1, 12))
def test_dropping_the_oldest_leaves_exact_gaps_and_every_answer(ops: list[tuple[Any, ...]], limit: int) -> None:
    trio.run(_play, ops, "drop_oldest", limit, clock=MockClock(autojump_threshold=0))


A, B = ("quotes", "A"), ("quotes", "B")
OWED = [(A, 1, 10), (B, 1, 11), "answer", (A, 2, 12), (A, 3, 13)]


@pytest.mark.parametrize(
    "taken",
    [
        [*OWED[:3], OWED[4]],
        [*OWED, OWED[4]],
        [OWED[1], OWED[0], *OWED[2:]],
        [*OWED[:2], *OWED[3:]],
        [OWED[0], OWED[2], OWED[1], *OWED[3:]],
        [*OWED[:3], OWED[4], OWED[3]],
        [*OWED[:3], (A, 2, 99), OWED[4]],
        [*OWED[:3], Gap(A, 2, 3), OWED[4]],
        [*OWED[:3], Gap(A, 3, 3), OWED[3]],
        [*OWED[:4], Gap(A, 3, 4)],
        [*OWED[:3], Gap(B, 2, 2), *OWED[3:]],
        OWED[:4],
    ],
    ids=[
        "lost", "twice", "swapped", "answer lost", "overtaken", "seq swapped", "other content", "gap too long",
        "gap misplaced", "gap beyond the end", "gap of another topic", "end lost",
    ],
)  # fmt: skip
def test_the_model_sees_what_is_wrong(taken: list[Any]) -> None:
    check(OWED, OWED, complete=True)
    check(OWED, [*OWED[:3], Gap(A, 2, 2), OWED[4]], complete=True)
    with pytest.raises((AssertionError, KeyError)):
        check(OWED, taken, complete=True)
