"""What programs make: functions, classes, instances, modules; and the limits that values keep to."""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

MAX_ITEMS = 500_000
"""Of one list, tuple, set or dictionary."""
MAX_TEXT = 8 * 1024 * 1024
"""Characters or bytes of one value."""
MAX_BITS = 100_000
"""Of one number."""

Native = Callable[..., Awaitable[Any]]
"""A function of ours that programs may call."""


class Raised(Exception):
    """An exception of a class that the program made."""

    def __init__(self, value: Instance) -> None:
        super().__init__()
        self.value = value


class ProgramExit(Exception):
    """`sys.exit`"""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@dataclass(eq=False, slots=True)
class Scope:
    """Names of a module, a class body or a function; `parent` is where it was written."""

    names: dict[str, Any] = field(default_factory=dict)
    parent: Scope | None = None
    shared: dict[str, Scope] = field(default_factory=dict)
    """Names declared `global` or `nonlocal`: where they are."""

    def find(self, name: str) -> Any:
        scope: Scope | None = self.shared.get(name, self)
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        raise NameError(f"name '{name}' is not defined")

    def put(self, name: str, value: Any) -> None:
        self.shared.get(name, self).names[name] = value


@dataclass(eq=False, slots=True)
class Function:
    name: str
    arguments: ast.arguments
    body: list[ast.stmt] | ast.expr
    scope: Scope
    defaults: list[Any]
    keyword_defaults: list[Any]
    generates: bool = False

    def __repr__(self) -> str:
        return f"<function {self.name} at 0x7f{id(self) & 0xFFFFFFFFFF:010x}>"


@dataclass(eq=False, slots=True)
class Class:
    name: str
    bases: list[Any]
    names: dict[str, Any]

    def __repr__(self) -> str:
        return f"<class '__main__.{self.name}'>"

    def lineage(self) -> list[Any]:
        """Itself and what it comes from, in the order in which names are looked for."""
        found: list[Any] = [self]
        for base in self.bases:
            found.extend(c for c in (base.lineage() if isinstance(base, Class) else [base]) if c not in found)
        return found

    def find(self, name: str) -> Any:
        """Raises KeyError."""
        for origin in self.lineage():
            if isinstance(origin, Class) and name in origin.names:
                return origin.names[name]
        raise KeyError(name)


@dataclass(eq=False, slots=True)
class Instance:
    kind: Class
    fields: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<__main__.{self.kind.name} object at 0x7f{id(self) & 0xFFFFFFFFFF:010x}>"


@dataclass(eq=False, slots=True)
class Method:
    """A function, of the program's or ours, with the object before its arguments."""

    function: Any
    owner: Any


@dataclass(eq=False, slots=True)
class Builtin:
    """A function of ours by the name that programs know."""

    name: str
    call: Native

    def __repr__(self) -> str:
        return f"<built-in function {self.name}>"


@dataclass(eq=False, slots=True)
class Module:
    name: str
    names: dict[str, Any]

    def __repr__(self) -> str:
        return f"<module '{self.name}'>"


class Foreign:
    """An object of ours: `members` may be read, those in `settable` also assigned."""

    settable: frozenset[str] = frozenset()

    def __init__(self, kind: str, members: dict[str, Any] | None = None) -> None:
        self.kind, self.members = kind, dict(members or {})

    def __repr__(self) -> str:
        return f"<{self.kind} object at 0x7f{id(self) & 0xFFFFFFFFFF:010x}>"


def checked(value: Any) -> Any:
    """The value, if it is not too large. Raises MemoryError."""
    if isinstance(value, (list, tuple, set, dict, frozenset)):
        if len(value) > MAX_ITEMS:
            raise MemoryError
    elif isinstance(value, (str, bytes, bytearray)):
        if len(value) > MAX_TEXT:
            raise MemoryError
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise MemoryError
    return value


def times(left: Any, right: Any) -> Any:
    """`*`, refused before it is made when the result would be too large."""
    for some, count in ((left, right), (right, left)):
        if isinstance(some, (str, bytes, list, tuple)) and isinstance(count, int):
            limit = MAX_TEXT if isinstance(some, (str, bytes)) else MAX_ITEMS
            if len(some) * max(count, 0) > limit:
                raise MemoryError
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > MAX_BITS:
        raise MemoryError
    return left * right


def power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * max(right, 0) > MAX_BITS:
        raise MemoryError
    return left**right


def shifted(left: Any, right: Any) -> Any:
    if isinstance(right, int) and right > MAX_BITS:
        raise MemoryError
    return left << right
