"""Subresources that belong to the API itself: status, scale, finalize, binding, eviction, token, and pods' own.

Those that need a running container (log, exec, attach, portforward, proxy) add themselves to the same table.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from labrunner.sandbox.kube import resources
from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.binding import bind
from labrunner.sandbox.kube.clock import timestamp
from labrunner.sandbox.kube.context import Context, Handler
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.registry import copied
from labrunner.sandbox.kube.request import DeleteOptions, Options
from labrunner.sandbox.kube.scale import scale
from labrunner.sandbox.kube.selectors import selector_matches
from labrunner.sandbox.kube.server import ApiServer, method_not_allowed
from labrunner.sandbox.kube.status import ApiError, Cause, bad_request, conflict, invalid
from labrunner.sandbox.kube.tokens import AUDIENCE, Tokens

_MIN_TOKEN_SECONDS = 600
_MAX_TOKEN_SECONDS = 1 << 32


def install(server: ApiServer, tokens: Tokens) -> None:
    """Add the handlers to the server's table."""
    table = server.subresources
    table["*", "status"] = _whole_object
    table["*", "scale"] = scale
    table["Namespace", "finalize"] = _finalize
    table["Pod", "ephemeralcontainers"] = _whole_object
    table["Pod", "resize"] = _whole_object
    table["Pod", "binding"] = _bind
    table["Pod", "eviction"] = _evict
    table["ServiceAccount", "token"] = _token(tokens)
    table["certificates.k8s.io/CertificateSigningRequest", "approval"] = _whole_object
    server.virtual["Binding"] = _bind_by_body


async def _whole_object(ctx: Context) -> web.StreamResponse:
    """get, update and patch of the object through a subresource that takes part of it."""
    match ctx.verb:
        case "get":
            return await resources.get(ctx)
        case "update":
            return await resources.update(ctx)
        case "patch":
            return await resources.patch(ctx)
    raise method_not_allowed()


async def _finalize(ctx: Context) -> web.StreamResponse:
    if ctx.verb != "update":
        raise method_not_allowed()
    options = ctx.options("UpdateOptions")
    data, content_type = await ctx.body()
    obj = resources.decoded(ctx, data, content_type, options)
    return resources.answer(ctx, ctx.server.registry.finalize_namespace(ctx.name, obj, options))


_BINDING = Kind("", "Binding", "bindings", ("v1",))
_EVICTION = Kind("policy", "Eviction", "evictions", ("v1",))
_TOKEN_REQUEST = Kind("authentication.k8s.io", "TokenRequest", "tokenrequests", ("v1",))


async def _posted(ctx: Context, kind: Kind) -> Obj:
    """The body of a POST to a subresource."""
    if ctx.verb != "create":
        raise method_not_allowed()
    return await resources.typed_body(ctx, kind)


async def _bind_by_body(ctx: Context) -> web.StreamResponse:
    obj = await resources.typed_body(ctx, _BINDING)
    return _bound(ctx, obj, str((obj.get("metadata") or {}).get("name", "")))


async def _bind(ctx: Context) -> web.StreamResponse:
    return _bound(ctx, await _posted(ctx, _BINDING), ctx.name)


