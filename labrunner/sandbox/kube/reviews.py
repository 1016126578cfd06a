"""Kinds that are asked, not stored: access reviews, rules reviews, token reviews, `auth whoami`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from labrunner.sandbox.kube import resources
from labrunner.sandbox.kube.api import Obj
from labrunner.sandbox.kube.context import Context
from labrunner.sandbox.kube.request import Attributes, User
from labrunner.sandbox.kube.server import ApiServer
from labrunner.sandbox.kube.status import Cause, invalid
from labrunner.sandbox.kube.tokens import AUDIENCE, Tokens

Rules = Callable[[User, str], tuple[list[Any], list[Any], str]]
"""(user, namespace) -> (resource rules, non-resource rules, what could not be found out; empty: nothing)."""


def install(server: ApiServer, tokens: Tokens, rules: Rules) -> None:
    """Answer the review kinds through the server's authorizer."""
    authn, authz = "authentication.k8s.io", "authorization.k8s.io"
    server.virtual[f"{authz}/SelfSubjectAccessReview"] = _self_access
    server.virtual[f"{authz}/SubjectAccessReview"] = _access
    server.virtual[f"{authz}/LocalSubjectAccessReview"] = _access
    server.virtual[f"{authn}/SelfSubjectReview"] = _whoami
    server.virtual[f"{authn}/TokenReview"] = lambda ctx: _token(ctx, tokens)
    server.virtual[f"{authz}/SelfSubjectRulesReview"] = lambda ctx: _rules(ctx, rules)


async def _asked(ctx: Context) -> Obj:
    obj = await resources.typed_body(ctx, ctx.kind)
    for name in ("spec", "metadata"):
        obj.setdefault(name, {})
    return obj


def _answer(ctx: Context, asked: Obj, status: dict[str, Any]) -> web.Response:
    metadata = {"creationTimestamp": None, **asked.get("metadata", {})}
    answer: Obj = {"kind": asked["kind"], "apiVersion": asked["apiVersion"], "metadata": metadata}
    if asked.get("spec"):
        answer["spec"] = asked["spec"]
    return ctx.respond(answer | {"status": status}, 201)


def _attributes(ctx: Context, spec: dict[str, Any]) -> Attributes:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if bool(resource) == bool(other):
        what = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        cause = Cause("FieldValueInvalid", f"Invalid value: {what}", "spec.resourceAttributes")
        raise invalid(ctx.kind.kind, ctx.kind.group, "", [cause])
    if other:
        return Attributes(str(other.get("verb", "")), path=str(other.get("path", "")))
    assert resource
    names = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
    return Attributes(*(str(resource.get(name) or "") for name in names))


def _decision(ctx: Context, user: User, attributes: Attributes) -> dict[str, Any]:
    allowed, reason = ctx.server.authorizer(user, attributes)
    return {"allowed": allowed} | ({"reason": reason} if reason else {})


async def _self_access(ctx: Context) -> web.StreamResponse:
    asked = await _asked(ctx)
    return _answer(ctx, asked, _decision(ctx, ctx.user, _attributes(ctx, asked["spec"])))


async def _access(ctx: Context) -> web.StreamResponse:
    asked = await _asked(ctx)
    spec = asked["spec"]
    if not spec.get("user") and not spec.get("groups"):
        what = "Required value: at least one of user or group must be specified"
        raise invalid(ctx.kind.kind, ctx.kind.group, "", [Cause("FieldValueRequired", what, "spec.user")])
    extra = tuple(sorted((key, tuple(values)) for key, values in (spec.get("extra") or {}).items()))
    user = User(str(spec.get("user") or ""), tuple(spec.get("groups") or ()), str(spec.get("uid") or ""), extra)
    return _answer(ctx, asked, _decision(ctx, user, _attributes(ctx, spec)))


async def _whoami(ctx: Context) -> web.StreamResponse:
    asked = await _asked(ctx)
    asked.pop("spec", None)
    return _answer(ctx, asked, {"userInfo": ctx.user.info()})


async def _token(ctx: Context, tokens: Tokens) -> web.StreamResponse:
    asked = await _asked(ctx)
    token = str(asked["spec"].get("token") or "")
    if not token:
        cause = Cause("FieldValueRequired", "Required value: token is required", "spec.token")
        raise invalid(ctx.kind.kind, ctx.kind.group, "", [cause])
    wanted = list(asked["spec"].get("audiences") or [AUDIENCE])
    for audience in wanted:
        if user := tokens.user(token, audience):
            shared = [a for a in tokens.audiences(token) or [AUDIENCE] if a in wanted]
            return _answer(ctx, asked, {"authenticated": True, "user": user.info(), "audiences": shared})
    return _answer(ctx, asked, {"user": {}, "error": "[invalid bearer token]"})


async def _rules(ctx: Context, rules: Rules) -> web.StreamResponse:
    asked = await _asked(ctx)
    namespace = str(asked["spec"].get("namespace") or "")
    if not namespace:
        cause = Cause("FieldValueRequired", "Required value: no namespace on request", "spec.namespace")
        raise invalid(ctx.kind.kind, ctx.kind.group, "", [cause])
    resource_rules, other_rules, problem = rules(ctx.user, namespace)
    status: dict[str, Any] = {
        "resourceRules": resource_rules,
        "nonResourceRules": other_rules,
        "incomplete": bool(problem),
    }
    if problem:
        status["evaluationError"] = problem
    return _answer(ctx, asked, status)
