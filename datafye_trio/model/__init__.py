"""Events, topics and positions: plain data, no I/O."""

from datafye_trio.model.events import EVENT_CHANNELS, Bar, Ema, Event, Halt, Line, Quote, Resume, Sma, Timed, Trade
from datafye_trio.model.gaps import FeedItem, Gap, GapReason, Live, merge_gaps
from datafye_trio.model.topics import AssetClass, Channel, DatasetInfo, Frequency, Position, TopicKey

__all__ = [
    "Quote", "Trade", "Bar", "Line", "Sma", "Ema", "Halt", "Resume", "Event", "Timed", "EVENT_CHANNELS",
    "FeedItem", "Gap", "GapReason", "Live", "merge_gaps",
    "AssetClass", "Channel", "Frequency", "DatasetInfo", "TopicKey", "Position",
]  # fmt: skip
