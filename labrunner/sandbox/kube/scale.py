"""The scale subresource, for built-in workloads and for custom kinds that declare one.

Source: pkg/registry/apps/*/storage and k8s.io/apiextensions-apiserver/pkg/registry/customresource/etcd.go.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from labrunner.sandbox.kube import field, resources
from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.patch import request as patching
from labrunner.sandbox.kube.registry import copied
from labrunner.sandbox.kube.schema.node import SchemaNode
from labrunner.sandbox.kube.status import ApiError, bad_request, conflict, invalid

_SCALE = Kind("autoscaling", "Scale", "scales", ("v1",))
_SCALE_NODE = SchemaNode({"type": "object"}, {})


async def scale(ctx: Context) -> web.StreamResponse:
    """get, update and patch of `autoscaling/v1 Scale`."""
    match ctx.verb:
        case "get":
            return ctx.respond(_scale_of(ctx, ctx.server.registry.read(ctx.stored, ctx.namespace, ctx.name)))
        case "update":
            options = ctx.options("UpdateOptions")
            wanted = await resources.typed_body(ctx, _SCALE)

            def replaced(old: Obj | None) -> Obj:
                assert old is not None
                return _scaled(ctx, old, wanted)

            stored, _ = ctx.server.registry.update(
                ctx.stored, ctx.namespace, ctx.name, replaced, options, subresource="scale"
            )
        case "patch":
            options = ctx.options("PatchOptions")
            data, content_type = await ctx.body()
            if content_type == patching.APPLY:
                raise ApiError(415, "UnsupportedMediaType", "apply is not supported on the scale subresource")

            def patched(old: Obj | None) -> Obj:
                assert old is not None
                found = patching.patched(content_type, data, _scale_of(ctx, old), _SCALE_NODE, custom=False)
                if not isinstance(found, dict):
                    raise bad_request("the patch does not leave a Scale")
                return _scaled(ctx, old, resources.typed(ctx, _SCALE, found))

            stored, _ = ctx.server.registry.update(
                ctx.stored, ctx.namespace, ctx.name, patched, options, subresource="scale"
            )
        case _:
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    return ctx.respond(_scale_of(ctx, stored))


def _paths(ctx: Context) -> tuple[list[str], list[str], list[str]]:
    """Field paths of spec replicas, status replicas and selector."""
    if not ctx.kind.custom:
        return ["spec", "replicas"], ["status", "replicas"], []
    crd = ctx.server.store.get("apiextensions.k8s.io/CustomResourceDefinition", "", ctx.kind.resource) or {}
    for version in crd.get("spec", {}).get("versions", ()):
        if version["name"] == ctx.version and (declared := (version.get("subresources") or {}).get("scale")):
            return (
                declared["specReplicasPath"].lstrip(".").split("."),
                declared["statusReplicasPath"].lstrip(".").split("."),
                declared.get("labelSelectorPath", "").lstrip(".").split("."),
            )
    raise ApiError(404, "NotFound", "the server could not find the requested resource")


def _at(obj: Any, path: list[str]) -> Any:
    for step in path:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def _scale_of(ctx: Context, obj: Obj) -> Obj:
    spec_path, status_path, selector_path = _paths(ctx)
    meta = obj["metadata"]
    status: dict[str, Any] = {"replicas": _at(obj, status_path) or 0}
    selector = _at(obj, selector_path) if ctx.kind.custom else _selector_text(obj.get("spec", {}).get("selector"))
    if selector:
        status["selector"] = selector
    shown = {
        key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if key in meta
    }
    replicas = _at(obj, spec_path)
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status}


def _selector_text(selector: Any) -> str:
    """A selector in `-l`'s syntax; ReplicationControllers have a plain map."""
    if not isinstance(selector, dict):
        return ""
    labels = selector.get("matchLabels") if "matchLabels" in selector or "matchExpressions" in selector else selector
    parts = [f"{key}={value}" for key, value in sorted((labels or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], ",".join(sorted(expression.get("values") or ()))
        match expression["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def _scaled(ctx: Context, old: Obj, wanted: Obj) -> Obj:
    meta = wanted.get("metadata") or {}
    name, version = meta.get("name", ctx.name), meta.get("resourceVersion")
    if name != ctx.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({ctx.name})")
    if version and version != old["metadata"]["resourceVersion"]:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise conflict(ctx.kind.plural, ctx.kind.group, ctx.name, why)
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        problem = field.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", "autoscaling", ctx.name, [problem.cause()])
    new = copied(old)
    path = _paths(ctx)[0]
    target = new
    for step in path[:-1]:
        target = target.setdefault(step, {})
    target[path[-1]] = replicas
    return new
