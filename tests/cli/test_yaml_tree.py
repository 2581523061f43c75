"""Strict YAML: every value with its line; one sentence with file and line for all that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from datafye_trio.cli import yaml_tree
from datafye_trio.cli.yaml_tree import Limits, Node, parse_yaml, read_yaml
from datafye_trio.errors import ConfigurationError


def tree(text: str | bytes) -> Node:
    return parse_yaml(text if isinstance(text, bytes) else text.encode(), "spec.yaml")


def plain(node: Node) -> object:
    """The values without their lines."""
    if isinstance(node.value, dict):
        return {key: plain(inner) for key, inner in node.value.items()}
    return [plain(inner) for inner in node.value] if isinstance(node.value, list) else node.value


def test_a_plain_scalar_is_the_text_as_written() -> None:
    document = "a: [ON, no, true, 010, 1e3, 2018-01-02, 1:30, .inf]\nb: {c: 'x', \"d\": y}\ne: |\n  z\n"
    assert plain(tree(document)) == {
        "a": ["ON", "no", "true", "010", "1e3", "2018-01-02", "1:30", ".inf"], "b": {"c": "x", "d": "y"}, "e": "z\n",
    }  # fmt: skip


def test_null_is_unquoted_only() -> None:
    assert plain(tree("[~, null, Null, NULL, '', 'null', \"~\", nULL]")) == [None] * 4 + ["", "null", "~", "nULL"]
    assert plain(tree("---\n...\n")) is None
    assert plain(tree("a:\nb: ''\n? c\n")) == {"a": None, "b": "", "c": None}


def test_every_value_knows_its_line() -> None:
    root = tree("# a comment\na: 1\nb:\n\n  - x\n  -\n    y\nc:\n  {d: 2,\n   e: 3}\n")
    assert isinstance(root.value, dict)
    a, b, c = root.value.values()
    assert (root.line, a.line, b.line, c.line) == (2, 2, 3, 8)
    assert isinstance(b.value, list)
    assert [item.line for item in b.value] == [5, 7]
    assert isinstance(c.value, dict)
    assert [inner.line for inner in c.value.values()] == [9, 10]


def test_an_alias_is_the_value_of_its_anchor_on_a_line_of_its_own() -> None:
    root = tree("a: &x [1]\nb: *x\nc: [&y z, *y]\n")
    assert plain(root) == {"a": ["1"], "b": ["1"], "c": ["z", "z"]}
    assert isinstance(root.value, dict)
    assert root.value["b"].line == 2


def test_a_byte_order_mark_and_windows_lines_are_fine() -> None:
    assert plain(tree(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "spec.yaml is empty"),
        (b"a: 1\nb: \xff\n", "spec.yaml, line 2: this is no UTF-8 text"),
        (b"a: 1\nb: \x01\n", r"spec.yaml, line 2: the character '\x01' is not allowed"),
        (b"a:\n\tb: 1", "spec.yaml, line 2: a tab: write spaces"),
        (b'{"a":\n\t1}', "spec.yaml, line 2: a tab: write spaces"),
        (b"a: b: c", "spec.yaml, line 1: mapping values are not allowed here"),
        (b"a: 1\nb: [1, 2", "spec.yaml, line 2: while parsing a flow sequence, expected ',' or ']', but got"),
        (b"%YAML 9.9\n---\na", "spec.yaml, line 1: found incompatible YAML document (version 1.* is required)"),
        (b"a: 1\nb: 2\na: 3", "spec.yaml, line 3: the key a comes twice, first in line 1"),
        (b"a: {b: 1, b: 2}", "spec.yaml, line 1: the key b comes twice, first in line 1"),
        (b"a: 1\n<<: {b: 2}", "spec.yaml, line 2: merge keys (<<) are not supported: write the keys out"),
        (b"a: 1\n[b]: 2", "spec.yaml, line 2: a key must be a text"),
        (b"{{a: b}: 2}", "spec.yaml, line 1: a key must be a text"),
        (b"~: 2", "spec.yaml, line 1: a key must be a text"),
        (
            b"a: !!python/object/apply:os.getcwd []",
            "spec.yaml, line 1: the tag tag:yaml.org,2002:python/object/apply:os… is",
        ),
        (b"a:\n  !mine b", "spec.yaml, line 2: the tag !mine is not allowed"),
        (b"a: 1\n---\nb: 2", "spec.yaml, line 2: a second document begins here: one file is one document"),
        (b"a:\n  *b", "spec.yaml, line 2: there is no complete anchor &b before this alias"),
        (b"a: &b [1, *b]", "spec.yaml, line 1: there is no complete anchor &b before this alias"),
        (b"[" * 17, "spec.yaml, line 1: lists and mappings are more than 16 deep"),
    ],
)
def test_what_is_refused_is_said_with_its_line(text: bytes, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tree(text)
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_a_quoted_merge_key_is_a_key() -> None:
    assert plain(tree("'<<': 1")) == {"<<": "1"}


def test_sixteen_deep_is_fine() -> None:
    assert plain(tree("[" * 16 + "x" + "]" * 16)) == json.loads("[" * 16 + '"x"' + "]" * 16)


@pytest.mark.parametrize(
    ("bomb", "complaint"),
    [
        (b"[" * (1 << 20), "more than 16 deep"),
        (b"- " * (1 << 19), "more than 16 deep"),
        (b"{a: " * 100_000, "more than 16 deep"),
        (b"".join(b" " * place + b"a:\n" for place in range(1000)), "more than 16 deep"),
        (b"a: &a [x]\nb: [" + b"*a," * 200 + b"]", "more than 100 aliases"),
        (b" " * ((1 << 20) + 1), "is larger than 1 MiB"),
    ],
)
def test_a_bomb_is_refused_at_once(bomb: bytes, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        tree(bomb)


def test_aliases_of_aliases_cost_nothing() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{place}: &a{place} [*a{place - 1}, *a{place - 1}]" for place in range(1, 50)]
    root = tree("\n".join(lines))  # 2 ** 50 values, were they copied
    assert isinstance(root.value, dict)
    assert len(root.value) == 50


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_tree, "LIMITS", Limits(values=5))
    assert plain(tree("[1, 2, 3, 4]")) == ["1", "2", "3", "4"]
    with pytest.raises(ConfigurationError, match=r"spec\.yaml, line 2: there are more than 5 values"):
        tree("[1, 2,\n 3, 4, 5]")


def test_a_file_is_read_or_the_reason_is_told(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text("a: 1")
    assert plain(read_yaml(file)) == {"a": "1"}
    with pytest.raises(ConfigurationError, match=r"^cannot read .*: Is a directory$"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^cannot read .*none\.yaml: No such file or directory$"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigurationError, match=r"^cannot read 'a\\x00b': it is no path$"):
        read_yaml(Path("a\0b"))


_PIECES = st.sampled_from(
    ["a", "b: ", "- ", "\n", "  ", "[", "]", "{", "}", ", ", ": ", "&a ", "*a", "!x ", "'", '"', "|\n", ">", "# ",
     "---\n", "...\n", "\t", "%", "?", "~", "<<: ", "\\", "@", "é", "\x00", "\ufeff", "\u2028", "%YAML 1.1\n"]
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(_PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_is_a_tree_or_one_sentence(text: str) -> None:
    try:
        root = tree(text.encode("utf-8", "surrogatepass"))
    except ConfigurationError as error:
        assert str(error).startswith("spec.yaml")
        assert str(error).isprintable()
    else:
        plain(root)


@settings(max_examples=100)
@given(st.binary(max_size=100))
def test_any_bytes_are_a_tree_or_one_sentence(content: bytes) -> None:
    try:
        tree(content)
    except ConfigurationError as error:
        assert str(error).startswith("spec.yaml")


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8)
_TREES = st.recursive(
    st.none() | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200)
@given(_TREES, st.booleans(), st.booleans())
def test_what_another_writer_writes_is_read_back(value: object, flow: bool, as_json: bool) -> None:
    text = (
        json.dumps(value, ensure_ascii=False)
        if as_json
        else yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow)
    )
    assert plain(tree(text)) == value
