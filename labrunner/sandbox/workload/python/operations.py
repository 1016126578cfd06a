"""What operators do, and the exceptions that programs know."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from labrunner.sandbox.workload.python.objects import power, shifted, times

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: times, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: power, ast.LShift: shifted,
    ast.RShift: operator.rshift, ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert, ast.Not: operator.not_
}  # fmt: skip
PLAIN = (int, float, str, bytes, list, tuple, dict, set, frozenset, bool, type(None), range)
ERRORS: dict[str, type[BaseException]] = {
    kind.__name__: kind
    for kind in (
        Exception, ValueError, TypeError, KeyError, IndexError, AttributeError, NameError, ZeroDivisionError,
        RuntimeError, NotImplementedError, OSError, FileNotFoundError, PermissionError, ConnectionError,
        ConnectionRefusedError, ConnectionResetError, BrokenPipeError, TimeoutError, AssertionError, StopIteration,
        ImportError, ModuleNotFoundError, MemoryError, OverflowError, RecursionError, LookupError, ArithmeticError,
        UnicodeDecodeError, IsADirectoryError, FileExistsError,
    )
}  # fmt: skip
