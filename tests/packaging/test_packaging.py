"""The distribution: what is in the wheel and the sdist, and that the wheel works in a clean environment."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

from wheels import NAME, ROOT, WHEEL

from datafye_trio.version import __version__


def test_wheel_holds_the_package_and_nothing_else(distributions: Path) -> None:
    with zipfile.ZipFile(distributions / WHEEL) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode()
    assert {name.partition("/")[0] for name in names} == {"datafye_trio", f"{NAME}.dist-info"}
    assert {"datafye_trio/py.typed", f"{NAME}.dist-info/licenses/LICENSE"} <= names
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "datafye_trio").rglob("*")
        if path.suffix in {".py", ".pyi"}
    }
    assert {name for name in names if name.endswith((".py", ".pyi"))} == modules  # the .pyi are read at run time, too
    assert {"datafye_trio/__init__.pyi", "datafye_trio/testing/__init__.pyi"} <= modules
    assert f"\nVersion: {__version__}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata


def test_sdist_holds_what_builds_and_tests_it(distributions: Path) -> None:
    with tarfile.open(distributions / f"{NAME}.tar.gz") as sdist:
        names = {name.removeprefix(f"{NAME}/") for name in sdist.getnames()}
    here = Path(__file__).relative_to(ROOT).as_posix()
    assert {"pyproject.toml", "README.md", "LICENSE", "datafye_trio/py.typed", "scripts/test", here} <= names
    assert not {name for name in names if name.startswith(("/", "..", ".venv"))}


def test_wheel_works_in_a_clean_environment(installed: Path, tmp_path: Path) -> None:
    commands = installed.parent

    def output_of(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    where = "import datafye_trio; print(datafye_trio.__version__, datafye_trio.__file__)"
    version, _, module = output_of(installed, "-I", "-c", where).partition(" ")
    assert version == __version__
    assert Path(module).is_relative_to(commands.parent)
    assert __version__ in output_of(commands / "datafye-trio", "--version").split()
    assert __version__ in output_of(installed, "-m", "datafye_trio", "--version").split()
    # Without the extra, what needs Parquet says what to install; the rest works.
    ticks = tmp_path / "t.csv"
    ticks.write_text("symbol,ts_ns,price,size\nAAPL,1,1.5,100\n")
    command = [commands / "datafye-trio", "import", "t.csv", "recording", "--dataset", "SIP"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'datafye-trio[files]'" in done.stderr
    printed = output_of(commands / "datafye-trio", "serve", "--replay", "t.csv", "--dataset", "SIP", "--print-config")
    assert 'name = "SIP"' in printed
