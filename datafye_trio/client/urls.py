"""Where a deployment is: its URL by name, from the environment, or as a user wrote it (protocol.md section 1).

All that is wrong is told here, before anything connects: a URL that leaves this module has a scheme, a host and a path
that this protocol knows.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, TypedDict, Unpack, get_args
from urllib.parse import SplitResult, urlsplit, urlunsplit

import attrs

from datafye_trio.errors import ConfigurationError
from datafye_trio.protocol import BASE_PATH, Endpoint, find_endpoint

__all__ = [
    "URL_VARIABLE", "Deployment", "DeploymentOptions", "Kind", "Side", "default_url", "deployment_url", "endpoint_of",
    "normal_url", "with_path",
]  # fmt: skip

Kind: TypeAlias = Literal["local", "internal", "external"]
Side: TypeAlias = Literal["foundry", "trading"]

URL_VARIABLE: Final = "DATAFYE_WS_URL"

_LOCAL_PORT: Final = 8080
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253
_HIGHEST_PORT: Final = 65_535
_PART: Final = re.compile(r"[A-Za-z0-9]+(-+[A-Za-z0-9]+)*")
_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_NETLOC: Final = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_SCHEMES: Final = {"http": "ws", "https": "wss"}


@attrs.frozen
class Deployment:
    """A Datafye deployment by name; `url()` is where its WebSocket API is.

    `host` and `port` replace what the name gives: newer deployments listen on 7775.

    Attributes:
        kind: `local` (localhost:8080), `internal` (api.rumi.local, inside the deployment's network) or `external`
            ({user}-{side}[-{env}]-api.datafye.io).
        user: whose external deployment it is.
        side: `foundry` or `trading`, of an external deployment.
        env: the environment of an external deployment; None and `production` are left out of the name.
        secure: TLS or not. None: TLS for external, whose way is the open internet, where prices that one trades on must
            not be altered; plain for the others. It never falls back by itself: say False where there is no TLS.
        host: a name or an address, IPv6 without brackets.
        port: 1 to 65,535; None: 8080 for local, else the scheme's own.

    Raises:
        ConfigurationError: a value that is missing, or that cannot be part of a URL.
    """

    kind: Kind = "local"
    user: str | None = attrs.field(default=None, kw_only=True)
    side: Side | None = attrs.field(default=None, kw_only=True)
    env: str | None = attrs.field(default=None, kw_only=True)
    secure: bool | None = attrs.field(default=None, kw_only=True)
    host: str | None = attrs.field(default=None, kw_only=True)
    port: int | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigurationError(f"deployment: {self.kind!r} is none of {', '.join(get_args(Kind))}")
        if self.side is not None and self.side not in get_args(Side):
            raise ConfigurationError(f"side: {self.side!r} is none of {', '.join(get_args(Side))}")
        for name in ("user", "side", "env"):
            value = getattr(self, name)
            if value is not None and self.kind != "external":
                raise ConfigurationError(
                    f"{name}: only an external deployment has one, not {self.kind!r}; leave it out"
                )
            if value is not None and not _PART.fullmatch(value):
                raise ConfigurationError(
                    f"{name}: {value!r} cannot be part of a host name; letters, digits and inner hyphens can"
                )
        if self.port is not None and not (type(self.port) is int and 1 <= self.port <= _HIGHEST_PORT):
            raise ConfigurationError(f"port: a whole number from 1 to {_HIGHEST_PORT}, not {self.port!r}")
        self._netloc()  # what is missing is told where it is missing, and not at the first use

    def url(self, path: str = "") -> str:
        """The URL of `path`, which is one of protocol.md section 1, with or without `/datafye-ws/v1` in front of it.

        Raises:
            ConfigurationError: there is no such path.
        """
        secure = self.kind == "external" if self.secure is None else self.secure
        return with_path(f"{'wss' if secure else 'ws'}://{self._netloc()}{BASE_PATH}", path)

    def _netloc(self) -> str:
        port = _LOCAL_PORT if self.port is None and self.kind == "local" else self.port
        host = self._host() if self.host is None else _checked_host(self.host)
        return host if port is None else f"{host}:{port}"

    def _host(self) -> str:
        if self.kind == "local":
            return "localhost"
        if self.kind == "internal":
            return "api.rumi.local"
        if self.user is None or self.side is None:
            missing = "user" if self.user is None else "side"
            raise ConfigurationError(
                f"{missing}: missing; the host is {{user}}-{{foundry|trading}}[-{{env}}]-api.datafye.io"
            )
        parts = [self.user, self.side, *([self.env] if self.env not in (None, "production") else []), "api"]
        label = "-".join(str(part) for part in parts)
        if len(label) > _LONGEST_LABEL:
            raise ConfigurationError(
                f"user, env: {label!r} is longer than the {_LONGEST_LABEL} characters of a host label"
            )
        return f"{label}.datafye.io"


class DeploymentOptions(TypedDict, total=False):
    """The attributes of a `Deployment` but for its kind, as keywords."""

    user: str | None
    side: Side | None
    env: str | None
    secure: bool | None
    host: str | None
    port: int | None


def deployment_url(kind: Kind = "local", *, path: str = "", **options: Unpack[DeploymentOptions]) -> str:
    """The URL of a deployment by name: `deployment_url("external", user="jane", side="trading", env="dev")`.

    Args:
        kind: `local`, `internal` or `external`.
        path: a path of protocol.md section 1, such as `stocks/live/ticks`; empty: all channels.
        options: see `Deployment`.

    Raises:
        ConfigurationError: a value that is missing, or that cannot be part of a URL; no such path.
    """
    return Deployment(kind, **options).url(path)


def default_url(environ: Mapping[str, str]) -> str:
    """The URL in `DATAFYE_WS_URL`; that of a local deployment where it is not set, or empty.

    Raises:
        ConfigurationError: what is set there is no URL of this protocol.
    """
    url = environ.get(URL_VARIABLE)
    if not url:
        return Deployment().url()
    try:
        return normal_url(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"{URL_VARIABLE}: {error}") from None


def normal_url(url: str) -> str:
    """`url` as a user wrote it, with `/datafye-ws/v1` where it has no path. A path of this protocol is kept.

    A prefix before `/datafye-ws/v1` is kept, too, since a proxy may serve a deployment below one, and so is a query.

    Raises:
        ConfigurationError: no WebSocket URL, or one with a path that this protocol does not know.
    """
    return urlunsplit(_split(url))


def with_path(url: str, path: str) -> str:
    """`url` with another path of this protocol, such as `stocks/live/ticks`; a proxy's prefix and the query stay.

    Raises:
        ConfigurationError: as for `normal_url`.
    """
    parts = _split(url)
    prefix = parts.path[: parts.path.rindex(BASE_PATH)]
    tail = path.removeprefix(BASE_PATH).strip("/")
    return normal_url(urlunsplit(parts._replace(path=f"{prefix}{BASE_PATH}{'/' if tail else ''}{tail}")))


def endpoint_of(url: str) -> Endpoint:
    """What `url` serves: all channels or one, live or history.

    Raises:
        ConfigurationError: as for `normal_url`.
    """
    endpoint = _endpoint(_split(url).path)
    assert endpoint is not None  # noqa: S101 -- _split lets no other path pass
    return endpoint


def _split(url: str) -> SplitResult:
    if not url.isprintable():  # first: what else is wrong is told in words of the URL's own
        raise ConfigurationError(f"{url!r}: a WebSocket URL has no control characters, and nothing that is no text")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}") from None
    if parts.scheme in _SCHEMES:
        hint = urlunsplit(parts._replace(scheme=_SCHEMES[parts.scheme]))
        raise ConfigurationError(f"{url!r} is no WebSocket URL: write {hint}")
    if parts.scheme not in ("ws", "wss") or not host:
        raise ConfigurationError(f"{url!r} is no WebSocket URL: write ws://HOST:PORT, or wss://HOST for TLS")
    if not _NETLOC.fullmatch(parts.netloc) or port == 0:
        raise ConfigurationError(f"{url!r}: only a plain ASCII host name with an optional port is understood")
    if parts.fragment or " " in url:
        raise ConfigurationError(f"{url!r}: neither a fragment (#) nor a space belongs into a WebSocket URL")
    if parts.path in ("", "/"):
        return parts._replace(path=BASE_PATH)
    if _endpoint(parts.path) is None:
        right = urlunsplit(parts._replace(path=BASE_PATH, query=""))
        raise ConfigurationError(f"{url!r}: this protocol has no path {parts.path!r}; for all channels, write {right}")
    return parts


def _endpoint(path: str) -> Endpoint | None:
    start = path.rfind(BASE_PATH)
    return find_endpoint(path[start:]) if start >= 0 else None


def _checked_host(host: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(host)}]" if ":" in host and "%" not in host else _checked_name(host)
    except ValueError:
        raise ConfigurationError(f"host: {host!r} is neither a host name nor an IPv6 address") from None


def _checked_name(host: str) -> str:
    labels = host.removesuffix(".").split(".")
    if not _NAME.fullmatch(host) or len(host) > _LONGEST_NAME or max(map(len, labels)) > _LONGEST_LABEL:
        raise ConfigurationError(
            f"host: {host!r} is no host name: letters, digits and hyphens, with dots between labels"
        )
    return host
