"""Opening what is on disk as recordings: folders and files of Parquet, tick CSV files, or both."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from urllib.parse import unquote

import attrs

from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass, Channel, Timed
from datafye_trio.recordings.base import Recording, Selection
from datafye_trio.recordings.csv_ticks import TickFile, find_tick_files, merge_column, read_ticks, tick_files_in
from datafye_trio.recordings.layout import part_number
from datafye_trio.recordings.merging import MergedRecording, Strand, limited
from datafye_trio.recordings.parquet import Footer, read_footer, strands_of

__all__ = ["CsvStrand", "default_asset_class", "footer_of", "open_recordings", "parquet_files"]


@attrs.frozen
class CsvStrand:
    """A tick file; `key` is the column of times that it is merged by."""

    file: TickFile
    asset_class: AssetClass
    key: str
    has_halts: bool = False
    indexed: bool = False

    @property
    def channel(self) -> Channel:
        """Trades or quotes."""
        return self.file.channel

    def read(self, selection: Selection) -> Generator[Timed]:
        """As `Strand.read`; also raises SourceError for a malformed row."""
        rows = read_ticks(self.file, self.asset_class, self.key)
        everything = selection.symbols is None and selection.start is None and selection.end is None
        return rows if everything else limited(rows, selection)


def default_asset_class(dataset: str) -> AssetClass:
    """Crypto for the dataset `Crypto`, stocks for every other."""
    return AssetClass.CRYPTO if dataset == "Crypto" else AssetClass.STOCKS


def open_recordings(
    paths: Sequence[Path], *, dataset: str | None = None, asset_class: AssetClass | None = None
) -> tuple[Recording, ...]:
    """What lies at these paths, one recording a dataset, in order of their first files.

    A path is a Parquet file of a recording, a tick CSV file, or a folder: it stands for all Parquet files in it and
    below, and for the tick files in it. Files of a recording know their dataset (by the folder `dataset=...` above
    them, else by their own word) and asset class; `dataset` picks one of these datasets. Of tick files, `dataset` and
    `asset_class` (by default `default_asset_class`) say what they are. Both of one dataset are merged.

    Raises:
        SourceError: a path is missing, or cannot be read, or is neither; a folder holds neither; the dataset or the
            asset class asked for is not there. The text names the path.
        ConfigurationError: tick files without a `dataset`; pyarrow is needed and not installed.
    """
    footers: list[Footer] = []
    ticks: list[TickFile] = []
    for path in paths:
        parts, files = _look(path)
        footers += [footer for part in parts if (footer := footer_of(part)) is not None]
        ticks += files
    if ticks and dataset is None:
        raise ConfigurationError(f"{ticks[0].path} does not say what dataset it is of: give its name (dataset)")
    held = {footer.dataset: footer.asset_class for footer in footers}
    if not footers and not ticks:
        raise SourceError(f"there is not one row in {', '.join(map(str, paths))}")
    if footers and dataset is not None and dataset not in held:
        where = ", ".join(map(str, paths))
        raise SourceError(f"no dataset {dataset} in {where}: there is {', '.join(sorted(held))}")
    names = list(held) if dataset is None else [dataset]
    return tuple(
        _open_dataset(name, [one for one in footers if one.dataset == name], ticks, asset_class) for name in names
    )


def _open_dataset(
    name: str, footers: Sequence[Footer], ticks: Sequence[TickFile], asset_class: AssetClass | None
) -> Recording:
    meant = asset_class or (footers[0].asset_class if footers else default_asset_class(name))
    for footer in footers:
        if footer.asset_class is not meant:
            raise SourceError(f"{footer.path} is of {footer.asset_class}, and {name} is to be {meant}")
    strands: list[Strand] = [*strands_of(footers), *_csv_strands(ticks, meant)]
    return MergedRecording(name, meant, tuple(strands))


def _csv_strands(files: Sequence[TickFile], asset_class: AssetClass) -> tuple[CsvStrand, ...]:
    key = merge_column(files) if files else ""
    return tuple(CsvStrand(file, asset_class, key) for file in files)


def _look(path: Path) -> tuple[list[Path], Sequence[TickFile]]:
    """The Parquet files and the tick files that a path stands for; one of each at least."""
    if not path.is_dir():
        return ([path], ()) if path.suffix.lower() == ".parquet" else ([], find_tick_files([path]))
    parts = parquet_files(path)
    if not parts and not any(path.iterdir()):
        raise SourceError(f"the folder {path} is empty: there is no recording in it, and no tick file")
    # Without parts, a folder without tick files is an error; beside parts, other CSV files are of no concern.
    return parts, tick_files_in(path) if parts else find_tick_files([path])


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files in a folder and below, by folder and number; hidden ones are none of a recording's.

    Raises:
        SourceError: a folder cannot be read. (`Path.rglob` would pass it over in silence.)
    """

    def fail(error: OSError) -> None:
        raise SourceError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    names = ((Path(parent), name) for parent, _, files in os.walk(folder, onerror=fail) for name in files)
    found = (parent / name for parent, name in names if name.endswith(".parquet") and not name.startswith("."))
    return sorted(found, key=_place)


def _place(path: Path) -> tuple[Path, int, str]:
    number = part_number(path)
    return path.parent, -1 if number is None else number, path.name


def footer_of(path: Path) -> Footer | None:
    """As `read_footer`, with the dataset's name by the folder `dataset=...` above the file, as other programs read it.

    Raises:
        SourceError: the file cannot be read, or is no file of a recording; the text names it.
    """
    footer = read_footer(path)
    named = next((part for part in reversed(path.parts) if part.startswith("dataset=")), None)
    if footer is None or named is None:
        return footer
    return attrs.evolve(footer, dataset=unquote(named.removeprefix("dataset=")))
