"""Who may connect: addresses, proxies, origins, and how many at once."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

import attrs

from datafye_trio.errors import ConfigurationError
from datafye_trio.protocol import TokenBucket
from datafye_trio.server.config import AccessConfig, Address, ConnectionLimits, parse_origin
from datafye_trio.server.networks import Networks, parsed
from datafye_trio.wire import Head, HttpError

__all__ = ["Access", "Address", "Admission", "Caller", "fold", "group_of"]

_SPARE_DESCRIPTORS: Final = 64
"""Descriptors left for files, listeners and what the process opens besides connections."""
_MOST_TOLD: Final = 16
"""Refused peers that are told why at a time. An answer holds a descriptor for up to a second, of those that are spare:
with no bound, 500 connections to a full server took all 64, and the next file or listener had none."""
_MAX_BUCKETS: Final = 10_000
_JUDGED: Final = ("host", "origin", "x-forwarded-for")


def fold(text: str) -> Address:
    """An address; one that maps IPv4 into IPv6 (::ffff:1.2.3.4) becomes the IPv4 address, a zone is cut off.

    Raises:
        ValueError: it is none.
    """
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def group_of(address: Address) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which is what one subscriber gets."""
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))


@attrs.frozen
class Caller:
    """Who connects: the peer's address, the one that it connected to, the client's (which is the peer's own, but for
    proxies), and what the rules look at in the request.
    """

    peer: Address
    local: Address
    address: Address
    head: Head

    @classmethod
    def of(cls, peer: Address, local: Address, address: Address, head: Head) -> Caller:
        """To be kept as long as the connection: without the rest of the head, which may be 8 KiB."""
        headers = {name: text for name, text in head.headers.items() if name in _JUDGED}
        return cls(peer, local, address, Head("", "", headers))


class Access:
    """The rules on addresses and origins (protocol.md section 8).

    Raises:
        ConfigurationError: a file of a list cannot be used, or an allow list has files, and no network in them.
    """

    def __init__(self, config: AccessConfig) -> None:
        self._allow = Networks(config.allow)
        self._deny = Networks(config.deny)
        self._proxies = Networks(config.trusted_proxies)
        self._origins = frozenset(parsed(config.origins, parse_origin))
        if config.allow and not self._allow:
            raise ConfigurationError(
                f"access.allow has no network in {', '.join(config.allow)}, and an empty list would let everybody in: "
                "write 0.0.0.0/0 and ::/0 if that is meant"
            )

    def is_proxy(self, address: Address) -> bool:
        """Whether what this address says in X-Forwarded-For is believed."""
        return address in self._proxies

    def check_peer(self, address: Address) -> None:
        """Check what is known before the request: a proxy gets in, since the lists are about whom it speaks for.

        Raises:
            HttpError: 403.
        """
        if not self.is_proxy(address):
            self.check_address(address)

    def check_again(self, caller: Caller) -> None:
        """Check a connection that is open already, by all the rules.

        Raises:
            HttpError: it would be refused now.
        """
        self.check_peer(caller.peer)
        self.check_forwarded(caller.head, caller.peer)
        self.check_origin(caller.head, loopback=caller.local.is_loopback)

    def check_address(self, address: Address) -> None:
        """Check the lists.

        Raises:
            HttpError: 403.
        """
        if address in self._deny or (self._allow and address not in self._allow):
            raise HttpError(403, f"the address {address} is not allowed here: ask the operator to allow it")

    def check_forwarded(self, head: Head, address: Address) -> Address:
        """The client's address behind trusted proxies: right to left, the first that is no trusted proxy.

        Raises:
            HttpError: 403, also where somebody else sends the header while an allow list is set: a local proxy
                would otherwise hide the real address behind its own. 400, where the header is no list of addresses.
        """
        forwarded = head.headers.get("x-forwarded-for")
        if not self.is_proxy(address):
            if forwarded is not None and self._allow:
                raise HttpError(403, f"X-Forwarded-For from {address}, which is not among the trusted proxies")
            return address
        for part in reversed(forwarded.split(",") if forwarded else []):
            try:
                address = fold(part.strip())
            except ValueError:
                raise HttpError(400, "X-Forwarded-For is no list of addresses") from None
            if not self.is_proxy(address):
                break
        self.check_address(address)
        return address

    def check_origin(self, head: Head, *, loopback: bool) -> None:
        """Browsers send Origin, and any page may connect to localhost: only known pages get in.

        Args:
            head: the request.
            loopback: whether it came in on a loopback listener.

        Raises:
            HttpError: 403.
        """
        origin = head.headers.get("origin")
        if origin is None or origin.rstrip("/").lower() in self._origins:
            return
        host = _host_of(origin)
        own = _host_of(f"//{head.headers['host']}")
        if host is None or not (host == own or (loopback and _is_loopback_name(host))):
            raise _not_allowed(origin)

    def check_commander(self, head: Head, client: Address) -> None:
        """Who gives orders: no page but a local or a configured one, and from here nobody by a name that is not local.

        Stricter than `check_origin`, which lets in pages of our own host: whoever owns a name can let it mean this
        machine (DNS rebinding), and is then a page of "our own host". We serve no pages, so that nobody misses it.

        Args:
            head: the request; `check_origin` let it pass.
            client: who asks.

        Raises:
            HttpError: 403.
        """
        origin = head.headers.get("origin")
        known = origin is None or origin.rstrip("/").lower() in self._origins
        if origin is not None and not (known or _is_loopback_name(_host_of(origin) or "")):
            raise _not_allowed(origin)
        host = head.headers["host"]
        name = _host_of(f"//{host}") or ""
        if client.is_loopback and not _is_loopback_name(name) and name not in map(_host_of, self._origins):
            raise HttpError(403, f"{host[:100]!r} is no name of this machine to give orders by: write localhost")


