"""The rate of log lines for one address and kind."""

import io
import logging
import re

import pytest
import trio
import trio.testing
from support import RawClient, memory_server

from datafye_trio.cli import log_rate
from datafye_trio.cli.log_rate import OnceASecond
from datafye_trio.cli.logging import logging_to


def record(address: str | None, event: str = "refused", logger: str = "datafye_trio.server") -> logging.LogRecord:
    made = logging.LogRecord(logger, logging.INFO, "", 0, event, (), None)
    if address is not None:
        made.address = address
    return made


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def test_a_second_line_of_the_same_kind_waits_a_second_and_tells_how_many_were_dropped(clock: list[float]) -> None:
    once = OnceASecond(lambda: clock[0])
    assert [once.filter(record("1.2.3.4")) for _ in range(4)] == [True, False, False, False]
    clock[0] = 1.0
    following = record("1.2.3.4")
    assert once.filter(following)
    assert following.suppressed == 3  # type: ignore[attr-defined]


def test_other_addresses_other_kinds_and_lines_without_address_pass() -> None:
    once = OnceASecond(lambda: 0.0)
    others = [record("1.2.3.4"), record("1.2.3.5"), record("1.2.3.4", "connected"), record(None), record(None)]
    others += [record("2001:db8::1"), record("2001:db8:0:1::1"), record("the market")]
    assert all(once.filter(one) for one in others)


@pytest.mark.parametrize("logger", ["datafye_trio.connection", "datafye_trio.stream", "trio-websocket"])
def test_what_peers_bring_about_is_limited_where_the_line_does_not_say_by_whom(logger: str) -> None:
    once = OnceASecond(lambda: 0.0)
    lines = [record(None, event, logger) for event in ("request failed", "request failed", "connection failed")]
    assert [once.filter(line) for line in lines] == [True, False, True]


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rate, "_MAX_KEYS", 2)
    once = OnceASecond(lambda: 0.0)
    assert all(once.filter(record(f"1.2.3.{n}")) for n in range(3))
    assert [once.filter(record(f"1.2.3.{n}")) for n in (2, 0)] == [False, True]


def test_a_network_of_64_bits_is_one_address() -> None:
    once = OnceASecond(lambda: 0.0)
    assert [once.filter(record(f"2001:db8::{n}")) for n in (1, 2)] == [True, False]
    assert [once.filter(record(text)) for text in ("1.2.3.4", "::ffff:1.2.3.4")] == [True, False]


async def test_a_crowd_of_one_address_is_a_line_a_second_for_coming_and_for_going(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stream = io.StringIO()
    with logging_to(stream, "text", "info", clock=trio.current_time):
        async with memory_server() as server:
            for crowd in (50, 1):
                clients = [await RawClient.connect(server) for _ in range(crowd)]
                for client in clients:
                    await client.message()
                    await client.close()
                await trio.sleep(1)
    lines = [re.sub(r"^\S+ | connection=c\d+", "", line) for line in stream.getvalue().splitlines()]
    going = 'info disconnected address=127.0.0.1 code=None reason="closed by the peer"'
    assert lines == [
        "info connected address=127.0.0.1",
        going,
        "info connected address=127.0.0.1 suppressed=49",
        f"{going} suppressed=49",
    ]
