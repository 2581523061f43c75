"""`scripts/setup`: which Python it takes, when it makes, refreshes or leaves `.venv`, and what it says.

Each test works in a small project of its own (with a space in its path) with a small build backend of its own,
so that real environments are made by the real pip with no package index.
"""

import ensurepip
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
BASE_PYTHON = os.path.realpath(sys.executable)  # the one that a virtual environment's links lead to
DEADLINE = 100  # seconds: far above what any step takes, so that a hang fails

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """\
import zipfile

FILES = {
    "small.py": "",
    "small-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: small\\nVersion: 1.0\\nProvides-Extra: dev\\n",
    "small-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "small-1.0.dist-info/RECORD": "",
}

def build_editable(directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(directory + "/small-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
    return "small-1.0-py3-none-any.whl"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with these scripts and nothing else, not set up yet."""
    return make_project(tmp_path / "a project")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with the ordinary programs that the script calls, and no Python."""
    return make_tools(tmp_path / "tools")


def make_project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    shutil.copytree(SCRIPTS, folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def make_tools(folder: Path) -> Path:
    folder.mkdir()
    for name in ("sh", "dirname"):
        (folder / name).symlink_to(shutil.which(name) or pytest.fail(f"this machine has no {name}"))
    return folder


def add_program(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)
    return folder


def python_that(change: str) -> str:
    """The body of a Python that finds itself changed in this way when it is asked whether it will do."""
    return f"""[ "$2" = -c ] || {{ echo "taken: $0"; exit; }}\nexec '{BASE_PYTHON}' -I -c "import sys\n{change}\n$3" """


def setup_command(project: Path) -> list[str]:
    return [str(project / "scripts" / "setup")]


def environment(*path: Path, **extra: str) -> dict[str, str]:
    """This PATH, pip without any package index, and what a person's shell may carry that must not matter."""
    confusing = {"VIRTUAL_ENV": "/nowhere", "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PIP_USER": "1"}
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    return {**os.environ, **confusing, **offline, "PATH": os.pathsep.join(map(str, path)), "CDPATH": "/", **extra}


