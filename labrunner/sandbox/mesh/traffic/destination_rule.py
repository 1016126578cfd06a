"""DestinationRules: which one a client follows, and its traffic policy as Envoy cluster fields.

Source: pilot/pkg/model/push_context.go (destinationRule), pilot/pkg/networking/core/cluster_traffic_policy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.mesh.model import Config, Service, Workload, World
from labrunner.sandbox.mesh.traffic.durations import envoy_duration, seconds
from labrunner.sandbox.mesh.traffic.hosts import config_visible, full_name, matches, specificity

_UNLIMITED = 4294967295
_LB_POLICY = {
    "ROUND_ROBIN": "ROUND_ROBIN",
    "LEAST_REQUEST": "LEAST_REQUEST",
    "LEAST_CONN": "LEAST_REQUEST",
    "RANDOM": "RANDOM",
    "UNSPECIFIED": "LEAST_REQUEST",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What the DestinationRules of one host come to, for one client."""

    policy: dict[str, Any]
    subsets: Mapping[str, dict[str, Any]]
    source: str
    """`namespace/name` of the object, for metadata and explanations."""

    def policy_of(self, port: int, subset: str = "") -> dict[str, Any]:
        """The policy in force for a port: the subset's over the rule's, the port's over both."""
        merged = dict(self.policy)
        merged |= _for_port(merged, port)
        if subset:
            own = (self.subsets.get(subset) or {}).get("trafficPolicy") or {}
            merged |= {key: value for key, value in own.items() if key != "portLevelSettings"}
            merged |= _for_port(own, port)
        return merged

    def hash_policy(self, port: int | None, subset: str = "") -> list[dict[str, Any]]:
        """What a route to this destination must hash: the subset's say over the rule's, the port's over both."""
        own = (self.subsets.get(subset) or {}).get("trafficPolicy") or {} if subset else {}
        for policy in (own, self.policy):
            levels = [s for s in policy.get("portLevelSettings") or () if port and s["port"].get("number") == port]
            for level in (*levels, policy):
                if found := _hash_policy(level):
                    return found
        return []


def rule_for(world: World, client: Workload, service: Service) -> Rule | None:
    """Looked up in the client's namespace, then the service's, then the root one; the most specific host wins."""
    root = world.mesh.root_namespace
    for namespace in dict.fromkeys((client.namespace, service.namespace, root)):
        candidates = []
        for config in world.of("DestinationRule", namespace):
            spec = config.get("spec") or {}
            pattern = full_name(spec.get("host", ""), namespace)
            if not matches(pattern, service.host) or not config_visible(config, client.namespace):
                continue
            chosen = (spec.get("workloadSelector") or {}).get("matchLabels") or {}
            if chosen and (namespace != client.namespace or any(client.labels.get(k) != v for k, v in chosen.items())):
                continue
            candidates.append((specificity(pattern), not chosen, config))
        if not candidates:
            continue
        candidates.sort(key=lambda candidate: candidate[:2])
        first = candidates[0][2]
        # Several rules for the same host and workloads add up: the oldest one's policy, everyone's subsets.
        same = [config for *rank, config in candidates if rank == list(candidates[0][:2]) and _same_host(config, first)]
        subsets = {s["name"]: s for config in reversed(same) for s in (config["spec"].get("subsets") or ())}
        policy: dict[str, Any] = next((c["spec"]["trafficPolicy"] for c in same if c["spec"].get("trafficPolicy")), {})
        meta = first["metadata"]
        return Rule(policy, subsets, f"{meta.get('namespace', '')}/{meta['name']}")
    return None


def _same_host(one: Config, other: Config) -> bool:
    """Of two rules in one namespace."""
    namespace = one["metadata"].get("namespace", "")
    return full_name(one["spec"].get("host", ""), namespace) == full_name(other["spec"].get("host", ""), namespace)


def cluster_fields(policy: dict[str, Any]) -> dict[str, Any]:
    """Load balancing, limits, outlier detection and timeouts; TLS is the transport socket's matter."""
    fields: dict[str, Any] = {"connect_timeout": "10s", "circuit_breakers": _breakers(policy)}
    fields |= _load_balancing(policy.get("loadBalancer") or {})
    pool = policy.get("connectionPool") or {}
    tcp, http = pool.get("tcp") or {}, pool.get("http") or {}
    if tcp.get("connectTimeout"):
        fields["connect_timeout"] = envoy_duration(tcp["connectTimeout"])
    if tcp.get("tcpKeepalive"):
        fields["upstream_connection_options"] = {"tcp_keepalive": _keepalive(tcp["tcpKeepalive"])}
    common: dict[str, Any] = {}
    if http.get("idleTimeout"):
        common["idle_timeout"] = envoy_duration(http["idleTimeout"])
    if tcp.get("maxConnectionDuration"):
        common["max_connection_duration"] = envoy_duration(tcp["maxConnectionDuration"])
    if http.get("maxRequestsPerConnection"):
        common["max_requests_per_connection"] = int(http["maxRequestsPerConnection"])
    if common:
        fields["common_http_protocol_options"] = common
    if outlier := policy.get("outlierDetection"):
        fields["outlier_detection"] = _outlier(outlier)
        if "minHealthPercent" in outlier:
            fields.setdefault("common_lb_config", {})["healthy_panic_threshold"] = {
                "value": float(outlier["minHealthPercent"])
            }
    return fields


