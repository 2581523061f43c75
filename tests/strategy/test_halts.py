"""Which symbols are halted."""

from __future__ import annotations

from strategy.kit import gap, halt, quote, resume

from datafye_trio.strategy.halts import Halts


def test_a_halt_lasts_until_the_resumption() -> None:
    halts = Halts()
    assert "AAPL" not in halts
    for item, halted in [(quote(0), False), (halt(1), True), (quote(2), True), (gap(), True), (resume(3), False)]:
        halts.add(item)
        assert ("AAPL" in halts) == halted
        assert halts.get("AAPL") == (halt(1) if halted else None)
    assert "MSFT" not in halts
    assert 7 not in halts


def test_what_another_channel_brings_later_does_not_halt_again() -> None:
    halts = Halts()
    for item in (halt(1), resume(3), halt(1)):
        halts.add(item)
    assert "AAPL" not in halts
    halts.add(resume(3))
    halts.add(halt(3))  # at one time, the one that came last
    assert "AAPL" in halts
