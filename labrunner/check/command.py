"""Does a read-only command answer as it should?

Runs `run` with bash in the shell's directory and with its exported environment, but not in the learner's shell: it
sees no aliases, functions or unexported variables, gets no input, and everything it started is ended with it. `exit`
(default 0), `stdout` and `stderr` (trailing newline cut) are patterns; `json` is a pattern for stdout as JSON; `cel`
may read `exit`, `stdout`, `stderr` and `json`. Taking longer than `timeout` seconds (default 10) is a failure; a
command that is not installed is an error of the environment.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from labrunner.check import cel_expression
from labrunner.check.kind import CheckContext
from labrunner.check.match import compare, describe
from labrunner.check.match_operators import lint_pattern
from labrunner.check.object_findings import bounded, value_findings
from labrunner.check.phrase import clip, show
from labrunner.check.probe import OUTPUT_KEPT, ProbeResult, run_probe
from labrunner.check.result import Finding
from labrunner.errors import EnvironmentFault

EXAMPLES: Final = """
- title: The chain verifies
  params:
    run: cat answer.txt
    stdout: {$matches: "OK$"}
  passes: {files: {answer.txt: "server.crt: OK\\n"}}
  fails:
    - why: It does not
      reasons: [different]
      files: {answer.txt: "error 20 at 0 depth lookup\\n"}
    - why: The command fails
      reasons: [exit]
- title: The answer is JSON with two servers
  params:
    run: cat servers.json
    json: {servers: {$length: 2}}
    timeout: 5
  passes: {files: {servers.json: '{"servers": ["a", "b"]}'}}
  fails:
    - why: There is one server
      reasons: [count]
      files: {servers.json: '{"servers": ["a"]}'}
    - why: It is no JSON
      reasons: [not-json]
      files: {servers.json: "<html>"}
"""

REASONS: Final = {
    "exit": "Another exit status.",
    "timeout": "It was not done in time.",
    "different": "The output (or a field of its JSON) is another.",
    "missing": "A field or item of the JSON is not there.",
    "unexpected": "Something is in the output that should not be.",
    "count": "A list or text of another length.",
    "not-json": "The output is no JSON.",
    "cel": "A CEL expression is not true.",
    "more": "There are further findings.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""

_DEFAULT_TIMEOUT: Final = 10.0


class CommandKind:
    """See the module's docstring."""

    name = "command"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["run"],
        "properties": {
            "run": {"type": "string", "minLength": 1, "description": "A command line for bash that changes nothing."},
            "exit": {"description": "A pattern for its exit status; default 0."},
            "stdout": {"description": "A pattern for its output, trailing newline cut."},
            "stderr": {"description": "A pattern for its diagnostics, trailing newline cut."},
            "json": {"description": "A pattern for its output read as JSON."},
            "cel": cel_expression.SCHEMA,
            "timeout": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 300,
                "description": "Seconds; default 10.",
            },
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        timeout = float(params.get("timeout", _DEFAULT_TIMEOUT))
        if context.deadline:
            timeout = max(0.1, min(timeout, context.deadline - time.monotonic()))
        result = run_probe(params["run"], context.cwd, context.environment, timeout)
        where = clip(params["run"].strip().replace("\n", "; "), 120)
        if result.exit is None:
            seen = _output(result) or "no output"
            message = f"The command was not done after {timeout:g} s."
            return [Finding("timeout", message, f"an answer within {timeout:g} s", seen, where)]
        _refuse_missing_tool(params, result)
        found = _judge(params, result, where)
        if found:
            _refuse_lost_cluster(result)
        return bounded(found)

    def describe(self, params: Mapping[str, Any]) -> str:
        return f"`{clip(params['run'].strip().splitlines()[0], 80)}` answers as it should"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems: list[str] = []
        for field in ("exit", "stdout", "stderr", "json"):
            if field in params:
                problems += lint_pattern(params[field], field)
        return problems + cel_expression.lint(params.get("cel", []), ("exit", "stdout", "stderr", "json"))


def _refuse_missing_tool(params: Mapping[str, Any], result: ProbeResult) -> None:
    """Exit 127 with bash's own words means the tool is missing; unless the check asks for 127."""
    if result.exit != 127 or not compare(params.get("exit", 0), 127):
        return
    found = re.search(r"^bash: line \d+: (.+): (?:command not found|No such file or directory)$", result.stderr, re.M)
    if found:
        tool = found.group(1)
        raise EnvironmentFault(
            f"The command {tool} is not installed.", hint=f"Install {tool}; labrunner doctor says how, if it knows it."
        )


_LOST = re.compile(
    r"^(?:error: )?(?:The connection to the server (?P<refused>\S+) was refused|Unable to connect to the server: .*)",
    re.M,
)
"""kubectl's words when it got no answer (k8s.io/kubectl/pkg/cmd/util/helpers.go)."""


def _refuse_lost_cluster(result: ProbeResult) -> None:
    """A command that does not answer as it should because its kubectl reached no cluster says nothing of the work."""
    lost = _LOST.search(result.stderr)
    if lost:
        where = f" at {lost['refused']}" if lost["refused"] else ""
        raise EnvironmentFault(
            f"The cluster{where} cannot be reached: {clip(lost.group(), 120)}.",
            hint="Is the cluster up? `labrunner sandbox status` and `kubectl cluster-info` tell.",
        )


def _judge(params: Mapping[str, Any], result: ProbeResult, where: str) -> list[Finding]:
    found: list[Finding] = []
    wanted = params.get("exit", 0)
    if compare(wanted, result.exit):
        expected, seen = f"exit status {describe(wanted)}", f"exit status {result.exit}"
        output = _output(result)
        message = f"The command ended with {seen}; it should be {describe(wanted)}."
        found.append(Finding("exit", message, expected, f"{seen}: {output}" if output else seen, where))
    stdout, stderr = result.stdout.removesuffix("\n"), result.stderr.removesuffix("\n")
    for name, text in (("stdout", stdout), ("stderr", stderr)):
        if name in params:
            found += value_findings(compare(params[name], text), f"{name} of {where}")
    data: Any = None
    if "json" in params or any(cel_expression.reads(r["expression"], "json") for r in params.get("cel", [])):
        try:
            data = json.loads(stdout)
        except (ValueError, RecursionError) as error:
            reason = f"more than {OUTPUT_KEPT} bytes" if result.truncated else show(stdout)
            return [*found, Finding("not-json", f"The output is no JSON: {error}.", "JSON", reason, where)]
        if "json" in params:
            found += value_findings(compare(params["json"], data), where)
    variables = {"exit": result.exit, "stdout": stdout, "stderr": stderr, "json": data}
    return found + cel_expression.findings(params.get("cel", []), variables, where)


def _output(result: ProbeResult) -> str:
    """What the learner would look at first: the last lines of stderr, else of stdout."""
    text = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return clip("\n".join(text[-3:]))
