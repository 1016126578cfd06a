"""`pods/binding`: a pod is assigned to a node. Source: pkg/registry/core/pod/storage/storage.go."""

from __future__ import annotations

from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.clock import timestamp
from labrunner.sandbox.kube.registry import Registry, copied
from labrunner.sandbox.kube.request import Options
from labrunner.sandbox.kube.status import conflict


def bind(registry: Registry, namespace: str, pod: str, node: str, options: Options) -> Obj:
    """Assign the pod; returns it. Raises ApiError 404, or 409 when it is bound or being deleted."""

    def assign(old: Obj | None) -> Obj:
        assert old is not None
        if "deletionTimestamp" in old["metadata"]:
            raise conflict("pods/binding", "", pod, f"pod {pod} is being deleted, cannot be assigned to a host")
        if present := (old.get("spec") or {}).get("nodeName"):
            raise conflict("pods/binding", "", pod, f'pod {pod} is already assigned to node "{present}"')
        new = copied(old)
        new["spec"]["nodeName"] = node
        conditions = new.setdefault("status", {}).setdefault("conditions", [])
        conditions[:] = [c for c in conditions if c["type"] != "PodScheduled"]
        now = timestamp(registry.clock.now())
        conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now})
        return new

    return registry.update(registry.kind("Pod"), namespace, pod, assign, options, subresource="binding")[0]
