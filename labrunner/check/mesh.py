"""Are the proxies of a namespace's Pods there, in step, and who they should be?

Every running Pod that is picked (by `labelSelector`, default all) must have an istio-proxy, hold the configuration as
it is now, and have a valid certificate. `identity` is a pattern for its SPIFFE URI, `expiresWithin` and `expiresAfter`
(seconds from now) bound the end of its certificate. `sidecar: false` asks for the opposite: no istio-proxy.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final

from labrunner.check.kind import CheckContext
from labrunner.check.match import compare, describe
from labrunner.check.match_operators import lint_pattern
from labrunner.check.mesh_questions import require_mesh
from labrunner.check.result import Finding
from labrunner.target.base import KubeObject

EXAMPLES: Final = """
- title: The shop's Pods are in the mesh
  params: {namespace: shop, identity: "spiffe://cluster.local/ns/shop/sa/web"}
  passes:
    objects:
      - apiVersion: v1
        kind: Pod
        metadata: {name: web-1, namespace: shop}
        spec: {containers: [{name: web}, {name: istio-proxy}]}
        status: {phase: Running}
    files:
      bin/kubectl: |
        #!/bin/sh
        echo '{"problem": "", "proxies": [{"name": "web-1.shop", "cds": "SYNCED", "lds": "SYNCED", "refused": "",
          "identity": "spiffe://cluster.local/ns/shop/sa/web", "not_after": "2999-01-01T00:00:00+00:00"}]}'
    prepare: chmod +x bin/kubectl
    environment: {PATH: "bin:/usr/bin:/bin"}
  fails:
    - why: The Pod was started before its namespace was labelled
      reasons: [no-sidecar]
      objects:
        - apiVersion: v1
          kind: Pod
          metadata: {name: web-1, namespace: shop}
          spec: {containers: [{name: web}]}
          status: {phase: Running}
      files: {bin/kubectl: "#!/bin/sh\\necho '{\\"problem\\": \\"\\", \\"proxies\\": []}'\\n"}
      prepare: chmod +x bin/kubectl
      environment: {PATH: "bin:/usr/bin:/bin"}
    - why: It runs as another ServiceAccount, its certificate has expired, its configuration was refused
      reasons: [identity, expired, not-synced]
      objects:
        - apiVersion: v1
          kind: Pod
          metadata: {name: web-1, namespace: shop}
          spec: {containers: [{name: web}, {name: istio-proxy}]}
          status: {phase: Running}
      files:
        bin/kubectl: |
          #!/bin/sh
          echo '{"problem": "", "proxies": [{"name": "web-1.shop", "cds": "STALE", "lds": "STALE", "refused": "bad",
            "identity": "spiffe://cluster.local/ns/shop/sa/default", "not_after": "2001-01-01T00:00:00+00:00"}]}'
      prepare: chmod +x bin/kubectl
      environment: {PATH: "bin:/usr/bin:/bin"}
