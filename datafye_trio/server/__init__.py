"""Listeners, access rules, plain HTTP, and the composition root."""

from datafye_trio.server.config import AccessConfig, ConnectionLimits, ControlConfig, ServerConfig
from datafye_trio.server.opening import open_server
from datafye_trio.server.server import Server

__all__ = ["AccessConfig", "ConnectionLimits", "ControlConfig", "Server", "ServerConfig", "open_server"]
