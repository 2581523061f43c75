"""Where events come from: a made-up market, recorded ticks, or the program itself."""

from datafye_trio.sources.base import (
    BATCH,
    Aggregating,
    Controllable,
    Historical,
    History,
    HistoryQuery,
    Mark,
    PlayState,
    Publisher,
    Source,
)  # fmt: skip
from datafye_trio.sources.history import RecordedHistory, SyntheticHistory
from datafye_trio.sources.lines import JsonLines
from datafye_trio.sources.listings import CRYPTO_SYMBOLS, QUICKSTART_SYMBOLS
from datafye_trio.sources.market import NOTIONAL_RATE, SyntheticConfig, SyntheticMarket
from datafye_trio.sources.program import Program
from datafye_trio.sources.replay import Replay, ReplayConfig
from datafye_trio.sources.synthetic import Synthetic

__all__ = [
    "Source", "Publisher", "Aggregating", "Historical", "History", "HistoryQuery", "Mark", "BATCH",
    "Controllable", "PlayState",
    "Synthetic", "SyntheticConfig", "SyntheticMarket", "QUICKSTART_SYMBOLS", "CRYPTO_SYMBOLS", "NOTIONAL_RATE",
    "Replay", "ReplayConfig",
    "RecordedHistory", "SyntheticHistory",
    "Program", "JsonLines",
]  # fmt: skip
