"""The scenarios of `scripts/soak` in which all goes wrong but the clients: as small as they go, and their verdicts."""

from __future__ import annotations

import importlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest

from datafye_trio.client import FeedState, StateChange
from datafye_trio.model import AssetClass, Channel, Gap, TopicKey
from datafye_trio.testing import Flaw, Verdict

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SOUND = Verdict(100, 0, 0, 0, {}, ())
LOSSY = attrs.evolve(SOUND, flaws={Flaw.LOST: 1})
PROC = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system does not tell of processes")


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)


def soaking(name: str) -> Any:
    return importlib.import_module(f"soaking.{name}")


def scenario(name: str) -> Any:
    return soaking(f"scenarios.{name}")


async def run(name: str, *arguments: str) -> Any:
    given = soaking("cli").parser().parse_args([name, *arguments])
    return await given.run(given)


# Small runs. Networks and mounts of this process's own are for processes that end after it.


@pytest.mark.unmeasured
async def test_a_small_herd_comes_back() -> None:
    herd = scenario("herd")
    settings = herd.HerdSettings(3, healthy=0.1, down=0.1, rate=1_000.0, ways=("ended",), spare=0.2, symbols=3)
    returns, verdict, failures = await herd.run_herd(settings)
    assert [(one.how, one.absent, len(one.back)) for one in returns] == [("ended", 0, 3)]
    assert all(one.attempts >= 3 for one in returns)
    assert verdict.sound, str(verdict)
    assert verdict.restarts == 3 * 2
    assert failures == []


@pytest.mark.unmeasured
async def test_bad_links_for_a_moment() -> None:
    report = await run("links", "--no-loss", "--clients", "1", "--seconds", "0.3")
    assert report.proved, str(report)
    assert "no loss of packets: it was not wanted" in report.figures[0]
    assert [line.split(",")[0] for line in report.figures[1:]] == ["latency 50 +- 10 ms", "1-byte slices"]


@pytest.mark.unmeasured
async def test_a_small_black_hole_is_found_on_both_sides() -> None:
    holes = scenario("blackhole")
    (found,), no_drop = await holes.run_holes(holes.HoleSettings(clients=2, heartbeat=0.2, drop=False))
    assert (found.connections, len(found.clients), len(found.server)) == (2, 2, 2)
    assert {code for _, code in found.server} == {4009}
    assert found.verdict.sound, str(found.verdict)
    assert no_drop == "it was not wanted"


@pytest.mark.unmeasured
async def test_a_clock_is_set() -> None:
    if scenario("clock").find_library() is None:
        pytest.skip("libfaketime is not installed")
    report = await run("clock", "--clients", "1", "--seconds", "0.1")
    assert report.proved, str(report)
    assert report.figures[0].endswith(("+3,600 s, -3,600 s, +0 s", "+3,600 s, -3,600 s, -0 s"))


async def test_without_a_fake_clock_nothing_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario("clock"), "find_library", lambda: None)
    report = await run("clock")
    assert not report.proved
    assert "apt-get install faketime" in str(report)


@PROC
@pytest.mark.unmeasured
async def test_a_little_churn() -> None:
    churn = scenario("churn")
    settings = churn.ChurnSettings(0.5, 3, changes=40.0, cuts=8.0, rate=1_000.0, symbols=5, settle=0.3)
    found = await churn.run_churn(settings)
    assert found.verdict.sound, str(found.verdict)
    assert found.changes > 5
    assert found.cuts > 0
    assert (found.before.descriptors, found.before.tasks) == (found.after.descriptors, found.after.tasks)
    assert found.failures == ()
    report = churn.judge_churn(settings, found)
    assert not [why for why in report.missed if "too short" not in why and "memory grew" not in why]
    assert any("too short" in why for why in report.missed)


# Verdicts.


def missed(judge: Any, fine: Any, *changes: dict[str, Any]) -> list[int]:
    """How much is missed with each of the changes."""
    return [len(judge(attrs.evolve(fine, **change)).missed) for change in changes]


