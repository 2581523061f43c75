"""`POST /replay/...`: what it does to a replay, what it answers, and whom it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from math import inf
from pathlib import Path
from typing import Any

import pytest
import trio
from support import RawClient, memory_server
from trio.testing import MockClock

from datafye_trio import AccessConfig, Program, Replay, ReplayConfig, Server, ServerConfig, Source
from datafye_trio.errors import ConfigurationError
from datafye_trio.server import ControlConfig

Write = Callable[[str, str], Path]
START = 1_723_161_300  # 2024-08-08T23:55:00Z
S = 10**9
WS = "/datafye-ws/v1/stocks/live/trades"


@pytest.fixture
def replay(write: Write) -> Callable[..., Replay]:
    """A replay of ten trades, one a second."""
    rows = "".join(f"A,{(START + n) * S},{n + 1},1,{n}\n" for n in range(10))
    path = write("t.csv", "symbol,ts_ns,price,size,trade_id\n" + rows)
    return lambda name="SIP", **settings: Replay(ReplayConfig(path, name, **settings))


async def ask(server: Server, target: str, *headers: str, method: str = "POST") -> tuple[int, dict[str, str], str]:
    """Send a request and return the answer."""
    client = RawClient(server.connect())
    host = [] if any(line.startswith("Host:") for line in headers) else ["Host: localhost:8080"]
    lines = [f"{method} {target} HTTP/1.1", *host, *headers, "", ""]
    await client.stream.send_all("\r\n".join(lines).encode())
    return await client.http_answer()


async def done(server: Server, target: str, *headers: str) -> Any:
    """Send a request that is granted, and return what it says."""
    status, answer_headers, body = await ask(server, target, *headers)
    assert (status, answer_headers["content-type"]) == (200, "application/json; charset=utf-8"), body
    return json.loads(body)


def standing(state: str, second: int | None, dataset: str = "SIP") -> dict[str, Any]:
    """What an answer says of a replay whose last event was that of a second."""
    time = None if second is None else f"2024-08-08T23:55:{second:02}.000000000Z"
    position = None if second is None else (START + second) * S
    return {"dataset": dataset, "state": state, "position": position, "time": time}


@pytest.mark.parametrize("speed", [1.0, inf])
async def test_a_replay_is_stepped_moved_resumed_and_paused(
    autojump_clock: MockClock, replay: Callable[..., Replay], speed: float
) -> None:
    async with memory_server(None, [replay(paused=True, speed=speed)]) as server:
        client = await RawClient.connect(server, WS + "?symbols=A")
        await client.until("subscribed")
        assert await done(server, "/replay/pause") == standing("paused", None)
        assert await done(server, "/replay/step") == standing("paused", 0)
        assert await done(server, "/replay/step?n=2", "Content-Length: 0") == standing("paused", 2)
        assert [message["tradeID"] for message in await client.messages(3)] == ["0", "1", "2"]
        await done(server, "/replay/seek?to=2024-08-08T23:55:07Z")
        assert await done(server, "/replay/step?dataset=SIP") == standing("paused", 7)
        for to in (f"{(START + 4) * S}", "2024-08-09T01:55:04+02:00", "2024-08-08T19:55:04"):
            await done(server, f"/replay/seek?to={to}")
            assert await done(server, "/replay/step") == standing("paused", 4)
        assert [message["tradeID"] for message in await client.messages(4)] == ["7", "4", "4", "4"]
        assert trio.current_time() == 0
        assert (await done(server, "/replay/resume"))["state"] in ("running", "ended")
        assert [message["tradeID"] for message in await client.messages(5)] == ["5", "6", "7", "8", "9"]


async def test_a_running_replay_stops_where_it_is(autojump_clock: MockClock, replay: Callable[..., Replay]) -> None:
    async with memory_server(None, [replay()]) as server:
        await trio.sleep(3.5)
        assert await done(server, "/replay/pause") == standing("paused", 3)
        await trio.sleep(100)
        assert await done(server, "/replay/pause") == standing("paused", 3)


async def test_all_replays_are_paused_and_resumed_and_one_is_named_to_step(
    autojump_clock: MockClock, replay: Callable[..., Replay]
) -> None:
    sources: Sequence[Source] = [replay("A"), Program("P"), replay("B")]
    async with memory_server(None, sources) as server:
        await trio.sleep(1.5)
        both = [standing("paused", 1, "A"), standing("paused", 1, "B")]
        assert await done(server, "/replay/pause") == {"replays": both}
        assert await done(server, "/replay/step?dataset=B&n=3") == standing("paused", 4, "B")
        for target in ("/replay/step", f"/replay/seek?to={START * S}"):
            status, _, body = await ask(server, target)
            assert (status, body) == (400, "say which replay is meant with dataset=NAME: A, B\n")
        await done(server, "/replay/resume?dataset=A")
        await trio.sleep(100)  # A has ended: the other is the one that is left
        assert await done(server, "/replay/resume") == standing("running", 4, "B")
        status, _, body = await ask(server, "/replay/pause?dataset=A")
        assert (status, body) == (409, "the replay of A has ended: there is nothing left to control\n")
        await trio.sleep(100)
        assert (await ask(server, "/replay/pause"))[0] == 409


async def test_an_answer_waits_a_second_at_most(autojump_clock: MockClock, replay: Callable[..., Replay]) -> None:
    async with memory_server(None, [replay(paused=True, wait_for_client=1)]) as server:
        began = trio.current_time()
        assert await done(server, "/replay/step") == standing("paused", None)
        assert trio.current_time() - began == pytest.approx(1)


REFUSED = {
    "another control": ("/replay/stop", 404, "pause, resume, step, seek"),
    "no control": ("/replay/", 404, "pause, resume, step, seek"),
    "another dataset": ("/replay/pause?dataset=P", 404, "no replay of 'P' here: the replays are SIP"),
    "no place to go": ("/replay/seek", 400, "/replay/seek?to="),
    "a place that is none": ("/replay/seek?to=noon", 400, "to='noon' is no time: write ISO 8601"),
    "a place beyond 64 bits": ("/replay/seek?to=9223372036854775808", 400, "is no time"),
    "no step": ("/replay/step?n=0", 400, "by 1 event or more, not by 0"),
    "a step back": ("/replay/step?n=-1", 400, "n='-1' is no number of events"),
    "a huge step": ("/replay/step?n=1000000000", 400, "is no number of events"),
    "foreign digits": ("/replay/step?n=%D9%A3", 400, "is no number of events"),
    "an empty step": ("/replay/step?n=", 400, "n='' is no number"),
    "an unknown parameter": ("/replay/step?count=2", 400, "unknown parameter 'count': this control has dataset, n"),
    "a parameter of another control": ("/replay/pause?to=1", 400, "this control has dataset"),
    "a parameter twice": ("/replay/step?n=1&n=2", 400, "twice"),
    "no parameter": ("/replay/step?n", 400, "malformed query"),
    "no UTF-8": ("/replay/step?dataset=%FF", 400, "malformed query"),
}


@pytest.mark.parametrize(("target", "status", "why"), REFUSED.values(), ids=REFUSED)
async def test_a_request_that_makes_no_sense_changes_nothing(
    autojump_clock: MockClock, replay: Callable[..., Replay], target: str, status: int, why: str
) -> None:
    source = replay()
    async with memory_server(None, [source, Program("P")]) as server:
        await trio.sleep(2.5)
        found, _, body = await ask(server, target)
        assert found == status
        assert why in body
        assert body.count("\n") == 1
        assert (source.state, source.position) == ("running", (START + 2) * S)


async def test_methods_and_bodies(autojump_clock: MockClock, replay: Callable[..., Replay]) -> None:
    async with memory_server(None, [replay()]) as server:
        for method in ("GET", "PUT", "HEAD"):
            status, headers, _ = await ask(server, "/replay/pause", method=method)
            assert (status, headers["allow"]) == (405, "POST")
        for target in ("/health", "/replay", WS):
            status, headers, _ = await ask(server, target)
            assert (status, headers["allow"]) == (405, "GET")
        assert (await ask(server, "/replay/pause", "Content-Length: 5"))[0] == 413
        assert (await ask(server, "/replay/pause", "Transfer-Encoding: chunked"))[0] == 400


async def test_without_a_replay_there_is_nothing_to_control(autojump_clock: MockClock) -> None:
    async with memory_server() as server:
        status, _, body = await ask(server, "/replay/pause")
        assert (status, body) == (404, "there is no replay on this server\n")


async def test_a_page_from_elsewhere_may_not_post_here(
    autojump_clock: MockClock, replay: Callable[..., Replay]
) -> None:
    source = replay()
    async with memory_server(None, [source]) as server:
        for origin in ("https://evil.example", "null", "file://"):
            status, _, body = await ask(server, "/replay/pause", f"Origin: {origin}")
            assert (status, "origin" in body, source.state) == (403, True, "running")
        await done(server, "/replay/pause", "Origin: http://localhost:3000")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8080", None, 200),
        ("[::1]:8080", "http://[::1]:3000", 200),
        ("localhost", "https://desk.example", 200),
        ("desk.example:8080", "https://desk.example", 200),
        ("desk.example", None, 200),
        # A name that a stranger lets mean this machine: to a browser, a page of that name is our own.
        ("evil.example:8080", "http://evil.example:8080", 403),
        ("evil.example:8080", None, 403),
        ("evil.example:8080", "http://localhost:3000", 403),
        ("localhost.evil.example", None, 403),
        ("10.1.2.3:8080", "http://10.1.2.3:8080", 403),
    ],
)
async def test_a_page_by_another_name_of_this_machine_may_not_post_here(
    autojump_clock: MockClock, replay: Callable[..., Replay], host: str, origin: str | None, status: int
) -> None:
    source = replay()
    async with memory_server(ServerConfig(access=AccessConfig(origins=("https://desk.example",))), [source]) as server:
        headers = [f"Host: {host}"] + ([] if origin is None else [f"Origin: {origin}"])
        found, _, body = await ask(server, "/replay/pause", *headers)
        assert (found, source.state) == (status, "paused" if status == 200 else "running"), body


async def test_a_name_of_this_server_will_do_from_elsewhere(
    autojump_clock: MockClock, replay: Callable[..., Replay]
) -> None:
    access = AccessConfig(trusted_proxies=("127.0.0.1",))
    async with memory_server(ServerConfig(access=access, control=ControlConfig(("10.0.0.0/8",))), [replay()]) as server:
        await done(server, "/replay/pause", "Host: market.example", "X-Forwarded-For: 10.1.2.3")
        page = ("Host: market.example", "X-Forwarded-For: 10.1.2.3", "Origin: http://market.example")
        assert (await ask(server, "/replay/pause", *page))[0] == 403


@pytest.mark.parametrize("header", ["Forwarded: for=10.1.2.3", "X-Real-IP: 10.1.2.3", "Via: 1.1 proxy"])
@pytest.mark.parametrize("proxies", [(), ("127.0.0.1",)])
async def test_a_proxy_that_does_not_say_for_whom_it_asks_is_refused(
    autojump_clock: MockClock, replay: Callable[..., Replay], header: str, proxies: tuple[str, ...]
) -> None:
    async with memory_server(ServerConfig(access=AccessConfig(trusted_proxies=proxies)), [replay()]) as server:
        assert (await ask(server, "/replay/pause", header))[0] == 403


@pytest.mark.parametrize(
    ("proxies", "allow", "forwarded", "status"),
    [
        (("127.0.0.1",), (), None, 200),
        (("127.0.0.1",), (), "127.0.0.1", 200),
        (("127.0.0.1",), (), "::1", 200),
        (("127.0.0.1",), (), "10.1.2.3", 403),
        (("127.0.0.1",), (), "127.0.0.1, 10.1.2.3", 403),
        (("127.0.0.1",), ("10.0.0.0/8",), "10.1.2.3", 200),
        (("127.0.0.1",), ("10.0.0.0/8",), "2001:db8::1", 403),
        (("127.0.0.1",), ("10.0.0.0/8",), None, 200),
        ((), (), "127.0.0.1", 403),
        ((), ("0.0.0.0/0",), "10.1.2.3", 403),
    ],
)
async def test_only_loopback_may_control_unless_configured(
    autojump_clock: MockClock,
    replay: Callable[..., Replay],
    proxies: tuple[str, ...],
    allow: tuple[str, ...],
    forwarded: str | None,
    status: int,
) -> None:
    source = replay()
    config = ServerConfig(access=AccessConfig(trusted_proxies=proxies), control=ControlConfig(allow))
    async with memory_server(config, [source]) as server:
        headers = [] if forwarded is None else [f"X-Forwarded-For: {forwarded}"]
        found, _, body = await ask(server, "/replay/pause", *headers)
        assert found == status, body
        assert source.state == ("paused" if status == 200 else "running")
        assert (await ask(server, "/health", *headers, method="GET"))[0] == 200


async def test_the_loopback_of_another_machine_gives_no_orders(
    autojump_clock: MockClock, replay: Callable[..., Replay]
) -> None:
    source = replay()
    config = ServerConfig(access=AccessConfig(trusted_proxies=("10.0.0.1",)))
    async with memory_server(config, [source]) as server:
        client = RawClient(server.connect(ip_address("10.0.0.1")))
        await client.stream.send_all(
            b"POST /replay/pause HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
        )
        assert (await client.http_answer())[0] == 403
        assert source.state == "running"


def test_networks_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="'ten' is no network"):
        ControlConfig(("ten",))


async def test_health_shows_how_each_replay_stands(autojump_clock: MockClock, replay: Callable[..., Replay]) -> None:
    async with memory_server(None, [replay(), Program("P")]) as server:
        await trio.sleep(1.5)
        await done(server, "/replay/pause")
        _, _, body = await ask(server, "/health", method="GET")
        first, second = json.loads(body)["datasets"]
        expected = standing("paused", 1)
        del expected["dataset"]
        assert (first["replay"], first["source"]) == (expected, "running")
        assert "replay" not in second
