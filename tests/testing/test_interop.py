"""The test server and clients that others wrote: each gets scripted data, answers heartbeats, and is cut when mute."""

from __future__ import annotations

import time

import pytest
from testing import foreign

from datafye_trio.testing import run_test_server, trade


@pytest.fixture(params=foreign.CLIENTS, ids=lambda client: client.__name__)
def client(request: pytest.FixtureRequest) -> foreign.Client:
    chosen: foreign.Client = request.param
    if chosen is foreign.node and not foreign.node_has_websocket():
        pytest.skip("there is no Node here with a WebSocket of its own, or ws")
    return chosen


def test_it_gets_what_the_test_publishes_and_lives_on_while_it_answers(client: foreign.Client) -> None:
    with run_test_server() as server, foreign.running(client, server.url, answers=True) as (told, ended):
        server.wait_subscribed("trades", "AAPL")
        server.publish([trade("AAPL", 1.5), trade("MSFT", 2.0), trade("AAPL", 2.5)])
        server.advance(40)
        assert len(server.connections) == 1
        assert len(server.log.messages("pong")) == 4
        server.advance(400)
        server.faults.close(4000, "enough")
        ended()
        assert (told.prices, told.heartbeats, told.code) == ([1.5, 2.5], 44, 4000)
        server.wait_closed()


def test_one_that_is_mute_is_cut(client: foreign.Client) -> None:
    with run_test_server() as server, foreign.running(client, server.url, answers=False) as (told, ended):
        server.wait_subscribed("trades", "AAPL")
        began = time.monotonic()
        server.advance(40)
        assert time.monotonic() - began < 5  # a bound against hanging; 0.3 s as a rule
        ended()
        assert told.code == 4009
        assert told.heartbeats in (3, 4)  # the fourth is due when the first is overdue
        server.wait_closed()


def test_a_cut_without_a_word_ends_it(client: foreign.Client) -> None:
    with run_test_server() as server, foreign.running(client, server.url, answers=True) as (told, ended):
        server.wait_subscribed("trades", "AAPL")
        assert server.faults.drop().hits == 1
        ended()
        assert told.code in (None, 1006)
