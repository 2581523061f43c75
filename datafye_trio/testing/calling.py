"""The arguments of a method, out of a query and a JSON object: which there are, its own signature says."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Final, get_args, get_type_hints
from urllib.parse import parse_qsl

from datafye_trio.errors import RequestError
from datafye_trio.protocol import parse_json
from datafye_trio.wire import HttpError

__all__ = ["arguments"]

_LONGEST: Final = 64
_WORDS: Final[Mapping[str, object]] = {"true": True, "false": False, "null": None}
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")
_NAMES: Final = {int: "an integer", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}


def arguments(method: Callable[..., object], name: str, query: str, body: bytes) -> dict[str, Any]:
    """The keyword arguments for a call, of the types that the method asks for.

    Args:
        method: what is going to be called; annotated with `int`, `float`, `bool`, `str`, and None beside them.
        name: what the caller knows it by.
        query: of the URL, `after=1000`.
        body: a JSON object, `{"after": 1000}`, or nothing.

    Raises:
        HttpError: 400; the text names what is wrong, and what there is.
    """
    parameters = inspect.signature(method).parameters
    hints = get_type_hints(method)
    kinds = {parameter: get_args(hints[parameter]) or (hints[parameter],) for parameter in parameters}
    texts, values = _parse_query(query), _parse_body(body)
    if twice := texts.keys() & values.keys():
        raise HttpError(400, f"{min(twice)[:_LONGEST]!r} stands in the query and in the body")
    for given in (*texts, *values):
        if given not in kinds:
            taken = f"it takes {', '.join(kinds)}" if kinds else "it takes none"
            raise HttpError(400, f"{name} has no parameter {given[:_LONGEST]!r}: {taken}")
    for parameter, one in parameters.items():
        if one.default is inspect.Parameter.empty and parameter not in {**texts, **values}:
            raise HttpError(400, f"{name} needs {parameter}: {_wanted(kinds[parameter])}")
    found = values | {parameter: _from_text(text, kinds[parameter]) for parameter, text in texts.items()}
    return {parameter: _checked(parameter, value, kinds[parameter]) for parameter, value in found.items()}


def _parse_query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=16)
    except ValueError as error:
        raise HttpError(400, f"malformed query: {str(error)[:100]}") from None
    if len(found := dict(pairs)) < len(pairs):
        raise HttpError(400, "a parameter stands twice in the query")
    return found


def _parse_body(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        return parse_json(body.decode())
    except UnicodeDecodeError:
        raise HttpError(400, "the body is not UTF-8") from None
    except RequestError as error:
        raise HttpError(400, f'the body must be one JSON object, such as {{"after": 1000}}: {error.message}') from None


def _from_text(text: str, kinds: tuple[type, ...]) -> object:
    """What a text in a query is meant as; itself where it cannot be anything else."""
    if str in kinds:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _checked(parameter: str, value: object, kinds: tuple[type, ...]) -> object:
    if float in kinds and type(value) is int:
        value = float(value)
    if type(value) not in kinds or (isinstance(value, float) and not math.isfinite(value)):
        raise HttpError(400, f"{parameter} must be {_wanted(kinds)}, not {str(value)[:_LONGEST]!r}")
    return value


def _wanted(kinds: tuple[type, ...]) -> str:
    return " or ".join(_NAMES[kind] for kind in kinds)
