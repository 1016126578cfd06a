"""Does an HTTP request that is really sent end as it should?

Sends it with curl, from a workload's container (`from`, through kubectl exec) or from the lab's machine
(`from: host`). `status`, `body`, `responseHeaders` and `exit` (curl's exit code; default 0, or anything when `deniedBy`
is asked and `status` is not) are patterns. `times` sends it again and again: every answer must be as it should be, and
`shares` counts how many percent of the bodies match each regular expression. `deniedBy` names the AuthorizationPolicy
(namespace/name) that must have refused it, `mtls` says whether it reached the server over mutual TLS, `client` and
`server` are patterns for the SPIFFE identities then. `within` is the longest time in seconds an answer may take. What
the mesh knows of the request is added to the finding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from labrunner.check.http_probe import HOST, REQUEST_PROPERTIES, Answer, Request, of_params, perform
from labrunner.check.kind import CheckContext
from labrunner.check.match import compare, describe
from labrunner.check.match_operators import lint_pattern
from labrunner.check.mesh_questions import require_envoy, require_mesh, told, way_of
from labrunner.check.phrase import clip, show
from labrunner.check.result import Finding
from labrunner.errors import EnvironmentFault

EXAMPLES: Final = """
- title: The client may GET
  params:
    from: deploy/client
    namespace: shop
    url: http://web/
    status: 200
    body: {$matches: "Welcome"}
  passes:
    prepare: |
      mkdir -p bin
      printf '#!/bin/sh\\ncat answer\\n' > bin/kubectl; chmod +x bin/kubectl
      printf 'HTTP/1.1 200 OK\\r\\n\\r\\nWelcome\\n\\n#labrunner-time:0.01\\n#labrunner-exit:0\\n' \
        > answer
    environment: {PATH: "bin:/usr/bin:/bin"}
  fails:
    - why: A policy refuses it
      reasons: [status, body]
      prepare: |
        mkdir -p bin
        printf '#!/bin/sh\\n[ "$1" = exec ] && cat answer\\n' > bin/kubectl; chmod +x bin/kubectl
        printf >answer \
          'HTTP/1.1 403 Forbidden\\r\\n\\r\\nRBAC: access denied\\n#labrunner-time:0.01\\n#labrunner-exit:0\\n'
      environment: {PATH: "bin:/usr/bin:/bin"}
    - why: The connection is reset
      reasons: [exit]
      prepare: |
        mkdir -p bin
        printf '#!/bin/sh\\n[ "$1" = exec ] && cat answer\\n' > bin/kubectl; chmod +x bin/kubectl
        printf >answer \
          'curl: (56) Recv failure: Connection reset by peer\\n\\n#labrunner-time:0.01\\n#labrunner-exit:56\\n'
      environment: {PATH: "bin:/usr/bin:/bin"}
"""

REASONS: Final = {
    "status": "Another HTTP status.",
    "body": "Another body.",
    "header": "A response header is another or missing.",
    "exit": "curl ended with another exit code.",
    "slow": "It took too long.",
    "share": "The answers are shared out otherwise.",
    "not-denied": "It was not refused by that policy.",
    "plaintext": "It did not go over mutual TLS.",
    "encrypted": "It went over mutual TLS.",
    "identity": "Another identity was at one end.",
    "unseen": "No proxy of the mesh saw it.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""

_MESH = ("deniedBy", "mtls", "client", "server")


class RequestKind:
    """See the module's docstring."""

    name = "request"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url"],
        "properties": {
            **REQUEST_PROPERTIES,
            "url": {"type": "string", "minLength": 1, "description": "Where to."},
            "method": {"type": "string", "description": "Default: GET, or POST with data."},
            "headers": {"type": "object", "description": "Request headers by name."},
            "data": {"type": "string", "description": "The request's body."},
            "curl": {
                "type": ["array", "string"],
                "description": "Further arguments for curl: --cacert, --cert, --resolve ...",
            },
            "times": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "How often; default 1."},
            "status": {"description": "A pattern for the HTTP status."},
            "body": {"description": "A pattern for the body."},
            "responseHeaders": {"type": "object", "description": "Patterns for response headers by name."},
            "exit": {"description": "A pattern for curl's exit code; default 0."},
            "within": {"type": "number", "exclusiveMinimum": 0, "description": "Seconds an answer may take."},
            "shares": {
                "type": "array",
                "description": "Regular expressions for bodies, each with a pattern for its percentage of `times`.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["body", "percent"],
                    "properties": {
                        "body": {"type": "string", "description": "A regular expression, found anywhere in the body."},
                        "percent": {"description": "A pattern for the percentage of bodies that match."},
                    },
                },
            },
            "deniedBy": {"type": "string", "description": "The policy that must have refused it: namespace/name."},
            "mtls": {"type": "boolean", "description": "Whether it reached the server over mutual TLS."},
            "client": {"description": "A pattern for the client's SPIFFE identity, as the server saw it."},
            "server": {"description": "A pattern for the server's SPIFFE identity, as the client saw it."},
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        request = of_params(params)
        if any(key in params for key in _MESH):
            require_mesh(context.cwd, context.environment)
        answers = perform(request, context.cwd, context.environment, params.get("times", 1))
        if context.target.name == "sandbox" and any(answer.exit for answer in answers):
            # A connection that fails for want of an Envoy is no proof of anything.
            require_envoy(context.cwd, context.environment)
        where = _where(request)
        found: list[Finding] = []
        for answer in answers:
            found = _judge(answer, params, where)
            if found:
                break
        way: dict[str, Any] | None = None
        about_mesh = any(key in params for key in _MESH)
        if found or about_mesh:
            way = _way(answer, request, context, needed=about_mesh)
        if way is not None and about_mesh:
            found += _mesh(params, way, answer, where)
        found += _shares(params, answers, where)
        why = told(way or {})
        if found and why:
            first = found[0]
            said = f"{first.message} {why}"
            found[0] = Finding(first.reason, said, first.expected, first.observed, first.where)
        return found

    def describe(self, params: Mapping[str, Any]) -> str:
        who = params.get("from", HOST)
        status = f" answers {describe(params['status'])}" if "status" in params else " is answered"
        return f"{params.get('method', 'GET')} {params['url']} from {who}{status}"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems = []
        for key in ("status", "body", "exit", "client", "server"):
            problems += lint_pattern(params.get(key, ""), key)
        for name, pattern in (params.get("responseHeaders") or {}).items():
            problems += lint_pattern(pattern, f"responseHeaders.{name}")
        for index, share in enumerate(params.get("shares") or ()):
            problems += lint_pattern(share["percent"], f"shares[{index}].percent")
            try:
                re.compile(share["body"])
            except re.error as error:
                problems.append(f"shares[{index}].body: {error}")
        return problems


