"""Lists of networks, also those in files: what is in them, and what is wrong with them."""

from __future__ import annotations

import random
from ipaddress import ip_address
from pathlib import Path

import pytest

from datafye_trio import AccessConfig, ConfigurationError
from datafye_trio.server.access import Access
from datafye_trio.server.config import parse_network
from datafye_trio.server.networks import Networks, files_of, spelled_out


@pytest.mark.parametrize(("version", "bits"), [(4, 32), (6, 128)])
def test_it_answers_as_the_networks_one_by_one_do(version: int, bits: int) -> None:
    chance = random.Random(version)
    make = type(ip_address("::" if version == 6 else "0.0.0.0"))
    entries = [f"{make(chance.getrandbits(bits))}/{chance.choice((bits, bits - 4, 4, 3))}" for _ in range(20)]
    plain = [parse_network(text) for text in entries]
    found = Networks([*entries, "::/0" if version == 4 else "0.0.0.0/0"])
    near = [int(one.network_address) + step for one in plain for step in (0, 1, 15, 16)] + [2**bits - 1]
    answers = [(make(number) in found, any(make(number) in one for one in plain)) for number in near]
    assert [ours for ours, _ in answers] == [theirs for _, theirs in answers]
    assert {ours for ours, _ in answers} == {True, False}


def test_everybody_is_each_of_both_kinds() -> None:
    for entry, inside, outside in (("0.0.0.0/0", "192.0.2.1", "::1"), ("::/0", "2001:db8::1", "127.0.0.1")):
        assert ip_address(inside) in Networks([entry])
        assert ip_address(outside) not in Networks([entry])
    assert not Networks([])


def test_ipv4_written_as_ipv6_is_ipv4() -> None:
    assert ip_address("10.1.2.3") in Networks(["::ffff:10.0.0.0/104"])
    assert str(parse_network("::ffff:10.0.0.1")) == "10.0.0.1/32"


def test_a_file_has_an_entry_a_line_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "deny.txt"
    path.write_text("# the office\n10.0.0.0/8  # and its printers\n\n  2001:db8::/32\r\n")
    found = Networks(["192.0.2.1", f"@{path}"])
    assert len(found) == 3
    assert ip_address("10.9.9.9") in found
    assert files_of(["192.0.2.1", f"@{path}"]) == [str(path)]
    (tmp_path / "origins.txt").write_text("https://a.example\n")
    assert list(spelled_out([f"@{tmp_path / 'origins.txt'}", "x"])) == [
        (f"{tmp_path / 'origins.txt'} line 1: ", "https://a.example"),
        ("", "x"),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"10.0.0.0/8\nten\n", r"line 2: 'ten' is no network"),
        (b"@other.txt\n", r"line 1: a list names no further files"),
        (b"\xff\n", r"cannot read the list .*: it is no UTF-8 text"),
        (b"1" * 1_000_000, r"has more than 100 bytes"),
        (None, r"cannot read the list .*list.txt: No such file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, words: str
) -> None:
    monkeypatch.setattr("datafye_trio.server.networks._LARGEST", 100)
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        Networks([f"@{path}"])


def test_an_allow_list_whose_file_is_empty_does_not_let_everybody_in(tmp_path: Path) -> None:
    (tmp_path / "allow.txt").write_text("# nobody yet\n")
    entry = f"@{tmp_path / 'allow.txt'}"
    with pytest.raises(ConfigurationError, match=r"access.allow has no network in @.*allow.txt, and an empty list"):
        Access(AccessConfig(allow=(entry,)))
    Access(AccessConfig(allow=(entry, "::1"), deny=(entry,)))
