"""From what was given (TOML, environment, flags) to typed values: cattrs with strict types, each failure a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Literal, NewType, get_args, get_origin

import attrs
import cattrs

from datafye_trio.cli.text import one_line
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass
from datafye_trio.protocol import parse_time

__all__ = ["Given", "Paths", "Periods", "Rate", "Texts", "Time", "from_text", "structure"]

Texts = tuple[str, ...]
Rate = NewType("Rate", float)
"""A number, or `max`: as fast as clients read."""
Paths = NewType("Paths", tuple[str, ...])
"""Like a list of texts, but never split at commas: file names may hold them."""
Time = NewType("Time", int)
"""A point in time, given as a text of ISO 8601."""
Periods = NewType("Periods", tuple[int, ...])
"""The periods of an indicator."""

_TRUTH: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


@attrs.frozen
class Given:
    """A value as it was given, and where: a flag, a variable, or a key of a file."""

    value: object
    where: str


def structure(given: Given, kind: Any) -> Any:
    """The typed value.

    Raises:
        ConfigurationError: it is of another type, or out of bounds; the text says where it was given.
    """
    try:
        return _CONVERTER.structure(given.value, kind)
    except ValueError as error:
        raise ConfigurationError(f"{given.where} {error}, not {one_line(repr(given.value), 80)}") from None


def from_text(text: str, kind: Any) -> object:
    """What a text of the environment stands for, as TOML would give it; left as it is where it makes no sense."""
    try:
        if kind is int:
            return int(text)
        if kind in (float, Rate):
            return float(text)
    except ValueError:
        return text
    if kind is bool:
        return _TRUTH.get(text.strip().lower(), text)
    if kind == Texts:
        return [part.strip() for part in text.split(",") if part.strip()]
    return [text] if kind is Paths else text


def _whole(value: object, _: object) -> int:
    if type(value) is not int:
        raise ValueError("must be an integer")
    if value < 0:
        raise ValueError("must not be below 0")
    return value


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    try:
        number = float(value)
    except OverflowError:  # TOML's integers have no end
        raise ValueError("must be a number within 1e308") from None
    if math.isnan(number):
        raise ValueError("must be a number")
    if number < 0:
        raise ValueError("must not be below 0")
    return number


def _rate(value: object, _: object) -> float:
    if value == "max":
        return math.inf
    try:
        return _number(value, _)
    except ValueError as error:
        raise ValueError(f"{error} or max") from None


def _exactly(cls: type, article: str) -> Callable[[object, object], Any]:
    def check(value: object, _: object) -> Any:
        if type(value) is not cls:
            raise ValueError(f"must be {article}")
        return value

    return check


def _texts(value: object, _: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a list of texts, such as ["AAPL"]')
    return tuple(value)


def _paths(value: object, _: object) -> tuple[str, ...]:
    paths = _texts([value] if isinstance(value, str) else value, _)
    if not paths or not all(paths):
        raise ValueError("must be a path or a list of paths")
    return paths


def _periods(value: object, _: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise ValueError("must be a list of integers, such as [20, 50]")
    return tuple(value)


def _time(value: object, _: object) -> int:
    try:
        return parse_time(value if isinstance(value, str) else "")
    except ValueError:
        # Neither TOML's own times (microseconds at best) nor the parser's words, which repeat the value.
        raise ValueError("must be a time such as 2024-08-08T23:55:00Z as a text, for New York without Z") from None


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _choice(value: object, kind: Any) -> Any:
    options = get_args(kind) if _is_literal(kind) else tuple(AssetClass)
    if value not in options:
        raise ValueError(f"must be one of {', '.join(options)}")
    return options[options.index(value)]


def _make_converter() -> cattrs.Converter:
    # cattrs as it comes coerces ("12" to 12, true to 1) instead of validating: hence a hook for each kind in use.
    converter = cattrs.Converter()
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(bool, _exactly(bool, "true or false"))
    converter.register_structure_hook(str, _exactly(str, "a text"))
    converter.register_structure_hook(AssetClass, _choice)
    converter.register_structure_hook_func(_is_literal, _choice)
    converter.register_structure_hook_func(lambda kind: kind is Rate, _rate)
    converter.register_structure_hook_func(lambda kind: kind is Paths, _paths)
    converter.register_structure_hook_func(lambda kind: kind is Time, _time)
    converter.register_structure_hook_func(lambda kind: kind is Periods, _periods)
    converter.register_structure_hook_func(lambda kind: kind == Texts, _texts)
    return converter


_CONVERTER: Final = _make_converter()
