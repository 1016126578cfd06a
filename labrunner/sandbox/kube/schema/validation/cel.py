"""x-kubernetes-validations: rules in CEL on the places of a CRD's schema, with transition rules (`oldSelf`).

Source: apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go. Evaluation is the Rust `cel` crate's.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from labrunner.sandbox.kube import field
from labrunner.sandbox.kube.field import OMIT, FieldError

_MISSING = object()
_OPTIONAL_SELECT = re.compile(r"\.\?([A-Za-z_]\w*)")
_OPTIONAL_INDEX = re.compile(r"\[\?([^\]]+)\]")
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function"),
        *("if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)
_DURATION = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_CONVERSION = re.compile(r"Function '(duration|timestamp|int|double|uint)' error")
_TYPES = {
    "duration": "google.protobuf.Duration",
    "timestamp": "google.protobuf.Timestamp",
    "int": "int",
    "double": "double",
    "uint": "uint",
}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class RuleError(ValueError):
    """A rule that cannot be compiled; the message is for the author of the CRD."""


def check(schema: Mapping[str, Any], obj: Any, old: Any = None) -> list[FieldError]:
    """Errors of every rule in the schema that `obj` breaks. `old`: the object before the update."""
    errors: list[FieldError] = []
    _walk(schema, obj, _MISSING if old is None else old, "", errors)
    return errors


def _walk(schema: Mapping[str, Any], value: Any, old: Any, path: str, errors: list[FieldError]) -> None:
    if value is None or not _has_rules(schema):
        return
    rules = schema.get("x-kubernetes-validations")
    if rules:
        _evaluate(schema, rules, value, old, path, errors)
    for part in schema.get("allOf", ()):
        _walk(part, value, old, path, errors)
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        for key, child in value.items():
            previous = old.get(key, _MISSING) if isinstance(old, dict) else _MISSING
            if key in properties:
                _walk(properties[key], child, previous, f"{path}.{key}" if path else key, errors)
            elif isinstance(additional, Mapping):
                _walk(additional, child, previous, f"{path}[{key}]", errors)
    elif isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, Mapping):
            keys = schema.get("x-kubernetes-list-map-keys") or ()
            for index, child in enumerate(value):
                _walk(items, child, _correlated(child, old, keys), f"{path}[{index}]", errors)


def _correlated(item: Any, old: Any, keys: Any) -> Any:
    """The item's former self: only lists of type map can tell."""
    if not keys or not isinstance(old, list) or not isinstance(item, dict):
        return _MISSING
    same = (o for o in old if isinstance(o, dict) and all(o.get(k) == item.get(k) for k in keys))
    return next(same, _MISSING)


_rules_below: dict[int, tuple[Mapping[str, Any], bool]] = {}


def _has_rules(schema: Mapping[str, Any]) -> bool:
    """Whether any rule stands here or below; remembered per schema object."""
    known = _rules_below.get(id(schema))
    if known is not None and known[0] is schema:
        return known[1]
    found = bool(schema.get("x-kubernetes-validations")) or any(
        _has_rules(child)
        for child in (
            *schema.get("properties", {}).values(),
            *(schema.get(key) for key in ("items", "additionalProperties")),
            *schema.get("allOf", ()),
        )
        if isinstance(child, Mapping)
    )
    if len(_rules_below) > 50_000:
        _rules_below.clear()
    _rules_below[id(schema)] = (schema, found)
    return found


def _evaluate(
    schema: Mapping[str, Any], rules: list[dict[str, Any]], value: Any, old: Any, path: str, errors: list[FieldError]
) -> None:
    shown = OMIT if isinstance(value, (dict, list)) else value
    unchanged = old is not _MISSING and old == value
    bound = to_cel(value, schema)
    bound_old = None if old is _MISSING else to_cel(old, schema)
    for rule in rules:
        try:
            program = compile_rule(rule["rule"])
        except RuleError as error:
            errors.append(field.invalid(path, shown, f"rule compile error: {error}"))
            continue
        transition = program.uses_old_self
        optional = bool(rule.get("optionalOldSelf"))
        if transition and old is _MISSING and not optional:
            continue
        if unchanged and not transition:  # ratcheting: what was stored may stay
            continue
        try:
            holds = _run(program, bound, bound_old, old is not _MISSING, optional=optional)
        except Exception as error:  # the extension raises what Python's operators raise
            errors.append(field.invalid(path, shown, f"{reason_of(error)} evaluating rule: {_rule_text(rule)}"))
            continue
        if holds is not True:
            errors.append(
                _error(rule, program_path(path, rule), shown, _message(rule, bound, bound_old, old, optional))
            )


