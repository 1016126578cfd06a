"""Are the Kubernetes objects there, and do they look as they should?

Asks about one object by `name`, or about all that the selectors pick. `match` is a partial match of the whole object
(see "Patterns"), `cel` holds expressions over `object` (each object) and `objects` (all of them), `count` says how
many there must be. With selectors, every object picked must match; `require: some` asks only that as many as `count`
says (at least one) match. A difference names the field; a missing object is looked for in other namespaces and under
similar names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labrunner.check import cel_expression
from labrunner.check.kind import CheckContext
from labrunner.check.match import compare, describe
from labrunner.check.match_operators import lint_pattern
from labrunner.check.object_findings import bounded, object_findings
from labrunner.check.phrase import counted, listed
from labrunner.check.redact import is_secret
from labrunner.check.result import Finding
from labrunner.check.selection import SELECTION_PROPERTIES, Selection, label_of, lint_selection, missing, unknown_kind
from labrunner.target.base import KubeObject, UnknownKind

EXAMPLES: Final = """
- title: The Gateway terminates TLS with our certificate
  params:
    apiVersion: networking.istio.io/v1
    kind: Gateway
    name: shop
    namespace: edge
    match:
      spec:
        servers:
          - port: {number: 443, protocol: HTTPS}
            tls: {mode: SIMPLE, credentialName: shop-cert}
            hosts: {$contains: shop.example.org}
  passes:
    objects:
      - apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: shop, namespace: edge}
        spec:
          selector: {istio: ingressgateway}
          servers:
            - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
            - port: {number: 443, name: https, protocol: HTTPS}
              tls: {mode: SIMPLE, credentialName: shop-cert}
              hosts: [shop.example.org, www.example.org]
  fails:
    - why: TLS is passed through instead of terminated
      reasons: [different]
      objects:
        - apiVersion: networking.istio.io/v1
          kind: Gateway
          metadata: {name: shop, namespace: edge}
          spec:
            servers:
              - port: {number: 443, name: https, protocol: HTTPS}
                tls: {mode: PASSTHROUGH, credentialName: shop-cert}
                hosts: [shop.example.org]
    - why: It was created in another namespace
      reasons: [wrong-namespace]
      objects:
        - apiVersion: networking.istio.io/v1
          kind: Gateway
          metadata: {name: shop, namespace: default}
          spec: {}
    - why: It was never created
      reasons: [missing]
- title: Two Pods of the shop run, each with a sidecar
  params:
    apiVersion: v1
    kind: Pod
    namespace: shop
    labelSelector: app=shop
    count: 2
    match:
      status: {phase: Running}
    cel:
      - expression: object.spec.containers.exists(c, c.name == 'istio-proxy')
        message: A Pod has no istio-proxy container; was the namespace labelled before the Pod was made?
  passes:
    objects:
      - apiVersion: v1
        kind: Pod
        metadata: {name: shop-1, namespace: shop, labels: {app: shop}}
        spec: {containers: [{name: shop}, {name: istio-proxy}]}
        status: {phase: Running}
      - apiVersion: v1
        kind: Pod
        metadata: {name: shop-2, namespace: shop, labels: {app: shop}}
        spec: {containers: [{name: shop}, {name: istio-proxy}]}
        status: {phase: Running}
  fails:
    - why: One of them has no sidecar, and there is only one
      reasons: [count, cel]
      objects:
        - apiVersion: v1
          kind: Pod
          metadata: {name: shop-1, namespace: shop, labels: {app: shop}}
          spec: {containers: [{name: shop}]}
          status: {phase: Running}
