"""The strategies in `scripts/examples` as programs: what they print, and that each runs as a script.

What they decide, however they are run, is tested in `tests/strategy/test_examples_agree.py`.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path

import pytest
import trio
from processes import WAIT
from support import memory_server
from trio.testing import MockClock

from datafye_trio import Quote, Replay, ReplayConfig, ServerConfig, SyntheticConfig, SyntheticMarket, open_server
from datafye_trio.model import Channel
from datafye_trio.recordings.writer import RecordingWriter

EXAMPLES = Path(__file__).resolve().parents[2] / "scripts" / "examples"
PRICE, TIME, FAR = r"\d+\.\d+", r"\d\d:\d\d:\d\d\.\d{6}", r"[+-]\d+\.\d\d deviations"
DAY = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00"
FILLS = rf"[+-]\d\.\d+ (AAPL|MSFT) at {PRICE}, [+-]\d\.\d+ (AAPL|MSFT) at {PRICE}"
PRINTED = {
    "sma_crossover": rf"((buy|sell) [A-Z]+ {DAY} {PRICE}\n){{5}}",
    "spread_watcher": rf"({TIME} [A-Z]+: {PRICE} bp is (wide|normal), beside {PRICE} on average\n){{5}}",
    "pair_monitor": rf"({TIME} open at {FAR}: {FILLS}\n{TIME} close at {FAR}: {FILLS}\n){{2}}",
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes of a made-up market."""
    folder = tmp_path_factory.mktemp("recording")
    begin, config = 1_767_364_200_000_000_000, SyntheticConfig(seed=7, rate=50.0)
    with RecordingWriter(folder, config.dataset, config.asset_class) as writer:
        for block in SyntheticMarket(config, begin).blocks(begin, begin + 180_000_000_000):
            for moment, event in block:
                writer.add(Channel.QUOTES if isinstance(event, Quote) else Channel.TRADES, moment, event)
    return folder


@pytest.mark.parametrize("name", PRINTED)
async def test_what_it_prints(
    name: str,
    recording: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
    async with memory_server(sources=[Replay(ReplayConfig(recording, wait_for_client=1))]) as server:

        async def open_tcp_stream(host: str, port: int) -> trio.abc.Stream:
            assert (host, port) == ("somewhere.example", 80)
            return server.connect()

        monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
        monkeypatch.setattr("datafye_trio.wire.proxy.getproxies", dict)
        with trio.fail_after(200):
            await main("ws://somewhere.example")
    printed = capsys.readouterr().out
    assert re.fullmatch(PRINTED[name], printed), printed


ONE_AFTER_ANOTHER = """
import runpy, sys
_, url, *scripts = sys.argv
for script in scripts:
    sys.argv = [script, url]
    runpy.run_path(script, run_name="__main__")
"""


async def test_they_run_as_scripts(recording: Path) -> None:
    """In one process, and on a replay at 60 times its speed, over and over: they wait for what takes its time."""
    replay = Replay(ReplayConfig(recording, speed=60.0, loop=True))
    scripts = [str(EXAMPLES / f"{name}.py") for name in PRINTED]
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    async with open_server(ServerConfig(port=0), [replay]) as server:
        with trio.fail_after(WAIT):
            done = await trio.run_process(
                [sys.executable, "-c", ONE_AFTER_ANOTHER, server.url, *scripts],
                env=kept | {"PYTHONWARNINGS": "error"}, capture_stdout=True, capture_stderr=True, check=False,
            )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch("".join(PRINTED.values()), done.stdout.decode()), done.stdout.decode()
