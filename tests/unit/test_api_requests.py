"""Paths, representations, options and bodies of requests are taken apart as the API server does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.sandbox.kube import access, body, negotiate, routes
from labrunner.sandbox.kube.request import User
from labrunner.sandbox.kube.status import ApiError

USER = User("someone")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/api/v1/pods", ("", "v1", "", "pods", "", "")),
        ("/api/v1/namespaces/a/pods/p/log?x=1", ("", "v1", "a", "pods", "p", "log")),
        ("/api/v1/namespaces", ("", "v1", "", "namespaces", "", "")),
        ("/api/v1/namespaces/a", ("", "v1", "", "namespaces", "a", "")),
        ("/api/v1/namespaces/a/finalize", ("", "v1", "", "namespaces", "a", "finalize")),
        ("/api/v1/namespaces/a/", ("", "v1", "", "namespaces", "a", "")),
        ("/apis/apps/v1/namespaces/a/deployments/d/scale", ("apps", "v1", "a", "deployments", "d", "scale")),
        ("/apis/apps/v1/namespaces/a", ("apps", "v1", "", "", "", "")),
        ("/api/v1/nodes/n/proxy/x/y", ("", "v1", "", "nodes", "n", "proxy")),
        ("/apis/apps", ("", "", "", "", "", "")),
        ("/api/v1/namespaces/..%2fx/pods", ("", "", "", "", "", "")),
    ],
)
def test_paths(target: str, expected: tuple[str, ...]) -> None:
    path = routes.parse(target)
    assert (path.group, path.version, path.namespace, path.resource, path.name, path.subresource) == expected


@given(st.text(max_size=60))
def test_any_path_is_taken_apart_or_refused(text: str) -> None:
    try:
        path = routes.parse("/" + text)
    except ApiError as refused:
        assert refused.code == 400
    else:
        assert "/" not in path.name and path.name not in (".", "..")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", ("application/json", "")),
        ("*/*", ("application/json", "")),
        ("application/vnd.kubernetes.protobuf,application/json", ("application/json", "")),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", ("application/json", "Table")),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", ("application/json", "")),
        ("application/yaml", ("application/yaml", "")),
        ("application/json;q=0.1,application/yaml", ("application/yaml", "")),
    ],
)
def test_representations(accept: str, expected: tuple[str, str]) -> None:
    found = negotiate.representation(accept)
    assert (found.media_type, found.transform) == expected


def test_what_nobody_can_answer_is_406() -> None:
    with pytest.raises(ApiError) as refused:
        negotiate.representation("application/xml")
    assert refused.value.code == 406


def test_the_manager_is_the_user_agent_up_to_its_slash() -> None:
    found = access.options(routes.parse("/api/v1/pods"), USER, "kubectl/v1.37 (linux)", "v1", "CreateOptions")
    assert (found.manager, found.dry_run, found.field_validation) == ("kubectl", False, "Warn")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("dryRun=no", 'dryRun: Unsupported value: ["no"]: supported values: "All"'),
        ("fieldValidation=x", 'fieldValidation: Unsupported value: "x": supported values: "Ignore", "Strict", "Warn"'),
        ("fieldManager=" + "x" * 129, "fieldManager: Too long: may not be more than 128 bytes"),
    ],
)
def test_wrong_options_are_422(query: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        access.options(routes.parse(f"/api/v1/pods?{query}"), USER, "", "v1", "CreateOptions")
    assert refused.value.code == 422
    assert str(refused.value) == f'CreateOptions.meta.k8s.io "" is invalid: {message}'


def test_delete_options_from_the_query_and_the_body() -> None:
    path = routes.parse("/api/v1/namespaces/a/pods/p?gracePeriodSeconds=5&propagationPolicy=Orphan&dryRun=All")
    how, dry_run = access.delete_options(None, path)
    assert (how.grace, how.propagation, dry_run) == (5, "Orphan", True)
    how, _ = access.delete_options({"orphanDependents": False, "preconditions": {"uid": "u"}}, routes.parse("/x"))
    assert (how.propagation, how.uid, how.accepted) == ("Background", "u", True)
    with pytest.raises(ApiError):
        access.delete_options({"orphanDependents": True, "propagationPolicy": "Orphan"}, routes.parse("/x"))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a":"\xff"}', b"{" * 3,
        b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"a":' * 250 + b"1" + b"}" * 250,
    ],
)  # fmt: skip
def test_what_is_no_object_is_400(data: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        body.decode(data, "application/json", None)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 5_000 + "x",
        "a: &a [x]\nb: *c\n",
        "\tx: 1",
        "a: b: c",
        "\n".join(
            ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
            + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
        ),
    ],
)
def test_yaml_that_would_harm_is_400(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        body.decode(text.encode(), "application/yaml", None)
    assert refused.value.code == 400


def test_yaml_has_jsons_types() -> None:
    found = body.decode(b"day: 2001-01-01\nn: 1\nlist: &l [a]\nagain: *l\n", "application/yaml", None)
    assert found == {"day": "2001-01-01", "n": 1, "list": ["a"], "again": ["a"]}


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=3), lambda c: st.lists(c) | st.dictionaries(st.text(max_size=3), c)))  # fmt: skip # noqa: E501
def test_shallow_values_pass_the_depth_check(value: Any) -> None:
    body.check_depth(value)
