"""Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers.

Source: k8s.io/kubernetes pkg/apis/apps/validation/validation.go and pkg/registry/apps/*/strategy.go.
"""

from __future__ import annotations

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import FieldError
from labrunner.sandbox.kube.schema.validation import go_struct
from labrunner.sandbox.kube.schema.validation.common_fields import (
    Obj,
    amount,
    at_most_100_percent,
    immutable,
    immutable_selector,
    int_or_percent,
    is_empty_selector,
    label_selector,
    not_negative,
    same,
    selects,
)
from labrunner.sandbox.kube.schema.validation.pods import template

_STRATEGIES = "must be 'RollingUpdate' or 'OnDelete'"
_MISMATCH = "`selector` does not match template `labels`"
_STATEFUL_UPDATABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def deployment(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = not_negative(spec, ("replicas",), "spec")
    errors += _selector(spec, "deployment")
    errors += _replica_template(spec, "ReplicaSet")
    errors += _deployment_strategy(spec.get("strategy") or {}, "spec.strategy")
    errors += not_negative(spec, ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"), "spec")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        text = "must be greater than minReadySeconds"
        errors.append(field.invalid("spec.progressDeadlineSeconds", deadline, text))
    return errors + _fixed_selector(spec, old)


def replica_set(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = not_negative(spec, ("replicas", "minReadySeconds"), "spec")
    errors += _selector(spec, "deployment")  # sic
    errors += _replica_template(spec, "ReplicaSet")
    return errors + _fixed_selector(spec, old)


def replication_controller(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = not_negative(spec, ("replicas", "minReadySeconds"), "spec")
    selector = spec.get("selector") or {}
    if not selector:
        errors.append(field.required("spec.selector"))
    if "template" not in spec:
        return [*errors, field.required("spec.template")]
    labels = (spec["template"].get("metadata") or {}).get("labels")
    if selector and not selects({"matchLabels": selector}, labels):
        errors.append(field.invalid("spec.template.metadata.labels", labels, _MISMATCH))
    errors += template(spec["template"], "spec.template")
    return errors + _always_restart(spec["template"], "ReplicationController")


def daemon_set(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors = label_selector("spec.selector", spec.get("selector"))
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if not selects(spec.get("selector"), labels):
        errors.append(field.invalid("spec.template.metadata.labels", labels, _MISMATCH))
    if spec.get("selector") is not None and is_empty_selector(spec["selector"]):
        errors.append(field.invalid("spec.selector", spec["selector"], "empty selector is invalid for daemonset"))
    errors += template(spec.get("template"), "spec.template")
    errors += _always_restart(spec.get("template") or {}, "DaemonSet")
    errors += not_negative(spec, ("minReadySeconds",), "spec")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "RollingUpdate":
        errors += _daemon_rolling_update(strategy.get("rollingUpdate") or {}, "spec.updateStrategy.rollingUpdate")
    elif strategy.get("type") != "OnDelete":
        text = ["RollingUpdate", "OnDelete"]
        errors.append(field.unsupported("spec.updateStrategy", go_struct.shown("DaemonSetStrategy", strategy), text))
    errors += not_negative(spec, ("revisionHistoryLimit",), "spec")
    return errors + _fixed_selector(spec, old)


def stateful_set(obj: Obj, old: Obj | None) -> list[FieldError]:
    spec = obj.get("spec") or {}
    errors: list[FieldError] = []
    policy = spec.get("podManagementPolicy", "")
    if policy not in ("OrderedReady", "Parallel"):
        errors.append(field.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    errors += _stateful_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    for key, action in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).items():
        if action not in ("Retain", "Delete"):
            where = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
            errors.append(field.unsupported(where, action, ["Retain", "Delete"]))
    errors += not_negative(spec, ("replicas", "minReadySeconds"), "spec")
    errors += _selector(spec, "statefulset")
    body = spec.get("template") or {}
    errors += _mismatch(spec) + template(_with_claims(spec, body), "spec.template")
    errors += _always_restart(body, "StatefulSet")
    if old is not None:
        before = old.get("spec") or {}
        if any(not same(spec.get(k), before.get(k)) for k in {*spec, *before} if k not in _STATEFUL_UPDATABLE):
            listed = "', '".join(("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"))
            text = (
                f"updates to statefulset spec for fields other than '{listed}', "
                "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
            )
            errors.append(field.forbidden("spec", text))
    return errors


def _with_claims(spec: Obj, body: Obj) -> Obj:
    """The template with the volumes that the claim templates will give its pods: mounts may name those."""
    pod_spec = body.get("spec") or {}
    claims = [(claim.get("metadata") or {}).get("name", "") for claim in spec.get("volumeClaimTemplates") or ()]
    present = {volume.get("name") for volume in pod_spec.get("volumes") or ()}
    added = [{"name": name, "emptyDir": {}} for name in claims if name not in present]
    return {**body, "spec": {**pod_spec, "volumes": [*(pod_spec.get("volumes") or ()), *added]}} if added else body


def _selector(spec: Obj, kind: str) -> list[FieldError]:
    selector = spec.get("selector")
    if selector is None:
        return [field.required("spec.selector")]
    errors = label_selector("spec.selector", selector)
    if is_empty_selector(selector):
        errors.append(
            field.invalid("spec.selector", go_struct.selector(selector), f"empty selector is invalid for {kind}")
        )
    return errors


def _mismatch(spec: Obj) -> list[FieldError]:
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if selects(spec.get("selector"), labels):
        return []
    return [field.invalid("spec.template.metadata.labels", labels, _MISMATCH)]


def _replica_template(spec: Obj, kind: str) -> list[FieldError]:
    body = spec.get("template") or {}
    return [*_mismatch(spec), *template(body, "spec.template"), *_always_restart(body, kind)]


def _always_restart(body: Obj, kind: str) -> list[FieldError]:
    spec = body.get("spec") or {}
    errors: list[FieldError] = []
    policy = spec.get("restartPolicy", "")
    if policy != "Always":
        errors.append(field.unsupported("spec.template.spec.restartPolicy", policy, ["Always"]))
    if "activeDeadlineSeconds" in spec:
        text = f"activeDeadlineSeconds in {kind} is not Supported"
        errors.append(field.forbidden("spec.template.spec.activeDeadlineSeconds", text))
    return errors


def _fixed_selector(spec: Obj, old: Obj | None) -> list[FieldError]:
    if old is None:
        return []
    return immutable_selector("spec.selector", spec.get("selector"), (old.get("spec") or {}).get("selector"))


def _deployment_strategy(strategy: Obj, path: str) -> list[FieldError]:
    kind = strategy.get("type", "")
    rolling = strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            text = "may not be specified when strategy `type` is 'Recreate'"
            return [field.forbidden(f"{path}.rollingUpdate", text)]
        return []
    if kind != "RollingUpdate":
        return [field.unsupported(path, go_struct.shown("DeploymentStrategy", strategy), ["Recreate", "RollingUpdate"])]
    where = f"{path}.rollingUpdate"
    unavailable, surge = (rolling or {}).get("maxUnavailable"), (rolling or {}).get("maxSurge")
    errors = int_or_percent(f"{where}.maxUnavailable", unavailable) + int_or_percent(f"{where}.maxSurge", surge)
    if amount(unavailable) == 0 and amount(surge) == 0:
        errors.append(field.invalid(f"{where}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    return errors + at_most_100_percent(f"{where}.maxUnavailable", unavailable)


def _daemon_rolling_update(rolling: Obj, path: str) -> list[FieldError]:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    errors = int_or_percent(f"{path}.maxUnavailable", unavailable) + at_most_100_percent(
        f"{path}.maxUnavailable", unavailable
    )
    errors += int_or_percent(f"{path}.maxSurge", surge)
    if amount(unavailable) and amount(surge):
        errors.append(field.invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    elif not amount(unavailable) and not amount(surge):
        errors.append(field.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return errors


def _stateful_strategy(strategy: Obj, path: str) -> list[FieldError]:
    kind = strategy.get("type", "")
    if not kind:
        return [field.required(path)]
    if kind == "OnDelete":
        if "rollingUpdate" in strategy:
            text = "only allowed for updateStrategy 'RollingUpdate'"
            return [field.invalid(f"{path}.rollingUpdate", strategy["rollingUpdate"], text)]
        return []
    if kind != "RollingUpdate":
        return [field.invalid(path, go_struct.shown("StatefulSetStrategy", strategy), _STRATEGIES)]
    rolling = strategy.get("rollingUpdate") or {}
    errors = not_negative(rolling, ("partition",), f"{path}.rollingUpdate")
    if "maxUnavailable" in rolling:
        where = f"{path}.rollingUpdate.maxUnavailable"
        errors += int_or_percent(where, rolling["maxUnavailable"])
        if not amount(rolling["maxUnavailable"]):
            errors.append(field.invalid(where, rolling["maxUnavailable"], "cannot be 0"))
        errors += at_most_100_percent(where, rolling["maxUnavailable"])
    return errors


def pod_template(obj: Obj, _old: Obj | None) -> list[FieldError]:
    """The PodTemplate kind."""
    return template(obj.get("template"), "template")


def controller_revision(obj: Obj, old: Obj | None) -> list[FieldError]:
    errors = not_negative(obj, ("revision",), "")
    if old is not None:
        errors += immutable("data", obj.get("data"), old.get("data"))
    return errors
