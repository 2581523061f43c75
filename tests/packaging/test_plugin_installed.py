"""The pytest plugin from the wheel, in a fresh environment, in the suite of somebody who never saw this project.

There is no pytest-trio in it, but pytest-asyncio in auto mode, and pytest-xdist; warnings are errors.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from wheels import copy_needed, pip

SYNC = '''
import json

from datafye_trio.testing import trade
from websockets.sync.client import connect


def read_price(url):
    """What is under test: the first price of AAPL."""
    with connect(url) as client:
        client.send(json.dumps({"action": "subscribe", "channel": "trades", "symbols": ["AAPL"]}))
        for text in client:
            message = json.loads(text)
            if message["type"] == "trade":
                return message["tradePrice"]


def test_reads_the_price(datafye):
    datafye.expect_subscribe("trades", "AAPL").then_publish(trade("AAPL", 189.12))
    assert read_price(datafye.url) == 189.12


def test_the_clock(datafye, datafye_url):
    with connect(datafye_url) as client:
        datafye.wait_connected()
        cut = datafye.expect_close(4009)
        datafye.advance(40)
        cut.wait()
'''

ASYNC = """
import asyncio
import json

import pytest
from datafye_trio.testing import trade
from websockets.asyncio.client import connect


async def listen(url, prices):
    async with connect(url) as client:
        await client.send(json.dumps({"action": "subscribe", "channel": "trades", "symbols": ["AAPL"]}))
        async for text in client:
            message = json.loads(text)
            if message["type"] == "trade":
                prices.append(message["tradePrice"])
            elif message["type"] == "heartbeat":
                await client.send(json.dumps({"action": "pong"}))


@pytest.fixture
async def prices(datafye):
    found = []
    task = asyncio.create_task(listen(datafye.url, found))
    await datafye.aio.wait_subscribed("trades", "AAPL")
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_prices(datafye, prices):
    await datafye.aio.publish([trade("AAPL", 1.5), trade("AAPL", 2.5)])
    await datafye.aio.advance(3600)
    assert prices == [1.5, 2.5]
    assert len(datafye.connections) == 1


@pytest.mark.datafye(dialect="datafye")
async def test_what_datafye_documents(datafye_url):
    async with connect(datafye_url + "/stocks/live/ticks"):
        pass
"""

WRONG = """
import json

from websockets.sync.client import connect

left = []


def test_fails(datafye):
    with connect(datafye.url) as client:
        client.send(json.dumps({"action": "subscribe", "channel": "quotes", "symbols": ["AAPL"]}))
        datafye.wait_subscribed("trades", "AAPL", timeout=0.2)


def test_leaks(datafye):
    manager = connect(datafye.url)
    left.append((manager, manager.__enter__()))


def test_expects(datafye):
    datafye.expect_subscribe("trades", "MSFT")


def test_wants_trio(datafye_server):
    pass


def test_is_fine(datafye):
    for manager, _ in left:
        manager.__exit__(None, None, None)
"""


@pytest.fixture(scope="module")
def python(installed: Path) -> Path:
    copy_needed(installed.parents[1], "datafye-trio[testing]", "websockets")
    others = ("pytest-asyncio>=1.2", "pytest-xdist>=3.8")
    done = pip("--python", installed, "install", "--quiet", "--no-compile", *others)
    assert done.returncode == 0, done.stderr
    return installed


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name, text in {"test_sync.py": SYNC, "test_async.py": ASYNC}.items():
        (tmp_path / name).write_text(text)
    settings = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    settings += "addopts = --strict-markers -p no:cacheprovider\n"
    (tmp_path / "pytest.ini").write_text(settings)
    return tmp_path


def run(python: Path, folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    command = [python, "-I", "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_suite_passes_beside_pytest_asyncio_in_auto_mode(python: Path, suite: Path) -> None:
    status, said = run(python, suite)
    assert (status, "4 passed" in said) == (0, True), said


def test_a_suite_passes_in_several_processes(python: Path, suite: Path) -> None:
    status, said = run(python, suite, "-n", "2")
    assert (status, "4 passed" in said) == (0, True), said


def test_a_suite_passes_without_pytest_asyncio(python: Path, suite: Path) -> None:
    (suite / "pytest.ini").unlink()
    status, said = run(python, suite, "-p", "no:asyncio", "-W", "error", "test_sync.py")
    assert (status, "2 passed" in said) == (0, True), said


def test_what_is_wrong_is_told(python: Path, suite: Path) -> None:
    (suite / "test_wrong.py").write_text(WRONG)
    status, said = run(python, suite, "test_wrong.py")
    assert status == 1
    assert "1 failed, 3 passed, 3 errors" in said, said
    assert "expected a subscription to trades of AAPL within 0.2 s" in said
    assert "subscribed quotes of AAPL" in said
    assert "ERROR at teardown of test_leaks" in said
    assert "A client is still connected at the end of the test: #1, /datafye-ws/v1" in said
    assert "expected a subscription to trades of MSFT, which did not come" in said
    assert "pip install pytest-trio" in said
    assert "- datafye log -" in said
    assert "site-packages/datafye_trio" not in said, "no line of this project stands between the reader and the test"


def test_a_marker_that_means_nothing_is_an_error_of_its_test(python: Path, suite: Path) -> None:
    (suite / "test_wrong.py").write_text("import pytest\n@pytest.mark.datafye(sed=1)\ndef test_it(datafye): pass\n")
    status, said = run(python, suite, "test_wrong.py")
    assert status == 1
    assert "@pytest.mark.datafye does not take sed=" in said


def test_a_run_without_it_does_not_load_trio(python: Path, suite: Path) -> None:
    (suite / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure(): assert not {'trio', 'msgspec', 'structlog', 'cattrs', 'attr'} & {*sys.modules}\n"
    )
    (suite / "test_plain.py").write_text("def test_it(): pass\n")
    status, said = run(python, suite, "test_plain.py")
    assert (status, "1 passed" in said) == (0, True), said
