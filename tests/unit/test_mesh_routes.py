"""HTTP routes of VirtualServices: what a request must look like, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from labrunner.sandbox.mesh.traffic.delegate import merged
from labrunner.sandbox.mesh.traffic.http_route import Scope, routes
from labrunner.sandbox.mesh.traffic.route_match import claim_path, route_match


def _routes(entry: str, **scope: Any) -> list[dict[str, Any]]:
    def cluster(host: str, port: int | None, subset: str) -> str:
        return f"{host}|{port}|{subset}"

    given: dict[str, Any] = {
        "namespace": "shop", "gateway": "mesh", "port": 8000, "proxy_namespace": "shop",
        "proxy_labels": {"app": "client"}, "cluster": cluster,
    }  # fmt: skip
    return routes(yaml.safe_load(entry), Scope(**{**given, **scope}))


@pytest.mark.parametrize("value", ["{}", "{regex: '*'}"])
def test_an_empty_match_and_a_lone_star_only_want_presence(value: str) -> None:
    found = route_match(yaml.safe_load(f"{{headers: {{x-a: {value}}}, queryParams: {{q: {value}}}}}"))
    assert found["headers"] == [{"name": "x-a", "present_match": True}]
    assert found["query_parameters"] == [{"name": "q", "present_match": True}]


def test_a_header_that_must_not_be_so_may_be_missing() -> None:
    found = route_match({"withoutHeaders": {"x-a": {"exact": "1"}, "x-b": {}}})
    one, other = found["headers"]
    assert (one["invert_match"], one["treat_missing_header_as_empty"]) == (True, True)
    assert other == {"name": "x-b", "present_match": True, "invert_match": True}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("@request.auth.claims.group.id", ["group", "id"]),
        ("@request.auth.claims[group][id.x]", ["group", "id.x"]),
        ("@request.auth.claims", []),
        ("@request.auth.claims[group", []),
        ("x-request", []),
    ],
)
def test_claims_are_written_as_header_names(name: str, path: list[str]) -> None:
    assert claim_path(name) == path


def test_a_claim_matches_as_text_or_in_a_list_and_can_be_excluded() -> None:
    found = route_match({"withoutHeaders": {"@request.auth.claims.sub": {"exact": "ann"}}})
    [matcher] = found["dynamic_metadata"]
    assert matcher["invert"] is True
    assert [key["key"] for key in matcher["path"]] == ["payload", "sub"]
    assert len(matcher["value"]["or_match"]["value_matchers"]) == 2
    assert "headers" not in found


@pytest.mark.parametrize(
    ("match", "count"),
    [
        ("{sourceLabels: {app: client}}", 1),
        ("{sourceLabels: {app: other}}", 0),
        ("{sourceNamespace: depot}", 0),
        ("{gateways: [mesh], sourceLabels: {app: other}}", 1),
        ("{gateways: [edge]}", 0),
        ("{port: 9000}", 0),
    ],
)
def test_what_is_known_beforehand_decides_whether_a_route_exists(match: str, count: int) -> None:
    assert len(_routes(f"{{match: [{match}], route: [{{destination: {{host: shop}}}}]}}")) == count


@pytest.mark.parametrize(
    ("redirect", "tls", "port"),
    [
        ("{port: 443, scheme: https}", False, None),
        ("{port: 80}", False, None),
        ("{port: 80}", True, 80),
        ("{port: 8443, scheme: https}", False, 8443),
        ("{derivePort: FROM_REQUEST_PORT}", False, 8000),
        ("{derivePort: FROM_PROTOCOL_DEFAULT}", False, None),
    ],
)
def test_a_redirect_names_the_port_unless_it_is_the_usual_one(redirect: str, tls: bool, port: int | None) -> None:
    [route] = _routes(f"{{redirect: {redirect}}}", tls=tls)
    assert route["redirect"].get("port_redirect") == port


def test_the_destinations_headers_come_after_the_routes() -> None:
    [route] = _routes("""
headers: {request: {set: {x-a: route, host: one.example.com}}}
route:
- destination: {host: shop}
  headers: {request: {set: {x-a: destination, host: two.example.com}, remove: [":path", x-gone]}}
""")
    assert [change["header"]["value"] for change in route["request_headers_to_add"]] == ["route", "destination"]
    assert route["route"]["host_rewrite_literal"] == "one.example.com"
    assert route["request_headers_to_remove"] == ["x-gone"]


def test_several_destinations_have_their_headers_each() -> None:
    [route] = _routes("""
