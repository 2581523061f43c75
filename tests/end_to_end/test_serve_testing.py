"""A `datafye-trio serve --testing` process, broken by HTTP as by `curl`, before a client that others wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from processes import WAIT, serving, until
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect


def ask(url: str, method: str, target: str, content: dict[str, Any] | None = None) -> Any:
    """The JSON answer to a request."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=WAIT)
    try:
        connection.request(method, target, None if content is None else json.dumps(content))
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)
    finally:
        connection.close()


def test_a_process_is_broken_by_http() -> None:
    with serving("--testing", "--rate", "1000") as url:
        with connect(f"{url}/stocks/live/trades?symbols=*", compression=None) as client:
            first = json.loads(client.recv(WAIT))
            (listed,) = ask(url, "GET", "/faults")["connections"]
            assert ask(url, "POST", "/faults/drop", {"connection": listed["connection"]})["done"] == 1
            with pytest.raises(ConnectionClosedError) as lost:
                while True:
                    client.recv(WAIT)
            assert lost.value.rcvd is None  # no close frame: it was cut
        assert ask(url, "POST", "/faults/refuse?count=1&status=429")["active"]
        with pytest.raises(InvalidStatus) as refused:
            connect(url, compression=None)
        assert refused.value.response.status_code == 429
        assert ask(url, "POST", "/faults/restart", {"down": 0.1}) == {"fault": "restart", "active": False}
        with connect(url, compression=None) as client:
            again = json.loads(client.recv(WAIT))
            assert first["datasets"][0]["epoch"] != again["datasets"][0]["epoch"]
            ask(url, "POST", "/faults/close", {"code": 4321, "reason": "enough"})
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(WAIT)
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "enough")
        until(lambda: ask(url, "GET", "/faults") == {"active": [], "connections": []})


def test_standard_input_goes_on_after_a_restart() -> None:
    command = [
        sys.executable,
        "-m",
        "datafye_trio",
        "serve",
        "--port",
        "0",
        "--testing",
        "--stdin",
        "--dataset",
        "Mine",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("listening on ").strip()
            for n in range(2):
                with connect(f"{url}/stocks/live/trades?symbols=AAPL", compression=None) as client:
                    assert [json.loads(client.recv(WAIT))["type"] for _ in range(2)] == ["connected", "subscribed"]
                    line = {
                        "type": "trade",
                        "symbol": "AAPL",
                        "exchangeTimestamp": n,
                        "tradePrice": 1.5,
                        "tradeSize": 1,
                    }
                    process.stdin.write(json.dumps(line) + "\n")
                    process.stdin.flush()
                    assert json.loads(client.recv(WAIT))["exchangeTimestamp"] == n
                ask(url, "POST", "/faults/restart")
            process.terminate()
            assert process.wait(WAIT) == 0
        finally:
            process.kill()
