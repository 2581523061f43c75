"""Each example decides the same from the same events, whatever way they come: the proof of "runs unchanged".

First a live market: a made-up one on a server, followed over the wire by all examples and recorded at the same time.
Then that recording, by every way there is: in the market's own time, in this process at two speeds, over the wire from
a server that replays it, and all of it in processes of their own. And real ticks, where they are there.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import pytest
import trio
from cli.kit import Terminal
from processes import serving
from support import memory_server, virtual_wall_clock
from trio.testing import MockClock

from datafye_trio import Feed, Replay, ReplayConfig, Source, Synthetic, SyntheticConfig, open_feed
from datafye_trio.cli.recorder import Recorder, RecorderConfig
from datafye_trio.cli.tally import Tally
from datafye_trio.client import FeedConfig
from datafye_trio.client.options import Wish
from datafye_trio.model import Channel, Frequency
from datafye_trio.recordings.writer import RecordingWriter
from datafye_trio.sources import Publisher
from datafye_trio.strategy import RecordingOptions, open_local_feed, run_on_recording

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "scripts" / "examples"
URL: Final = "ws://test/datafye-ws/v1"
LIVE: Final = {"sma_crossover": 20, "spread_watcher": 20, "pair_monitor": 4}
"""The examples, and how many decisions of each are waited for, live."""
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "sma_crossover": {"fast": 2, "slow": 4},
    "spread_watcher": {"factor": 3.5, "seconds": 5.0},
    "pair_monitor": {"seconds": 5.0, "entry": 1.5},
}
"""So that half a minute is enough for these."""
TOPICS: Final = {"sma_crossover": 1, "spread_watcher": 1, "pair_monitor": 2}
"""What a replay waits for before it begins: the subscriptions of an example."""

Decisions: TypeAlias = list[Any]
Strategy: TypeAlias = Callable[[Feed], Awaitable[Decisions]]


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"agreeing_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULES: Final = {name: load(name) for name in LIVE}


def example(name: str, **settings: Any) -> Strategy:
    return partial(MODULES[name].strategy, **(SETTINGS[name] | settings))


def one_subscription(most: int | None = None) -> Strategy:
    """The pair monitor on one subscription in place of two that are merged."""
    pair = MODULES["pair_monitor"]

    async def strategy(feed: Feed) -> Decisions:
        monitor = pair.Monitor(("AAPL", "MSFT"), **SETTINGS["pair_monitor"])
        async with feed.quotes(["AAPL", "MSFT"]) as quotes:
            decisions: Decisions = await pair.follow(quotes, monitor, most)
            return decisions

    return strategy


class Later(Synthetic):
    """A market that opens after a second, when everybody has subscribed."""

    async def run(self, publisher: Publisher) -> None:
        await trio.sleep(1)
        await super().run(publisher)


@asynccontextmanager
async def wire(source: Source) -> AsyncIterator[Callable[[], open_feed]]:
    """A server in memory; gives what opens a feed of it."""
    async with memory_server(sources=[source]) as server:

        async def connect() -> trio.abc.Stream:
            return server.connect()

        yield lambda: open_feed(URL, FeedConfig(open_stream=connect))


async def record_live(folder: Path) -> dict[str, Decisions]:
    """What all examples decide on a live market, which is recorded meanwhile."""
    decided: dict[str, Decisions] = {}

    async def follow(name: str, opening: open_feed) -> None:
        async with opening as feed:
            decided[name] = await example(name, most=LIVE[name])(feed)

    market = Later(SyntheticConfig(seed=7, rate=40.0, halts=True))
    async with wire(market) as opening, trio.open_nursery() as nursery:
        wish = Wish((Channel.QUOTES, Channel.TRADES), ("*",), Frequency.MINUTE)
        config = RecorderConfig(opening(), (wish,), partial(RecordingWriter, folder), virtual_wall_clock)
        recorder = Recorder(config, Tally(lambda _: None))
        nursery.start_soon(recorder.run)
        async with trio.open_nursery() as following:
            for name in LIVE:
                following.start_soon(follow, name, opening())
        await trio.sleep(10)  # the recording does not end where the strategies did
        recorder.stop()
    return decided


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Decisions]]:
    """A recording of a live market, and what was decided meanwhile."""
    folder = tmp_path_factory.mktemp("agree") / "recording"
    return folder, trio.run(record_live, folder, clock=MockClock(autojump_threshold=0))


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(capsys, monkeypatch)


@pytest.fixture(scope="module")
def recorded(live: tuple[Path, dict[str, Decisions]]) -> dict[str, Decisions]:
    """All that each example decides on the recording."""
    return {name: run_on_recording(example(name), live[0]) for name in LIVE}


def replay(folder: Path, name: str, speed: float, **options: Any) -> Replay:
    return Replay(ReplayConfig(folder, speed=speed, wait_for_client=TOPICS[name], **options))


async def in_process(strategy: Strategy, source: Source) -> Decisions:
    async with open_local_feed(source) as feed:
        return await strategy(feed)


async def over_the_wire(strategy: Strategy, source: Source) -> Decisions:
    async with wire(source) as opening, opening() as feed:
        return await strategy(feed)


@pytest.mark.parametrize("name", LIVE)
def test_a_live_market_and_its_recording(live: Any, recorded: dict[str, Decisions], name: str) -> None:
    folder, decided = live
    assert len(decided[name]) == LIVE[name]
    assert len({decision[1] for decision in decided[name]}) > 1  # symbols, or moments of the pair
    assert run_on_recording(example(name, most=LIVE[name]), folder) == decided[name]
    assert recorded[name][: LIVE[name]] == decided[name] != recorded[name]


@pytest.mark.parametrize("speed", [20.0, float("inf")])
@pytest.mark.parametrize("name", LIVE)
async def test_in_process(
    autojump_clock: MockClock, live: Any, recorded: dict[str, Decisions], name: str, speed: float
) -> None:
    assert await in_process(example(name), replay(live[0], name, speed)) == recorded[name]


@pytest.mark.parametrize("speed", [20.0, float("inf")])
@pytest.mark.parametrize("name", LIVE)
async def test_over_the_wire(
    autojump_clock: MockClock, live: Any, recorded: dict[str, Decisions], name: str, speed: float
) -> None:
    most = len(recorded[name])
    assert await over_the_wire(example(name, most=most), replay(live[0], name, speed)) == recorded[name]


async def test_one_subscription_is_as_good_as_the_merge(
    autojump_clock: MockClock, live: Any, recorded: dict[str, Decisions]
) -> None:
    moves = recorded["pair_monitor"]
    played = await trio.to_thread.run_sync(run_on_recording, one_subscription(), live[0])
    assert played == moves
    assert await in_process(one_subscription(), replay(live[0], "pair_monitor", 20.0)) == moves
    assert await over_the_wire(one_subscription(len(moves)), replay(live[0], "pair_monitor", 20.0)) == moves


def commanded(terminal: Terminal, name: str, *arguments: str) -> Any:
    settings = [f"--set={key}={value}" for key, value in SETTINGS[name].items()]
    code, out, err = terminal.run("run", "--quiet", f"{EXAMPLES / name}.py:strategy", *settings, *arguments)
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("name", LIVE)
def test_as_commands(live: Any, recorded: dict[str, Decisions], name: str, terminal: Terminal) -> None:
    """`run` on the recording; and for one of them, `serve --replay` as a process, and `run` on it by a real socket."""
    expected = json.loads(msgspec.json.encode(recorded[name]))
    folder = str(live[0])
    assert commanded(terminal, name, folder) == expected
    if name != "pair_monitor":  # the one that merges
        return
    with serving("--replay", folder, "--speed", "max", "--wait-for-client", str(TOPICS[name])) as url:
        assert commanded(terminal, name, url, f"--set=most={len(expected)}") == expected


OPENING: Final = 1_514_903_400_000_000_000  # 2018-01-02, 9:30 in New York
REAL: Final = {
    "sma_crossover": ("equity_xxx_taq_20180102", {"dataset": "SIP", "start": OPENING, "end": OPENING + 300 * 10**9}),
    "spread_watcher": ("equity_xxx_taq_20180102", {"dataset": "SIP", "start": OPENING, "end": OPENING + 300 * 10**9}),
    "pair_monitor": ("crypto_usdm_running_bars_20210722", {"dataset": "Crypto"}),
}
"""Five minutes of a stock's tape (quotes of every venue, odd lots, several ticks at one time); 30 s of two futures."""

REAL_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "sma_crossover": {},
    "spread_watcher": {"factor": 1.5},
    "pair_monitor": {"pair": ("SUSHIUSDT", "CTKUSDT")},
}


@pytest.fixture
def real(sample: Callable[[str], Path], name: str) -> tuple[Path, dict[str, Any], dict[str, Any], Decisions]:
    folder, span = sample(REAL[name][0]), REAL[name][1]
    settings = REAL_SETTINGS[name]
    played = run_on_recording(example(name, **settings), folder, RecordingOptions(**span))
    assert len(played) > 3
    return folder, span, settings, played


@pytest.mark.parametrize("name", LIVE)
async def test_real_ticks(autojump_clock: MockClock, real: Any, name: str) -> None:
    folder, span, settings, played = real
    assert await in_process(example(name, **settings), replay(folder, name, float("inf"), **span)) == played
    ending = example(name, most=len(played), **settings)
    assert await over_the_wire(ending, replay(folder, name, 10.0, **span)) == played
