"""Addresses, shares and origins, as plain calls."""

from __future__ import annotations

import re
import resource
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest

from datafye_trio import AccessConfig, ConfigurationError, ConnectionLimits
from datafye_trio.server.access import Access, Admission, fold
from datafye_trio.wire import Head, HttpError


@pytest.mark.parametrize(("text", "address"), [
    ("10.1.2.3", "10.1.2.3"), ("::ffff:10.1.2.3", "10.1.2.3"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1"),
])  # fmt: skip
def test_addresses_are_folded(text: str, address: str) -> None:
    assert fold(text) == ip_address(address)


def test_a_mapped_address_does_not_slip_through_the_lists() -> None:
    access = Access(AccessConfig(deny=("10.0.0.0/8",)))
    with pytest.raises(HttpError) as caught:
        access.check_address(fold("::ffff:10.1.2.3"))
    assert (caught.value.status, "10.1.2.3" in caught.value.reason) == (403, True)
    access.check_address(fold("2001:db8::1"))


def test_the_first_untrusted_address_from_the_right_is_the_client() -> None:
    access = Access(AccessConfig(trusted_proxies=("10.0.0.0/8",), deny=("6.6.6.6",)))
    # What stands on the left is what the client wrote, and so is not believed.
    head = Head("/", "", {"x-forwarded-for": "6.6.6.6, 7.7.7.7, 10.9.9.9"})
    assert access.check_forwarded(head, fold("10.0.0.1")) == fold("7.7.7.7")
    assert access.check_forwarded(Head("/", "", {}), fold("10.0.0.1")) == fold("10.0.0.1")
    all_proxies = Head("/", "", {"x-forwarded-for": "10.1.1.1"})
    assert access.check_forwarded(all_proxies, fold("10.0.0.1")) == fold("10.1.1.1")


@pytest.mark.parametrize(("origin", "host", "loopback", "allowed"), [
    (None, "a.example", False, True),
    ("https://a.example", "a.example:8080", False, True),
    ("https://b.example", "a.example:8080", False, False),
    ("http://localhost:3000", "a.example", True, True),
    ("http://localhost:3000", "a.example", False, False),
    ("http://127.0.0.1:3000", "localhost", True, True),
    ("http://[::1]", "localhost", True, True),
    ("http://[::1", "localhost", True, False),
    ("null", "localhost", True, False),
    ("", "localhost", True, False),
])  # fmt: skip
def test_origins(origin: str | None, host: str, loopback: bool, allowed: bool) -> None:
    head = Head("/", "", {"host": host} | ({"origin": origin} if origin is not None else {}))
    if allowed:
        Access(AccessConfig()).check_origin(head, loopback=loopback)
    else:
        with pytest.raises(HttpError) as caught:
            Access(AccessConfig()).check_origin(head, loopback=loopback)
        assert caught.value.status == 403


@pytest.mark.parametrize(("setting", "sent"), [
    ("https://desk.example", "https://desk.example"),
    ("HTTPS://Desk.example:443/", "https://desk.example"),
    ("http://desk.example:80", "http://desk.example"),
    ("https://desk.example:8443", "https://desk.example:8443"),
    ("moz-extension://c0-ffee", "moz-extension://c0-ffee"),
    ("null", "null"),
])  # fmt: skip
def test_an_origin_is_taken_as_browsers_send_it(setting: str, sent: str) -> None:
    head = Head("/", "", {"host": "a.example", "origin": sent})
    Access(AccessConfig(origins=(setting,))).check_origin(head, loopback=False)


@pytest.mark.parametrize("text", [
    "*", "desk.example", "https://*.example", "https://desk.example/page", "//desk.example", "", "https://a.example b",
])  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused_and_not_kept_in_vain(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(repr(text))} is no origin: write it as browsers do"):
        AccessConfig(origins=("https://a.example", text))
    if text:
        (tmp_path / "origins.txt").write_text(f"\n{text}\n")
        with pytest.raises(ConfigurationError, match=r"origins\.txt line 2: .* is no origin"):
            Access(AccessConfig(origins=(f"@{tmp_path / 'origins.txt'}",)))


def test_an_ipv6_network_of_64_bits_has_one_share() -> None:
    admission = Admission(ConnectionLimits(per_address=2))
    with ExitStack() as stack:
        for text in ("2001:db8::1", "2001:db8::2"):
            stack.enter_context(admission.enter_from(fold(text), 0))
        with pytest.raises(HttpError, match="one address"):
            stack.enter_context(admission.enter_from(fold("2001:db8::3"), 0))
        stack.enter_context(admission.enter_from(fold("2001:db8:0:1::3"), 0))
        stack.enter_context(admission.enter_from(fold("10.0.0.1"), 0))
    with admission.enter_from(fold("2001:db8::3"), 0):
        pass


def test_loopback_is_exempt_unless_it_is_to_be_counted() -> None:
    admission = Admission(ConnectionLimits(per_address=1))
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(admission.enter_from(fold("::1"), 0))


def test_new_connections_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(ConnectionLimits(rate=2))
    for now, fits in ((0, True), (0, True), (0, False), (0.5, True), (0.5, False)):
        if fits:
            with admission.enter_from(fold("10.0.0.1"), now):
                pass
        else:
            with pytest.raises(HttpError, match="a second"), admission.enter_from(fold("10.0.0.1"), now):
                pass
    monkeypatch.setattr("datafye_trio.server.access._MAX_BUCKETS", 2)  # strangers must not fill the memory
    for n in range(5):
        with admission.enter_from(fold(f"10.0.1.{n}"), 1):
            pass
    with admission.enter_from(fold("10.0.0.1"), 1):
        pass


def test_few_are_told_at_a_time_why_they_are_refused() -> None:
    admission = Admission(ConnectionLimits())
    with ExitStack() as stack:
        assert [stack.enter_context(admission.refuse()) for _ in range(18)] == [True] * 16 + [False] * 2
    with admission.refuse() as told:
        assert told


def test_descriptors_bound_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((66, 2), (10, 1), (resource.RLIM_INFINITY, 3), (1_000, 3)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        admission = Admission(ConnectionLimits(total=3))
        with ExitStack() as stack:
            for _ in range(most):
                stack.enter_context(admission.enter())
            with pytest.raises(HttpError, match=f"{most} connections are open"):
                stack.enter_context(admission.enter())
            assert admission.open == most
        assert admission.open == 0
