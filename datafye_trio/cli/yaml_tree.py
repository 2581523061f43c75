"""YAML as a tree of texts, lists and mappings in which every value knows its line: strict, small, and without types.

Rules:
- A plain scalar is the text as written. YAML 1.1 would make true of the symbol ON and an octal number of 010; what a
  text means is up to its reader. Only an unquoted null, `~` or nothing is None.
- Refused, with the line: tabs and other characters that YAML forbids, tags, merge keys (`<<`), keys that are no text or
  come twice, a second document, and more than `LIMITS` allow. An alias is its anchor's value, never one that it is in.
- The tree is built from PyYAML's events, never from its objects: nothing is constructed, nothing recurses, and reading
  stops at the first limit, so any text takes bounded time and memory. PyYAML's own parser, not libyaml's: the two word
  their complaints differently, and this one is always there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import yaml

from datafye_trio.cli.text import one_line
from datafye_trio.errors import ConfigurationError

__all__ = ["LIMITS", "Limits", "Node", "Tree", "parse_yaml", "read_yaml"]


@attrs.frozen
class Limits:
    """What a document may have at most."""

    bytes: int = 1 << 20
    depth: int = 16
    values: int = 100_000
    aliases: int = 100


LIMITS: Final = Limits()

Tree: TypeAlias = "str | list[Node] | dict[str, Node] | None"
_NULLS: Final = ("", "~", "null", "Null", "NULL")


@attrs.frozen(eq=False)
class Node:
    """A value and the line, from 1, on which it begins; for a value of a mapping, the line of its key."""

    value: Tree
    line: int


def read_yaml(path: Path) -> Node:
    """The document in a file.

    Raises:
        ConfigurationError: the file cannot be read, or is no such document; the text names file and line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LIMITS.bytes + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:  # a NUL in the path
        raise ConfigurationError(f"cannot read {str(path)!r}: it is no path") from None
    return parse_yaml(content, str(path))


def parse_yaml(content: bytes, name: str) -> Node:
    """The document in UTF-8 text.

    Raises:
        ConfigurationError: it is no such document; the text names it by `name`, and the line.
    """
    if len(content) > LIMITS.bytes:
        raise ConfigurationError(f"{name} is larger than {LIMITS.bytes >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{name}, line {line}: this is no UTF-8 text") from None
    builder = _Builder(name)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.take(event)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        shown = ascii(text[error.position])
        raise ConfigurationError(f"{name}, line {line}: the character {shown} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(name, error) from None
    if builder.root is None:
        raise ConfigurationError(f"{name} is empty")
    return builder.root


def _no_yaml(name: str, error: yaml.MarkedYAMLError) -> ConfigurationError:
    mark = error.problem_mark or error.context_mark
    why = ", ".join(part for part in (error.context, error.problem) if part)
    if "'\\t'" in why:
        why = "a tab: write spaces"
    return ConfigurationError(f"{name}, line {mark.line + 1 if mark else 1}: {one_line(why)}")


@attrs.define(eq=False)
class _Open:
    """A list or mapping that is not complete, and the key whose value comes next."""

    node: Node
    anchor: str | None
    key: str | None = None
    key_line: int = 0


class _Builder:
    """Makes the tree, an event at a time."""

    def __init__(self, name: str) -> None:
        self.root: Node | None = None
        self._name = name
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._values = self._aliases = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else 0  # never: all that PyYAML parses has one
        if isinstance(event, yaml.DocumentStartEvent):
            if self.root is not None:
                raise self._error(line, "a second document begins here: one file is one document")
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._aliased(event, line), None)
        elif isinstance(event, yaml.NodeEvent):
            if event.tag is not None:  # type: ignore[attr-defined]  # all but an alias have one
                raise self._error(line, f"the tag {one_line(str(event.tag), 40)} is not allowed")  # type: ignore[attr-defined]  # as above
            self._begin(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._open.pop()
            self._remember(done.anchor, done.node)

    def _begin(self, event: Any, line: int) -> None:
        if isinstance(event, yaml.ScalarEvent):
            plain_null = event.style is None and event.value in _NULLS
            node = Node(None if plain_null else event.value, line)
            self._add(node, event.style)
            self._remember(event.anchor, node)
            return
        if len(self._open) == LIMITS.depth:
            raise self._error(line, f"lists and mappings are more than {LIMITS.depth} deep")
        node = Node([] if isinstance(event, yaml.SequenceStartEvent) else {}, line)
        self._open.append(_Open(self._add(node, None), event.anchor))

    def _add(self, node: Node, style: str | None) -> Node:
        """Put a value where it belongs; returns it as it lies there."""
        self._values += 1
        if self._values > LIMITS.values:
            raise self._error(node.line, f"there are more than {LIMITS.values} values")
        if not self._open:
            self.root = node
            return node
        parent = self._open[-1]
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
            return node
        assert isinstance(parent.node.value, dict)  # noqa: S101 -- lists and mappings alone are opened
        if parent.key is None:
            self._begin_pair(parent, node, style)
            return node
        node = Node(node.value, parent.key_line)
        parent.node.value[parent.key] = node
        parent.key = None
        return node

    def _begin_pair(self, parent: _Open, key: Node, style: str | None) -> None:
        held = parent.node.value
        if not isinstance(key.value, str):
            raise self._error(key.line, "a key must be a text")
        if key.value == "<<" and style is None:
            raise self._error(key.line, "merge keys (<<) are not supported: write the keys out")
        if isinstance(held, dict) and key.value in held:
            first = held[key.value].line
            raise self._error(key.line, f"the key {one_line(key.value, 40)} comes twice, first in line {first}")
        parent.key, parent.key_line = key.value, key.line

    def _aliased(self, event: yaml.AliasEvent, line: int) -> Node:
        name = str(event.anchor)
        self._aliases += 1
        if self._aliases > LIMITS.aliases:
            raise self._error(line, f"there are more than {LIMITS.aliases} aliases")
        if name not in self._anchors:  # or not complete yet: a value cannot hold itself
            raise self._error(line, f"there is no complete anchor &{one_line(name, 40)} before this alias")
        return Node(self._anchors[name].value, line)

    def _remember(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _error(self, line: int, complaint: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name}, line {line}: {complaint}")
