"""Gateway. Source: ValidateGateway in pkg/config/validation/validation.go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labrunner.sandbox.kube.api import Obj

_HTTP = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")
_TLS = ("HTTPS", "TLS")
_PROTOCOLS = (*_HTTP, *_TLS, "MONGO", "REDIS", "MYSQL", "TCP", "UDP")


def gateway(obj: Obj) -> Iterator[str]:
    spec = obj.get("spec") or {}
    if "." in obj["metadata"]["name"]:
        yield f'invalid gateway name: "{obj["metadata"]["name"]}"'
    servers = spec.get("servers") or ()
    if not servers:
        yield "gateway must have at least one server"
    names: set[str] = set()
    for server in servers:
        yield from _server(server)
    for server in servers:
        name = (server.get("port") or {}).get("name", "")
        if name in names:
            yield f"port names in servers must be unique: duplicate name {name}"
        names.add(name)


def _server(server: dict[str, Any]) -> Iterator[str]:
    port, tls = server.get("port"), server.get("tls")
    if not server.get("hosts"):
        yield "server config must contain at least one host"
    for host in server.get("hosts") or ():
        yield from _host(host)
    bad = list(_port(port))
    yield from bad
    yield from _tls_options(tls) if tls is not None else ()
    if port is None or bad:
        return
    protocol = str(port.get("protocol", "")).upper()
    if protocol in _TLS and tls is None:
        yield "server must have TLS settings for HTTPS/TLS protocols"
    elif protocol not in _TLS and tls is not None:
        if protocol not in _HTTP:
            yield "server cannot have TLS settings for non HTTPS/TLS ports"
        elif tls.get("mode", "PASSTHROUGH") not in ("PASSTHROUGH", "AUTO_PASSTHROUGH") or any(
            tls.get(key) for key in ("caCertificates", "privateKey", "serverCertificate")
        ):
            yield "server cannot have TLS settings for plain text HTTP ports"


def _host(host: str) -> Iterator[str]:
    namespace, slash, name = host.rpartition("/")
    if slash and not namespace:
        yield "config namespace and dnsName in host entry cannot be empty"
    if name == "*" or not name:
        if not name:
            yield "empty domain name not allowed"
        return
    if "*" in name.removeprefix("*.").removeprefix("*-"):
        yield f'wildcards (*) can only be used at the start of a hostname, got "{name}"'


def _port(port: dict[str, Any] | None) -> Iterator[str]:
    if port is None:
        yield "port is required"
        return
    protocol = str(port.get("protocol", ""))
    if protocol.upper() not in _PROTOCOLS:
        yield (
            f'invalid protocol "{protocol}", supported protocols are HTTP, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL,'
            " TCP"
        )
    number = int(port.get("number", 0))
    if not 1 <= number <= 65535:
        yield f"port number {number} must be in the range 1..65535"
    if port.get("targetPort"):
        yield "targetPort has no impact on Gateways"
    if not port.get("name"):
        yield f'port name must be set: number:{number} protocol:"{protocol}"'


def _tls_options(tls: dict[str, Any]) -> Iterator[str]:
    mode = tls.get("mode", "PASSTHROUGH")
    if mode == "ISTIO_MUTUAL":
        for key, words in (
            ("serverCertificate", "server certificate"), ("privateKey", "private key"), ("caCertificates", "CA bundle"),
            ("tlsCertificates", "tlsCertificates"), ("credentialName", "credentialName"),
            ("credentialNames", "credentialNames"),
        ):  # fmt: skip
            if tls.get(key):
                yield f"ISTIO_MUTUAL TLS cannot have associated {words}"
        return
    files = bool(tls.get("serverCertificate") and tls.get("privateKey"))
    sources = [files, *(bool(tls.get(key)) for key in ("credentialName", "credentialNames", "tlsCertificates"))]
    if sum(sources) > 1:
        yield (
            "only one of credential_name, credential_names, server_certificate/private_key, tls_certificates should be"
            " specified"
        )
    if mode not in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL") or tls.get("credentialName") or tls.get("credentialNames"):
        return
    prefix = "SIMPLE TLS" if mode == "SIMPLE" else "MUTUAL TLS"
    if mode != "SIMPLE" and not tls.get("caCertificates"):
        yield f"{prefix} requires a client CA bundle"
    for pair in tls.get("tlsCertificates") or (tls,):
        if not pair.get("serverCertificate"):
            yield f"{prefix} requires a server certificate"
        if not pair.get("privateKey"):
            yield f"{prefix} requires a private key"
