"""Layers: flag over variable over file over default; and one line for each mistake, which names it and its place."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs
import pytest
from cli.kit import Terminal

from datafye_trio.aggregates import Aggregation, consolidated
from datafye_trio.cli.datasets import ProgramConfig, UpstreamConfig
from datafye_trio.cli.settings import FLAGS, SETTINGS, Settings, load
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import Channel
from datafye_trio.server import ServerConfig
from datafye_trio.sources import SyntheticConfig


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "serve.toml"


def settings(file: Path | None = None, **flags: object) -> Settings:
    return load(flags, {}, file)


def leaves(config: object, prefix: str = "") -> set[str]:
    """Dotted names, found in another way than the code under test: from an instance."""
    found = set()
    for field in attrs.fields(type(config)):
        value = getattr(config, field.name)
        inner = leaves(value, f"{prefix}{field.name}.") if attrs.has(type(value)) else {prefix + field.name}
        found |= inner
    return found


def test_without_anything_the_defaults_hold() -> None:
    assert settings() == Settings(ServerConfig(), (SyntheticConfig(),), settings().process)


def test_every_setting_of_a_server_is_known() -> None:
    assert leaves(ServerConfig()) <= SETTINGS.keys()


def test_each_layer_wins_over_those_below(file: Path) -> None:
    file.write_text('port = 1\nmemory = 1000000000\n[heartbeat]\naccept = "any"\ninterval = 5\n[outbox]\nseconds = 2\n')
    variables = {"DATAFYE_TRIO_PORT": "2", "DATAFYE_TRIO_HEARTBEAT_INTERVAL": "6.5"}
    server = load({"port": 3}, variables, file).server
    assert (server.port, server.heartbeat.interval, server.heartbeat.accept) == (3, 6.5, "any")
    assert (server.outbox.seconds, server.memory) == (2.0, 1_000_000_000)
    assert load({}, variables, file).server.port == 2
    assert load({}, {}, file).server.port == 1


def test_every_flag_and_every_setting_has_a_variable() -> None:
    texts = {
        "host": "127.0.0.2", "port": "99", "cert": "", "key": "", "timestamp_unit": "ms", "symbols": "A,B", "seed": "3",
        "rate": "max", "halts": "yes", "dataset": "X", "asset_class": "stocks", "log_level": "debug",
        "log_format": "json", "on_source_error": "exit", "heartbeat_accept": "any", "policy": "drop_oldest",
        "testing": "yes", "allow": "10.0.0.0/8, ::1", "deny": "10.1.1.1", "trusted_proxy": "127.0.0.1", "origin": "https://a.example",
    }  # fmt: skip
    for_replay = {
        "replay": "a.csv", "speed": "2", "loop": "on", "wait_for_client": "4", "dataset": "X", "paused": "1",
        "from": "1970-01-01T00:00:01Z", "to": "1969-12-31T19:00:02", "shift_to_now": "yes",
        "bars": "consolidated",
    }  # fmt: skip
    others = {"stdin": "yes", "upstream": "wss://a.example", "upstream_ca": "ca.pem"}
    assert set(texts) | set(for_replay) | set(others) == {*FLAGS, "timestamp_unit"}
    found = load({}, {f"DATAFYE_TRIO_{name.upper()}": text for name, text in texts.items()}, None)
    assert found.server.access.allow == ("10.0.0.0/8", "::1")
    assert found.server.access.origins == ("https://a.example",)
    assert (found.server.cert, found.server.timestamp_unit, found.server.outbox.policy) == (None, "ms", "drop_oldest")
    assert found.datasets == (SyntheticConfig(dataset="X", symbols=("A", "B"), seed=3, rate=float("inf"), halts=True),)
    assert attrs.astuple(found.process) == (True, "exit", "json", "debug")
    (replay,) = load({}, {f"DATAFYE_TRIO_{name.upper()}": text for name, text in for_replay.items()}, None).datasets
    assert (replay.paths, replay.speed, replay.loop, replay.wait_for_client) == ((Path("a.csv"),), 2.0, True, 4)
    assert (replay.start, replay.end, replay.shift_to_now, replay.paused) == (10**9, 2 * 10**9, True, True)
    assert isinstance(replay.aggregation, Aggregation)
    for_relay = {f"DATAFYE_TRIO_{name.upper()}": others[name] for name in ("upstream", "upstream_ca")}
    (relay,) = load({}, for_relay, None).datasets
    assert relay == UpstreamConfig("wss://a.example", ca="ca.pem")
    (lines,) = load({}, {"DATAFYE_TRIO_STDIN": others["stdin"], "DATAFYE_TRIO_DATASET": "X"}, None).datasets
    assert lines == ProgramConfig("X", channels=tuple(Channel), stdin=True)
    assert replay.aggregation.rule is consolidated
    for name in SETTINGS.keys() - _FREE:
        variable = f"DATAFYE_TRIO_{name.replace('.', '_').upper()}"
        with pytest.raises(ConfigurationError, match=rf"^{variable}\b"):
            load({}, {variable: "\0no"}, None)


_FREE = {"host", "cert", "key"}
"""Settings that take any text: nothing is wrong with them alone, so they are proved above."""


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        ("PROT", "1", "unknown variable DATAFYE_TRIO_PROT: did you mean DATAFYE_TRIO_PORT?"),
        ("PORT", "abc", "DATAFYE_TRIO_PORT must be an integer, not 'abc'"),
        ("PORT", "99999", "DATAFYE_TRIO_PORT: port 99999 is not between 0 and 65535"),
        ("PORT", "-1", "DATAFYE_TRIO_PORT must not be below 0, not -1"),
        ("HALTS", "perhaps", "DATAFYE_TRIO_HALTS must be true or false, not 'perhaps'"),
        ("RATE", "fast", "DATAFYE_TRIO_RATE must be a number or max, not 'fast'"),
        ("RATE", "nan", "DATAFYE_TRIO_RATE must be a number or max, not nan"),
        ("RATE", "0", "DATAFYE_TRIO_RATE: the rate is 0.001 to 1000000 events a second or inf, not 0.0"),
        ("HEARTBEAT_ACCEPT", "all", "DATAFYE_TRIO_HEARTBEAT_ACCEPT must be one of pong, any, not 'all'"),
        ("HEARTBEAT_INTERVAL", "x", "DATAFYE_TRIO_HEARTBEAT_INTERVAL must be a number, not 'x'"),
        ("ACCESS_ALLOW", "10.0.0.0/99", "DATAFYE_TRIO_ACCESS_ALLOW: '10.0.0.0/99' is no network: write an address or"),
        ("ASSET_CLASS", "bonds", "DATAFYE_TRIO_ASSET_CLASS must be one of stocks, crypto, not 'bonds'"),
        ("CERT", "a.pem", "DATAFYE_TRIO_CERT: cert and key go together: give both, or neither"),
        ("WAIT_FOR_CLIENT", "1", "DATAFYE_TRIO_WAIT_FOR_CLIENT is not for a synthetic dataset: it has source, name,"),
        ("CONFIG", "missing.toml", "cannot read missing.toml: No such file or directory"),
        ("PRINT_CONFIG", "maybe", "DATAFYE_TRIO_PRINT_CONFIG must be true or false, not 'maybe'"),
    ],
)
def test_a_wrong_variable_is_one_line(terminal: Terminal, variable: str, text: str, line: str) -> None:
    assert terminal.complain("serve", **{variable: text}).startswith(line)


def test_two_variables_for_one_setting_are_refused(terminal: Terminal) -> None:
    line = terminal.complain("serve", ALLOW="::1", ACCESS_ALLOW="10.0.0.0/8")
    assert line == "DATAFYE_TRIO_ACCESS_ALLOW and DATAFYE_TRIO_ALLOW are one setting: keep one of them"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("prot = 1", "unknown setting prot in {file}: did you mean port?"),
        ("[heartbeat]\nacept = 1", "unknown setting heartbeat.acept in {file}: did you mean heartbeat.accept?"),
        ("[heart]\naccept = 'any'", "unknown setting heart in {file}"),
        ("rate = 5", "unknown setting rate in {file} (a dataset's settings go below [[datasets]])"),
        ("port = '1'", "port in {file} must be an integer, not '1'"),
        ("port = true", "port in {file} must be an integer, not True"),
        ("port = 1.5", "port in {file} must be an integer, not 1.5"),
        ("port = 70000", "port in {file}: port 70000 is not between 0 and 65535"),
        ("host = 1", "host in {file} must be a text, not 1"),
        ("host = {a = 1}", "host in {file} must be a text, not {'a': 1}"),
        ("heartbeat = 1", "unknown setting heartbeat in {file}"),
        ("[heartbeat]\ninterval = nan", "heartbeat.interval in {file} must be a number, not nan"),
        ("[heartbeat]\ninterval = 0", "heartbeat.interval in {file}: heartbeat.interval must be above 0"),
        ("[connections]\ncount_loopback = 1", "connections.count_loopback in {file} must be true or false, not 1"),
        ("[access]\nallow = '::1'", 'access.allow in {file} must be a list of texts, such as ["AAPL"], not'),
        ("memory = 1", "memory in {file}: memory must be more than ring.bytes"),
        ("memory = 6\n[ring]\nbytes = 7", "memory in {file}: memory must be more than ring.bytes"),
        ("memory = 600000000\n[ring]\nbytes = 600000001", "memory must be more than ring.bytes, which is a part of it"),
        ("port =", "{file} is no TOML: Invalid value (at end of document)"),
        ("datasets = 1", "datasets in {file}: write each as a table below [[datasets]]"),
        ("[[datasets]]\nrat = 1", "unknown setting datasets[0].rat in {file}: did you mean rate?"),
        ("[[datasets]]\nrate = 'x'", "datasets[0].rate in {file} must be a number or max, not 'x'"),
        ("[[datasets]]\nrate = -2", "datasets[0].rate in {file} must not be below 0 or max, not -2"),
        (f"[[datasets]]\nrate = 1{'0' * 400}", "datasets[0].rate in {file} must be a number within 1e308 or max, not"),
        ("[[datasets]]\nspeed = 2", "datasets[0].speed in {file} is not for a synthetic dataset: it has source, name"),
        (
            "[[datasets]]\nsource = 'tape'",
            "datasets[0].source in {file} must be one of synthetic, replay, program, relay, not",
        ),
        ("[[datasets]]\nsource = 'replay'", "datasets[0].source in {file}: a replay needs a path (replay)"),
        (
            "[[datasets]]\nreplay = 'x'\nfrom = 2024-08-08T23:55:00Z",
            "datasets[0].from in {file} must be a time such as 2024-08-08T23:55:00Z as a text, for New York without Z,",
        ),
        ("[[datasets]]\nsource = 'relay'", "datasets[0].source in {file}: a relay needs the URL of a server"),
        ("[[datasets]]\nreplay = []", "datasets[0].replay in {file} must be a path or a list of paths, not []"),
        ("[[datasets]]\nsymbols = ['é']", "datasets[0].symbols in {file}: symbols of a synthetic market: 'é' is no"),
        ("[[datasets]]\nsource = 'program'\nchannels = ['x']", "datasets[0].channels in {file}: unknown channel 'x'"),
        ("[[datasets]]\n[[datasets]]", "the dataset Synthetic is named twice"),
    ],
)
def test_a_wrong_file_is_one_line(terminal: Terminal, file: Path, content: str, line: str) -> None:
    file.write_text(content)
    assert terminal.complain("serve", "--config", str(file)).startswith(line.replace("{file}", str(file)))


def test_a_file_that_is_no_text(terminal: Terminal, file: Path) -> None:
    file.write_bytes(b"\xff")
    assert terminal.complain("serve", "--config", str(file)).startswith(f"{file} is no TOML: 'utf-8' codec")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--port", "abc"), 'Invalid value for --port: unable to convert "abc" into int.'),
        (("--port", "70000"), "--port: port 70000 is not between 0 and 65535"),
        (("--port=-1",), "--port must not be below 0, not -1"),
        (("--port",), 'Command "serve" parameter --port requires an argument.'),
        (("--prot", "1"), "Unknown option: --prot. Did you mean --port?"),
        (("more",), "Unused Tokens: ['more']."),
        (("--policy", "wait"), 'Invalid value "wait" for --policy. Choose from: "disconnect", "drop_oldest".'),
        (("--rate", "quick"), "--rate must be a number or max, not 'quick'"),
        (("--rate", "0"), "--rate: the rate is 0.001 to 1000000 events a second or inf, not 0.0"),
        (("--symbols", "A,B C"), "--symbols: symbols of a synthetic market: 'B C' is no symbol"),
        (("--allow", "ten"), "--allow: 'ten' is no network: write an address or CIDR such as 10.0.0.0/8"),
        (("--origin", "a", "--deny", "x"), "--deny: 'x' is no network"),
        (("--key", "k.pem"), "--key: cert and key go together: give both, or neither"),
        (("--replay", "x.csv"), "replay: there is no file x.csv"),
        (("--replay", "x.csv", "--from", "noon"), "--from must be a time such as 2024-08-08T23:55:00Z as a text"),
        (
            ("--replay", "x", "--dataset", "T", "--from", "2024-01-02", "--to", "2024-01-01"),
            "--from, --to: a replay goes from one time to a later one",
        ),
        (("--to", "2024-01-02"), "--to is not for a synthetic dataset"),
        (("--replay", "no.csv", "--dataset", "T"), "replay of T: there is no file no.csv"),
        (("--replay", "x.csv", "--dataset", "T", "--seed", "1"), "--seed is not for a replay dataset: it has source,"),
        (("--replay", "x.csv", "--dataset", "T", "--speed", "0"), "--speed: the speed of a replay is above 0"),
        (("--speed", "2"), "--speed is not for a synthetic dataset"),
        (("--upstream", "http://x"), "--upstream: the upstream 'http://x' is no WebSocket URL"),
        (("--upstream", "ws://x", "--seed", "1"), "--seed is not for a relay dataset: it has source, upstream, "),
        (("--upstream", "ws://x", "--upstream-ca", "ca.pem"), "--upstream-ca: there is no TLS to ws://x"),
        (("--upstream-ca", "ca.pem"), "--upstream-ca is not for a synthetic dataset"),
        (("--upstream", "wss://x", "--upstream-ca", "no.pem"), "cannot use the authorities in no.pem: No such file"),
        (("--stdin", "--rate", "1"), "--rate is not for a program dataset: it has source,"),
        (("--dataset", "Crypto", "--halts"), "--halts: halts are for stocks: crypto trades around the clock"),
        (("--cert", "no.pem", "--key", "no.key"), "cannot use cert no.pem with key no.key"),
        (("--host", "0.0.0.0"), "host 0.0.0.0 can be reached from outside this machine: say who may connect with"),
        (("--host", "::"), "host :: can be reached from outside"),
        (("--host", "example.com"), "host example.com can be reached from outside"),
        (("--host", ""), "host  can be reached from outside"),
    ],
)
def test_a_wrong_flag_is_one_line(terminal: Terminal, arguments: tuple[str, ...], line: str) -> None:
    assert " ".join(line.split()) in terminal.complain("serve", *arguments)


def test_a_host_that_others_reach_is_taken_with_a_list() -> None:
    server = settings(host="0.0.0.0", allow=("10.0.0.0/8,192.168.0.0/16", "::1")).server
    assert server.access.allow == ("10.0.0.0/8", "192.168.0.0/16", "::1")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_needs_no_list(host: str) -> None:
    assert settings(host=host).server.host == host


def test_flags_describe_the_only_dataset() -> None:
    (found,) = settings(symbols=("aapl,msft", "nvda"), rate="2.5").datasets
    assert found == SyntheticConfig(symbols=("AAPL", "MSFT", "NVDA"), rate=2.5)


def test_flags_go_over_the_only_dataset_of_a_file(file: Path) -> None:
    file.write_text("[[datasets]]\nname = 'A'\nseed = 5\nrate = 7\n")
    assert settings(file, rate="8", dataset="B").datasets == (SyntheticConfig(dataset="B", seed=5, rate=8.0),)


def test_flags_go_over_the_dataset_of_a_file_that_they_name(file: Path) -> None:
    file.write_text("[[datasets]]\nname = 'A'\n[[datasets]]\nname = 'B'\nseed = 5\n[[datasets]]\n")
    first, second, third = settings(file, dataset="B", rate="8").datasets
    assert second == SyntheticConfig(dataset="B", seed=5, rate=8.0)
    assert (first, third) == (SyntheticConfig(dataset="A"), SyntheticConfig())


def test_flags_that_name_none_of_several_datasets_are_refused(file: Path) -> None:
    file.write_text("[[datasets]]\nname = 'A'\n[[datasets]]\nname = 'B'\n")
    for flags in ({"rate": "8"}, {"rate": "8", "dataset": "C"}):
        with pytest.raises(ConfigurationError, match=r"has 2 datasets: name one of them with --dataset"):
            settings(file, **flags)


def test_files_to_replay_replace_a_dataset_that_was_none(file: Path) -> None:
    file.write_text("[[datasets]]\nname = 'A'\nseed = 5\n")
    (found,) = settings(file, replay=("a,b.csv",), dataset="T").datasets
    assert (found.dataset, found.paths) == ("T", (Path("a,b.csv"),))


def test_a_sound_file_stays_sound_toml(file: Path) -> None:
    file.write_text("[access]\nallow = ['::1']\n[[datasets]]\nreplay = 'x.csv'\nname = 'T'\nspeed = 'max'\n")
    assert tomllib.loads(file.read_text())["access"] == {"allow": ["::1"]}
    (found,) = settings(file).datasets
    assert (found.speed, found.paths) == (float("inf"), (Path("x.csv"),))
