"""Plans: what they say of each connection, and that a seed says all of it."""

from __future__ import annotations

import pytest

from datafye_trio.testing import CutAfter, RandomCuts, scripted


def test_a_scripted_plan_goes_by_the_order_of_connections_and_then_lets_live() -> None:
    plan = scripted([CutAfter(10), None, CutAfter(from_client=3)])
    assert [plan(n) for n in range(1, 6)] == [CutAfter(10), None, CutAfter(from_client=3), None, None]


def test_a_seed_decides_every_cut() -> None:
    first, again, other = (RandomCuts(seed, most=10**6, longest_outage=2.0) for seed in (1, 1, 2))
    cuts = [first(n) for n in range(200)]
    assert cuts == [again(n) for n in range(200)]
    assert cuts != [other(n) for n in range(200)]


def test_random_cuts_fall_into_handshakes_and_into_the_live_stream() -> None:
    plan = RandomCuts(7, most=10**6, longest_outage=2.0)
    cuts = [plan(n) for n in range(1_000)]
    places = sorted(cut.from_server for cut in cuts if cut.from_server is not None)
    assert len(places) == 1_000
    assert 1 <= places[0] < places[100] < 10 < 10**5 < places[-100] < 10**6
    assert 200 < sum(cut.from_client is not None for cut in cuts) < 300
    assert 0 <= min(cut.outage for cut in cuts) < 0.01 < 1.9 < max(cut.outage for cut in cuts) <= 2.0
    assert 0.45 < sum(cut.outage for cut in cuts) / 1_000 < 0.55


@pytest.mark.parametrize("wrong", [{"from_server": -1}, {"from_client": -1}, {"outage": -0.1}])
def test_nothing_is_cut_before_the_beginning(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="from 0"):
        CutAfter(**wrong)  # type: ignore[arg-type]
