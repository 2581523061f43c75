"""What is said of a feed, and how often."""

from __future__ import annotations

import logging

import pytest

from datafye_trio.cli.telling import GapTeller, StateTeller, warnings_to
from datafye_trio.client import FeedState, StateChange
from datafye_trio.logs import get_logger
from datafye_trio.model import AssetClass, Channel, Gap, TopicKey

TOPIC = TopicKey("SIP", AssetClass.STOCKS, Channel.QUOTES, "AAPL")


def change(state: FeedState, why: str | None = None, retry_in: float | None = None, time: float = 0.0) -> StateChange:
    return StateChange(state, "ws://x", why, retry_in, time)


def test_states_in_words() -> None:
    states = StateTeller()
    words = [
        states.words(change(*one))
        for one in [
            (FeedState.CONNECTING,),
            (FeedState.DISCONNECTED, "refused", 0.25),
            (FeedState.CONNECTED,),
            (FeedState.LIVE,),
            (FeedState.DISCONNECTED, "no\nline"),
            (FeedState.RECOVERING,),
            (FeedState.LIVE,),
            (FeedState.CLOSED, "over"),
        ]
    ]
    assert words == [
        None, "refused: trying again in 0.2 s", None, "connected", "no\\nline", None, "connected again", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "time", "news"), [("refused", 59.0, False), ("refused", 60.0, True), ("no route", 1.0, True)]
)
def test_what_stays_the_same_is_news_once_a_minute(why: str, time: float, news: bool) -> None:
    states = StateTeller()
    assert states.is_news(change(FeedState.DISCONNECTED, "refused"))
    assert states.is_news(change(FeedState.DISCONNECTED, why, time=time)) is news


def test_after_it_was_live_a_failure_is_news() -> None:
    states = StateTeller()
    assert states.is_news(change(FeedState.DISCONNECTED, "refused"))
    states.words(change(FeedState.LIVE))
    assert states.is_news(change(FeedState.LIVE))
    assert states.is_news(change(FeedState.DISCONNECTED, "refused", time=1.0))


def test_very_many_gaps_are_told_in_few_lines() -> None:
    told: list[str] = []
    gaps = GapTeller(told.append)
    gaps.tell()
    gaps.take([Gap(TOPIC, "e", 2 * number, 2 * number, "expired") for number in range(1, 1_001)])
    gaps.take([Gap(TOPIC, "e", None, None, "epoch_changed")])
    gaps.tell()
    gaps.tell()
    assert (gaps.gaps, gaps.missing) == (1_001, 1_000)
    assert told == [
        "gap on quotes of AAPL: 2 to 2 lost (expired)",
        "gap on quotes of AAPL: 4 to 4 lost (expired)",
        "gap on quotes of AAPL: 6 to 6 lost (expired)",
        "and 998 more gaps; 1,000 messages are missing so far",
    ]
    gaps.take([Gap(TOPIC, "e", None, None, "epoch_changed")])
    gaps.tell()
    assert told[4:] == ["gap on quotes of AAPL: an unknown number of messages lost (epoch_changed)"]


def test_warnings_are_said_but_for_lost_connections(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    log = get_logger("feed")
    with warnings_to(told.append):
        log.warning("disconnected", url="ws://x", why="refused", retry_in=0.2)
        log.info("something else")
        log.warning("a message is left out", why="no\x1btype")
        log.warning("lags", waiting=3)
    assert told == ["a message is left out: no\\x1btype", "lags"]
    assert logging.getLogger("datafye_trio").propagate
    log.warning("lags")
    assert len(told) == 2
