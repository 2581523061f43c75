"""Make or refresh the project's `.venv`. Called by `scripts/setup`, which finds the Python that runs this.

The file `.venv/ready` is written last and says what the environment was made from, so one that was cut off
half-way is made anew. A changed pyproject.toml is installed into the environment that is there; another Python or
another project folder needs a new one, because both are written into its files.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
READY = VENV / "ready"

# Whatever Python runs this (perhaps the one in .venv), the new environment is built on the one below it. The one in
# .venv takes itself for that while another setup makes .venv anew: the file that says so is not there at that moment.
BASE_PYTHON: str = getattr(sys, "_base_executable", sys.executable)
if Path(BASE_PYTHON).is_relative_to(VENV):
    BASE_PYTHON = os.path.realpath(BASE_PYTHON)

PIP_SETTINGS = {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")  # settings that would install outside .venv

# From what pip prints: each of its own retries says "after connection broken by", and where it has heard of no
# version at all the index did not answer (with no retries it says no more than that). The rest end a download.
NETWORK_WORDS = (
    "connection broken",
    "(from versions: none)",
    "Connection reset",
    "IncompleteRead",
    "Network is unreachable",
    "Read timed out",
    "Temporary failure in name resolution",
    "HTTP error 5",
    "urlopen error",
)


class SetupError(Exception):
    """A step failed; the text says which, why, and what to do."""


def say(text: str) -> None:
    """Tell the person, on stderr: stdout belongs to the program that is set up."""
    print(text, file=sys.stderr, flush=True)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a step with its output kept, to be shown only if it fails."""
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE} | PIP_SETTINGS
    return subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def is_network_failure(output: str) -> bool:
    """Tell whether pip's words are about the way to the index, and not about what it found there."""
    return any(word in output for word in NETWORK_WORDS)


def failure(step: str, output: str) -> SetupError:
    """Make the error that shows the end of a step's output and one line on what it means."""
    tail = "\n".join(output.strip().splitlines()[-15:])
    if is_network_failure(output):
        reason = "The package index did not give what is needed: check the network, or pip's proxy and index settings."
    else:
        reason = "That is the last that it said. The next run starts afresh."
    return SetupError(f"{tail}\n{step} failed. {reason}")


@contextmanager
def only_one() -> Iterator[None]:
    """Hold off a second setup in this folder.

    The lock is on the folder itself: it leaves no file behind, and the system drops it with the process.
    """
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another setup in this folder.")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def python_in_venv() -> str | None:
    """Return what the Python in `.venv` says it is (such as `cpython-311`), None if it does not run."""
    try:
        answer = run(PYTHON, "-I", "-c", "import sys; print(sys.implementation.cache_tag)")
    except OSError:
        return None
    # The last word: what the system warns of before it (an LD_PRELOAD that is not there) is no reason to make all anew.
    return answer.stdout.split()[-1] if answer.returncode == 0 else None


def make_venv() -> None:
    """Make an empty environment with pip in it, in place of whatever is there."""
    # Never with venv's own pip step: Debian's Python has no ensurepip, and venv then fails half-way.
    made = run(BASE_PYTHON, "-I", "-m", "venv", "--clear", "--without-pip", VENV)
    if made.returncode != 0:
        raise failure("Making .venv", made.stdout)
    ways: tuple[Sequence[str | Path], ...] = (
        (PYTHON, "-I", "-m", "ensurepip", "--default-pip"),
        (BASE_PYTHON, "-P", "-m", "pip", "--python", PYTHON, "install", "pip"),
        (PYTHON, "-I", ROOT / "scripts" / "_get_pip.py"),
    )
    for way in ways:
        got = run(*way)
        if got.returncode == 0:
            return
    raise failure("Getting pip", got.stdout)


def install_project() -> None:
    """Install the project, editable, with its development tools; once more if the network failed."""
    for last_try in (False, True):
        done = run(PYTHON, "-I", "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[dev]")
        if done.returncode == 0:
            return
        if last_try or not is_network_failure(done.stdout):
            raise failure("Installing the packages", done.stdout)
        say("The package index did not answer; trying once more.")


def set_up() -> None:
    """Bring `.venv` in line with pyproject.toml and say what is done; nothing where it already is."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    ready = READY.read_text(errors="replace").splitlines() if READY.is_file() else []
    python = python_in_venv()
    if ready == [str(ROOT), python, digest]:
        return
    READY.unlink(missing_ok=True)
    if python is not None and ready[:2] == [str(ROOT), python]:
        say("Refreshing .venv: pyproject.toml has changed.")
    else:
        version = ".".join(map(str, sys.version_info[:3]))
        say(f"Making .venv with Python {version} and installing the packages (the first time takes a minute or so).")
        make_venv()
    install_project()
    READY.write_text(f"{ROOT}\n{python_in_venv()}\n{digest}\n")


def main() -> int:
    """Set up; return the exit code."""
    try:
        with only_one():
            set_up()
    except (SetupError, OSError) as error:
        say(str(error))
        return 1
    return 0
