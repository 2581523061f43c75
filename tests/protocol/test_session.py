"""The session: its table of states, the first cause of an ending, and the budgets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.protocol import CloseCode, Ending, Session, State, TokenBucket, Trigger
from datafye_trio.protocol.session import ACTIONS

TABLE = {
    (State.OPEN, Trigger.END): State.DRAINING,
    (State.OPEN, Trigger.GONE): State.CLOSED,
    (State.DRAINING, Trigger.DRAINED): State.CLOSING,
    (State.DRAINING, Trigger.GONE): State.CLOSED,
    (State.CLOSING, Trigger.GONE): State.CLOSED,
    (State.CLOSED, Trigger.GONE): State.CLOSED,
}
TO = {
    State.OPEN: (),
    State.DRAINING: (Trigger.END,),
    State.CLOSING: (Trigger.END, Trigger.DRAINED),
    State.CLOSED: (Trigger.GONE,),
}


def make_session(*, rate: float = 10.0, burst: int = 20, errors: int = 3) -> Session:
    return Session(now=100.0, request_rate=rate, request_burst=burst, max_errors=errors)


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(State, Trigger)))
def test_every_state_and_trigger(state: State, trigger: Trigger) -> None:
    session = make_session()
    for step in TO[state]:
        session.step(step)
    assert session.state is state
    if (state, trigger) in TABLE:
        assert session.step(trigger) is session.state is TABLE[state, trigger]
    else:
        with pytest.raises(KeyError):
            session.step(trigger)
        assert session.state is state


def test_the_first_cause_wins() -> None:
    session = make_session()
    first, second = Ending(CloseCode.NO_PONG, "first"), Ending(CloseCode.GOING_AWAY, "second", drain=True)
    assert session.ending is None
    assert session.end(first) is True
    assert session.state is State.DRAINING
    assert session.end(second) is False
    session.step(Trigger.DRAINED)
    assert session.end(second) is False
    assert session.ending == first


def test_a_peer_that_is_gone_leaves_no_cause() -> None:
    session = make_session()
    session.step(Trigger.GONE)
    assert session.end(Ending(CloseCode.NO_PONG, "late")) is False
    assert session.ending is None
    assert session.state is State.CLOSED


def test_token_bucket() -> None:
    bucket = TokenBucket(rate=2.0, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [2, 1, 0, -1]
    assert bucket.take(1.0) == 0  # two came back, from -1
    assert bucket.take(100.0) == 2  # never more than the burst
    assert bucket.take(100.0, 5) == -3


@settings(max_examples=100)
@given(steps=st.lists(st.floats(0, 10), max_size=50), rate=st.floats(0.1, 100), burst=st.integers(1, 50))
def test_a_bucket_gives_no_more_than_burst_and_rate(steps: list[float], rate: float, burst: int) -> None:
    bucket, now, taken = TokenBucket(rate, burst, 0.0), 0.0, 0
    for step in steps:
        now += step
        if bucket.take(now) >= 0:
            taken += 1
        else:
            bucket.take(now, -1)  # put it back: only what was granted counts here
    assert taken <= burst + rate * now + 1e-6


def test_request_budget_refuses_ten_then_closes() -> None:
    session = make_session(rate=10.0, burst=20)
    answers = [session.count_request(100.0) for _ in range(31)]
    assert answers == [True] * 20 + [False] * 10 + [None]


def test_a_request_that_costs_as_much_as_many_counts_as_many() -> None:
    session = make_session(rate=10.0, burst=20)
    answers = [session.count_request(100.0, 8) for _ in range(13)]
    assert answers == [True] * 2 + [False] * 10 + [None]


def test_request_budget_refills() -> None:
    session = make_session(rate=10.0, burst=20)
    for _ in range(25):
        session.count_request(100.0)
    assert session.count_request(100.5) is False  # -5, and 5 came back
    assert session.count_request(100.8) is True


def test_sustained_rate_is_served_for_ever() -> None:
    session = make_session(rate=10.0, burst=20)
    assert all(session.count_request(100 + index / 10) is True for index in range(1_000))


@pytest.mark.parametrize(
    ("times", "too_many"),
    [
        ((100.0, 100.0, 100.0), (False, False, True)),
        ((100.0, 105.0, 109.99), (False, False, True)),
        ((100.0, 105.0, 110.0), (False, False, False)),
        ((100.0, 109.0, 111.0, 118.0), (False, False, False, True)),
    ],
)
def test_error_window(times: tuple[float, ...], too_many: tuple[bool, ...]) -> None:
    session = make_session(errors=3)
    assert tuple(session.count_error(now) for now in times) == too_many


def test_actions_of_live_and_history_paths() -> None:
    assert ACTIONS[False] == {"subscribe", "unsubscribe", "subscriptions", "ping", "pong"}
    assert ACTIONS[True] == {"start", "more", "stop", "ping", "pong"}


def test_who_asks_too_often_still_gets_the_rate() -> None:
    bucket = TokenBucket(2, 2, 0)
    assert [bucket.try_take(0) for _ in range(5)] == [True, True, False, False, False]
    assert [bucket.try_take(0.5), bucket.try_take(0.5), bucket.try_take(1.0)] == [True, False, True]
