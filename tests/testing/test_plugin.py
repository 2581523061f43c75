"""The pytest plugin, with pytest inside pytest: what passes, what fails, and what a person reads then."""

from __future__ import annotations

import subprocess
import sys

import pytest
import websockets.sync.client  # noqa: F401 -- see below

import datafye_trio.testing.threaded  # noqa: F401 -- before pytester looks: it forgets what a run inside has imported
from datafye_trio.testing.bridge import StuckError

pytest_plugins = ["pytester"]

CLIENT = """
import json
import threading
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from datafye_trio.testing import trade

def ask(client, *symbols):
    client.send(json.dumps({"action": "subscribe", "channel": "trades", "symbols": symbols}))

def receive(client, kind):
    while (message := json.loads(client.recv(5)))["type"] != kind:
        pass
    return message
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Runner:
    return Runner(pytester)


class Runner:
    """Runs a suite that consists of one file."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, body: str, *arguments: str, **outcomes: int) -> str:
        """Run it, check how many passed and so on, and return all that was printed."""
        self.pytester.makepyfile(CLIENT + body)
        done = self.pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
        done.assert_outcomes(**outcomes)
        return done.stdout.str() + done.stderr.str()


def test_a_test_with_a_client_passes(run: Runner) -> None:
    run(
        """
def test_it(datafye, datafye_url):
    assert datafye_url == datafye.url
    with connect(datafye_url) as client:
        ask(client, "AAPL")
        datafye.wait_subscribed("trades", "AAPL")
        datafye.publish(trade("AAPL", 189.12))
        assert receive(client, "trade")["tradePrice"] == 189.12

def test_each_test_has_a_server_of_its_own(datafye):
    assert len(datafye.log) == 0
""",
        passed=2,
    )


def test_the_marker_configures_the_closest_first(run: Runner) -> None:
    run(
        """
pytestmark = pytest.mark.datafye(heartbeat_interval=5, seed=1)

def hello(url):
    with connect(url) as client:
        return receive(client, "connected")

@pytest.mark.datafye(datasets=["Crypto"], seed=2)
def test_one(datafye_url):
    connected = hello(datafye_url)
    assert connected["heartbeatInterval"] == 5
    assert [one["dataset"] for one in connected["datasets"]] == ["Crypto"]

@pytest.mark.datafye(dialect="datafye")
def test_other(datafye):
    with connect(datafye.url_for("stocks/live/ticks")), pytest.raises(InvalidStatus), connect(datafye.url):
        pass
""",
        "--strict-markers",
        passed=2,
    )


@pytest.mark.parametrize(
    ("marker", "words"),
    [("sed=1", "does not take sed=: it takes seed, heartbeat_interval, dialect, datasets, leaks, by name"),
     ("1", "does not take what is not named"),
     ("leaks='maybe'", "leaks='maybe': say 'fail' or 'ignore'")],
)  # fmt: skip
def test_a_marker_that_means_nothing_is_an_error_of_its_test_alone(run: Runner, marker: str, words: str) -> None:
    marked = f"@pytest.mark.datafye({marker})\n"
    said = run(
        f"{marked}def test_it(datafye): pass\n{marked}def test_without(): pass\ndef test_other(datafye): pass",
        passed=1,
        errors=2,
    )
    assert "ERROR at setup of test_it" in said
    # Of each of the two, and where CI is set, pytest's summary has it once more.
    assert said.count(f"@pytest.mark.datafye{' ' if 'take' in words else ': '}{words}") in (2, 4)
    assert "plugin.py" not in said


def test_a_setting_that_cannot_be_is_told_in_one_line(run: Runner) -> None:
    said = run("@pytest.mark.datafye(dialect='x')\ndef test_it(datafye): pass", errors=1)
    assert "@pytest.mark.datafye: dialect='x': there is datafye, or None" in said
    assert "Traceback" not in said
    assert "opening.py" not in said


def test_a_failing_test_shows_its_own_line_and_the_log(run: Runner) -> None:
    said = run(
        """
def test_it(datafye):
    datafye.expect_pong()
    with connect(datafye.url) as client:
        datafye.wait_subscribed("trades", "AAPL", timeout=0.05)
""",
        failed=1,  # and no error beside it: what it leaves, and what it expected, is no wonder
    )
    assert "test_a_failing_test_shows_its_own_line_and_the_log.py:" in said
    assert 'datafye.wait_subscribed("trades", "AAPL", timeout=0.05)' in said
    assert "expected a subscription to trades of AAPL within 0.05 s" in said
    assert "- datafye log -" in said
    assert "#1 -> open /datafye-ws/v1" in said
    assert "bridge.py" not in said


