"""`/faults` by HTTP: what it does, what it answers, and whom it refuses."""

from __future__ import annotations

import inspect
import json
from ipaddress import ip_address
from typing import Any

import pytest
import trio
from support import RawClient, upgrade_head
from trio.testing import MockClock, memory_stream_pair

from datafye_trio.errors import ServerClosedError
from datafye_trio.server import AccessConfig
from datafye_trio.testing.control import FAULTS, Control
from datafye_trio.testing.faults import Faults
from datafye_trio.testing.log import Log
from datafye_trio.testing.opening import open_test_server
from datafye_trio.testing.posting import Posted
from datafye_trio.testing.server import TestServer
from datafye_trio.wire import Head, HttpError


class Bench:
    """A control, and what its faults have asked of their server."""

    def __init__(self, access: AccessConfig | None = None) -> None:
        self.restarts: list[tuple[float, bool]] = []
        self.lost = 0
        self.down = False
        self.faults = Faults(Log(), restart=self._restart, lose_ring=self._lose_ring)
        self.control = Control(self.faults, access)

    async def ask(
        self, target: str, *headers: str, method: str = "POST", body: str = "", read: int = 10_000
    ) -> tuple[int, dict[str, str], str]:
        """Send a request, of which the door has read so many bytes, and return the answer."""
        ours, theirs = memory_stream_pair()
        host = [] if any(line.startswith("Host:") for line in headers) else ["Host: localhost:8080"]
        length = [f"Content-Length: {len(body)}"] if body else []
        data = "\r\n".join([f"{method} {target} HTTP/1.1", *host, *length, *headers, "", body]).encode()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, theirs, data[:read])
            await ours.send_all(data[read:])
            answer = await RawClient(ours).http_answer()
            await ours.aclose()
        return answer

    async def done(self, target: str, **options: Any) -> Any:
        """Send a request that is granted, and return what it says."""
        status, headers, body = await self.ask(target, **options)
        assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8"), body
        return json.loads(body)

    async def _serve(self, stream: trio.StapledStream[Any, Any], read: bytes) -> None:
        await self.control(stream, read)
        await stream.aclose()

    async def _restart(self, down: float, clean: bool) -> None:
        await trio.sleep(down)
        self.restarts.append((down, clean))

    def _lose_ring(self) -> None:
        if self.down:
            raise ServerClosedError("the server is down: it restarts")
        self.lost += 1


def test_what_can_be_called_for_is_what_makes_a_fault() -> None:
    public = {name: inspect.signature(method) for name, method in inspect.getmembers(Faults, inspect.isfunction)}
    makes = {name for name, signature in public.items() if signature.return_annotation == "Fault" and name[0] != "_"}
    assert {*FAULTS} == makes | {"restart", "lose_ring"}


async def test_a_fault_is_called_for_listed_and_ended(autojump_clock: MockClock) -> None:
    bench = Bench()
    assert await bench.done("/faults", method="GET") == {"active": [], "connections": []}
    begun = await bench.done("/faults/delay", body='{"seconds": 2, "jitter": 0.5}')
    assert begun == {"fault": "delay(2, jitter=0.5)", "active": True, "done": 0}
    assert await bench.done("/faults/mute?connection=3") == {"fault": "mute() on #3", "active": True, "done": 0}
    (delay, mute) = bench.faults.active
    assert (delay.conditions.latency, delay.conditions.jitter, mute.connection) == (2.0, 0.5, 3)
    standing = await bench.done("/faults", method="GET")
    assert [fault["fault"] for fault in standing["active"]] == ["delay(2, jitter=0.5)", "mute() on #3"]
    mute.end()
    assert (await bench.done("/faults/clear"))["active"] == []
    assert bench.faults.active == ()


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("restart", "lose_ring")])
async def test_every_fault_can_be_called_for(autojump_clock: MockClock, name: str) -> None:
    bench = Bench()
    needed = {"delay": {"seconds": 1}, "slow_reads": {"bytes_per_second": 10}, "close": {"code": 1001}}
    told = await bench.done(f"/faults/{name}", body=json.dumps(needed.get(name, {})))
    assert told["fault"].startswith(f"{name}(")
    now = name in ("drop", "close")  # of connections that are open: there are none
    assert told["active"] is (not now)
    assert [fault.name for fault in bench.faults.active] == ([] if now else [name])


