"""`serve --descriptor`: datasets, feeds and flags come together, and what is left out is said."""

from __future__ import annotations

import json
import signal
import tomllib
from pathlib import Path

import pytest
import trio
import trio.testing
from cli.feeds import COINS, CRYPTO, NOON, SIP, STOCKS, SYNTHETIC, read, record, ticks
from cli.kit import Terminal
from cli.specs import BACKTEST, HEAD, LIVE, README

from datafye_trio.cli.descriptor import Described
from datafye_trio.cli.printing import as_toml
from datafye_trio.cli.serve import run
from datafye_trio.cli.settings import Settings, load
from datafye_trio.errors import ConfigurationError
from datafye_trio.model import AssetClass, Bar, Channel
from datafye_trio.recordings.writer import RecordingWriter
from datafye_trio.wire.client import open_client

LEFT_OUT = "datasets[1]: SIP is left out: it has no feed, give --replay SIP=PATH"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return tmp_path / "spec.yaml"


def values(described: Described) -> list[dict[str, object]]:
    return [{name: one.value for name, one in table.items()} for table in described.tables]


def test_synthetic_is_generated_within_its_symbols_and_offers(spec: Path) -> None:
    found = read(spec, SYNTHETIC)
    assert values(found) == [
        {"source": "synthetic", "name": "Synthetic", "symbols": ["AAPL", "ON"], "ticks": ["trades"],
         "aggregates": ["ohlc-1s"], "history": False},
    ]  # fmt: skip
    assert found.warnings == ()
    assert found.tables[0]["ticks"].where == f"{spec}, line 3: datasets[0].live.ticks"


def test_a_recording_feeds_the_datasets_that_it_holds(spec: Path, tmp_path: Path) -> None:
    folder = record(record(tmp_path / "rec", "SIP", STOCKS), "Crypto", COINS)
    found = read(spec, HEAD + SIP + CRYPTO + "- dataset: TotalView\n  live: {ticks: trades}\n", folder)
    assert values(found) == [
        {"source": "replay", "replay": [str(folder)], "asset_class": "stocks", "name": "SIP", "ticks": ["trades"],
         "aggregates": ["ohlc-1s", "ema-1d"], "history": False},
        {"source": "replay", "replay": [str(folder)], "asset_class": "crypto", "name": "Crypto", "symbols": ["BTCUSD"],
         "ticks": ["trades"], "aggregates": ["ohlc-1m"], "history": True},
    ]  # fmt: skip
    assert found.warnings == (
        f"{spec}, line 4: datasets[0].live.ticks[1]: quotes is not offered: the feed of SIP has no quotes",
        f"{spec}, line 9: datasets[2]: TotalView is left out: it has no feed, give --replay TotalView=PATH",
    )


def test_feeds_may_be_named_and_come_in_parts(spec: Path, tmp_path: Path) -> None:
    first, second, coins = ticks(tmp_path / "a"), ticks(tmp_path / "b=c"), ticks(tmp_path / "c", "BTCUSD")
    found = read(spec, HEAD + SIP + CRYPTO, f"SIP={first}", f"Crypto={coins}", f"SIP={second}")
    assert [table["replay"] for table in values(found)] == [[str(first), str(second)], [str(coins)]]


def test_one_dataset_is_fed_by_any_ticks_and_a_named_feed_goes_before(spec: Path, tmp_path: Path) -> None:
    plain, coins = ticks(tmp_path / "dataset=x"), ticks(tmp_path / "c", "BTCUSD")
    assert values(read(spec, HEAD + SIP, plain))[0]["replay"] == [str(plain)]
    found = read(spec, HEAD + SIP + CRYPTO, plain, f"Crypto={coins}")
    assert [table["replay"] for table in values(found)] == [[str(plain)], [str(coins)]]


def test_synthetic_is_replayed_only_if_it_is_named(spec: Path, tmp_path: Path) -> None:
    folder = record(record(tmp_path / "rec", "SIP", STOCKS), "Synthetic", STOCKS)
    assert [table["source"] for table in values(read(spec, SYNTHETIC + SIP, folder))] == ["synthetic", "replay"]
    found = read(spec, SYNTHETIC, f"Synthetic={folder}")
    assert [table["source"] for table in values(found)] == ["replay"]


def test_recorded_bars_are_offered_without_trades(spec: Path, tmp_path: Path) -> None:
    bars = [Bar("AAPL", "Second", NOON, 1.0, 2.0, 0.5, 1.5, 10, 3, 1.2)]
    found = read(spec, HEAD + SIP, record(tmp_path / "rec", "SIP", bars))
    assert (values(found)[0]["ticks"], values(found)[0]["aggregates"]) == ([], ["ohlc-1s"])
    assert [line.partition("]: ")[2] for line in found.warnings] == [
        "trades is not offered: the feed of SIP has no trades",
        "quotes is not offered: the feed of SIP has no quotes",
        "ema-1d is not offered: the feed of SIP has no trades",
    ]


def test_flags_go_to_the_datasets_that_they_fit(spec: Path, tmp_path: Path) -> None:
    found = read(spec, SYNTHETIC + SIP, f"SIP={ticks(tmp_path / 'a')}", speed=10.0, seed=7, bars="all")
    synthetic, sip = values(found)
    assert (synthetic["seed"], synthetic["bars"], "speed" in synthetic) == (7, "all", False)
    assert (sip["speed"], sip["bars"], "seed" in sip) == (10.0, "all", False)


