"""The settings of `serve`: flag over `DATAFYE_TRIO_*` variable over TOML file over default.

All three layers speak of the same flat, dotted names (`heartbeat.accept`); the settings of a dataset that flags and
variables describe are `dataset.*`. What is unknown or wrong raises ConfigurationError with the place it was given.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

import attrs

from datafye_trio.cli.datasets import DATASET_SETTINGS, Description, describe
from datafye_trio.cli.descriptor import read_descriptor
from datafye_trio.cli.text import one_line
from datafye_trio.cli.values import Given, Paths, from_text, structure
from datafye_trio.errors import ConfigurationError
from datafye_trio.server import ServerConfig
from datafye_trio.server.config import is_loopback

__all__ = ["FLAGS", "PREFIX", "SETTINGS", "Process", "Settings", "load", "outside_file", "value_of"]

PREFIX: Final = "DATAFYE_TRIO_"


@attrs.frozen
class Process:
    """What is not the server's but its process's: logs, what a crash of a source does, whether it is for tests."""

    testing: bool = False
    on_source_error: Literal["keep", "exit"] = "keep"
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


@attrs.frozen
class Settings:
    """All settings of `serve`, typed and checked; `warnings` says what a descriptor asks for in vain."""

    server: ServerConfig
    datasets: tuple[Description, ...]
    process: Process
    warnings: tuple[str, ...] = ()


def _leaves(cls: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting below an attrs class: dotted name and type. An optional one has the type that it has when set."""
    for field in attrs.fields(attrs.resolve_types(cls)):
        if attrs.has(field.type):
            yield from _leaves(field.type, f"{prefix}{field.name}.")
        else:
            # An optional text is either absent or a text: neither file nor flag can say None.
            yield prefix + field.name, str if type(None) in get_args(field.type) else field.type


SETTINGS: Final[dict[str, Any]] = {**dict(_leaves(ServerConfig)), **dict(_leaves(Process))}
"""Every setting but those of datasets: dotted name and type."""

FLAGS: Final = {
    **{name: name for name in ("host", "port", "cert", "key", "testing", "on_source_error", "log_format", "log_level")},
    "allow": "access.allow",
    "deny": "access.deny",
    "trusted_proxy": "access.trusted_proxies",
    "origin": "access.origins",
    "heartbeat_accept": "heartbeat.accept",
    "policy": "outbox.policy",
    "dataset": "dataset.name",
    **{
        name: f"dataset.{name}"
        for name in (
            "asset_class", "symbols", "seed", "rate", "halts", "replay", "speed", "loop", "wait_for_client",
            "from", "to", "shift_to_now", "paused", "bars", "stdin", "upstream",
            "upstream_ca",
        )
    },
}  # fmt: skip
"""What the flags set: the flag's name in Python to the setting's."""

_KINDS: Final = SETTINGS | {f"dataset.{name}": kind for name, kind in DATASET_SETTINGS.items()}
_VARIABLES: Final = {f"{PREFIX}{name.replace('.', '_').upper()}": name for name in SETTINGS} | {
    f"{PREFIX}{flag.upper()}": name for flag, name in FLAGS.items()
}
_OF_COMMAND: Final = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}DESCRIPTOR", f"{PREFIX}PRINT_CONFIG"})
"""Variables that are no settings; read by the command."""


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None, descriptor: Path | None = None
) -> Settings:
    """Merge the layers.

    Args:
        flags: what was given, by the flag's name in Python; None and empty lists are not given.
        environ: the environment.
        file: the TOML file, if there is one.
        descriptor: the data descriptor that says which datasets there are, if not the TOML file.

    Raises:
        ConfigurationError: something unknown, or a value that cannot work.
    """
    in_file, tables = _read_file(file) if file is not None else ({}, [])
    given = in_file | outside_file(flags, environ)
    about_dataset = {name.removeprefix("dataset."): one for name, one in given.items() if name.startswith("dataset.")}
    given = {name: one for name, one in given.items() if name in SETTINGS}
    process = Process(**{name: structure(given[name], SETTINGS[name]) for name in _PROCESS if name in given})
    if process.testing:
        _check_testing(given)
    server = _build_server({name: one for name, one in given.items() if name not in _PROCESS})
    if descriptor is None:
        return Settings(server, tuple(map(describe, _join_datasets(tables, about_dataset, file))), process)
    if tables:
        raise ConfigurationError(f"{file} has [[datasets]], and so has the descriptor {descriptor}: use one of them")
    described = read_descriptor(descriptor, about_dataset)
    return Settings(server, tuple(map(describe, described.tables)), process, described.warnings)


def outside_file(flags: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, Given]:
    """What flags and variables say, which wins over the file: by the setting's name. Arguments and errors of `load`."""
    return _from_environment(environ) | _from_flags(flags)


def value_of(settings: Settings, name: str) -> Any:
    """The value of one of `SETTINGS`."""
    found: Any = settings.process if name in _PROCESS else settings.server
    for part in name.split("."):
        found = getattr(found, part)
    return found


_PROCESS: Final = tuple(field.name for field in attrs.fields(Process))


