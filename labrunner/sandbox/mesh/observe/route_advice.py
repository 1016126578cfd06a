"""Why no route or filter chain was found: which hosts and matches there are, and what the request had instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from labrunner.sandbox.mesh.model import Config, Workload, World
from labrunner.sandbox.mesh.observe.origin import name_of
from labrunner.sandbox.mesh.observe.record import Record
from labrunner.sandbox.mesh.traffic.gateway_servers import Server, bound_to, servers_of
from labrunner.sandbox.mesh.traffic.hosts import full_name, matches

Words = tuple[str, tuple[str, ...]]
_MATCHES_SHOWN = 3


def no_route(record: Record, world: World, workload: Workload | None, headers: Mapping[str, str] | None) -> Words:
    """An HTTP 404 of a proxy itself."""
    host = record.authority.partition(":")[0]
    if not record.gateway or workload is None:
        return _unmatched(record, [c for c in world.of("VirtualService") if _has_host(c, host, world)], headers)
    servers = [s for s in servers_of(world, workload) if s.serves_http and str(s.port) == record.port]
    bound = [c for c in world.of("VirtualService") if any(bound_to(c, s.gateway) for s in servers)]
    offered = [c for c in bound if any(matches(o, host) for s in servers for h in _hosts(c) for o in s.admits(c, h))]
    if offered:
        return _unmatched(record, offered, headers)
    why = f"no VirtualService of this gateway has the host {host}"
    gateways = ", ".join(dict.fromkeys(s.gateway for s in servers))
    loose = [c for c in world.of("VirtualService") if any(matches(h, host) for h in _hosts(c))]
    if loose:
        listed = (loose[0].get("spec") or {}).get("gateways") or ["mesh"]
        if any(c in bound for c in loose):
            served = ", ".join(h for s in servers for h in s.hosts)
            return why, (f"VirtualService {name_of(loose[0])} has it, but the Gateway's hosts are {served}",)
        return why, (
            f"VirtualService {name_of(loose[0])} has it, but its gateways are {', '.join(listed)}: add {gateways}",
        )
    known = sorted({h for c in bound for h in _hosts(c)})
    return why, (f"call one of {', '.join(known) or 'none'} (the Host header decides), or add a VirtualService",)


def _hosts(config: Config) -> list[str]:
    namespace = config["metadata"].get("namespace", "")
    return [full_name(host, namespace) for host in (config.get("spec") or {}).get("hosts") or ()]


def _has_host(config: Config, host: str, world: World) -> bool:
    names = {host}
    for service in world.services:
        if host in (service.name, f"{service.name}.{service.namespace}", *service.addresses):
            names.add(service.host)
    return any(matches(pattern, name) for pattern in _hosts(config) for name in names)


def _unmatched(record: Record, configs: list[Config], headers: Mapping[str, str] | None) -> Words:
    found = []
    for config in configs:
        for number, entry in enumerate((config.get("spec") or {}).get("http") or ()):
            for index, match in enumerate(entry.get("match") or ()):
                missed = list(misses(match or {}, record, headers))
                place = f"{name_of(config)} http[{number}].match[{index}]"
                found.append((len(missed), [f"{place}.{each}" for each in missed]))
    found.sort(key=lambda each: each[0])
    names = ", ".join(f"VirtualService {name_of(c)}" for c in configs) or "the route table"
    why = f"no match of {names} fits {record.method} {record.path}"
    return why, tuple(text for _, texts in found[:_MATCHES_SHOWN] for text in texts)


def misses(match: Mapping[str, Any], record: Record, headers: Mapping[str, str] | None) -> Iterator[str]:
    """The conditions of one HTTPMatchRequest that do not hold: `uri wants prefix /a; it is /b`."""
    path, _, query = record.path.partition("?")
    values = {"uri": path, "method": record.method, "authority": record.authority}
    for key, value in values.items():
        if (match.get(key)) and not _fits(match[key], value, bool(match.get("ignoreUriCase")) and key == "uri"):
            yield f"{key} wants {_shown(match[key])}; it is {value}"
    for name, wanted in (match.get("headers") or {}).items():
        have = None if headers is None else {k.lower(): v for k, v in headers.items()}.get(name.lower())
        if headers is not None and (have is None or not _fits(wanted or {}, have, False)):
            yield f"headers.{name} wants {_shown(wanted or {})}; it is {have if have is not None else 'absent'}"
    given = parse_qs(query, keep_blank_values=True)
    for name, wanted in (match.get("queryParams") or {}).items():
        have = given.get(name, [None])[0]
        if have is None or not _fits(wanted or {}, have, False):
            yield f"queryParams.{name} wants {_shown(wanted or {})}; it is {have if have is not None else 'absent'}"


def _fits(wanted: Mapping[str, Any], value: str, ignore_case: bool) -> bool:
    if ignore_case:
        wanted, value = {k: str(v).lower() for k, v in wanted.items()}, value.lower()
    if "exact" in wanted:
        return bool(value == wanted["exact"])
    if "prefix" in wanted:
        return value.startswith(wanted["prefix"])
    if "regex" in wanted:
        try:
            return re.fullmatch(wanted["regex"], value) is not None
        except re.error:
            return False
    return True


def _shown(wanted: Mapping[str, Any]) -> str:
    return next((f"{kind} {wanted[kind]}" for kind in ("exact", "prefix", "regex") if kind in wanted), "any value")


def no_chain(record: Record, world: World, workload: Workload) -> Words:
    """A connection that a gateway closed at once: no server of its Gateways takes it."""
    servers = [s for s in servers_of(world, workload) if not s.plain_http and _is_at(s, record, world, workload)]
    asked = record.sni
    if not asked:
        names = ", ".join(dict.fromkeys(h for s in servers for h in s.hosts))
        return (
            "the client named no server in its TLS handshake (SNI), or spoke no TLS",
            (f"call it by name, not by address: curl --resolve NAME:PORT:ADDRESS https://NAME/ (served: {names})",),
        )
    chosen = [s for s in servers if any(matches(h, asked) for h in s.hosts)]
    for server in chosen:
        if server.terminates and (missing := credential_problem(server, world, workload)):
            return f"Gateway {server.gateway} serves {asked}, but {missing[0]}", (missing[1],)
    names = ", ".join(dict.fromkeys(h for s in servers for h in s.hosts)) or "none"
    return (
        f"no server of the Gateways here has the name {asked} that the client asked for (SNI)",
        (f"ask for one of {names}, or add {asked} to the hosts of a Gateway's server",),
    )


def _is_at(server: Server, record: Record, world: World, workload: Workload) -> bool:
    """Whether a server's port leads to the container port where the record was made."""
    if str(server.port) == record.port:
        return True
    return any(
        str(endpoint.port) == record.port and endpoint.workload is not None and endpoint.workload.ip == workload.ip
        for service in world.services
        for endpoint in service.endpoints.get(server.port, ())
    )


