"""What a replay's controls refuse, and how they settle when nothing plays."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.sources import PlayState
from datafye_trio.sources.controls import Controls


def test_once_it_has_ended_nothing_can_be_asked() -> None:
    controls = Controls("SIP")
    controls.step(3)
    controls.end()
    assert controls.state is PlayState.ENDED
    for ask in (controls.pause, controls.resume, controls.step, lambda: controls.seek(1)):
        with pytest.raises(SourceError, match="the replay of SIP has ended"):
            ask()


@pytest.mark.parametrize("n", [0, -1])
def test_a_step_is_of_one_event_or_more(n: int) -> None:
    with pytest.raises(ConfigurationError, match=f"not by {n}"):
        Controls("SIP").step(n)


def test_a_resume_of_what_runs_is_nothing_new() -> None:
    controls = Controls("SIP")
    controls.resume()
    assert (controls.state, controls.allowed) == (PlayState.RUNNING, None)


def test_a_target_is_taken_once_and_the_last_one_counts() -> None:
    controls = Controls("SIP")
    controls.seek(1)
    controls.seek(2)
    assert (controls.take_target(), controls.take_target()) == (2, None)


def test_a_pause_drops_the_rest_of_a_step() -> None:
    controls = Controls("SIP", paused=True)
    controls.step(5)
    assert controls.allowed == 5
    controls.pause()
    assert controls.allowed == 0


async def test_before_it_plays_a_pause_is_settled_and_a_step_is_not(autojump_clock: MockClock) -> None:
    controls = Controls("SIP")
    with trio.fail_after(1):
        await controls.wait_settled()
        controls.pause()
        await controls.wait_settled()
    controls.step()
    with trio.move_on_after(1) as scope:
        await controls.wait_settled()
    assert scope.cancelled_caught


async def test_the_end_settles_everything(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    controls = Controls("SIP", paused=True)
    controls.seek(5)

    async def end() -> None:
        await trio.sleep(1)
        controls.end()

    nursery.start_soon(end)
    await controls.wait_settled()
    assert trio.current_time() == 1
