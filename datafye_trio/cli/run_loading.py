"""Which strategy a command line means, `module:function` or `file.py:function`, and its arguments, `name=value`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args, get_origin, get_type_hints

import msgspec

from datafye_trio.cli.text import one_line
from datafye_trio.errors import ConfigurationError
from datafye_trio.strategy import Feed

__all__ = ["AnyStrategy", "configured", "load_strategy"]

AnyStrategy: TypeAlias = Callable[..., Awaitable[object]]

_KEYWORDS: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_SIMPLE: Final = (bool, int, float, str)
_LISTS: Final = (list, tuple, set, frozenset, Sequence)
_TRUTH: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
"""As the variables of `serve` have it; the converter itself knows true, false, 1 and 0."""


def load_strategy(name: str) -> AnyStrategy:
    """The function that `module:function` or `path/file.py:function` names; its module is imported.

    A module is looked for in the current folder first, as Python does by `-m`; a file finds those beside itself.

    Raises:
        ConfigurationError: there is no such module, file or function, or it is not async.
        Exception: whatever the module raises while it is imported.
    """
    place, _, function = name.rpartition(":")
    if not place or not function:
        raise ConfigurationError(f"{name!r}: name a strategy as module:function, or file.py:function")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    found = getattr(module, function, None)
    if found is None:
        held = [one for one, value in vars(module).items() if _is_own(value, module)]
        which = f"it has {', '.join(held)}" if held else "and no async function at all"
        raise ConfigurationError(f"{place} has no function {function}: {which}")
    if not _is_async(found):
        raise ConfigurationError(f"{name} is no async function: a strategy is `async def {function}(feed): ...`")
    strategy: AnyStrategy = found
    return strategy


def configured(strategy: AnyStrategy, name: str, settings: Iterable[str]) -> Callable[[Feed], Awaitable[object]]:
    """The strategy with the arguments that texts `name=value` give, each converted as the function's annotation says.

    A list is separated by commas. What has no annotation is of the type of its default, else a text.

    Raises:
        ConfigurationError: a name is unknown, missing or given twice, or a value is of another type.
    """
    taken = _parameters(strategy, name)
    texts: dict[str, str] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise ConfigurationError(f"--set {setting}: write name=value")
        if key not in taken:
            raise ConfigurationError(f"--set {setting}: {name} takes no {key!r}; {_told(taken)}")
        if key in texts:
            raise ConfigurationError(f"--set {setting}: {key} is given twice; a list is separated by commas")
        texts[key] = text
    missing = [key for key, one in taken.items() if one.default is one.empty and key not in texts]
    if missing:
        wanted = " ".join(f"--set {key}=..." for key in missing)
        raise ConfigurationError(f"{name} needs {wanted}; {_told(taken)}")
    return partial(strategy, **{key: _converted(key, text, taken[key]) for key, text in texts.items()})


def _from_file(path: Path) -> types.ModuleType:
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}")
    sys.path.insert(0, str(path.resolve().parent))
    # Under a name of its own: a strategy may be called like a module that others import, such as statistics.py.
    name = f"strategy_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 -- so for any file that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> types.ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # what the module itself imports is missing
        hint = f"; a file is named with its ending: {name}.py" if Path(f"{name}.py").is_file() else ""
        raise ConfigurationError(f"there is no module {name}, in the current folder or installed{hint}") from None
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name!r} is no name of a module") from None


def _is_async(found: object) -> bool:
    if isinstance(found, type):
        return False  # to call it makes one of it, though what that is can be called
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(getattr(found, "__call__", None))  # noqa: B004 -- the method is what is looked at


def _is_own(value: object, module: types.ModuleType) -> bool:
    return inspect.iscoroutinefunction(value) and value.__module__ == module.__name__


def _parameters(strategy: AnyStrategy, name: str) -> Mapping[str, inspect.Parameter]:
    """What may be set: all that a keyword can give, but for the feed, with annotations that are types."""
    places = list(inspect.signature(strategy).parameters.values())
    if not places or places[0].kind not in (places[0].POSITIONAL_ONLY, places[0].POSITIONAL_OR_KEYWORD):
        raise ConfigurationError(f"{name} takes no feed: a strategy is `async def strategy(feed): ...`")
    rest = places[1:]
    taken = {one.name: one.replace(annotation=_type_of(one, strategy)) for one in rest if one.kind in _KEYWORDS}
    needed = [one.name for one in rest if one.default is one.empty and one.kind is one.POSITIONAL_ONLY]
    if needed:
        raise ConfigurationError(f"{name} takes {needed[0]} by its place only: leave out the / behind it")
    return taken


def _type_of(one: inspect.Parameter, strategy: AnyStrategy) -> Any:
    if one.annotation is one.empty:
        return type(one.default) if type(one.default) in _SIMPLE else str
    # By itself: the annotation of the feed may be known to type checkers only.
    alone = types.SimpleNamespace(__annotations__={one.name: one.annotation})
    inner = inspect.unwrap(strategy.func if isinstance(strategy, partial) else strategy)
    try:
        return get_type_hints(alone, getattr(inner, "__globals__", {}))[one.name]
    except NameError as error:
        raise ConfigurationError(f"the annotation of {one.name} cannot be read: {error}") from None


def _converted(key: str, text: str, one: inspect.Parameter) -> object:
    kind = one.annotation
    held: object = text
    if any(get_origin(part) in _LISTS or part in _LISTS for part in (kind, *get_args(kind))):
        held = [part.strip() for part in text.split(",") if part.strip()]
    elif kind is bool:
        held = _TRUTH.get(text.lower(), text.lower())
    try:
        return msgspec.convert(held, kind, strict=False, dec_hook=_made)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"--set {key}={one_line(text)}: {_kind_told(kind)} is wanted: {error}") from None


def _made(kind: Any, value: object) -> object:
    """One of a type that the converter does not know, such as a Path or a Fraction."""
    return kind(value)


def _told(taken: Mapping[str, inspect.Parameter]) -> str:
    """What may be set, with types and defaults."""
    if not taken:
        return "it takes no settings"
    told = [
        f"{key}: {_kind_told(one.annotation)}" + ("" if one.default is one.empty else f" = {one.default!r}")
        for key, one in taken.items()
    ]
    return f"it takes {one_line(', '.join(told), 500)}"


def _kind_told(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
