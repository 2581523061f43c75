"""A test server in a thread: all that a test calls from outside, and what it is told when it goes wrong."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio
from testing.threads import receive, send, subscribed
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from datafye_trio import Source
from datafye_trio.errors import ConfigurationError, DatafyeError, EventError, ServerClosedError
from datafye_trio.testing import ExpectationError, open_test_server, run_test_server, trade
from datafye_trio.testing.bridge import Bridge, StuckError


def test_takes_what_open_test_server_takes() -> None:
    theirs, ours = inspect.signature(open_test_server).parameters, inspect.signature(run_test_server).parameters
    assert [*ours.values()] == [one for name, one in theirs.items() if name not in ("listen", "control")]


def test_scripted_data_reaches_a_client_once_it_is_subscribed() -> None:
    with run_test_server() as server, connect(server.url) as client:
        server.wait_connected()
        assert [one.path for one in server.connections] == ["/datafye-ws/v1"]
        send(client, action="subscribe", channel="trades", symbols=["AAPL"])
        server.wait_subscribed("trades", "AAPL")
        server.publish(trade("AAPL", 189.12))
        assert receive(client, "trade")["tradePrice"] == 189.12
        client.close()
        server.wait_closed()
        assert server.connections == ()


def test_what_is_done_next_comes_behind_what_was_published() -> None:
    with run_test_server() as server:
        for _ in range(5):
            with connect(server.url) as client:
                send(client, action="subscribe", channel="trades", symbols=["AAPL"])
                server.wait_subscribed("trades", "AAPL")
                server.publish(trade("AAPL", 189.12))
                server.faults.close(4008)
                assert receive(client, "trade")["tradePrice"] == 189.12


def test_urls_of_channels() -> None:
    with run_test_server() as server:
        assert server.url == f"ws://127.0.0.1:{server.port}/datafye-ws/v1"
        assert server.url_for("stocks/live/quotes") == f"{server.url}/stocks/live/quotes"
        assert repr(server) == f"<test server {server.url}>"
        with connect(server.url_for("stocks/live/trades") + "?symbols=AAPL"):
            server.wait_subscribed("trades", "AAPL")


def test_settings_are_those_of_the_server() -> None:
    with run_test_server(datasets=["SIP"], heartbeat_interval=2.5, seed=7, start=10**18) as server:
        with connect(server.url) as client:
            connected = receive(client, "connected")
        assert connected["heartbeatInterval"] == 2.5
        assert [one["dataset"] for one in connected["datasets"]] == ["SIP"]
        assert 10**18 <= server.now() < 10**18 + 60 * 10**9


def test_sources_are_made_in_the_thread_of_the_server() -> None:
    made: list[str] = []

    def sources() -> Sequence[Source]:
        made.append(threading.current_thread().name)
        return ()

    with run_test_server(sources=sources):
        assert made == ["datafye-trio test server"]


def test_settings_that_cannot_be_are_raised_at_once() -> None:
    with pytest.raises(ConfigurationError, match="dialect='x'"), run_test_server(dialect="x"):  # type: ignore[arg-type]
        pass
    with pytest.raises(ConfigurationError, match="name one or more"), run_test_server(datasets=[]):
        pass


def test_one_call_runs_one_server() -> None:
    once = run_test_server()
    with once:
        pass
    with pytest.raises(ConfigurationError, match="runs one server, once"), once:
        pass


def test_two_servers_at_once() -> None:
    with run_test_server() as one, run_test_server() as two:
        one.advance(100)
        assert one.port != two.port
        assert one.now() - two.now() > 90 * 10**9


def test_what_cannot_be_published_is_raised() -> None:
    with run_test_server() as server:
        with pytest.raises(EventError, match="unknown dataset 'Nowhere'"):
            server.publish(trade(), dataset="Nowhere")
        with pytest.raises(EventError):
            server.publish(trade(price=float("nan")))


def test_the_end_closes_clients_and_later_calls_say_so() -> None:
    with run_test_server() as server, connect(server.url) as client:
        run = server
        receive(client, "connected")
    with pytest.raises(ServerClosedError, match="within the `with` block"):
        run.publish(trade())
    assert [entry.kind for entry in run.log][-1] == "gone"
    assert run.errors == ()
    run.check()


def test_the_end_gives_clients_1001() -> None:
    with ExitStack() as after, pytest.raises(ConnectionClosed) as closed:
        with run_test_server() as server:
            client = after.enter_context(connect(server.url))
            receive(client, "connected")
        client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


def test_nothing_is_left_of_it() -> None:
    threads, files = threading.active_count(), open_files()
    for _ in range(3):
        with run_test_server() as server, connect(server.url):
            pass
    assert threading.active_count() == threads
    assert open_files() == files


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 0


def test_what_is_expected_and_does_not_come_fails_the_end() -> None:
    missing = "expected a subscription to quotes of AAPL, which did not come"
    with pytest.raises(ExpectationError, match=missing), run_test_server() as server:
        server.expect_subscribe("quotes", "AAPL")


def test_what_the_body_raises_comes_before_what_was_expected() -> None:
    with pytest.raises(ZeroDivisionError) as raised, run_test_server() as server:
        server.expect_pong()
        _ = 1 / 0
    assert not hasattr(raised.value, "__notes__")


def test_a_server_that_does_not_end_is_noted_on_what_the_body_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Bridge.stop

    def stuck(self: Bridge[object]) -> None:
        stop(self)
        raise StuckError("stands here")

    monkeypatch.setattr(Bridge, "stop", stuck)
    with pytest.raises(ZeroDivisionError) as raised, run_test_server():
        _ = 1 / 0
    assert raised.value.__notes__ == ["And the test server failed: StuckError('stands here')"]
    with pytest.raises(StuckError), run_test_server():
        pass


def test_failures_of_the_server_are_raised_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from datafye_trio.sources import Program

    async def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug of a source")

    monkeypatch.setattr(Program, "run", fail)
    failure = "the server failed: .*ZeroDivisionError: a bug of a source"
    with pytest.raises(ExpectationError, match=failure), run_test_server() as server:
        assert server.errors
        with pytest.raises(ExpectationError, match=failure):
            server.check()


@pytest.mark.parametrize(
    "call",
    ["wait_connected()", "wait_closed()", "wait_subscribed()", "wait_expected()", "advance(1)",
     "faults.restart()", "log.wait_for(len)", "play([]).wait()", "expect_close().wait()"],
)  # fmt: skip
def test_waiting_in_a_loop_is_refused_and_says_what_to_write(call: str) -> None:
    async def in_asyncio() -> None:
        with pytest.raises(DatafyeError, match=r"write `await .*aio\.\w+\(") as refused:
            eval(call_of, {"server": server})
        name = call.rpartition(".")[2].partition("(")[0]
        assert f".aio.{name}(" in str(refused.value)

    async def in_trio() -> None:
        with pytest.raises(DatafyeError, match=r"await trio\.to_thread\.run_sync"):
            eval(call_of, {"server": server})

    call_of = f"server.{call}"
    with suppress(ExpectationError), run_test_server() as server:  # expect_close() is not met
        asyncio.run(in_asyncio())
        trio.run(in_trio)


def test_what_does_not_wait_for_clients_works_in_a_loop() -> None:
    async def main() -> None:
        server.publish(trade())
        with server.faults.mute():
            assert len(server.log) == 2 or server.log.tail()

    with run_test_server() as server:
        asyncio.run(main())


def test_a_client_that_does_not_come_in_time_is_told_with_the_log() -> None:
    with (
        run_test_server() as server,
        subscribed(server.url, "MSFT"),
        pytest.raises(ExpectationError, match=r"expected a subscription to trades of AAPL within 0\.01 s(.*\n)*.*MSFT"),
    ):
        server.wait_subscribed("trades", "AAPL", timeout=0.01)
