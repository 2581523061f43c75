"""Games with a simulated server, step by step."""

from __future__ import annotations

import json
from typing import Any

from client.judged import Game, Reader
from client.simulated import Key

from datafye_trio.client.board import BoardKey
from datafye_trio.client.topic import Topic
from datafye_trio.model import Channel, Gap

A, B, C = (("trades", symbol) for symbol in "ABC")


def playing(*, connect: bool = True, **limits: int) -> Game:
    game = Game(**limits)
    if connect:
        game.connect()
        game.deliver(1)
    return game


def reader(game: Game, *symbols: str, policy: Any = "wait", capacity: int = 8, channel: str = "trades") -> Reader:
    game.open(channel, symbols, policy, capacity, snapshots=True)
    return game.readers[-1]


def exchange(game: Game) -> None:
    """Ask, answer and hear, once; nobody reads."""
    game.ask()
    game.serve(100)
    game.deliver(1_000)


def publish(game: Game, key: Key, count: int = 1) -> None:
    for _ in range(count):
        game.server.publish(key)


def topic(game: Game, key: Key) -> Topic:
    return game.talk.book.boards[BoardKey("SIP", Channel(key[0]))].topics[key[1]]


def asked(game: Game) -> list[dict[str, Any]]:
    """What would be sent now; it is sent."""
    game.ask()
    return [json.loads(text) for text in game.server.to_server]


def items(one: Reader, *, judged: bool = True) -> list[Any]:
    """What waits: the seq of each message, and gaps. Not judged where a server is worse than ours."""
    found = one.drain() if judged else [one.buffer.pop() for _ in range(len(one.buffer))]
    return [(item.first, item.last, item.reason) if isinstance(item, Gap) else int(item.size) for item in found]


def refuse(
    game: Game, number: int | None, code: str = "UNKNOWN_SYMBOL", *, retryable: bool = False, **more: Any
) -> None:
    """An error in answer to a request, or unasked."""
    game.server.to_server.clear()
    answer = {} if number is None else {"id": number}
    game.server.tell(type="error", code=code, message="no", retryable=retryable, **answer, **more)
    game.deliver(10)