"""

REASONS: Final = {
    "missing": "No Pod is picked.",
    "no-sidecar": "A Pod has no istio-proxy.",
    "sidecar": "A Pod has an istio-proxy and should have none.",
    "not-synced": "A proxy does not hold the configuration as it is now.",
    "identity": "A proxy has another identity.",
    "no-certificate": "A proxy has no certificate yet.",
    "expired": "A proxy's certificate has expired.",
    "expiry": "A proxy's certificate ends at another time.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""


class MeshKind:
    """See the module's docstring."""

    name = "mesh"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["namespace"],
        "properties": {
            "namespace": {"type": "string", "minLength": 1, "description": "The Pods' namespace."},
            "labelSelector": {"type": "string", "description": "Only Pods with these labels: app=web."},
            "sidecar": {"type": "boolean", "description": "false: the Pods must have no istio-proxy."},
            "identity": {"description": "A pattern for the SPIFFE URI of the certificate."},
            "expiresWithin": {"type": "number", "description": "Seconds from now in which the certificate ends."},
            "expiresAfter": {"type": "number", "description": "Seconds from now for which it must still be valid."},
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        namespace, labels = params["namespace"], params.get("labelSelector", "")
        pods = [
            pod
            for pod in context.target.kube().list("v1", "Pod", namespace, label_selector=labels)
            if (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
        ]
        which = f"namespace {namespace}" + (f", labels {labels}" if labels else "")
        if not pods:
            return [Finding("missing", f"There is no running Pod ({which}).", "at least 1 Pod", "none", which)]
        wanted = params.get("sidecar", True)
        wrong = [pod for pod in pods if _has_proxy(pod) is not wanted]
        if wrong or not wanted:
            return [_sidecar(pod, wanted) for pod in wrong]
        known = {p["name"]: p for p in require_mesh(context.cwd, context.environment)["proxies"]}
        return [f for pod in pods for f in _proxy(pod, known.get(_key(pod)), params)]

    def describe(self, params: Mapping[str, Any]) -> str:
        if not params.get("sidecar", True):
            return f"the Pods of {params['namespace']} have no sidecar"
        return f"the Pods of {params['namespace']} have a sidecar that is in step"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        return lint_pattern(params.get("identity", ""), "identity")


def _has_proxy(pod: KubeObject) -> bool:
    spec = pod["spec"]
    every = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return any(container["name"] == "istio-proxy" for container in every)


def _key(pod: KubeObject) -> str:
    return f"{pod['metadata']['name']}.{pod['metadata']['namespace']}"


def _where(pod: KubeObject) -> str:
    return f"Pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _sidecar(pod: KubeObject, wanted: bool) -> Finding:
    if wanted:
        message = f"{_where(pod)} has no istio-proxy: was it started before its namespace was labelled?"
        return Finding("no-sidecar", message, "a container istio-proxy", "none", _where(pod))
    return Finding("sidecar", f"{_where(pod)} has an istio-proxy.", "no istio-proxy", "one", _where(pod))


def _proxy(pod: KubeObject, proxy: Mapping[str, Any] | None, params: Mapping[str, Any]) -> list[Finding]:
    where = _where(pod)
    if proxy is None:
        return [Finding("not-synced", f"istiod does not know {where}'s proxy yet.", "SYNCED", "unknown", where)]
    found = []
    if any(proxy.get(kind) != "SYNCED" for kind in ("cds", "lds")):
        said = proxy.get("refused") or "it is on its way"
        message = f"{where}'s proxy does not hold the configuration as it is now: {said}."
        found.append(Finding("not-synced", message, "SYNCED", f"{proxy.get('lds')}: {said}", where))
    if "identity" in params and compare(params["identity"], proxy["identity"]):
        expected, got = describe(params["identity"]), proxy["identity"] or "none"
        found.append(Finding("identity", f"{where} is {got}; it should be {expected}.", expected, got, where))
    if not proxy["not_after"]:
        message = f"{where}'s proxy has no certificate yet."
        return [*found, Finding("no-certificate", message, "a certificate", "none", where)]
    end = datetime.datetime.fromisoformat(proxy["not_after"])
    left = (end - datetime.datetime.now(datetime.UTC)).total_seconds()
    got = f"it ends {end:%Y-%m-%d %H:%M:%S} UTC"
    if left <= 0:
        found.append(Finding("expired", f"{where}'s certificate has expired.", "a valid certificate", got, where))
    elif left > params.get("expiresWithin", left):
        expected = f"an end within {params['expiresWithin']:g} s"
        found.append(Finding("expiry", f"{where}'s certificate lives too long: {got}.", expected, got, where))
    elif left < params.get("expiresAfter", left):
        expected = f"valid for {params['expiresAfter']:g} s more"
        found.append(Finding("expiry", f"{where}'s certificate ends too early: {got}.", expected, got, where))
    return found