route:
- {destination: {host: shop, subset: v1}, weight: 90, headers: {request: {set: {host: a.example.com}}}}
- {destination: {host: shop, subset: v2}, weight: 10}
- {destination: {host: shop, subset: v3}, weight: 0}
""")
    one, other = route["route"]["weighted_clusters"]["clusters"]
    assert (one["weight"], one["host_rewrite_literal"]) == (90, "a.example.com")
    assert "host_rewrite_literal" not in other


@pytest.mark.parametrize("action", ["redirect: {uri: /x}", "directResponse: {status: 200}"])
def test_an_answer_of_the_proxys_own_has_no_authority_to_set(action: str) -> None:
    [route] = _routes(f"{{{action}, headers: {{request: {{set: {{host: x.example.com}}}}}}}}")
    assert "host_rewrite_literal" not in route


def test_faults_and_mirrors_without_a_share_are_none_and_all() -> None:
    [route] = _routes("""
fault: {abort: {httpStatus: 500}, delay: {fixedDelay: 1s}}
mirror: {host: copy}
route: [{destination: {host: shop}}]
""")
    fault = route["typed_per_filter_config"]["envoy.filters.http.fault"]
    assert fault["abort"]["percentage"]["numerator"] == fault["delay"]["percentage"]["numerator"] == 0
    [mirror] = route["route"]["request_mirror_policies"]
    assert mirror["runtime_fraction"]["default_value"]["numerator"] == 1_000_000
    [route] = _routes("{mirror: {host: copy}, mirrorPercentage: {value: 0}, route: [{destination: {host: shop}}]}")
    assert "request_mirror_policies" not in route["route"]


def test_consistent_hashing_does_not_avoid_hosts_on_a_retry() -> None:
    entry = "{route: [{destination: {host: shop, subset: v1}}]}"
    [plain] = _routes(entry)
    assert "retry_host_predicate" in plain["route"]["retry_policy"]
    [hashed] = _routes(entry, hashing=lambda host, port, subset: [{"host": host, "subset": subset}])
    assert hashed["route"]["hash_policy"] == [{"host": "shop.shop.svc.cluster.local", "subset": "v1"}]
    assert "retry_host_predicate" not in hashed["route"]["retry_policy"]


ROOT = """
metadata: {name: root, namespace: shop}
spec:
  hosts: [shop]
  http:
  - name: api
    match: [{uri: {prefix: /api}, headers: {x-a: {exact: "1"}}}]
    timeout: 5s
    delegate: {name: leaf, namespace: depot}
  - {directResponse: {status: 404}}
"""


def _delegated(leaf: str, export: str = "['*']") -> list[dict[str, Any]]:
    text = f"metadata: {{name: leaf, namespace: depot}}\nspec: {{exportTo: {export}, http: {leaf}}}"
    found = merged([yaml.safe_load(ROOT), yaml.safe_load(text)])
    assert [config["metadata"]["name"] for config in found] == ["root"]
    http: list[dict[str, Any]] = found[0]["spec"]["http"]
    return http


def test_a_delegates_routes_take_the_place_of_the_roots_and_add_to_its_match() -> None:
    one, last = _delegated("[{name: get, match: [{uri: {exact: /api/x}}], route: [{destination: {host: stock}}]}]")
    assert one["match"] == [{"uri": {"exact": "/api/x"}, "headers": {"x-a": {"exact": "1"}}}]
    assert (one["name"], one["timeout"]) == ("api-get", "5s")
    assert one["route"][0]["destination"]["host"] == "stock.depot.svc.cluster.local"
    assert last == {"directResponse": {"status": 404}}


@pytest.mark.parametrize(
    "match",
    [
        "{uri: {prefix: /other}}", "{uri: {regex: /api.*}}", "{uri: {exact: /api}, headers: {x-a: {exact: '2'}}}",
        "{uri: {prefix: /api}, ignoreUriCase: true}",
    ],
)  # fmt: skip
def test_a_delegates_match_outside_the_roots_is_left_out(match: str) -> None:
    assert len(_delegated(f"[{{match: [{match}], directResponse: {{status: 200}}}}]")) == 1


def test_a_delegate_must_be_exported_to_the_root() -> None:
    assert len(_delegated("[{directResponse: {status: 200}}]")) == 2
    assert len(_delegated("[{directResponse: {status: 200}}]", "['.']")) == 1
