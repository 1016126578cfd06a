"""Custom objects are checked by their schema and its CEL rules, in apiextensions' words."""

from __future__ import annotations

from typing import Any

import pytest

from labrunner.sandbox.kube.schema.catalog import SchemaCatalog, shipped_crds
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.schema.validation import validate

UNCHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


def refusals(spec_schema: dict[str, Any], spec: Any, old: Any = None) -> list[str]:
    node = SchemaNode({"type": "object", "properties": {"spec": spec_schema}}, {})

    def wrapped(value: Any) -> dict[str, Any]:
        return {"metadata": {"name": "x"}, "spec": value}

    errors = validate(node, wrapped(spec), None if old is None else wrapped(old))
    return [f"{e.cause().field}: {e.cause().message}" for e in errors]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "integer"}, "a", 'spec: Invalid value: "string": spec in body must be of type integer: "string"'),
        ({"type": "string"}, None, 'spec: Invalid value: "null": spec in body must be of type string: "null"'),
        ({"type": "string", "enum": ["A", "B"]}, "C", 'spec: Unsupported value: "C": supported values: "A", "B"'),
        ({"type": "string", "maxLength": 2}, "abc", "spec: Too long: may not be more than 2 bytes"),
        (
            {"type": "array", "items": {"type": "string"}, "maxItems": 1},
            ["a", "b"],
            "spec: Too many: 2: must have at most 1 item",
        ),
    ],
)
def test_errors_that_block_say_that_rules_were_not_checked(schema: dict[str, Any], value: Any, expected: str) -> None:
    assert refusals(schema, value) == [expected, UNCHECKED]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string", "pattern": "^a+$"}, "b", "spec: Invalid value: \"b\": spec in body should match '^a+$'"),
        ({"type": "string", "pattern": "^a$"}, "a\n", "spec: Invalid value: \"a\\n\": spec in body should match '^a$'"),
        (
            {"type": "integer", "minimum": 1},
            0,
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            {"type": "integer", "maximum": 5, "exclusiveMaximum": True},
            5,
            "spec: Invalid value: 5: spec in body should be less than 5",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            [],
            "spec: Invalid value: 0: spec in body should have at least 1 items",
        ),
        (
            {"type": "string", "minLength": 1},
            "",
            'spec: Invalid value: "": spec in body should be at least 1 chars long',
        ),
    ],
)
def test_values_out_of_bounds(schema: dict[str, Any], value: Any, expected: str) -> None:
    assert refusals(schema, value) == [expected]


def test_alternatives_are_counted() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    assert refusals(schema, {"a": "x", "b": "y"}) == [
        '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives'
    ]
    none = refusals(schema, {})
    assert none[0] == '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid'
    assert none[1] == "spec.a: Required value"


def test_lists_of_type_map_and_set_have_no_duplicates() -> None:
    items = {"type": "object", "properties": {"name": {"type": "string"}}}
    schema = {"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    assert refusals(schema, [{"name": "a"}, {"name": "b"}, {"name": "a"}]) == ['spec[2]: Duplicate value: {"name":"a"}']
    assert refusals({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}, ["a", "a"]) == [
        'spec[1]: Duplicate value: "a"'
    ]


def rule(text: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "n": {"type": "integer"},
            "s": {"type": "string"},
            "l": {"type": "array", "items": {"type": "string"}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "foo-bar": {"type": "string"},
        },
        "x-kubernetes-validations": [{"rule": text, **more}],
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("self.n > 3", {"n": 4}),
        ("!has(self.s)", {}),
        ("math.greatest(self.n, 3) == 7 && 'aBc'.lowerAscii() == 'abc'", {"n": 7}),
        ("self.foo__dash__bar == 'x'", {"foo-bar": "x"}),
        ("self.m.all(k, k.startsWith('a'))", {"m": {"ab": "1"}}),
        (
            "isURL(self.s) && url(self.s).getHost() == 'a.b:80' && url(self.s).getPort() == '80'",
            {"s": "http://a.b:80/c"},
        ),
        ("quantity(self.s).isGreaterThan(quantity('500Mi'))", {"s": "1Gi"}),
        ("cidr('10.0.0.0/8').containsIP(ip(self.s))", {"s": "10.1.2.3"}),
        ("self.l.isSorted() && self.l.indexOf('b') == 1", {"l": ["a", "b"]}),
        ("self.?s.orValue('none') == 'none'", {}),
        ("!format.dns1123Label().validate(self.s).hasValue()", {"s": "a-b"}),
        ("self.s.find('[0-9]+') == '42'", {"s": "abc42"}),
        ("duration(self.s) < duration('1h')", {"s": "59m"}),
    ],
)
def test_rules_have_the_functions_kubernetes_adds(text: str, value: dict[str, Any]) -> None:
    assert refusals(rule(text), value) == []


