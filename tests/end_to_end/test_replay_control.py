"""A `datafye-trio serve --replay --paused` process, moved by HTTP as by `curl`, before a client that others wrote."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from processes import WAIT, serving
from websockets.sync.client import connect

BEGAN = 1_723_161_300  # 2024-08-08T23:55:00Z


def post(url: str, target: str) -> Any:
    """The JSON answer to a POST."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=WAIT)
    try:
        connection.request("POST", target)
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())
    finally:
        connection.close()


def test_a_replay_is_stepped_and_moved_by_http(tmp_path: Path) -> None:
    rows = "".join(f"A,{BEGAN + n}000000000,1,1,{n}\n" for n in range(120))
    (tmp_path / "t.csv").write_text("symbol,ts_ns,price,size,trade_id\n" + rows)
    part = ("--paused", "--from", "2024-08-08T23:55:10Z", "--to", "2024-08-08T19:56:40")
    with (
        serving("--replay", str(tmp_path), "--dataset", "T", *part, "--shift-to-now") as url,
        connect(f"{url}/stocks/live/trades?symbols=A", compression=None) as client,
    ):
        assert [json.loads(client.recv(WAIT))["type"] for _ in range(2)] == ["connected", "subscribed"]
        assert post(url, "/replay/step?n=2")["time"] == "2024-08-08T23:55:11.000000000Z"
        assert post(url, "/replay/seek?to=2024-08-08T23:56:39.5Z")["state"] == "paused"
        assert post(url, "/replay/seek?to=2024-08-08T23:56:38.5%2B00:00")["dataset"] == "T"
        assert post(url, "/replay/step?n=5")["position"] == (BEGAN + 99) * 10**9
        found = [json.loads(client.recv(WAIT)) for _ in range(3)]
    assert [message["tradeID"] for message in found] == ["10", "11", "99"]
    first, second, last = (message["exchangeTimestamp"] for message in found)
    assert (second - first, last - first) == (10**9, 89 * 10**9)
    assert first > BEGAN * 10**9 + 10**16  # years later: now
