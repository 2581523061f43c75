"""Requests keep within what the server takes, however much is wanted, and what is done for many topics is linear."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from typing import Any

from client.judged import Game, Reader
from client.playing import exchange, playing, publish, reader
from client.simulated import Numbers
from hypothesis import given, settings
from hypothesis import strategies as st


def symbols_of(count: int, size: int = 5) -> list[str]:
    return [f"{number:0{size}}" for number in range(count)]


@given(st.integers(1, 400), st.integers(1, 32), st.sampled_from([4_096, 4_097, 5_000]), st.integers(1, 500))
@settings(max_examples=40, deadline=None)
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


def timed(act: Callable[[], Any]) -> float:
    gc.collect()
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def life(count: int) -> dict[str, float]:
    """What one subscription to so many topics costs, in seconds, step by step."""
    game, found, names = playing(), {}, symbols_of(count)
    made: list[Reader] = []

    def act(name: str, what: Callable[[], Any]) -> None:
        found[name] = timed(what)

    act("attach", lambda: made.append(reader(game, *names, capacity=4)))
    act("plan", game.ask)
    game.serve(1_000)
    act("joined", lambda: deliver(game))
    act("pause", lambda: game.talk.book.pause(made[0].sink))
    game.ask()
    game.serve(1_000)
    act("left", lambda: deliver(game))
    act("unpause", lambda: game.talk.book.unpause(made[0].sink))
    act("plan resume", game.ask)
    game.serve(1_000)
    act("rejoined", lambda: deliver(game))
    act("cut", game.cut)
    game.connect()
    exchange(game)
    act("remove each", lambda: [game.talk.book.detach(made[0].sink, [name]) for name in names[: count // 2]])
    act("leave", made[0].leave)
    return found


def deliver(game: Game) -> None:
    game.talk.take([game.server.to_client.popleft() for _ in range(len(game.server.to_client))])


def test_thirty_times_the_topics_cost_about_thirty_times_as_much() -> None:
    """A quadratic step would cost 900 times as much, and minutes with the 50,000 topics of a full connection."""
    small, large = ([life(count) for _ in range(3)] for count in (200, 6_000))
    for step in small[0]:
        before, after = (min(each[step] for each in lives) for lives in (small, large))
        assert after < 200 * max(before, 0.000_05), (step, before, after)
