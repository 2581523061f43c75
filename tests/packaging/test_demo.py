"""`scripts/demo.py` as a process: what it prints, how it ends, and that nothing outlives it.

The two commands that it starts are stood in for by a small program here, so that servers can die and children can be
stubborn. The stand-in's server listens for real, and its view writes to the demo's own stdout: the end of a
connection and of the output prove the end of the processes, with nothing polled.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEMO = [sys.executable, str(Path(__file__).resolve().parents[2] / "scripts" / "_start.py"), "demo"]
DEADLINE = 20  # seconds: far above what any step takes, so that a hang fails
LINES_BEFORE_A_SIGNAL = 3

STAND_IN = r"""
import json, os, signal, socket, sys
from urllib.parse import urlsplit

name, signals, peers = sys.argv[1], [], []

def obey(number, frame):
    if "STUBBORN" not in os.environ:
        signals.append(signal.Signals(number).name)
        if name == "serve":
            peers[0].sendall(signals[0].encode())  # the last peer to come is the test's
            sys.exit(0)

def serve(port):
    print("one line of log", file=sys.stderr, flush=True)
    if "BROKEN" in os.environ:
        sys.exit(2)
    listener = socket.create_server(("localhost", port))
    print(f"listening on ws://localhost:{port}/datafye-ws/v1", flush=True)
    while True:
        peer, _ = listener.accept()
        kind = peer.recv(1)
        if kind == b"d":  # die, but only after the view
            peers[0].shutdown(socket.SHUT_WR)
            while peers[0].recv(64):
                pass
            sys.exit(4)
        if kind == b"t":
            peer.sendall(b"%d\n" % os.getpid())
        peers.insert(0, peer)

def watch(server):
    server.sendall(b"w")
    server.settimeout(0.01)
    print(json.dumps({"pid": os.getpid(), "argv": sys.argv[1:]}), flush=True)
    patience = 3  # looks at the server between the first signal and the end, in which a second one would be seen
    while patience:
        patience -= bool(signals)
        print(json.dumps({"type": "quote"}), flush=True)
        try:
            if server.recv(1) == b"":
                sys.exit(3)
        except TimeoutError:
            pass
    print(json.dumps({"ended by": signals}), flush=True)

signal.signal(signal.SIGINT, obey)
signal.signal(signal.SIGTERM, obey)
if name == "serve":
    serve(int(sys.argv[sys.argv.index("--port") + 1]))
try:
    watch(socket.create_connection(("localhost", urlsplit(sys.argv[2]).port)))
