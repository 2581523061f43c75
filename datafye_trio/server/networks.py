"""Lists of networks: entries of settings, some of which name a file with more of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from datafye_trio.errors import ConfigurationError
from datafye_trio.server.config import LIST_FILE, Address, parse_network

__all__ = ["Networks", "files_of", "parsed", "spelled_out"]

_T = TypeVar("_T")
_LARGEST: Final = 16 * 2**20
"""Bytes of a file: some million networks. Nobody is to wait for a device that never ends."""


class Networks:
    """A set of networks, which answers as fast for thousands of them as for one.

    It keeps the prefixes of each length as numbers: a look-up is one of a set for each length that occurs. Going
    through 10,000 networks one by one would take some 2 ms for each connection that comes.

    Args:
        entries: CIDR texts, or `@FILE`, which stands for what is in the file.

    Raises:
        ConfigurationError: an entry is no network, or a file cannot be read.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._prefixes: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for network in parsed(entries, parse_network):
            shift = network.max_prefixlen - network.prefixlen
            self._prefixes[network.version].setdefault(shift, set()).add(int(network.network_address) >> shift)

    def __len__(self) -> int:
        return sum(len(found) for lengths in self._prefixes.values() for found in lengths.values())

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        return any(number >> shift in found for shift, found in self._prefixes[address.version].items())


def parsed(entries: Sequence[str], parse: Callable[[str], _T]) -> Iterator[_T]:
    """What each entry is, those of files among them.

    Raises:
        ConfigurationError: one is wrong, and where it stands; or as for `spelled_out`.
    """
    for where, text in spelled_out(entries):
        try:
            one = parse(text)
        except ConfigurationError as error:
            raise ConfigurationError(where + str(error)) from None
        yield one


def spelled_out(entries: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each entry after the place of its file, which is empty for one that stands in the settings themselves.

    A file has one entry a line; what follows a `#` is a comment.

    Raises:
        ConfigurationError: a file cannot be read, or names another file.
    """
    for entry in entries:
        if not entry.startswith(LIST_FILE):
            yield "", entry
            continue
        (path,) = files_of([entry])
        for number, line in enumerate(_read(path).splitlines(), 1):
            if text := line.partition("#")[0].strip():
                where = f"{path} line {number}: "
                if text.startswith(LIST_FILE):
                    raise ConfigurationError(f"{where}a list names no further files")
                yield where, text


def files_of(entries: Sequence[str]) -> list[str]:
    """The files that entries name."""
    return [entry.removeprefix(LIST_FILE) for entry in entries if entry.startswith(LIST_FILE)]


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
        text = content.decode()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is no UTF-8 text"
        raise ConfigurationError(f"cannot read the list {path}: {why}") from None
    if len(content) > _LARGEST:
        raise ConfigurationError(f"the list {path} has more than {_LARGEST} bytes")
    return text
