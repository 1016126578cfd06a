"""Access log lines become Istio's log lines, metrics, linked spans and explained hops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labrunner.sandbox.mesh.model import Endpoint, MeshConfig, Service, ServicePort, Workload, World
from labrunner.sandbox.mesh.observe import admin_pages
from labrunner.sandbox.mesh.observe.hops import hops
from labrunner.sandbox.mesh.observe.hosts import hosts_of, mark
from labrunner.sandbox.mesh.observe.istiod_shape import listeners
from labrunner.sandbox.mesh.observe.log_line import log_line
from labrunner.sandbox.mesh.observe.metrics import Metrics
from labrunner.sandbox.mesh.observe.observer import NotFound, Observer
from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.record import Record, parse
from labrunner.sandbox.mesh.observe.rotation import LIMIT
from labrunner.sandbox.mesh.observe.spans import Spans, jaeger, sampled, spans_of
from labrunner.sandbox.mesh.telemetry import Tracing, log_fields
from labrunner.sandbox.workload.addresses import AddressPlan

PLAN = AddressPlan(7)
CLIENT_ID, SERVER_ID = "spiffe://cluster.local/ns/shop/sa/client", "spiffe://cluster.local/ns/shop/sa/web"
ID = "11111111-2222-3333-4444-555555555555"
LABELS = {"app": "client", "version": "v1", "pod-template-hash": "abc"}
CLIENT = Workload("client-abc-x1", "shop", LABELS, "client", "10.244.0.5", True)
SERVER = Workload("web-def-y2", "shop", {"app": "web", "pod-template-hash": "def"}, "web", "10.244.2.5", True)
WEB = Service(
    "web.shop.svc.cluster.local", "web", "shop", ("10.96.0.9",), (ServicePort("http", 80, 80),),
    {80: [Endpoint("10.244.2.5", 80, SERVER)]},
)  # fmt: skip


def world(*policies: dict[str, Any], telemetry: tuple[dict[str, Any], ...] = ()) -> World:
    configs = {"AuthorizationPolicy": policies, "Telemetry": telemetry}
    return World(MeshConfig(), (CLIENT, SERVER), (WEB,), configs, {}, {})


DIRECTORY = Directory.of((CLIENT, SERVER), (WEB,), "cluster.local")


def line(**fields: Any) -> str:
    base = {
        "proxy": CLIENT.key, "direction": "outbound", "port": "80", "start": "2026-01-02T03:04:05.100Z", "flags": "-",
        "details": "via_upstream", "termination": None, "received": 0, "sent": 12, "duration": 9, "method": "GET",
        "path": "/x", "protocol": "HTTP/1.1", "code": 200, "request_id": ID, "authority": "web", "user_agent": "curl/8",
        "upstream_host": "127.7.2.5:61080", "upstream_cluster": f"{CLIENT.key}/outbound|80||{WEB.host}",
        "upstream_local": "127.7.0.5:41000", "upstream_peer": SERVER_ID, "local": "10.96.0.9:80",
        "remote": "127.7.0.5:40000", "direct_remote": "127.7.0.5:40000", "route": "default",
    }  # fmt: skip
    return json.dumps({**base, **fields})


INBOUND = {
    "proxy": SERVER.key, "direction": "inbound", "start": "2026-01-02T03:04:05.103Z", "duration": 4,
    "upstream_cluster": f"{SERVER.key}/inbound|80||", "upstream_host": "127.0.0.1:5000", "upstream_peer": None,
    "local": "127.7.2.5:61080", "remote": "127.7.0.5:41000", "direct_remote": "127.7.0.5:41000", "peer": CLIENT_ID,
    "own": SERVER_ID, "tls": "TLSv1.3",
}  # fmt: skip


def record(**fields: Any) -> Record:
    found = parse(line(**fields), PLAN)
    assert found is not None
    return found


def test_addresses_are_the_clusters_and_names_istiods() -> None:
    found = record()
    assert found.upstream_host == "10.244.2.5:80"
    assert found.upstream_cluster == "outbound|80||web.shop.svc.cluster.local"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"proxy": "a"}', '{"start": "x", "proxy": "a", "direction": "b"}'])
def test_a_torn_or_foreign_line_is_no_record(text: str) -> None:
    assert parse(text, PLAN) is None


def test_the_log_line_has_istios_default_format() -> None:
    assert log_line(record()) == (
        '[2026-01-02T03:04:05.100Z] "GET /x HTTP/1.1" 200 - via_upstream - "-" 0 12 9 - "-" "curl/8" '
        f'"{ID}" "web" "10.244.2.5:80" outbound|80||web.shop.svc.cluster.local 10.244.0.5:41000 10.96.0.9:80 '
        "10.244.0.5:40000 - default"
    )


def test_both_reporters_count_the_request_with_istios_labels() -> None:
    metrics = Metrics()
    metrics.add(record(), DIRECTORY)
    metrics.add(record(**INBOUND), DIRECTORY)
    (source,) = [labels for _, labels, _ in metrics.samples(CLIENT.key)]
    (destination,) = [labels for _, labels, _ in metrics.samples(SERVER.key)]
    for labels in (source, destination):
        assert labels["source_workload"] == "client"
        assert labels["destination_workload"] == "web"
        assert labels["destination_service"] == WEB.host
        assert labels["response_code"] == "200"
        assert labels["source_principal"] == CLIENT_ID
        assert labels["destination_principal"] == SERVER_ID
    assert (source["reporter"], source["connection_security_policy"]) == ("source", "unknown")
    assert (destination["reporter"], destination["connection_security_policy"]) == ("destination", "mutual_tls")
    text = metrics.text(SERVER.key)
    assert "# TYPE istio_requests_total counter" in text
    assert 'le="+Inf"} 1' in text
    assert metrics.text("nobody.shop") == ""


def test_tcp_connections_count_bytes_and_no_requests() -> None:
    metrics = Metrics()
    metrics.add(record(method=None, protocol=None, code=0, request_id=None, received=7), DIRECTORY)
    values = {name: value for name, _, value in metrics.samples()}
    assert values["istio_tcp_received_bytes_total"] == 7
    assert values["istio_tcp_connections_opened_total"] == 1
    assert "istio_requests_total" not in values


def test_the_servers_span_is_below_the_clients() -> None:
    client, server = spans_of([record(), record(**INBOUND)], DIRECTORY)
    assert client.parent_id == ""
    assert server.parent_id == client.span_id
    assert client.trace_id == server.trace_id == ID.replace("-", "")
    assert (client.service, server.service) == ("client.shop", "web.shop")


def test_a_given_traceparent_is_carried_on() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    (span,) = spans_of([record(traceparent=parent)], DIRECTORY)
    assert (span.trace_id, span.parent_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def test_about_the_asked_share_is_sampled_and_always_the_same_ones() -> None:
    ids = [f"request-{n}" for n in range(4000)]
    chosen = [i for i in ids if sampled(i, 25)]
    assert 850 < len(chosen) < 1150
    assert chosen == [i for i in ids if sampled(i, 25)]
    assert not any(sampled(i, 0) for i in ids)
    assert all(sampled(i, 100) for i in ids)


def test_jaegers_api_finds_traces_by_service_and_tag() -> None:
    spans = Spans(lambda _: Tracing(100, tags={"env": "lab"}))
    spans.add(record())
    spans.add(record(**INBOUND))
    assert jaeger("api/services", {}, spans, DIRECTORY)[1]["data"] == ["client.shop", "web.shop"]
    status, answer = jaeger("api/traces", {"service": "web.shop", "tags": '{"env": "lab"}'}, spans, DIRECTORY)
    assert status == 200
    (trace,) = answer["data"]
    assert len(trace["spans"]) == 2
    assert jaeger("api/traces", {"service": "web.shop", "tags": '{"env": "x"}'}, spans, DIRECTORY)[1]["data"] == []
    assert jaeger("api/traces", {}, spans, DIRECTORY)[0] == 400
    assert jaeger("api/traces/abc", {}, spans, DIRECTORY)[0] == 404


def policy(principal: str) -> dict[str, Any]:
    rule = {"from": [{"source": {"principals": [principal]}}]}
    metadata = {"name": "web", "namespace": "shop"}
    return {"kind": "AuthorizationPolicy", "metadata": metadata, "spec": {"rules": [rule]}}


def test_a_denied_hop_names_what_would_have_to_change() -> None:
    details = "rbac_access_denied_matched_policy[none]"
    (hop,) = hops([record(**INBOUND, code=403, details=details)], world(policy("*/sa/other")), DIRECTORY, {}, PLAN)
    assert (hop.verdict, hop.agrees) == ("denied", True)
    assert hop.change == (
        "shop/web rules[0].from[0].source.principals wants */sa/other; it is cluster.local/ns/shop/sa/client",
    )
    assert hop.tls == "mTLS TLSv1.3"


def test_a_hop_that_envoy_decided_otherwise_is_reported_as_our_defect() -> None:
    (hop,) = hops([record(**INBOUND)], world(policy("*/sa/other")), DIRECTORY, {}, PLAN)
    assert not hop.agrees
    assert "defect of labrunner" in hop.why


def test_an_allowed_hop_names_the_rule() -> None:
    (hop,) = hops([record(**INBOUND)], world(policy("*/sa/client")), DIRECTORY, {}, PLAN)
    assert (hop.verdict, hop.policy, hop.agrees) == ("allowed", "shop/web rules[0]", True)


def test_failures_are_told_in_words() -> None:
    (hop,) = hops([record(code=503, flags="UH", details="no_healthy_upstream")], world(), DIRECTORY, {}, PLAN)
    assert hop.verdict == "failed"
    assert "outlier detection" in hop.why


class View:
    def __init__(self, log: Path, seen: World) -> None:
        self.access_log, self.addresses, self._seen = log, PLAN, seen

    def world(self) -> World:
        return self._seen

    def resources(self, proxy: Workload) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def identity(self, proxy: Workload) -> None:
        return None

    def root_pem(self) -> bytes:
        return b""

    def pending(self) -> bool:
        return False

    def problem(self) -> str:
        return ""

    def refused(self, proxy: Workload) -> str:
        return "bad filter" if proxy is SERVER else ""

    async def envoy_stats(self, pattern: str) -> dict[str, str]:
        return {}

    async def envoy_hosts(self, proxy: Workload) -> dict[str, dict[str, str]]:
        return {}

    async def reopen_log(self) -> None:
        """As Envoy: what it still had to say to the old file comes before it leaves it."""
        with self.access_log.with_name("access.log.old").open("a") as old:
            old.write(line(request_id="late") + "\n")


async def test_the_observer_takes_in_whole_lines_as_they_come(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    observer = Observer(View(log, world()))
    assert observer.refresh() == 0
    log.write_text(line() + "\n" + line(**INBOUND)[:50])
    assert observer.refresh() == 1
    with log.open("a") as more:
        more.write(line(**INBOUND)[50:] + "\n")
    assert observer.refresh() == 1
    _, answer = await observer.answer("way", {"request_id": ID, "url": "http://web/x"})
    assert [hop["direction"] for hop in answer["hops"]] == ["outbound", "inbound"]


async def test_a_refused_configuration_is_stale_and_unknown_questions_are_refused(tmp_path: Path) -> None:
    observer = Observer(View(tmp_path / "none", world()))
    _, status = await observer.answer("status", {})
    states = {p["name"]: p["cds"] for p in status["proxies"]}
    assert states == {CLIENT.key: "SYNCED", SERVER.key: "STALE"}
    with pytest.raises(NotFound):
        await observer.answer("nonsense", {})
    with pytest.raises(NotFound):
        await observer.answer("config_dump", {"proxy": "nobody.shop"})


async def test_telemetry_of_the_workload_overrules_that_of_the_mesh(tmp_path: Path) -> None:
    def telemetry(namespace: str, percentage: float, labels: dict[str, str] | None = None) -> dict[str, Any]:
        spec: dict[str, Any] = {"tracing": [{"randomSamplingPercentage": percentage}]}
        if labels:
            spec["selector"] = {"matchLabels": labels}
        return {"metadata": {"name": "t", "namespace": namespace}, "spec": spec}

    found = (telemetry("shop", 100, {"app": "client"}), telemetry("istio-system", 0))
    log = tmp_path / "access.log"
    log.write_text(line() + "\n")
    observer = Observer(View(log, world(telemetry=found)))
    _, answer = await observer.answer("api/services", {})
    assert answer["data"] == ["client.shop"]


async def test_a_long_log_is_begun_anew_and_no_line_is_lost(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    observer = Observer(View(log, world()))
    seen: list[str] = []
    observer.listeners.append(lambda found: seen.append(found.request_id))
    one = line(request_id="early") + "\n"
    count = LIMIT // len(one) + 1
    log.write_text(one * count)
    observer.refresh()
    assert await observer.keep_small()
    assert log.stat().st_size == 0
    log.write_text(line(request_id="new") + "\n")
    observer.refresh()
    assert seen == ["early"] * count + ["late", "new"]
    assert not await observer.keep_small()
    assert [path.name for path in tmp_path.iterdir()] == ["access.log"]


async def test_custom_tags_come_from_literals_headers_and_the_environment(tmp_path: Path) -> None:
    tags = {
        "env": {"literal": {"value": "lab"}},
        "team": {"header": {"name": "x-team", "defaultValue": "none"}},
        "pod": {"environment": {"name": "POD_NAME"}},
        "zone": {"environment": {"name": "ZONE", "defaultValue": "z1"}},
    }
    spec = {"tracing": [{"randomSamplingPercentage": 100, "customTags": tags}]}
    seen = world(telemetry=({"metadata": {"name": "t", "namespace": "shop"}, "spec": spec},))
    assert log_fields(seen, CLIENT, "outbound", 80)["tag:team"] == "%REQ(X-TEAM)%"
    log = tmp_path / "access.log"
    log.write_text(line(**{"tag:team": "blue"}) + "\n" + line(request_id="second", **{"tag:team": None}) + "\n")
    observer = Observer(View(log, seen))
    _, answer = await observer.answer("api/traces", {"service": "client.shop"})
    found = [{tag["key"]: tag["value"] for tag in trace["spans"][0]["tags"]} for trace in answer["data"]]
    assert [tag["team"] for tag in found] == ["none", "blue"]
    assert (found[0]["env"], found[0]["pod"], found[0]["zone"]) == ("lab", CLIENT.name, "z1")


@pytest.mark.parametrize(
    ("spec", "logged"),
    [
        ({"disabled": True}, []),
        ({"filter": {"expression": "response.code >= 400"}}, [503]),
        ({"filter": {"expression": "request.url_path == '/x' && response.code == 200"}}, [200]),
        ({"filter": {"expression": "this is no CEL"}}, []),
        ({"providers": [{"name": "otel"}], "disabled": True}, [200, 503]),
    ],
)
async def test_telemetry_says_what_the_access_log_has(tmp_path: Path, spec: dict[str, Any], logged: list[int]) -> None:
    telemetry = {"metadata": {"name": "t", "namespace": "shop"}, "spec": {"accessLogging": [spec]}}
    log = tmp_path / "access.log"
    log.write_text(line() + "\n" + line(code=503, path="/x?y") + "\n")
    observer = Observer(View(log, world(telemetry=(telemetry,))))
    seen: list[int] = []
    observer.listeners.append(lambda found: seen.append(found.code))
    observer.refresh()
    assert seen == logged
    assert sum(value for name, _, value in observer.metrics.samples() if name == "istio_requests_total") == 2


def test_endpoints_that_envoy_has_ejected_are_marked() -> None:
    place = {"socket_address": {"address": "127.7.2.5", "port_value": 61080}}
    status = {"address": place, "health_status": {"failed_outlier_check": True}}
    name = f"outbound|80||{WEB.host}"
    document = {"cluster_statuses": [{"name": f"{CLIENT.key}/{name}", "host_statuses": [status]}]}
    found = hosts_of(document, CLIENT.key, PLAN)
    assert found == {name: {"10.244.2.5:80": "FAILED"}}
    seen = {"endpoint": {"address": {"socket_address": {"address": "10.244.2.5", "port_value": 80}}}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [seen]}]}
    mark([assignment], found)
    assert seen["outlier_check"] == "FAILED"
    assert "health_flags::/failed_outlier_check" in admin_pages.clusters([assignment])
    assert hosts_of(document, SERVER.key, PLAN) == {}


def test_listeners_are_shown_as_istiod_delivers_them() -> None:
    http = {"name": "envoy.filters.network.http_connection_manager", "typed_config": {"route_config": {"name": "80"}}}
    tcp = {"name": "envoy.filters.network.tcp_proxy", "typed_config": {"cluster": "outbound|9|x"}}
    vip = {"destination_port": 9, "prefix_ranges": [{"address_prefix": "10.96.0.9", "prefix_len": 32}]}
    outbound = {
        "name": "outbound", "address": {"socket_address": {"address": "10.244.0.5", "port_value": 15001}},
        "default_filter_chain": {"name": "rest", "filters": []},
        "filter_chains": [
            {"name": "0.0.0.0_80", "filter_chain_match": {"destination_port": port}, "filters": [http]}
            for port in (80, 61080)
        ] + [{"name": "x_9", "filter_chain_match": vip, "filters": [tcp]}],
    }  # fmt: skip
    inbound = {"name": "inbound|8080", "address": {"socket_address": {"address": "10.244.0.5", "port_value": 8080}},
               "filter_chains": [{"name": "0.0.0.0_8080", "filters": [http]}]}  # fmt: skip
    found = {each["name"]: each for each in listeners([outbound, inbound])}
    assert list(found) == ["0.0.0.0_80", "10.96.0.9_9", "virtualOutbound", "virtualInbound"]
    (chain,) = found["0.0.0.0_80"]["filter_chains"]
    assert chain["filters"][0]["typed_config"]["rds"]["route_config_name"] == "80"
    assert "filter_chain_match" not in found["10.96.0.9_9"]["filter_chains"][0]
    assert found["virtualInbound"]["filter_chains"][0]["filter_chain_match"] == {"destination_port": 8080}
    assert found["virtualOutbound"]["default_filter_chain"]["name"] == "rest"


async def test_connections_that_no_filter_saw_are_no_traffic(tmp_path: Path) -> None:
    tcp = {**INBOUND, "method": None, "protocol": None, "code": 0, "request_id": None}
    failure = "TLS_error:|1:SSL_routines:PEER_DID_NOT_RETURN_A_CERTIFICATE:TLS_error_end"
    refused = {**tcp, "upstream_cluster": None, "upstream_host": None}
    reset = "TLS_error:|2:system library:Connection reset by peer"
    lines = [
        line(**{**refused, "flags": "NR", "details": "filter_chain_not_found"}),
        line(**{**refused, "downstream_failure": failure}),
        line(**{**tcp, "downstream_failure": reset, "details": None}),
    ]
    log = tmp_path / "access.log"
    log.write_text("\n".join(lines) + "\n")
    observer = Observer(View(log, world()))
    logged: list[str] = []
    observer.listeners.append(lambda found: logged.append(found.flags))
    assert observer.refresh() == 3
    opened = [v for name, _, v in observer.metrics.samples() if name == "istio_tcp_connections_opened_total"]
    assert opened == [1]
    assert logged == ["NR", ""]
    found = hops([record(**{**tcp, "downstream_failure": reset, "details": None})], world(), DIRECTORY, {}, PLAN)
    assert found[0].verdict == "allowed"
