"""One client, served."""

from datafye_trio.connection.connection import Connection, ConnectionConfig
from datafye_trio.connection.heartbeat import HeartbeatConfig
from datafye_trio.connection.limits import RequestLimits

__all__ = ["Connection", "ConnectionConfig", "HeartbeatConfig", "RequestLimits"]