async def test_a_restart_is_answered_once_it_is_done(autojump_clock: MockClock) -> None:
    bench = Bench()
    assert await bench.done("/faults/restart?down=60&clean=false") == {"fault": "restart", "active": False}
    assert trio.current_time() == pytest.approx(60)
    await bench.done("/faults/restart")
    assert bench.restarts == [(60.0, False), (0.0, True)]
    await bench.done("/faults/lose_ring")
    assert bench.lost == 1


async def test_while_the_server_is_down_is_409(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.down = True
    status, _, body = await bench.ask("/faults/lose_ring")
    assert (status, body) == (409, "the server is down: it restarts\n")


@pytest.mark.parametrize("read", [1, 60, 90])
async def test_the_door_may_have_read_any_part_of_it(autojump_clock: MockClock, read: int) -> None:
    told = await Bench().done("/faults/refuse", body='{"count": 2, "status": null}', read=read)
    assert told["active"]


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "another fault": ({"target": "/faults/explode"}, 404, "no such fault: POST /faults/ and one of mute, "),
    "no fault": ({"target": "/faults/mute/now"}, 404, "no such fault"),
    "another path": ({"target": "/faultsmute"}, 404, "no such fault"),
    "its inside": ({"target": "/faults/attach"}, 404, "no such fault"),
    "its other inside": ({"target": "/faults/__init__"}, 404, "no such fault"),
    "a GET": ({"target": "/faults/mute", "method": "GET"}, 405, "only POST"),
    "a POST of the list": ({"target": "/faults"}, 405, "only GET"),
    "a parameter that is missing": ({"target": "/faults/delay"}, 400, "delay needs seconds: a number"),
    "an unknown one": ({"target": "/faults/mute?for=3"}, 400, "mute has no parameter 'for': it takes connection"),
    "one of clear": ({"target": "/faults/clear?connection=1"}, 400, "clear has no parameter 'connection': it takes"),
    "a value that cannot be": ({"target": "/faults/corrupt?probability=2"}, 400, "a probability is from 0 to 1"),
    "two that exclude each other": ({"target": "/faults/drop?after=1&mid_frame=true"}, 400, "give one of them"),
    "a connection that never came": ({"target": "/faults/mute?connection=0"}, 400, "there is no connection #0"),
    "a body that is none": ({"target": "/faults/mute", "body": "x"}, 400, "the body must be one JSON object"),
    "malformed HTTP": ({"target": "/faults mute"}, 400, "malformed HTTP"),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "why"), REFUSED.values(), ids=REFUSED)
async def test_what_makes_no_sense_changes_nothing(
    autojump_clock: MockClock, request_: dict[str, Any], status: int, why: str
) -> None:
    bench = Bench()
    found, _, body = await bench.ask(**request_)
    assert found == status
    assert why in body
    assert body.count("\n") == 1
    assert bench.faults.active == ()


FOREIGN = {
    "a web page": ("Origin: https://evil.example", "the origin 'https://evil.example' is not allowed here"),
    "a page of a name that means this machine": ("Host: evil.example", "no name of this machine to give orders by"),
    "a proxy": ("X-Forwarded-For: 10.0.0.1", "X-Forwarded-For speaks for another"),
    "another proxy": ("Via: 1.1 x", "Via speaks for another"),
}


