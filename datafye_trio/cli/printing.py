"""`--print-config`: every setting as TOML, with its meaning above it; what is printed can be loaded again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isinf
from pathlib import Path

from datafye_trio.cli.datasets import settings_of
from datafye_trio.cli.meanings import DATASET_MEANINGS, MEANINGS
from datafye_trio.cli.settings import SETTINGS, Settings, value_of
from datafye_trio.errors import ConfigurationError

__all__ = ["as_toml"]

_WIDTH = 118


def as_toml(settings: Settings) -> str:
    """The settings in effect. One that is not set has no value in TOML: it stands as a comment.

    Raises:
        ConfigurationError: a text cannot be written in TOML (a file name that is no UTF-8, say).
    """
    lines = [
        "# Settings of `datafye-trio serve`, for --config. A flag or a DATAFYE_TRIO_* variable wins over this file."
    ]
    section = ""
    for name in sorted(SETTINGS, key=lambda name: "." in name):  # TOML wants what has no section first
        head, _, key = name.rpartition(".")
        if head != section:
            section = head
            lines += ["", f"[{section}]"]
        lines += [f"# {MEANINGS[name]}", _assignment(key, value_of(settings, name))]
    for description in settings.datasets:
        lines += ["", "[[datasets]]"]
        for key, value in settings_of(description).items():
            lines += [f"# {DATASET_MEANINGS[key]}", _assignment(key, value)]
    return "\n".join(lines) + "\n"


def _assignment(key: str, value: object) -> str:
    if value is None:
        return f"# {key} ="
    line = f"{key} = {_literal(value)}"
    if len(line) <= _WIDTH or not isinstance(value, tuple):
        return line
    return "\n".join([f"{key} = [", *_wrapped(value), "]"])


def _wrapped(values: tuple[object, ...]) -> Iterator[str]:
    line = "   "
    for value in values:
        item = f" {_literal(value)},"
        if len(line) + len(item) > _WIDTH and line.strip():
            yield line
            line = "   "
        line += item
    yield line


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return '"max"' if isinf(value) else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    text = str(value) if isinstance(value, Path) else value
    assert isinstance(text, str)  # noqa: S101 -- settings have no other types
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{text!r} cannot be written in TOML: it is no UTF-8") from None
    # JSON's escapes are TOML's too, but for surrogate pairs (hence no ASCII) and DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
