"""Is something gone, or was it never there?

Asks about one object by `name`, or about all that the selectors pick; with `match`, only objects that look like this
must be gone. An object that is being deleted is still there: the finding says what holds it (its finalizers). A kind
that the API does not serve has no objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labrunner.check.kind import CheckContext
from labrunner.check.match import describe, matches
from labrunner.check.match_operators import lint_pattern
from labrunner.check.object_findings import bounded
from labrunner.check.phrase import listed
from labrunner.check.result import Finding
from labrunner.check.selection import SELECTION_PROPERTIES, Selection, label_of, lint_selection
from labrunner.target.base import KubeObject, UnknownKind

EXAMPLES: Final = """
- title: The permissive policy was removed
  params:
    apiVersion: security.istio.io/v1
    kind: PeerAuthentication
    namespace: shop
    match: {spec: {mtls: {mode: PERMISSIVE}}}
  passes:
    objects:
      - apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata: {name: default, namespace: shop}
        spec: {mtls: {mode: STRICT}}
  fails:
    - why: It is still there
      reasons: [unexpected]
      objects:
        - apiVersion: security.istio.io/v1
          kind: PeerAuthentication
          metadata: {name: old, namespace: shop}
          spec: {mtls: {mode: PERMISSIVE}}
- title: The claim is gone
  params: {apiVersion: v1, kind: PersistentVolumeClaim, name: data, namespace: shop}
  passes: {}
  fails:
    - why: It is being deleted, but a Pod still uses it
      reasons: [terminating]
      objects:
        - apiVersion: v1
          kind: PersistentVolumeClaim
          metadata:
            name: data
            namespace: shop
            deletionTimestamp: "2026-01-01T00:00:00Z"
            finalizers: [kubernetes.io/pvc-protection]
"""

REASONS: Final = {
    "unexpected": "The object is still there.",
    "terminating": "It is being deleted, but not gone.",
    "more": "There are further findings.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""


class AbsentKind:
    """See the module's docstring."""

    name = "absent"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind"],
        "properties": {
            **SELECTION_PROPERTIES,
            "match": {"type": "object", "description": "Only objects that look like this must be gone."},
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        client = context.target.kube()
        selection = Selection.of(params)
        try:
            selection = selection.resolved(client)
            objects = selection.fetch(client)
        except UnknownKind:
            return []
        pattern = params.get("match", {})
        return bounded([_finding(obj, pattern) for obj in objects if not pattern or matches(pattern, obj)])

    def describe(self, params: Mapping[str, Any]) -> str:
        selection = Selection.of(params)
        return f"There is no {selection}" + (f" like {describe(params['match'])}" if params.get("match") else "")

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        return lint_selection(params) + lint_pattern(params.get("match", {}))


def _finding(obj: KubeObject, pattern: Any) -> Finding:
    label, metadata = label_of(obj), obj.get("metadata", {})
    if since := metadata.get("deletionTimestamp"):
        finalizers = metadata.get("finalizers") or []
        held = f" and waits for its finalizers: {listed(finalizers)}" if finalizers else ""
        return Finding("terminating", f"{label} is being deleted{held}.", "absent",
                       f"being deleted since {since}", label)  # fmt: skip
    like = f", and it is {describe(pattern)}" if pattern else ""
    return Finding("unexpected", f"{label} is still there{like}.", "absent", "present", label)
