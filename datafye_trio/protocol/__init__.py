"""The wire language: messages, codec, codes, session rules. It never imports trio, so every rule is a plain call."""

from datafye_trio.protocol.codec import NS_PER_UNIT, Codec, Encoding, TimestampUnit, decode_event, decode_message
from datafye_trio.protocol.codes import Advice, CloseCode, ErrorCode
from datafye_trio.protocol.messages import (
    Connected,
    Data,
    DatasetOffer,
    ErrorReply,
    Gap,
    Heartbeat,
    Message,
    PongReply,
    StreamEnd,
    StreamError,
    StreamStart,
    Subscribed,
    SubscriptionGroup,
    SubscriptionList,
    Unsubscribed,
)  # fmt: skip
from datafye_trio.protocol.names import normalise_symbol, parse_asset_class, parse_channel, parse_frequency
from datafye_trio.protocol.paths import BASE_PATH, Endpoint, find_endpoint, parse_query
from datafye_trio.protocol.requests import (
    ListSubscriptions,
    More,
    Ping,
    Pong,
    Request,
    ResumeFrom,
    Start,
    Stop,
    Subscribe,
    Unsubscribe,
    find_id,
    parse_request,
    request_to_dict,
)  # fmt: skip
from datafye_trio.protocol.session import Ending, Session, State, TokenBucket, Trigger
from datafye_trio.protocol.strict import parse_json, parse_msgpack
from datafye_trio.protocol.times import format_time, parse_time

__all__ = [
    "Advice", "CloseCode", "ErrorCode",
    "Codec", "Encoding", "NS_PER_UNIT", "TimestampUnit", "decode_event", "decode_message",
    "parse_json", "parse_msgpack",
    "Connected", "Data", "DatasetOffer", "ErrorReply", "Gap", "Heartbeat", "Message", "PongReply", "StreamEnd",
    "StreamError", "StreamStart", "Subscribed", "SubscriptionGroup", "SubscriptionList", "Unsubscribed",
    "ListSubscriptions", "More", "Ping", "Pong", "Request", "ResumeFrom", "Start", "Stop", "Subscribe", "Unsubscribe",
    "find_id", "parse_request", "request_to_dict",
    "normalise_symbol", "parse_asset_class", "parse_channel", "parse_frequency",
    "BASE_PATH", "Endpoint", "find_endpoint", "parse_query",
    "Ending", "Session", "State", "TokenBucket", "Trigger",
    "format_time", "parse_time",
]  # fmt: skip