@pytest.mark.parametrize(("header", "why"), FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_foreign_requests_are_403(autojump_clock: MockClock, header: str, why: str, method: str) -> None:
    bench = Bench()
    status, _, body = await bench.ask("/faults/mute" if method == "POST" else "/faults", header, method=method)
    assert status == 403
    assert why in body
    assert bench.faults.active == ()


async def test_local_and_configured_pages_may(autojump_clock: MockClock) -> None:
    bench = Bench(AccessConfig(origins=("https://mine.example",)))
    for origin in ("http://localhost:3000", "http://127.0.0.1", "https://mine.example"):
        status, _, _ = await bench.ask("/faults/slices", f"Origin: {origin}")
        assert status == 200
    assert len(bench.faults.active) == 3


async def test_other_machines_may_not(autojump_clock: MockClock) -> None:
    posted = Posted(Head("/faults/mute", "", {"host": "localhost"}, "POST"))
    bench = Bench()
    assert (await bench.control.answer(posted, ip_address("::1")))["active"]
    with pytest.raises(HttpError, match="for this machine alone: 10.0.0.1 is another") as caught:
        await bench.control.answer(posted, ip_address("10.0.0.1"))
    assert caught.value.status == 403


async def test_who_sends_half_a_request_gets_408_and_who_does_not_read_is_left(autojump_clock: MockClock) -> None:
    bench = Bench()
    ours, theirs = memory_stream_pair()
    await bench.control(theirs, b"POST /faults/mute HTTP/1.1\r\n")
    assert trio.current_time() == pytest.approx(6)  # 5 s to read it, 1 s for the rest of it before the end
    assert (await RawClient(ours).http_answer())[0] == 408
    ours.send_stream.close()
    with pytest.raises(trio.BrokenResourceError, match="within its request"):
        await bench.control(theirs, b"POST /faults/mute HTTP/1.1\r\n")


async def post(server: TestServer, target: str, body: str = "") -> dict[str, Any]:
    """Post to a test server in memory."""
    client = RawClient(server.connect())
    lines = [f"POST {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "", body]
    await client.stream.send_all("\r\n".join(lines).encode())
    status, _, text = await client.http_answer()
    assert status == 200, text
    told: dict[str, Any] = json.loads(text)
    return told


ENDS = {
    "drop": (1006, ""),
    "restart?clean=false&down=2": (1006, ""),
    "restart": (1012, "the server restarts"),
    "close?code=4000&reason=enough": (4000, "enough"),
}


async def test_who_calls_for_the_end_of_all_connections_is_answered_on_its_own(autojump_clock: MockClock) -> None:
    async with open_test_server(control=True) as server:
        epochs = []
        for order, end in ENDS.items():
            client = RawClient(server.connect())
            await client.stream.send_all(upgrade_head())
            assert (await client.http_answer())[0] == 101
            epochs.append((await client.message())["datasets"][0]["epoch"])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post, server, f"/faults/{order}")
                assert await client.closed() == end
                await client.stream.aclose()
        assert epochs[0] == epochs[1]
        assert len({*epochs}) == 3


async def test_open_connections_are_listed_by_their_numbers(autojump_clock: MockClock) -> None:
    async with open_test_server(control=True) as server:
        client = RawClient(server.connect())
        await client.stream.send_all(upgrade_head("/datafye-ws/v1/stocks/live/ticks?symbols=AAPL"))
        assert (await client.http_answer())[0] == 101
        standing = await post(server, "/faults/clear")
        (one,) = standing["connections"]
        assert one == {"connection": 1, "path": "/datafye-ws/v1/stocks/live/ticks?symbols=AAPL", "address": "memory"}
        assert (await post(server, "/faults/drop", '{"connection": 1}'))["done"] == 1
        assert await client.closed() == (1006, "")


async def test_where_it_was_not_asked_for_there_is_no_such_path(autojump_clock: MockClock) -> None:
    async with open_test_server() as server:
        client = RawClient(server.connect())
        await client.stream.send_all(b"GET /faults HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client.http_answer())[0] == 404
