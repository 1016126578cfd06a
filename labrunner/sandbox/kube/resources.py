"""The verbs on resources: get, list, watch, create, update, patch, delete, deletecollection.

Source: k8s.io/apiserver/pkg/endpoints/handlers.
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from labrunner.sandbox.kube import access, body, field, listing, traits
from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.kinds import Kind
from labrunner.sandbox.kube.listing import ListOptions
from labrunner.sandbox.kube.patch import request as patching
from labrunner.sandbox.kube.registry import copied
from labrunner.sandbox.kube.request import DeleteOptions, Options
from labrunner.sandbox.kube.status import ApiError, bad_request, invalid


async def get(ctx: Context) -> web.StreamResponse:
    version = ctx.path.param("resourceVersion")
    if version and version != "0":
        if not version.isdigit():
            raise bad_request(f'strconv.ParseUint: parsing "{version}": invalid syntax')
        if int(version) > ctx.server.store.revision:
            raise listing.too_large(int(version), ctx.server.store.revision)
    obj = ctx.server.registry.read(ctx.stored, ctx.namespace, ctx.name)
    return answer(ctx, obj)


def answer(ctx: Context, obj: Obj, code: int = 200) -> web.Response:
    """A stored object in the representation asked for."""
    form = ctx.form()
    return ctx.respond(ctx.server.renderer.object(ctx.kind, ctx.version, obj, form, ctx.path), code, form)


def list_options(ctx: Context) -> ListOptions:
    selectable = ctx.server.selectable_fields(ctx.kind, ctx.version)
    return listing.parse(ctx.path, ctx.kind, name=ctx.name, selectable=selectable)


async def list_(ctx: Context) -> web.StreamResponse:
    page = listing.page(ctx.server.store, ctx.stored, ctx.namespace, list_options(ctx))
    form = ctx.form()
    found = ctx.server.renderer.collection(ctx.kind, ctx.version, page.objects, page.metadata, form, ctx.path)
    return ctx.respond(found, form=form)


async def watch(ctx: Context) -> web.StreamResponse:
    options = list_options(ctx)
    form = ctx.form()
    response = web.StreamResponse()
    response.headers["Content-Type"] = "application/json"
    response.headers["Cache-Control"] = "no-cache, private"
    response.enable_chunked_encoding()
    key = (ctx.kind.id, ctx.version, form.transform, form.version, ctx.path.param("includeObject"))
    encode = ctx.server.renderer.event(ctx.kind, ctx.version, form, ctx.path)
    return await ctx.server.watches.serve(ctx.http, response, ctx.stored, ctx.namespace, options, key, encode)


async def create(ctx: Context) -> web.StreamResponse:
    options = ctx.options("CreateOptions")
    data, content_type = await ctx.body()
    obj = decoded(ctx, data, content_type, options)
    ctx.created_name = str(obj.get("metadata", {}).get("name", ""))
    made = ctx.server.registry.create(ctx.stored, obj, ctx.namespace, options)
    ctx.created_name = made["metadata"]["name"]
    return answer(ctx, made, 201)


async def update(ctx: Context) -> web.StreamResponse:
    options = ctx.options("UpdateOptions")
    data, content_type = await ctx.body()
    obj = decoded(ctx, data, content_type, options)
    if not obj.get("metadata", {}).get("name"):
        raise bad_request(f"the name of the object () does not match the name on the URL ({ctx.name})")
    stored, made = ctx.server.registry.update(
        ctx.stored,
        ctx.namespace,
        ctx.name,
        lambda old: obj,
        options,
        subresource=ctx.path.subresource,
        create=traits.allows_create_on_update(ctx.stored) and not ctx.path.subresource,
    )
    return answer(ctx, stored, 201 if made else 200)


async def patch(ctx: Context) -> web.StreamResponse:
    options = ctx.options("PatchOptions")
    data, content_type = await ctx.body()
    if content_type == patching.APPLY:
        return await _apply(ctx, data, options)
    if content_type not in patching.accepted(ctx.kind.custom):
        raise patching.unsupported_media_type(ctx.kind.custom)
    if "force" in ctx.path.query:
        problem = field.forbidden("force", "may not be specified for non-apply patch")
        raise invalid("PatchOptions", "meta.k8s.io", "", [problem.cause()])
    conversion, schemas = ctx.server.conversion, ctx.server.schemas
    node = schemas.node(ctx.kind, ctx.version)

    def change(old: Obj | None) -> Obj:
        assert old is not None
        live = conversion.outward(ctx.kind, ctx.version, old)
        patched = patching.patched(content_type, data, live, node, custom=ctx.kind.custom)
        subject = data if content_type == patching.STRATEGIC else go_json(patched)
        return _shaped_patch(ctx, patched, subject, options)

    stored, _ = ctx.server.registry.update(
        ctx.stored, ctx.namespace, ctx.name, change, options, subresource=ctx.path.subresource
    )
    return answer(ctx, stored)


def _shaped_patch(ctx: Context, patched: Any, subject: bytes, options: Options) -> Obj:
    """The result of a patch, decoded as the server decodes it, in the storage version.

    `subject`: what a refusal quotes, the whole patched object but for strategic merge patches.
    """
    if not isinstance(patched, dict):
        raise bad_request("the patch does not leave an object")
    body.check_depth(patched)
    _check_type(ctx, patched)
    shaped, problems = ctx.server.schemas.decode(ctx.kind, ctx.version, patched, None)
    if problems:
        if options.field_validation == "Strict":
            raise patch_refused(subject, "strict decoding error: " + ", ".join(problems))
        if options.field_validation == "Warn":
            for problem in problems:
                options.warn(problem)
    return ctx.server.conversion.inward(ctx.kind, ctx.version, shaped)


def go_json(value: Any) -> bytes:
    """As Go's encoding/json writes a map: keys in order, HTML's characters escaped."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    for character in b"<>&":
        text = text.replace(bytes([character]), b"\\u%04x" % character)
    return text


