"""Topics, rings, fan-out and outboxes: the one place that knows who gets what."""

from datafye_trio.broker.broker import Broker, BrokerConfig
from datafye_trio.broker.chunks import Chunk, Gaps, OutboxLimits, OutboxStatistics, Policy
from datafye_trio.broker.dataset import Dataset, SourceState
from datafye_trio.broker.latest import Delivery, Latest
from datafye_trio.broker.outbox import Outbox
from datafye_trio.broker.ring import RingLimits
from datafye_trio.broker.shares import may_take
from datafye_trio.broker.subscriber import Subscriber
from datafye_trio.broker.topic import Board, BoardKey, CatchUp, Topic

__all__ = [
    "Broker", "BrokerConfig", "Dataset", "SourceState",
    "Delivery", "Latest", "Chunk", "Gaps", "Outbox", "OutboxLimits", "OutboxStatistics", "Policy", "RingLimits",
    "may_take", "Subscriber", "Board", "BoardKey", "CatchUp", "Topic",
]  # fmt: skip
