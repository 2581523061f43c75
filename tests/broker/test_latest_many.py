"""Conflation of many topics: made a few hundred at a time, in order, and what is due is found without a search."""

from __future__ import annotations

from broker.kit import Rig
from support import quote
from trio.testing import MockClock

from datafye_trio.broker import Delivery

MANY = [f"S{n}" for n in range(600)]


async def test_many_are_made_in_several_goes_in_order(rig: Rig, autojump_clock: MockClock) -> None:
    """All at once, those of 50,000 topics held up everybody for 300 ms."""
    client = rig.client(*MANY, delivery=Delivery())
    latest = client.subscriber.latest
    await rig.publish(*map(quote, MANY))
    marker = client.outbox.next_nowait()
    assert marker is not None
    assert marker.latest is not None
    latest.open_batch(marker.latest)
    goes = []
    while frames := latest.take_due():
        goes.append((len(frames), latest.cut))
    assert goes == [(256, True), (256, True), (88, False)]
    assert latest.next_due() is None


async def test_what_is_no_longer_due_is_not_kept(rig: Rig, autojump_clock: MockClock) -> None:
    client = rig.client(delivery=None)
    latest = client.subscriber.latest
    for n in range(40):
        topic, _ = client.subscriber.include(rig.quotes, "AAPL", Delivery(1e6))
        many = [client.subscriber.include(rig.quotes, symbol, Delivery(1e6))[0] for symbol in MANY[:100]]
        for again in range(2):  # the first is sent, the second waits for its rate
            await rig.publish(quote(n=2 * n + again), *(quote(symbol) for symbol in MANY[:100]))
            client.take()
        assert latest.next_due() is not None
        client.subscriber.leave_topics([topic, *many])
        assert latest.next_due() is None
    assert len(latest._order) < 500