def _hash_policy(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """What a route must hash for this destination; empty without consistent hashing."""
    consistent = (policy.get("loadBalancer") or {}).get("consistentHash") or {}
    if name := consistent.get("httpHeaderName"):
        return [{"header": {"header_name": name}}]
    if cookie := consistent.get("httpCookie"):
        found = {"name": cookie["name"], "path": cookie.get("path", "")}
        if cookie.get("ttl") is not None:
            found["ttl"] = envoy_duration(cookie["ttl"])
        return [{"cookie": found}]
    if consistent.get("useSourceIp"):
        return [{"connection_properties": {"source_ip": True}}]
    if name := consistent.get("httpQueryParameterName"):
        return [{"query_parameter": {"name": name}}]
    return []


def _for_port(policy: dict[str, Any], port: int) -> dict[str, Any]:
    for settings in policy.get("portLevelSettings") or ():
        if int((settings.get("port") or {}).get("number", 0)) == port:
            # What a port does not say is Istio's default, not the rule's.
            own = {key: value for key, value in settings.items() if key != "port"}
            return {key: own.get(key, {}) for key in ("loadBalancer", "connectionPool", "outlierDetection", "tls")}
    return {}


def _breakers(policy: dict[str, Any]) -> dict[str, Any]:
    pool = policy.get("connectionPool") or {}
    tcp, http = pool.get("tcp") or {}, pool.get("http") or {}
    threshold = {
        "max_connections": int(tcp.get("maxConnections") or _UNLIMITED),
        "max_pending_requests": int(http.get("http1MaxPendingRequests") or _UNLIMITED),
        "max_requests": int(http.get("http2MaxRequests") or _UNLIMITED),
        "max_retries": int(http.get("maxRetries") or _UNLIMITED),
        "track_remaining": True,
    }
    return {"thresholds": [threshold]}


def _load_balancing(balancer: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"lb_policy": "LEAST_REQUEST"}
    consistent = balancer.get("consistentHash")
    if consistent:
        if "maglev" in consistent:
            fields["lb_policy"] = "MAGLEV"
            if size := (consistent.get("maglev") or {}).get("tableSize"):
                fields["maglev_lb_config"] = {"table_size": str(size)}
        else:
            minimum = (consistent.get("ringHash") or {}).get("minimumRingSize") or consistent.get("minimumRingSize")
            fields["lb_policy"] = "RING_HASH"
            fields["ring_hash_lb_config"] = {"minimum_ring_size": str(minimum or 1024)}
    elif balancer.get("simple") == "PASSTHROUGH":
        fields["lb_policy"] = "CLUSTER_PROVIDED"
    elif balancer.get("simple"):
        fields["lb_policy"] = _LB_POLICY.get(balancer["simple"], "LEAST_REQUEST")
    warmup = balancer.get("warmup") or {}
    slow = warmup.get("duration") or balancer.get("warmupDurationSecs")
    if slow and fields["lb_policy"] in ("LEAST_REQUEST", "ROUND_ROBIN"):
        key = "least_request_lb_config" if fields["lb_policy"] == "LEAST_REQUEST" else "round_robin_lb_config"
        fields[key] = {"slow_start_config": {"slow_start_window": envoy_duration(slow)}}
    return fields


def _keepalive(settings: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "probes" in settings:
        found["keepalive_probes"] = int(settings["probes"])
    for key, target in (("time", "keepalive_time"), ("interval", "keepalive_interval")):
        if settings.get(key):
            found[target] = int(seconds(settings[key]))
    return found


def _outlier(outlier: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"enforcing_success_rate": 0}
    consecutive = outlier.get("consecutive5xxErrors")
    if consecutive is not None:
        found["consecutive_5xx"] = int(consecutive)
        found["enforcing_consecutive_5xx"] = 100 if int(consecutive) > 0 else 0
    gateway = outlier.get("consecutiveGatewayErrors")
    if gateway is not None:
        found["consecutive_gateway_failure"] = int(gateway)
        found["enforcing_consecutive_gateway_failure"] = 100 if int(gateway) > 0 else 0
    for key, target in (("interval", "interval"), ("baseEjectionTime", "base_ejection_time")):
        if outlier.get(key):
            found[target] = envoy_duration(outlier[key])
    if outlier.get("maxEjectionPercent"):
        found["max_ejection_percent"] = int(outlier["maxEjectionPercent"])
    if outlier.get("splitExternalLocalOriginErrors"):
        found["split_external_local_origin_errors"] = True
        local = outlier.get("consecutiveLocalOriginFailures")
        if local is not None:
            found["consecutive_local_origin_failure"] = int(local)
            found["enforcing_consecutive_local_origin_failure"] = 100 if int(local) > 0 else 0
        found["enforcing_local_origin_success_rate"] = 0
    return found
