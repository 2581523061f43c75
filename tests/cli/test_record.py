"""`record` as a command: what it writes, how it ends, and what it says when it cannot go on."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from pathlib import Path

import polars
import pytest
import trio
import trio.testing
from cli.kit import Terminal
from cli.watching import WAIT, server, subscribed
from processes import rows_in
from support import quote, trade

from datafye_trio.cli import record as module
from datafye_trio.cli import signals
from datafye_trio.cli.record import RecordFlags, check_folder, record, run, wishes_of
from datafye_trio.cli.recorder import RecorderConfig
from datafye_trio.client import open_feed
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass
from datafye_trio.recordings.writer import RecordingWriter, WriterConfig

URL = "ws://localhost:8080/datafye-ws/v1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "recording"


class Record:
    """`run` in a task, into a folder."""

    def __init__(self, url: str, folder: Path, **flags: object) -> None:
        self.code: int | None = None
        self.folder = folder
        self.sinks: list[RecordingWriter] = []
        self.config = RecorderConfig(
            opening=open_feed(url),
            wishes=wishes_of(url, RecordFlags(**flags)),
            open_sink=self._open,
            wall_clock=time.time_ns,
        )

    async def run(self, seconds: float | None = None) -> None:
        self.code = await run(self.config, seconds)

    def _open(self, dataset: str, asset_class: AssetClass) -> RecordingWriter:
        self.sinks.append(RecordingWriter(self.folder, dataset, asset_class, WriterConfig(waiting_rows=3)))
        return self.sinks[-1]

    def files(self, channel: str) -> list[Path]:
        return sorted(self.folder.glob(f"dataset=Program/channel={channel}/day=*/part-*.parquet"))

    async def rows(self, channel: str, count: int) -> polars.DataFrame:
        """Wait until so many are on disk."""
        while True:
            if files := self.files(channel):
                rows = rows_in(files)
                if len(rows) >= count:
                    return rows
            await trio.testing.wait_all_tasks_blocked(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_0_and_what_came_is_on_disk(
    folder: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    async with server() as one, trio.open_nursery() as nursery:
        recording = Record(one.url, folder)
        nursery.start_soon(recording.run)
        await subscribed(one, 4)
        await one.publish([quote("AAPL", 1), trade("MSFT", 2)])
        rows = await recording.rows("quotes", 1)
        await one.publish(quote("AAPL", 3))
        await trio.testing.wait_all_tasks_blocked(0.02)
        signal.raise_signal(number)
    assert recording.code == 0
    assert rows.select("symbol", "seq", "bid_price").rows() == [("AAPL", 1, 100.01)]
    assert len(polars.read_parquet(recording.files("quotes"))) == 2
    assert polars.read_parquet(recording.files("trades"))["price"].to_list() == [100.02]
    assert capsys.readouterr().err.startswith("recorded 3 rows of 2 symbols in ")


async def test_a_recording_is_continued(folder: Path) -> None:
    async with server() as one:
        for count in (1, 2):
            async with trio.open_nursery() as nursery:
                recording = Record(one.url, folder, channels=("trades",), symbols=("AAPL",))
                nursery.start_soon(recording.run)
                await subscribed(one, 1)
                await one.publish([trade("AAPL", count), trade("MSFT", count)])
                rows = await recording.rows("trades", count)
                signal.raise_signal(signal.SIGINT)
            assert recording.code == 0
            assert rows["seq"].to_list() == [1, 2][:count]
    assert [path.name for path in recording.files("trades")] == ["part-00000.parquet", "part-00001.parquet"]


class Tty(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 77


@pytest.mark.parametrize(("stderr", "written"), [(io.StringIO, []), (Tty, [(77, b"\x1b[?25h")])])
async def test_a_second_signal_ends_it_at_once_and_gives_the_cursor_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stderr: type[io.StringIO], written: list[object]
) -> None:
    codes: list[int] = []
    seen: list[object] = []
    monkeypatch.setattr(signals.os, "_exit", codes.append)
    write = os.write

    def writing(file: int, data: bytes) -> int:
        if not data.startswith(b"\x1b"):  # the server's, to a socket
            return write(file, data)
        seen.append((file, data))
        return len(data)

    monkeypatch.setattr(signals.os, "write", writing)
    monkeypatch.setattr(sys, "stderr", stderr())
    async with server() as one, trio.open_nursery() as nursery:
        nursery.start_soon(Record(one.url, folder).run)
        await subscribed(one, 4)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert (codes, seen) == ([130], written)


async def test_what_is_lost_makes_it_end_with_1(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, as the system tells of it; three rows may wait."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with server() as one, trio.open_nursery() as nursery:
        recording = Record(one.url, folder)
        nursery.start_soon(recording.run)
        await subscribed(one, 4)
        await one.publish(trade("AAPL", 1))
        await recording.rows("trades", 1)
        with monkeypatch.context() as patch:
            patch.setattr("datafye_trio.recordings.writer.os.fsync", full)
            for number in range(2, 7):
                await one.publish(trade("AAPL", number))
            said = ""
            while "No space left" not in said:
                await trio.testing.wait_all_tasks_blocked(0.02)
                said += capsys.readouterr().err
        await recording.rows("trades", 4)
        signal.raise_signal(signal.SIGINT)
    assert recording.code == 1
    assert said.count("\n") == 1
    last, *_ = polars.read_parquet(recording.files("trades"))["seq"].to_list()[::-1]
    assert last == 6
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "the recording can be written again; rows lost so far: 2"
    assert told[1].startswith("recorded 4 rows of 1 symbol in ")
    assert told[1].endswith(", 2 lost")


async def test_a_folder_that_is_being_recorded_to_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RecordingWriter(folder, "Program", AssetClass.STOCKS):
        async with server() as one:
            recording = Record(one.url, folder)
            await recording.run()
    assert recording.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("datafye-trio: ")
    assert line.endswith("is being written by another process: one at a time")


async def test_what_the_server_does_not_have_ends_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with server() as one:
        recording = Record(one.url, folder, dataset="SIP")
        await recording.run()
    assert (recording.code, recording.sinks) == (1, [])
    assert capsys.readouterr().err.startswith("datafye-trio: UNKNOWN_DATASET: there is no dataset SIP")


def test_nobody_there(terminal: Terminal, folder: Path) -> None:
    code, out, err = terminal.run("record", "ws://nowhere.invalid", str(folder))
    assert (code, out, folder.exists()) == (1, "", False)
    assert err.startswith("datafye-trio: cannot connect to nowhere.invalid: ")
    assert err.count("\n") == 1


def test_a_recording_of_nothing_is_no_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def hang(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async def main() -> int:
        with trio.fail_after(WAIT):
            async with trio.open_nursery() as nursery:
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                await nursery.start(trio.serve_listeners, hang, [listener])
                recording = Record(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}", folder)
                await recording.run(0.1)
                nursery.cancel_scope.cancel()
        return recording.code or 0

    assert trio.run(main) == 0
    assert capsys.readouterr().err.startswith("recorded 0 rows of 0 symbols in 0.")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("http://localhost", "r"),
         "'http://localhost' is no WebSocket URL: write ws://localhost"),
        ((f"{URL}/stocks/history", "r"),
         f"'{URL}/stocks/history' is a path of stored data: name one of live data, or none"),
        ((URL,), 'Command "record" parameter DIR requires an argument.'),
        ((URL, "r", "--seconds", "0"), "--seconds must be a number above 0"),
        ((URL, "r", "--symbols", ","), "--symbols is empty: name at least one, or * for all"),
        ((URL, "r", "--channels", "news"), "unknown channel 'news': use one of quotes, trades, aggregates, sma, ema"),
        ((URL, "r", "--channels", "sma", "--frequency", "2s"),
         "unknown frequency '2s': use one of Second, Minute, Hour, Day"),
        ((URL, "r", "--frequency", "1s"), "--frequency is for aggregates, sma and ema: quotes and trades have none"),
        (("wss://localhost", "r", "--ca", "no.pem"), "cannot use the authorities in no.pem: No such file or directory"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_line(terminal: Terminal, arguments: tuple[str, ...], line: str) -> None:
    assert terminal.complain("record", *arguments) == line


def test_a_folder_that_holds_other_things_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "dataset=SIP").mkdir()
    check_folder(tmp_path)  # a recording
    file = tmp_path / "notes.txt"
    file.touch()
    line = f"{tmp_path} holds other things (notes.txt): name an empty folder, or a recording"
    assert terminal.complain("record", URL, str(tmp_path)) == line
    assert terminal.complain("record", URL, str(file)) == f"{file} is a file: name a folder to record to"


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^cannot use the folder .*: File name too long"):
        check_folder(tmp_path / ("x" * 300))
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    with pytest.raises(ConfigurationError, match=r"^cannot write to the folder .*: permission denied"):
        check_folder(tmp_path)


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ConfigurationError("pip install 'datafye-trio[files]'")

    monkeypatch.setattr(module, "load_arrow", missing)
    with pytest.raises(ConfigurationError, match="pip install"):
        record(URL, tmp_path, RecordFlags())


def test_ticks_are_one_wish_and_bars_one_for_each_frequency() -> None:
    flags = RecordFlags(channels=("trades,bars", "ema"), frequency=("1s,Day",), symbols=("AAPL, MSFT",), dataset="SIP")
    ticks, *slow = wishes_of(URL, flags)
    assert (ticks.channels, ticks.symbols, ticks.dataset) == (("trades",), ("AAPL", "MSFT"), "SIP")
    assert [(one.channels, one.frequency) for one in slow] == [
        (("aggregates", "ema"), "Second"), (("aggregates", "ema"), "Day"),
    ]  # fmt: skip
    (one,) = wishes_of(URL + "/stocks/live/sma", RecordFlags())
    assert (one.channels, one.frequency, one.symbols) == (("sma",), "Minute", ("*",))
    (one,) = wishes_of(URL, RecordFlags())
    assert (one.channels, one.symbols, one.dataset) == (("quotes", "trades"), ("*",), None)
