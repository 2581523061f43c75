"""Events, topics and positions: plain data, no I/O."""

from datafye_trio.model.events import Bar, Ema, Event, Halt, Line, Quote, Resume, Sma, Timed, Trade
from datafye_trio.model.topics import AssetClass, Channel, DatasetInfo, Frequency, Position, TopicKey

__all__ = [
    "Quote", "Trade", "Bar", "Line", "Sma", "Ema", "Halt", "Resume", "Event", "Timed",
    "AssetClass", "Channel", "Frequency", "DatasetInfo", "TopicKey", "Position",
]  # fmt: skip
