"""The webhook `validation.istio.io` as an admission plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.request import AdmissionRequest
from labrunner.sandbox.kube.status import ApiError
from labrunner.sandbox.mesh.validation.gateway import gateway
from labrunner.sandbox.mesh.validation.security import authorization_policy, request_authentication
from labrunner.sandbox.mesh.validation.virtual_service import virtual_service

Validate = Callable[[Obj], Iterator[str]]

_KINDS: dict[str, Validate] = {
    "networking.istio.io/Gateway": gateway,
    "networking.istio.io/VirtualService": virtual_service,
    "security.istio.io/AuthorizationPolicy": authorization_policy,
    "security.istio.io/RequestAuthentication": request_authentication,
}


def validate(_api: Api, request: AdmissionRequest, obj: Obj, old: Obj | None) -> Obj:
    """Raises ApiError 400 as the API server does for a webhook that denies."""
    check = _KINDS.get(request.kind.id)
    if check is None or request.subresource or request.operation not in ("CREATE", "UPDATE"):
        return obj
    if obj["metadata"].get("deletionTimestamp") or (old is not None and old.get("spec") == obj.get("spec")):
        return obj
    errors = list(dict.fromkeys(check(obj)))
    if errors:
        words = errors[0] if len(errors) == 1 else _several(errors)
        raise ApiError(
            400, "", f'admission webhook "validation.istio.io" denied the request: configuration is invalid: {words}'
        )
    return obj


def _several(errors: list[str]) -> str:
    listed = "".join(f"\t* {error}\n" for error in errors)
    return f"{len(errors)} errors occurred:\n{listed}\n"
