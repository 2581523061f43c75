"""Error codes and close codes with their advice (protocol.md section 7)."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

__all__ = ["Advice", "CloseCode", "ErrorCode"]


class ErrorCode(StrEnum):
    """Why a request was refused. The connection stays open."""

    MALFORMED_JSON = "MALFORMED_JSON"
    INVALID_MESSAGE = "INVALID_MESSAGE"
    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    UNKNOWN_CHANNEL = "UNKNOWN_CHANNEL"
    UNKNOWN_DATASET = "UNKNOWN_DATASET"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    CHANNEL_NOT_AVAILABLE = "CHANNEL_NOT_AVAILABLE"
    INVALID_FREQUENCY = "INVALID_FREQUENCY"
    NOT_SUBSCRIBED = "NOT_SUBSCRIBED"
    SUBSCRIPTION_LIMIT = "SUBSCRIPTION_LIMIT"
    INVALID_RANGE = "INVALID_RANGE"
    NO_DATA = "NO_DATA"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL = "INTERNAL"

    @property
    def retryable(self) -> bool:
        """Whether the very same request may succeed when it is sent again later."""
        return self in (ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL)


class Advice(StrEnum):
    """What a client does after a close."""

    STOP = "stop"
    RECONNECT = "reconnect"
    RESUME = "resume"


class CloseCode(IntEnum):
    """Why a connection ended. 4000-4499: come back (with backoff) and resume; 4500-4999: stop and tell the user."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    """A flood of frames, fragments or control frames; or rules that have changed let the peer in no more."""
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    RESTART = 1012
    SLOW_CONSUMER = 4008
    NO_PONG = 4009
    TOO_MANY_REQUESTS = 4013
    TOO_MANY_ERRORS = 4501

    @property
    def advice(self) -> Advice:
        """What a client does after this close."""
        return _ADVICE.get(self, Advice.STOP)


_ADVICE: Final = {
    CloseCode.GOING_AWAY: Advice.RECONNECT,
    CloseCode.RESTART: Advice.RECONNECT,
    CloseCode.INTERNAL_ERROR: Advice.RECONNECT,
    CloseCode.SLOW_CONSUMER: Advice.RESUME,
    CloseCode.NO_PONG: Advice.RESUME,
    CloseCode.TOO_MANY_REQUESTS: Advice.RESUME,
}
