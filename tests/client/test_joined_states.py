"""Several connections' states as one: the worst of them, told once."""

from __future__ import annotations

from trio.testing import MockClock

from datafye_trio.client.states import FeedState, JoinedStates, States

CONNECTING, CONNECTED, LIVE = FeedState.CONNECTING, FeedState.CONNECTED, FeedState.LIVE
RECOVERING, DISCONNECTED = FeedState.RECOVERING, FeedState.DISCONNECTED


async def test_the_worst_is_told_and_only_news(autojump_clock: MockClock) -> None:
    whole = States("ws://base")
    joined = JoinedStates(whole)
    seen: list[tuple[str, str, str | None]] = []

    def look() -> None:
        change = whole.current
        if seen[-1:] != [(change.state, change.url, change.why)]:
            seen.append((change.state, change.url, change.why))

    watch = whole.watch()
    joined.tell()
    look()
    one, two = joined.part("ws://one"), joined.part("ws://two")
    for part in (one, two):
        part.set(DISCONNECTED)  # not started: nobody's business
        look()
    steps = [
        (one, CONNECTED, None), (one, LIVE, None), (two, LIVE, None), (two, RECOVERING, None), (one, LIVE, None),
        (two, DISCONNECTED, "gone"), (one, DISCONNECTED, "too"), (one, DISCONNECTED, "again"), (one, LIVE, None),
        (two, LIVE, None), (two, LIVE, None),
    ]  # fmt: skip
    one.start()
    look()
    two.start()
    look()
    for part, state, why in steps:
        part.set(state, why=why)
        look()
    two.set(DISCONNECTED, why="last")
    look()
    two.rest()
    look()
    assert seen == [
        (LIVE, "ws://base", None),
        (CONNECTING, "ws://one", None),
        (CONNECTING, "ws://two", None),
        (LIVE, "ws://two", None),
        (RECOVERING, "ws://two", None),
        (DISCONNECTED, "ws://two", "gone"),
        (DISCONNECTED, "ws://one", "too"),
        (DISCONNECTED, "ws://one", "again"),
        (DISCONNECTED, "ws://two", "gone"),
        (LIVE, "ws://two", None),
        (DISCONNECTED, "ws://two", "last"),
        (LIVE, "ws://two", None),
    ]
    assert (await anext(watch)).state is CONNECTING