def patch_refused(subject: bytes, why: str) -> ApiError:
    """422 without an object: the patch itself is at fault."""
    problem = field.invalid("patch", subject.decode("utf-8", "replace"), why)
    return invalid("", "", "", [problem.cause()])


async def _apply(ctx: Context, data: bytes, options: Options) -> web.StreamResponse:
    problems = []
    if not ctx.path.param("fieldManager"):
        problems.append(field.required("fieldManager", "is required for apply patch"))
    if problems:
        raise invalid("PatchOptions", "meta.k8s.io", "", [problem.cause() for problem in problems])
    wanted = body.decode_yaml(data)
    if not isinstance(wanted, dict):
        raise bad_request("error decoding YAML: the apply configuration must be an object")
    body.check_depth(wanted)
    _check_apply(ctx, wanted)
    stored, made = ctx.server.apply(ctx, wanted, options, force=ctx.path.flag("force"))
    return answer(ctx, stored, 201 if made else 200)


def _check_apply(ctx: Context, wanted: Obj) -> None:
    expected = ctx.kind.api_version(ctx.version)
    given, kind = wanted.get("apiVersion"), wanted.get("kind")
    if not kind:
        raise bad_request("Object 'Kind' is missing in the apply configuration")
    if given != expected:
        raise bad_request(
            f"Incorrect version specified in apply patch. Specified patch version: {given or ''}, expected: {expected}"
        )
    meta = wanted.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise bad_request("metadata must be an object")
    if meta.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    name = meta.setdefault("name", ctx.name)
    if name != ctx.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({ctx.name})")
    if ctx.kind.namespaced:
        namespace = meta.setdefault("namespace", ctx.namespace)
        if namespace != ctx.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


async def delete(ctx: Context) -> web.StreamResponse:
    how, options = await _delete_options(ctx)
    obj, gone = ctx.server.registry.delete(ctx.stored, ctx.namespace, ctx.name, how, options)
    code = 202 if not gone and how.accepted else 200
    if gone and not traits.delete_returns_object(ctx.stored):
        return ctx.respond(_success(ctx.kind, obj["metadata"]), code)
    return answer(ctx, obj, code)


async def delete_collection(ctx: Context) -> web.StreamResponse:
    selected = list_options(ctx)
    how, options = await _delete_options(ctx)
    page = listing.page(ctx.server.store, ctx.stored, ctx.namespace, selected)
    deleted = []
    for obj in page.objects:
        meta = obj["metadata"]
        try:
            last, _ = ctx.server.registry.delete(ctx.stored, meta.get("namespace", ""), meta["name"], how, options)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
            continue
        deleted.append(last)
    found = ctx.server.renderer.collection(ctx.kind, ctx.version, deleted, page.metadata, ctx.form(), ctx.path)
    return ctx.respond(found)


