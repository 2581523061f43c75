"""The targets of files that a user hands us: descriptors, and ticks in CSV."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

from datafye_trio.cli.dataspec import parse_dataspec
from datafye_trio.cli.settings import load
from datafye_trio.cli.yaml_tree import parse_yaml
from datafye_trio.errors import ConfigurationError, SourceError
from datafye_trio.model import AssetClass, Timed
from datafye_trio.recordings.csv_ticks import TickFile, TickFormat, find_tick_files, merge_column, read_ticks
from fuzzing.checking import Target, check, gist, where

__all__ = ["TARGETS"]

_YAML: Final = (
    b"apiVersion: datafye.io/v1\n", b"kind: DataSpec\n", b"datasets:\n", b"- dataset: SIP\n", b"- dataset: Synthetic\n",
    b"  symbols:\n", b"    tickers: [AAPL, ON]\n", b"  live:\n", b"    ticks: trades,quotes\n", b"  history:\n",
    b"    aggregates: [ohlc-1m, sma-1d]\n", b"- { schema: trades, duration: 30d }\n", b"mode: backtest\n", b"- ", b": ",
    b"\n", b"  ", b"\t", b"&a ", b"*a", b"<<: ", b"!!python/object ", b"|\n", b">\n", b"'", b'"', b"{", b"}", b"[",
    b"]", b"#", b"---\n", b"...\n", b"%YAML 1.1\n", b"\xef\xbb\xbf", b"\xff", b"\x00", b"~", b"? ", b"\\x41",
    b"\xe2\x80\xa8", b"@",
)  # fmt: skip
_TOML: Final = (
    b"[[datasets]]\n", b"[heartbeat]\n", b"[outbox]\n", b"[access]\n", b"port = 1\n", b"memory = 1000\n",
    b"interval = 5\n", b'accept = "any"\n', b'source = "synthetic"\n', b'source = "replay"\n', b'symbols = ["AAPL"]\n',
    b"seed = 1\n", b'ticks = ["quotes"]\n', b'aggregates = ["ohlc-1m"]\n', b'bars = ["Minute"]\n', b"rate = 5.0\n",
    b"speed = 2\n",
    b'replay = ["x"]\n', b'timestamp_unit = "ms"\n', b'allow = ["10.0.0.0/8"]\n', b'host = "::"\n', b'cert = "x"\n',
    b"inf", b"nan", b"-1", b"1e400", b"9" * 400, b"true", b"{}", b"[", b"]", b"=", b'"', b"'", b"\n", b".", b"\xff",
    b"\\u0000", b"1979-05-27", b"0x1", b"[a.b]\n",
)  # fmt: skip
_CSV: Final = (
    b"symbol", b"ts_ns", b"recv_ns", b"exchange", b"price", b"size", b"trade_id", b"last_trade_id", b"conditions",
    b"bid_price", b"bid_size", b"ask_price", b"ask_size", b"open", b",", b"\n", b"\r\n", b"\r", b'"', b'""', b"AAPL",
    b"BTC-USD", b"1735830000000000000", b"2025-01-02T15:30:00.123456789Z", b"2025-01-02 15:30:00", b"XNAS", b"1e5",
    b"inf", b"nan", b"\xef\xbb\xbf", b"\xff", b"\x00", b"0x10", b"1_000", b"\xd9\xa3", b"9999-12-31T23:59:59+23:59",
    b" ", b"symbol,ts_ns,price,size\n", b"A,1,1,1\n",
)  # fmt: skip
_WAYS: Final = ((AssetClass.STOCKS, "ns"), (AssetClass.CRYPTO, "iso"), (AssetClass.STOCKS, "s"))


def run_descriptor(data: bytes) -> Hashable:
    """A descriptor: datasets, or a ConfigurationError of one line that names file and line."""
    try:
        spec = parse_dataspec(parse_yaml(data, "spec.yaml"), "spec.yaml")
    except ConfigurationError as error:
        text = str(error)
        check(text.isprintable(), "what is wrong with a descriptor is told in one line")
        check(text.startswith(("spec.yaml, line ", "spec.yaml is ")), "what is wrong with a descriptor names the line")
        return where(error)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_bytes(data)
        try:
            load({}, {}, None, path)
        except ConfigurationError as error:
            check(str(error).isprintable(), "what a descriptor cannot be served for is told in one line")
    check(all(warning.isprintable() for warning in spec.warnings), "warnings are lines of text")
    return len(spec.datasets), len({gist(warning) for warning in spec.warnings})


def run_settings(data: bytes) -> Hashable:
    """A TOML file of settings: a server and its datasets, or a ConfigurationError of one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "serve.toml"
        path.write_bytes(data)
        try:
            found = load({}, {}, path)
        except ConfigurationError as error:
            check(str(error).isprintable(), "what is wrong with settings is told in one line")
            return where(error)
    return len(found.datasets)