except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> dict[str, str]:
    """The environment in which `python -m datafye_trio` is the stand-in."""
    package = tmp_path / "stand_in" / "datafye_trio"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(STAND_IN)
    return {**os.environ, "PYTHONPATH": str(package.parent)}


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("localhost", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def demo(env: dict[str, str], *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [*DEMO, *map(str, arguments)]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # what is left then ends by the guards; a no-op where the test went well


def read_lines(process: subprocess.Popen[str], count: int = LINES_BEFORE_A_SIGNAL) -> list[dict[str, object]]:
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def connect(port: int) -> tuple[socket.socket, int]:
    """A connection to the stand-in's server, which ends when that process does, and the process's id."""
    connection = socket.create_connection(("localhost", port), timeout=DEADLINE)
    connection.sendall(b"t")
    return connection, int(connection.recv(16))


def last_words(connection: socket.socket) -> str:
    """What the server sent before its end: the name of the signal that it obeyed."""
    with connection, connection.makefile() as text:
        return text.read()


def server_port(url: object) -> int:
    match = re.fullmatch(r"ws://localhost:(\d+)/datafye-ws/v1", str(url))
    assert match, url
    return int(match[1])


def test_prints_one_json_line_an_event_and_ends_by_itself(stand_in: dict[str, str], port: int) -> None:
    with demo(stand_in, "--port", port, "--seconds", "0.5") as process:
        out, err = process.communicate(timeout=DEADLINE)
    first, *events = [json.loads(line) for line in out.splitlines()]
    url = f"ws://localhost:{port}/datafye-ws/v1"
    assert first["argv"] == ["watch", url, "--channels", "quotes,trades", "--symbols", "*", "--json"]
    assert events[0] == {"type": "quote"}
    assert events[-1] == {"ended by": ["SIGTERM"]}
    assert err == f"Serving made-up market data on {url} (Ctrl-C ends it).\n"
    assert process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        connect(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_both_cleanly(stand_in: dict[str, str], port: int, number: signal.Signals) -> None:
    with demo(stand_in, "--port", port) as process:
        read_lines(process)
        connection, _ = connect(port)
        process.send_signal(number)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert len(err.splitlines()) == 1
    assert last_words(connection) == "SIGTERM"


def test_a_second_signal_kills_at_once(stand_in: dict[str, str], port: int) -> None:
    with demo(stand_in | {"STUBBORN": "1"}, "--port", port) as process:
        read_lines(process)
        connection, _ = connect(port)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):  # the stubborn children do hold it up, and no signal is lost
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=4)  # less than the stubborn would be given after one signal
    assert process.returncode == 130
    assert last_words(connection) == ""


def test_ctrl_c_in_a_terminal_reaches_the_view_once(stand_in: dict[str, str], port: int) -> None:
    ours, theirs = os.openpty()

    # The first terminal that a new session opens becomes its controlling one, which is what turns \x03 into SIGINT.
    command = [
        "sh",
        "-c",
        'exec "$@" <"$0" >"$0" 2>&1',
        os.ttyname(theirs),
        *DEMO,
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, env=stand_in, start_new_session=True)
    with process, open(ours, "rb", buffering=0) as terminal:
        seen = b""
        try:
            while b'"quote"' not in seen:
                seen += terminal.read(4096)
            os.close(theirs)
            connection, _ = connect(port)
            os.write(ours, b"\x03")
            while True:
                seen += terminal.read(4096)
        except OSError:
            pass  # what a terminal's read gives when the last process that had it open is gone
        finally:
            process.kill()
    assert process.returncode == 0
    assert b"--json" not in seen
    assert b'{"ended by": ["SIGINT"]}' in seen
    assert last_words(connection) == "SIGTERM", "the server is not in the terminal's reach"


def test_takes_the_next_port_and_says_so(stand_in: dict[str, str]) -> None:
    with socket.create_server(("localhost", 0)) as listener:
        taken = int(listener.getsockname()[1])
        with demo(stand_in, "--port", taken, "--seconds", "0.3") as process:
            out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    url = json.loads(out.splitlines()[0])["argv"][1]
    assert server_port(url) > taken
    assert f"Port {taken} is taken, trying the next." in err
    assert url in err


def test_a_closed_pipe_ends_it(stand_in: dict[str, str], port: int) -> None:
    with demo(stand_in, "--port", port) as process:
        read_lines(process)
        connection, _ = connect(port)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=DEADLINE) == 0
    assert last_words(connection) == "SIGTERM"


def test_a_server_that_dies_is_told_with_its_last_lines(stand_in: dict[str, str], port: int) -> None:
    with demo(stand_in, "--port", port) as process:
        read_lines(process)
        connection, pid = connect(port)
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert err.splitlines()[1:] == ["The server was ended by SIGKILL. Its last lines:", "one line of log"]
    assert last_words(connection) == ""


def test_a_server_that_dies_after_the_view_is_told_all_the_same(stand_in: dict[str, str], port: int) -> None:
    with demo(stand_in, "--port", port) as process:
        read_lines(process)
        with socket.create_connection(("localhost", port)) as connection:
            connection.sendall(b"d")
            _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert err.splitlines()[1:] == ["The server ended with exit code 4. Its last lines:", "one line of log"]


def test_a_server_that_cannot_start_is_told(stand_in: dict[str, str], port: int) -> None:
    with demo(stand_in | {"BROKEN": "1"}, "--port", port) as process:
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines() == ["The server ended with exit code 2. Its last lines:", "one line of log"]


def test_a_view_that_fails_is_told(stand_in: dict[str, str], port: int) -> None:
    with demo(stand_in, "--port", port) as process:
        first, *_ = read_lines(process)
        os.kill(int(str(first["pid"])), signal.SIGKILL)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "The view was ended by SIGKILL."


def test_nothing_outlives_a_killed_demo(stand_in: dict[str, str], port: int) -> None:
    with demo(stand_in, "--port", port) as process:
        read_lines(process)
        connection, _ = connect(port)
        process.kill()
        process.communicate(timeout=DEADLINE)  # returns when the view has let go of stdout
    assert last_words(connection) == "SIGTERM"


@pytest.mark.parametrize("value", ["0", "-1", "nan", "soon"])
def test_refuses_a_time_that_is_none(value: str) -> None:
    done = subprocess.run([*DEMO, f"--seconds={value}"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--seconds" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("value", ["-1", "0", "65536", "http"])
def test_refuses_a_port_that_is_none(value: str) -> None:
    done = subprocess.run([*DEMO, f"--port={value}"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"scripts/demo: error: argument --port: invalid port value: '{value}'"


def test_help_shows_examples() -> None:
    done = subprocess.run([*DEMO, "--help"], capture_output=True, text=True, check=True)
    assert "scripts/demo --seconds 5 | head -3" in done.stdout