def _from_flags(flags: Mapping[str, object]) -> dict[str, Given]:
    given = {}
    for flag, value in flags.items():
        if value is None or value == ():
            continue
        name = FLAGS[flag]
        kind = _KINDS[name]
        if isinstance(value, tuple):
            value = list(value) if kind is Paths else from_text(",".join(value), kind)
        elif isinstance(value, str):
            value = from_text(value, kind)
        given[name] = Given(value, f"--{flag.replace('_', '-')}")
    return given


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in _OF_COMMAND:
            continue
        name = _VARIABLES.get(variable)
        if name is None:
            raise ConfigurationError(f"unknown variable {one_line(variable)}{_hint(variable, _VARIABLES)}")
        if name in given:
            raise ConfigurationError(f"{given[name].where} and {variable} are one setting: keep one of them")
        given[name] = Given(from_text(environ[variable], _KINDS[name]), variable)
    return given


def _read_file(file: Path) -> tuple[dict[str, Given], list[dict[str, Given]]]:
    """The settings and the datasets of a file."""
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:  # no UTF-8, or no TOML
        raise ConfigurationError(f"{file} is no TOML: {error}") from None
    tables = content.pop("datasets", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(f"datasets in {file}: write each as a table below [[datasets]]")
    given = {}
    for name, value in _flatten(content):
        if name not in SETTINGS:
            own = " (a dataset's settings go below [[datasets]])" if name in DATASET_SETTINGS else ""
            raise ConfigurationError(f"unknown setting {one_line(name)} in {file}{own or _hint(name, SETTINGS)}")
        given[name] = Given(value, f"{name} in {file}")
    return given, [_read_table(table, f"datasets[{place}]", file) for place, table in enumerate(tables)]


def _read_table(table: dict[str, Any], where: str, file: Path) -> dict[str, Given]:
    for name in table:
        if name not in DATASET_SETTINGS:
            hint = _hint(name, DATASET_SETTINGS)
            raise ConfigurationError(f"unknown setting {where}.{one_line(name)} in {file}{hint}")
    return {name: Given(value, f"{where}.{name} in {file}") for name, value in table.items()}


def _flatten(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict) and name not in SETTINGS and any(s.startswith(f"{name}.") for s in SETTINGS):
            yield from _flatten(value, f"{name}.")
        else:
            yield name, value


def _build_server(given: Mapping[str, Given]) -> ServerConfig:
    values = {name: structure(one, SETTINGS[name]) for name, one in given.items()}
    try:
        return _make_server(values)
    except ConfigurationError as error:
        # The whole was refused: find the one that is refused alone, in the same words.
        for name, one in given.items():
            if _complaint({name: values[name]}) == str(error):
                raise ConfigurationError(f"{one.where}: {error}") from None
        raise


def _complaint(values: Mapping[str, Any]) -> str:
    try:
        _make_server(values)
    except ConfigurationError as error:
        return str(error)
    return ""


def _make_server(values: Mapping[str, Any]) -> ServerConfig:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        # `DATAFYE_TRIO_CERT=` is how a container says "none".
        sections.setdefault(section, {})[key] = None if value == "" and name in ("cert", "key") else value
    top = sections.pop("", {})
    kinds = {field.name: field.type for field in attrs.fields(attrs.resolve_types(ServerConfig))}
    return ServerConfig(**top, **{name: kinds[name](**inner) for name, inner in sections.items()})  # type: ignore[misc]  # attrs types a field's type as maybe None


def _check_testing(given: Mapping[str, Given]) -> None:
    """Refuse to let anybody but this machine break connections, and what cannot be broken frame by frame."""
    where = given["testing"].where
    host = structure(given["host"], str) if "host" in given else ServerConfig().host
    if not is_loopback(host):
        raise ConfigurationError(
            f"{where}: whoever reaches the port can cut every client, hence it is for this machine alone, and "
            f"{one_line(host)} can be reached from outside: leave out host, or testing"
        )
    if "cert" in given and given["cert"].value != "":
        raise ConfigurationError(
            f"{where}: frames are changed on their way, which TLS would hide: leave out cert and key, or testing"
        )


def _join_datasets(
    tables: list[dict[str, Given]], override: dict[str, Given], file: Path | None
) -> list[dict[str, Given]]:
    """Lay the dataset of flags and variables over those of the file: over the only one, or over the one it names."""
    if not override:
        return tables or [{}]
    if not tables:
        return [override]
    if len(tables) == 1:
        place = 0
    else:
        names = [table["name"].value if "name" in table else None for table in tables]
        if "name" not in override or names.count(override["name"].value) != 1:
            where = next(iter(override.values())).where
            raise ConfigurationError(f"{where}: {file} has {len(tables)} datasets: name one of them with --dataset")
        place = names.index(override["name"].value)
    # Files to replay over a dataset that was none: nothing of what the file says about it would fit.
    base = tables[place] if "replay" not in override or "replay" in tables[place] else {}
    return [*tables[:place], base | override, *tables[place + 1 :]]


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {close[0]}?" if close else ""