def _where(request: Request) -> str:
    caller = "host" if request.source == HOST else f"{request.namespace or 'default'}/{request.source}"
    return f"{request.method or 'GET'} {request.url} from {caller}"


def _judge(answer: Answer, params: Mapping[str, Any], where: str) -> list[Finding]:
    wanted = params.get("exit", 0 if "status" in params or "deniedBy" not in params else {"$exists": True})
    if compare(wanted, answer.exit):
        expected = "a response" if wanted == 0 else f"curl exit {describe(wanted)}"
        message = f"{where} ended with {answer.outcome()}; it should end with {expected}."
        return [Finding("exit", message, expected, answer.outcome(), where)]
    found = []
    if "status" in params and compare(params["status"], answer.status):
        expected, got = describe(params["status"]), answer.outcome()
        found.append(Finding("status", f"{where} answers {got}; it should be {expected}.", expected, got, where))
    if "body" in params and compare(params["body"], answer.body.removesuffix("\n")):
        expected, got = describe(params["body"]), clip(show(answer.body), 200)
        found.append(Finding("body", f"The body is {got}; it should be {expected}.", expected, got, where))
    for name, pattern in (params.get("responseHeaders") or {}).items():
        value = answer.headers.get(str(name).lower())
        if compare(pattern, value):
            got = "absent" if value is None else show(value)
            message = f"The header {name} is {got}; it should be {describe(pattern)}."
            found.append(Finding("header", message, describe(pattern), got, where))
    if "within" in params and answer.seconds > params["within"]:
        got = f"{answer.seconds:.2f} s"
        found.append(Finding("slow", f"It took {got}.", f"at most {params['within']} s", got, where))
    return found


def _way(answer: Answer, request: Request, context: CheckContext, *, needed: bool) -> dict[str, Any] | None:
    try:
        return way_of(request, answer, context.cwd, context.environment)
    except EnvironmentFault:
        if needed:
            raise
        return None


def _mesh(params: Mapping[str, Any], way: Mapping[str, Any], answer: Answer, where: str) -> list[Finding]:
    hops = [hop for hop in way["hops"] if not hop["depth"]]
    if not hops:
        why = way["why"] or "neither end is in the mesh"
        message = f"No sidecar or gateway saw the request: {why}."
        return [Finding("unseen", message, "a proxy on the way", "none", where)]
    if defect := next((h["why"] for h in hops if not h["agrees"]), ""):
        raise EnvironmentFault(defect)
    found = []
    last = hops[-1]
    if "deniedBy" in params:
        denied = [h for h in hops if h["verdict"] == "denied"]
        if not any(_is_by(params["deniedBy"], h) for h in denied):
            got = denied[-1]["why"] if denied else answer.outcome()
            message = f"It was not refused by {params['deniedBy']}: {got}."
            found.append(Finding("not-denied", message, f"denied by {params['deniedBy']}", got, where))
    mutual = str(last["tls"]).startswith("mTLS")
    if "mtls" in params and mutual is not params["mtls"]:
        reason, expected = ("plaintext", "mutual TLS") if params["mtls"] else ("encrypted", "plaintext")
        message = f"At {last['workload']} the connection was {last['tls']}; it should be {expected}."
        found.append(Finding(reason, message, expected, last["tls"], where))
    for key, got in (("client", last["client"]), ("server", _server(hops))):
        if key in params and compare(params[key], got):
            expected = describe(params[key])
            message = f"The {key}'s identity is {got or 'none'}; it should be {expected}."
            found.append(Finding("identity", message, expected, got or "none", where))
    return found


def _server(hops: list[dict[str, Any]]) -> str:
    """Who answered, as the last proxy that called somebody saw it."""
    return next((str(hop["server"]) for hop in reversed(hops) if hop["server"]), "")


def _is_by(policy: str, hop: Mapping[str, Any]) -> bool:
    """Whether `namespace/name` (perhaps with `rules[0]`) is what refused it, and no other whose name begins so."""
    return re.search(rf"(?<![\w./-]){re.escape(policy)}(?![\w.-])", f"{hop['policy']} {hop['why']}") is not None


def _shares(params: Mapping[str, Any], answers: list[Answer], where: str) -> list[Finding]:
    found = []
    for share in params.get("shares") or ():
        count = sum(re.search(share["body"], answer.body) is not None for answer in answers)
        percent = round(100 * count / len(answers), 1)
        if compare(share["percent"], percent):
            expected = f"{describe(share['percent'])} percent"
            got = f"{percent:g} percent ({count} of {len(answers)})"
            message = f"Bodies that match {share['body']!r} are {got}; it should be {expected}."
            found.append(Finding("share", message, expected, got, where))
    return found