"""

REASONS: Final = {
    "missing": "The object, a field or a list item is not there.",
    "wrong-namespace": "The object is in another namespace.",
    "unknown-kind": "The cluster does not serve the kind, or not in this version.",
    "different": "A field has another value.",
    "unexpected": "A field, item or object is there that should not be.",
    "count": "Too few or too many objects, or a list of another length.",
    "cel": "A CEL expression is not true.",
    "more": "There are further findings.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""

_COUNT_SCHEMA: Final = {
    "description": "How many objects: a number, or {min: ..., max: ...}. Default: at least one.",
    "oneOf": [
        {"type": "integer", "minimum": 0},
        {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {
                "min": {"type": "integer", "minimum": 0, "description": "At least so many."},
                "max": {"type": "integer", "minimum": 0, "description": "At most so many."},
            },
        },
    ],
}


class ResourceKind:
    """See the module's docstring."""

    name = "resource"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind"],
        "properties": {
            **SELECTION_PROPERTIES,
            "match": {"type": "object", "description": "What the object must look like, as far as it is written here."},
            "cel": cel_expression.SCHEMA,
            "count": _COUNT_SCHEMA,
            "require": {
                "enum": ["every", "some"],
                "description": "every (default): each object picked must match; some: `count` of them must.",
            },
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
        low, high = _bounds(params)
        if not objects and selection.name and low > 0:
            return [missing(client, selection)]
        if params.get("require") == "some":
            return bounded(_some(params, selection, objects, low, high))
        found = _count(len(objects), low, high, selection, [label_of(o) for o in objects])
        for obj in objects:
            found += _judge(params, obj, objects)
        found += _judge_all(params, selection, objects)
        return bounded(found)

    def describe(self, params: Mapping[str, Any]) -> str:
        selection = Selection.of(params)
        low, high = _bounds(params)
        verb = "exists" if selection.name else "exist" if (low, high) == (1, None) else f"are {_phrase(low, high)}"
        return f"{selection} {verb}" + (" as asked" if params.get("match") or params.get("cel") else "")

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems = lint_selection(params) + lint_pattern(params.get("match", {}))
        low, high = _bounds(params)
        if high is not None and low > high:
            problems.append("count: min is more than max")
        if params.get("require") == "some" and not params.get("match") and not params.get("cel"):
            problems.append("require: some needs match or cel to say which objects count")
        return problems + cel_expression.lint(params.get("cel", []), ("object", "objects"))


def _bounds(params: Mapping[str, Any]) -> tuple[int, int | None]:
    """(least, most) objects; what holds a variable that is not known yet counts as the default."""
    count = params.get("count", {"min": 1})
    if isinstance(count, int):
        return count, count
    if not isinstance(count, dict):
        return 1, None
    low, high = count.get("min", 0), count.get("max")
    return low if isinstance(low, int) else 0, high if isinstance(high, int) else None


def _phrase(low: int, high: int | None) -> str:
    if high is None:
        return f"at least {low}"
    if low == high:
        return f"exactly {low}"
    return f"{low} to {high}" if low else f"at most {high}"


def _count(number: int, low: int, high: int | None, selection: Selection, names: list[str]) -> list[Finding]:
    if number >= low and (high is None or number <= high):
        return []
    seen = f"{counted(number, selection.kind)}: {listed(names)}" if names else counted(number, selection.kind)
    expected = f"{_phrase(low, high)} {selection.kind}"
    return [Finding("count", f"There should be {expected}; there is {seen}.", expected, seen, str(selection))]


def _judge(params: Mapping[str, Any], obj: KubeObject, objects: list[KubeObject]) -> list[Finding]:
    """What is wrong with one object; expressions that read only `objects` are judged once, by `_judge_all`."""
    label = label_of(obj)
    found = object_findings(obj, compare(params.get("match", {}), obj), label) if params.get("match") else []
    rules = [r for r in params.get("cel", []) if not _about_all(r)]
    return found + cel_expression.findings(rules, {"object": obj, "objects": objects}, label, hide=is_secret(obj))


def _judge_all(params: Mapping[str, Any], selection: Selection, objects: list[KubeObject]) -> list[Finding]:
    rules = [r for r in params.get("cel", []) if _about_all(r)]
    hide = any(is_secret(o) for o in objects)
    return cel_expression.findings(rules, {"objects": objects}, str(selection), hide=hide)


def _about_all(rule: Mapping[str, str]) -> bool:
    return not cel_expression.reads(rule["expression"], "object")


def _some(
    params: Mapping[str, Any], selection: Selection, objects: list[KubeObject], low: int, high: int | None
) -> list[Finding]:
    """`require: some`: enough objects match. Otherwise the differences of the one that comes nearest."""
    judged = [(obj, _judge(params, obj, objects)) for obj in objects]
    fitting = [label_of(obj) for obj, found in judged if not found]
    over_all = _judge_all(params, selection, objects)
    if len(fitting) >= low and (high is None or len(fitting) <= high):
        return over_all
    wanted = describe(params["match"]) if params.get("match") else "as the expressions say"
    if high is not None and len(fitting) > high:
        seen = f"{len(fitting)}: {listed(fitting)}"
        message = f"{_phrase(low, high).capitalize()} {selection.kind} should be {wanted}; there are {seen}."
        return [Finding("unexpected", message, f"{_phrase(low, high)} {wanted}", seen, str(selection)), *over_all]
    if not objects:
        return _count(0, max(low, 1), high, selection, [])
    expected = f"{_phrase(low, high)} {selection.kind} {wanted}"
    seen = f"{len(fitting)} of {counted(len(objects), selection.kind)}"
    head = Finding("count", f"There should be {expected}; {seen} fit.", expected, seen, str(selection))
    nearest = min((found for _, found in judged if found), key=len)
    return [head, *nearest, *over_all]
