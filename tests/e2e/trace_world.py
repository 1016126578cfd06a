"""A sandbox with a mesh in which requests can go wrong in many ways, and `labrunner trace` in it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.mesh_sandbox import MeshSandbox

NAMESPACES = """
apiVersion: v1
kind: Namespace
metadata: {name: NAME, labels: LABELS}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: NAME}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAME}
spec: {selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: NAME, labels: {app: web, version: v1}}
spec:
  serviceAccountName: web
  containers: [{name: httpbin, image: "mccutchen/go-httpbin:v2.15.0", ports: [{containerPort: 8080}]}]
---
"""
REST = """
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec:
  containers: [{name: curl, image: "curlimages/curl:8.10.1", command: [/bin/sleep, infinity]}]
---
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: legacy, labels: {app: plain}}
spec:
  containers: [{name: curl, image: "curlimages/curl:8.10.1", command: [/bin/sleep, infinity]}]
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: shop}
spec: {selector: {app: echo}, ports: [{name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: echo, namespace: shop, labels: {app: echo}}
spec:
  containers:
  - {name: echo, image: "docker.io/istio/tcp-echo-server:1.3", args: ["9000", "hello"], ports: [{containerPort: 9000}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: strict}
spec: {mtls: {mode: STRICT}}
"""


def labels(namespace: str) -> str:
    return "{istio-injection: enabled}" if namespace != "legacy" else "{}"


class TraceWorld(MeshSandbox):
    """`shop` and `strict` have sidecars, `legacy` has none; `web` answers as httpbin in each of them."""

    def __init__(self, name: str, directory: Path) -> None:
        super().__init__(name, directory)
        self.directory = directory
        namespaces = ("shop", "strict", "legacy")
        pods = "".join(NAMESPACES.replace("NAME", n).replace("LABELS", labels(n)) for n in namespaces)
        self.apply(pods + REST)
        for namespace in namespaces:
            self.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=60s")

    def trace(self, source: str, url: str, *options: str) -> dict[str, Any]:
        """`source`: `namespace/pod`, or `host`."""
        done = self.trace_text(source, url, "--json", *options)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["agrees"], f"the explanation contradicts Envoy: {done.stdout}"
        return found

    def trace_text(self, source: str, url: str, *options: str) -> subprocess.CompletedProcess[str]:
        namespace, _, pod = source.partition("/")
        caller = ["--from", pod, "-n", namespace] if pod else []
        command = [sys.executable, "-m", "labrunner", "trace", *caller, *options, url]
        return subprocess.run(
            command, env=self.environment, cwd=self.directory, capture_output=True, text=True, timeout=60
        )

    def traced(
        self, wanted: Callable[[dict[str, Any]], object], source: str, url: str, *options: str
    ) -> dict[str, Any]:
        """Once configuration that was just applied is in force: until it is as wanted, at most 15 seconds."""
        deadline = time.monotonic() + 15
        while True:
            found = self.trace(source, url, *options)
            if wanted(found) or time.monotonic() > deadline:
                return found

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """A command that goes on meanwhile."""
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def with_objects(self, manifests: str) -> Applied:
        return Applied(self, manifests)


class Applied:
    """Objects that are there for one test."""

    def __init__(self, world: TraceWorld, manifests: str) -> None:
        self.world, self.manifests = world, manifests

    def __enter__(self) -> None:
        self.world.apply(self.manifests)

    def __exit__(self, *_: object) -> None:
        self.world.kubectl("delete", "-f", "-", "--ignore-not-found", "--wait=false", text=self.manifests)


def istio(group: str, kind: str, name: str, spec: str, namespace: str = "shop") -> str:
    """An Istio object; `spec` in YAML's flow style."""
    return (
        f"apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {spec}\n---\n"
    )
