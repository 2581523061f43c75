"""`datafye-trio run`: a strategy of somebody's, on a server or on a recording."""

from __future__ import annotations

import select
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import attrs
import msgspec
from cyclopts import App, Parameter

from datafye_trio.cli.feed_flags import Authorities, config_of, list_flag
from datafye_trio.cli.run_errors import traceback_of
from datafye_trio.cli.run_loading import configured, load_strategy
from datafye_trio.cli.run_progress import RunView, summary
from datafye_trio.cli.run_recorded import Recorded
from datafye_trio.cli.run_wire import Wire
from datafye_trio.cli.text import discard, one_line, say
from datafye_trio.cli.values import Given, Time, structure
from datafye_trio.client.urls import URL_VARIABLE
from datafye_trio.errors import ConfigurationError, leaves_of
from datafye_trio.model import AssetClass
from datafye_trio.strategy import RecordingOptions

__all__ = ["app", "run_strategy"]

_FAILED: Final = 1

_EXAMPLES: Final = f"""\
Examples:
  datafye-trio run crossover.py:strategy
      on ws://localhost:8080/datafye-ws/v1, or what {URL_VARIABLE} says
  datafye-trio run crossover.py:strategy recording/
  datafye-trio run crossover.py:strategy recording/ --set fast=5 --set slow=20 \\
      --from 2026-01-02T09:30:00 --to 2026-01-02T16:00:00
  datafye-trio run desk.pairs:strategy wss://data.example.com/datafye-ws/v1 \\
      --set symbols=AAPL,MSFT

A strategy is an async function over a feed, `async def strategy(feed): ...`. A
module is looked for in the current folder, too; a file finds the modules beside
it. --set gives its other arguments, as texts of the types that they are
annotated with; a list is separated by commas.

A recording is played in the market's own time, as fast as the machine can:
events are those of the recording; on a server, those that the strategy took.
What it returns is printed on stdout: as JSON where that can be, else its repr.

Ends with 0 when the strategy returns; with 1 when it fails, after its own
traceback; with 2 for a wrong command line. Ctrl-C ends it at once: with 0 on a
server, which has no end (so does SIGTERM), and with 130 on a recording.
"""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class RunFlags:
    """The flags of `run`."""

    set: Annotated[tuple[str, ...], list_flag("NAME=VALUE: an argument of the strategy; several times.")] = ()
    dataset: Annotated[
        str | None, Parameter(help="Which one, of a recording that holds several; the name of tick files.")
    ] = None
    asset_class: Annotated[
        AssetClass | None, Parameter(help="Of tick files; by default crypto for the dataset Crypto, else stocks.")
    ] = None
    from_: Annotated[
        str | None, Parameter(name="--from", help="Play from here (ISO 8601); what is before is stored data.")
    ] = None
    to: Annotated[str | None, Parameter(help="Play up to here, exclusive.")] = None
    reconnect: Annotated[
        bool | None, Parameter(help="Wait for a server that is not there, and come back when the connection is lost.")
    ] = None
    ca: Authorities = None
    quiet: Annotated[bool, Parameter(help="Say nothing on stderr but an error.", negative="", show_default=False)] = (
        False
    )


app = App(name="run", help_epilogue=_EXAMPLES)


@app.default
def run_strategy(
    name: Annotated[str, Parameter(name="STRATEGY", help="module:function, or file.py:function.")],
    target: Annotated[
        str | None, Parameter(name="URL|RECORDING", help="A server's URL; or a folder or file of a recording.")
    ] = None,
    /,
    flags: RunFlags = RunFlags(),
) -> int:
    """Run the strategy of this name on a URL (None: the default one) or a recording; returns the exit code.

    Raises:
        ConfigurationError: the strategy, the URL, the recording or a flag cannot be used.
    """
    view = RunView(quiet=flags.quiet)
    run = _run_of(target, flags, view)
    try:
        strategy = configured(load_strategy(name), name, flags.set)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever the module raises is told
        say(traceback_of(error))
        return _FAILED
    result: object = None
    raised: BaseException | None = None
    try:
        with view:
            result = run.run(strategy)
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:  # noqa: BLE001 -- told, or raised, by _end
        leaves = list(leaves_of(error))
        raised = leaves[0] if len(leaves) == 1 else error
    return _end(run, view, result, raised)


def _end(run: Wire | Recorded, view: RunView, result: object, raised: BaseException | None) -> int:
    """Print what there is to say; returns the exit code."""
    how, code = ("stopped" if run.stopped else "returned"), 0
    if raised is not None and any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves_of(raised)):
        how, code = "interrupted", run.interrupted
        if isinstance(raised, BaseExceptionGroup) and (others := raised.split(KeyboardInterrupt)[1]) is not None:
            say(traceback_of(others))
    elif isinstance(raised, BrokenPipeError) and _reader_is_gone():
        return 0
    elif raised is not None and any(isinstance(leaf, Exception) for leaf in leaves_of(raised)):
        how, code = "failed", _FAILED
        say(traceback_of(raised))
    elif raised is not None:
        raise raised
    elif result is not None and not _print(result):
        how, code = "failed", _FAILED
    view.tell(summary(how, run.standing))
    return code


def _run_of(target: str | None, flags: RunFlags, view: RunView) -> Wire | Recorded:
    if target is None or "://" in target:
        of_recordings = {
            "--dataset": flags.dataset,
            "--asset-class": flags.asset_class,
            "--from": flags.from_,
            "--to": flags.to,
        }
        _refuse(of_recordings, f"is for recordings, and {target or 'the default'} is a server")
        return Wire(target, config_of(flags.ca, reconnect=flags.reconnect is not False), view)
    _refuse({"--reconnect": flags.reconnect, "--ca": flags.ca}, f"is for servers, and {target} is a recording")
    if not Path(target).exists():
        raise ConfigurationError(f"there is no {target}: name a recording, or a URL that begins with ws:// or wss://")
    start, end = _time("--from", flags.from_), _time("--to", flags.to)
    if start is not None and end is not None and start >= end:
        raise ConfigurationError("--from is not before --to")
    options = RecordingOptions(dataset=flags.dataset, asset_class=flags.asset_class, start=start, end=end)
    return Recorded(Path(target), options, view)


def _refuse(given: Mapping[str, object], why: str) -> None:
    for flag, value in given.items():
        if value is not None:
            raise ConfigurationError(f"{flag} {why}")


def _time(flag: str, text: str | None) -> int | None:
    return None if text is None else int(structure(Given(text, flag), Time))


def _print(result: object) -> bool:
    """Print what the strategy has returned; False, and told why, where it is lost. A reader that is gone wants none."""
    try:
        text = _as_text(result)
    except Exception as error:  # noqa: BLE001 -- whatever its repr raises is told
        say(traceback_of(error))
        return False
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
    except (OSError, ValueError) as error:  # a full disk; an encoding that does not have it
        discard(sys.stdout)
        say(f"datafye-trio: what the strategy has returned cannot be written: {one_line(str(error))}")
        return False
    return True


def _as_text(result: object) -> str:
    try:
        return msgspec.json.encode(result).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(result)


def _reader_is_gone() -> bool:
    """Whether it is stdout that broke, and no pipe of the strategy's own."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False  # it is none of the system's
    if poll.poll(0):  # an error is told, whatever was asked for
        discard(sys.stdout)
        return True
    return False
