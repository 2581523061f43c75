"""The grid of heartbeats, by itself."""

from __future__ import annotations

from datafye_trio.connection.heartbeat import HeartbeatConfig, Heartbeats


def test_they_may_come_early_and_the_cut_with_them() -> None:
    beats = Heartbeats(HeartbeatConfig(10, 30), 0)
    beats.advance(0.5)
    assert beats.next_time() == 9.5
    assert beats.check(9.5) == "send"
    beats.sent(9.5, 1)
    assert beats.next_time() == 19.5
    assert beats.check(39.5) == "dead"


def test_what_is_skipped_is_neither_sent_nor_missed_and_the_grid_stays() -> None:
    beats = Heartbeats(HeartbeatConfig(10, 30), 0)
    assert beats.check(10) == "send"
    beats.sent(10, 1)
    beats.skip(20)
    assert beats.next_time() == 30
    beats.skip(65)
    assert beats.next_time() == 70
    assert beats.check(69.9) == "wait"
    assert beats.check(70) == "send"
    beats.sent(70, 2)
    assert beats.check(99.9) == "send"
    assert beats.check(100) == "dead", "30 s after the first that was sent again"