def _bound(ctx: Context, obj: Obj, pod_name: str) -> web.Response:
    options = ctx.options("CreateOptions")
    target = obj.get("target") or {}
    if not target.get("name"):
        raise invalid("Binding", "", pod_name, [Cause("FieldValueRequired", "Required value", "target.name")])
    bind(ctx.server.registry, ctx.namespace, pod_name, target["name"], options)
    return ctx.respond({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


async def _evict(ctx: Context) -> web.StreamResponse:
    """Source: pkg/registry/core/pod/storage/eviction.go."""
    obj = await _posted(ctx, _EVICTION)
    options = ctx.options("CreateOptions")
    given = obj.get("deleteOptions") or {}
    if given.get("dryRun"):
        options.dry_run = True
    name = (obj.get("metadata") or {}).get("name") or ctx.name
    if name != ctx.name:
        raise bad_request(f"name in URL does not match name in Eviction object: {ctx.name} != {name}")
    pod = ctx.server.registry.read(ctx.stored, ctx.namespace, ctx.name)
    preconditions = given.get("preconditions") or {}
    how = DeleteOptions(
        grace=given.get("gracePeriodSeconds"),
        propagation=given.get("propagationPolicy") or "",
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
    )
    if _disturbs(pod):
        _take_from_budget(ctx, pod, options)
    ctx.server.registry.delete(ctx.stored, ctx.namespace, ctx.name, how, options)
    return ctx.respond({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


def _disturbs(pod: Obj) -> bool:
    """Whether evicting the pod takes something from its budget."""
    status = pod.get("status") or {}
    if "deletionTimestamp" in pod["metadata"] or status.get("phase") in ("Succeeded", "Failed", "Pending"):
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())


def _take_from_budget(ctx: Context, pod: Obj, options: Options) -> None:
    registry = ctx.server.registry
    budgets = [
        pdb
        for pdb in registry.store.objects("policy/PodDisruptionBudget", ctx.namespace)
        if selector_matches(pdb.get("spec", {}).get("selector"), pod["metadata"].get("labels") or {})
    ]
    if not budgets:
        return
    if len(budgets) > 1:
        raise ApiError(
            500,
            "InternalError",
            "Internal error occurred: This pod has more than one PodDisruptionBudget, which the eviction subresource "
            "does not support.",
        )
    budget = budgets[0]
    status = budget.get("status") or {}
    name, allowed = budget["metadata"]["name"], status.get("disruptionsAllowed", 0)
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _too_many("Cannot evict pod as it would violate the pod's disruption budget.", name,
                        "The disruption budget " + name + " is still being processed by the server.")  # fmt: skip
    if allowed <= 0:
        raise _too_many(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            name,
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has "
            f"{status.get('currentHealthy', 0)} currently",
        )
    if options.dry_run:
        return
    new = copied(budget)
    new["status"]["disruptionsAllowed"] = allowed - 1
    disrupted = new["status"].setdefault("disruptedPods", {})
    disrupted[pod["metadata"]["name"]] = timestamp(registry.clock.now())
    registry.update(
        registry.kind("policy/PodDisruptionBudget"),
        ctx.namespace,
        name,
        lambda old: new,
        Options(manager="kube-apiserver"),
        subresource="status",
    )


def _too_many(message: str, budget: str, cause: str) -> ApiError:
    return ApiError(429, "TooManyRequests", message, causes=[Cause("DisruptionBudget", cause)], retry_after=0)


def _token(tokens: Tokens) -> Handler:
    async def create_token(ctx: Context) -> web.StreamResponse:
        """Source: pkg/registry/core/serviceaccount/storage/token.go."""
        obj = await _posted(ctx, _TOKEN_REQUEST)
        options = ctx.options("CreateOptions")
        account = ctx.server.registry.read(ctx.stored, ctx.namespace, ctx.name)
        spec: dict[str, Any] = obj.get("spec") or {}
        seconds = spec.get("expirationSeconds") or 3600
        problems = []
        if not isinstance(seconds, int) or seconds < _MIN_TOKEN_SECONDS:
            what = "may not specify a duration less than 10 minutes"
            shown = seconds if isinstance(seconds, int) else 0
            problems.append(Cause("FieldValueInvalid", f"Invalid value: {shown}: {what}", "spec.expirationSeconds"))
        elif seconds > _MAX_TOKEN_SECONDS:
            what = "may not specify a duration larger than 2^32 seconds"
            problems.append(Cause("FieldValueInvalid", f"Invalid value: {seconds}: {what}", "spec.expirationSeconds"))
        if problems:
            raise invalid("TokenRequest", "authentication.k8s.io", ctx.name, problems)
        audiences = list(spec.get("audiences") or [AUDIENCE])
        bound, node = _binding(ctx, spec.get("boundObjectRef") or {})
        token, expires = ("", ctx.server.registry.clock.now() + seconds)
        if not options.dry_run:
            token, expires = tokens.issue(account, audiences=audiences, seconds=seconds, bound=bound, node=node)
        answer: Obj = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": ctx.name,
                "namespace": ctx.namespace,
                "creationTimestamp": timestamp(ctx.server.registry.clock.now()),
            },
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef") or None,
            },
            "status": {"token": token, "expirationTimestamp": timestamp(expires)},
        }
        return ctx.respond(answer, 201)

    return create_token


def _binding(ctx: Context, reference: dict[str, Any]) -> tuple[tuple[str, str, str] | None, tuple[str, str] | None]:
    """(bound object, node) of a token request. Raises ApiError 409 or 422."""
    if not reference:
        return None, None
    kind, name, uid = reference.get("kind", ""), reference.get("name", ""), reference.get("uid", "")
    if kind not in ("Pod", "Secret", "Node"):
        message = (
            f"cannot bind token for serviceaccount to object of type {reference.get('apiVersion', '')}, Kind={kind}"
        )
        raise bad_request(message)
    registry = ctx.server.registry
    namespace = "" if kind == "Node" else ctx.namespace
    found = registry.read(registry.kind(kind), namespace, name)
    if uid and uid != found["metadata"]["uid"]:
        why = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise conflict(registry.kind(kind).plural, "", name, why)
    node = None
    node_name = (found.get("spec") or {}).get("nodeName", "") if kind == "Pod" else ""
    if node_name and (host := registry.store.get("Node", "", node_name)):
        node = (node_name, host["metadata"]["uid"])
    return (kind, name, found["metadata"]["uid"]), node
