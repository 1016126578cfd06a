"""Why a proxy got no good answer from where it sent a request: no endpoint, no connection, no time, no such cluster."""

from __future__ import annotations

from labrunner.sandbox.mesh import policy
from labrunner.sandbox.mesh.model import Endpoint, Service, Workload, World
from labrunner.sandbox.mesh.observe.identity_advice import injection
from labrunner.sandbox.mesh.observe.origin import origin_of
from labrunner.sandbox.mesh.observe.peers import Directory
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.traffic.destination_rule import Rule, rule_for
from labrunner.sandbox.mesh.traffic.sidecar_scope import scope_for

Words = tuple[str, tuple[str, ...]]


def advise(record: Record, world: World, workload: Workload | None, directory: Directory) -> Words | None:
    """None when the upstream is not what went wrong."""
    flags = set(record.flags.split(","))
    if record.upstream_cluster in ("BlackHoleCluster",):
        return unknown_host(record, world, workload)
    if "NC" in flags:
        return _no_cluster(record, world)
    if "UH" in flags:
        return _no_endpoint(record, world, workload, directory)
    if "UO" in flags or record.details == "overflow":
        return _overflow(record, world, workload, directory)
    if flags & {"UF", "DC", "URX", "UC", "UT", "UR"} and (dropped := _dropped(record, world, workload, directory)):
        return dropped
    if record.upstream_failure:
        return _handshake(record, world, workload, directory)
    if "UT" in flags:
        return _late(record, world)
    if "UC" in flags and record.direction != "inbound":
        return _cut(record, directory)
    if "UF" in flags:
        return _unconnected(record, directory)
    if "URX" in flags and record.code >= 500:
        tries = f" after {record.attempts} attempts" if record.attempts > 1 else ""
        return f"every attempt failed{tries}: the retry limit was reached", ()
    return None


def unknown_host(record: Record, world: World, workload: Workload | None) -> Words:
    asked = record.sni or record.authority.partition(":")[0] or record.local.rpartition(":")[0]
    scope = scope_for(world, workload) if workload is not None else None
    known = next((s for s in world.services if asked in (s.host, f"{s.name}.{s.namespace}", *s.addresses)), None)
    if scope is not None and scope.source and known is not None and known not in scope.services:
        return (
            f"Sidecar {scope.source} does not let {asked} be seen from here",
            (f"add {known.namespace}/{known.host} to spec.egress.hosts of Sidecar {scope.source}",),
        )
    why = f"{asked} is not in the mesh's registry, and outboundTrafficPolicy is REGISTRY_ONLY"
    return why, (f"a ServiceEntry with host {asked} lets it through",)


def _service(record: Record, directory: Directory) -> tuple[Service | None, str, int]:
    """(service, subset, port) of the chosen cluster."""
    parts = record.upstream_cluster.split("|")
    if len(parts) != 4:
        return None, "", 0
    return directory.services.get(parts[3]), parts[2], int(parts[1]) if parts[1].isdigit() else 0


def _no_cluster(record: Record, world: World) -> Words:
    origin = origin_of(record, world)
    services = {service.host: service for service in world.services}
    for host, subset, port in origin.destinations():
        service = services.get(host)
        if service is None:
            near = [s.host for s in world.services if s.name == host.partition(".")[0]]
            there = f"; there is {', '.join(near[:3])}" if near else ""
            return (
                f"{origin.name} sends it to {host}, and there is no such service",
                (f"name a service that exists{there}: a short name means the VirtualService's own namespace",),
            )
        if port is not None and port not in {p.port for p in service.ports}:
            have = ", ".join(str(p.port) for p in service.ports)
            return (f"{origin.name} sends it to port {port} of {host}, which has {have}", (f"use port {have}",))
        if subset and subset not in _subsets(world, host):
            known = ", ".join(_subsets(world, host)) or "none"
            return (
                f"{origin.name} sends it to subset {subset} of {host}, and no DestinationRule defines that subset",
                (f"add subset {subset} to a DestinationRule for {host} (defined: {known})",),
            )
    return "the route's cluster does not exist: no such service, port or subset", ()


def _subsets(world: World, host: str) -> list[str]:
    from labrunner.sandbox.mesh.traffic.hosts import full_name, matches

    return [
        subset["name"]
        for rule in world.of("DestinationRule")
        for subset in (rule.get("spec") or {}).get("subsets") or ()
        if matches(full_name((rule.get("spec") or {}).get("host", ""), rule["metadata"].get("namespace", "")), host)
    ]


def _no_endpoint(record: Record, world: World, workload: Workload | None, directory: Directory) -> Words:
    service, subset, port = _service(record, directory)
    if service is None:
        return "no healthy endpoint", ()
    endpoints = list(service.endpoints.get(port, ()))
    if not endpoints:
        wanted = ", ".join(f"{k}={v}" for k, v in service.selector.items()) or "nothing"
        return (
            f"{service.host} has no ready endpoint on port {port}",
            (f"its selector is {wanted}: is there a ready pod in {service.namespace} with these labels?",),
        )
    if subset:
        rule = _rule(world, workload, service)
        labels = ((rule.subsets.get(subset) or {}).get("labels") or {}) if rule else {}
        if not any(_has(e, labels) for e in endpoints):
            wanted = ", ".join(f"{k}={v}" for k, v in labels.items())
            return (
                f"subset {subset} of {service.host} has no ready pod",
                (f"DestinationRule {record.rule} wants pods with {wanted}: start one, or send traffic elsewhere",),
            )
    return (
        f"every endpoint of {service.host} ({len(endpoints)}) is ejected by outlier detection",
        (f"DestinationRule {record.rule}: they come back after outlierDetection.baseEjectionTime",),
    )


