"""URLs by name, from the environment, and as users write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafye_trio.client.urls import Deployment, default_url, deployment_url, endpoint_of, normal_url, with_path
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Channel
from datafye_trio.protocol import Endpoint

JANE: dict[str, Any] = {"user": "jane", "side": "foundry"}


@pytest.mark.parametrize(
    ("kind", "options", "url"),
    [
        ("local", {}, "ws://localhost:8080/datafye-ws/v1"),
        ("local", {"port": 7775}, "ws://localhost:7775/datafye-ws/v1"),
        ("local", {"host": "::1"}, "ws://[::1]:8080/datafye-ws/v1"),
        ("local", {"host": "local-foundry-dev-api.datafye.local", "port": 7775},
         "ws://local-foundry-dev-api.datafye.local:7775/datafye-ws/v1"),
        ("local", {"host": "127.0.0.1", "secure": True}, "wss://127.0.0.1:8080/datafye-ws/v1"),
        ("internal", {}, "ws://api.rumi.local/datafye-ws/v1"),
        ("internal", {"host": "api.stream.rumi.local", "port": 7775}, "ws://api.stream.rumi.local:7775/datafye-ws/v1"),
        ("external", JANE, "wss://jane-foundry-api.datafye.io/datafye-ws/v1"),
        ("external", {**JANE, "side": "trading", "env": "dev"}, "wss://jane-trading-dev-api.datafye.io/datafye-ws/v1"),
        ("external", {**JANE, "env": "production"}, "wss://jane-foundry-api.datafye.io/datafye-ws/v1"),
        ("external", {**JANE, "secure": False}, "ws://jane-foundry-api.datafye.io/datafye-ws/v1"),
        ("external", {**JANE, "port": 7775}, "wss://jane-foundry-api.datafye.io:7775/datafye-ws/v1"),
        ("external", {"host": "feed_1.example"}, "wss://feed_1.example/datafye-ws/v1"),
        ("external", {**JANE, "host": "localhost", "port": 1}, "wss://localhost:1/datafye-ws/v1"),
    ],
)  # fmt: skip
def test_a_deployment_by_name(kind: Any, options: dict[str, Any], url: str) -> None:
    assert Deployment(kind, **options).url() == url
    assert deployment_url(kind, **options) == url
    assert normal_url(url) == url


@pytest.mark.parametrize("path", ["stocks/live/ticks", "/stocks/live/ticks", "/datafye-ws/v1/stocks/live/ticks"])
def test_a_path_with_or_without_what_stands_before_all(path: str) -> None:
    assert Deployment().url(path) == deployment_url(path=path)
    assert deployment_url(path=path) == "ws://localhost:8080/datafye-ws/v1/stocks/live/ticks"


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("cloud", {}, "deployment: 'cloud' is none of local, internal, external"),
        ("external", {}, "user: missing; the host is {user}-{foundry|trading}[-{env}]-api.datafye.io"),
        ("external", {"user": "jane"}, "side: missing"),
        ("external", {**JANE, "side": "both"}, "side: 'both' is none of foundry, trading"),
        ("external", {**JANE, "user": ""}, "user: '' cannot be part of a host name"),
        ("external", {**JANE, "user": "jane.evil.example/"}, "user: 'jane.evil.example/' cannot be part"),
        ("external", {**JANE, "user": "jürgen"}, "user: 'jürgen' cannot be part"),
        ("external", {**JANE, "env": "-dev"}, "env: '-dev' cannot be part"),
        ("external", {**JANE, "env": "dev\n"}, "cannot be part"),
        ("external", {**JANE, "user": "j" * 52}, "is longer than the 63 characters of a host label"),
        ("local", {"user": "jane"}, "user: only an external deployment has one, not 'local'; leave it out"),
        ("internal", {"env": "dev"}, "env: only an external deployment has one"),
        ("local", {"port": 0}, "port: a whole number from 1 to 65535, not 0"),
        ("local", {"port": 65_536}, "port: a whole number from 1 to 65535, not 65536"),
        ("local", {"port": "80"}, "port: a whole number from 1 to 65535, not '80'"),
        ("local", {"port": True}, "port: a whole number from 1 to 65535, not True"),
        ("local", {"host": ""}, "host: '' is no host name"),
        ("local", {"host": "a b"}, "host: 'a b' is no host name"),
        ("local", {"host": "user@host"}, "host: 'user@host' is no host name"),
        ("local", {"host": "-a.example"}, "host: '-a.example' is no host name"),
        ("local", {"host": "h" * 64}, "is no host name"),
        ("local", {"host": ".".join(["h" * 60] * 5)}, "is no host name"),
        ("local", {"host": "localhost:8080"}, "host: 'localhost:8080' is neither a host name nor an IPv6 address"),
        ("local", {"host": "fe80::1%eth0"}, "host: 'fe80::1%eth0' is no host name"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_when_it_is_named(kind: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Deployment(kind, **options)
    assert text in str(caught.value)


def test_the_longest_label_that_there_may_be() -> None:
    assert Deployment("external", user="j" * 51, side="foundry").url().startswith("wss://jjj")


def test_a_path_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="this protocol has no path '/datafye-ws/v1/stocks/lives'"):
        Deployment().url("stocks/lives")


@pytest.mark.parametrize("environ", [{}, {"DATAFYE_WS_URL": ""}, {"OTHER": "x"}])
def test_without_a_word_it_is_local(environ: dict[str, str]) -> None:
    assert default_url(environ) == "ws://localhost:8080/datafye-ws/v1"


def test_the_environment_names_a_url() -> None:
    assert default_url({"DATAFYE_WS_URL": "wss://feed.example"}) == "wss://feed.example/datafye-ws/v1"
    with pytest.raises(ConfigurationError, match="DATAFYE_WS_URL: 'https://feed.example' is no WebSocket URL"):
        default_url({"DATAFYE_WS_URL": "https://feed.example"})


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("ws://h:1", "ws://h:1/datafye-ws/v1"),
        ("ws://h:1/", "ws://h:1/datafye-ws/v1"),
        ("WSS://h", "wss://h/datafye-ws/v1"),
        ("ws://[::1]:7775", "ws://[::1]:7775/datafye-ws/v1"),
        ("ws://h/datafye-ws/v1/", "ws://h/datafye-ws/v1/"),
        ("ws://h/datafye-ws/v1/stocks/live/quotes", "ws://h/datafye-ws/v1/stocks/live/quotes"),
        ("ws://h/market/datafye-ws/v1/crypto/live", "ws://h/market/datafye-ws/v1/crypto/live"),
        ("ws://h?token=1", "ws://h/datafye-ws/v1?token=1"),
    ],
)
def test_a_url_as_a_user_writes_it(url: str, normal: str) -> None:
    assert normal_url(url) == normal
    assert normal_url(normal) == normal


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://h:80/x", "'http://h:80/x' is no WebSocket URL: write ws://h:80/x"),
        ("https://h", "'https://h' is no WebSocket URL: write wss://h"),
        ("HTTP://h", "'HTTP://h' is no WebSocket URL: write ws://h"),
        ("localhost:8080", "'localhost:8080' is no WebSocket URL: write ws://HOST:PORT"),
        ("", "is no WebSocket URL"),
        ("ws://", "is no WebSocket URL"),
        ("ws://h:x", "is no URL: Port could not be cast"),
        ("ws://h:99999", "is no URL: Port out of range"),
        ("ws://[::1", "is no URL"),
        ("ws://h:0", "only a plain ASCII host name with an optional port"),
        ("ws://u:p@h", "only a plain ASCII host name"),
        ("ws://hé", "only a plain ASCII host name"),
        ("ws://h#x", "neither a fragment (#) nor a space"),
        ("ws://h/datafye-ws/v1\n", "no control characters"),
        ("http:\udcd3", "no control characters"),
        ("s://\udca3\uff0f", "no control characters"),
        ("ws://h/datafye-ws/v1?a=b c", "neither a fragment (#) nor a space"),
        ("ws://h/stocks/live?q", "no path '/stocks/live'; for all channels, write ws://h/datafye-ws/v1"),
        ("ws://h/datafye-ws/v1/bonds/live", "no path '/datafye-ws/v1/bonds/live'"),
        ("ws://h/datafye-ws/v2", "no path '/datafye-ws/v2'"),
    ],
)
def test_what_is_no_url_of_this_protocol(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        normal_url(url)
    assert text in str(caught.value)
    assert str(caught.value).isprintable(), "the URL was once told as it is, though it may be no text"


def test_another_path_keeps_host_prefix_and_query() -> None:
    quotes = with_path("wss://h:1/market/datafye-ws/v1/stream?token=1", "stocks/live/quotes")
    assert quotes == "wss://h:1/market/datafye-ws/v1/stocks/live/quotes?token=1"
    assert with_path(quotes, "") == "wss://h:1/market/datafye-ws/v1?token=1"


def test_what_a_url_serves() -> None:
    assert endpoint_of("ws://h") == Endpoint()
    assert endpoint_of("ws://h/p/datafye-ws/v1/stocks/live/ticks") == Endpoint(AssetClass.STOCKS, Channel.TRADES)
    assert endpoint_of("ws://h/datafye-ws/v1/crypto/history") == Endpoint(AssetClass.CRYPTO, history=True)


@given(st.text(max_size=30) | st.text("ws:/h[]@#?%. datfye-v1", max_size=40).map(lambda tail: "ws://" + tail))
def test_any_text_gives_a_url_or_a_clear_error(text: str) -> None:
    try:
        normal = normal_url(text)
    except ConfigurationError:
        return
    assert normal_url(normal) == normal
    assert endpoint_of(normal)


@given(st.text(max_size=70), st.text(max_size=70))
def test_any_names_give_a_url_or_a_clear_error(user: str, host: str) -> None:
    for options in ({"user": user, "side": "foundry"}, {"host": host}):
        try:
            url = Deployment("external", **options).url()  # type: ignore[arg-type]
        except ConfigurationError:
            continue
        assert normal_url(url) == url
