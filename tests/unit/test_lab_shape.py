"""The validator agrees with JSON Schema, and says it better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labrunner.check.registry import kinds
from labrunner.lab import schema, shape, yaml_tree
from labrunner.lab.kinds import schemas
from labrunner.lab.yaml_tree import Document


def problems(text: str, against: dict[str, Any], *, variables: bool = False) -> list[tuple[str, str, str]]:
    document = Document(Path("x.yaml"), raw=text.encode())
    yaml_tree.parse(document)
    assert document.root is not None, document.problems
    found: list[tuple[str, str, str]] = []
    shape.validate(
        document.root,
        against,
        lambda position, rule, message, suggestion: found.append((rule, message, suggestion)),
        variables=variables,
    )
    return found


def closed(**properties: Any) -> dict[str, Any]:
    return {"title": "A thing", "type": "object", "additionalProperties": False, "properties": properties}


def test_an_unknown_key_comes_with_the_nearest_free_one() -> None:
    found = problems("{check: 1}", closed(checks={}, hints={}))
    assert found == [("unknown-key", "unknown key 'check' in a thing", "did you mean 'checks'?")]


def test_a_required_key_that_is_misspelt_is_reported_once() -> None:
    found = problems("{tilte: x}", {**closed(title={"type": "string"}), "required": ["title"]})
    assert [rule for rule, _, _ in found] == ["unknown-key"]


def test_a_wrong_word_comes_with_the_nearest_one() -> None:
    found = problems("{level: begginer}", closed(level={"enum": ["beginner", "advanced"]}))
    assert found[0][2] == "did you mean 'beginner'?"


def test_the_branch_that_was_meant_is_explained() -> None:
    against = {"anyOf": [{"type": "string"}, closed(run={"type": "string"}, timeout={"type": "string"})]}
    found = problems("block: {run: x, timeuot: 3s}", closed(block=against))
    assert found == [("unknown-key", "unknown key 'timeuot' in a thing", "did you mean 'timeout'?")]


def test_two_kinds_at_once_are_named() -> None:
    against = {**closed(file={}, env={}), "oneOf": [{"required": ["file"]}, {"required": ["env"]}]}
    assert problems("{file: 1, env: 2}", against)[0][1] == "a thing has 'file' and 'env'"
    assert problems("{}", against)[0][1] == "a thing needs one of: file, env"


def test_a_variable_stands_for_a_value_of_any_scalar_type() -> None:
    against = closed(port={"type": "integer", "minimum": 1})
    assert problems("port: ${PORT}", against, variables=True) == []
    assert problems("port: ${PORT}", against) != []
    assert problems("port: x${PORT}", against, variables=True) != []


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "*", "(?P<a>x)(?P<a>y)"])
def test_an_expression_that_does_not_compile_is_refused(pattern: str) -> None:
    assert problems(json.dumps({"when": pattern}), closed(when={"type": "string", "format": "regex"}))[0][0] == "regex"


def test_the_kinds_of_check_use_only_keywords_that_are_honoured() -> None:
    for name, kind in kinds().items():
        assert shape.unsupported_keywords(kind.params_schema) == [], name
    assert shape.unsupported_keywords(schema.build(schemas(kinds()))) == []


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, 2.5])
    | st.sampled_from(["", "a", "ab"]),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), child, max_size=3),
    max_leaves=8,
)
_TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])


def _schemas(child: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(st.sampled_from(["a", "b", "c"]), child, max_size=2)
    several = st.lists(child, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=2, unique=True),
            "enum": st.lists(_VALUES, min_size=1, max_size=3),
            "const": _VALUES,
            "pattern": st.sampled_from(["a", "^b", "b$"]),
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 2),
            "minimum": st.integers(-2, 2),
            "exclusiveMaximum": st.integers(-2, 2),
            "items": child,
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
            "uniqueItems": st.booleans(),
            "properties": named,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), child, max_size=1),
            "additionalProperties": child,
            "propertyNames": child,
            "required": st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True),
            "minProperties": st.integers(0, 2),
            "maxProperties": st.integers(0, 2),
            "dependentRequired": st.dictionaries(st.sampled_from(["a"]), st.just(["b"]), max_size=1),
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "not": child,
            "if": child,
            "then": child,
            "else": child,
        },
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(st.booleans() | st.just({}), _schemas, max_leaves=6), _VALUES)
def test_valid_is_what_json_schema_says_is_valid(against: Any, value: Any) -> None:
    document = Document(Path("x.yaml"), raw=json.dumps(value).encode())
    yaml_tree.parse(document)
    assert document.root is not None
    holder = {"allOf": [against]}
    ours = shape.validate(document.root, holder, lambda *_: None)
    assert ours == jsonschema.Draft202012Validator(against).is_valid(value)
