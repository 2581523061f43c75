"""Every block of the README is true: JSON is sent and compared with what comes, Python is run.

A comment before a block says what it is: `connect: PATH`, `send`, `receive` (the next message that is no snapshot) or
`receive: TYPE`, `run`, `example: NAME` (a client program; its host names are mapped to a local server), or `file: NAME`
(it stands in that file of `scripts/examples`, which has tests of its own).
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from processes import WAIT, serving
from support import START_NS, RawClient, memory_server
from trio.testing import MockClock

from datafye_trio import FeedState, Synthetic, SyntheticConfig, deployment_url
from datafye_trio.client.buffers import Policy
from datafye_trio.errors import ConnectFailure
from datafye_trio.model.gaps import GapReason

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BASE = "/datafye-ws/v1"
BLOCKS = [
    (found["what"], found["body"] or "")
    for found in re.finditer(
        r"<!-- (?P<what>(?:connect|send|receive|run|example|file)\b[^>]*?) -->\n(?:```\w+\n(?P<body>.*?)```)?",
        README,
        re.DOTALL,
    )
]
PROGRAMS = {what.removeprefix("example: "): body for what, body in BLOCKS if what.startswith("example: ")}
EXACT = {"type", "code", "id", "field", "dataset", "assetClass", "channels", "channel", "symbols", "total", "retryable"}


def check_shape(expected: Any, got: Any, name: str = "") -> None:
    """The same keys in the same order, the same types, and the same values where they do not depend on the moment."""
    if name in EXACT:
        assert got == expected, name
    elif isinstance(expected, dict):
        if name in ("quotes", "trades", "aggregates"):  # of positions: any of the symbols
            assert expected.keys() <= got.keys()
            got = {key: got[key] for key in expected}
        assert list(got) == list(expected), name
        for key, value in expected.items():
            check_shape(value, got[key], key)
    elif isinstance(expected, list):
        assert isinstance(got, list), name
        for one, other in zip(expected, got, strict=True):
            check_shape(one, other, name)
    elif isinstance(expected, int | float) and not isinstance(expected, bool):
        assert isinstance(got, int | float), name
    else:
        assert type(got) is type(expected), name


async def test_every_json_block_is_what_goes_over_the_wire(autojump_clock: MockClock) -> None:
    config = SyntheticConfig(seed=7, rate=50.0, start_ns=START_NS)
    checked = 0
    async with memory_server(None, [Synthetic(config)]) as server:
        client = None
        for what, body in BLOCKS:
            if what.startswith("connect: "):
                client = await RawClient.connect(server, BASE + what.removeprefix("connect: "))
                first = await client.message()
                if body:
                    check_shape(json.loads(body), first)
                    checked += 1
            elif what == "send":
                assert client is not None
                await client.send_text(body.strip())
                checked += 1
            elif what.startswith("receive"):
                assert client is not None
                expected = json.loads(body)
                message = await client.message()
                while message.get("snapshot") or (":" in what and message["type"] != expected["type"]):
                    message = await client.message()
                check_shape(expected, message)
                checked += 1
    assert checked == README.count("```json")


@pytest.mark.parametrize(
    "code",
    [body for what, body in BLOCKS if what == "run"],
    ids=["client", "embedded", "deterministic", "folds", "strategy"],
)
def test_programs_without_a_server_run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


PRELUDE = """
import re, sys
import websockets.sync.client as client
real = client.connect
client.connect = lambda url, **more: real(re.sub("^wss?://[^/]+", sys.argv[1], url), **more)
"""
ENDINGS = {
    "reconnect": """
seen = []
def handle(message):
    seen.append(message["type"])
    if message["type"] == "quote":
        if seen.count("connected") == 2:
            print("reconnected")
            sys.exit(0)
        raise OSError("cut")
follow(handle)
""",
}
EXPECTED = {"reconnect": 1, "buffer": 5, "quotes": 3, "channels": 2}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The base URL of a server process for all examples."""
    with serving("--rate", "500") as found:
        yield found.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_example_runs(name: str, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + PROGRAMS[name] + ENDINGS.get(name, ""), url.removesuffix(BASE)],
        capture_output=True, text=True, timeout=WAIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= EXPECTED[name]


@pytest.mark.parametrize(("what", "body"), [block for block in BLOCKS if block[0].startswith("file: ")])
def test_what_is_shown_of_a_file_stands_in_it(what: str, body: str) -> None:
    assert body in (ROOT / "scripts" / "examples" / what.removeprefix("file: ")).read_text()


def column(heading: str) -> list[str]:
    """The first words of the rows of the table below a heading."""
    rows = README.split(f"\n## {heading}\n")[1].split("\n## ")[0].splitlines()
    cells = [row.split("|")[1].strip().removesuffix(" (default)").strip("`") for row in rows if row.startswith("|")]
    return cells[2:]


def test_the_tables_of_the_client_are_whole() -> None:
    assert column("A program that is too slow") == list(get_args(Policy))
    assert set(column("Gaps, and the proof that there are no others")) == set(get_args(GapReason))
    assert column("Connection, states and errors") == list(FeedState)
    assert f"kind ({', '.join(get_args(ConnectFailure))})" in README


def test_the_addresses_are_what_the_calls_give() -> None:
    shown = re.findall(r"^\| `deployment_url\((.*)\)` \| `(.*?)`", README, re.MULTILINE)
    assert len(shown) == 5
    for arguments, url in shown:
        call = ast.parse(f"f({arguments})", mode="eval").body
        assert isinstance(call, ast.Call)
        options = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
        assert deployment_url(*map(ast.literal_eval, call.args), **options) == url


def test_links_lead_to_headings() -> None:
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    places = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= places


def test_every_block_is_checked() -> None:
    shown = README.count("```json") + README.count("```python")
    assert shown == sum(bool(body) for _, body in BLOCKS)