def test_a_log_that_cannot_be_read_hides_nothing(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(*_: object) -> str:
        raise StuckError("the test server does not answer")

    monkeypatch.setattr("datafye_trio.testing.handles.ThreadedLog.tail", stuck)
    said = run("def test_it(datafye): assert 1 == 2", failed=1)
    assert "assert 1 == 2" in said
    assert "(cannot be read: the test server does not answer)" in said


def test_what_was_expected_and_did_not_come_is_an_error(run: Runner) -> None:
    said = run("def test_it(datafye): datafye.expect_subscribe('quotes', 'MSFT')", passed=1, errors=1)
    assert "expected a subscription to quotes of MSFT, which did not come" in said
    assert "Traceback" not in said
    assert "datafye log" not in said  # the text ends with it


def test_a_failure_of_the_server_is_an_error(run: Runner) -> None:
    said = run(
        """
def test_it(datafye):
    datafye.play(["no event"])
""",
        passed=1,
        errors=1,
    )
    assert "the server failed: play() failed" in said


def test_a_client_that_is_left_is_an_error_and_one_that_is_slow_to_go_is_none(run: Runner) -> None:
    said = run(
        """
clients = []

@pytest.fixture(scope="module", autouse=True)
def _close():
    yield
    for client in clients:
        client.__exit__(None, None, None)

def test_left(datafye):
    clients.append(connect(datafye.url))
    clients[-1].__enter__()

def test_slow(datafye):
    client = connect(datafye.url).__enter__()
    timer = threading.Timer(0.1, client.close)
    timer.start()

@pytest.mark.datafye(leaks="ignore")
def test_ignored(datafye):
    clients.append(connect(datafye.url))
    clients[-1].__enter__()
""",
        passed=3,
        errors=1,
    )
    assert "ERROR at teardown of test_left" in said
    assert "A client is still connected at the end of the test: #1, /datafye-ws/v1, from 127.0.0.1. Close it" in said


def test_a_client_that_went_from_a_mute_server_is_not_left(run: Runner) -> None:
    run(
        """
def test_it(datafye):
    with connect(datafye.url, close_timeout=0.01):  # nobody answers it
        datafye.wait_connected()
        datafye.faults.mute()
""",
        passed=1,
    )


def test_a_thread_that_is_left_is_an_error(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafye_trio.testing.plugin.LEAVE_SECONDS", 0.05)
    said = run(
        """
from concurrent.futures import ThreadPoolExecutor

release, pool = threading.Event(), ThreadPoolExecutor()

@pytest.fixture(scope="module", autouse=True)
def _end():
    yield
    release.set()
    pool.shutdown()

def test_left(datafye):
    threading.Thread(target=release.wait, name="my reader").start()

def test_daemons_and_pools_are_nobodys(datafye):
    threading.Thread(target=release.wait, daemon=True).start()
    pool.submit(len, "")
""",
        passed=2,
        errors=1,
    )
    assert "A thread that was started in the test is left at its end: my reader. Join it." in said


def test_a_test_that_is_skipped_or_expected_to_fail_leaves_no_error(run: Runner) -> None:
    run(
        """
@pytest.mark.xfail
def test_known(datafye):
    datafye.expect_pong()
    raise ValueError

def test_skipped(datafye):
    datafye.expect_pong()
    pytest.skip("half-way")
""",
        xfailed=1,
        skipped=1,
    )


def test_the_fixtures_and_the_marker_are_described(pytester: pytest.Pytester) -> None:
    said = pytester.runpytest_inprocess("--fixtures").stdout.str()
    for name in ("datafye ", "datafye_url ", "datafye_server "):
        assert f"\n{name}" in said
    assert (
        "@pytest.mark.datafye(seed=0, heartbeat_interval=10.0" in pytester.runpytest_inprocess("--markers").stdout.str()
    )


def test_loading_the_plugin_imports_nothing_of_weight() -> None:
    code = """if True:
        import sys
        import pytest
        before = {name.partition(".")[0] for name in sys.modules}
        import datafye_trio.testing.plugin
        new = {name.partition(".")[0] for name in sys.modules} - before
        assert new == {"datafye_trio", "lazy_loader"}, new
        assert not {"trio", "msgspec", "structlog", "cattrs", "attr", "asyncio"} & new
        modules = {name for name in sys.modules if name.startswith("datafye_trio")}
        assert modules == {"datafye_trio", "datafye_trio.testing", "datafye_trio.testing.plugin"}, modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_that_does_not_use_it_never_imports_trio(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "import sys\ndef pytest_unconfigure(): print('\\ntrio' if 'trio' in sys.modules else '\\nno')"
    )
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest_subprocess("-p", "no:trio", "-p", "no:hypothesispytest")
    done.assert_outcomes(passed=1)
    assert done.stdout.lines[-1] == "no"
