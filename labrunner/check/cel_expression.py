"""CEL expressions in checks: compiled once, judged against plain JSON values.

The language is Google's Common Expression Language as Kubernetes uses it, with the string, list, set, math and encoder
functions of its standard extensions (https://kubernetes.io/docs/reference/using-api/cel/).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final

from labrunner import cel_library
from labrunner.check.phrase import clip, did_you_mean, show
from labrunner.check.result import Finding

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "array",
    "description": "CEL expressions that must be true, each with the sentence shown when it is not.",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["expression"],
        "properties": {
            "expression": {"type": "string", "description": "A CEL expression that yields true or false."},
            "message": {"type": "string", "description": "What to tell the learner when it is false."},
        },
    },
}


class CelError(Exception):
    """The expression does not parse, or cannot be evaluated on this value. `str()` is one sentence."""


@functools.lru_cache(maxsize=512)
def _program(expression: str) -> Any:
    try:
        return cel_library.load().compile(expression)
    except ValueError as error:
        raise CelError(_parse_message(str(error))) from error


def _parse_message(text: str) -> str:
    """The parser's own words without the drawing below them."""
    line = text.splitlines()[0] if text else "it does not parse"
    _, _, tail = line.partition("ERROR: <input>:")
    return f"does not parse at {clip(tail.partition(' expecting {')[0], 300)}" if tail else clip(line, 300)


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """The expression's value. Raises CelError."""
    program = _program(expression)
    cel = cel_library.load()
    context = cel.Context(dict(variables))
    cel.stdlib.add_stdlib_to_context(context)
    try:
        return program.execute(context)
    except KeyError as error:
        raise CelError(f"there is no field {error} in what it reads (test with has(...) first)") from error
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
        raise CelError(clip(str(error).splitlines()[0] if str(error) else type(error).__name__, 300)) from error


def findings(
    rules: Iterable[Mapping[str, str]], variables: Mapping[str, Any], where: str, *, hide: bool = False
) -> list[Finding]:
    """One finding (reason `cel`) per rule that is not true. `hide`: values in error texts are not shown."""
    found: list[Finding] = []
    for rule in rules:
        expression, message = rule["expression"], rule.get("message", "")
        try:
            value = evaluate(expression, variables)
        except CelError as error:
            observed = "an error" if hide else f"an error: {error}"
        else:
            if value is True:
                continue
            observed = "false" if value is False else f"{'no truth value' if hide else show(value)}, not true or false"
        found.append(Finding("cel", message or f"Not true: {clip(expression)}", clip(expression), observed, where))
    return found


def lint(rules: Any, variables: Iterable[str], where: str = "cel") -> list[str]:
    """What is wrong with the expressions as written: syntax, and variables that will not be there."""
    known = set(variables)
    problems: list[str] = []
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        expression = rule.get("expression") if isinstance(rule, Mapping) else None
        place = f"{where}[{index}].expression"
        if not isinstance(expression, str) or "${" in expression:
            continue
        try:
            program = _program(expression)
        except CelError as error:
            problems.append(f"{place}: {error}")
            continue
        local = _bound_names(expression)
        problems += [
            f"{place}: there is no variable {name}; there is {', '.join(sorted(known))}.{did_you_mean(name, known)}"
            for name in program.variables()
            if name not in known and name not in local and name not in _TYPES
        ]
    return problems


_TYPES: Final = {"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type", "dyn"}


def _bound_names(expression: str) -> set[str]:
    """Names bound by comprehension macros: `x` in `list.all(x, ...)`."""
    import re

    return set(re.findall(r"\.(?:all|exists|exists_one|map|filter|existsOne)\(\s*([A-Za-z_]\w*)\s*,", expression))


@functools.lru_cache(maxsize=512)
def reads(expression: str, variable: str) -> bool:
    """Whether the expression reads this variable; one that does not parse reads everything."""
    try:
        return variable in _program(expression).variables()
    except CelError:
        return True
