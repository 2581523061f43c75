"""Recipe: a program without any event loop is tested offline.

    pytest scripts/examples/test_sync_client.py

What is to be sent, and when, is said beforehand, so that the test needs no thread of its own.
"""

from __future__ import annotations

import json

import pytest
from websockets.sync.client import connect

from datafye_trio.testing import ThreadedTestServer, quote


def spread(url: str, symbol: str) -> float:
    """The program: the spread of the first quote of a symbol."""
    with connect(f"{url}/stocks/live/quotes") as websocket:
        websocket.send(json.dumps({"action": "subscribe", "dataset": "SIP", "symbols": [symbol]}))
        while True:
            message = json.loads(websocket.recv(timeout=10))
            if message["type"] == "quote":
                return float(message["askPrice"] - message["bidPrice"])


def test_the_spread(datafye: ThreadedTestServer) -> None:
    datafye.expect_subscribe("quotes", "AAPL").then_publish(quote("AAPL", 189.10, 189.14))
    assert spread(datafye.url, "AAPL") == pytest.approx(0.04)


@pytest.mark.datafye(dialect="datafye")
def test_it_counts_on_nothing_that_datafye_does_not_document(datafye: ThreadedTestServer) -> None:
    datafye.expect_subscribe("quotes", "AAPL").then_publish(quote("AAPL", 189.10, 189.14))
    assert spread(datafye.url, "AAPL") == pytest.approx(0.04)
