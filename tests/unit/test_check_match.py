"""Patterns: what matches, what does not, and where the difference is said to be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.check.match import compare, describe, matches
from labrunner.check.match_operators import OPERATORS, lint_pattern
from labrunner.check.phrase import ABSENT, path_text

GATEWAY = {
    "spec": {
        "servers": [
            {"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["*"]},
            {"port": {"number": 443, "protocol": "HTTPS"}, "tls": {"mode": "SIMPLE"}, "hosts": ["a", "b"]},
        ]
    }
}


def places(pattern: Any, value: Any) -> list[tuple[str, str]]:
    return [(d.reason, path_text(d.path)) for d in compare(pattern, value)]


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (443, 443),
        (1.0, 1),
        ("a", "a"),
        (None, None),
        (None, ABSENT),
        ({}, {"a": 1}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}),
        ([1], [3, 1]),
        (["b", "a"], ["a", "b", "c"]),
        ([{"a": 1}, {"b": 2}], [{"a": 1, "b": 2}, {"a": 1}]),
        ({"$gte": 2}, 2),
        ({"$gt": "400m"}, "0.5"),
        ({"$lte": "1Gi"}, "1024Mi"),
        ({"$lt": "1h"}, "59m59s"),
        ({"$gte": 1, "$lte": 3}, 2),
        ({"$in": ["a", "b"]}, "b"),
        ({"$notIn": ["a"]}, "b"),
        ({"$notIn": ["a"]}, ABSENT),
        ({"$matches": "^v1\\."}, "v1.36"),
        ({"$matches": "^b$"}, "a\nb\nc"),
        ({"$notMatches": "error"}, "fine"),
        ({"$contains": {"a": 1}}, [{"a": 1, "b": 2}]),
        ({"$contains": "ell"}, "hello"),
        ({"$contains": "k"}, {"k": 1}),
        ({"$excludes": {"a": 1}}, [{"a": 2}]),
        ({"$excludes": "x"}, "hello"),
        ({"$excludes": "x"}, ABSENT),
        ({"$each": {"a": 1}}, [{"a": 1}, {"a": 1, "b": 1}]),
        ({"$each": {"$gte": 1}}, {"x": 1, "y": 2}),
        ({"$only": ["b", "a"]}, ["a", "b"]),
        ({"$inOrder": ["a", "c"]}, ["a", "b", "c"]),
        ({"$exactly": {"a": [1, {"$gte": 2}]}}, {"a": [1, 5]}),
        ({"$length": 2}, [1, 2]),
        ({"$length": {"$gte": 1}}, "x"),
        ({"$length": 0}, ABSENT),
        ({"$absent": True}, ABSENT),
        ({"$absent": False}, 0),
        ({"$not": "a"}, "b"),
        ({"$any": ["a", {"$matches": "^b"}]}, "bc"),
        ({"$all": [{"$matches": "a"}, {"$matches": "b"}]}, "ab"),
        ({"$eq": {"$gte": 1}}, {"$gte": 1}),
        ({"$ne": 1}, 2),
        ({"$base64": "secret"}, "c2VjcmV0"),
        ({"$sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}, "c2VjcmV0"),
    ],
)
def test_matches(pattern: Any, value: Any) -> None:
    assert compare(pattern, value) == []


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (443, "443"),
        ("443", 443),
        (1, True),
        (True, 1),
        (0, False),
        (None, 0),
        ("a", ABSENT),
        ({}, ABSENT),
        ({"a": 1}, [1]),
        ([1], 1),
        ({"a": {"b": 1}}, {"a": None}),
        ([1, 1], [1]),
        ([{"a": 1}, {"a": 1}], [{"a": 1}, {"a": 2}]),
        ({"$gte": 2}, 1),
        ({"$gte": 2}, "two"),
        ({"$gte": 2}, ABSENT),
        ({"$gte": 0}, True),
        ({"$in": ["a"]}, ABSENT),
        ({"$notIn": ["a"]}, "a"),
        ({"$matches": "a"}, ABSENT),
        ({"$notMatches": "error"}, "an error"),
        ({"$contains": "x"}, ABSENT),
        ({"$contains": 4}, 44),
        ({"$excludes": {"a": 1}}, [{"a": 1}]),
        ({"$each": {"a": 1}}, []),
        ({"$each": {"a": 1}}, ABSENT),
        ({"$each": {"a": 1}}, [{"a": 1}, {}]),
        ({"$only": ["a"]}, ["a", "b"]),
        ({"$only": ["a", "b"]}, ["a"]),
        ({"$inOrder": ["c", "a"]}, ["a", "b", "c"]),
        ({"$exactly": {"a": 1}}, {"a": 1, "b": 2}),
        ({"$exactly": [1, 2]}, [2, 1]),
        ({"$exactly": [1]}, [1, 2]),
        ({"$length": 2}, [1]),
        ({"$length": 1}, 7),
        ({"$absent": True}, 1),
        ({"$absent": False}, ABSENT),
        ({"$not": {"a": 1}}, {"a": 1, "b": 2}),
        ({"$any": ["a", "b"]}, "c"),
        ({"$all": ["a", "b"]}, "a"),
        ({"$ne": 1}, 1),
        ({"$ne": 1}, ABSENT),
        ({"$base64": "secret"}, "not base64!"),
        ({"$sha256": "00"}, "c2VjcmV0"),
        ({"$nonsense": 1}, 1),
    ],
)
def test_does_not_match(pattern: Any, value: Any) -> None:
    found = compare(pattern, value)
    assert found
    assert all(d.expected for d in found)


def test_a_difference_in_a_list_is_reported_in_the_item_that_was_meant() -> None:
    pattern = {"spec": {"servers": [{"port": {"number": 443, "protocol": "HTTPS"}, "tls": {"mode": "MUTUAL"}}]}}
    assert places(pattern, GATEWAY) == [("different", "spec.servers[1].tls.mode")]


def test_an_item_that_is_like_none_is_missing_from_the_list() -> None:
    pattern = {"spec": {"servers": [{"port": {"number": 15443, "protocol": "TLS"}}]}}
    assert places(pattern, GATEWAY) == [("missing", "spec.servers")]


def test_each_expected_item_needs_an_item_of_its_own() -> None:
    assert places([{"a": 1}, {"a": 1}], [{"a": 1}, {"b": 1}]) == [("missing", "")]
    assert matches([{"$matches": "^a"}, "ab"], ["ab", "ac"])


def test_all_differences_are_reported_at_once() -> None:
    pattern = {"a": 1, "b": {"c": [1]}, "d": {"$absent": True}}
    assert places(pattern, {"a": 2, "b": {"c": [2]}, "d": 3}) == [
        ("different", "a"),
        ("missing", "b.c"),
        ("unexpected", "d"),
    ]


def test_paths_quote_what_is_no_plain_name() -> None:
    assert path_text(("metadata", "labels", "app.kubernetes.io/name")) == 'metadata.labels["app.kubernetes.io/name"]'
    assert path_text(("spec", 0, "x-y")) == "spec[0].x-y"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ({"$gte": 2}, "at least 2"),
        ({"$matches": "^a"}, "matches /^a/"),
        ({"mode": {"$in": ["A", "B"]}}, "{mode: one of [A, B]}"),
        ({"$length": {"$gte": 1}}, "length at least 1"),
        ({"$absent": True}, "absent"),
    ],
)
def test_patterns_are_said_in_words(pattern: Any, words: str) -> None:
    assert words in describe(pattern)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ({"a": {"$gtee": 1}}, 'match.a: there is no operator $gtee. Did you mean "$gte"?'),
        ({"$gte": 1, "b": 2}, "stands beside operators"),
        ({"a": [{"$matches": "("}]}, "match.a[0].$matches: '(' is no regular expression"),
        ({"$in": "a"}, "match.$in: takes a list"),
        ({"$any": []}, "match.$any: the list is empty"),
        ({"$gte": "many"}, "takes a number"),
        ({"$absent": "yes"}, "takes true or false"),
        ({"$sha256": 1}, "takes text"),
        ({"$matches": 1}, "takes a regular expression"),
    ],
)
def test_lint_says_what_is_wrong_with_a_pattern(pattern: Any, problem: str) -> None:
    assert any(problem in p for p in lint_pattern(pattern)), lint_pattern(pattern)


def test_lint_does_not_judge_what_holds_variables() -> None:
    assert lint_pattern({"a": {"$gte": "${N}", "$matches": "${RE}("}}) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text("ab$.", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_every_value_matches_itself_and_itself_exactly(value: Any) -> None:
    assert compare(value, value) == []
    assert compare({"$exactly": value}, value) == []


@given(st.sampled_from(sorted(OPERATORS)), json_values, json_values)
def test_operators_that_pass_lint_never_raise(name: str, operand: Any, value: Any) -> None:
    pattern = {name: operand}
    if not lint_pattern(pattern):
        compare(pattern, value)
        assert describe(pattern)


@given(json_values, json_values)
def test_difference_texts_are_bounded(pattern: Any, value: Any) -> None:
    for difference in compare(pattern, value):
        assert difference.expected


@pytest.mark.parametrize("pattern", [{"$eq": 2}, {"$ne": {"a": 1}}, {"$only": []}, {"$exactly": {}}, {"$length": 0}])
def test_lint_accepts_what_may_be_written(pattern: Any) -> None:
    assert lint_pattern(pattern) == []
