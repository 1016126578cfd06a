"""The mesh: how soon it serves, how soon a policy is in force, what pods cost, what the gateway carries.

python bench/mesh.py [ready|policy|first|memory|gateway ...]     one line per figure; exit 1 when a limit is missed
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figures, cpu_seconds, resident_mb

LABRUNNER = [sys.executable, "-m", "labrunner"]
FLIPS = 1000
FIRST = 250
"""Changes of each kind of object, after each of which the very next request is judged."""
WARM_AFTER = 5
"""Requests on the warm connection after a change was first seen, none of which may show the old verdict."""

APP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers: [{name: httpbin, image: "mccutchen/go-httpbin:v2.15.0", ports: [{containerPort: 8080}]}]
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
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http:
  - {match: [{uri: {exact: /here}}], directResponse: {status: 200}}
  - {route: [{destination: {host: shop, port: {number: 8000}}}]}
"""
DENY = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "flip", "namespace": "shop"},
    "spec": {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/status/200"]}}]}]},
}
POLICIES = "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies"


class Lab:
    """A sandbox of upstream flavour in a directory of its own."""

    def __init__(self, directory: str) -> None:
        self.environment = {**os.environ, "LABRUNNER_HOME": directory}
        self.directory = Path(directory) / "state" / "sandboxes" / "bench"
        self.run("start", "--flavour", "istio", "--instant")
        printed = self.run("env")
        for line in printed.splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.environment[name] = value

    def run(self, *words: str, text: str = "") -> str:
        command = [*LABRUNNER, "sandbox", words[0], "--name", "bench", *words[1:]]
        done = subprocess.run(command, env=self.environment, input=text, capture_output=True, text=True, check=True)
        return done.stdout

    def kubectl(self, *words: str, text: str = "") -> str:
        command = ["kubectl", *words]
        done = subprocess.run(command, env=self.environment, input=text, capture_output=True, text=True, check=True)
        return done.stdout

    def stop(self) -> None:
        self.run("stop")

    def gateway(self) -> tuple[str, int]:
        """Where the gateway's pod really listens for port 80."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                listeners = json.loads((self.directory / "mesh" / "envoy" / "lds.json").read_text())["resources"]
                for one in listeners:
                    if one["name"].startswith("istio-ingressgateway") and one["name"].endswith("/0.0.0.0_8080"):
                        where = one["address"]["socket_address"]
                        return where["address"], where["port_value"]
            time.sleep(0.005)
        raise SystemExit("the gateway has no listener")

    def pids(self) -> tuple[int, int]:
        """The server's and Envoy's."""
        server = json.loads((self.directory / "running").read_text())["pid"]
        children = subprocess.run(["pgrep", "-P", str(server), "envoy"], capture_output=True, text=True).stdout.split()
        return server, int(children[0]) if children else 0


def status(connection: http.client.HTTPConnection, path: str = "/status/200") -> int:
    connection.request("GET", path, headers={"Host": "shop.example.com"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def until(address: tuple[str, int], wanted: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if status(http.client.HTTPConnection(*address, timeout=2)) == wanted:
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise SystemExit(f"no {wanted} from {address} within {seconds} s")


def ready(figures: Figures) -> None:
    """From nothing to a 200 through gateway, two sidecars and a program; CPU of all that takes part."""
    times, work = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
            begin, before = time.monotonic(), os.times()
            lab = Lab(directory)
            lab.kubectl("apply", "-f", "-", text=APP)
            lab.kubectl("rollout", "status", "-n", "shop", "deployment/shop")
            until(lab.gateway(), 200)
            times.append(time.monotonic() - begin)
            after, (server, envoy) = os.times(), lab.pids()
            own = sum(after[:4]) - sum(before[:4])
            work.append(own + cpu_seconds(server) + cpu_seconds(envoy))
            lab.stop()
    figures.add("nothing to 200 through gateway, sidecars, app", statistics.median(times), "s", 3)
    figures.add("of CPU", statistics.median(work), "s")


def policy(figures: Figures) -> None:
    """How long after the API server has answered a policy decides, on new and on warm connections."""
    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        lab = Lab(directory)
        lab.kubectl("apply", "-f", "-", text=APP)
        lab.kubectl("rollout", "status", "-n", "shop", "deployment/shop")
        address = lab.gateway()
        until(address, 200)
        api = Api(lab.directory / "kubeconfig")
        warm = http.client.HTTPConnection(*address, timeout=5)
        status(warm)
        new_times, warm_times, stale = [], [], 0
        for flip in range(FLIPS):
            wanted = 403 if flip % 2 == 0 else 200
            if wanted == 403:
                api.send("POST", POLICIES, DENY)
            else:
                api.send("DELETE", f"{POLICIES}/flip")
            begin = time.monotonic()
            use_warm = flip % 4 < 2
            while True:
                connection = warm if use_warm else http.client.HTTPConnection(*address, timeout=5)
                if status(connection) == wanted:
                    break
            (warm_times if use_warm else new_times).append((time.monotonic() - begin) * 1000)
            stale += sum(status(warm) != wanted for _ in range(WARM_AFTER))
            stale += status(http.client.HTTPConnection(*address, timeout=5)) != wanted
        figures.add("policy in force, new connections, median", statistics.median(new_times), "ms", 150)
        figures.add("policy in force, warm connections, median", statistics.median(warm_times), "ms", 150)
        figures.add("policy in force, worst", max(new_times + warm_times), "ms")
        figures.add(f"stale verdicts in {FLIPS} changes", stale, "", 0)
        lab.stop()


CALLERS = """
apiVersion: v1
kind: Namespace
metadata: {name: legacy}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: shop}
spec: {containers: [{name: curl, image: "curlimages/curl:8.10.1", command: [/bin/sleep, infinity]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: legacy}
spec: {containers: [{name: curl, image: "curlimages/curl:8.10.1", command: [/bin/sleep, infinity]}]}
"""
STRICT = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "flip", "namespace": "shop"},
    "spec": {"mtls": {"mode": "STRICT"}},
}
PLAINTEXT = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "plaintext", "namespace": "shop"},
    "spec": {"host": "shop", "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
}
ANSWER = {
    "apiVersion": "networking.istio.io/v1alpha3",
    "kind": "EnvoyFilter",
    "metadata": {"name": "flip", "namespace": "shop"},
    "spec": {
        "workloadSelector": {"labels": {"app": "shop"}},
        "configPatches": [
            {
                "applyTo": "HTTP_FILTER",
                "match": {
                    "context": "SIDECAR_INBOUND",
                    "listener": {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}},
                },
                "patch": {
                    "operation": "INSERT_BEFORE",
                    "value": {
                        "name": "envoy.filters.http.lua",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                            "default_source_code": {
                                "inline_string": "function envoy_on_request(h) h:respond({[':status'] = '429'}, '') end"
                            },
                        },
                    },
                },
            }
        ],
    },
}
PEERS = "/apis/security.istio.io/v1/namespaces/shop/peerauthentications"
RULES = "/apis/networking.istio.io/v1/namespaces/shop/destinationrules"
FILTERS = "/apis/networking.istio.io/v1alpha3/namespaces/shop/envoyfilters"
_LOOP = 'while read -r url; do curl -s -o /dev/null -m 5 -w "%{http_code}\\n" "$url"; done'


class Caller:
    """A shell in a pod that calls a URL for each line it reads."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        command = ["kubectl", "exec", "-i", "-n", namespace, "caller", "--", "sh", "-c", _LOOP]
        self._process = subprocess.Popen(
            command, env=lab.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def status(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("http://shop.shop:8000/status/200\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def first(figures: Figures) -> None:
    """The first request after the API server has answered: does it ever meet the older verdict?"""
    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        lab = Lab(directory)
        lab.kubectl("apply", "-f", "-", text=APP + "---" + CALLERS)
        lab.kubectl("rollout", "status", "-n", "shop", "deployment/shop")
        for namespace in ("shop", "legacy"):
            lab.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        api = Api(lab.directory / "kubeconfig")
        inside, outside = Caller(lab, "shop"), Caller(lab, "legacy")
        kinds = (
            ("AuthorizationPolicy", POLICIES, DENY, inside, 403),
            ("PeerAuthentication, from outside", PEERS, STRICT, outside, 0),
            ("EnvoyFilter", FILTERS, ANSWER, inside, 429),
            ("PeerAuthentication, sidecar told to speak plaintext", PEERS, STRICT, inside, 503),
        )
        for what, path, body, caller, wanted in kinds:
            if wanted == 503:
                api.send("POST", RULES, PLAINTEXT)
            assert caller.status() == 200
            times, stale = [], 0
            for _ in range(FIRST // 2):
                for verb, where, sent, code in (("POST", path, body, wanted), ("DELETE", f"{path}/flip", None, 200)):
                    api.send(verb, where, sent)
                    begin = time.monotonic()
                    stale += caller.status() != code
                    times.append((time.monotonic() - begin) * 1000)
            figures.add(f"{what}: first request, median", statistics.median(times), "ms")
            figures.add(f"{what}: stale of {len(times)}", stale, "", 0)
        inside.close()
        outside.close()
        lab.stop()


def memory(figures: Figures) -> None:
    """50 pods in 5 namespaces, each called and calling, over the sandbox without them."""
    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        bare = Lab(directory)
        bare.run("stop")
        bare.run("start", "--instant", "--flavour", "istio")
        server, _ = bare.pids()
        before = resident_mb(server)
        bare.kubectl("apply", "-f", "-", text=_fifty())
        for number in range(5):
            bare.kubectl("wait", "-n", f"team-{number}", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        for number in range(5):
            words = ("exec", "-n", f"team-{number}", f"pod/app-{number}", "--", "curl", "-sS", "-o", "/dev/null")
            bare.kubectl(*words, "http://app-1.team-1:8000/status/200")
        server, envoy = bare.pids()
        figures.add("50 pods in 5 namespaces, over the bare sandbox", resident_mb(server) + resident_mb(envoy) - before,
                    "MB", 250)  # fmt: skip
        figures.add("of that Envoy", resident_mb(envoy), "MB")
        bare.stop()


def _fifty() -> str:
    documents = []
    for team in range(5):
        labels = {"istio-injection": "enabled"}
        documents.append(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{team}", "labels": labels}}
        )
        for number in range(10):
            meta = {"name": f"app-{number}", "namespace": f"team-{team}"}
            port = {"name": "http", "port": 8000, "targetPort": 8080}
            documents.append({"apiVersion": "v1", "kind": "Service", "metadata": meta,
                              "spec": {"selector": {"app": meta["name"]}, "ports": [port]}})  # fmt: skip
            container = {"name": "httpbin", "image": "mccutchen/go-httpbin:v2.15.0", "ports": [{"containerPort": 8080}]}
            shell = {"name": "curl", "image": "curlimages/curl:8.10.1", "command": ["/bin/sleep", "infinity"]}
            documents.append({"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "labels": {"app": meta["name"]}},
                              "spec": {"containers": [shell, container]}})  # fmt: skip
    return "\n---\n".join(json.dumps(document) for document in documents)


def gateway(figures: Figures) -> None:
    """Requests a second through gateway and sidecar, and through the same Envoy configured by hand."""
    from mesh_by_hand import compare

    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        lab = Lab(directory)
        lab.kubectl("apply", "-f", "-", text=APP)
        lab.kubectl("rollout", "status", "-n", "shop", "deployment/shop")
        address = lab.gateway()
        until(address, 200)
        compare(figures, lab, address)
        lab.stop()


class Api:
    """The API server over one connection, as kubectl's user."""

    def __init__(self, kubeconfig: Path) -> None:
        import base64
        import ssl

        import yaml

        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
            pem.write(base64.b64decode(user["client-key-data"]))
            pem.flush()
            context.load_cert_chain(pem.name)
        host, _, port = cluster["server"].removeprefix("https://").partition(":")
        self._connection = http.client.HTTPSConnection(host, int(port), context=context)

    def send(self, method: str, path: str, body: object = None) -> None:
        data = json.dumps(body) if body is not None else None
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")


def main() -> int:
    figures = Figures()
    measures = {"ready": ready, "policy": policy, "first": first, "memory": memory, "gateway": gateway}
    for name in sys.argv[1:] or measures:
        measures[name](figures)
    return 1 if figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
