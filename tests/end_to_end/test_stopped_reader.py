"""A real process that is stopped (SIGSTOP) while it reads: it is cut, and its neighbours lose nothing."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trio
from support import RawClient, quote, upgrade_head

from datafye_trio import ServerConfig, open_server

WS = "/datafye-ws/v1/stocks/live/quotes"
MESSAGES = 70_000
"""More than the kernel hides (up to 7 MB) and the outbox holds (16,384) together."""
READER = """
import sys
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
with connect(sys.argv[1], compression=None) as ws:
    ws.send('{"action":"subscribe","symbols":["AAPL"]}')
    ws.recv(), ws.recv()
    print("ready", flush=True)
    try:
        while True:
            ws.recv()
    except ConnectionClosed as closed:
        print(closed.rcvd.code if closed.rcvd else 1006, flush=True)
"""


class Cuts(logging.Handler):
    """Sets `cut` when the server logs that it closed a connection with 4008."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = trio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "disconnected" and getattr(record, "code", None) == 4008:
            self.cut.set()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Cuts]:
    """Listens to the server's log, which is all that can be seen of a cut from here."""
    caplog.set_level("INFO", logger="datafye_trio")
    logger, handler = logging.getLogger("datafye_trio.server"), Cuts()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
async def test_a_stopped_process_is_cut_and_its_neighbours_lose_nothing(log: Cuts) -> None:
    progress = trio.lowlevel.ParkingLot()
    async with open_server(ServerConfig(port=0)) as server:
        stopped = await trio.lowlevel.open_process(
            [sys.executable, "-c", READER, f"ws://127.0.0.1:{server.port}{WS}"], stdout=subprocess.PIPE
        )
        assert stopped.stdout is not None
        seen: list[list[int]] = [[], []]
        with trio.fail_after(60):
            assert b"ready" in await stopped.stdout.receive_some()
            async with trio.open_nursery() as nursery:
                for numbers in seen:
                    await nursery.start(_read, server.port, numbers, progress)
                stopped.send_signal(signal.SIGSTOP)
                for start in range(0, MESSAGES, 1_000):
                    await server.publish([quote(n=start + n) for n in range(1_000)])
                    # At the pace of the readers: it is the stopped one that is to fall behind, not they.
                    while min(map(len, seen)) < start - 4_000:
                        await progress.park()
            assert [numbers == list(range(1, MESSAGES + 1)) for numbers in seen] == [True, True]
            await log.cut.wait()
            stopped.send_signal(signal.SIGCONT)
            left = b""
            while data := await stopped.stdout.receive_some():
                left += data
            assert left.strip() in (b"4008", b"1006")
            await stopped.wait()


async def _read(
    port: int,
    numbers: list[int],
    progress: trio.lowlevel.ParkingLot,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = RawClient(stream)
        await stream.send_all(upgrade_head(WS))
        assert (await client.http_answer())[0] == 101
        await client.message()
        await client.ask(action="subscribe", symbols=["AAPL"])
        task_status.started()
        while len(numbers) < MESSAGES:
            message = json.loads((await client.frame())[1])
            if message["type"] == "quote":
                numbers.append(message["seq"])
                if not len(numbers) % 500:
                    progress.unpark_all()