class Admission:
    """Counts connections: in all, for one address, and new ones a second from one address. Times in seconds."""

    def __init__(self, limits: ConnectionLimits) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        by_descriptors = soft - _SPARE_DESCRIPTORS if soft != resource.RLIM_INFINITY else limits.total
        self._limits = limits
        self._total = max(1, min(limits.total, by_descriptors))
        self._open = 0
        self._told = 0
        self._by_address: Counter[str] = Counter()
        self._new: dict[str, TokenBucket] = {}

    @property
    def open(self) -> int:
        """Connections at this moment, those in their handshake included."""
        return self._open

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count a connection, whatever its address.

        Raises:
            HttpError: 503, too many in all.
        """
        if self._open >= self._total:
            raise _busy(f"{self._total} connections are open, the most that connections.total and ulimit -n allow", 5)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @contextmanager
    def refuse(self) -> Iterator[bool]:
        """Answer one that could not enter; whether there is room for that, or it is to be dropped without a word."""
        if self._told >= _MOST_TOLD:
            yield False
            return
        self._told += 1
        try:
            yield True
        finally:
            self._told -= 1

    @contextmanager
    def enter_from(self, address: Address, now: float) -> Iterator[None]:
        """Count a connection of an address.

        Raises:
            HttpError: 503, too many of this address, or too many new ones from it.
        """
        if address.is_loopback and not self._limits.count_loopback:
            yield
            return
        key = group_of(address)
        if self._by_address[key] >= self._limits.per_address:
            raise _busy(f"{self._limits.per_address} connections for one address (connections.per_address)", 5)
        if not self._bucket(key, now).try_take(now):
            raise _busy(f"{self._limits.rate:g} new connections a second from one address (connections.rate)", 1)
        self._by_address[key] += 1
        try:
            yield
        finally:
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]

    def _bucket(self, key: str, now: float) -> TokenBucket:
        if key not in self._new:
            if len(self._new) >= _MAX_BUCKETS:
                # Forgetting the oldest gives it at most one fresh burst; keeping all would be a leak for strangers.
                del self._new[next(iter(self._new))]
            self._new[key] = TokenBucket(self._limits.rate, self._limits.rate, now)
        return self._new[key]


def _busy(what: str, seconds: int) -> HttpError:
    return HttpError(503, f"too many connections: {what}", (("Retry-After", str(seconds)),))


def _not_allowed(origin: str) -> HttpError:
    return HttpError(403, f"the origin {origin[:100]!r} is not allowed here: add it to the setting origins")


def _host_of(url: str) -> str | None:
    """The host of a URL in lower case, None where there is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_loopback_name(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
