"""Requests keep within what the server takes, however much is wanted."""

from __future__ import annotations

import json

import pytest
from client.playing import exchange, playing, publish, reader
from client.simulated import Numbers
from hypothesis import given, settings
from hypothesis import strategies as st


def symbols_of(count: int, size: int = 5) -> list[str]:
    return [f"{number:0{size}}" for number in range(count)]


@pytest.mark.unmeasured
@given(st.integers(1, 400), st.integers(1, 32), st.sampled_from([4_096, 4_097, 5_000]), st.integers(1, 500))
@settings(max_examples=20)
def test_every_request_is_as_small_as_the_server_wants(count: int, size: int, limit: int, symbols: int) -> None:
    """The simulated server refuses to read a longer one."""
    names = [name.rjust(size, "Z")[:32] for name in symbols_of(count)]
    game = playing(requestBytes=limit, symbolsPerRequest=symbols)
    for name in names:
        game.server.topics["trades", name] = Numbers(10**18, 10**18)  # positions of many digits
    everything = reader(game, "*", capacity=10_000)
    one = reader(game, *names, capacity=10_000)
    game.settle()
    game.cut()
    game.finish()
    everything.leave()
    game.finish()
    one.leave()
    game.finish()


def test_requests_are_few_and_every_symbol_is_the_last() -> None:
    game = playing(requestBytes=4_096)
    names = symbols_of(300)
    reader(game, "*", capacity=10_000)
    reader(game, *names, capacity=10_000)
    game.settle()
    for name in names:
        publish(game, ("trades", name))
    game.settle()
    game.cut()
    game.connect()
    game.deliver(1)
    game.ask()
    sizes = [len(text) for text in game.server.to_server]
    assert len(sizes) == 4
    assert max(sizes) <= 4_096
    exchange(game)
    game.ask()
    last = json.loads(game.server.to_server[-1])
    assert (last["symbols"], last["resume"]) == (["*"], {"epoch": "e1", "positions": {}})
    game.finish()


def test_the_dataset_and_the_epoch_count_for_the_size_of_a_request() -> None:
    game = playing(requestBytes=4_096)
    reader(game, *symbols_of(300))
    game.settle()
    for board in game.talk.book.boards.values():
        for topic in board.topics.values():
            topic.epoch = "ü" * 300  # six bytes each, as JSON
    game.cut()
    game.connect()
    game.deliver(1)
    game.ask()
    assert max(len(text) for text in game.server.to_server) <= 4_096
