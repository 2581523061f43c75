"""How a source's end is told, whatever end it takes; nobody else is harmed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from broker.kit import make_broker, running_rig
from support import quote, trade
from trio.testing import wait_all_tasks_blocked

from datafye_trio import Program
from datafye_trio.broker import Dataset, SourceState
from datafye_trio.errors import SourceError
from datafye_trio.model import AssetClass, Channel, DatasetInfo
from datafye_trio.sources import Publisher


@attrs.frozen
class Scripted:
    """A source that does what it is told, once it may."""

    script: Callable[[Publisher], Awaitable[None]]
    dataset: DatasetInfo = DatasetInfo("Scripted", AssetClass.STOCKS, (Channel.QUOTES, Channel.TRADES))
    go: trio.Event = attrs.Factory(trio.Event)

    async def run(self, publisher: Publisher) -> None:
        await self.go.wait()
        await self.script(publisher)


async def _fate(
    script: Callable[[Publisher], Awaitable[None]], act: Callable[[Dataset], None] = lambda _: None
) -> tuple[SourceState, str]:
    """State and why after the script; the other dataset must go on."""
    source = Scripted(script)
    async with running_rig(Program(), source) as rig:
        dataset = rig.broker.datasets["Scripted"]
        stopped: list[Dataset] = []
        dataset.on_stop = stopped.append
        assert (dataset.state, dataset.why) == (SourceState.RUNNING, "")
        source.go.set()
        await wait_all_tasks_blocked()
        act(dataset)
        await wait_all_tasks_blocked()
        client = rig.client("AAPL")
        await rig.publish(quote())
        assert client.seqs() == [1]
        assert rig.dataset.state is SourceState.RUNNING
        assert stopped == [dataset]
        return dataset.state, dataset.why


async def test_a_source_that_ends_has_ended() -> None:
    async def end(publisher: Publisher) -> None:
        await publisher.publish(quote())

    assert await _fate(end) == (SourceState.ENDED, "the data has ended")


async def test_a_source_that_is_cancelled_has_ended() -> None:
    async def stay(publisher: Publisher) -> None:
        await trio.sleep_forever()

    assert await _fate(stay, Dataset.cancel) == (SourceState.ENDED, "cancelled")


async def test_a_source_that_cannot_go_on_has_crashed_in_its_own_words(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(publisher: Publisher) -> None:
        raise SourceError("ticks.csv line 7: no price")

    with caplog.at_level(logging.ERROR):
        assert await _fate(fail) == (SourceState.CRASHED, "ticks.csv line 7: no price")
    assert not caplog.records


async def test_a_source_with_a_bug_has_crashed_and_the_log_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(publisher: Publisher) -> None:
        raise KeyError("AAPL")

    assert await _fate(fail) == (SourceState.CRASHED, "KeyError: 'AAPL'")
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["source crashed"]


async def test_of_an_exception_group_every_error_is_told() -> None:
    async def fail(publisher: Publisher) -> None:
        raise ExceptionGroup("two", [SourceError("no file"), ExceptionGroup("inner", [ValueError("bad")])])

    assert await _fate(fail) == (SourceState.CRASHED, "no file; ValueError: bad")


async def test_a_bad_event_crashes_only_its_own_source() -> None:
    async def fail(publisher: Publisher) -> None:
        await publisher.publish(attrs.evolve(trade(), exchange_id=b"XNAS"))

    state, why = await _fate(fail)
    assert state is SourceState.CRASHED
    assert why == "EventError: Trade.exchange_id must be a Unicode text, or None, not b'XNAS'"


async def test_a_source_that_fails_while_it_is_cancelled_does_not_fail_the_broker() -> None:
    async def fail(publisher: Publisher) -> None:
        async def clean_up() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cannot clean up")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(clean_up)
            nursery.start_soon(trio.sleep_forever)

    assert await _fate(fail, Dataset.cancel) == (SourceState.CRASHED, "ValueError: cannot clean up")
    broker = make_broker()
    source = Scripted(fail)
    source.go.set()
    dataset = broker.add(source)
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (dataset.state, dataset.why) == (SourceState.CRASHED, "ValueError: cannot clean up")