def run_setup(project: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run it from another folder, with no input, as CI does."""
    return subprocess.run(
        setup_command(project),
        cwd=project.parent,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def test_without_a_python_it_says_what_to_do(project: Path, tools: Path) -> None:
    done = run_setup(project, environment(tools))
    assert (done.returncode, done.stdout) == (1, "")
    first, *_, last = done.stderr.splitlines()
    assert first == "No Python 3.11 to 3.14 was found on the PATH."
    assert last.startswith("Install one (https://www.python.org/downloads/")


def test_says_of_each_python_why_it_will_not_do(project: Path, tools: Path) -> None:
    add_program(tools, "python3.12", "echo 'python3.12: command not found' >&2; exit 127")
    add_program(tools, "python3.11", python_that("sys.modules['ssl'] = None"))
    add_program(tools, "python3", python_that("sys.version_info = (3, 10, 4)"))
    add_program(tools, "python", python_that("sys.version_info = (3, 15, 0)"))
    done = run_setup(project, environment(tools))
    assert done.returncode == 1
    version = ".".join(map(str, sys.version_info[:3]))
    assert done.stderr.splitlines()[1:-1] == [
        f"  {tools}/python3.12 does not run as Python 3",
        f"  {tools}/python3.11 is {version}, but: import of ssl halted; None in sys.modules",
        f"  {tools}/python3 is 3.10.4",
        f"  {tools}/python is 3.15.0",
    ]


def test_takes_the_newest_that_works(project: Path, tools: Path, tmp_path: Path) -> None:
    shims = add_program(tmp_path / "some shims", "python3.14", "exit 127")
    add_program(shims, "python3.11", python_that("sys.version_info = (3, 11, 0)"))
    behind = add_program(tmp_path / "behind", "python3.14", python_that("sys.version_info = (3, 14, 0)"))
    done = run_setup(project, environment(shims, tools, behind))
    assert (done.returncode, done.stdout) == (0, f"taken: {behind}/python3.14\n")


class Made(NamedTuple):
    """A project that was set up twice at once, over a half-made environment: what was said, and a copy elsewhere."""

    project: Path
    tools: Path
    codes: list[int]
    said: list[str]
    moved: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Once for the tests that need one: half of what such a test takes is pip's way into the environment."""
    folder = tmp_path_factory.mktemp("made")
    project, tools = make_project(folder / "a project"), make_tools(folder / "tools")
    subprocess.run([BASE_PYTHON, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    (project / ".venv/left over").touch()
    command, env = setup_command(project), environment(tools)
    both = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=DEADLINE)[1] for process in both]
    moved = shutil.copytree(project, folder / "moved", symlinks=True)
    return Made(project, tools, [process.returncode for process in both], said, moved)


def test_an_environment_that_is_being_remade_is_not_built_on_itself(made: Made) -> None:
    shutil.copytree(made.moved, half := made.moved.parent / "half", symlinks=True)
    (half / ".venv/pyvenv.cfg").unlink()
    code = f"import sys; sys.path.insert(0, {str(half / 'scripts')!r}); import _setup; print(_setup.BASE_PYTHON)"
    done = subprocess.run([half / ".venv/bin/python", "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{BASE_PYTHON}\n"


def test_leaves_refreshes_and_fails(made: Made) -> None:
    project, tools = made.project, made.tools
    (tools / "python3").symlink_to(BASE_PYTHON)
    env = environment(tools)
    subprocess.run([project / ".venv/bin/python", "-I", "-c", "import small"], check=True)

    left = run_setup(project, env)
    assert (left.returncode, left.stdout, left.stderr) == (0, "", "")

    (project / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    refreshed = run_setup(project, env)
    assert (refreshed.returncode, refreshed.stderr) == (0, "Refreshing .venv: pyproject.toml has changed.\n")

    mark = project / ".venv/ready"
    before = mark.read_text()
    (project / "pyproject.toml").write_text(PYPROJECT.replace('"backend"', '"no_such_backend"'))
    broken = run_setup(project, env)
    assert broken.returncode == 1
    assert "no_such_backend" in broken.stderr
    assert broken.stderr.splitlines()[-1].startswith("Installing the packages failed. That is the last")
    assert not mark.exists(), "the next run would take this one for ready"

    mark.write_text(before)
    with socket.create_server(("localhost", 0)) as listener:
        nobody = f"http://localhost:{listener.getsockname()[1]}/simple"
    (project / "pyproject.toml").write_text(PYPROJECT.replace("[]", '["hatchling"]'))
    cut_off = run_setup(project, env | {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": nobody, "PIP_RETRIES": "0"})
    assert cut_off.returncode == 1
    assert "The package index did not answer; trying once more." in cut_off.stderr
    assert cut_off.stderr.splitlines()[-1].startswith("Installing the packages failed. The package index did not give")

    mark.write_text(before)
    (project / ".venv/bin/python").unlink()
    assert_starts_to_remake(project, env)


def assert_starts_to_remake(project: Path, env: dict[str, str]) -> None:
    """Run it until it says that it makes a new environment, and interrupt it there: the rest is tested elsewhere."""
    with subprocess.Popen(setup_command(project), env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Making .venv")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=DEADLINE) == 130
    assert not (project / ".venv/ready").exists()


def test_two_at_once_on_a_half_made_environment(made: Made) -> None:
    assert made.codes == [0, 0], made.said
    assert "".join(made.said).count("Making .venv") == 1
    assert not (made.moved / ".venv/left over").exists()
    assert (made.moved / ".venv/ready").is_file()
    assert_starts_to_remake(made.moved, environment(made.tools))  # its programs name the old folder


def python_without_ensurepip(folder: Path) -> Path:
    """A real Python, copied and linked together without ensurepip and pip, as Debian's is without python3-venv."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = folder / "lib" / version
    library.mkdir(parents=True)
    (folder / "bin").mkdir()
    program = folder / "bin" / "python3"
    shutil.copy(BASE_PYTHON, program)
    for entry in Path(sysconfig.get_path("stdlib")).iterdir():
        if entry.name not in {"ensurepip", "site-packages", "dist-packages"}:
            (library / entry.name).symlink_to(entry)
    modules = [
        str(program),
        "-I",
        "-c",
        "import importlib.util as u; print(u.find_spec('ensurepip'), u.find_spec('pip'))",
    ]
    found = subprocess.run(modules, capture_output=True, text=True, check=False)
    if found.stdout != "None None\n":
        pytest.skip(f"this Python cannot be taken apart by copying: {found.stdout}{found.stderr}")
    return program


def make_index(folder: Path, links: str) -> str:
    """A simple index as files: the address of the folder above its page on pip."""
    (folder / "pip").mkdir(parents=True)
    (folder / "pip/index.html").write_text(f"<!DOCTYPE html><body>{links}</body>")
    return folder.as_uri()


def test_manages_without_ensurepip_and_pip(project: Path, tools: Path, tmp_path: Path) -> None:
    bundled = [*Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")]
    if not bundled:
        pytest.skip("this Python has no pip wheel of its own to put into an index")
    (tools / "python3").symlink_to(python_without_ensurepip(tmp_path / "a base"))
    digest = hashlib.sha256(bundled[0].read_bytes()).hexdigest()
    index = make_index(tmp_path / "an index", f'<a href="{bundled[0].as_uri()}#sha256={digest}">pip</a>')
    done = run_setup(project, environment(tools, PIP_NO_INDEX="0", PIP_INDEX_URL=index))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("Making .venv with Python 3.")
    assert len(done.stderr.splitlines()) == 1
    subprocess.run([project / ".venv/bin/python", "-I", "-c", "import small, pip"], check=True)
    assert run_setup(project, environment(tools)).stderr == ""


def test_a_pip_with_another_hash_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "pip-1.0-py3-none-any.whl").write_bytes(b"not what it was")
    names = {
        "pip-99.0-py3-none-any.whl": 'data-yanked=""',
        "pip-98.0-py3-none-any.whl": 'data-requires-python="&gt;=3.99"',
        "pip-97.0.tar.gz": "",
        "pip-1.0-py3-none-any.whl": 'data-requires-python="&gt;=3.9"',
    }
    links = "".join(f'<a href="../../{name}#sha256=00" {field}>{name}</a>' for name, field in names.items())
    index = make_index(tmp_path / "index", links)
    env = environment(PIP_NO_INDEX="0", PIP_INDEX_URL=index)
    done = subprocess.run(
        [sys.executable, "-I", SCRIPTS / "_get_pip.py"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip-1.0-py3-none-any.whl is not the file that the index names: expected sha256=00, got" in done.stderr
