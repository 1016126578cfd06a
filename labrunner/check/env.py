"""Is an environment variable exported in the lab's shell, with the right value?

Looks at the shell's exported variables after its last command: `NAME=value` alone is not exported, `export NAME` is.
`value` is a pattern. With `secret: true`, and for names that say so (PASSWORD, TOKEN, SECRET, KEY ...), values are
never shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from labrunner.check.kind import CheckContext
from labrunner.check.match import compare, describe
from labrunner.check.match_operators import lint_pattern
from labrunner.check.phrase import did_you_mean, show
from labrunner.check.result import Finding

EXAMPLES: Final = """
- title: The region is set
  params: {name: AZURE_REGION, value: {$in: [westeurope, northeurope]}}
  passes: {environment: {AZURE_REGION: westeurope}}
  fails:
    - why: Another region
      reasons: [different]
      environment: {AZURE_REGION: mars}
    - why: Not exported
      reasons: [missing]
- title: The proxy was switched off
  params: {name: HTTPS_PROXY, absent: true}
  passes: {}
  fails:
    - why: It is still set
      reasons: [unexpected]
      environment: {HTTPS_PROXY: "http://127.0.0.1:3128"}
"""

REASONS: Final = {
    "missing": "The variable is not exported.",
    "different": "It has another value.",
    "unexpected": "It is exported and should not be.",
}
"""The reason codes of its findings, for hints and mistakes to refer to."""

_SECRET_NAME = re.compile(r"PASS(WORD|WD|PHRASE)?($|_)|TOKEN|SECRET|CREDENTIAL|_KEY$|^KEY$|API_?KEY", re.IGNORECASE)


class EnvKind:
    """See the module's docstring."""

    name = "env"
    reasons: Mapping[str, str] = REASONS
    params_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "The variable's name, without $."},
            "value": {"description": "A pattern for its value; default: any value but the empty one."},
            "absent": {"type": "boolean", "description": "true: it must not be exported."},
            "secret": {"type": "boolean", "description": "true: its value is never shown."},
        },
    }

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        name = params["name"]
        value = context.environment.get(name)
        secret = params.get("secret", False) or _SECRET_NAME.search(name) is not None
        shown = "absent" if value is None else f"<hidden, {len(value)} characters>" if secret else show(value)
        where = f"environment variable {name}"
        if params.get("absent"):
            if value is None:
                return []
            return [Finding("unexpected", f"{name} is exported; it should not be.", "absent", shown, where)]
        pattern = params.get("value", {"$ne": ""})
        expected = "<hidden>" if secret else describe(pattern) if "value" in params else "a value"
        if value is None:
            hint = did_you_mean(name, context.environment)
            message = f"{name} is not exported in the lab's shell (export {name}=...).{hint}"
            return [Finding("missing", message, expected, "absent", where)]
        if not compare(pattern, value):
            return []
        return [Finding("different", f"{name} is {shown}; it should be {expected}.", expected, shown, where)]

    def describe(self, params: Mapping[str, Any]) -> str:
        return f"{params['name']} is {'not ' if params.get('absent') else ''}exported"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        problems = lint_pattern(params.get("value", ""), "value")
        if params.get("absent") and "value" in params:
            problems.append("absent: cannot be combined with value")
        if str(params["name"]).startswith("$") and not str(params["name"]).startswith("${"):
            problems.append("name: is written without $")
        return problems
