"""Expectations: what meets them, in what order, what follows, and the very words of their failures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from testing.test_facts import said, subscribed
from trio.testing import MockClock, wait_all_tasks_blocked

from datafye_trio import ConfigurationError, DatafyeError, Event, EventError, ServerClosedError
from datafye_trio.testing import Entry, ExpectationError, Log, trade
from datafye_trio.testing.expectations import Expectations


class Recorder:
    """An actor that notes what it was told to do, or cannot."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.fails: Exception | None = None

    async def publish(self, events: Event | Sequence[Event], dataset: str | None = None) -> None:
        await trio.lowlevel.checkpoint()
        if self.fails is not None:
            raise self.fails
        self.done.append(("publish", events, dataset))

    def close_connection(self, code: int, connection: int) -> None:
        self.done.append(("close", code, connection))

    def drop_connection(self, connection: int) -> None:
        self.done.append(("drop", connection))


class Book(Expectations):
    """Expectations that hear what is put into their log."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.log = Log()
        self.recorder = Recorder()
        super().__init__(self.log, self.recorder, nursery)
        self.log.listeners.append(self.hear)

    def tell(self, *entries: Entry) -> None:
        for entry in entries:
            self.log.add(entry)


@asynccontextmanager
async def opened() -> AsyncIterator[Book]:
    async with trio.open_nursery() as nursery:
        yield Book(nursery)
        nursery.cancel_scope.cancel()


def connect(connection: int = 1, path: str = "/datafye-ws/v1") -> Entry:
    return Entry(connection, 0.0, "in", "open", path=path)


PONG = Entry(1, 10.0, "in", "text", b'{"action":"pong"}')


async def test_each_is_met_by_its_own_kind(autojump_clock: MockClock) -> None:
    async with opened() as book:
        anywhere, quotes = book.connect(), book.connect("stocks/live/quotes")
        sub, unsub = book.subscribe("subscribe", "quotes", "AAPL"), book.subscribe("unsubscribe", "quotes", "AAPL")
        pong, end, cut = book.pong(), book.close(), book.close(4009)
        everything = [anywhere, quotes, sub, unsub, pong, end, cut]
        steps: list[tuple[Entry, list[Any]]] = [
            (connect(), [anywhere]),
            (connect(2, "/datafye-ws/v1/stocks/live/quotes"), [quotes]),
            (subscribed("AAPL"), [sub]),
            (
                said(type="unsubscribed", dataset="S", assetClass="stocks", channels=["quotes"], symbols=["AAPL"]),
                [unsub],
            ),
            (PONG, [pong]),
            (Entry(1, 1.0, "in", "close", code=1000), [end]),
            (Entry(2, 1.0, "out", "close", code=4009), [cut]),
        ]
        met: list[Any] = []
        for entry, new in steps:
            book.tell(entry)
            met += new
            assert [one for one in everything if one.met] == [one for one in everything if one in met], entry
        assert (anywhere.times, end.times, sub.times) == (2, 2, 1)
        book.check()


async def test_waiting_ends_when_it_is_met(autojump_clock: MockClock) -> None:
    async with opened() as book, trio.open_nursery() as nursery:
        nursery.start_soon(book.pong().wait)
        nursery.start_soon(book.wait_for)
        await trio.sleep(4.9)
        assert len(nursery.child_tasks) == 2
        book.tell(PONG)
    assert trio.current_time() == 4.9


async def test_what_was_met_before_is_not_waited_for(autojump_clock: MockClock) -> None:
    async with opened() as book:
        expected = book.connect()
        book.tell(connect())
        await expected.wait(timeout=0)
        await book.wait_for(timeout=0)


async def test_a_failure_shows_what_came_instead(autojump_clock: MockClock) -> None:
    async with opened() as book:
        expected = book.subscribe("subscribe", "quotes", ["AAPL", "MSFT"])
        book.tell(
            connect(),
            subscribed("AAPL"),
            subscribed("MSFT", channels=("trades",)),
            said(type="error", code="UNKNOWN_SYMBOL", message="there is none", symbols=["?"]),
        )
        with pytest.raises(ExpectationError) as caught:
            await expected.wait(timeout=2)
        assert trio.current_time() == 2
        text = str(caught.value).splitlines()
        assert text[:6] == [
            "expected a subscription to quotes of AAPL, MSFT within 2 s, which did not come",
            "seen of that kind (subscribe):",
            "  connection 1 at 0.500 s: subscribed quotes of AAPL (SIP)",
            "  connection 1 at 0.500 s: subscribed trades of MSFT (SIP)",
            "  connection 1 at 0.500 s: a request was refused: UNKNOWN_SYMBOL: there is none",
            "the end of the log:",
        ]
        assert text[6:] == book.log.tail().splitlines()
        assert isinstance(caught.value, AssertionError)
        assert isinstance(caught.value, DatafyeError)


async def test_a_failure_where_nothing_was_seen(autojump_clock: MockClock) -> None:
    async with opened() as book:
        book.connect("crypto/live/trades")
        book.close(1000)
        book.pong()
        with pytest.raises(ExpectationError) as caught:
            book.check()
        assert str(caught.value).splitlines() == [
            "expected a connection to /datafye-ws/v1/crypto/live/trades, which did not come",
            "expected the end of a connection with 1000, which did not come",
            "expected an answer to a heartbeat, which did not come",
            "nothing of that kind was seen (close)",
            "nothing of that kind was seen (connect)",
            "nothing of that kind was seen (pong)",
            "the end of the log:",
            "(nothing: no client has come)",
        ]


async def test_only_the_latest_of_much_is_shown(autojump_clock: MockClock) -> None:
    async with opened() as book:
        expected = book.subscribe("subscribe", "quotes", "AAPL")
        book.tell(*(subscribed(f"S{n}") for n in range(1_000)))
        with pytest.raises(ExpectationError) as caught:
            await expected.wait(timeout=0)
        assert "seen of that kind (subscribe), the last 12 of 1000:" in str(caught.value)
        shown = [line for line in str(caught.value).splitlines() if line.startswith("  connection")]
        assert (len(shown), shown[-1]) == (12, "  connection 1 at 0.500 s: subscribed quotes of S999 (SIP)")


async def test_in_order(autojump_clock: MockClock) -> None:
    async with opened() as book:
        with book.in_order():
            one = book.connect()
            two = book.subscribe("subscribe", "quotes", "AAPL")
            three = book.close()
        free = book.pong()
        book.tell(connect(), PONG, subscribed("AAPL"))
        assert (one.met, two.met, three.met, free.met) == (True, True, False, True)
        book.tell(connect(2), subscribed("AAPL"), Entry(1, 1.0, "in", "close", code=1000))
        book.check()
        assert (one.times, two.times, three.times) == (2, 2, 1), "once more is no matter"


async def test_out_of_order_is_told_at_once(autojump_clock: MockClock) -> None:
    async with opened() as book, trio.open_nursery() as nursery:
        with book.in_order():
            book.subscribe("subscribe", "quotes", "AAPL")
            late = book.subscribe("subscribe", "quotes", "MSFT")
        texts: list[str] = []

        async def wait() -> None:
            with pytest.raises(ExpectationError) as caught:
                await late.wait(timeout=100)
            texts.append(str(caught.value))

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        book.tell(subscribed("MSFT"))
        await wait_all_tasks_blocked()
        assert trio.current_time() < 1
        assert not late.met
        assert texts[0].splitlines()[0] == (
            "out of order: a subscription to quotes of MSFT came (connection 1 at 0.500 s: subscribed quotes of MSFT "
            "(SIP)) before a subscription to quotes of AAPL"
        )
        with pytest.raises(
            ExpectationError, match=r"(?s)out of order.*expected a subscription to quotes of AAPL, which"
        ):
            book.check()


async def test_two_alike_in_order_want_it_twice(autojump_clock: MockClock) -> None:
    async with opened() as book:
        with book.in_order():
            one, two = book.pong(), book.pong()
        book.tell(PONG)
        assert (one.met, two.met) == (True, False)
        book.tell(PONG)
        assert (one.times, two.times) == (1, 1)


async def test_one_order_in_another_makes_no_sense(autojump_clock: MockClock) -> None:
    async with opened() as book:
        with book.in_order(), pytest.raises(ConfigurationError, match="one order is enough"), book.in_order():
            pass
        with book.in_order():
            book.pong()
        book.tell(PONG)
        book.check()


async def test_what_follows_is_done_each_time_and_in_turn(autojump_clock: MockClock) -> None:
    async with opened() as book:
        event = trade()
        expected = book.subscribe("subscribe", "quotes", "AAPL")
        assert expected.then_publish(event, dataset="SIP").then_close(4000).then_drop() is expected
        book.tell(subscribed("AAPL", connection=3))
        assert not book.recorder.done, "not in the midst of what it follows on"
        await wait_all_tasks_blocked()
        once = [("publish", (event,), "SIP"), ("close", 4000, 3), ("drop", 3)]
        assert book.recorder.done == once
        book.tell(subscribed("AAPL", connection=3))
        await wait_all_tasks_blocked()
        assert book.recorder.done == once * 2
        many = [one for n in range(4, 9) for one in (once[0], ("close", 4000, n), ("drop", n))]
        book.tell(*(subscribed("AAPL", connection=n) for n in range(4, 9)))
        await wait_all_tasks_blocked()
        assert book.recorder.done[6:] == many


async def test_what_cannot_follow_is_told_at_the_end_but_for_an_outage(autojump_clock: MockClock) -> None:
    async with opened() as book:
        book.pong().then_publish(trade()).then_drop()
        book.recorder.fails = ServerClosedError("it restarts")
        book.tell(PONG)
        await wait_all_tasks_blocked()
        assert not book.failures
        book.recorder.fails = EventError("a NaN")
        book.tell(PONG)
        await wait_all_tasks_blocked()
        assert [str(failure).partition(" (")[0] for failure in book.failures] == [
            "what was to follow on an answer to a heartbeat failed: EventError: a NaN"
        ]
        assert not book.recorder.done
