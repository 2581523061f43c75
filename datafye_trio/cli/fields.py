"""The fields of a descriptor: values of a YAML tree with their paths, and the complaints that name line and field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from datafye_trio.cli.text import one_line
from datafye_trio.cli.yaml_tree import Node
from datafye_trio.errors import ConfigurationError

__all__ = ["Field", "did_you_mean"]

_TRUTH: Final = {"true": True, "false": False}


@attrs.frozen(eq=False)
class Field:
    """A value, its path (`datasets[0].live.ticks`; empty for the document), and where complaints go.

    Every method but `warn` raises ConfigurationError where the value is of another kind than it reads.
    """

    node: Node
    path: str
    file: str
    warnings: list[str]

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.node.line

    def error(self, complaint: str) -> ConfigurationError:
        """The error to raise for this field."""
        return ConfigurationError(self._about(complaint))

    def warn(self, complaint: str, *, once: bool = False) -> None:
        """Note what cannot be done for this field; with `once`, only where nothing was said in the same words."""
        if not (once and any(line.endswith(f": {complaint}") for line in self.warnings)):
            self.warnings.append(self._about(complaint))

    def text(self) -> str:
        """The text, which is not empty."""
        value = self.node.value
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"must be a text, not {self._kind()}")
        return value.strip()

    def truth(self) -> bool:
        """True or false."""
        value = self.node.value
        if not isinstance(value, str) or value.lower() not in _TRUTH:
            raise self.error("must be true or false")
        return _TRUTH[value.lower()]

    def fields(self, known: Sequence[str]) -> dict[str, Field]:
        """The known fields of a mapping that are not null; others are warned of."""
        value = self.node.value
        if not isinstance(value, dict):
            raise self.error(f"must be a mapping with {', '.join(known)}, not {self._kind()}")
        found = {}
        for key, node in value.items():
            shown = one_line(key, 40)
            field = Field(node, f"{self.path}.{shown}" if self.path else shown, self.file, self.warnings)
            if key not in known:
                field.warn(f"unknown, and ignored{did_you_mean(key, known)}")
            elif node.value is not None:
                found[key] = field
        return found

    def items(self, *, split: bool = False) -> list[Field]:
        """The items of a list; with `split`, those of a text with commas, too."""
        value = self.node.value
        if split and isinstance(value, str):
            value = [Node(part, self.line) for part in value.split(",")] if value.strip() else []
        if not isinstance(value, list):
            raise self.error(f"must be a list{' or a text with commas' if split else ''}, not {self._kind()}")
        return [Field(node, f"{self.path}[{place}]", self.file, self.warnings) for place, node in enumerate(value)]

    def _kind(self) -> str:
        value = self.node.value
        if isinstance(value, str):
            return repr(one_line(value, 40)) if value.strip() else "an empty text"
        return "null" if value is None else "a list" if isinstance(value, list) else "a mapping"

    def _about(self, complaint: str) -> str:
        where = f"{self.file}, line {self.line}"
        return f"{where}: {self.path}: {complaint}" if self.path else f"{where}: {complaint}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for the end of a complaint, where a known word is close."""
    close = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {close[0]}?" if close else ""
