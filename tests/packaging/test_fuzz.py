"""`scripts/fuzz`: every committed seed holds its promise, and one that is broken is told, written and replayed."""

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CORPUS = SCRIPTS.parent / "tests" / "corpus"
SEEDS = sorted(path for path in CORPUS.glob("*/*"))
NAMES = {path.name for path in CORPUS.iterdir()}


@pytest.fixture
def fuzzing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of the script, which finds its neighbours where it stands."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return lambda name: importlib.import_module(f"fuzzing.{name}")


@pytest.fixture
def fuzz(
    fuzzing: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str, str]]:
    """Run it in this process; its exit code, and what it printed."""
    cli = fuzzing("cli")

    def call(*arguments: object) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["fuzz", *map(str, arguments)])
        try:
            code = cli.main()
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_seed_holds_its_promise(fuzzing: Callable[[str], ModuleType], seed: Path) -> None:
    fuzzing("targets").TARGETS[seed.parent.name].run(seed.read_bytes())


@pytest.mark.parametrize(
    ("seed", "place", "value", "error"),
    [
        ("lane/mixed", "datafye_trio.wire.peeling._FRAGMENTS", 0, "the lane gives the messages in order"),
        ("client/cut-off", "datafye_trio.wire.lane._ACCEPTED", re.compile(b"never"), "every message before the end"),
        ("server/subscribe", "datafye_trio.connection.handler.parse_request", None, "not callable"),
        ("server/requests", "datafye_trio.connection.subscribing.Subscribing.list", None, "not callable"),
        ("server/wrong", "datafye_trio.wire.websocket._REASONS", {1002: "x", 1007: "\ud800"}, "surrogates"),
    ],
)
def test_a_bug_breaks_a_promise(
    fuzzing: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    seed: str,
    place: str,
    value: object,
    error: str,
) -> None:
    """Also one that the server keeps from others: it is seen in the log."""
    monkeypatch.setattr(place, value)
    crash = fuzzing("engine").crash_of(fuzzing("targets").TARGETS[seed.split("/")[0]], (CORPUS / seed).read_bytes())
    assert crash is not None
    assert error in crash.what


def test_every_target_has_seeds_and_is_told_of(
    fuzz: Callable[..., tuple[Any, str, str]], fuzzing: Callable[[str], ModuleType]
) -> None:
    targets = fuzzing("targets")
    code, printed, _ = fuzz("--help")
    assert code == 0
    assert set(targets.TARGETS) == NAMES == {path.parent.name for path in SEEDS}
    for name in (*NAMES, "mutations", "--seconds", "--seed", "--replay"):
        assert name in printed


def test_refuses_what_it_cannot_use(fuzz: Callable[..., tuple[Any, str, str]], tmp_path: Path) -> None:
    for arguments, why in (
        (["--seconds", "0"], "'0' is no number of seconds above 0"),
        (["--count", "x"], "'x' is no whole number from 1"),
        (["--target", "nothing"], "invalid choice: 'nothing'"),
        (["--replay", "file"], "--replay needs one --target NAME"),
        (["--target", "json", "--replay", tmp_path / "none"], "cannot read"),
    ):
        code, _, said = fuzz(*arguments)
        assert code == 2
        assert why in said


def test_a_broken_promise_is_made_small_written_and_replayed(
    fuzz: Callable[..., tuple[Any, str, str]],
    fuzzing: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    checking, targets = fuzzing("checking"), fuzzing("targets")

    def run(data: bytes) -> int:
        if b"}" in data:
            raise ZeroDivisionError("planted")
        return len(data)

    monkeypatch.setitem(targets.TARGETS, "json", checking.Target("json", "planted", run))
    code, printed, _ = fuzz("--target", "json", "--seconds", "0.2", "--crashes", tmp_path)
    (written,) = (tmp_path / "json").iterdir()
    assert code == 1
    assert written.read_bytes() == b"}"
    assert "ZeroDivisionError at ?: planted" in printed
    assert f"scripts/fuzz --target json --replay {written}" in printed
    assert fuzz("--target", "json", "--replay", written)[:2] == (1, "json: ZeroDivisionError at ?: planted\n")
    monkeypatch.undo()
    monkeypatch.syspath_prepend(SCRIPTS)
    assert fuzzing("engine").crash_of(fuzzing("targets").TARGETS["json"], b"}") is None


def test_a_seed_decides_what_is_found(fuzzing: Callable[[str], ModuleType]) -> None:
    checking, engine = fuzzing("checking"), fuzzing("engine")

    def tried(seed: int) -> list[bytes]:
        inputs: list[bytes] = []
        target = checking.Target("any", "none", inputs.append, (b"word",))
        engine.Fuzzer(target, [b"a seed"], seed).run(60, lambda: len(inputs) >= 50, lambda _: None)
        return inputs

    assert tried(1) == tried(1) != tried(2)


def test_new_lines_and_outcomes_are_kept(fuzzing: Callable[[str], ModuleType]) -> None:
    engine, targets = fuzzing("engine"), fuzzing("targets")
    done: list[int] = []
    fuzzer = engine.Fuzzer(targets.TARGETS["json"], targets.seeds_of("json"), 1)
    found = fuzzer.run(60, lambda: len(done) >= 300, lambda _: done.append(1))
    assert found.executions == 300
    assert found.new > 0
    assert found.crashes == []


def test_an_input_that_takes_too_long_is_a_crash(
    fuzzing: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    checking, engine = fuzzing("checking"), fuzzing("engine")
    monkeypatch.setattr(engine, "_PROCESSOR_SECONDS", 0.01)

    def run(_data: bytes) -> None:
        while True:
            pass

    crash = engine.crash_of(checking.Target("any", "none", run), b"")
    assert crash.kind == "TooLong at ?"
    assert crash.what == "more than 0.01 s of the processor's time"


def test_mutations_are_counted_and_a_client_is_served(fuzz: Callable[..., tuple[Any, str, str]]) -> None:
    code, printed, _ = fuzz("--target", "mutations", "--count", "100")
    assert code == 0, printed
    assert "100 mutated handshakes and frames; a client got its 1 messages" in printed
    assert "uncaught exceptions and broken promises: 0" in printed


def test_the_reader_that_others_are_held_against(fuzzing: Callable[[str], ModuleType]) -> None:
    read = fuzzing("reading").read_frames
    told = read(b"\x81\x01a\x01\x01b\x89\x00\x8a\x01p\x80\x01c\x88\x02\x03\xe8\x81\x01d", 100)
    assert told.messages == [(b"a", True), (b"bc", False)]
    assert (told.pongs, told.ended, told.code) == ([b"p"], "closed", 1000)
    assert read(b"\x81\x81\0\0\0\1a", 100, masked=True).messages == [(b"a", True)]
    assert read(b"\x81\x81\0\0\0\1a", 100).ended == "wrong"
    assert read(b"\x81\x05a", 4).ended == "big"
    assert read(b"\x01\x01\xff", 4).text


def test_ctrl_c_ends_it_with_130(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPTS / "_start.py"),
        "fuzzing.cli",
        "--target",
        "json",
        "--seconds",
        "60",
        "--crashes",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.read(5) == b"json:", "it is at work"
        process.send_signal(2)
        printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"executions" in printed
    assert b"Traceback" not in printed
