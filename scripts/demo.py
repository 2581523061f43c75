"""A server with made-up market data and a live view of it, with one command; `scripts/demo` runs this.

Two children, both of the project's own command line: `serve` in a session of its own, so that Ctrl-C in a terminal
reaches only this program and the view, and `watch` in the foreground. Stdout belongs to the view; every other word
goes to stderr.
"""

import argparse
import errno
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from subprocess import DEVNULL, PIPE

import trio

LISTENING = "listening on "
START_TIMEOUT = 30.0  # seconds for the server to say where it listens, on a busy machine
STOP_TIMEOUT = 6.0  # seconds for a child to end when asked: the server itself takes at most 5 to let clients go
DYING_TIME = 0.3  # seconds in which the view ends after the terminal's Ctrl-C, and a dying server after its connections
PORTS_TO_TRY = 50
LOG_BYTES = 4096  # how much of the server's stderr is kept, for the case that it dies
LOG_LINES = 12
SHOW_CURSOR = "\x1b[?25h"  # what a live view that is killed leaves undone

# A shell that waits for the end of its stdin, which comes when this program ends by whatever cause, and then ends
# the child. Without it, kill -9 on this program would leave a server behind.
GUARD = 'read -r _; kill -TERM "$1"'

EXAMPLES = """\
examples:
  scripts/demo                        a live table in the terminal, until Ctrl-C (a second Ctrl-C ends it at once)
  scripts/demo --seconds 30           the same, ending by itself
  scripts/demo --seconds 5 | head -3  without a terminal: one JSON line an event
"""