def test_the_verdict_on_a_herd() -> None:
    herd = scenario("herd")
    settings = herd.HerdSettings()
    fine = herd.Return("killed", (0.5, 9.9, 1.0), 0, 7, (0, 3, 1))
    assert str(fine) == (
        "killed: half are back within 1.00 s, all within 9.90 s of the port's answering; 7 attempts, "
        "4 answers with 503, 3 of them at most for one client"
    )

    def judge(one: Any) -> Any:
        return herd.judge_herd(settings, [one], SOUND, [])

    assert judge(fine).proved
    assert missed(judge, fine, {"back": (10.1,)}, {"absent": 1}, {"busy": (4,)}, {"back": (), "absent": 3}) == [1] * 4
    assert len(herd.judge_herd(settings, [fine], LOSSY, []).missed) == 1
    assert "a feed has ended: boom" in herd.judge_herd(settings, [fine], SOUND, ["boom"]).missed


def test_no_more_clients_than_one_address_may_have(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        soaking("cli").parser().parse_args(["herd", "--clients", "501"])
    assert ended.value.code == 2
    assert "one address may have 500" in capsys.readouterr().err


def test_the_verdict_on_black_holes() -> None:
    holes = scenario("blackhole")
    settings = holes.HoleSettings()
    fine = holes.Found("mute", 2, (19.0, 20.0), ((41.0, 4009), (42.0, 4009)), SOUND)

    def judge(one: Any) -> Any:
        return holes.judge_holes(settings, [one], None)

    assert judge(fine).proved
    assert "within 20.0 s, by the server for 2 within 42.0 s (2 with 4009)" in judge(fine).figures[0]
    assert (
        missed(
            judge,
            fine,
            {"clients": (19.0, 45.1)},
            {"clients": (19.0,)},
            {"server": ((41.0, 4009), (45.1, None))},
            {"server": ()},
            {"verdict": LOSSY},
            {"verdict": attrs.evolve(SOUND, gaps=1)},
        )
        == [1] * 6
    )
    assert "left out: all packets dropped (no root)" in holes.judge_holes(settings, [fine], "no root").figures


def test_who_is_undisturbed() -> None:
    watched = soaking("watched")
    client = watched.WatchedClient(0, (), soaking("watched").FeedConfig())

    def wrong(verdict: Verdict = SOUND, ended: Any = ()) -> int:
        return sum(not held for held in watched.undisturbed(verdict, [client], {"ended": ended}).values())

    assert wrong() == 0
    assert [wrong(LOSSY), wrong(attrs.evolve(SOUND, restarts=1)), wrong(ended=[(1.0, 4009)])] == [1, 1, 1]
    client.failure = "boom"
    assert wrong() == 1


async def test_what_becomes_of_a_connection_is_noted() -> None:
    watched = soaking("watched")
    client = watched.WatchedClient(0, (), watched.FeedConfig())

    async def states() -> Any:
        yield StateChange(FeedState.CONNECTING, "ws://x")
        yield StateChange(FeedState.DISCONNECTED, "ws://x", "x answered HTTP 503: too many")
        yield StateChange(FeedState.CONNECTING, "ws://x")
        yield StateChange(FeedState.DISCONNECTED, "ws://x", "refused")

    await client.follow(states())
    assert (client.attempts, client.busy, [why[:7] for _, why in client.lost]) == (2, 1, ["x answe", "refused"])


def test_the_verdict_on_churn() -> None:
    churn = scenario("churn")
    settings = churn.ChurnSettings()
    looks = [churn.Look(time, 2**25 + (time // 60) % 2, 1_000, 208, 1_000) for time in range(5, 1_800, 5)]
    fine = churn.Churned(tuple(looks), looks[0], looks[-1], 1_000, SOUND, 9_000, 360, 361, Counter({None: 360}), ())

    def judge(found: Any) -> Any:
        return churn.judge_churn(settings, found)

    assert judge(fine).proved, str(judge(fine))
    assert "after 600 s of warm-up: " in judge(fine).figures[2]
    leaking = tuple(attrs.evolve(look, memory=2**25 + 300 * int(look.time)) for look in looks)  # 1.03 MiB an hour
    warming = tuple(attrs.evolve(look, memory=2**20 * min(600, int(look.time))) for look in looks)
    assert judge(attrs.evolve(fine, looks=warming)).proved
    assert (
        missed(
            judge,
            fine,
            {"looks": leaking},
            {"looks": tuple(looks[:170])},
            {"verdict": LOSSY},
            {"after": attrs.evolve(looks[-1], descriptors=209)},
            {"after": attrs.evolve(looks[-1], tasks=1_005)},
            {"codes": Counter({4008: 1})},
            {"failures": ("boom",)},
        )
        == [1] * 7
    )


def test_a_line_of_least_squares() -> None:
    trend_of = soaking("trends").trend_of
    line = trend_of([0.0, 10.0, 20.0, 30.0], [5.0, 25.0, 45.0, 65.0])
    assert (line.slope, line.error) == (pytest.approx(2.0), pytest.approx(0.0))
    noisy = trend_of([0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 2.9, 5.1, 6.8, 9.2])
    assert (noisy.slope, noisy.error) == (pytest.approx(2.03), pytest.approx(0.0551, abs=1e-4))  # by hand
    assert math.isinf(trend_of([1.0, 2.0], [3.0, 4.0]).error)
    assert math.isinf(trend_of([1.0] * 3, [3.0] * 3).error)


def test_the_verdict_on_a_full_disk() -> None:
    disk = scenario("disk")
    reader = disk.Reader()
    for number in (7, 8, 9):
        reader.take({"type": "trade", "symbol": "AAPL", "seq": number})
    full, again = "cannot write x: full; 9 rows wait", "the recording can be written again; rows lost so far: 0"
    lost = '{"event": "lines lost", "count": 5, "level": "warning"}'
    channel = disk.ChannelReport("D", "stocks", "trades", 1, 3, 1, 0, 9, 100)
    fine = disk.Seen("a disk", "full", reader, 2, 0, 0, [full, again], ["{}", "{", lost], (channel,))
    assert disk.judge_disk(fine).proved, str(disk.judge_disk(fine))
    assert (
        missed(
            disk.judge_disk,
            fine,
            {"meanwhile": 0},
            {"recorder": 1},
            {"server": None},
            {"said": [full, full, again]},
            {"said": [again]},
            {"said": [full]},
            {"log": ["{}"]},
            {"log": [lost, lost]},
            {"log": [lost, "{", "{", "{"]},
            {"channels": ()},
            {"channels": (attrs.evolve(channel, gaps=1),)},
        )
        == [1] * 11
    )


def test_a_reader_counts_holes() -> None:
    reader = scenario("disk").Reader()
    for symbol, number in (("A", 5), ("B", 1), ("A", 6), ("A", 8), ("A", 8), ("B", 2)):
        reader.take({"type": "trade", "symbol": symbol, "seq": number})
    assert (reader.received, reader.holes) == (6, 2)
    topic = TopicKey("D", AssetClass.STOCKS, Channel.TRADES, "A")
    reader.take(Gap(topic, "e", 9, 9, "expired"))
    assert reader.holes == 3


def test_a_room_without_root_is_full_for_a_process_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rooms = soaking("rooms")
    limits: dict[int, tuple[int, int]] = {7: (-1, -1), 8: (5_000_000, 9_000_000)}

    def prlimit(pid: int, _: int, new: tuple[int, int] | None = None) -> tuple[int, int]:
        old = limits[pid]
        limits[pid] = new or old
        return old

    monkeypatch.setattr(rooms.os, "geteuid", lambda: 1)
    monkeypatch.setattr(rooms.resource, "prlimit", prlimit, raising=False)
    with rooms.open_room(tmp_path) as room:
        room.fill([7, 8])
        assert limits == {7: (16_384, -1), 8: (16_384, 9_000_000)}
        room.free([7, 8])
        assert limits == {7: (-1, -1), 8: (9_000_000, 9_000_000)}


def test_why_no_packets_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    packets = soaking("packets")
    monkeypatch.setattr(packets.sys, "platform", "linux")
    monkeypatch.setattr(packets.os, "geteuid", lambda: 1, raising=False)
    assert packets.enter_own_network() == "only root can drop packets, and only on Linux"
    monkeypatch.setattr(packets.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(packets.shutil, "which", lambda tool: None if tool == "iptables" else f"/bin/{tool}")
    assert packets.enter_own_network() == "iptables must be installed to drop packets"