def test_a_dataset_whose_feed_has_nothing_is_left_out(spec: Path, tmp_path: Path) -> None:
    folder = record(tmp_path / "rec", "SIP", STOCKS)
    found = read(spec, f"{SYNTHETIC}- dataset: SIP\n  live: {{ticks: quotes}}\n", f"SIP={folder}")
    assert [table["name"] for table in values(found)] == ["Synthetic"]


def test_a_recording_says_what_class_an_unknown_dataset_is_of(spec: Path, tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "rec", "Mine", AssetClass.CRYPTO) as writer:
        writer.add(Channel.TRADES, NOON, COINS[0])
    text = f"{HEAD}- dataset: Mine\n  symbols: {{tickers: btc/usd}}\n  live: {{ticks: trades}}"
    spec.write_text(text)
    (found,) = load({"replay": (str(tmp_path / "rec"),)}, {}, None, spec).datasets
    assert (found.asset_class, found.symbols) == (AssetClass.CRYPTO, ("BTCUSD",))


def everything(spec: Path, tmp_path: Path) -> Settings:
    """Three datasets on one server."""
    spec.write_text(HEAD + SIP + CRYPTO + SYNTHETIC.removeprefix(HEAD))
    folder = record(record(tmp_path / "rec", "SIP", STOCKS), "Crypto", COINS)
    flags = {"replay": (str(folder),), "speed": "max", "wait_for_client": 1, "port": 0}
    return load(flags, {}, None, spec)


def test_what_a_descriptor_comes_to_is_printed_and_loaded_again(spec: Path, tmp_path: Path) -> None:
    before = everything(spec, tmp_path)
    file = tmp_path / "serve.toml"
    file.write_text(as_toml(before))
    again = load({}, {}, file)
    assert (again.datasets, again.server) == (before.datasets, before.server)
    assert (len(before.warnings), again.warnings) == (1, ())


@pytest.mark.parametrize("text", [LIVE, BACKTEST, README])
def test_the_vendors_descriptors_are_served_from_a_recording(spec: Path, tmp_path: Path, text: str) -> None:
    spec.write_text(text)
    folder = record(record(tmp_path / "rec", "SIP", STOCKS), "Crypto", COINS)
    found = load({"replay": (str(folder),)}, {}, None, spec)
    assert {one.dataset for one in found.datasets} == ({"SIP"} if text == LIVE else {"SIP", "Crypto", "Synthetic"})


def test_the_file_of_settings_may_go_with_it_but_not_have_datasets(spec: Path, tmp_path: Path) -> None:
    spec.write_text(SYNTHETIC)
    file = tmp_path / "serve.toml"
    file.write_text("port = 7\n")
    assert load({}, {}, file, spec).server.port == 7
    file.write_text("[[datasets]]\n")
    with pytest.raises(ConfigurationError, match=rf"^{file} has \[\[datasets\]\], and so has the descriptor {spec}"):
        load({}, {}, file, spec)


def test_a_flag_or_a_variable_names_the_descriptor(terminal: Terminal, spec: Path) -> None:
    spec.write_text(SYNTHETIC + SIP)
    code, out, err = terminal.run("serve", "--print-config", DESCRIPTOR=str(spec))
    assert (code, tomllib.loads(out)["datasets"][0]["ticks"]) == (0, ["trades"])
    assert (
        err == f"datafye-trio: {spec}, line 6: datasets[1]: SIP is left out: it has no feed, give --replay SIP=PATH\n"
    )
    assert terminal.run("serve", "--print-config", "--descriptor", str(spec))[1] == out
    spec.write_text("a:\n\tb")
    assert terminal.complain("serve", "--descriptor", str(spec)) == f"{spec}, line 2: a tab: write spaces"
    assert "cannot be used with a descriptor" in terminal.complain("serve", "--dataset", "A", DESCRIPTOR=str(spec))


def test_warnings_are_logged_at_the_start(terminal: Terminal, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec.write_text(SYNTHETIC + SIP)
    monkeypatch.setattr(trio, "run", lambda *_: 0)
    code, out, err = terminal.run("serve", "--descriptor", str(spec))
    assert (code, out) == (0, "")
    assert err.endswith(
        f"warning {spec}, line 6: datasets[1]: SIP is left out: it has no feed, give --replay SIP=PATH\n"
    )


async def test_three_datasets_on_one_server(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = everything(spec, tmp_path)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, settings)
            out = ""
            while not out.endswith("\n"):
                await trio.testing.wait_all_tasks_blocked()
                out += capsys.readouterr().out
            async with open_client(f"{out.split()[-1]}/stocks/live") as client:
                offered = json.loads(await client.receive())["datasets"]
                assert {one["dataset"]: (one["assetClass"], one["channels"]) for one in offered} == {
                    "SIP": ("stocks", ["trades", "aggregates", "ema"]),
                    "Crypto": ("crypto", ["trades", "aggregates"]),
                    "Synthetic": ("stocks", ["trades", "aggregates"]),
                }
                for dataset, channel in (("SIP", "trades"), ("Crypto", "trades"), ("Synthetic", "trades")):
                    request = {"action": "subscribe", "dataset": dataset, "channels": [channel], "symbols": ["*"]}
                    await client.send(json.dumps(request))
                seen = set()
                while len(seen) < 3:
                    message = json.loads(await client.receive())
                    if message["type"] == "trade":
                        seen.add(message["dataset"])
                request = {"action": "subscribe", "dataset": "SIP", "channels": ["ema"], "symbols": ["AAPL"]}
                await client.send(json.dumps(request | {"frequency": "Second"}))
                while (message := json.loads(await client.receive()))["type"] != "error":
                    pass
                assert message["code"] in ("INVALID_FREQUENCY", "CHANNEL_NOT_AVAILABLE")
            signal.raise_signal(signal.SIGINT)
