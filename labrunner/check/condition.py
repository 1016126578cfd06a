"""Has a controller said that the object is as it should be?

Looks at one entry of `status.conditions`: its `type` (Ready, Available, Complete, Accepted ...), `status` (default
"True") and, if given, `reason` and `message`. A condition that the controller wrote before the object's latest change
(observedGeneration) does not count. With selectors, every object picked must have the condition, and there must be at
least one. For Pods and workloads the finding adds what holds them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labrunner.check.kind import CheckContext
from labrunner.check.match import describe, matches
from labrunner.check.match_operators import lint_pattern
from labrunner.check.object_findings import bounded
from labrunner.check.phrase import clip, counted, did_you_mean, listed, show
from labrunner.check.result import Finding
from labrunner.check.selection import SELECTION_PROPERTIES, Selection, label_of, lint_selection, missing, unknown_kind
from labrunner.target.base import KubeObject, UnknownKind

EXAMPLES: Final = """
- title: The Deployment is available
  params: {apiVersion: apps/v1, kind: Deployment, name: web, namespace: shop, type: Available}
  passes:
    objects:
      - apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop, generation: 3}
        status:
          observedGeneration: 3
          conditions: [{type: Available, status: "True", reason: MinimumReplicasAvailable}]
  fails:
    - why: Its Pods are not ready
      reasons: [not-ready]
      objects:
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: web, namespace: shop, generation: 3}
          spec: {replicas: 2}
          status:
            observedGeneration: 3
            readyReplicas: 1
            conditions:
              - {type: Available, status: "False", reason: MinimumReplicasUnavailable, message: not enough Pods}
    - why: The controller has not looked at the latest change yet
      reasons: [stale]
      objects:
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: web, namespace: shop, generation: 4}
          status:
            observedGeneration: 3
            conditions: [{type: Available, status: "True"}]
    - why: No controller has looked at it at all
      reasons: [no-condition]
      objects:
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: web, namespace: shop, generation: 1}
- title: The certificate was issued
  params:
    apiVersion: cert-manager.io/v1
    kind: Certificate
    name: web
    namespace: shop
    type: Ready
    reason: {$in: [Ready, Issued]}
  passes:
    objects:
      - apiVersion: cert-manager.io/v1
        kind: Certificate
        metadata: {name: web, namespace: shop, generation: 1}
        status: {conditions: [{type: Ready, status: "True", reason: Ready, observedGeneration: 1}]}
  fails:
    - why: It is there for another reason
      reasons: [different]
      objects:
        - apiVersion: cert-manager.io/v1
          kind: Certificate
          metadata: {name: web, namespace: shop, generation: 1}
          status: {conditions: [{type: Ready, status: "True", reason: Temporary, observedGeneration: 1}]}
"""

REASONS: Final = {
    "missing": "The object is not there.",
    "wrong-namespace": "It is in another namespace.",
    "unknown-kind": "The cluster does not serve the kind.",
    "no-condition": "It has no such condition (yet).",
    "not-ready": "The condition has another status.",
    "stale": "The condition is about an earlier version of the object.",
    "different": "The condition has another reason or message.",
    "more": "There are further findings.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""


class ConditionKind:
    """See the module's docstring."""

    name = "condition"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "type"],
        "properties": {
            **SELECTION_PROPERTIES,
            "type": {"type": "string", "description": "The condition's type: Ready, Available, Complete ..."},
            "status": {"enum": ["True", "False", "Unknown"], "description": 'Default: "True".'},
            "reason": {"description": "A pattern for the condition's reason."},
            "message": {"description": "A pattern for the condition's message."},
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        client = context.target.kube()
        selection = Selection.of(params)
        try:
            selection = selection.resolved(client)
            objects = selection.fetch(client)
        except UnknownKind as error:
            return [unknown_kind(selection, error)]
        if not objects and selection.name:
            return [missing(client, selection)]
        if not objects:
            message = f"There is {counted(0, selection.kind)} to be {params['type']}."
            return [Finding("missing", message, f"at least 1 {selection.kind}", "none", str(selection))]
        return bounded([finding for obj in objects for finding in _judge(obj, params)])

    def describe(self, params: Mapping[str, Any]) -> str:
        status = params.get("status", "True")
        return f"{Selection.of(params)} is {params['type']}" + ("" if status == "True" else f": {status}")

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems = lint_selection(params)
        for field in ("reason", "message"):
            problems += lint_pattern(params.get(field, ""), field)
        return problems


def _judge(obj: KubeObject, params: Mapping[str, Any]) -> list[Finding]:
    wanted, status = params["type"], params.get("status", "True")
    label = label_of(obj)
    where = f"{label}: status.conditions[{wanted}]"
    held = _held_up(obj)
    conditions = {c.get("type", ""): c for c in (obj.get("status") or {}).get("conditions") or []}
    condition = conditions.get(wanted)
    if condition is None:
        there = listed(list(conditions)) if conditions else "no conditions at all"
        message = f"{label} has no condition {wanted} yet; it has {there}.{did_you_mean(wanted, conditions)}{held}"
        return [Finding("no-condition", message, f"{wanted}: {status}", there, where)]
    observed = _shown(condition)
    if condition.get("status") != status:
        message = f"{label} is not {wanted}: {status}; it is {observed}.{held}"
        return [Finding("not-ready", message, f"{wanted}: {status}", observed, where)]
    if stale := _stale(obj, condition):
        message = f"The condition {wanted} of {label} is of an earlier version of the object ({stale})."
        return [Finding("stale", message, f"{wanted}: {status} for the latest change", stale, where)]
    found = []
    for field in ("reason", "message"):
        pattern = params.get(field)
        value = condition.get(field, "")
        if pattern is not None and not matches(pattern, value):
            expected = describe(pattern)
            message = f"The condition {wanted} of {label} has {field} {show(value)}; it should be {expected}."
            found.append(Finding("different", message, expected, show(value), f"{where}.{field}"))
    return found


def _shown(condition: Mapping[str, Any]) -> str:
    text = str(condition.get("status", "without a status"))
    if reason := condition.get("reason"):
        text += f" ({reason})"
    if message := condition.get("message"):
        text += f": {message}"
    return clip(text)


def _stale(obj: KubeObject, condition: Mapping[str, Any]) -> str:
    """Which generation the condition is about, when it is not the object's own."""
    generation = obj.get("metadata", {}).get("generation")
    observed = condition.get("observedGeneration", (obj.get("status") or {}).get("observedGeneration"))
    if not isinstance(generation, int) or not isinstance(observed, int) or observed >= generation:
        return ""
    return f"generation {observed}, the object is at {generation}"


def _held_up(obj: KubeObject) -> str:
    """What keeps a Pod or a workload from being ready, as a further sentence."""
    status = obj.get("status") or {}
    if obj.get("kind") == "Pod":
        waiting = _waiting(status)
        return f" {waiting}" if waiting else ""
    replicas = (obj.get("spec") or {}).get("replicas")
    if isinstance(replicas, int) and obj.get("kind") in ("Deployment", "StatefulSet", "ReplicaSet"):
        return f" {status.get('readyReplicas', 0)} of {counted(replicas, 'replica')} ready."
    return ""


def _waiting(status: Mapping[str, Any]) -> str:
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state") or {}
        for phase in ("waiting", "terminated"):
            detail = state.get(phase)
            if detail and detail.get("reason") not in (None, "Completed"):
                text = f": {clip(detail['message'], 160)}" if detail.get("message") else ""
                return f"Container {container.get('name')} is {phase} ({detail['reason']}){text}."
    return ""
