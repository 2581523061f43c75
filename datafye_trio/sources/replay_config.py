"""The settings of a replay."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs

from datafye_trio.aggregates import Aggregation
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel

__all__ = ["ReplayConfig"]


def _paths(paths: str | Path | Iterable[str | Path]) -> tuple[Path, ...]:
    return (Path(paths),) if isinstance(paths, (str, Path)) else tuple(map(Path, paths))


@attrs.frozen
class ReplayConfig:
    """What to replay, and how. Times are places in the recording's own time (`Timed`), in nanoseconds since 1970.

    Attributes:
        paths: folders and files of a recording (Parquet), tick files and folders of tick files; one path or several.
        dataset: the dataset's name, in the recording and on the wire; None for the only one that a recording holds.
            Tick files have no name of their own.
        asset_class: by default what the recording says; for tick files crypto for the dataset `Crypto`, else stocks.
        speed: 1.0 is the pace of the recording, N is N times that, `math.inf` as fast as clients that read take it.
        loop: begin again at the end, for ever.
        wait_for_client: hold the first row until so many topics have a subscriber, then 200 ms more.
        start, end: replay only this part, half-open.
        shift_to_now: move all timestamps by one constant, so that the first event that is published happens (a bar:
            begins) at that moment; with `loop`, each lap anew. Otherwise they stay those of the recording.
        paused: begin paused.
        aggregation: the bars and indicators to make of the trades, by default `default_aggregation`; bars that were
            recorded beside trades are left out then. With None, or without trades, it is they that are replayed.
        symbols: replay and offer only these, in normal form; None is all.
        channels: offer only these; None is all. Trades are folded into bars even if they are not offered themselves.
        history: whether the recording can also be asked for as stored data.

    Raises:
        ConfigurationError: no path, a speed that is not above 0, a count of topics below 1, or an empty range.
    """

    paths: tuple[Path, ...] = attrs.field(converter=_paths)
    dataset: str | None = None
    asset_class: AssetClass | None = None
    speed: float = 1.0
    loop: bool = False
    wait_for_client: int | None = None
    start: int | None = None
    end: int | None = None
    shift_to_now: bool = False
    paused: bool = False
    aggregation: Aggregation | Literal["default"] | None = "default"
    symbols: tuple[str, ...] | None = None
    channels: tuple[Channel, ...] | None = None
    history: bool = True

    def __attrs_post_init__(self) -> None:
        if not self.paths:
            raise ConfigurationError("a replay needs at least one file or folder")
        if not self.speed > 0:
            raise ConfigurationError(f"the speed of a replay is above 0, or inf for the highest; {self.speed} is not")
        if self.wait_for_client is not None and self.wait_for_client < 1:
            raise ConfigurationError(f"a replay waits for at least 1 topic, not for {self.wait_for_client}")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ConfigurationError("a replay goes from one time to a later one: its from is not before its to")
