"""Which function a command line means, and what its texts become."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from datafye_trio.cli.run_loading import configured, load_strategy
from datafye_trio.errors import ConfigurationError

if TYPE_CHECKING:
    from nowhere import Known  # type: ignore[import-not-found]

PROGRAM = """
from __future__ import annotations
from dataclasses import dataclass
import neighbour

@dataclass
class Held:
    number: int = neighbour.NUMBER

async def strategy(feed): return Held()
async def another(feed): ...
def plain(feed): ...
async def numbers(feed): yield 1
class Called:
    async def __call__(self, feed): return "called"
called = Called()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a strategy in it; what is imported from it is forgotten afterwards."""
    (tmp_path / "neighbour.py").write_text("NUMBER = 7")
    (tmp_path / "statistics_of_mine.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


async def run(name: str) -> Any:
    return await load_strategy(name)(None)


@pytest.mark.parametrize("place", ["statistics_of_mine", "statistics_of_mine.py", "./statistics_of_mine.py"])
async def test_a_module_and_a_file_find_what_stands_beside_them(folder: Path, place: str) -> None:
    assert (await run(f"{place}:strategy")).number == 7
    assert await run(f"{place}:called") == "called"


async def test_a_file_elsewhere_and_a_module_in_a_package(folder: Path) -> None:
    (folder / "desk").mkdir()
    (folder / "desk" / "pairs.py").write_text("import beside\nasync def strategy(feed): return beside.NAME")
    (folder / "desk" / "beside.py").write_text("NAME = __name__")
    assert await run(f"{folder}/desk/pairs.py:strategy") == "beside"
    (folder / "desk" / "pairs.py").write_text("async def strategy(feed): return __name__")
    assert await run("desk.pairs:strategy") == "desk.pairs"


async def test_a_file_named_like_a_module_of_python_is_not_taken_for_it(folder: Path) -> None:
    (folder / "statistics.py").write_text("async def strategy(feed): return 1")
    import statistics

    assert await run("statistics.py:strategy") == 1
    assert sys.modules["statistics"] is statistics


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("strategy", "'strategy': name a strategy as module:function, or file.py:function"),
        ("statistics_of_mine:", "'statistics_of_mine:': name a strategy as module:function, or file.py:function"),
        ("absent:strategy", "there is no module absent, in the current folder or installed"),
        ("absent.inner:strategy", "there is no module absent.inner, in the current folder or installed"),
        ("neighbour.inner:strategy", "there is no module neighbour.inner, in the current folder or installed"),
        ("absent.py:strategy", "there is no file absent.py"),
        (".relative:strategy", "'.relative' is no name of a module"),
        ("statistics_of_mine:nothing", "statistics_of_mine has no function nothing: it has strategy, another"),
        ("neighbour:strategy", "neighbour has no function strategy: and no async function at all"),
        ("statistics_of_mine:plain",
         "statistics_of_mine:plain is no async function: a strategy is `async def plain(feed): ...`"),
        ("statistics_of_mine:numbers",
         "statistics_of_mine:numbers is no async function: a strategy is `async def numbers(feed): ...`"),
        ("statistics_of_mine:Called",
         "statistics_of_mine:Called is no async function: a strategy is `async def Called(feed): ...`"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(folder: Path, name: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        load_strategy(name)
    assert str(wrong.value) == why


def test_a_file_without_its_ending_is_hinted_at(folder: Path) -> None:
    (folder / "desk").mkdir()
    (folder / "desk" / "pairs.py").write_text("")
    with pytest.raises(ConfigurationError, match=r"a file is named with its ending: desk/pairs\.py"):
        load_strategy("desk/pairs:strategy")


def test_what_a_module_raises_is_its_own(folder: Path) -> None:
    (folder / "broken.py").write_text("import absent_library")
    with pytest.raises(ModuleNotFoundError, match="absent_library"):
        load_strategy("broken:strategy")


class Side(Enum):
    LONG = "long"
    SHORT = "short"


async def typed(
    feed: Known,
    count: int,
    /,
    *,
    share: float = 0.5,
) -> None: ...


async def example(
    feed: Known,
    count: int,
    share: float = 0.5,
    fast: bool = False,
    name: str = "x",
    symbols: list[str] | None = None,
    levels: tuple[float, ...] = (),
    pair: tuple[str, str] = ("A", "B"),
    several: Sequence[int] = (),
    kind: Literal["a", "b"] = "a",
    side: Side = Side.LONG,
    folder: Path = Path(),
    optional: int | None = 3,
    *,
    guessed=1.5,  # type: ignore[no-untyped-def]
    anything=None,
) -> None: ...


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("count=-3", -3),
        ("share=2", 2.0),
        ("share=1e-3", 0.001),
        ("fast=true", True),
        ("fast=Yes", True),
        ("fast=0", False),
        ("name=a=b, c", "a=b, c"),
        ("name=", ""),
        ("symbols=AAPL, MSFT", ["AAPL", "MSFT"]),
        ("symbols=", []),
        ("levels=1,2.5", (1.0, 2.5)),
        ("pair=MSFT,NVDA", ("MSFT", "NVDA")),
        ("several=1,2", [1, 2]),
        ("kind=b", "b"),
        ("side=short", Side.SHORT),
        ("folder=a/b", Path("a/b")),
        ("optional=5", 5),
        ("optional=null", None),
        ("guessed=3", 3.0),
        ("anything=3", "3"),
    ],
)
def test_a_text_becomes_what_the_annotation_says(text: str, value: object) -> None:
    name = text.partition("=")[0]
    given = [text] if name == "count" else ["count=1", text]
    made = configured(example, "it", given)
    assert isinstance(made, partial)
    found = made.keywords[name]
    assert (found, type(found)) == (value, type(value))


TOLD = (
    "it takes count: int, share: float = 0.5, fast: bool = False, name: str = 'x', symbols: list[str] | None = None, "
    "levels: tuple[float, ...] = (), pair: tuple[str, str] = ('A', 'B'), several: "
)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ((), f"it needs --set count=...; {TOLD}"),
        (("count=1", "cuont=1"), f"--set cuont=1: it takes no 'cuont'; {TOLD}"),
        (("count=1", "feed=1"), f"--set feed=1: it takes no 'feed'; {TOLD}"),
        (("count=1", "=1"), "--set =1: write name=value"),
        (("count",), "--set count: write name=value"),
        (("count=1", "count=2"), "--set count=2: count is given twice; a list is separated by commas"),
        (("count=1.5",), "--set count=1.5: int is wanted: "),
        (("count=1", "fast=maybe"), "--set fast=maybe: bool is wanted: "),
        (("count=1", "pair=A"), "--set pair=A: tuple[str, str] is wanted: "),
        (("count=1", "levels=1,x"), "--set levels=1,x: tuple[float, ...] is wanted: "),
        (("count=1", "kind=c"), "--set kind=c: Literal['a', 'b'] is wanted: "),
        (("count=1", "side=up"), "--set side=up: Side is wanted: "),
    ],
)
def test_a_setting_that_cannot_be_is_told_with_those_that_can(settings: tuple[str, ...], why: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        configured(example, "it", settings)
    assert str(wrong.value).startswith(why)
    assert "\n" not in str(wrong.value)


def test_functions_that_take_no_feed_or_no_names_are_refused() -> None:
    async def nothing() -> None: ...

    async def named(*, feed: object) -> None: ...

    async def unreadable(feed: object, one: Known = None) -> None: ...

    for strategy, why in [
        (nothing, "it takes no feed"),
        (named, "it takes no feed"),
        (typed, "it takes count by its place only"),
        (unreadable, "the annotation of one cannot be read"),
    ]:
        with pytest.raises(ConfigurationError, match=why):
            configured(strategy, "it", ())


async def test_partial_functions_and_those_without_settings() -> None:
    async def plain(feed: int) -> int:
        return feed

    assert await configured(plain, "it", ())(3) == 3  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="it takes no settings"):
        configured(plain, "it", ["a=1"])
    made = configured(partial(example, name="y"), "it", ["count=2", "several=4"])
    assert isinstance(made, partial)
    assert made.keywords == {"name": "y", "count": 2, "several": [4]}