def test_a_broken_rule_gives_its_message_and_no_value_of_an_object() -> None:
    assert refusals(rule("self.n > 3", message="n is small"), {"n": 1}) == ["spec: Invalid value: n is small"]
    assert refusals(rule("self.n > 3"), {"n": 1}) == ["spec: Invalid value: failed rule: self.n > 3"]
    assert refusals(rule("self.n > 3", messageExpression="'n is ' + string(self.n)"), {"n": 1}) == [
        "spec: Invalid value: n is 1"
    ]
    assert refusals(rule("self.n > 3", message="m", fieldPath=".n", reason="FieldValueForbidden"), {"n": 1}) == [
        "spec.n: Forbidden: m"
    ]


def test_a_rule_that_cannot_be_evaluated_says_why() -> None:
    assert refusals(rule("self.n > 3"), {}) == ["spec: Invalid value: no such key: n evaluating rule: self.n > 3"]
    assert refusals(rule("duration(self.s) > duration('1s')", message="m"), {"s": "5x"}) == [
        "spec: Invalid value: type conversion error from 'string' to 'google.protobuf.Duration' evaluating rule: m"
    ]


def test_transition_rules_compare_with_the_stored_object_only() -> None:
    schema = rule("self.n >= oldSelf.n", message="n may not shrink")
    assert refusals(schema, {"n": 1}) == []
    assert refusals(schema, {"n": 1}, {"n": 2}) == ["spec: Invalid value: n may not shrink"]
    assert refusals(schema, {"n": 3}, {"n": 2}) == []


def test_what_was_stored_before_a_rule_existed_may_stay() -> None:
    schema = rule("self.n > 3", message="n is small")
    assert refusals(schema, {"n": 1}, {"n": 1}) == []
    assert refusals(schema, {"n": 2}, {"n": 1}) == ["spec: Invalid value: n is small"]


@pytest.fixture(scope="module")
def catalog() -> SchemaCatalog:
    catalog = SchemaCatalog()
    for crd in shipped_crds():
        catalog.add_crd(crd)
    return catalog


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "expected"),
    [
        (
            "networking.istio.io/v1",
            "ServiceEntry",
            {"hosts": ["*"]},
            ['spec.hosts[0]: Invalid value: "*": hostname cannot be wildcard'],
        ),
        (
            "security.istio.io/v1",
            "PeerAuthentication",
            {"portLevelMtls": {"8080": {"mode": "STRICT"}}},
            ["spec: Invalid value: portLevelMtls requires selector"],
        ),
        (
            "security.istio.io/v1",
            "PeerAuthentication",
            {"mtls": {"mode": "ON"}},
            [
                'spec.mtls.mode: Unsupported value: "ON": supported values: "UNSET", "DISABLE", "PERMISSIVE", "STRICT"',
                UNCHECKED,
            ],
        ),
        (
            "networking.istio.io/v1",
            "VirtualService",
            {"hosts": ["a"], "http": [{"timeout": "0s", "route": [{"destination": {"host": "a"}}]}]},
            ['spec.http[0].timeout: Invalid value: "0s": must be a valid duration greater than 1ms'],
        ),
        (
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            {"rules": [{"backendRefs": [{"name": "b", "group": "", "kind": "Service"}]}]},
            ["spec.rules[0].backendRefs[0]: Invalid value: Must have port for Service reference"],
        ),
    ],
)
def test_shipped_kinds_refuse_what_their_authors_refuse(
    catalog: SchemaCatalog, api_version: str, kind: str, spec: dict[str, Any], expected: list[str]
) -> None:
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    node = catalog.of_object(obj)
    assert node
    assert [f"{e.cause().field}: {e.cause().message}" for e in validate(node, obj)] == expected
