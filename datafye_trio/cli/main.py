"""The entry point: parses the command line, runs a command, and turns what is wrong with it into one line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from inspect import BoundArguments
from typing import Final

from cyclopts import App, CycloptsError
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import Box

from datafye_trio.cli.text import Screen, discard, open_missing, printable, say
from datafye_trio.errors import ConfigurationError
from datafye_trio.version import __version__

__all__ = ["main"]

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

# The modules stand here by name: each is loaded when its command is asked for, and its text is shown without it.
_COMMANDS: Final = {
    "serve": "Serve market data: made up (default), replayed, relayed; or several datasets by --descriptor or "
    "--config.",
    "watch": "Watch market data live: a table in a terminal, else one JSON line an event.",
    "tail": "Print market data live as JSON lines, whatever happens to the connection: events, and gaps where any are.",
    "bench": "Load a running server with many clients: rates, latencies, and what was lost.",
    "record": "Record market data as Parquet files until a signal, so that a kill loses less than a second.",
    "import": "Import tick CSV files into a recording.",
    "inspect": "Show what a recording holds: rows, span, symbols, gaps; and files that are broken.",
    "run": "Run a strategy: live on a server, or on a recording in the market's own time.",
    "dev-cert": "Make a certificate for wss:// on this machine, and the authority that clients are to trust for it.",
}
_MODULES: Final = {"import": "importing", "inspect": "inspecting", "dev-cert": "dev_cert"}


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
    for name, text in _COMMANDS.items():
        app.command(f"datafye_trio.cli.{_MODULES.get(name, name)}:app", name=name, help=text)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return the exit code: 2 if the command line is wrong."""
    open_missing()
    try:
        tokens = expand(sys.argv[1:] if arguments is None else arguments)
        command, bound, _ = _app().parse_args(tokens, print_error=False, exit_on_error=False, verbose=False)
        _check_given(tokens, bound)
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


def _check_given(tokens: Sequence[str], bound: BoundArguments) -> None:
    """Refuse `--policy none`: where none is no value of a flag, cyclopts takes it, and null, for a flag left out."""
    for token, following in zip(tokens, [*tokens[1:], ""], strict=False):
        flag, _, value = token.partition("=")
        value = value or following
        if not flag.startswith("--") or value.lower() not in ("none", "null"):
            continue
        field = flag.removeprefix("--").replace("-", "_")
        if any(getattr(flags, field, "") is None for flags in bound.arguments.values()):
            raise ConfigurationError(f"{flag} has no value {value}: leave the flag out where its default is meant")


def expand(arguments: Iterable[str]) -> list[str]:
    """The command line with `--wait-for-client` alone spelled out: a value that may be left out is not cyclopts'."""
    expanded = list(arguments)
    for place, argument in enumerate(expanded):
        if argument == "--wait-for-client" and not (place + 1 < len(expanded) and expanded[place + 1].isdecimal()):
            expanded[place] = "--wait-for-client=1"
    return expanded