async def _delete_options(ctx: Context) -> tuple[DeleteOptions, Options]:
    data, content_type = await ctx.body()
    given = body.decode(data, content_type, ctx.server.protobuf) if data.strip() else None
    if given is not None and given.get("kind") not in (None, "", "DeleteOptions"):
        raise bad_request(f"{given['kind']} cannot be handled as a DeleteOptions")
    how, dry_run = access.delete_options(given, ctx.path)
    ctx.dry_run = dry_run
    return how, Options(user=ctx.user, dry_run=dry_run, version=ctx.version, warnings=ctx.warnings)


def _success(kind: Kind, meta: dict[str, Any]) -> dict[str, Any]:
    details = {"name": meta["name"], "group": kind.group, "kind": kind.plural, "uid": meta["uid"]}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def decoded(ctx: Context, data: bytes, content_type: str, options: Options) -> Obj:
    """A client's object from a request body, in the storage version, checked against the URL and the schema."""
    if not data.strip():
        raise bad_request("unexpected end of JSON input" if ctx.kind.custom else "EOF")
    obj = body.decode(data, content_type, ctx.server.protobuf)
    _check_type(ctx, obj)
    raw = data if content_type == body.JSON else None
    shaped, problems = ctx.server.schemas.decode(ctx.kind, ctx.version, obj, raw)
    strictly(ctx, problems, options)
    if shaped is obj and ctx.server.conversion.converts(ctx.kind, ctx.version):
        shaped = copied(obj)
    return ctx.server.conversion.inward(ctx.kind, ctx.version, shaped)


async def typed_body(ctx: Context, kind: Kind) -> Obj:
    """The body as an object of a kind other than the URL's (Scale, Eviction, TokenRequest ...); {} when empty."""
    data, content_type = await ctx.body()
    obj = body.decode(data, content_type, ctx.server.protobuf) if data.strip() else {}
    return typed(ctx, kind, obj)


def typed(ctx: Context, kind: Kind, obj: Obj) -> Obj:
    """An object decoded as a kind that is not stored. Raises ApiError 400."""
    if obj.get("kind") not in (None, "", kind.kind):
        raise bad_request(f"{obj['kind']} cannot be handled as a {kind.kind}")
    group = str(obj.get("apiVersion") or "").rpartition("/")[0]
    if obj.get("apiVersion") and group != kind.group:
        raise bad_request(f"no kind {kind.kind!r} is registered for version {obj['apiVersion']!r}")
    obj = {**obj, "apiVersion": kind.api_version(), "kind": kind.kind}
    return ctx.server.schemas.decode(kind, kind.storage, obj, None)[0]


def strictly(ctx: Context, problems: list[str], options: Options) -> None:
    """Refuse (Strict), warn of (Warn) or pass over unknown and duplicate fields."""
    if problems and options.field_validation == "Strict":
        raise bad_request(_strict_message(ctx, problems))
    if options.field_validation == "Warn":
        for problem in problems:
            options.warn(problem)


def _strict_message(ctx: Context, problems: list[str]) -> str:
    kind = ctx.kind.kind
    return (
        f'{kind} in version "{ctx.version}" cannot be handled as a {kind}: strict decoding error: {", ".join(problems)}'
    )


def _check_type(ctx: Context, obj: Obj) -> None:
    expected = ctx.kind.api_version(ctx.version)
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    if ctx.kind.custom and not kind:
        raise bad_request("Object 'Kind' is missing in the request body")
    for name, value in (("apiVersion", api_version), ("kind", kind)):
        if value is not None and not isinstance(value, str):
            raise bad_request(
                f"couldn't get version/kind; json parse error: json: cannot unmarshal into Go struct field .{name} "
                "of type string"
            )
    if api_version and kind and kind != ctx.kind.kind:
        version = str(api_version).rpartition("/")[2]
        if api_version == expected:
            raise bad_request(f'{kind} in version "{version}" cannot be handled as a {ctx.kind.kind}: kind mismatch')
    if api_version and api_version != expected:
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )
    if kind and kind != ctx.kind.kind:
        raise bad_request(f'{kind} in version "{ctx.version}" cannot be handled as a {ctx.kind.kind}: kind mismatch')
    obj["apiVersion"], obj["kind"] = expected, ctx.kind.kind
    if not isinstance(obj.get("metadata", {}), dict):
        raise bad_request(
            f'{ctx.kind.kind} in version "{ctx.version}" cannot be handled as a {ctx.kind.kind}: '
            f"json: cannot unmarshal into Go struct field {ctx.kind.kind}.metadata of type v1.ObjectMeta"
        )
