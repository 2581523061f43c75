"""Every setting of a server, with its default; all limits of protocol.md section 8 are here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias, get_args

import attrs

from datafye_trio.broker import BrokerConfig, OutboxLimits, Policy, RingLimits
from datafye_trio.connection import ConnectionConfig, HeartbeatConfig, RequestLimits
from datafye_trio.errors import ConfigurationError
from datafye_trio.protocol import NS_PER_UNIT, TimestampUnit
from datafye_trio.sources import BATCH
from datafye_trio.wire import InboundLimits

__all__ = [
    "LIST_FILE", "AccessConfig", "Address", "ConnectionLimits", "ControlConfig", "Network", "ServerConfig",
    "is_loopback", "parse_network", "parse_origin",
]  # fmt: skip

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
LIST_FILE: Final = "@"
"""What an entry of a list begins with that names a file with more entries."""
_ORIGIN: Final = re.compile(r"null|[a-z][a-z0-9+.\-]*://[^/*?#@\s]*")


def parse_network(text: str) -> Network:
    """The network of a CIDR text such as `10.0.0.0/8` or `::1`; IPv4 written as IPv6 (::ffff:10.0.0.0/104) is IPv4.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        raise ConfigurationError(f"{text!r} is no network: write an address or CIDR such as 10.0.0.0/8") from None
    if network.version == 6 and network.prefixlen >= 96 and (mapped := network.network_address.ipv4_mapped):
        # Addresses come folded: such an entry of a deny list would otherwise keep nobody out.
        return ip_network((mapped, network.prefixlen - 96))
    return network


def parse_origin(text: str) -> str:
    """An origin as browsers send it: in lower case, without a slash at its end and the port that goes without saying.

    Raises:
        ConfigurationError: no browser sends such a one, as `*` or a name alone, and it would let nobody in.
    """
    origin = text.strip().lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise ConfigurationError(f"{text!r} is no origin: write it as browsers do, such as https://desk.example")
    default = {"https": ":443", "http": ":80"}.get(origin.partition(":")[0], "")
    return origin.removesuffix(default)


def is_loopback(host: str) -> bool:
    """Whether what listens on a host can be reached from this machine alone. A name may resolve to anything."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_networks(entries: tuple[str, ...]) -> None:
    for text in entries:
        if not text.startswith(LIST_FILE):  # files are read when a server opens, and again when it reloads
            parse_network(text)


@attrs.frozen
class AccessConfig:
    """Who may connect: CIDR lists on the peer's address, proxies whose X-Forwarded-For is believed, Origins.

    An entry `@FILE` stands for those in a file, one a line, comments after `#`. `Server.reload` reads it again.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        _check_networks(self.allow + self.deny + self.trusted_proxies)
        for text in self.origins:
            if not text.startswith(LIST_FILE):
                parse_origin(text)


@attrs.frozen
class ControlConfig:
    """Who may control replays by HTTP, besides loopback: CIDR lists on the client's address, also `@FILE`."""

    allow: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        _check_networks(self.allow)


@attrs.frozen
class ConnectionLimits:
    """Connections at once, in all and for one address (an IPv6 /64), and new ones a second from one address.

    Loopback is exempt from the last two unless `count_loopback`.
    """

    total: int = 10_000
    per_address: int = 500
    rate: float = 200.0
    count_loopback: bool = False


@attrs.frozen
class ServerConfig:
    """The settings of one server. Times in seconds, sizes in bytes.

    `host` of `localhost` listens on 127.0.0.1 and ::1; one that is not loopback is reached from outside, and needs
    `access.allow` to say by whom (`0.0.0.0/0` and `::/0` for everybody). `port` 0 takes any free one. `cert` and `key`
    are PEM files and make it `wss://`. `memory` bounds the bytes of all outboxes and rings together.

    Raises:
        ConfigurationError: a value that cannot work; the text names it.
    """

    host: str = "localhost"
    port: int = 8080
    cert: str | None = None
    key: str | None = None
    timestamp_unit: TimestampUnit = "ns"
    access: AccessConfig = AccessConfig()
    control: ControlConfig = ControlConfig()
    heartbeat: HeartbeatConfig = HeartbeatConfig()
    outbox: OutboxLimits = OutboxLimits()
    ring: RingLimits = RingLimits()
    requests: RequestLimits = RequestLimits()
    inbound: InboundLimits = InboundLimits()
    connections: ConnectionLimits = ConnectionLimits()
    memory: int = 2 * 2**30
    max_topics: int = 200_000
    max_streams: int = 256
    handshake_seconds: float = 5.0
    close_seconds: float = 2.0
    drain_seconds: float = 5.0

    def __attrs_post_init__(self) -> None:
        checks = [
            (0 <= self.port <= 65_535, f"port {self.port} is not between 0 and 65535"),
            (bool(self.cert) == bool(self.key), "cert and key go together: give both, or neither"),
            (self.timestamp_unit in NS_PER_UNIT, f"timestamp_unit {self.timestamp_unit!r}: use ns, us or ms"),
            (self.heartbeat.accept in ("pong", "any"), f"heartbeat.accept {self.heartbeat.accept!r}: use pong or any"),
            (
                self.outbox.policy in get_args(Policy),
                f"outbox.policy {self.outbox.policy!r}: disconnect or drop_oldest",
            ),
            # A pass hands over up to one batch: an outbox with no room for two would be full at every pass.
            (self.outbox.messages >= 2 * BATCH, f"outbox.messages must be at least {2 * BATCH}"),
            (self.memory > self.ring.bytes, "memory must be more than ring.bytes, which is a part of it"),
        ]
        checks += [(False, f"{name} must be above 0") for name in _not_positive(attrs.asdict(self))]
        checks.append((is_loopback(self.host) or bool(self.access.allow), _reachable(self.host)))
        for sound, complaint in checks:
            if not sound:
                raise ConfigurationError(complaint)

    def broker(self) -> BrokerConfig:
        """The broker's part."""
        return BrokerConfig(self.outbox, self.ring, self.memory, self.max_topics, self.max_streams)

    def connection(self) -> ConnectionConfig:
        """One connection's part."""
        return ConnectionConfig(self.heartbeat, self.requests, self.close_seconds)


def _reachable(host: str) -> str:
    return (
        f"host {host} can be reached from outside this machine: say who may connect with access.allow (--allow), such "
        "as 10.0.0.0/8 (everybody: 0.0.0.0/0 and ::/0)"
    )


def _not_positive(settings: dict[str, Any], section: str = "") -> Iterator[str]:
    """The settings that are a limit of zero or less, which would serve nobody. A port may be 0, a drain too."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _not_positive(value, f"{name}.")
        elif type(value) in (int, float) and not value > 0 and name not in ("port", "drain_seconds"):
            yield section + name
