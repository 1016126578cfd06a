"""metav1.LabelSelector: does it match these labels?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """None matches nothing, an empty selector everything (metav1.LabelSelectorAsSelector)."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def matches_map(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """The plain map of Services and ReplicationControllers; nothing selected when empty."""
    return bool(selector) and all(labels.get(key) == value for key, value in (selector or {}).items())


def node_term_matches(term: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    """One v1.NodeSelectorTerm; a term without expressions or fields matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_holds(e, labels) for e in expressions) and all(_holds(f, {"metadata.name": name}) for f in fields)


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt":
            try:
                have, limit = int(labels[key]), int(values[0])
            except (KeyError, ValueError, IndexError):
                return False
            return have > limit if operator == "Gt" else have < limit
    return False
