"""The client library: a feed that stays connected, proves that nothing was lost, and never waits for its consumer."""

from datafye_trio.client.backoff import Reconnect
from datafye_trio.client.config import FeedConfig, Layout
from datafye_trio.client.feed import RawItem, WireFeed, open_feed, open_raw_feed
from datafye_trio.client.history import HistoryOptions, HistoryStream, Moment
from datafye_trio.client.ledger import LedgerEntry
from datafye_trio.client.options import SubscribeOptions
from datafye_trio.client.seam import SubscriptionSince
from datafye_trio.client.states import FeedState, StateChange, StateWatch
from datafye_trio.client.statistics import SubscriptionStatistics
from datafye_trio.client.subscription import Subscription
from datafye_trio.client.urls import default_url, deployment_url

__all__ = [
    "open_feed", "open_raw_feed", "WireFeed", "FeedConfig", "Layout", "Reconnect", "RawItem",
    "Subscription", "SubscribeOptions", "SubscriptionStatistics", "SubscriptionSince",
    "HistoryStream", "HistoryOptions", "Moment",
    "FeedState", "StateChange", "StateWatch", "LedgerEntry",
    "default_url", "deployment_url",
]  # fmt: skip
