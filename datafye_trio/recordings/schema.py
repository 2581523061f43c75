"""The columns of a recording's files, one schema a channel, and events as rows of them.

Every channel has `time` (the recording's own, never falling within a file), `type` (as on the wire), `symbol`, and
`epoch` and `seq`, which only live recordings have. Then come the fields of its events in snake_case; the lines of
indicators are flattened (`slow_line_periods`). Halts and resumptions lie among the quotes and trades that they came on,
with `timestamp` in `exchange_timestamp`, a `reason`, and nothing else.

Times are int64 nanoseconds and no Parquet timestamps: DuckDB cuts those to microseconds. Prices and sizes are doubles.
What a file is stands in its schema's metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

import attrs

from datafye_trio.model import AssetClass, Bar, Channel, Ema, Event, Halt, Quote, Resume, Sma, Trade
from datafye_trio.recordings.arrow import load_arrow

__all__ = [
    "CHANNELS",
    "COLUMNS",
    "COMMON_COLUMNS",
    "FORMAT",
    "KINDS",
    "Column",
    "Kind",
    "Row",
    "batch_of",
    "make_schema",
]

FORMAT: Final = 1
"""The version of this format. A reader refuses files of a higher one."""

Row: TypeAlias = tuple[int, Event, str | None, int | None]
"""The time of an event, the event, and its position where it has one (epoch, seq)."""


@attrs.frozen
class Column:
    """A column: `kind` is `int`, `float`, `bool`, `text` or `texts`; `common` is a text that often repeats."""

    name: str
    kind: str
    optional: bool = True
    common: bool = False


def _required(kind: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind, optional=False) for name in names)


def _optional(kind: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names)


def _common(*names: str, optional: bool = True) -> tuple[Column, ...]:
    return tuple(Column(name, "text", optional, common=True) for name in names)


def _line(name: str) -> tuple[Column, ...]:
    return (*_required("int", f"{name}_periods", f"{name}_count"), *_required("float", f"{name}_ma"))


_FIRST: Final = (
    *_required("int", "time"),
    *_common("type", "symbol", optional=False),
    *_common("epoch"),
    *_optional("int", "seq"),
)
_INDICATOR: Final = (
    *_common("frequency", optional=False),
    *_required("int", "timestamp"),
    *_required("float", "price"),
    *_line("slow_line"),
    *_line("fast_line"),
    *_required("float", "macd"),
    *_common("crossover", optional=False),
)
COLUMNS: Final[dict[Channel, tuple[Column, ...]]] = {
    Channel.QUOTES: (
        *_FIRST,
        *_required("int", "exchange_timestamp"),
        *_optional("float", "bid_price", "bid_size", "ask_price", "ask_size"),
        *_common("bid_exchange_id", "ask_exchange_id", "exchange_id", "listing_exchange", "reason"),
    ),
    Channel.TRADES: (
        *_FIRST,
        *_required("int", "exchange_timestamp"),
        *_optional("float", "price", "size"),
        *_common("exchange_id"),
        *_optional("text", "trade_id"),
        *_common("listing_exchange", "trf_id"),
        *_optional("int", "trf_timestamp"),
        Column("conditions", "texts", common=True),
        *_common("reason"),
    ),
    Channel.AGGREGATES: (
        *_FIRST,
        *_common("frequency", optional=False),
        *_required("int", "start"),
        *_optional("float", "open", "high", "low", "close"),
        *_required("float", "volume"),
        *_required("int", "count"),
        *_optional("float", "vwap"),
        *_required("bool", "final"),
        *_optional("int", "revision"),
    ),
    Channel.SMA: (*_FIRST, *_INDICATOR),
    Channel.EMA: (
        *_FIRST,
        *_INDICATOR,
        *_line("signal_line"),
        *_common("zero_crossover", "signal_crossover", "zero_line_crossover", optional=False),
        *_common("last_zero_line_crossover", optional=False),
    ),
}
"""The columns of each channel, in their order."""
COMMON_COLUMNS: Final = {
    channel: [
        f"{column.name}.list.element" if column.kind == "texts" else column.name for column in columns if column.common
    ]
    for channel, columns in COLUMNS.items()
}
"""The columns whose texts often repeat, as Parquet names them: written as dictionaries, and read as such."""


@attrs.frozen
class Kind:
    """A class of events: its name in the column `type`, and which attribute each column holds where not its own."""

    name: str
    cls: type[Any]
    attributes: Mapping[str, str] = attrs.Factory(dict)


_LINES: Final = {
    f"{line}_line_{part}": f"{line}_line.{part}"
    for line in ("slow", "fast", "signal")
    for part in ("periods", "count", "ma")
}
_HALTS: Final = (
    Kind("halt", Halt, {"exchange_timestamp": "timestamp"}),
    Kind("resume", Resume, {"exchange_timestamp": "timestamp"}),
)
KINDS: Final[dict[Channel, tuple[Kind, ...]]] = {
    Channel.QUOTES: (Kind("quote", Quote), *_HALTS),
    Channel.TRADES: (Kind("trade", Trade), *_HALTS),
    Channel.AGGREGATES: (Kind("ohlc", Bar),),
    Channel.SMA: (Kind("sma", Sma, _LINES),),
    Channel.EMA: (Kind("ema", Ema, _LINES),),
}
"""What may lie in each channel."""
CHANNELS: Final[dict[type[Any], frozenset[Channel]]] = {
    kind.cls: frozenset(channel for channel in Channel if kind in KINDS[channel])
    for kinds in KINDS.values()
    for kind in kinds
}
"""Where each class of events may lie."""


def _flattener(channel: Channel, kind: Kind) -> Callable[[Event], tuple[Any, ...]]:
    """A function from an event to its part of a row, after the columns that every channel has."""
    fields = {field.name for field in attrs.fields(kind.cls)}
    columns = COLUMNS[channel][len(_FIRST) :]
    paths = [kind.attributes.get(column.name, column.name) for column in columns]
    known = [path.partition(".")[0] in fields for path in paths]
    get = attrgetter(*(path for path, there in zip(paths, known, strict=True) if there))
    if all(known):
        return get
    missing = known.index(False)
    if not any(known[missing:]):
        nothing = (None,) * (len(known) - missing)
        return lambda event: (*get(event), *nothing)
    return lambda event: tuple(_spread(get(event), known))


def _spread(values: Sequence[Any], known: Sequence[bool]) -> list[Any]:
    """The values where something is known, None elsewhere."""
    left = iter(values)
    return [next(left) if there else None for there in known]


_FLATTEN: Final = {
    channel: {kind.cls: (kind.name, _flattener(channel, kind)) for kind in kinds} for channel, kinds in KINDS.items()
}


def make_schema(dataset: str, asset_class: AssetClass, channel: Channel) -> Any:
    """The Arrow schema of a channel's files, metadata included.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    pa = load_arrow()
    types = {
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
    }
    fields = [pa.field(column.name, types[column.kind], nullable=column.optional) for column in COLUMNS[channel]]
    metadata = {
        "datafye.format": str(FORMAT),
        "datafye.dataset": dataset,
        "datafye.asset_class": str(asset_class),
        "datafye.channel": str(channel),
    }
    return pa.schema(fields, metadata)


def batch_of(rows: Sequence[Row], channel: Channel, schema: Any) -> Any:
    """Rows as an Arrow record batch. At least one row.

    Raises:
        ValueError, TypeError, OverflowError: a field of an event is not what its column holds.
    """
    pa = load_arrow()
    flatten = _FLATTEN[channel]
    times, events, epochs, seqs = zip(*rows, strict=True)
    names, flat = [], []
    for event in events:
        name, fields = flatten[type(event)]
        names.append(name)
        flat.append(fields(event))
    symbols = [event.symbol for event in events]
    columns = [times, names, symbols, epochs, seqs, *zip(*flat, strict=True)]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    for array, field in zip(arrays, schema, strict=True):
        if array.null_count and not field.nullable:
            raise ValueError(f"{field.name} is missing")
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
