"""Listeners, access rules, plain HTTP, and the composition root."""

from datafye_trio.server.config import AccessConfig, ConnectionLimits, ServerConfig
from datafye_trio.server.opening import open_server
from datafye_trio.server.server import Server

__all__ = ["AccessConfig", "ConnectionLimits", "Server", "ServerConfig", "open_server"]
