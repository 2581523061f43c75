"""Datafye's streaming market data API on Trio: a server, a client, and the words that they speak.

Everything public is here: `from datafye_trio import open_server, ServerConfig, Synthetic, Trade`.
"""

from datafye_trio.aggregates import (
    Aggregation,
    Derivation,
    EmaPeriods,
    SmaPeriods,
    TradeRule,
    Updates,
    consolidated,
    default_aggregation,
    every_trade,
    fold_bars,
    fold_trades,
    only_conditions,
)  # fmt: skip
from datafye_trio.broker import OutboxLimits, RingLimits
from datafye_trio.client import (
    Feed,
    FeedConfig,
    FeedState,
    HistoryOptions,
    HistoryStream,
    Layout,
    LedgerEntry,
    Moment,
    RawItem,
    Reconnect,
    StateChange,
    StateWatch,
    SubscribeOptions,
    Subscription,
    SubscriptionSince,
    SubscriptionStatistics,
    default_url,
    deployment_url,
    open_feed,
    open_raw_feed,
)  # fmt: skip
from datafye_trio.connection import HeartbeatConfig, RequestLimits
from datafye_trio.errors import (
    BufferOverflowError,
    ConfigurationError,
    ConnectError,
    DatafyeError,
    DisconnectedError,
    EventError,
    FeedClosedError,
    FeedError,
    RecordingError,
    RequestError,
    ServerClosedError,
    SourceError,
    SubscriptionError,
)  # fmt: skip
from datafye_trio.model import (
    AssetClass,
    Bar,
    Channel,
    DatasetInfo,
    Ema,
    Event,
    FeedItem,
    Frequency,
    Gap,
    Halt,
    Line,
    Live,
    Position,
    Quote,
    Resume,
    Sma,
    Timed,
    TopicKey,
    Trade,
)  # fmt: skip
from datafye_trio.protocol import CloseCode, Data, ErrorCode, Message, decode_message
from datafye_trio.relay import Relay, RelayConfig, open_relay
from datafye_trio.server import AccessConfig, ConnectionLimits, ControlConfig, Server, ServerConfig, open_server
from datafye_trio.sources import (
    Aggregating,
    Controllable,
    Historical,
    History,
    HistoryQuery,
    JsonLines,
    Mark,
    PlayState,
    Program,
    Publisher,
    RecordedHistory,
    Replay,
    ReplayConfig,
    Source,
    Synthetic,
    SyntheticConfig,
    SyntheticHistory,
    SyntheticMarket,
)  # fmt: skip
from datafye_trio.version import __version__
from datafye_trio.wire import InboundLimits

__all__ = [
    "open_server", "Server", "ServerConfig", "AccessConfig", "ConnectionLimits", "ControlConfig", "HeartbeatConfig",
    "InboundLimits", "OutboxLimits", "RequestLimits", "RingLimits",
    "open_feed", "open_raw_feed", "Feed", "FeedConfig", "Layout", "Reconnect", "RawItem", "Subscription",
    "SubscribeOptions", "SubscriptionSince", "SubscriptionStatistics", "HistoryStream", "HistoryOptions", "Moment",
    "FeedState", "StateChange", "StateWatch", "LedgerEntry",
    "default_url", "deployment_url",
    "Quote", "Trade", "Bar", "Line", "Sma", "Ema", "Halt", "Resume", "Event", "Timed",
    "Gap", "Live", "FeedItem",
    "AssetClass", "Channel", "Frequency", "DatasetInfo", "TopicKey", "Position",
    "Source", "Publisher", "Synthetic", "SyntheticConfig", "SyntheticMarket", "Replay", "ReplayConfig", "Program",
    "JsonLines",
    "Mark", "Aggregating", "Controllable", "PlayState", "Historical", "History", "HistoryQuery",
    "RecordedHistory", "SyntheticHistory",
    "open_relay", "Relay", "RelayConfig",
    "Aggregation", "SmaPeriods", "EmaPeriods", "default_aggregation", "TradeRule", "Updates", "every_trade",
    "consolidated", "only_conditions", "fold_bars", "fold_trades", "Derivation",
    "CloseCode", "ErrorCode", "Message", "Data", "decode_message",
    "DatafyeError", "ConfigurationError", "EventError", "RecordingError", "RequestError", "ServerClosedError",
    "SourceError", "FeedError", "ConnectError", "DisconnectedError", "SubscriptionError", "BufferOverflowError",
    "FeedClosedError",
    "__version__",
]  # fmt: skip
