"""The flags of `serve`, as an attrs class that cyclopts reads. None (or an empty tuple) is "not given"."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import attrs
from cyclopts import Group, Parameter

from datafye_trio.cli.meanings import DATASET_MEANINGS, MEANINGS
from datafye_trio.cli.settings import Process
from datafye_trio.model import AssetClass
from datafye_trio.server import ServerConfig
from datafye_trio.sources import SyntheticConfig

__all__ = ["ServeFlags"]

_DATASET: Final = Group("What is served", sort_key=1)
_LISTEN: Final = Group("Where, and to whom", sort_key=2)
_CLIENTS: Final = Group("How clients are treated", sort_key=3)
_PROCESS: Final = Group("The process", sort_key=4)


def _dataset(name: str) -> Parameter:
    default = {"seed": SyntheticConfig().seed, "rate": SyntheticConfig().rate, "speed": 1}.get(name)
    return Parameter(group=_DATASET, help=DATASET_MEANINGS[name] + _default(default))


def _setting(group: Group, name: str) -> Parameter:
    found: Any = Process() if hasattr(Process(), name) else ServerConfig()
    for part in name.split("."):
        found = getattr(found, part)
    return Parameter(group=group, help=MEANINGS[name] + _default(found))


def _default(value: object) -> str:
    return "" if value is None else f" [default: {value:g}]" if isinstance(value, float) else f" [default: {value}]"


def _several(group: Group, name: str, meanings: dict[str, str] = MEANINGS) -> Parameter:
    text = f"{meanings[name].removesuffix('.')}; comma-separated, or several times."
    return Parameter(group=group, help=text, negative="", show_default=False)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ServeFlags:
    """The flags of `serve`."""

    descriptor: Annotated[
        Path | None,
        Parameter(
            group=_DATASET, help="Datafye's data descriptor (YAML): the datasets to serve, and what each offers."
        ),
    ] = None
    dataset: Annotated[str | None, _dataset("name")] = None
    asset_class: Annotated[AssetClass | None, _dataset("asset_class")] = None
    symbols: Annotated[tuple[str, ...], _several(_DATASET, "symbols", DATASET_MEANINGS)] = ()
    seed: Annotated[int | None, _dataset("seed")] = None
    rate: Annotated[str | None, _dataset("rate")] = None
    halts: Annotated[bool | None, _dataset("halts")] = None
    replay: Annotated[
        tuple[str, ...],
        Parameter(
            group=_DATASET,
            help=DATASET_MEANINGS["replay"] + " Several times: merged by time. With a descriptor also NAME=PATH.",
            negative="",
            show_default=False,
        ),
    ] = ()
    speed: Annotated[str | None, _dataset("speed")] = None
    loop: Annotated[bool | None, _dataset("loop")] = None
    wait_for_client: Annotated[
        int | None,
        Parameter(group=_DATASET, help=DATASET_MEANINGS["wait_for_client"] + " The number may be left out: 1."),
    ] = None
    from_: Annotated[str | None, Parameter(name="--from", group=_DATASET, help=DATASET_MEANINGS["from"])] = None
    to: Annotated[str | None, _dataset("to")] = None
    shift_to_now: Annotated[bool | None, _dataset("shift_to_now")] = None
    paused: Annotated[bool | None, _dataset("paused")] = None
    bars: Annotated[Literal["all", "consolidated"] | None, _dataset("bars")] = None
    upstream: Annotated[str | None, _dataset("upstream")] = None
    upstream_ca: Annotated[str | None, _dataset("upstream_ca")] = None
    stdin: Annotated[bool | None, Parameter(group=_DATASET, help=DATASET_MEANINGS["stdin"], negative="")] = None

    host: Annotated[str | None, _setting(_LISTEN, "host")] = None
    port: Annotated[int | None, _setting(_LISTEN, "port")] = None
    cert: Annotated[str | None, _setting(_LISTEN, "cert")] = None
    key: Annotated[str | None, _setting(_LISTEN, "key")] = None
    allow: Annotated[tuple[str, ...], _several(_LISTEN, "access.allow")] = ()
    deny: Annotated[tuple[str, ...], _several(_LISTEN, "access.deny")] = ()
    trusted_proxy: Annotated[tuple[str, ...], _several(_LISTEN, "access.trusted_proxies")] = ()
    origin: Annotated[tuple[str, ...], _several(_LISTEN, "access.origins")] = ()

    heartbeat_accept: Annotated[Literal["pong", "any"] | None, _setting(_CLIENTS, "heartbeat.accept")] = None
    policy: Annotated[Literal["disconnect", "drop_oldest"] | None, _setting(_CLIENTS, "outbox.policy")] = None

    testing: Annotated[bool | None, Parameter(group=_PROCESS, help=MEANINGS["testing"], negative="")] = None
    on_source_error: Annotated[Literal["exit", "keep"] | None, _setting(_PROCESS, "on_source_error")] = None
    log_format: Annotated[Literal["text", "json"] | None, _setting(_PROCESS, "log_format")] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"] | None, _setting(_PROCESS, "log_level")] = None
    config: Annotated[
        Path | None, Parameter(group=_PROCESS, help="TOML file with settings; --print-config writes one.")
    ] = None
    print_config: Annotated[
        bool | None,
        Parameter(group=_PROCESS, help="Print every setting with its meaning as TOML, and end.", negative=""),
    ] = None
