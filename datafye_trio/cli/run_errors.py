"""A strategy's error, told by the lines of the strategy: those of this package, of trio and of Python are left out."""

from __future__ import annotations

import contextlib
import heapq
import importlib
import os
import traceback
from pathlib import Path
from typing import Final

import outcome
import trio

import datafye_trio
from datafye_trio.cli.text import one_line
from datafye_trio.errors import DatafyeError

__all__ = ["traceback_of"]

_TEXT: Final = 500
_PACKAGES: Final = tuple(str(Path(str(module.__file__)).parent) + os.sep for module in (datafye_trio, trio, outcome))
_MACHINERY: Final = (contextlib.__file__, heapq.__file__, str(Path(importlib.__file__).parent) + os.sep, "<frozen ")


def traceback_of(error: BaseException) -> str:
    """The traceback, its last line the error itself. One of ours that no line of a strategy led to is that line alone.

    An error that is no `DatafyeError`, and was raised in this package or in trio, keeps the line where it was: then it
    may be a bug there.
    """
    told = traceback.TracebackException.from_exception(error)
    ours = isinstance(error, DatafyeError)
    _shorten(told, keeps_last=not ours)
    if ours and not told.stack:
        return f"datafye-trio: {one_line(str(error), _TEXT)}"
    return "".join(told.format()).rstrip("\n")


def _shorten(told: traceback.TracebackException, *, keeps_last: bool) -> None:
    keeps_last = keeps_last and told.exceptions is None  # a group is always made by a nursery
    last = [frame for frame in told.stack[-1:] if keeps_last and frame.filename.startswith(_PACKAGES)]
    others = (*_PACKAGES, *_MACHINERY)
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(others)] + last
    if told.__cause__ is not None:
        _shorten(told.__cause__, keeps_last=False)
        if not told.__cause__.stack:
            told.__cause__, told.__suppress_context__ = None, True
    if told.__context__ is not None:
        _shorten(told.__context__, keeps_last=False)
        if not told.__context__.stack:
            told.__context__ = None
    for one in told.exceptions or ():
        _shorten(one, keeps_last=True)