class _Watch:
    """Takes malformed rows, and holds them to be in order and in the file."""

    def __init__(self) -> None:
        self.rejects: list[tuple[int, int, str]] = []

    def opened(self, path: Path, position: Callable[[], int]) -> None:
        """As `Watch.opened`."""

    def rejected(self, path: Path, first: int, last: int, why: str) -> None:  # noqa: ARG002 -- as `Watch.rejected`
        """As `Watch.rejected`."""
        before = self.rejects[-1][1] if self.rejects else 1
        check(before < first <= last, "malformed rows are reported in order, each once")
        check(bool(why), "it is told what is wrong with a row")
        self.rejects.append((first, last, why))


def run_csv(data: bytes) -> Hashable:
    """A file of ticks: rows, or an error that names the line; the same rows with the malformed ones left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("ticks.csv.gz" if data.startswith(b"\x1f\x8b") else "ticks.csv")
        path.write_bytes(data)
        return tuple(_read(path, asset_class, time) for asset_class, time in _WAYS)


def _read(path: Path, asset_class: AssetClass, time: str) -> Hashable:
    try:
        (file,) = find_tick_files([path], TickFormat(time=time))
        key = merge_column([file])
    except SourceError as error:
        check(str(path) in str(error), "an error about a file names it")
        return where(error)
    watch = _Watch()
    taken, end = _rows(file, asset_class, key, watch)
    strict, refused = _rows(file, asset_class, key, None)
    check(taken[: len(strict)] == strict, "a malformed row changes nothing before it")
    if end is not None:  # the file itself ends in the middle: what was read until then may be less or more
        return "unreadable"
    check((refused is not None) == bool(watch.rejects), "a row is malformed to all or to nobody")
    if refused is not None:
        check(f"{path}, line " in str(refused), "a malformed row is named by its line")
        check(watch.rejects[0][2] in str(refused), "a malformed row is malformed in the same way to all")
        return file.channel, gist(watch.rejects[0][2]), min(len(watch.rejects), 3)
    check(len(strict) == len(taken), "where nothing is malformed, all is taken")
    return file.channel, min(len(taken), 3)


def _rows(
    file: TickFile, asset_class: AssetClass, key: str, watch: _Watch | None
) -> tuple[list[Timed], SourceError | None]:
    rows: list[Timed] = []
    try:
        for row in read_ticks(file, asset_class, key, watch):
            check(not rows or row[0] >= rows[-1][0], "rows come in order of time")
            rows.append(row)
    except SourceError as error:
        check(str(file.path) in str(error), "an error about a file names it")
        return rows, error
    return rows, None


TARGETS: Final = (
    Target(
        "descriptor",
        "a descriptor in YAML: datasets, or a line that names its line",
        run_descriptor,
        _YAML,
    ),
    Target("settings", "a TOML file of settings: a server and datasets, or an error of one line", run_settings, _TOML),
    Target("csv", "a file of ticks in CSV: rows, or an error that names file and line", run_csv, _CSV),
)
