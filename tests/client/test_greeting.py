"""The conversation of a connection on which nothing is asked, message by message."""

from __future__ import annotations

import json

import pytest

from datafye_trio.client.conversation import NotGreeted
from datafye_trio.client.greeting import Listening

GREETING = json.dumps(
    {
        "type": "connected", "connectionId": "c1", "protocol": 1, "timestampUnit": "ns", "heartbeatInterval": 10,
        "heartbeatTimeout": 30, "datasets": [], "limits": {}, "timestamp": 1,
    }
)  # fmt: skip


def test_a_whole_greeting_is_heard_and_kept_and_nothing_is_ever_asked() -> None:
    listening = Listening()
    listening.begin()
    listening.take([])
    assert not listening.greeted
    listening.take([GREETING.encode()])
    listening.take(["what comes later is not listened to"])
    listening.try_again()
    listening.cut()
    assert listening.greeted
    assert listening.connected is not None
    assert listening.connected.connection_id == "c1"
    assert listening.outgoing() == []


@pytest.mark.parametrize(
    "first", ['{"type":"connected"}', "{", "[]", b"\xff", '{"type":"heartbeat","timestamp":1,"lag":0,"sent":0}']
)
def test_anything_else_is_no_greeting(first: str | bytes) -> None:
    with pytest.raises(NotGreeted, match="no greeting"):
        Listening().take([first, GREETING])
