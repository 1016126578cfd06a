"""ValidatingAdmissionPolicies: CEL expressions of users that refuse, or warn of, what validation let pass.

Source: k8s.io/apiserver/pkg/admission/plugin/policy/{generic,matching,validating} (v1). Not evaluated: `authorizer`,
and the audit annotations, which only an audit log would show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.kube.admission.policy_matching import matches
from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.schema.validation import cel
from labrunner.sandbox.kube.selectors import selector_matches
from labrunner.sandbox.kube.status import ApiError, Cause, forbidden

_GROUP = "admissionregistration.k8s.io"
POLICY, BINDING = f"{_GROUP}/ValidatingAdmissionPolicy", f"{_GROUP}/ValidatingAdmissionPolicyBinding"
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413}
_NO_PARAM = object()


@dataclass(frozen=True, slots=True)
class _Denial:
    message: str
    reason: str


def admission_policies(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """Evaluates every policy that a binding applies to this request."""
    if request.kind.group == _GROUP or not api.objects(BINDING):
        return obj
    for binding in api.objects(BINDING):
        spec = binding.get("spec") or {}
        policy = api.get(POLICY, spec.get("policyName", ""))
        if policy is None:
            continue
        constraints = policy["spec"].get("matchConstraints") or {}
        if not matches(api, request, obj, old, constraints, rules=True):
            continue
        if not matches(api, request, obj, old, spec.get("matchResources") or {}, rules=False):
            continue
        for denial in _verdicts(api, request, obj, old, policy, binding):
            _act(request, policy, binding, denial)
    return obj


def _act(request: AdmissionRequest, policy: Obj, binding: Obj, denial: _Denial) -> None:
    actions = (binding.get("spec") or {}).get("validationActions") or ["Deny"]
    names = f"ValidatingAdmissionPolicy '{policy['metadata']['name']}' with binding '{binding['metadata']['name']}'"
    if "Warn" in actions:
        request.options.warn(f"Validation failed for {names}: {denial.message}")
    if "Deny" in actions:
        kind = request.kind
        message = f"{names} denied request: {denial.message}"
        refusal = forbidden(kind.plural, kind.group, request.name, message)
        reason = denial.reason or "Invalid"
        raise ApiError(
            _CODES.get(reason, 422),
            reason,
            refusal.message,
            name=request.name,
            group=kind.group,
            kind=kind.plural,
            causes=[Cause("", message, "")],
        )


def _verdicts(
    api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None, policy: Obj, binding: Obj
) -> Iterator[_Denial]:
    spec = policy["spec"]
    fails = spec.get("failurePolicy", "Fail") == "Fail"
    params = _params(api, request, spec.get("paramKind"), (binding.get("spec") or {}).get("paramRef"))
    if isinstance(params, str):
        if fails:
            yield _Denial(f"failed to configure binding: {params}", "")
        return
    for param in params:
        known = _variables(api, request, obj, old, None if param is _NO_PARAM else param)
        try:
            if not all(cel.evaluate(c["expression"], known) is True for c in spec.get("matchConditions") or ()):
                continue
        except Exception as error:  # the extension raises what Python's operators raise
            if fails:
                yield _Denial(f"match condition resulted in error: {error}", "")
            continue
        variables = _Composed(spec.get("variables") or (), known)
        for validation in spec.get("validations") or ():
            yield from _validated(validation, variables, fails)


def _validated(validation: Mapping[str, Any], variables: _Composed, fails: bool) -> Iterator[_Denial]:
    expression = str(validation["expression"])
    try:
        holds = cel.evaluate(expression, variables.of(expression))
    except Exception as error:  # the extension raises what Python's operators raise
        if fails:
            yield _Denial(f"expression '{expression}' resulted in error: {cel.reason_of(error)}", "")
        return
    if holds is True:
        return
    text = ""
    if wanted := validation.get("messageExpression"):
        try:
            found = cel.evaluate(wanted, variables.of(wanted))
            text = found.strip() if isinstance(found, str) and "\n" not in found else ""
        except Exception:  # falls back to the message, as the server does
            text = ""
    usual = str(validation.get("message") or f"failed expression: {expression.strip()}")
    yield _Denial(text or usual, str(validation.get("reason") or ""))


class _Composed:
    """The names an expression may use; `variables.x` is evaluated when something asks for it."""

    def __init__(self, definitions: Any, known: dict[str, Any]) -> None:
        self._definitions = {entry["name"]: str(entry["expression"]) for entry in definitions}
        self._order = list(self._definitions)
        self._known = known
        self._values: dict[str, Any] = {}

    def of(self, expression: str) -> dict[str, Any]:
        """For this expression: what it mentions of the variables, with what those mention."""
        for name in self._order:
            if name not in self._values and f"variables.{name}" in expression:
                earlier = self._definitions[name]
                self._values[name] = cel.evaluate(earlier, self.of(earlier))
        return {**self._known, "variables": self._values}


def _variables(api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None, param: Obj | None) -> dict[str, Any]:
    deleting = request.operation == "DELETE"
    kind = request.kind
    version = request.options.version or kind.storage
    gvk = {"group": kind.group, "version": version, "kind": kind.kind}
    gvr = {"group": kind.group, "version": version, "resource": kind.plural}
    namespace = api.get("Namespace", request.namespace) if request.namespace else None
    asked = {
        "kind": gvk,
        "requestKind": gvk,
        "resource": gvr,
        "requestResource": gvr,
        "subResource": request.subresource,
        "requestSubResource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
        "operation": request.operation,
        "userInfo": {"extra": {}, **request.user.info()},
        "dryRun": request.options.dry_run,
    }
    return {
        "object": None if deleting else cel.to_cel(obj, None),
        "oldObject": cel.to_cel(old, None) if old is not None else None,
        "request": asked,
        "params": cel.to_cel(param, None) if param is not None else None,
        "namespaceObject": cel.to_cel(namespace, None) if namespace is not None else None,
    }


def _params(api: Api, request: AdmissionRequest, kind: Any, ref: Any) -> list[Any] | str:
    """The parameter objects to evaluate with, [_NO_PARAM] where none are wanted, or what is wrong."""
    if not kind or not ref:
        return [_NO_PARAM]
    group = str(kind.get("apiVersion", "")).rpartition("/")[0]
    found = next((k for k in api.kinds() if k.group == group and k.kind == kind.get("kind")), None)
    if found is None:
        return f"failed to find resource referenced by paramKind: '{kind.get('apiVersion')}, Kind={kind.get('kind')}'"
    namespace = (ref.get("namespace") or request.namespace) if found.namespaced else ""
    if ref.get("name"):
        one = api.get(found.id, ref["name"], namespace)
        params: list[Any] = [one] if one is not None else []
    else:
        params = [
            obj
            for obj in api.objects(found.id, namespace)
            if selector_matches(ref.get("selector") or {}, obj["metadata"].get("labels") or {})
        ]
    if not params:
        allowed = ref.get("parameterNotFoundAction") == "Allow"
        return [] if allowed else "no params found for policy binding with `Deny` parameterNotFoundAction"
    return params
