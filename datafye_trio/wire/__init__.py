"""Bytes: frames, the request head, the guarded stream under trio-websocket, and a transport in memory for tests."""

from datafye_trio.wire.client import ClientOptions, ClientSocket, ClientSocketClosed, open_client
from datafye_trio.wire.frames import Opcode, close_frame, data_frame, frame
from datafye_trio.wire.guard import GuardStream, InboundLimits
from datafye_trio.wire.head import Head, HeadParser, HttpError, WebSocketOffer, check_upgrade
from datafye_trio.wire.memory import MemoryStream, memory_transport
from datafye_trio.wire.metered import MeteredStream
from datafye_trio.wire.websocket import ServerSocket, SocketClosed, accept_socket

__all__ = [
    "ClientOptions", "ClientSocket", "ClientSocketClosed", "open_client",
    "Opcode", "close_frame", "data_frame", "frame",
    "Head", "HeadParser", "HttpError", "WebSocketOffer", "check_upgrade",
    "GuardStream", "InboundLimits", "ServerSocket", "SocketClosed", "accept_socket",
    "MemoryStream", "MeteredStream", "memory_transport",
]  # fmt: skip
