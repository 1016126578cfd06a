"""Gateways: selectors, ports, credentials, conflicts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from labrunner.sandbox.istioctl.analysis.cluster import Cluster, Object, labels_of, selected, shown
from labrunner.sandbox.istioctl.analysis.message import Message, go_list, message, quoted


def analyze(cluster: Cluster) -> Iterator[Message]:
    for gateway in cluster.all("Gateway"):
        if not gateway["apiVersion"].startswith("networking.istio.io/"):
            continue
        selector = gateway["spec"].get("selector") or {}
        pods = cluster.pods(None, selector) if selector else []
        if selector and not pods:
            yield message("IST0101", gateway, "selector", quoted(shown(selector)))
        for server in gateway["spec"].get("servers") or ():
            yield from _port(cluster, gateway, server, pods, shown(selector))
            yield from _credential(cluster, gateway, server, pods)
    yield from _conflicts(cluster)
    yield from _shared_certificates(cluster)


def _port(
    cluster: Cluster, gateway: Object, server: dict[str, Any], pods: list[Object], selector: str
) -> Iterator[Message]:
    number = (server.get("port") or {}).get("number")
    namespaces = {p["metadata"]["namespace"] for p in pods}
    services = [
        s
        for namespace in namespaces
        for s in cluster.all("Service", namespace)
        if s["spec"].get("selector") and any(selected(s["spec"]["selector"], labels_of(p)) for p in pods)
    ]
    if not services:
        return
    # A server's number is the Service's port; a target port counts as well, as gateways with their own pods use it.
    offered = {n for s in services for p in s["spec"].get("ports") or () for n in (p["port"], p.get("targetPort"))}
    if number not in offered:
        yield message("IST0162", gateway, number, selector)


def _credential(cluster: Cluster, gateway: Object, server: dict[str, Any], pods: list[Object]) -> Iterator[Message]:
    tls = server.get("tls") or {}
    name = tls.get("credentialName", "")
    if not name:
        return
    # The gateway's pods read the secret, so it must be where they are.
    namespaces = {p["metadata"]["namespace"] for p in pods} or {gateway["metadata"]["namespace"]}
    secrets = [s for n in namespaces if (s := cluster.get("Secret", n, name))]
    if not secrets:
        yield message("IST0101", gateway, "credentialName", quoted(name))
    elif not all(_is_pair(secret) for secret in secrets):
        yield message("IST0161", gateway, gateway["metadata"]["name"], gateway["metadata"]["namespace"])


def _is_pair(secret: Object) -> bool:
    data = secret.get("data") or {}
    try:
        pair = [next(data[n] for n in names if n in data) for names in (("tls.crt", "cert"), ("tls.key", "key"))]
        certificate, key = map(base64.b64decode, pair)
    except (StopIteration, binascii.Error):
        return False
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = x509.load_pem_x509_certificate(certificate)
        return found.public_key() == load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError):
        return False


def _conflicts(cluster: Cluster) -> Iterator[Message]:
    gateways = cluster.all("Gateway")
    for gateway in gateways:
        selector = gateway["spec"].get("selector") or {}
        for server in gateway["spec"].get("servers") or ():
            number = (server.get("port") or {}).get("number")
            hosts = set(server.get("hosts") or ())
            rivals = sorted(
                f"{o['metadata']['namespace']}/{o['metadata']['name']}"
                for o in gateways
                if o is not gateway
                and (o["spec"].get("selector") or {}) == selector
                and any(
                    (s.get("port") or {}).get("number") == number and hosts & set(s.get("hosts") or ())
                    for s in o["spec"].get("servers") or ()
                )
            )
            if rivals:
                yield message(
                    "IST0145", gateway, ",".join(rivals), shown(selector), number, ",".join(server.get("hosts") or ())
                )


def _shared_certificates(cluster: Cluster) -> Iterator[Message]:
    users: dict[tuple[str, str], list[Object]] = {}
    for gateway in cluster.all("Gateway"):
        names = {(s.get("tls") or {}).get("credentialName", "") for s in gateway["spec"].get("servers") or ()}
        for name in names - {""}:
            users.setdefault((shown(gateway["spec"].get("selector") or {}), name), []).append(gateway)
    for gateways in users.values():
        if len(gateways) > 1:
            names_of = sorted(f"{g['metadata']['namespace']}/{g['metadata']['name']}" for g in gateways)
            for gateway in gateways:
                yield message("IST0138", gateway, go_list(names_of))
