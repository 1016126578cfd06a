"""A running sandbox with upstream Istio for the tests of the mesh, and what they do in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from labrunner.errors import EnvironmentFault
from labrunner.sandbox.instance import Sandbox
from labrunner.sandbox.mesh.envoy import find_envoy

SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: legacy}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: shop, namespace: shop, labels: {app: shop}}
spec:
  containers: [{name: httpbin, image: "mccutchen/go-httpbin:v2.15.0", ports: [{containerPort: 8080}]}]
---
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
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["shop.example.com"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http: [{route: [{destination: {host: shop, port: {number: 8000}}}]}]
"""


def no_envoy() -> str:
    """Why traffic cannot be tried on this machine; empty when it can."""
    try:
        find_envoy()
    except EnvironmentFault as error:
        return f"{error.message} ({error.hint})"
    return ""


class MeshSandbox:
    """A sandbox with the shop in it: `client` (sidecar) and `plain` (none) may call `shop`."""

    def __init__(self, name: str, directory: Path) -> None:
        self.sandbox = Sandbox(name, directory)
        self.sandbox.start(owned=True, instant=True, flavour="istio")
        self.environment = {**os.environ, **self.sandbox.environment()}

    def kubectl(self, *words: str, text: str = "", check: bool = True) -> str:
        command = ["kubectl", *words]
        done = subprocess.run(command, env=self.environment, input=text, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *command: str) -> str:
        """A command of the learner's own shell."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=90)
        return done.stdout

    def apply(self, manifests: str) -> None:
        self.kubectl("apply", "-f", "-", text=manifests)

    def open_shop(self) -> None:
        self.apply(SHOP)
        for namespace in ("shop", "legacy"):
            self.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=30s")

    def curl(self, source: str, url: str, *options: str) -> tuple[int, int, str]:
        """(curl's exit code, HTTP status, body); `source` is `namespace/pod`, or `host`."""
        words = ["curl", "-sS", "-m", "5", "-w", "\n%{http_code}", *options, url]
        if source != "host":
            namespace, _, pod = source.partition("/")
            words = ["kubectl", "exec", "-n", namespace, pod, "--", *words]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
        body, _, status = done.stdout.rpartition("\n")
        return done.returncode, int(status or 0), body

    def public_address(self) -> str:
        query = "jsonpath={.status.loadBalancer.ingress[0].ip}"
        words = ("get", "service", "-n", "istio-system", "istio-ingressgateway", "-o", query)
        until(lambda: self.kubectl(*words) != "")
        return self.kubectl(*words)

    @property
    def server_pid(self) -> int:
        return int(json.loads((self.sandbox.directory / "running").read_text())["pid"])

    def envoy_pids(self) -> list[int]:
        """Envoys that this sandbox started."""
        marker = str(self.sandbox.directory / "mesh").encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if marker in line and b"envoy" in line.split(b"\0")[0]:
                    found.append(int(entry.name))
        return found

    def kill_envoy(self) -> None:
        for pid in self.envoy_pids():
            os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Waits for a condition; fails when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
