"""What a relay itself has lost, refused or cannot tell yet: said exactly, and never in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
import trio.testing
from relay.kit import RawClient, Upstream, feed_of, relaying, subscriptions, take
from support import memory_server, trade

from datafye_trio import Synthetic, SyntheticConfig
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
    assert "a gap stands for it" in caplog.text


async def test_conflated_clients_are_told_too(autojump_clock: trio.testing.MockClock) -> None:
    def act(fed: Fed) -> None:
        fed.give(1, 2)
        fed.lose(3, 4)
        fed.give(5)

    assert brief(await told(act, delivery="latest")) == [2, (3, 4, "expired", "first"), 5]


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


# With a whole server above it.


async def test_a_gap_at_the_server_is_the_same_gap_at_the_relay(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    server = await up.start()
    async with relaying(up) as relay, feed_of(relay) as feed, feed.trades("AAPL") as sub:
        await server.publish(trade("AAPL", 1))
        await take(sub, 1)
        up.reachable = False
        await up.cut()
        await server.publish([trade("AAPL", n) for n in range(2, 3_000)])
        await trio.sleep(100)  # what is older than a minute is forgotten, but for 1,000 messages
        await server.publish([trade("AAPL", n) for n in range(3_000, 3_002)])
        up.reachable = True
        (gap,) = await take(sub, 1)
        assert gap == Gap(gap.topic, "first", 2, 3_001, "expired")
        await server.publish(trade("AAPL", 3_002))
        (event,) = await take(sub, 1)
        assert event.trade_id == "3002"
    await up.stop()


async def test_what_the_server_refuses_is_refused_in_its_words(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    await up.start(source=Synthetic(SyntheticConfig(symbols=("AAPL",))))
    async with relaying(up) as relay:
        client = await RawClient.connect(relay)
        await client.message()
        await client.send(action="subscribe", channels=["trades"], symbols=["aapl", "NONE"], id=1)
        answer = await client.message()
        assert (answer["type"], answer["symbols"]) == ("subscribed", ["AAPL"])
        refusal = next(m for m in await client.until("error") if m["type"] == "error")
        assert (refusal["code"], refusal["symbols"], refusal["id"]) == ("UNKNOWN_SYMBOL", ["NONE"], 1)
        assert "Synthetic" in refusal["message"]
        await client.close()
    await up.stop()


async def test_a_server_that_is_away_delays_and_then_refuses_what_is_new(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    await up.start()
    async with relaying(up) as relay:
        client = await RawClient.connect(relay)
        await client.message()
        await client.ask(action="subscribe", channels=["trades"], symbols=["AAPL"])
        up.reachable = False
        await up.cut()
        begun = trio.current_time()
        await client.send(action="subscribe", channels=["trades"], symbols=["AAPL"], id=1)
        await client.send(action="subscribe", channels=["trades"], symbols=["AAPL", "MSFT"], id=2)
        await client.send(action="unsubscribe", channels=["trades"], symbols=["MSFT"], id=3)
        answers: list[dict[str, Any]] = []
        while len(answers) < 5:
            answers += [m for m in [await client.message()] if m["type"] != "heartbeat"]
        assert [(m["type"], m["id"]) for m in answers] == [
            ("subscribed", 1), ("subscribed", 2), ("error", 2), ("unsubscribed", 3), ("error", 3),
        ]  # fmt: skip
        assert (answers[2]["code"], answers[2]["symbols"], answers[2]["retryable"]) == ("INTERNAL", ["MSFT"], True)
        assert trio.current_time() == pytest.approx(begun + 10)
        await client.close()
    await up.stop()


async def test_health_tells_of_the_server(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    async def health() -> tuple[int, dict[str, Any]]:
        client = RawClient(relay.connect())
        await client.stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, _, body = await client.http_answer()
        return status, json.loads(body)

    up = Upstream(nursery)
    await up.start()
    async with relaying(up) as relay, feed_of(relay) as feed, feed.trades("AAPL"):
        status, content = await health()
        told = content["datasets"][0]["upstream"]
        assert (status, told["state"], told["topics"], told["refused"]) == (200, "live", 1, 0)
        assert told["url"].startswith("ws://up")
        await up.stop()
        await trio.sleep(1)
        status, content = await health()
        assert (status, content["status"]) == (503, "degraded")
        assert content["why"].startswith("Program upstream: ")
        assert content["datasets"][0]["upstream"]["state"] in ("disconnected", "connecting")


async def test_a_query_subscribes_at_a_relay_too(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    up = Upstream(nursery)
    server = await up.start()
    await server.publish(trade("AAPL", 1))
    async with relaying(up) as relay:
        client = await RawClient.connect(relay, "/datafye-ws/v1/stream?channels=trades&symbols=AAPL")
        connected, answer = await client.messages(2)
        assert (connected["type"], answer["type"], answer["positions"]) == (
            "connected", "subscribed", {"trades": {"AAPL": 1}},
        )  # fmt: skip
        await client.close()
        assert subscriptions(server) == {"trades:AAPL": 1}
    await up.stop()


async def test_a_server_for_good_gone_is_a_crashed_source(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    up = Upstream(nursery)
    await up.start()
    async with relaying(up, attempts=0) as relay:
        await up.stop()
        with trio.fail_after(60):
            await relay.source_crashed.wait()
