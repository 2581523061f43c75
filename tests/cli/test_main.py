"""The entry point: help, version, exit codes."""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli.kit import Terminal

import datafye_trio
from datafye_trio.cli import inspecting, main
from datafye_trio.cli.main import expand
from datafye_trio.version import __version__


def test_the_version(terminal: Terminal) -> None:
    assert terminal.run("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ["serve", "watch", "Examples:"]),
        (("serve",), ["--port INT", "[default: 8080]", "--no-halts", "Examples:", "DATAFYE_TRIO_PORT"]),
        (("watch",), ["--symbols", "Examples:", "--json"]),
        (("tail",), ["--symbols", "Examples:", "--policy", "[choices: wait", "--no-reconnect"]),
        (("bench",), ["--clients", "Examples:", "[default: 10]", "--json", "Ends with"]),
        (("record",), ["URL", "DIR", "--frequency", "Examples:", "--no-reconnect"]),
        (("import",), ["--dataset", "Examples:", "ts_ns", "--column", "last_trade_id"]),
        (("inspect",), ["--json", "Examples:"]),
        (
            ("dev-cert",),
            ["FOLDER", "[default: certs]", "NAMES...", "--days INT", "--force", "Examples:", "--ca certs/ca.pem"],
        ),
        (("run",), ["STRATEGY", "URL|RECORDING", "--set", "--asset-class", "--from", "--no-reconnect", "Examples:"]),
    ],
)
def test_help_has_examples(terminal: Terminal, command: tuple[str, ...], words: list[str]) -> None:
    code, out, err = terminal.run(*command, "--help")
    assert (code, err) == (0, "")
    assert [word for word in words if word not in out] == []


def test_no_command_is_help(terminal: Terminal) -> None:
    assert terminal.run() == terminal.run("--help")


def test_an_unknown_command_is_one_line(terminal: Terminal) -> None:
    commands = "serve, watch, tail, bench, record, import, inspect, run, ..."
    line = f'Unknown command "serv". Did you mean "serve"? Available commands: {commands}'
    assert terminal.complain("serv") == line


def test_what_a_mistake_repeats_cannot_reach_the_terminal_as_it_is(terminal: Terminal) -> None:
    assert "\\x1b[31m" in terminal.complain("serve", "--rate", "\x1b[31m")
    assert "\\x1b" in terminal.complain("\x1b")


@pytest.mark.parametrize(
    ("given", "expanded"),
    [
        (["--wait-for-client"], ["--wait-for-client=1"]),
        (["--wait-for-client", "--loop"], ["--wait-for-client=1", "--loop"]),
        (["--wait-for-client", "3", "--loop"], ["--wait-for-client", "3", "--loop"]),
        (["--wait-for-client=3"], ["--wait-for-client=3"]),
        ([], []),
    ],
)
def test_the_number_of_clients_may_be_left_out(given: list[str], expanded: list[str]) -> None:
    assert expand(given) == expanded


@pytest.mark.parametrize("given", ["--policy none", "--policy=None", "--port null", "--log-level NONE"])
def test_none_is_no_way_to_leave_a_flag_out(terminal: Terminal, given: str) -> None:
    flag, value = given.replace("=", " ").split()
    line = f"{flag} has no value {value}: leave the flag out where its default is meant"
    assert terminal.complain("serve", *given.split(), "--print-config") == line


def test_none_is_a_name_like_any_other(terminal: Terminal) -> None:
    code, out, _ = terminal.run("serve", "--symbols", "NONE", "--dataset", "null", "--print-config")
    assert (code, 'symbols = ["NONE"]' in out, 'name = "null"' in out) == (0, True, True)


def test_an_interrupt_before_anything_runs_is_no_traceback(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(inspecting, "inspect_folder", interrupted)
    assert terminal.run("inspect", ".") == (130, "", "")


def test_a_reader_that_leaves_the_help_is_no_error(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(inspecting, "inspect_folder", gone)
    monkeypatch.setattr(main, "discard", lambda _: None)
    assert terminal.run("inspect", ".") == (0, "", "")


def test_the_module_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["datafye-trio", "--version"])
    with pytest.raises(SystemExit) as ended:
        # By its path: pytest loads the package of its own plugin in a way that `run_module` cannot follow.
        runpy.run_path(str(Path(datafye_trio.__file__).with_name("__main__.py")), run_name="__main__")
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--version"], ["trio", "msgspec", "datafye_trio.model", "datafye_trio.client", "datafye_trio.server"]),
        (["serve", "--print-config"], ["datafye_trio.client", "datafye_trio.relay", "datafye_trio.testing"]),
        (["tail", "--help"], ["datafye_trio.server", "datafye_trio.broker", "datafye_trio.recordings"]),
    ],
)
def test_a_command_loads_what_it_needs(arguments: list[str], unwanted: list[str]) -> None:
    code = f"""if True:
        import sys
        from datafye_trio.cli.main import main
        assert main({arguments}) == 0
        sys.exit(" ".join(sys.modules.keys() & {unwanted}) or 0)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_into_a_pipe_that_nobody_reads() -> None:
    command = f"{shlex.quote(sys.executable)} -m datafye_trio serve --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