def credential_problem(server: Server, world: World, workload: Workload) -> tuple[str, str] | None:
    """(what is wrong, what would mend it) of the secret that a server's TLS needs; None when it is complete."""
    name = server.tls.get("credentialName") or next(iter(server.tls.get("credentialNames") or ()), "")
    where = f"{workload.namespace}/{name}"
    if not name:
        return "its tls has no credentialName", "set tls.credentialName to a secret in the gateway's namespace"
    secret = world.secrets.get((workload.namespace, name))
    if secret is None:
        elsewhere = [ns for ns, other in world.secrets if other == name]
        also = f" (there is one in {', '.join(elsewhere)})" if elsewhere else ""
        return (
            f"the secret {where} does not exist, or holds no certificate{also}",
            f"kubectl create secret tls {name} -n {workload.namespace} --cert=... --key=... (the gateway's namespace)",
        )
    if not (secret.get("tls.crt") or secret.get("cert")) or not (secret.get("tls.key") or secret.get("key")):
        return f"the secret {where} has no tls.crt and tls.key", "put both into it"
    if server.mode in ("MUTUAL", "OPTIONAL_MUTUAL"):
        beside = world.secrets.get((workload.namespace, f"{name}-cacert"), {})
        if not any(each.get(key) for each in (secret, beside) for key in ("ca.crt", "cacert")):
            return (
                f"its mode is {server.mode} and there is no CA certificate in {where} or {where}-cacert",
                f"add ca.crt to the secret {where}, or create {where}-cacert with it",
            )
    return None
