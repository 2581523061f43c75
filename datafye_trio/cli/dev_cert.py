"""`datafye-trio dev-cert`: a certificate for wss:// on this machine, and what clients need to trust it."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import App, Parameter

from datafye_trio.cli.text import one_line, say
from datafye_trio.errors import ConfigurationError

__all__ = ["DevCertFlags", "app", "dev_cert"]

_ALWAYS: Final = ("localhost", "127.0.0.1", "::1")
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.ASCII | re.IGNORECASE)
_LONGEST: Final = 825
"""Days: Apple's clients refuse longer ones, whoever has signed them."""

_EXAMPLES: Final = """\
Examples:
  datafye-trio dev-cert
      certs/ca.pem, cert.pem and key.pem for localhost, 127.0.0.1 and ::1
  datafye-trio dev-cert certs market.test 192.168.1.20
  datafye-trio dev-cert certs --force
      anew; a server that runs takes it at SIGHUP
  datafye-trio serve --cert certs/cert.pem --key certs/key.pem
  datafye-trio watch wss://localhost:8080/datafye-ws/v1 --ca certs/ca.pem

For development: clients must be told to trust ca.pem. Its own key is not kept,
so that it vouches for this certificate and for nothing else.
"""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class DevCertFlags:
    """The flags of `dev-cert`."""

    days: Annotated[int, Parameter(help="Days that it is valid.")] = 397
    force: Annotated[bool, Parameter(help="Write over files that are there.", negative="", show_default=False)] = False


app = App(name="dev-cert", help_epilogue=_EXAMPLES)


@app.default
def _dev_cert(
    folder: Annotated[Path, Parameter(name="FOLDER", help="Where to; made if it is not there.")] = Path("certs"),
    /,
    *names: Annotated[str, Parameter(name="NAMES...", help="Names and addresses besides those of this machine.")],
    flags: DevCertFlags = DevCertFlags(),
) -> int:
    return dev_cert(folder, names, flags)


def dev_cert(
    folder: Path, names: Sequence[str], flags: DevCertFlags, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> int:
    """Make a certificate, its key and its authority, and say how to use them; returns the exit code.

    Args:
        folder: where to; made if it is not there.
        names: host names and addresses besides localhost, 127.0.0.1 and ::1.
        flags: the flags.
        now: when it begins to be valid.

    Raises:
        ConfigurationError: a name can be none, files are there already or cannot be written, an extra is missing.
    """
    every = list(dict.fromkeys([*_ALWAYS, *map(_checked, names)]))
    if not 1 <= flags.days <= _LONGEST:
        raise ConfigurationError(f"--days is 1 to {_LONGEST}, which is the most that all clients take")
    authority, certificate, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    there = [str(path) for path in (authority, certificate, key) if os.path.lexists(path)]
    if there and not flags.force:
        raise ConfigurationError(f"{', '.join(there)}: there already; --force writes over what is there")
    begins = now()
    try:
        from datafye_trio.cli.certificates import issue
    except ImportError as error:
        raise ConfigurationError(f"dev-cert needs cryptography ({error}): pip install 'datafye-trio[certs]'") from None
    issued = issue(every, begins, flags.days)
    _write(
        folder,
        ((authority, issued.authority, 0o644), (key, issued.key, 0o600), (certificate, issued.certificate, 0o644)),
    )
    paths = [shlex.quote(str(path)) for path in (authority, certificate, key)]
    width = max(map(len, paths))
    until = (begins + timedelta(days=flags.days)).date().isoformat()
    for path, text in zip(
        paths,
        (
            "the authority that clients are to trust",
            f"{', '.join(every)}; until {until}",
            "its key, for you alone to read",
        ),
        strict=True,
    ):
        say(f"{path:{width}}  {text}", sys.stdout)
    say("", sys.stdout)
    say(f"datafye-trio serve --cert {paths[1]} --key {paths[2]}", sys.stdout)
    say(f"datafye-trio watch wss://localhost:8080/datafye-ws/v1 --ca {paths[0]}", sys.stdout)
    return 0


def _checked(name: str) -> str:
    """The name or address, as certificates have it."""
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{one_line(repr(name), 80)} is neither an address nor a host name in ASCII, such as market.test"
        )
    return name.lower()


def _write(folder: Path, files: Iterable[tuple[Path, bytes, int]]) -> None:
    """Write files with their modes, each in one step: a server that reloads at this moment finds no half of one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content, mode in files:
            descriptor, part = tempfile.mkstemp(prefix=".dev-cert-", dir=folder)  # for its owner alone
            try:
                with open(descriptor, "wb") as file:
                    file.write(content)
                    os.fchmod(file.fileno(), mode)
                os.replace(part, path)
            except BaseException:
                os.unlink(part)
                raise
    except OSError as error:
        raise ConfigurationError(f"cannot write to {error.filename or folder}: {error.strerror or error}") from None