def program_path(path: str, rule: Mapping[str, Any]) -> str:
    """Where a broken rule is reported: its fieldPath below the place it stands at."""
    below = str(rule.get("fieldPath", "")).lstrip(".")
    return f"{path}.{below}" if path and below else path or below


def _error(rule: Mapping[str, Any], path: str, value: Any, message: str) -> FieldError:
    reason = rule.get("reason")
    if reason in ("FieldValueForbidden", "FieldValueRequired"):
        return FieldError(reason, path, detail=message)
    if reason == "FieldValueDuplicate":
        return field.duplicate(path, value)
    return field.invalid(path, value, message)


def _message(rule: Mapping[str, Any], value: Any, old_value: Any, old: Any, optional: bool) -> str:
    if expression := rule.get("messageExpression"):
        try:
            text = _run(compile_rule(expression), value, old_value, old is not _MISSING, optional=optional)
        except Exception:  # falls back to the message, as the server does
            text = None
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text.strip()
    return str(rule.get("message") or "").strip() or f"failed rule: {str(rule['rule']).strip()}"


def _rule_text(rule: Mapping[str, Any]) -> str:
    return str(rule.get("message") or "").strip() or str(rule["rule"]).strip()


def reason_of(error: BaseException) -> str:
    """Why evaluation failed, in the server's words where they are known."""
    if isinstance(error, KeyError):
        return f"no such key: {error.args[0]}"
    text = str(error)
    conversion = _CONVERSION.match(text)
    if conversion:
        return f"type conversion error from 'string' to '{_TYPES[conversion[1]]}'"
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


@dataclass(frozen=True)
class Rule:
    """A compiled expression with a context that holds only the functions it calls: contexts are copied at each run."""

    program: Any
    context: Any
    uses_old_self: bool


@lru_cache(maxsize=2048)
def compile_rule(rule: str) -> Rule:
    """Raises RuleError."""
    import cel

    text = _OPTIONAL_SELECT.sub(r'.optSelect("\1")', rule)
    text = _OPTIONAL_INDEX.sub(r".optSelect(\1)", text)
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise RuleError((str(error).partition("ERROR: ")[2] or str(error)).splitlines()[0]) from error
    context = cel.Context()
    called = set(program.functions())  # without the namespace: `greatest` for math.greatest
    for name, function in _functions().items():
        if name.rpartition(".")[2] in called:
            context.add_function(name, function)
    context.add_variable("format", {})
    return Rule(program, context, "oldSelf" in program.variables())


@lru_cache(maxsize=1)
def _functions() -> dict[str, Callable[..., Any]]:
    from cel.stdlib import STDLIB_FUNCTIONS

    from labrunner.sandbox.kube.schema.validation.cel_functions import FUNCTIONS

    logging.getLogger("cel").setLevel(logging.CRITICAL)  # it warns of every extension function that raises
    return {**STDLIB_FUNCTIONS, **FUNCTIONS}


def _run(rule: Rule, value: Any, old: Any, has_old: bool, *, optional: bool) -> Any:
    import cel

    context = rule.context
    context.add_variable("self", value)
    if optional:
        context.add_variable("oldSelf", cel.OptionalValue.of(old) if has_old else cel.OptionalValue.none())
    elif rule.uses_old_self:
        context.add_variable("oldSelf", old)
    return rule.program.execute(context)


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """The value of an expression over these names (of `to_cel`). Raises RuleError, and what evaluation raises."""
    rule = compile_rule(expression)
    for name, value in variables.items():
        rule.context.add_variable(name, value)
    return rule.program.execute(rule.context)


def to_cel(value: Any, schema: Mapping[str, Any] | None) -> Any:
    """A value as CEL sees it: null fields absent, property names escaped, times and durations typed."""
    schema = schema or {}
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        if properties:
            return {
                escape(k): to_cel(v, properties[k]) for k, v in value.items() if v is not None and k in properties
            } | {k: v for k, v in value.items() if k not in properties and v is not None}
        child = additional if isinstance(additional, Mapping) else None
        return {k: to_cel(v, child) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        items = schema.get("items")
        return [to_cel(v, items if isinstance(items, Mapping) else None) for v in value]
    if isinstance(value, str) and schema.get("format") in ("date-time", "date"):
        try:
            return datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
        except ValueError:
            return value
    if isinstance(value, str) and schema.get("format") == "duration":
        return timedelta(seconds=sum(float(n) * _SECONDS[u] for n, u in _DURATION.findall(value)))
    if isinstance(value, int) and schema.get("type") == "number" and not isinstance(value, bool):
        return float(value)
    return value


def escape(name: str) -> str:
    """A property's name as an identifier of CEL."""
    if name in _RESERVED:
        return f"__{name}__"
    for char, word in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")):
        name = name.replace(char, word)
    return name
