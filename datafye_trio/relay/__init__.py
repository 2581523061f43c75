"""Relays: the datasets of another server, as sources of this one."""

from datafye_trio.relay.opening import open_relay
from datafye_trio.relay.relay import Relay, RelayConfig

__all__ = ["Relay", "RelayConfig", "open_relay"]
