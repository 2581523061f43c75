"""Install pip into the environment of the Python that runs this, from the package index, with nothing but the stdlib.

The last resort of `scripts/_setup.py`, for a Python that has neither ensurepip nor pip. It heeds pip's settings for
where packages come from: index-url, extra-index-url, find-links, no-index and cert, as PIP_* variables or in pip's
configuration files; proxies as `urllib` does. Not heeded: names and passwords in an index's address.
"""

import configparser
import hashlib
import os
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.request import urlopen

TIMEOUT = 30.0  # seconds without a byte
MAX_BYTES = 50_000_000  # a pip wheel is about 2 MB; nothing endless is read
WHEEL = re.compile(r"/pip-(\d+(?:\.\d+)*)-(?:py2\.)?py3-none-any\.whl$")


class Wheel(NamedTuple):
    """A released pip wheel: its version, for choosing the newest, and its address with the hash as fragment."""

    version: tuple[int, ...]
    url: str


def setting(name: str) -> str:
    """Return one of pip's settings: from the environment, else from its configuration files, else ''."""
    home = Path.home()
    chosen = os.environ.get("PIP_CONFIG_FILE", "")
    config = configparser.RawConfigParser()
    if chosen != os.devnull:  # which is how pip is told to read no file at all
        config.read([Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf", Path(chosen)])
    found = ""
    for section in ("global", "install"):
        found = config.get(section, name, fallback=config.get(section, name.replace("-", "_"), fallback=found))
    return os.environ.get("PIP_" + name.replace("-", "_").upper()) or found


def fetch(url: str) -> bytes:
    """Read an address, trusting pip's `cert` where one is set."""
    context = ssl.create_default_context(cafile=setting("cert") or None)
    with urlopen(url, timeout=TIMEOUT, context=context) as response:
        return bytes(response.read(MAX_BYTES))


class Links(HTMLParser):
    """Collects the pip wheels that a page of a simple index links to and this Python can run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.wheels: list[Wheel] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a link to a wheel unless it is withdrawn or wants a newer Python."""
        fields = dict(attrs)
        url = urljoin(self.page, fields.get("href") or "")
        match = WHEEL.search(urlsplit(url).path)
        wanted = re.findall(r">=\s*3\.(\d+)", fields.get("data-requires-python") or "")
        if tag == "a" and match and "data-yanked" not in fields and all(sys.version_info[1] >= int(n) for n in wanted):
            self.wheels.append(Wheel(tuple(map(int, match[1].split("."))), url))


def wheels_in(place: str) -> list[Wheel]:
    """List the pip wheels at a place: a page of links, or a folder of files."""
    folder = Path(urlsplit(place).path if place.startswith("file:") else place)
    if folder.is_dir() and not (folder / "index.html").is_file():
        paths = [path.resolve() for path in folder.glob("pip-*.whl")]
        return [Wheel(tuple(map(int, m[1].split("."))), p.as_uri()) for p in paths if (m := WHEEL.search(p.as_posix()))]
    page = (folder / "index.html").resolve().as_uri() if folder.is_dir() else place
    links = Links(page)
    links.feed(fetch(page).decode("utf-8", "replace"))
    return links.wheels


def places() -> Iterator[str]:
    """Yield where pip itself would look for pip."""
    if setting("no-index").lower() not in {"1", "true", "yes", "on"}:
        indexes = (setting("index-url") or "https://pypi.org/simple") + " " + setting("extra-index-url")
        yield from (f"{index.rstrip('/')}/pip/" for index in indexes.split())
    yield from setting("find-links").split()


def newest_wheel() -> Wheel:
    """Return the newest wheel of all places; exit with what each place answered if there is none."""
    wheels: list[Wheel] = []
    answers: list[str] = []
    for place in places():
        try:
            found = wheels_in(place)
        except (URLError, OSError, ValueError) as error:
            answers.append(f"{place}: {error}")
        else:
            wheels += found
            answers.append(f"{place}: {len(found)} usable pip wheels")
    if not wheels:
        sys.exit("\n".join(["No pip was found:", *answers]))
    return max(wheels)


def main() -> int:
    """Download pip, check it against the hash that the index gave, and let it install itself."""
    url, fragment = urldefrag(newest_wheel().url)
    content = fetch(url)
    digest = hashlib.sha256(content).hexdigest()
    # A file on this machine needs no hash; from a network, a wheel without one is not run.
    if fragment != f"sha256={digest}" and (fragment or not url.startswith("file:")):
        sys.exit(f"{url} is not the file that the index names: expected {fragment or 'a sha256'}, got sha256={digest}")
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / urlsplit(url).path.rpartition("/")[2]
        wheel.write_bytes(content)
        command = [sys.executable, "-I", f"{wheel}/pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
