"""The entry point: parses the command line, runs a command, and turns what is wrong with it into one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, CycloptsError, Parameter
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from datafye_trio.cli.bench import BENCH_EXAMPLES, BenchFlags, bench
from datafye_trio.cli.dev_cert import DEV_CERT_EXAMPLES, DevCertFlags, dev_cert
from datafye_trio.cli.flags import ServeFlags, WatchFlags, expand
from datafye_trio.cli.importing import IMPORT_EXAMPLES, ImportFlags, import_files
from datafye_trio.cli.inspecting import INSPECT_EXAMPLES, InspectFlags, inspect
from datafye_trio.cli.record import RECORD_EXAMPLES, RecordFlags, record
from datafye_trio.cli.run import RUN_EXAMPLES, RunFlags, run_strategy
from datafye_trio.cli.serve import serve
from datafye_trio.cli.tail import TAIL_EXAMPLES, TailFlags, tail
from datafye_trio.cli.text import Screen, discard, open_missing, printable, say
from datafye_trio.cli.watch import watch
from datafye_trio.errors import ConfigurationError
from datafye_trio.version import __version__

__all__ = ["main"]

DEFAULT_URL: Final = "ws://localhost:8080/datafye-ws/v1"
_NO_BOX: Final = Box("\n".join(["    "] * 8))
_WRONG: Final = 2
_INTERRUPTED: Final = 130

_EXAMPLES: Final = """\
Examples:
  datafye-trio serve
  datafye-trio watch
  datafye-trio tail --channels trades --symbols AAPL
  datafye-trio bench --clients 100
  datafye-trio record ws://localhost:8080/datafye-ws/v1 recording/
  datafye-trio serve --replay recording/
  datafye-trio run crossover.py:strategy recording/
  datafye-trio serve --help
"""

_SERVE_EXAMPLES: Final = """\
Examples:
  datafye-trio serve
      a made-up market of ten stocks on ws://localhost:8080/datafye-ws/v1
  datafye-trio serve --port 0 --symbols AAPL,MSFT --rate 5000 --seed 7 --halts
  datafye-trio serve --dataset Crypto
  datafye-trio serve --replay ticks/ --dataset SIP --speed max --wait-for-client
  datafye-trio serve --descriptor spec.yaml --replay recording/
  datafye-trio serve --descriptor spec.yaml --replay SIP=sip/ --replay Crypto=c/
  datafye-trio serve --port 8081 --upstream ws://localhost:8080/datafye-ws/v1
  my-program | datafye-trio serve --stdin --dataset Mine
  datafye-trio serve --host 0.0.0.0 --allow 10.0.0.0/8 --cert a.pem --key a.key
  datafye-trio serve --host 0.0.0.0 --allow @allow.txt --deny 10.6.6.6
  datafye-trio serve --print-config > serve.toml
  datafye-trio serve --config serve.toml

A flag wins over a variable, that over the file, that over the default. Every
flag has its variable (--port: DATAFYE_TRIO_PORT), and so has every setting of
--print-config (heartbeat.interval: DATAFYE_TRIO_HEARTBEAT_INTERVAL).
Ctrl-C or SIGTERM lets clients read what waits for them, then ends with 0; a
second one ends at once, with 130.
SIGHUP rereads the access and control lists (those of --config, and files named
as --allow @FILE), the certificate and the key; whoever is still allowed stays.
Flags and variables go on to win over the file. What is wrong changes nothing.
The log goes to stderr: one line an event, but one a second for one address and
kind, which then tells as suppressed=N how many were left out before it.
"""

_WATCH_EXAMPLES: Final = """\
Examples:
  datafye-trio watch
      a live table of all symbols of ws://localhost:8080/datafye-ws/v1
  datafye-trio watch --symbols AAPL,MSFT --channels quotes
  datafye-trio watch --channels bars --frequency Second --running
  datafye-trio watch --json --seconds 10 > events.jsonl
  datafye-trio watch wss://data.example.com/datafye-ws/v1 --dataset SIP

