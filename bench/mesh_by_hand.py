"""The gateway of a sandbox beside the same Envoy configured by hand: requests a second, in turns.

By hand means no more than it takes: a listener with Envoy's own access log, a route, mutual TLS to a second listener,
the program behind it.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import Figures

from labrunner.sandbox.mesh.ca import MeshCa
from labrunner.sandbox.mesh.envoy import find_envoy

if TYPE_CHECKING:
    from mesh import Lab

Address = tuple[str, int]
CONNECTIONS = 16
SECONDS = 0.7
TURNS = 9
_TYPE = "type.googleapis.com/envoy.extensions"
_LOG = f"{_TYPE}.access_loggers.file.v3.FileAccessLog"
_TLS = f"{_TYPE}.transport_sockets.tls.v3"


def compare(figures: Figures, lab: Lab, gateway: Address) -> None:
    """`gateway` answers /status/200 through a sidecar, and /here itself, for the host shop.example.com."""
    # A listener that was just changed cuts its connections a second later.
    time.sleep(1.5)
    app = _program(lab)
    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        process, by_hand = _start(Path(directory), app)
        try:
            for what, path in (("alone", "/here"), ("with sidecar and program", "/status/200")):
                pairs = [(rate(gateway, path), rate(by_hand, path)) for _ in range(TURNS)]
                mine, other = (statistics.median(values) for values in zip(*pairs, strict=True))
                figures.add(f"gateway {what}", mine, "req/s")
                figures.add(f"the same by hand, {what}", other, "req/s")
                ratio = statistics.median(one / two for one, two in pairs)
                figures.add(f"of what is possible, gateway {what}", ratio, "x", at_least=0.7)
        finally:
            process.kill()
            process.wait()


def rate(address: Address, path: str) -> float:
    """Answers a second over some connections that each have one request under way."""
    request = f"GET {path} HTTP/1.1\r\nHost: shop.example.com\r\n\r\n".encode()
    chosen = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        sock = socket.create_connection(address)
        sock.sendall(request)
        chosen.register(sock, selectors.EVENT_READ)
    done, begin = 0, time.monotonic()
    try:
        while (now := time.monotonic()) < begin + SECONDS:
            for key, _ in chosen.select(1):
                data = key.fileobj.recv(1 << 16)
                if not data:
                    raise SystemExit(f"{address} cut a connection")
                answered = data.count(b"HTTP/1.1 200")
                if b"HTTP/1.1 5" in data or b"HTTP/1.1 4" in data:
                    raise SystemExit(f"{address} refuses {path}: {data[:200]!r}")
                done += answered
                if answered:
                    key.fileobj.sendall(request * answered)
    finally:
        for key in list(chosen.get_map().values()):
            key.fileobj.close()
    return done / (now - begin)


def _program(lab: Lab) -> Address:
    """Where the program behind the shop's sidecar listens."""
    clusters = json.loads((lab.directory / "mesh" / "envoy" / "cds.json").read_text())["resources"]
    inbound = next(
        one for one in clusters if one["name"].startswith("shop-") and one["name"].endswith("inbound|8080||")
    )
    [end] = inbound["load_assignment"]["endpoints"][0]["lb_endpoints"]
    where = end["endpoint"]["address"]["socket_address"]
    return where["address"], where["port_value"]


def _start(directory: Path, app: Address) -> tuple[subprocess.Popen[bytes], Address]:
    ca = MeshCa.self_signed()
    identity = ca.issue("spiffe://cluster.local/ns/shop/sa/default", 3600)
    ports = [_free() for _ in range(2)]
    config = {
        "admin": {"address": _address(("127.0.0.1", _free()))},
        "static_resources": {
            "listeners": [
                _listener("front", ports[0], [
                    {"match": {"path": "/here"}, "direct_response": {"status": 200}},
                    {"match": {"prefix": "/"}, "route": {"cluster": "back", "timeout": "0s"}},
                ]),
                _listener("back", ports[1], [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}],
                          _tls("DownstreamTlsContext", ca, identity, require_client_certificate=True)),
            ],
            "clusters": [
                _cluster("back", ("127.0.0.1", ports[1]), _tls("UpstreamTlsContext", ca, identity)),
                _cluster("app", app),
            ],
        },
    }  # fmt: skip
    file = directory / "envoy.json"
    file.write_text(json.dumps(config))
    command = [str(find_envoy()), "-c", str(file), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    address = ("127.0.0.1", ports[0])
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(address).close()
            return process, address
        except OSError as error:
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit("Envoy does not start") from error
            time.sleep(0.02)


def _listener(name: str, port: int, routes: list[dict[str, Any]], tls: dict[str, Any] | None = None) -> dict[str, Any]:
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]},
        "access_log": [{"name": "log", "typed_config": {"@type": _LOG, "path": os.devnull}}],
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"}},
        ],
    }
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = tls
    return {"name": name, "address": _address(("127.0.0.1", port)), "filter_chains": [chain]}


def _cluster(name: str, to: Address, tls: dict[str, Any] | None = None) -> dict[str, Any]:
    ends = [{"lb_endpoints": [{"endpoint": {"address": _address(to)}}]}]
    found = {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": ends}}
    return {**found, "transport_socket": tls} if tls else found


def _tls(kind: str, ca: MeshCa, identity: Any, **more: Any) -> dict[str, Any]:
    pair = {
        "certificate_chain": {"inline_string": identity.certificate.decode()},
        "private_key": {"inline_string": identity.key.decode()},
    }
    common = {
        "tls_certificates": [pair],
        "validation_context": {"trusted_ca": {"inline_string": ca.root_pem.decode()}},
    }
    return {"name": "tls", "typed_config": {"@type": f"{_TLS}.{kind}", "common_tls_context": common, **more}}


def _address(place: Address) -> dict[str, Any]:
    return {"socket_address": {"address": place[0], "port_value": place[1]}}


def _free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
