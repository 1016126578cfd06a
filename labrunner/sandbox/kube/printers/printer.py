"""What a printer is: its columns, and the cells of one object. Also the pieces that many printers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labrunner.sandbox.kube.printers.duration import Ages

Obj = Mapping[str, Any]
NONE, UNSET = "<none>", "<unset>"


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `doc` is a sentence, or `@type.field` for that field's description (`@core.v1.PodStatus.podIP`)."""

    name: str
    doc: str = ""
    type: str = "string"
    format: str = ""
    priority: int = 0
    """0 is always shown, 1 with `-o wide`."""


@dataclass(frozen=True, slots=True)
class Printer:
    """`cells` has one entry per column; `conditions` marks rows that clients may leave out, as completed pods."""

    columns: tuple[Column, ...]
    cells: Callable[[Obj, Ages], list[Any]]
    conditions: Callable[[Obj], list[dict[str, str]]] | None = None
    order: Callable[[Obj], Any] | None = None
    """Sort key, for the few kinds that the server does not list by name."""


NAME = Column("Name", "@meta.v1.ObjectMeta.name", format="name")
AGE = Column("Age", "@meta.v1.ObjectMeta.creationTimestamp")
CONTAINERS = Column("Containers", "Names of each container in the template.", priority=1)
IMAGES = Column("Images", "Images referenced by each container in the template.", priority=1)


def at(obj: Any, *path: str, default: Any = None) -> Any:
    """The value at a path of fields, or the default where one is missing or null."""
    for name in path:
        if not isinstance(obj, Mapping):
            return default
        obj = obj.get(name)
        if obj is None:
            return default
    return obj


def name_of(obj: Obj) -> str:
    return str(at(obj, "metadata", "name", default=""))


def created(obj: Obj) -> str | None:
    found = at(obj, "metadata", "creationTimestamp")
    return str(found) if found else None


def deleting(obj: Obj) -> bool:
    return bool(at(obj, "metadata", "deletionTimestamp"))


def name_marked(obj: Obj, *groups: str) -> str:
    """The name of a class, with ` (default)` where its is-default-class annotation says so."""
    annotations = at(obj, "metadata", "annotations", default={})
    default = any(annotations.get(f"{group}.kubernetes.io/is-default-class") == "true" for group in groups)
    return f"{name_of(obj)} (default)" if default else name_of(obj)


def condition_status(obj: Obj, kind: str) -> str:
    """The status of a condition of this type, "" when there is none."""
    for condition in at(obj, "status", "conditions", default=()):
        if condition.get("type") == kind:
            return str(condition.get("status", ""))
    return ""


def images(containers: Iterable[Obj]) -> tuple[str, str]:
    """Names and images of containers, each joined by commas."""
    containers = list(containers)
    return ",".join(str(c.get("name", "")) for c in containers), ",".join(str(c.get("image", "")) for c in containers)


def labels_text(labels: Mapping[str, str] | None) -> str:
    """`a=1,b=2`. Source: labels.FormatLabels."""
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) if labels else NONE


def selector_text(selector: Obj | None) -> str:
    """A label selector as one line: `a=1,b in (x,y),!c`. Source: metav1.FormatLabelSelector."""
    if not selector:
        return NONE
    terms = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, values = expression.get("key", ""), ",".join(sorted(expression.get("values") or ()))
        match expression.get("operator"):
            case "In":
                terms.append((key, f"{key} in ({values})"))
            case "NotIn":
                terms.append((key, f"{key} notin ({values})"))
            case "Exists":
                terms.append((key, key))
            case "DoesNotExist":
                terms.append((key, f"!{key}"))
            case _:
                return "<error>"
    return ",".join(text for _, text in sorted(terms, key=lambda term: term[0])) or NONE


def shortened(items: Sequence[str], limit: int, total: int, nothing: str) -> str:
    """The first `limit` items and how many of `total` are left: `a,b,c + 2 more...`."""
    text = ",".join(items[:limit])
    return f"{text} + {total - limit} more..." if len(items) > limit else text or nothing


def quantity(value: Any) -> str:
    return "0" if value is None else str(value)
