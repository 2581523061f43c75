"""`--print-config`: complete, commented, and it can be loaded again."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from cli.kit import Terminal

from datafye_trio.cli.datasets import DATASET_SETTINGS
from datafye_trio.cli.meanings import DATASET_MEANINGS, MEANINGS
from datafye_trio.cli.printing import as_toml
from datafye_trio.cli.settings import SETTINGS, load
from datafye_trio.errors import ConfigurationError

EVERYTHING = r"""
host = "0.0.0.0"
port = 1
cert = "a \"b\" \\ \u007f é 😀.pem"
key = "k"
timestamp_unit = "ms"
log_format = "json"
[access]
allow = ["10.0.0.0/8"]
[heartbeat]
interval = 0.1
[connections]
count_loopback = true
[[datasets]]
name = "Crypto"
rate = "max"
start_ns = 12
[[datasets]]
name = "Tape"
replay = ["a,b.csv", "c"]
speed = 2.5
wait_for_client = 3
[[datasets]]
source = "program"
channels = ["trades"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "serve.toml"


def test_every_setting_has_a_meaning_and_no_meaning_is_left_over() -> None:
    assert MEANINGS.keys() == SETTINGS.keys()
    assert DATASET_MEANINGS.keys() == DATASET_SETTINGS.keys()


@pytest.mark.parametrize("content", ["", EVERYTHING])
def test_what_is_printed_loads_as_the_same_settings(file: Path, content: str) -> None:
    file.write_text(content)
    before = load({}, {}, file)
    file.write_text(as_toml(before))
    assert load({}, {}, file) == before


def test_every_setting_is_there_below_its_meaning(terminal: Terminal) -> None:
    code, out, err = terminal.run("serve", "--print-config")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    section = ""
    found = {}
    for above, line in pairwise(lines):
        if line.startswith("["):
            section = line.strip("[]") + "."
        elif line.removeprefix("# ").partition(" =")[1] and not above.endswith("="):
            found[section + line.removeprefix("# ").partition(" =")[0]] = above
    for name in SETTINGS:
        assert found[name] == f"# {MEANINGS[name]}"
    values = tomllib.loads(out)
    assert (values["port"], values["heartbeat"]["accept"], values["datasets"][0]["seed"]) == (8080, "pong", 0)
    assert "cert" not in values


def test_flags_and_variables_are_in_it(terminal: Terminal) -> None:
    _, out, _ = terminal.run("serve", "--port", "7", HEARTBEAT_INTERVAL="3", PRINT_CONFIG="1")
    values = tomllib.loads(out)
    assert (values["port"], values["heartbeat"]["interval"]) == (7, 3.0)


def test_long_lists_are_wrapped() -> None:
    text = as_toml(load({"symbols": tuple(f"SYMBOL{n}" for n in range(100))}, {}, None))
    assert max(map(len, text.splitlines())) <= 120
    assert tomllib.loads(text)["datasets"][0]["symbols"][99] == "SYMBOL99"


def test_a_name_that_toml_cannot_hold_is_said(terminal: Terminal) -> None:
    settings = load({"replay": ("\udcff.csv",), "dataset": "T"}, {}, None)
    with pytest.raises(ConfigurationError, match=r"cannot be written in TOML: it is no UTF-8"):
        as_toml(settings)
