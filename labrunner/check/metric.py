"""Does one of Istio's metrics have the right value?

Adds up the series of `metric` (`istio_requests_total`, `istio_tcp_connections_opened_total` ...) whose labels match
`labels`, each a pattern, over every proxy of the mesh, and compares the sum with `value`. Counters begin with the
sandbox's mesh.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from labrunner.check.kind import CheckContext
from labrunner.check.match import compare, describe
from labrunner.check.match_operators import lint_pattern
from labrunner.check.mesh_questions import ask_mesh, require_mesh
from labrunner.check.phrase import did_you_mean
from labrunner.check.result import Finding

EXAMPLES: Final = """
- title: The reviews refused somebody
  params:
    metric: istio_requests_total
    labels: {reporter: destination, destination_app: reviews, response_code: "403"}
    value: {$gte: 1}
  passes:
    files:
      bin/kubectl: |
        #!/bin/sh
        case "$*" in
          *status*) echo '{"problem": "", "proxies": []}';;
          *) echo '{"samples": [{"name": "istio_requests_total", "value": 2, "labels":
               {"reporter": "destination", "destination_app": "reviews", "response_code": "403"}}]}';;
        esac
    prepare: chmod +x bin/kubectl
    environment: {PATH: "bin:/usr/bin:/bin"}
  fails:
    - why: Everybody was let through
      reasons: [different]
      files:
        bin/kubectl: |
          #!/bin/sh
          case "$*" in
            *status*) echo '{"problem": "", "proxies": []}';;
            *) echo '{"samples": [{"name": "istio_requests_total", "value": 2, "labels":
                 {"reporter": "destination", "destination_app": "reviews", "response_code": "200"}}]}';;
          esac
      prepare: chmod +x bin/kubectl
      environment: {PATH: "bin:/usr/bin:/bin"}
"""

REASONS: Final = {
    "missing": "There is no such metric, so far.",
    "different": "The sum of the series is another.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""


class MetricKind:
    """See the module's docstring."""

    name = "metric"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["metric", "value"],
        "properties": {
            "metric": {"type": "string", "minLength": 1, "description": "The metric's name."},
            "labels": {"type": "object", "description": "Patterns for labels by name."},
            "value": {"description": "A pattern for the sum of the series that match."},
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        require_mesh(context.cwd, context.environment)
        samples = ask_mesh("samples", context.cwd, context.environment)["samples"]
        name, labels = params["metric"], params.get("labels") or {}
        series = [sample for sample in samples if sample["name"] == name]
        chosen = [
            sample
            for sample in series
            if not any(compare(pattern, sample["labels"].get(label)) for label, pattern in labels.items())
        ]
        total = sum(sample["value"] for sample in chosen)
        total = int(total) if total == int(total) else total
        where = f"metric {name}"
        if not compare(params["value"], total):
            return []
        expected = describe(params["value"])
        if not series:
            hint = did_you_mean(name, {sample["name"] for sample in samples})
            message = f"No proxy has reported {name} yet.{hint}"
            return [Finding("missing", message, expected, "no series", where)]
        about = f"{len(chosen)} of {len(series)} series"
        message = f"{name} is {total} ({about} match the labels); it should be {expected}."
        return [Finding("different", message, expected, f"{total} in {about}", where)]

    def describe(self, params: Mapping[str, Any]) -> str:
        labels = ", ".join(f"{key}={describe(value)}" for key, value in (params.get("labels") or {}).items())
        return f"{params['metric']}{{{labels}}} is {describe(params['value'])}"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems = lint_pattern(params["value"], "value")
        for label, pattern in (params.get("labels") or {}).items():
            problems += lint_pattern(pattern, f"labels.{label}")
        return problems
