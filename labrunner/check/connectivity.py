"""May exactly those reach each other that should?

`callers` and `targets` span a matrix; every cell is really tried, several at a time. `allow` lists the pairs that must
get an answer below 400; every other pair must be refused: an HTTP status of 400 or more, or no connection. A caller is
`{name, from, namespace, container}`, a target `{name, url}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from labrunner.check.http_probe import REQUEST_PROPERTIES, Answer, Request, of_params, perform
from labrunner.check.kind import CheckContext
from labrunner.check.mesh_questions import require_mesh, told, way_of
from labrunner.check.result import Finding

EXAMPLES: Final = """
- title: Only the frontend reaches the backend
  params:
    callers:
      - {name: frontend, from: deploy/frontend, namespace: frontend}
      - {name: database, from: deploy/database, namespace: database}
    targets: [{name: backend, url: "http://backend.backend/"}]
    allow: [{caller: frontend, target: backend}]
  passes:
    files:
      bin/kubectl: |
        #!/bin/sh
        case "$*" in
          *status*) echo '{"problem": "", "proxies": []}';;
          *deploy/frontend*) printf 'HTTP/1.1 200 OK\\n\\nok\\n#labrunner-time:0.1\\n#labrunner-exit:0\\n';;
          *deploy/database*) printf 'HTTP/1.1 403 Forbidden\\n\\nno\\n#labrunner-time:0.1\\n#labrunner-exit:0\\n';;
        esac
    prepare: chmod +x bin/kubectl
    environment: {PATH: "bin:/usr/bin:/bin"}
  fails:
    - why: Nobody is kept out, and the frontend is
      reasons: [reached, refused]
      files:
        bin/kubectl: |
          #!/bin/sh
          case "$*" in
            *status*) echo '{"problem": "", "proxies": []}';;
            *way*) echo '{"hops": [], "why": ""}';;
            *deploy/database*) printf 'HTTP/1.1 200 OK\\n\\nok\\n#labrunner-time:0.1\\n#labrunner-exit:0\\n';;
            *deploy/frontend*) printf 'HTTP/1.1 403 Forbidden\\n\\nno\\n#labrunner-time:0.1\\n#labrunner-exit:0\\n';;
          esac
      prepare: chmod +x bin/kubectl
      environment: {PATH: "bin:/usr/bin:/bin"}
"""

REASONS: Final = {
    "reached": "A pair that must be refused gets through.",
    "refused": "A pair that must get through is refused.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""

_AT_ONCE: Final = 4


class ConnectivityKind:
    """See the module's docstring."""

    name = "connectivity"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["callers", "targets", "allow"],
        "properties": {
            "callers": {
                "type": "array",
                "minItems": 1,
                "description": "Who calls: a name, and `from`, `namespace`, `container` as in `request`.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name", "from"],
                    "properties": {
                        "name": {"type": "string", "description": "What `allow` calls it."},
                        **{key: REQUEST_PROPERTIES[key] for key in ("from", "namespace", "container")},
                    },
                },
            },
            "targets": {
                "type": "array",
                "minItems": 1,
                "description": "What is called: a name, a URL, and a method.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name", "url"],
                    "properties": {
                        "name": {"type": "string", "description": "What `allow` calls it."},
                        "url": {"type": "string", "description": "Where to."},
                        "method": {"type": "string", "description": "Default: GET."},
                    },
                },
            },
            "allow": {
                "type": "array",
                "description": "The pairs that must get through.",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["caller", "target"],
                    "properties": {
                        "caller": {"type": "string", "description": "A caller's name."},
                        "target": {"type": "string", "description": "A target's name."},
                    },
                },
            },
            "timeout": REQUEST_PROPERTIES["timeout"],
        },
    }  # fmt: skip

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        if context.target.name == "sandbox":
            require_mesh(context.cwd, context.environment)
        allowed = {(pair["caller"], pair["target"]) for pair in params["allow"]}
        cells = [(caller, target) for caller in params["callers"] for target in params["targets"]]

        def tried(cell: tuple[dict[str, Any], dict[str, Any]]) -> Finding | None:
            return _cell(*cell, (cell[0]["name"], cell[1]["name"]) in allowed, params, context)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [finding for finding in pool.map(tried, cells) if finding]

    def describe(self, params: Mapping[str, Any]) -> str:
        count = len(params["callers"]) * len(params["targets"])
        return f"{len(params['allow'])} of {count} pairs of caller and target get through, the others are refused"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems = []
        for key, names in (("caller", params["callers"]), ("target", params["targets"])):
            known = [each["name"] for each in names]
            problems += [f"{key}s: {name} is there twice" for name in set(known) if known.count(name) > 1]
            for index, pair in enumerate(params["allow"]):
                if pair[key] not in known and "${" not in pair[key]:
                    problems.append(f"allow[{index}].{key}: there is no {key} {pair[key]}")
        return problems


def _cell(
    caller: Mapping[str, Any],
    target: Mapping[str, Any],
    allowed: bool,
    params: Mapping[str, Any],
    context: CheckContext,
) -> Finding | None:
    timeout = params.get("timeout", 5)
    request = of_params({**{k: v for k, v in target.items() if k != "name"}, **caller, "timeout": timeout})
    answer = perform(request, context.cwd, context.environment)[0]
    through = 0 < answer.status < 400
    if through is allowed:
        return None
    where = f"{caller['name']} -> {target['name']} ({target['url']})"
    why = _why(answer, request, context)
    if through:
        message = f"{caller['name']} reaches {target['name']}: {answer.outcome()}; it should be refused. {why}"
        return Finding("reached", message.strip(), "refused", answer.outcome(), where)
    message = f"{caller['name']} does not reach {target['name']}: {answer.outcome()}. {why}"
    return Finding("refused", message.strip(), "a response below 400", answer.outcome(), where)


def _why(answer: Answer, request: Request, context: CheckContext) -> str:
    if context.target.name != "sandbox":
        return ""
    return told(way_of(request, answer, context.cwd, context.environment))
