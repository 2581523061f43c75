"""The fixture for Trio tests, with pytest inside pytest; and what is there of it without pytest-trio."""

from __future__ import annotations

import pytest

import datafye_trio.testing.opening  # noqa: F401 -- before pytester looks: it forgets what a run inside has imported

pytest_plugins = ["pytester"]


def run(pytester: pytest.Pytester, body: str, *arguments: str, **outcomes: int) -> str:
    """Run a suite that consists of one file, and return all that was printed."""
    pytester.makeini("[pytest]\ntrio_mode = true")
    pytester.makepyfile("import pytest\nfrom datafye_trio.testing import trade\n" + body)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
    done.assert_outcomes(**outcomes)
    return done.stdout.str()


def test_a_trio_test_has_a_server_in_its_own_run(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
import trio
from datafye_trio import Trade

@pytest.mark.datafye(datasets=["SIP"])
async def test_in_virtual_time(datafye_server, autojump_clock):
    async with datafye_server.open_feed() as feed:
        async with feed.subscribe("trades", "AAPL") as trades:
            await datafye_server.wait_subscribed("trades", "AAPL")
            await datafye_server.publish(trade("AAPL", 189.12))
            assert (await anext(aiter(trades))).price == 189.12
        await trio.sleep(3600)

async def test_on_a_socket(datafye_server):
    stream = await trio.open_tcp_stream("127.0.0.1", datafye_server.port)
    await stream.aclose()
""",
        passed=2,
    )


def test_what_is_left_or_missing_fails_the_test(pytester: pytest.Pytester) -> None:
    said = run(
        pytester,
        """
import trio

async def test_expected(datafye_server, autojump_clock):
    datafye_server.expect_subscribe("quotes", "MSFT")

streams = []
HELLO = (
    b"GET /datafye-ws/v1 HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n"
)

async def test_left(datafye_server, autojump_clock):
    streams.append(datafye_server.connect())
    await streams[0].send_all(HELLO)
    await datafye_server.wait_connected()

@pytest.mark.datafye(leaks="ignore")
async def test_ignored(datafye_server, autojump_clock):
    streams.append(datafye_server.connect())
    await streams[1].send_all(HELLO)
    await datafye_server.wait_connected()

async def test_gone_from_a_mute_server(datafye_server, autojump_clock):
    async with datafye_server.open_feed() as feed:
        await feed.wait_connected()
        datafye_server.faults.mute()
        await trio.sleep(25)  # it has left one connection, and another is on its way

async def test_both_kinds(datafye, datafye_server, autojump_clock):
    datafye_server.publish_nowait(trade())
    datafye.publish(trade())

@pytest.fixture
async def client(datafye_server):
    async with datafye_server.open_feed() as feed:
        yield feed

async def test_a_fixture_may_hold_it(client, autojump_clock):
    pass

async def test_failing(datafye_server, autojump_clock):
    datafye_server.expect_pong()
    async with datafye_server.open_feed():
        await datafye_server.wait_connected()
        assert 1 == 2
""",
        passed=4,
        failed=3,
    )
    assert "expected a subscription to quotes of MSFT, which did not come" in said
    assert "A client is still connected at the end of the test: #1, /datafye-ws/v1, from memory. Close it" in said
    assert "assert 1 == 2" in said
    assert "an answer to a heartbeat" not in said
    assert "- datafye log -" in said


def test_without_pytest_trio_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(datafye_server): pass\ndef test_other(datafye): pass")
    done = pytester.runpytest_inprocess("-p", "no:trio", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, errors=1)
    assert "pip install pytest-trio" in done.stdout.str()
    assert "Traceback" not in done.stdout.str()
