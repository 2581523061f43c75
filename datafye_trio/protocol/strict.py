"""Bytes to plain objects, strictly: what a peer sends is a sound JSON object or MessagePack map, or it is refused.

Refused alike in both (protocol.md section 8): NaN and infinities, duplicate keys, integers beyond 64 bits, unpaired
surrogates, depth over 16. msgspec was rejected for this direction: it takes the last of duplicate keys and any depth.
The invariant, which the tests fuzz: any input gives a dict or a RequestError, nothing else.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, Final, NoReturn

import msgpack

from datafye_trio.errors import RequestError
from datafye_trio.protocol.codes import ErrorCode

__all__ = ["MAX_DEPTH", "parse_json", "parse_msgpack"]

MAX_DEPTH: Final = 16
_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**64 - 1
_MAX_DIGITS: Final = 20


def parse_json(text: str) -> dict[str, Any]:
    """The object in `text`.

    Raises:
        RequestError: MALFORMED_JSON, or INVALID_MESSAGE where it is sound but no object.
    """
    try:
        value = _JSON.decode(text)
    except RecursionError:  # no ValueError, hence on its own
        raise _malformed(f"nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"no JSON at character {error.pos}: {error.msg}") from None
    except ValueError as error:
        raise _malformed(str(error)) from None
    return _sound_object(value)


def parse_msgpack(data: bytes) -> dict[str, Any]:
    """The map in `data`.

    Raises:
        RequestError: MALFORMED_JSON (the code's name serves both encodings), or INVALID_MESSAGE where it is no map.
    """
    try:
        value = msgpack.unpackb(data, object_pairs_hook=_unique, strict_map_key=True, raw=False, timestamp=0)
    except msgpack.StackError:
        raise _malformed(f"nested deeper than {MAX_DEPTH} levels") from None
    # msgpack has no root class for its errors: FormatError is a ValueError, the rest are these.
    except (ValueError, TypeError, KeyError, OverflowError, msgpack.UnpackException) as error:
        raise _malformed(f"no MessagePack: {str(error) or type(error).__name__}") from None
    return _sound_object(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)  # counted once: to look for each key among all took 5 s for 13,000
        twice = next(key for key in counts if counts[key] > 1)
        raise ValueError(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _integer(digits: str) -> int:
    # Before int(): 4,000 digits cost milliseconds, 5,000 raise a ValueError with advice for programmers.
    if len(digits) > _MAX_DIGITS or not _MIN_INT <= (value := int(digits)) <= _MAX_INT:
        raise ValueError("an integer is beyond 64 bits")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_JSON: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_constant=_refuse_constant)


def _sound_object(value: object) -> dict[str, Any]:
    """Check what the decoders let through, without recursion."""
    level: list[object] = [value]
    for depth in range(MAX_DEPTH + 1):
        inner: list[object] = []
        for item in level:
            if depth == MAX_DEPTH and isinstance(item, dict | list):
                raise _malformed(f"nested deeper than {MAX_DEPTH} levels")
            if isinstance(item, dict):
                for key in item:
                    _check_scalar(key)
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
            else:
                _check_scalar(item)
        level = inner
    if not isinstance(value, dict):
        raise RequestError(ErrorCode.INVALID_MESSAGE, 'send one object, such as {"action":"ping"}')
    return value


def _check_scalar(item: object) -> None:
    if isinstance(item, float):
        if not math.isfinite(item):
            raise _malformed("a number is NaN or infinite")
    elif isinstance(item, str):
        try:
            item.isascii() or item.encode()
        except UnicodeEncodeError:
            raise _malformed("a text holds an unpaired surrogate") from None
    elif item is not None and not isinstance(item, int):  # MessagePack only: bytes, extension types
        raise _malformed(f"a value of type {type(item).__name__} has no place in a request")


def _malformed(why: str) -> RequestError:
    return RequestError(ErrorCode.MALFORMED_JSON, f"the message cannot be read: {why}")
