"""Proxies: which one the environment means, and a tunnel through one."""

from __future__ import annotations

import base64

import pytest
import trio
from trio.testing import MockClock

from datafye_trio.errors import ConfigurationError, ConnectError
from datafye_trio.wire import memory_transport
from datafye_trio.wire.proxy import Proxy, find_proxy, open_tunnel


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


def found(secure: bool = False, host: str = "far.example", port: int = 80) -> str | None:
    proxy = find_proxy("environment", secure, host, port)
    return None if proxy is None else proxy.name


def test_the_environment_names_one_for_each_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (found(False), found(True)) == (None, None)
    monkeypatch.setenv("all_proxy", "http://any:1")
    assert (found(False), found(True)) == ("any:1", "any:1")
    monkeypatch.setenv("HTTP_PROXY", "plain:2")
    monkeypatch.setenv("https_proxy", "http://secure:3")
    assert (found(False), found(True)) == ("plain:2", "secure:3")


@pytest.mark.parametrize(
    ("names", "host", "wanted"),
    [
        ("far.example", "far.example", None),
        ("example", "far.example", None),
        (".example", "far.example", None),
        ("far.example:80", "far.example", None),
        ("far.example:81", "far.example", "p:1"),
        ("*", "far.example", None),
        ("other", "far.example", "p:1"),
        ("", "localhost", None),
        ("", "api.localhost", None),
        ("", "127.0.0.9", None),
        ("", "::1", None),
        ("", "10.0.0.1", "p:1"),
    ],
)
def test_no_proxy_and_this_machine(names: str, host: str, wanted: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://p:1")
    monkeypatch.setenv("no_proxy", names)
    assert found(host=host) == wanted


def test_one_that_is_named_outright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://p:1")
    assert find_proxy(None, False, "far.example", 80) is None
    proxy = find_proxy("http://us%40er:p%3Aw@q", False, "localhost", 80)
    assert proxy is not None
    assert (proxy.name, proxy.authorization) == ("q:80", "Basic " + base64.b64encode(b"us@er:p:w").decode())
    assert "Basic" not in repr(proxy)
    alone = find_proxy("http://user@q:81", False, "localhost", 80)
    assert alone is not None
    assert alone.authorization == "Basic " + base64.b64encode(b"user:").decode()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("socks5://p:1", "a socks5:// proxy is not supported, only http://HOST:PORT"),
        ("https://p:1", "a https:// proxy is not supported, only http://HOST:PORT"),
        ("http://", "proxy is no URL of a proxy: write http://HOST:PORT"),
        ("http://p:0", "proxy is no URL of a proxy: write http://HOST:PORT"),
        ("http://secret:secret@p:x", "proxy is no URL of a proxy: "),
    ],
)
def test_what_is_no_http_proxy(url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", url)
    for wanted in ("environment", url):
        with pytest.raises(ConfigurationError) as caught:
            find_proxy(wanted, False, "far.example", 80)
        assert why in str(caught.value)
        assert "secret" not in str(caught.value)


async def tunnel(
    answers: list[bytes], *, host: str = "far.example", authorization: str | None = None, eof: bool = True
) -> bytes:
    """Open one; what the proxy was asked."""
    ours, theirs = memory_transport()
    for answer in answers:
        await theirs.send_all(answer)
    if eof:
        await theirs.send_eof()
    await open_tunnel(ours, Proxy("p", 1, authorization), host, 443)
    return await theirs.receive_some()


async def test_a_tunnel() -> None:
    asked = await tunnel([b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 2", b"00 OK\r\nVia: p\r\n\r\n"], authorization="Basic x")
    assert asked == b"CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\nProxy-Authorization: Basic x\r\n\r\n"
    asked = await tunnel([b"HTTP/1.0 200\r\n\r\n"], host="::2")
    assert asked == b"CONNECT [::2]:443 HTTP/1.1\r\nHost: [::2]:443\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "text", "status", "retryable"),
    [
        (
            b"HTTP/1.1 407 Who are you\r\n\r\n",
            "does not connect us with far.example:443: HTTP 407 Who are you",
            407,
            False,
        ),
        (b"HTTP/1.1 403 \x9b2J\r\n\r\n", "does not connect us with far.example:443: HTTP 403 ?2J", 403, False),
        (b"HTTP/1.1 403\r\n\r\n", "does not connect us with far.example:443: HTTP 403", 403, False),
        (b"HTTP/1.1 502 Bad\r\nRetry-After: 9\r\n\r\n", "far.example:443: HTTP 502 Bad", 502, True),
        (b"", "ended the connection without an answer", None, True),
        (b"HTTP/1.1 2", "ended the connection without an answer", None, True),
        (b"220 mail.example.com ESMTP\r\n\r\n", "does not speak HTTP: ", None, True),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "sent data that nobody asked for", None, True),
    ],
)
async def test_a_proxy_that_says_no(answer: bytes, text: str, status: int | None, retryable: bool) -> None:
    with pytest.raises(ConnectError) as caught:
        await tunnel([answer] if answer else [])
    assert str(caught.value).startswith("the proxy p:1 ")
    assert text in str(caught.value)
    assert (caught.value.kind, caught.value.status, caught.value.retryable) == ("proxy", status, retryable)
    assert caught.value.retry_after == (9.0 if status == 502 else None)


async def test_a_proxy_that_is_gone() -> None:
    ours, theirs = memory_transport()
    theirs.close()
    with pytest.raises(ConnectError, match="ended the connection without an answer"):
        await open_tunnel(ours, Proxy("p", 1), "far.example", 443)


async def test_a_proxy_that_never_answers(autojump_clock: MockClock) -> None:
    with trio.move_on_after(5) as scope:
        await tunnel([], eof=False)
    assert scope.cancelled_caught