def _has(endpoint: Endpoint, labels: dict[str, str]) -> bool:
    return all(endpoint.labels.get(key) == value for key, value in labels.items())


def _rule(world: World, workload: Workload | None, service: Service) -> Rule | None:
    return rule_for(world, workload, service) if workload is not None else None


def _overflow(record: Record, world: World, workload: Workload | None, directory: Directory) -> Words:
    service, subset, port = _service(record, directory)
    rule = _rule(world, workload, service) if service else None
    pool = (rule.policy_of(port, subset) if rule else {}).get("connectionPool") or {}
    limits = [f"{kind}.{key}: {value}" for kind, values in pool.items() for key, value in values.items()]
    named = f" of DestinationRule {record.rule}" if record.rule else ""
    return (
        f"the circuit breaker is open: a limit of connectionPool{named} was reached ({', '.join(limits) or 'default'})",
        ("send fewer requests at a time, or raise the limit",),
    )


def _dropped(record: Record, world: World, workload: Workload | None, directory: Directory) -> Words | None:
    """A NetworkPolicy: the endpoint stands for one to which packets are dropped."""
    service, _, port = _service(record, directory)
    if not world.network_policies or workload is None or service is None:
        return None
    if record.upstream_host and directory.by_ip.get(record.upstream_host.rpartition(":")[0]) is not None:
        return None
    found: list[str] = []
    for endpoint in service.endpoints.get(port, ()):
        if endpoint.workload is not None:
            found += policy.blocking(world, workload, endpoint.workload, endpoint.port)
    names = list(dict.fromkeys(found))
    if not names:
        return None
    return (
        f"the connection to {service.host} was never answered: packets are dropped by {' and '.join(names)}",
        ("no rule of these policies lets this caller reach that port: add one",),
    )


def _handshake(record: Record, world: World, workload: Workload | None, directory: Directory) -> Words:
    said = record.upstream_failure
    target = directory.by_ip.get(record.upstream_host.rpartition(":")[0])
    rule = f"DestinationRule {record.rule}" if record.rule else "the DestinationRule"
    if "WRONG_VERSION_NUMBER" in said.upper():
        why = f"{rule} asks for TLS, and {target.key if target else 'the upstream'} speaks none"
        if target is not None and not target.sidecar:
            return why, (f"{target.key} has no sidecar ({injection(world, target)}); or take tls out of {rule}",)
        return why, (f"take trafficPolicy.tls out of {rule}",)
    if "CERTIFICATE_VERIFY_FAILED" in said.upper():
        return (
            f"{rule}: the certificate that the upstream showed is not accepted ({_plain(said)})",
            ("its name or its CA is another than the client expects: see subjectAltNames and caCertificates",),
        )
    if "CERTIFICATE_REQUIRED" in said.upper() or "HANDSHAKE_FAILURE" in said.upper():
        return (
            f"the upstream wants a client certificate, and {rule} sends none",
            ("tls mode ISTIO_MUTUAL (or no tls at all) shows the sidecar's own",),
        )
    return f"the TLS handshake with the upstream failed: {_plain(said)}", ()


def _late(record: Record, world: World) -> Words:
    origin = origin_of(record, world)
    retries = origin.entry.get("retries") or {}
    if "per_try" in record.details and retries.get("perTryTimeout"):
        why = f"no answer within {retries['perTryTimeout']}, the retries.perTryTimeout of {origin.name}"
        return f"{why}, in {record.attempts} attempts", ("a longer perTryTimeout, or a faster upstream",)
    if origin.entry.get("timeout"):
        why = f"no answer within {origin.entry['timeout']}, the timeout of {origin.name}"
        return why, ("a longer timeout, or a faster upstream",)
    return "the upstream did not answer within the route's timeout", ()


def _cut(record: Record, directory: Directory) -> Words:
    target = directory.by_ip.get(record.upstream_host.rpartition(":")[0])
    who = target.key if target else record.upstream_host
    if not record.upstream_peer and target is not None and target.sidecar:
        rule = f"DestinationRule {record.rule}" if record.rule else "a DestinationRule"
        return (
            f"{who} closed the connection, which was plaintext",
            (f"if {rule} has tls mode DISABLE and the server is STRICT: take it out",),
        )
    return f"{who} closed the connection before it answered", ()


def _unconnected(record: Record, directory: Directory) -> Words:
    host, _, port = record.upstream_host.rpartition(":")
    target = directory.by_ip.get(host)
    if record.direction == "inbound":
        number = record.port or port
        return (
            f"nothing in {record.proxy} listens on port {number}",
            ("the Service's targetPort must be a port on which the container listens",),
        )
    if "timeout" in record.details:
        return f"the connection to {record.upstream_host} timed out", ()
    who = target.key if target else host
    return (
        f"{who} refused the connection on port {port}: nothing listens there",
        ("the Service's targetPort must be a port on which the container listens",),
    )


def _plain(text: str) -> str:
    return text.replace("_", " ").strip().removeprefix("TLS error:").strip() or text
