"""cattrs, made strict: camelCase on the wire, absent optionals left out, no coercion.

cattrs as it comes coerces instead of validating ("12" to 12, "AAPL" to four symbols), hence hooks for each scalar.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

__all__ = ["fields_of", "make_converter", "wire_name"]

T = TypeVar("T")

_IRREGULAR: Final = {
    "bid_exchange_id": "bidExchangeID",
    "ask_exchange_id": "askExchangeID",
    "exchange_id": "exchangeID",
    "trade_id": "tradeID",
    "trf_id": "trfID",
    "price": "tradePrice",
    "size": "tradeSize",
    "start": "datetime",
    "from_": "from",
    "except_": "except",
}
_OWN_NAMES: Final = {"Sma": frozenset({"price"}), "Ema": frozenset({"price"})}
"""Fields whose name is irregular elsewhere but plain in this class: an indicator's `price` is `price`."""


def wire_name(cls: type[Any], name: str) -> str:
    """The camelCase name of a field, with Datafye's own spellings (`bidExchangeID`, `tradePrice`, `datetime`)."""
    if name in _IRREGULAR and name not in _OWN_NAMES.get(cls.__name__, ()):
        return _IRREGULAR[name]
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def fields_of(cls: type[Any]) -> dict[str, str]:
    """The fields of an attrs class: wire name to Python name."""
    return {wire_name(cls, field.name): field.name for field in attrs.fields(cls)}


def make_converter() -> cattrs.Converter:
    """A converter for attrs classes of this package.

    Structuring raises `cattrs.ClassValidationError`, whose notes name the field; the leaves are ValueErrors
    with a sentence ("must be a text"). A field with the default None is left out when it is None.
    """
    converter = cattrs.Converter(detailed_validation=True, forbid_extra_keys=False)
    for cls, article in ((str, "a text"), (bool, "true or false")):
        converter.register_structure_hook(cls, _exactly(cls, article))
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(float, _structure_number)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _structure_texts)
    converter.register_structure_hook_func(lambda kind: kind in (str | int, str | int | None), _structure_id)
    converter.register_structure_hook_func(lambda kind: kind == dict[str, int], _structure_counts)
    converter.register_structure_hook_factory(attrs.has, lambda cls: _structure_fn(cls, converter))
    converter.register_structure_hook_factory(_is_tuple_of_objects, lambda kind: _structure_objects_fn(kind, converter))
    converter.register_unstructure_hook_factory(attrs.has, lambda cls: _unstructure_fn(cls, converter))
    return converter


def _overrides(cls: type[Any]) -> dict[str, Any]:
    return {
        field.name: override(rename=wire_name(cls, field.name), omit_if_default=field.default is None)
        for field in attrs.fields(cls)
    }


def _structure_fn(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    attrs.resolve_types(cls)
    inner = make_dict_structure_fn(cls, converter, **_overrides(cls))

    def structure(value: object, kind: type[Any]) -> Any:
        if not isinstance(value, dict):
            raise ValueError("must be an object")
        return inner(value, kind)

    return structure


def _unstructure_fn(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    attrs.resolve_types(cls)
    return make_dict_unstructure_fn(cls, converter, **_overrides(cls))


def _exactly(cls: type[T], article: str) -> Callable[[object, object], T]:
    def structure(value: object, _: object) -> T:
        if type(value) is not cls:
            raise ValueError(f"must be {article}")
        return value

    return structure


def _structure_int(value: object, _: object) -> int:
    if type(value) is not int:
        raise ValueError("must be an integer")
    return value


def _structure_number(value: object, _: object) -> int | float:
    # Left as sent: an integer size stays an integer.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value


def _structure_texts(value: object, _: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a list of texts, such as ["AAPL"]')
    return tuple(value)


def _is_tuple_of_objects(kind: Any) -> bool:
    return get_origin(kind) is tuple and attrs.has(get_args(kind)[0])


def _structure_objects_fn(kind: Any, converter: cattrs.Converter) -> Callable[[object, object], tuple[Any, ...]]:
    cls = get_args(kind)[0]
    inner = converter.get_structure_hook(cls)

    def structure(value: object, _: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError("must be a list of objects")
        found = []
        for at, item in enumerate(value):
            try:
                found.append(inner(item, cls))
            except (cattrs.BaseValidationError, ValueError) as error:
                # The first is enough. cattrs collects them all: 13 KiB of errors for an empty object of three bytes.
                error.add_note(cattrs.IterableValidationNote(f"index {at}", at, cls))
                raise cattrs.IterableValidationError("a list", [error], kind) from None
        return tuple(found)

    return structure


def _structure_id(value: object, _: object) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a text or an integer")
    if isinstance(value, str) and len(value) > _MAX_ID:
        raise ValueError(f"must be at most {_MAX_ID} characters")
    return value


_MAX_ID: Final = 256


def _structure_counts(value: object, _: object) -> dict[str, int]:
    if not isinstance(value, dict) or any(type(item) is not int or item < 0 for item in value.values()):
        raise ValueError('must map symbols to counts from 0, such as {"AAPL":12}')
    return value
