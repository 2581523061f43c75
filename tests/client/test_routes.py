"""Topics by board and symbol: what was found stays true as topics come and go."""

from __future__ import annotations

import pytest

from datafye_trio.client.routes import Routes
from datafye_trio.client.topic import Topic
from datafye_trio.model import AssetClass, Channel, TopicKey

BOARD = ("trade", "SIP")
TOPIC = Topic(TopicKey("SIP", AssetClass.STOCKS, Channel.TRADES, "A"))


def test_a_topic_comes_and_goes() -> None:
    routes = Routes()
    assert not routes.board(BOARD)
    routes.add((BOARD, "A"), TOPIC)
    found = routes.board(BOARD)
    assert found == {"A": TOPIC}
    routes.remove((BOARD, "A"))
    assert not found
    routes.remove((BOARD, "A"))
    routes.remove((("quote", "SIP"), "A"))
    routes.add((BOARD, "A"), TOPIC)
    assert found == {"A": TOPIC}
    routes.clear()
    assert not found


def test_a_board_that_cannot_be_looked_up() -> None:
    with pytest.raises(TypeError):
        Routes().board(("trade", []))
