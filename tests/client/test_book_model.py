"""The property of a client's book: whatever happens, each reader gets each message once, in order, or an exact gap.

Subscribing, leaving, stalling, cuts, servers that begin anew or make mistakes, in any order, against a server that was
written from the protocol alone.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from client.judged import Game
from client.simulated import BOGUS
from hypothesis import given, settings
from hypothesis import strategies as st

SYMBOLS = ["A", "B", "C"]
CHANNELS = ["trades", "quotes"]
POLICIES = ["wait", "wait", "wait", "drop_oldest", "latest", "error"]


def play(ops: list[tuple[Any, ...]], *, raw: bool = False) -> Game:
    """With raw items, requests of two symbols at the most."""
    game = Game(raw=raw, symbolsPerRequest=2 if raw else 10_000)
    for name, *arguments in ops:
        step(game, name, arguments)
        game.check()
    game.finish()
    return game


def step(game: Game, name: str, arguments: list[Any]) -> None:
    match name:
        case "publish":
            key, count, mistake = arguments
            for _ in range(count - 1):
                game.server.publish(key)
            game.server.publish(key, skip=mistake == "skip", repeat=mistake == "repeat")
        case "shrink":
            game.server.shrink(*arguments)
        case "busy":
            game.server.busy = True
        case "open":
            channel, symbols, policy, capacity, snapshots = arguments
            game.open(channel, symbols, policy, capacity, snapshots=snapshots)
        case "add" | "remove" | "take" | "leave" if not game.readers:
            pass
        case "add" | "remove" | "take":
            who, argument = arguments
            getattr(game.readers[who % len(game.readers)], name)(argument)
        case "leave":
            game.readers[arguments[0] % len(game.readers)].leave()
        case _:
            getattr(game, name)(*arguments)


channel = st.sampled_from(CHANNELS)
symbol = st.sampled_from([*SYMBOLS, BOGUS])
symbols = st.one_of(st.lists(symbol, min_size=1, max_size=3, unique=True).map(tuple), st.just(("*",)))
key = st.tuples(channel, st.sampled_from(SYMBOLS))
who = st.integers(0, 4)
few = st.integers(1, 6)
mistake = st.sampled_from(["", "", "", "skip", "repeat"])
OPS = st.one_of(
    st.tuples(st.just("publish"), key, few, mistake),
    st.tuples(st.just("ask")),
    st.tuples(st.just("serve"), few),
    st.tuples(st.just("deliver"), few),
    st.tuples(st.just("open"), channel, symbols, st.sampled_from(POLICIES), few, st.booleans()),
    st.tuples(st.just("take"), who, few),
    st.tuples(st.just("add"), who, st.sampled_from([*SYMBOLS, BOGUS, "*"])),
    st.tuples(st.just("remove"), who, st.sampled_from([*SYMBOLS, "*"])),
    st.tuples(st.just("leave"), who),
    st.tuples(st.sampled_from(["cut", "connect", "connect", "restart", "renew", "busy", "try_again"])),
    st.tuples(st.just("shrink"), key, st.integers(0, 3)),
)


@pytest.mark.unmeasured
@given(st.lists(OPS, max_size=60), st.booleans())
@settings(max_examples=150)
def test_each_message_once_in_order_or_an_exact_gap(ops: list[tuple[Any, ...]], raw: bool) -> None:
    play(ops, raw=raw)


def random_ops(seed: int, count: int) -> list[tuple[Any, ...]]:
    """A long game, in which the wire moves often enough that something happens on it."""
    dice = random.Random(seed)
    ops: list[tuple[Any, ...]] = [("connect",)]
    names = ["publish"] * 8 + ["ask"] * 6 + ["serve"] * 6 + ["deliver"] * 9 + ["take"] * 6
    names += ["open"] * 2 + ["add", "remove", "leave", "connect", "connect", "shrink", "try_again"]
    names += dice.choice([[], ["cut"], ["cut", "restart"], ["cut", "renew"], ["busy", "cut"]])
    return ops + [_random_op(dice, dice.choice(names)) for _ in range(count)]


def _random_op(dice: random.Random, name: str) -> tuple[Any, ...]:
    at = (dice.choice(CHANNELS), dice.choice(SYMBOLS))
    match name:
        case "publish":
            return name, at, dice.randint(1, 4), dice.choice(["", "", "", "", "skip", "repeat"])
        case "serve" | "deliver":
            return name, dice.randint(1, 6)
        case "take":
            return name, dice.randint(0, 4), dice.randint(1, 6)
        case "open":
            some = tuple(dice.sample([*SYMBOLS, BOGUS], dice.randint(1, 3))) if dice.random() < 0.6 else ("*",)
            return name, at[0], some, dice.choice(POLICIES), dice.choice([1, 2, 3, 8]), dice.random() < 0.5
        case "add":
            return name, dice.randint(0, 4), dice.choice([*SYMBOLS, *SYMBOLS, BOGUS, "*"])
        case "remove":
            return name, dice.randint(0, 4), dice.choice([*SYMBOLS, *SYMBOLS, "*"])
        case "leave":
            return name, dice.randint(0, 4)
        case "shrink":
            return name, at, dice.randint(0, 3)
        case _:
            return (name,)


@pytest.mark.parametrize("seed", range(60))
def test_long_games(seed: int) -> None:
    play(random_ops(seed, 250), raw=seed % 2 == 1)
