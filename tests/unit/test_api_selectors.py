"""Label and field selectors select, and are refused, as the API server does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.selectable import fields_matcher
from labrunner.sandbox.kube.selectors import SelectorError, labels_matcher, parse_fields, parse_labels, selector_matches
from labrunner.sandbox.kube.status import ApiError

POD = Kind("", "Pod", "pods", ("v1",))
DEPLOYMENT = Kind("apps", "Deployment", "deployments", ("v1",))
CUSTOM = Kind("example.org", "Widget", "widgets", ("v1",), custom=True)


def selects(selector: str, **labels: str) -> bool:
    matches = labels_matcher(selector)
    return matches is None or matches({"metadata": {"labels": labels}})


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "b"}, True),
        ("a = b , c", {"a": "b", "c": ""}, True),
        ("a=b", {"a": "c"}, False),
        ("a=", {"a": ""}, True),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a", {"a": "x"}, True),
        ("!a", {"a": "x"}, False),
        ("!a", {}, True),
        ("a in (b, c)", {"a": "c"}, True),
        ("a in (b,)", {"a": ""}, True),
        ("a notin (b,c)", {"a": "b"}, False),
        ("a notin (b,c)", {}, True),
        ("a>5", {"a": "10"}, True),
        ("a<5", {"a": "10"}, False),
        ("a>5", {"a": "x"}, False),
        ("in=notin", {"in": "notin"}, True),
    ],
)
def test_labels(selector: str, labels: dict[str, str], expected: bool) -> None:
    assert selects(selector, **labels) is expected


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in ()", "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, "
                    "values set can't be empty"),
        ("a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, "
                "the value must be an integer"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
    ],
)  # fmt: skip
def test_refusals_are_in_the_servers_words(selector: str, message: str) -> None:
    with pytest.raises(SelectorError) as refused:
        parse_labels(selector)
    assert str(refused.value) == message


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_labels, parse_fields):
        try:
            parse(text)
        except SelectorError as refused:
            assert str(refused)


def test_a_label_selector_object_needs_everything_it_says() -> None:
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d"]}]}
    assert selector_matches(selector, {"a": "b", "c": "d"})
    assert not selector_matches(selector, {"a": "b"})
    assert selector_matches({}, {"x": "y"}), "an empty selector selects everything"
    assert not selector_matches(None, {}), "none selects nothing"


def test_fields_of_a_kind() -> None:
    matches = fields_matcher(POD, "spec.nodeName=n1,status.phase!=Running,metadata.name=p")
    assert matches is not None
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Pending"}}
    assert matches(pod)
    assert not matches({**pod, "status": {"phase": "Running"}})
    custom = fields_matcher(CUSTOM, "spec.color=blue", {"spec.color": ".spec.color"})
    assert custom is not None and custom({"metadata": {}, "spec": {"color": "blue"}})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (POD, "field label not supported: spec.nope"),
        (CUSTOM, "field label not supported: spec.nope"),
        (DEPLOYMENT, '"spec.nope" is not a known field selector: only "metadata.name", "metadata.namespace"'),
    ],
)
def test_unknown_fields_are_refused(kind: Kind, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        fields_matcher(kind, "spec.nope=1")
    assert (refused.value.code, str(refused.value)) == (400, message)


def test_escapes_in_field_values() -> None:
    assert parse_fields(r"a=b\,c\=d\\")[0].value == r"b,c=d" + "\\"
    with pytest.raises(SelectorError, match="invalid escape sequence"):
        parse_fields(r"a=\x")