def say(text: str) -> None:
    """Tell the person, on stderr, even if nobody reads that any more."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def is_taken(port: int) -> bool:
    """Tell whether something listens on this port, on any address of localhost."""
    for family, kind, protocol, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            # Another error means that this machine lacks the address (no IPv6, say): the server goes without it too.
            if error.errno == errno.EADDRINUSE:
                return True
    return False


def free_ports(first: int) -> Iterator[int]:
    """Yield the free ports from `first` on, and say which ones are passed over."""
    for port in range(first, min(first + PORTS_TO_TRY, 65536)):
        if is_taken(port):
            say(f"Port {port} is taken, trying the next.")
        else:
            yield port


def how_it_ended(process: trio.Process) -> str:
    """Say with what a child ended."""
    code = process.returncode
    if code is None:
        return "does not say where it listens"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


async def first_line(stream: trio.abc.ReceiveStream, task_status: trio.TaskStatus[str]) -> None:
    """Report the first line of a stream (what there was of it, if it ends early); then read on, so it never fills."""
    line = b""
    async for chunk in stream:
        line += chunk
        if b"\n" in line:
            break
    task_status.started(line.partition(b"\n")[0].decode("utf-8", "replace"))
    async for _ in stream:
        pass


class Demo:
    """One run: starts both children, waits for an end, stops both."""

    def __init__(self, first_port: int, seconds: float) -> None:
        self.first_port = first_port
        self.seconds = seconds
        self.running = trio.CancelScope()  # cancelled by the first signal, or a failure
        self.children: list[trio.Process] = []  # in the order of their start
        self.guards: list[trio.Process] = []  # one for each child
        self.log = b""  # the end of the server's stderr
        self.log_ended = trio.Event()
        self.failure = ""
        self.ending = False  # from here on, a child's end is what was asked for
        self.signalled = False
        self.hurried = False

    async def run(self) -> int:
        """Run to the end; return 0 (the view ended, the time is over, a signal), 1 (a failure) or 130 (two signals)."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.obey_signals)
                with self.running:
                    await self.show(nursery)
                await self.stop()
                nursery.cancel_scope.cancel()
        finally:
            self.kill()
        if self.hurried:
            return 130
        if self.failure:
            say(self.failure)
        return 1 if self.failure else 0

    async def obey_signals(self, task_status: trio.TaskStatus[None]) -> None:
        """End the run at the first signal, kill the children at the second."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                if self.signalled:
                    self.hurried = True
                    self.kill()
                self.ending = self.signalled = True
                self.running.cancel()

    async def show(self, nursery: trio.Nursery) -> None:
        """Start the server and the view; return when either has ended or the time is over."""
        url = await self.start_server(nursery)
        if url is None:
            return
        server = self.children[-1]
        nursery.start_soon(self.fail_when_ended, server)
        say(f"Serving made-up market data on {url} (Ctrl-C ends it).")
        view_format = [] if sys.stdout.isatty() else ["--json"]
        view = await self.start("watch", url, "--channels", "quotes,trades", "--symbols", "*", *view_format)
        with trio.move_on_after(self.seconds):
            await view.wait()
            await trio.sleep(DYING_TIME)  # if it ended because the server is dying, that is what to tell
            if view.returncode:
                self.failure = f"The view {how_it_ended(view)}."

    async def start(self, *arguments: str, own_session: bool = False) -> trio.Process:
        """Start a command of `datafye-trio`, with a guard; one in its own session has its output read here."""
        # -P: a trio.py in the person's folder must not be taken for the library.
        command = [sys.executable, "-P", "-m", "datafye_trio", *arguments]
        if own_session:
            child = await trio.lowlevel.open_process(
                command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
            )
        else:
            child = await trio.lowlevel.open_process(command)
        self.children.append(child)
        guard = ["sh", "-c", GUARD, "guard", str(child.pid)]
        self.guards.append(
            await trio.lowlevel.open_process(guard, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)
        )
        return child

    async def start_server(self, nursery: trio.Nursery) -> str | None:
        """Start the server on the first free port; return the URL it listens on, None after a failure."""
        for port in free_ports(self.first_port):
            address = ("--host", "localhost", "--port", str(port))
            server = await self.start("serve", *address, "--dataset", "Synthetic", own_session=True)
            assert server.stdout is not None
            assert server.stderr is not None
            self.log, self.log_ended = b"", trio.Event()
            nursery.start_soon(self.keep_log, server.stderr)
            line = ""
            with trio.move_on_after(START_TIMEOUT):
                line = await nursery.start(first_line, server.stdout)
            if line.startswith(LISTENING):
                return line.removeprefix(LISTENING)
            if not is_taken(port):  # else another program was quicker: on to the next port
                await self.fail_when_ended(server, STOP_TIMEOUT)
                return None
        self.failure = f"No free port was found from {self.first_port} on."
        return None

    async def keep_log(self, stream: trio.abc.ReceiveStream) -> None:
        """Read the server's stderr, so it never fills, and keep the end of it."""
        ended = self.log_ended
        async for chunk in stream:
            self.log = (self.log + chunk)[-LOG_BYTES:]
        ended.set()

    async def fail_when_ended(self, server: trio.Process, patience: float = float("inf")) -> None:
        """Wait for the server's end, and make that the failure and the end of the run if nobody asked for it."""
        with trio.move_on_after(patience):
            await server.wait()
        if self.ending:
            return
        with trio.move_on_after(DYING_TIME):
            await self.log_ended.wait()
        lines = self.log.decode("utf-8", "replace").splitlines()[-LOG_LINES:]
        self.failure = "\n".join([f"The server {how_it_ended(server)}. Its last lines:", *(lines or ["(none)"])])
        self.running.cancel()

    async def stop(self) -> None:
        """Ask the children to end, the view first, and kill those that do not."""
        self.ending = True
        for child in reversed(self.children):
            with trio.move_on_after(STOP_TIMEOUT):
                if self.signalled and child.stdout is None:
                    # The terminal has sent its Ctrl-C to the view as well: it is not interrupted a second time.
                    with trio.move_on_after(DYING_TIME):
                        await child.wait()
                child.terminate()
                await child.wait()
            child.kill()
            await child.wait()
        for guard in self.guards:
            guard.kill()
            await guard.wait()

    def kill(self) -> None:
        """End whatever still runs, at once."""
        running = [process for process in self.children + self.guards if process.returncode is None]
        for process in running:
            process.kill()
        if running and sys.stdout.isatty():
            with suppress(OSError):
                print(SHOW_CURSOR, end="", flush=True)


def seconds(text: str) -> float:
    """Read the value of --seconds: a number above zero."""
    value = float(text)
    if not value > 0:
        raise ValueError(text)
    return value


def port(text: str) -> int:
    """Read the value of --port."""
    value = int(text)
    if not 0 < value < 65536:
        raise ValueError(text)
    return value


def main() -> int:
    """Read the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Start a server with made-up market data on localhost and watch it live.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--seconds", type=seconds, default=float("inf"), help="end after this time (default: Ctrl-C)")
    parser.add_argument("--port", type=port, default=8080, help="first port to try (default: 8080)")
    options = parser.parse_args()
    return trio.run(Demo(options.port, options.seconds).run)