A server that is not there is waited for, and one that restarts is come back to;
the line below the table says how that goes. Without a terminal, or with --json,
it prints what `datafye-trio tail` prints.
Ends with 0 by Ctrl-C or --seconds, or when nobody reads its output any more;
with 1, and why, when it cannot go on.
"""


def _app() -> App:
    console = Screen(highlight=False)
    app = App(
        name="datafye-trio",
        version=__version__,
        help="Datafye's streaming market data API on Trio: a server, a view of one, recordings, strategies.",
        help_epilogue=_EXAMPLES,
        help_format="plaintext",
        help_formatter=DefaultFormatter(panel_spec=PanelSpec(box=_NO_BOX, padding=(0, 0))),
        console=console,
        help_flags=["--help", "-h"],
        version_flags=["--version"],
    )
    _add_live(app)
    _add_recordings(app)
    _add_strategies(app)
    _add_dev_cert(app)
    return app


def _add_live(app: App) -> None:
    @app.command(name="serve", help_epilogue=_SERVE_EXAMPLES)
    def run_serve(flags: ServeFlags = ServeFlags()) -> int:  # noqa: B008 -- frozen
        """Serve market data: made up (default), replayed, relayed; or several datasets by --descriptor or --config."""
        return serve(flags, os.environ)

    @app.command(name="watch", help_epilogue=_WATCH_EXAMPLES)
    def run_watch(
        url: Annotated[str, Parameter(help="Base URL, or a path below it.")] = DEFAULT_URL,
        /,
        flags: WatchFlags = WatchFlags(),  # noqa: B008 -- frozen
    ) -> int:
        """Watch market data live: a table in a terminal, else one JSON line an event."""
        return watch(url, flags)

    @app.command(name="tail", help_epilogue=TAIL_EXAMPLES)
    def run_tail(
        url: Annotated[str, Parameter(help="Base URL, or a path below it.")] = DEFAULT_URL,
        /,
        flags: TailFlags = TailFlags(),  # noqa: B008 -- frozen
    ) -> int:
        """Print market data live as JSON lines, whatever happens to the connection: events, and gaps where any are."""
        return tail(url, flags)

    @app.command(name="bench", help_epilogue=BENCH_EXAMPLES)
    def run_bench(
        url: Annotated[str, Parameter(help="Base URL, or a path below it.")] = DEFAULT_URL,
        /,
        flags: BenchFlags = BenchFlags(),  # noqa: B008 -- frozen
    ) -> int:
        """Load a running server with many clients: rates, latencies, and what was lost."""
        return bench(url, flags)


def _add_dev_cert(app: App) -> None:
    @app.command(name="dev-cert", help_epilogue=DEV_CERT_EXAMPLES)
    def run_dev_cert(
        folder: Annotated[Path, Parameter(name="FOLDER", help="Where to; made if it is not there.")] = Path("certs"),
        /,
        *names: Annotated[str, Parameter(name="NAMES...", help="Names and addresses besides those of this machine.")],
        flags: DevCertFlags = DevCertFlags(),  # noqa: B008 -- frozen
    ) -> int:
        """Make a certificate for wss:// on this machine, and the authority that clients are to trust for it."""
        return dev_cert(folder, names, flags)


def _add_recordings(app: App) -> None:
    @app.command(name="record", help_epilogue=RECORD_EXAMPLES)
    def run_record(
        url: Annotated[str, Parameter(help="Base URL, or a path below it.")],
        folder: Annotated[Path, Parameter(name="DIR", help="Folder to record to; made if it is not there.")],
        /,
        flags: RecordFlags = RecordFlags(),  # noqa: B008 -- frozen
    ) -> int:
        """Record market data as Parquet files until a signal, so that a kill loses less than a second."""
        return record(url, folder, flags)

    @app.command(name="import", help_epilogue=IMPORT_EXAMPLES)
    def run_import(
        *paths: Annotated[Path, Parameter(name="FILES... DIR", help="Tick files or folders; last, where to.")],
        flags: ImportFlags,
    ) -> int:
        """Import tick CSV files into a recording."""
        return import_files(paths, flags)

    @app.command(name="inspect", help_epilogue=INSPECT_EXAMPLES)
    def run_inspect(
        folder: Annotated[Path, Parameter(name="DIR", help="Folder of a recording, or one below it.")],
        /,
        flags: InspectFlags = InspectFlags(),  # noqa: B008 -- frozen
    ) -> int:
        """Show what a recording holds: rows, span, symbols, gaps; and files that are broken."""
        return inspect(folder, flags)


def _add_strategies(app: App) -> None:
    @app.command(name="run", help_epilogue=RUN_EXAMPLES)
    def run_run(
        strategy: Annotated[str, Parameter(help="module:function, or file.py:function.")],
        target: Annotated[
            str | None, Parameter(name="URL|RECORDING", help="A server's URL; or a folder or file of a recording.")
        ] = None,
        /,
        flags: RunFlags = RunFlags(),  # noqa: B008 -- frozen
    ) -> int:
        """Run a strategy: live on a server, or on a recording in the market's own time."""
        return run_strategy(strategy, target, flags)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return the exit code: 2 if the command line is wrong."""
    open_missing()
    try:
        tokens = expand(sys.argv[1:] if arguments is None else arguments)
        command, bound, _ = _app().parse_args(tokens, print_error=False, exit_on_error=False, verbose=False)
        code = command(*bound.args, **bound.kwargs)
    except (CycloptsError, ConfigurationError) as error:
        say("datafye-trio: " + printable(" ".join(str(error).split())))
        return _WRONG
    except KeyboardInterrupt:
        # Before a command listens to signals by itself: nothing runs yet that would have to end well.
        return _INTERRUPTED
    except BrokenPipeError:
        discard(sys.stdout)  # `--help | head -1`
        return 0
    return code if isinstance(code, int) else 0
