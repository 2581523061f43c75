"""Events that come with a position keep it, and what was lost before they came is told exactly, once, in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
import trio.testing
from support import RawClient, memory_server, trade

from datafye_trio.errors import RequestError
from datafye_trio.model import AssetClass, Channel, DatasetInfo, Gap, TopicKey
from datafye_trio.sources import Publisher
from datafye_trio.sources.positions import Positioned, Positions, Want

INFO = DatasetInfo("Fed", AssetClass.STOCKS, (Channel.QUOTES, Channel.TRADES))
AAPL = TopicKey("Fed", AssetClass.STOCKS, Channel.TRADES, "AAPL")


class Fed:
    """A source whose positions a test gives by hand; everything is admitted."""

    epoch = "first"
    connected = True
    upstream: dict[str, object] = {"state": "live"}  # noqa: RUF012 -- never changed
    dataset = INFO
    positions: Positions

    async def run(self, publisher: Publisher) -> None:
        self.positions = publisher.positions
        await trio.sleep_forever()

    def admitted(self, _want: Want) -> bool:
        return True

    async def admit(self, _want: Want, _deadline: float) -> Sequence[RequestError]:
        raise NotImplementedError

    def give(self, *numbers: int, epoch: str = "first") -> None:
        self.positions.relay([Positioned(AAPL, epoch, n, trade("AAPL", n)) for n in numbers])

    def lose(self, first: int | None, last: int | None, *, epoch: str = "first") -> None:
        gap = Gap(AAPL, epoch, first, last, "epoch_changed" if first is None else "expired")
        self.positions.relay([Positioned(AAPL, epoch, -1, gap)])


async def told(act: Callable[[Fed], None], **subscribe: Any) -> list[dict[str, Any]]:
    """What a client that is subscribed (`positions` 0) is sent for this."""
    fed = Fed()
    async with memory_server(sources=[fed]) as server:
        client = await RawClient.connect(server)
        await client.message()
        await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"], **subscribe)
        act(fed)
        await client.send(action="ping")
        *messages, _ = await client.until("pong")
        await client.close()
    return messages


def brief(messages: list[dict[str, Any]]) -> list[Any]:
    """Numbers of events; gaps as (from, to, reason, epoch)."""
    return [
        message["seq"] if "seq" in message
        else (message.get("from"), message.get("to"), message["reason"], message["epoch"])
        for message in messages
    ]  # fmt: skip


async def test_a_gap_is_passed_on_in_its_place(autojump_clock: trio.testing.MockClock) -> None:
    def act(fed: Fed) -> None:
        fed.give(1, 2)
        fed.lose(3, 7)
        fed.give(8)

    assert brief(await told(act)) == [1, 2, (3, 7, "expired", "first"), 8]


async def test_numbers_that_are_left_out_are_a_gap_and_repeats_are_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def act(fed: Fed) -> None:
        fed.give(1, 2, 2, 1, 5, 6)
        fed.lose(4, 6)
        fed.lose(6, 9)

    expected = [1, 2, (3, 4, "unexplained", "first"), 5, 6, (7, 9, "expired", "first")]
    assert brief(await told(act)) == expected


async def test_a_new_numbering_is_told_once_and_what_it_begins_with_is_exact(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def act(fed: Fed) -> None:
        fed.give(1, 2)
        fed.lose(None, None, epoch="second")
        fed.lose(None, None, epoch="second")
        fed.give(1, 2, 5, epoch="second")

    expected = [1, 2, (None, None, "epoch_changed", "second"), 1, 2, (3, 4, "unexplained", "second"), 5]
    assert brief(await told(act)) == expected


async def test_an_unknown_loss_within_an_epoch_begins_the_topic_anew(autojump_clock: trio.testing.MockClock) -> None:
    def act(fed: Fed) -> None:
        fed.give(1, 2)
        fed.lose(None, None)
        fed.give(1)

    assert brief(await told(act)) == [1, 2, (None, None, "epoch_changed", "first"), 1]


async def test_an_event_that_is_malformed_becomes_a_gap(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def act(fed: Fed) -> None:
        wrong = trade("AAPL", 2)
        wrong.price = float("inf")
        fed.give(1)
        fed.positions.relay([Positioned(AAPL, "first", 2, wrong)])
        fed.positions.relay([Positioned(AAPL, "first", 4, wrong)])
        fed.give(5)

    assert brief(await told(act)) == [1, (2, 4, "unexplained", "first"), 5]
    assert caplog.text.count("a gap stands for it") == 1  # the first, and then the tenth: the log must not fill


async def test_conflated_clients_are_told_too(autojump_clock: trio.testing.MockClock) -> None:
    def act(fed: Fed) -> None:
        fed.give(1, 2)
        fed.lose(3, 4)
        fed.give(5)

    assert brief(await told(act, delivery="latest")) == [2, (3, 4, "expired", "first"), 5]


@pytest.mark.parametrize("delivery", ["all", "latest"])
async def test_a_newest_event_that_comes_late_is_shown_once(
    autojump_clock: trio.testing.MockClock, delivery: str
) -> None:
    def act(fed: Fed) -> None:
        shown = Positioned(AAPL, "first", 0, trade("AAPL", 9))
        fed.positions.relay([shown])  # of a topic without events there is none
        fed.lose(1, 9)
        fed.positions.relay([shown, shown])
        fed.give(10)

    messages = await told(act, delivery=delivery)
    assert [message.get("snapshot", False) for message in messages] == [False, True, False]
    assert brief(messages) == [(1, 9, "expired", "first"), 9, 10]


async def test_who_resumes_across_a_gap_is_told_of_one_up_to_the_head(
    autojump_clock: trio.testing.MockClock,
) -> None:
    fed = Fed()
    async with memory_server(sources=[fed]) as server:
        await trio.testing.wait_all_tasks_blocked()
        fed.give(1, 2, 3)
        fed.lose(4, 5)
        for head in (5, 6):
            client = await RawClient.connect(server)
            await client.message()
            resume = {"epoch": "first", "positions": {"AAPL": 1}}
            await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"], resume=resume)
            assert brief([await client.message()]) == [(2, head, "expired", "first")]
            fed.give(head + 1)
            messages = await client.messages(1 if head == 5 else 2)
            assert brief(messages)[-1] == head + 1
            await client.close()


async def test_a_place_below_which_nothing_is_known(autojump_clock: trio.testing.MockClock) -> None:
    def act(fed: Fed) -> None:
        fed.positions.place(AAPL, "first", 5_000)
        fed.give(5_001)
        fed.positions.place(AAPL, "first", 5_001)

    assert brief(await told(act)) == [(1, 5_000, "expired", "first"), 5_001]


async def test_what_comes_no_longer_is_taken_from_its_subscribers_who_are_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    why = RequestError("UNKNOWN_SYMBOL", "no such symbol")

    def act(fed: Fed) -> None:
        fed.give(1)
        fed.positions.withdraw(Channel.TRADES, None, False, ["AAPL", "NONE"], why)
        fed.give(2)

    for symbols in (["AAPL"], ["*"]):
        fed = Fed()
        async with memory_server(sources=[fed]) as server:
            client = await RawClient.connect(server)
            await client.message()
            await client.ask(action="subscribe", channels=["trades"], symbols=symbols)
            act(fed)
            event, error = await client.messages(2)
            assert event["seq"] == 1
            assert "id" not in error
            assert (error["type"], error["code"], error["symbols"]) == ("error", "UNKNOWN_SYMBOL", ["AAPL"])
            assert (error["message"], error["retryable"]) == ("no such symbol", False)
            await client.send(action="subscriptions")
            if symbols == ["*"]:  # a symbol that comes again is one of them
                assert brief([await client.message()]) == [(1, 1, "unexplained", "first")]
                assert (await client.message())["seq"] == 2
            left = (await client.message())["subscriptions"]
            assert [group["symbols"] for group in left] == ([["*"]] if symbols == ["*"] else [])
            fed.positions.withdraw(Channel.TRADES, None, False, ["*"], why)
            if symbols == ["*"]:
                assert (await client.message())["symbols"] == ["*"]
            await client.send(action="subscriptions")
            assert (await client.message())["subscriptions"] == []
            await client.close()


async def test_older_events_go_before_what_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    fed = Fed()
    async with memory_server(sources=[fed]) as server:
        await trio.testing.wait_all_tasks_blocked()
        fed.positions.place(AAPL, "first", 10)
        fed.give(11, 12)
        assert fed.positions.lacks(AAPL, 9)
        assert not fed.positions.lacks(AAPL, 10)
        fed.positions.prepend(AAPL, 5, [trade("AAPL", n) for n in range(5, 9)])  # does not reach up to 10
        assert fed.positions.lacks(AAPL, 9)
        fed.positions.prepend(AAPL, 5, [trade("AAPL", n) for n in range(5, 13)])
        fed.positions.prepend(AAPL, 5, [trade("AAPL", n) for n in range(5, 8)])
        assert not fed.positions.lacks(AAPL, 4)
        client = await RawClient.connect(server)
        await client.message()
        resume = {"epoch": "first", "positions": {"AAPL": 4}}
        await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"], resume=resume)
        messages = await client.messages(8)
        assert [(message["seq"], message["tradeID"]) for message in messages] == [(n, str(n)) for n in range(5, 13)]
        await client.close()
