"""YAML as a tree with places: bounded, and without guessing."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrunner.lab import yaml_tree
from labrunner.lab.yaml_tree import Document, Mapping, Scalar, Sequence


def parse(text: str | bytes) -> Document:
    document = Document(Path("/labs/x/lab.yaml"), raw=text if isinstance(text, bytes) else text.encode())
    yaml_tree.parse(document)
    return document


def only(document: Document) -> tuple[str, int, int, str]:
    assert len(document.problems) == 1, [str(p) for p in document.problems]
    problem = document.problems[0]
    return problem.rule, problem.position.line, problem.position.column, problem.message


def test_every_value_knows_its_line_and_column() -> None:
    root = parse("a: 1\nb:\n  - x\n  - {c: true}\n").root
    assert isinstance(root, Mapping)
    items = root.values["b"]
    assert isinstance(items, Sequence)
    flow = items.items[1]
    assert isinstance(flow, Mapping)
    inner = flow.values["c"]
    assert (inner.position.line, inner.position.column) == (4, 9)
    assert (root.keys["b"].position.line, root.keys["b"].position.column) == (2, 1)
    assert root.plain() == {"a": 1, "b": ["x", {"c": True}]}


def test_lines_of_a_literal_block_have_places_of_their_own() -> None:
    root = parse("run: |\n  one\n  two\n").root
    assert isinstance(root, Mapping)
    value = root.values["run"]
    assert isinstance(value, Scalar)
    assert value.position_at(1).line == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("0o17", 15), ("0x1f", 31), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("22:30", "22:30"),
        ("2026-01-01", "2026-01-01"), ("1_000", "1_000"), ("'12'", "12"), ('"true"', "true"), ("v1", "v1"),
        ("1.2.3", "1.2.3"), ("!!str 12", "12"), ("9" * 80, "9" * 80),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    document = parse(f"key: {text}")
    assert document.problems == []
    assert document.root is not None
    found = document.root.plain()["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "rule", "line", "column", "says"),
    [
        ("a: yes", "yaml-1.1", 1, 4, "boolean in YAML 1.1"),
        ("on: x", "yaml-1.1", 1, 1, "boolean in YAML 1.1"),
        ("true: x", "yaml-1.1", 1, 1, "key 'true'"),
        ("mode: 0644", "yaml-1.1", 1, 7, "octal"),
        ("a: 1\na: 2", "duplicate-key", 2, 1, "duplicate key 'a'"),
        ("a: {b: 1, b: 2}", "duplicate-key", 1, 11, "duplicate key 'b'"),
        ("a: *nothing", "alias", 1, 4, "refers to no anchor"),
        ("a: &x [*x]", "alias", 1, 8, "contains itself"),
        ("a: !!python/object:os.system x", "tag", 1, 4, "not part of the format"),
        ("a: !mine x", "tag", 1, 4, "not part of the format"),
        ("a: 1\n---\nb: 2", "several-documents", 2, 1, "second document"),
        ("? [a, b]\n: c", "key-type", 1, 3, "a key must be a word"),
        ("a:\n\t- b", "yaml", 2, 1, "tab"),
        ("a: b: c", "yaml", 1, 5, "second ': '"),
        ("a: 'open\nb: c", "yaml", 1, 4, "never closed"),
        ("a: [1, 2", "yaml", 1, 4, "bracket that opens here"),
        ("a: @x", "yaml", 1, 4, "cannot start a value"),
        ("", "empty-file", 1, 1, "empty"),
        (" \n\n", "empty-file", 1, 1, "empty"),
        (b"a: x\nb: \xff\xfe", "not-utf8", 2, 4, "0xff"),
        ("a: b\x07", "control-character", 1, 5, "U+0007"),
        ("a: <<", None, 0, 0, ""),
    ],
)
def test_what_is_refused_says_where_and_why(
    text: str | bytes, rule: str | None, line: int, column: int, says: str
) -> None:
    document = parse(text)
    if rule is None:
        assert document.problems == []
        return
    found = only(document)
    assert found[:3] == (rule, line, column)
    assert says in found[3]


def test_aliases_and_merges_are_expanded() -> None:
    document = parse("base: &b {x: 1, y: 2}\nuse: *b\nmore:\n  <<: *b\n  y: 3\n")
    assert document.problems == []
    assert document.root is not None
    assert document.root.plain() == {"base": {"x": 1, "y": 2}, "use": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}}


def test_a_billion_laughs_is_refused_before_it_is_expanded() -> None:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    rule, _, _, message = only(parse("\n".join(lines)))
    assert rule == "too-many-values"
    assert "aliases expanded" in message


def test_depth_and_size_are_bounded() -> None:
    assert only(parse("[" * 50_000))[0] == "too-deep"
    assert only(parse("a: " + "{a: " * 500))[0] == "too-deep"
    assert only(parse(b"#" * (yaml_tree.MAX_BYTES + 1)))[0] == "too-large"


def test_what_is_no_regular_file_is_said_so(tmp_path: Path) -> None:
    folder = tmp_path / "lab.yaml"
    folder.mkdir()
    assert only(yaml_tree.read(folder))[0] == "not-a-file"
    assert only(yaml_tree.read(tmp_path / "none.yaml"))[0] == "missing-file"
    assert only(yaml_tree.read(Path("/dev/null")))[0] == "not-a-file"


def test_windows_line_ends_and_a_byte_order_mark_do_not_move_places() -> None:
    document = parse(b"\xef\xbb\xbfa: 1\r\nb: yes\r\n")
    assert only(document)[1:3] == (2, 4)
