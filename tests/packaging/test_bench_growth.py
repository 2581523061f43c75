"""The benchmarks of topics, growth and connections, and `scripts/profile`: their arithmetic, tiny runs, wrong input."""

import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
QUOTE = b"\x81\x7e\x00\xbe" + b"q" * 190
HEARTBEAT = b"\x81\x05heart"

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a module of the benchmarks, which finds its neighbours where it stands."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return lambda name: import_module(f"benchmark.{name}")


@pytest.fixture
def wire() -> Iterator[tuple[socket.socket, SimpleNamespace]]:
    """A server's end of a connection, and a client on the other."""
    server, client = socket.socketpair()
    pongs: list[None] = []
    with server, client:
        yield server, SimpleNamespace(socket=client, pongs=pongs, pong=lambda: pongs.append(None))


@pytest.mark.parametrize(("exponent", "factor"), [(0, 7.0), (1, 0.002), (2, 3.0), (-0.5, 1.0)])
def test_the_slope_is_the_exponent_whatever_the_unit(load: Load, exponent: float, factor: float) -> None:
    sizes = (1, 2, 4, 8)
    slope = load("growth").slope(sizes, [factor * size**exponent for size in sizes])
    assert slope == pytest.approx(exponent, abs=1e-12)


def test_noise_about_a_line_leaves_its_slope(load: Load) -> None:
    assert load("growth").slope((1, 2, 4, 8), (1.1, 1.9, 4.1, 7.8)) == pytest.approx(0.95, abs=0.03)


def test_a_cost_of_nothing_has_no_exponent(load: Load) -> None:
    with pytest.raises(ValueError, match="math domain error|expected a positive"):
        load("growth").slope((1, 2), (0.0, 1.0))


def test_deliveries_are_those_of_the_baskets(load: Load) -> None:
    growth = load("growth")
    seconds, deliveries = growth._cost(growth._Load(messages=25, clients=3, symbols=10, basket=4))
    assert seconds > 0
    baskets = [growth._basket(growth._Load(25, symbols=10, basket=4), client) for client in range(3)]
    assert deliveries == sum(number % 10 in basket for number in range(25) for basket in baskets)


def test_growth_is_told_with_exponents(load: Load) -> None:
    sweep = {
        "seconds": [0.1, 0.2],
        "deliveries": [1000, 2000],
        "exponent": {"median": 1.0, "lowest": 0.9, "highest": 1.1},
    }
    lines = load("growth").table({"rounds": 3, "factors": [1, 2], "sweeps": {"messages": sweep}}).splitlines()
    assert lines[2].split() == ["messages", "0.100", "0.200", "1.00", "(0.90", "to", "1.10)"]
    assert lines[3].split() == ["100.000", "100.000"]


def test_topics_are_measured_on_real_servers(load: Load) -> None:
    topics = load("topics")
    result = topics.run(topics.TopicsSettings(few=2, many=7, messages=20, symbols=3, rounds=1))
    assert result["ratio"]["median"] == result["many_us"]["median"] / result["few_us"]["median"]
    assert min(result[key]["lowest"] for key in ("few_us", "subscribe_new_ms", "subscribe_known_ms")) > 0
    assert "a message, 7 topics" in topics.table(result)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="what idle reads is Linux's")
def test_connections_are_measured_on_real_servers(load: Load) -> None:
    idle = load("idle")
    result = idle.run(idle.IdleSettings(Path(sys.executable), connections=2, rounds=1))
    assert list(result["contenders"]) == ["ours", "websockets"]
    for one in result["contenders"].values():
        assert min(one[key]["median"] for key in ("one_by_one", "at_once", "one_by_one_us", "at_once_us")) > 0
    assert "connections/s, at once" in idle.table(result)


def test_a_drain_takes_quotes_not_heartbeats_and_answers_those(
    load: Load, wire: tuple[socket.socket, SimpleNamespace]
) -> None:
    server, client = wire
    server.sendall(QUOTE + HEARTBEAT + QUOTE)
    load("driven").drain([client], 2)
    assert len(client.pongs) == 1


def test_a_quote_too_many_or_an_end_is_an_error(load: Load, wire: tuple[socket.socket, SimpleNamespace]) -> None:
    server, client = wire
    server.sendall(QUOTE * 3)
    with pytest.raises(SystemExit, match="3 quotes came, not 2"):
        load("driven").drain([client], 2)
    server.sendall(QUOTE)
    server.close()
    with pytest.raises(SystemExit, match="closed a connection"):
        load("driven").drain([client], 2)


def test_a_refusal_is_told(load: Load) -> None:
    driven = load("driven")
    with (
        driven.open_driven() as server,
        pytest.raises(SystemExit, match="the server refused: .*symbols"),
        driven.open_clients(server.port, [driven.subscription([])]),
    ):
        pass


def frame(name: str, depth: int, begin: int, width: int) -> str:
    """One frame of py-spy's picture."""
    return (
        f'<g><title>{name} ({width} samples, 1.00%)</title><rect x="0.1%" y="{depth * 16}" width="1%" height="15" '
        f'fill="rgb(2,0,7)" fg:x="{begin}" fg:w="{width}"/><text x="0.25%"></text></g>'
    )


def test_the_hottest_are_those_with_most_in_their_own_lines_within_the_loop(load: Load) -> None:
    picture = "".join(
        [
            frame("all", 0, 0, 120),
            frame("import_it (&lt;frozen&gt;:1)", 1, 0, 20),
            frame("run (trio/_core/_run.py:9)", 1, 20, 100),
            frame("outer (a.py:1)", 2, 20, 70),
            frame("inner (a.py:2)", 3, 20, 40),
            frame("inner (a.py:2)", 4, 20, 10),  # it calls itself
            frame("inner (a.py:2)", 2, 90, 25),
        ]
    )
    found = [(one.name, round(one.own, 6), round(one.total, 6)) for one in load("profiling").hottest(picture)]
    assert found == [
        ("inner (a.py:2)", 0.65, 0.65),
        ("outer (a.py:1)", 0.3, 0.7),
        ("run (trio/_core/_run.py:9)", 0.05, 1.0),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--messages", "0"], "'0' is no whole number from 1"), (["fan"], "invalid choice: 'fan'")],
)
def test_profile_refuses_what_it_cannot_use(
    load: Load, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        load("profiling").main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_profile_wants_a_folder_that_is_there(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no folder .*nowhere: make it"):
        load("profiling").main(["--to", str(tmp_path / "nowhere")])


def test_profile_says_where_it_may_not_look(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profiling: Any = load("profiling")
    spy = tmp_path / "py-spy"
    spy.write_text(
        "#!/bin/sh\necho 'py-spy> hello'\necho 'Error: Permission Denied'\necho 'Stack backtrace:'\nexit 1\n"
    )
    spy.chmod(0o755)
    monkeypatch.setattr(profiling, "tool", lambda _name, _requirement: spy)
    with pytest.raises(SystemExit) as ended:
        profiling.main(["client", "--to", str(tmp_path)])
    said = str(ended.value.code)
    assert said.startswith("Error: Permission Denied\npy-spy cannot read")
    assert "ptrace_scope" in said
    assert "backtrace" not in said
