"""How a call's arguments become a function's parameters."""

from __future__ import annotations

from typing import Any

from labrunner.sandbox.workload.python.objects import Function


def bound(function: Function, given: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """Parameters by name for a call. Raises TypeError in Python's words."""
    arguments = function.arguments
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    found = dict(zip(names, given, strict=False))
    if len(given) > len(names) and arguments.vararg is None:
        raise TypeError(f"{function.name}() takes {len(names)} positional arguments but {len(given)} were given")
    if arguments.vararg is not None:
        found[arguments.vararg.arg] = tuple(given[len(names) :])
    rest = dict(named)
    for name in [*names, *(a.arg for a in arguments.kwonlyargs)]:
        if name in rest:
            if name in found:
                raise TypeError(f"{function.name}() got multiple values for argument '{name}'")
            found[name] = rest.pop(name)
    if arguments.kwarg is not None:
        found[arguments.kwarg.arg] = rest
    elif rest:
        raise TypeError(f"{function.name}() got an unexpected keyword argument '{next(iter(rest))}'")
    for name, value in zip(reversed(names), reversed(function.defaults), strict=False):
        found.setdefault(name, value)
    for argument, value in zip(arguments.kwonlyargs, function.keyword_defaults, strict=True):
        found.setdefault(argument.arg, value)
    missing = [name for name in names if name not in found]
    if missing:
        shown = " and ".join(f"'{name}'" for name in missing)
        plural = "s" if len(missing) > 1 else ""
        raise TypeError(f"{function.name}() missing {len(missing)} required positional argument{plural}: {shown}")
    return found
