"""Walks the syntax tree of a program: expressions and statements of everyday Python.

Nothing of the host's is reachable: built-in types have the methods of `methods.METHODS` and nothing else, there are no
dunder attributes, and modules are those of `modules`. What is not pretended is told as NotImplementedError.
"""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator, Callable
from typing import Any

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.python import methods
from labrunner.sandbox.workload.python.arguments import bound
from labrunner.sandbox.workload.python.objects import (
    MAX_ITEMS,
    Builtin,
    Class,
    Foreign,
    Function,
    Instance,
    Method,
    Module,
    Raised,
    Scope,
    checked,
)
from labrunner.sandbox.workload.python.operations import BINARY, COMPARE, ERRORS, PLAIN, UNARY

MAX_CALLS = 40
_BREATH = 50


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class Interpreter:
    """One program in one process."""

    def __init__(self, process: Process, filename: str, names: dict[str, Any], find: Callable[[str], Module]) -> None:
        self.process, self.filename, self._find = process, filename, find
        self.top = Scope({"__name__": "__main__"}, Scope(names))
        self.frames: list[list[Any]] = [["<module>", 1]]
        self._steps = 0

    async def run(self, tree: ast.Module) -> None:
        await self.block(tree.body, self.top)

    async def block(self, body: list[ast.stmt], scope: Scope) -> None:
        for statement in body:
            self._steps += 1
            if self._steps % _BREATH == 0:
                await self.process.breathe()
            self.frames[-1][1] = statement.lineno
            await self.statement(statement, scope)

    # statements

    async def statement(self, node: ast.stmt, scope: Scope) -> None:
        match node:
            case ast.Expr():
                await self.value(node.value, scope)
            case ast.Assign():
                value = await self.value(node.value, scope)
                for target in node.targets:
                    await self.assign(target, value, scope)
            case ast.AugAssign():
                read = ast.fix_missing_locations(_as_load(node.target))
                value = self.binary(type(node.op), await self.value(read, scope), await self.value(node.value, scope))
                await self.assign(node.target, value, scope)
            case ast.AnnAssign():
                if node.value is not None:
                    await self.assign(node.target, await self.value(node.value, scope), scope)
            case ast.If():
                chosen = node.body if await self.truth(node.test, scope) else node.orelse
                await self.block(chosen, scope)
            case ast.While():
                await self._while(node, scope)
            case ast.For():
                await self._for(node, scope)
            case ast.FunctionDef():
                scope.put(node.name, await self._decorated(node, await self._function(node, scope), scope))
            case ast.ClassDef():
                await self._class(node, scope)
            case ast.Return():
                raise _Return(await self.value(node.value, scope) if node.value else None)
            case ast.Break():
                raise _Break
            case ast.Continue():
                raise _Continue
            case ast.Try():
                await self._try(node, scope)
            case ast.Raise():
                await self._raise(node, scope)
            case ast.With():
                await self._with(node, scope)
            case ast.Import() | ast.ImportFrom():
                self._import(node, scope)
            case ast.Assert():
                if not await self.truth(node.test, scope):
                    raise AssertionError(*([await self.value(node.msg, scope)] if node.msg else []))
            case ast.Delete():
                for target in node.targets:
                    await self._delete(target, scope)
            case ast.Global():
                scope.shared.update(dict.fromkeys(node.names, self.top))
            case ast.Nonlocal():
                for name in node.names:
                    outer = scope.parent
                    while outer is not None and name not in outer.names:
                        outer = outer.parent
                    if outer is not None:
                        scope.shared[name] = outer
            case ast.Pass():
                pass
            case _:
                raise NotImplementedError(f"{type(node).__name__} is not pretended in this sandbox")

    async def _while(self, node: ast.While, scope: Scope) -> None:
        while await self.truth(node.test, scope):
            self._steps += 1
            if self._steps % _BREATH == 0:
                await self.process.breathe()
            try:
                await self.block(node.body, scope)
            except _Break:
                return
            except _Continue:
                continue
        await self.block(node.orelse, scope)

    async def _for(self, node: ast.For, scope: Scope) -> None:
        async for item in self.each(await self.value(node.iter, scope)):
            await self.assign(node.target, item, scope)
            try:
                await self.block(node.body, scope)
            except _Break:
                return
            except _Continue:
                continue
        await self.block(node.orelse, scope)

    async def each(self, values: Any) -> AsyncIterator[Any]:
        """What a loop runs over."""
        if isinstance(values, Foreign):
            lines = values.members.get("__iter__")
            if lines is None:
                raise TypeError(f"'{values.kind}' object is not iterable")
            while (item := await lines.call()) is not None:
                yield item
            return
        if not isinstance(values, (list, tuple, dict, set, frozenset, str, bytes, range)):
            raise TypeError(f"'{methods.kind_of(values)}' object is not iterable")
        size = len(values)
        for item in values:
            self._steps += 1
            if self._steps % _BREATH == 0:
                await self.process.breathe()
            yield item
            if isinstance(values, list) and len(values) > size + MAX_ITEMS:
                raise MemoryError

    async def items(self, values: Any) -> list[Any]:
        """All of them. Raises MemoryError when they are too many."""
        found = []
        async for item in self.each(values):
            found.append(item)
            if len(found) > MAX_ITEMS:
                raise MemoryError
        return found

    async def _function(self, node: ast.FunctionDef | ast.Lambda, scope: Scope) -> Function:
        arguments = node.args
        defaults = [await self.value(d, scope) for d in arguments.defaults]
        keyword = [await self.value(d, scope) if d is not None else None for d in arguments.kw_defaults]
        if isinstance(node, ast.Lambda):
            return Function("<lambda>", arguments, node.body, scope, defaults, keyword)
        if any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in ast.walk(node)):
            raise NotImplementedError("generators are not pretended in this sandbox")
        return Function(node.name, arguments, node.body, scope, defaults, keyword)

    async def _decorated(self, node: ast.FunctionDef, value: Any, scope: Scope) -> Any:
        for decorator in reversed(node.decorator_list):
            if isinstance(decorator, ast.Name) and decorator.id in ("staticmethod", "classmethod", "property"):
                raise NotImplementedError(f"@{decorator.id} is not pretended in this sandbox")
            value = await self.call(await self.value(decorator, scope), [value], {})
        return value

    async def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        bases = [await self.value(base, scope) for base in node.bases]
        inner = Scope({}, scope)
        await self.block(node.body, inner)
        scope.put(node.name, Class(node.name, bases, inner.names))

    async def _try(self, node: ast.Try, scope: Scope) -> None:
        try:
            depth = len(self.frames)
            try:
                await self.block(node.body, scope)
            except Exception as error:
                if not caught_here(error):
                    raise
                del self.frames[depth:]
                for handler in node.handlers:
                    if handler.type is None or self.matches(error, await self.value(handler.type, scope)):
                        if handler.name:
                            scope.put(handler.name, error.value if isinstance(error, Raised) else error)
                        await self.block(handler.body, scope)
                        return
                raise
            await self.block(node.orelse, scope)
        finally:
            await self.block(node.finalbody, scope)

    def matches(self, error: BaseException, kind: Any) -> bool:
        if isinstance(kind, tuple):
            return any(self.matches(error, one) for one in kind)
        if isinstance(error, Raised):
            return any(
                origin is kind or (isinstance(origin, type) and isinstance(kind, type) and issubclass(origin, kind))
                for origin in error.value.kind.lineage()
            )
        return isinstance(kind, type) and isinstance(error, kind)

    async def _raise(self, node: ast.Raise, scope: Scope) -> None:
        if node.exc is None:
            raise RuntimeError("No active exception to reraise")
        value = await self.value(node.exc, scope)
        if isinstance(value, Class):
            value = await self.call(value, [], {})
        if isinstance(value, type) and issubclass(value, Exception):
            value = value()
        if isinstance(value, Instance):
            raise Raised(value)
        if isinstance(value, Exception):
            raise value
        raise TypeError("exceptions must derive from BaseException")

    async def _with(self, node: ast.With, scope: Scope) -> None:
        opened = []
        try:
            for item in node.items:
                value = await self.value(item.context_expr, scope)
                entered = value
                if isinstance(value, Instance):
                    entered = await self.call(self.attribute(value, "__enter__"), [], {})
                opened.append(value)
                if item.optional_vars is not None:
                    await self.assign(item.optional_vars, entered, scope)
            await self.block(node.body, scope)
        finally:
            for value in reversed(opened):
                if isinstance(value, Instance):
                    await self.call(self.attribute(value, "__exit__"), [None, None, None], {})
                elif isinstance(value, Foreign) and "close" in value.members:
                    await value.members["close"].call()

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = self._find(alias.name)
                if alias.asname or "." not in alias.name:
                    scope.put(alias.asname or alias.name, module)
                else:
                    first, _, rest = alias.name.partition(".")
                    known = scope.names.get(first)
                    parent = known if isinstance(known, Module) else self._find(first)
                    parent.names.setdefault(rest, module)
                    scope.put(first, parent)
            return
        module = self._find(node.module or "")
        for alias in node.names:
            if alias.name not in module.names:
                raise ImportError(f"cannot import name '{alias.name}' from '{module.name}' (unknown location)")
            scope.put(alias.asname or alias.name, module.names[alias.name])

    async def _delete(self, target: ast.expr, scope: Scope) -> None:
        match target:
            case ast.Name():
                if target.id not in scope.names:
                    raise NameError(f"name '{target.id}' is not defined")
                del scope.names[target.id]
            case ast.Subscript():
                container = await self.value(target.value, scope)
                if not isinstance(container, (list, dict)):
                    raise TypeError(f"'{methods.kind_of(container)}' object doesn't support item deletion")
                del container[await self._index(target.slice, scope)]
            case _:
                raise NotImplementedError("this deletion is not pretended in this sandbox")

    async def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        match target:
            case ast.Name():
                scope.put(target.id, value)
            case ast.Attribute():
                owner = await self.value(target.value, scope)
                if isinstance(owner, Instance):
                    owner.fields[target.attr] = value
                elif isinstance(owner, Class):
                    owner.names[target.attr] = value
                elif isinstance(owner, Foreign) and target.attr in owner.settable:
                    owner.members[target.attr] = value
                else:
                    kind = methods.kind_of(owner)
                    raise AttributeError(f"'{kind}' object has no attribute '{target.attr}'")
            case ast.Subscript():
                container = await self.value(target.value, scope)
                index = await self._index(target.slice, scope)
                if isinstance(container, Instance):
                    await self.call(self.attribute(container, "__setitem__"), [index, value], {})
                elif isinstance(container, (list, dict, bytearray)):
                    container[index] = value
                    checked(container)
                else:
                    raise TypeError(f"'{methods.kind_of(container)}' object does not support item assignment")
            case ast.Tuple() | ast.List():
                values = await self.items(value)
                await self._unpack(target.elts, values, scope)
            case _:
                raise NotImplementedError("this assignment is not pretended in this sandbox")

    async def _unpack(self, targets: list[ast.expr], values: list[Any], scope: Scope) -> None:
        starred = next((i for i, t in enumerate(targets) if isinstance(t, ast.Starred)), None)
        if starred is not None:
            after = len(targets) - starred - 1
            if len(values) < len(targets) - 1:
                raise ValueError(
                    f"not enough values to unpack (expected at least {len(targets) - 1}, got {len(values)})"
                )
            middle = values[starred : len(values) - after]
            values = [*values[:starred], middle, *values[len(values) - after :]]
        elif len(values) < len(targets):
            raise ValueError(f"not enough values to unpack (expected {len(targets)}, got {len(values)})")
        elif len(values) > len(targets):
            raise ValueError(f"too many values to unpack (expected {len(targets)})")
        for target, value in zip(targets, values, strict=True):
            await self.assign(target.value if isinstance(target, ast.Starred) else target, value, scope)

    # expressions

    async def truth(self, node: ast.expr, scope: Scope) -> bool:
        return bool(await self.value(node, scope))

    async def value(self, node: ast.expr, scope: Scope) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return scope.find(node.id)
            case ast.Attribute():
                return self.attribute(await self.value(node.value, scope), node.attr)
            case ast.Call():
                return await self._call(node, scope)
            case ast.BinOp():
                left = await self.value(node.left, scope)
                return self.binary(type(node.op), left, await self.value(node.right, scope))
            case ast.UnaryOp():
                operand = await self.value(node.operand, scope)
                if isinstance(operand, Instance) and not isinstance(node.op, ast.Not):
                    raise TypeError(f"bad operand type for unary: '{operand.kind.name}'")
                return UNARY[type(node.op)](operand)
            case ast.BoolOp():
                result = None
                for part in node.values:
                    result = await self.value(part, scope)
                    if bool(result) != isinstance(node.op, ast.And):
                        break
                return result
            case ast.Compare():
                return await self._compare(node, scope)
            case ast.IfExp():
                return await self.value(node.body if await self.truth(node.test, scope) else node.orelse, scope)
            case ast.List():
                return await self._elements(node.elts, scope)
            case ast.Tuple():
                return tuple(await self._elements(node.elts, scope))
            case ast.Set():
                return set(await self._elements(node.elts, scope))
            case ast.Dict():
                return await self._dictionary(node, scope)
            case ast.Subscript():
                return await self._item(node, scope)
            case ast.JoinedStr():
                return checked("".join([await self._shown(part, scope) for part in node.values]))
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return await self._comprehension(node, scope)
            case ast.Lambda():
                return await self._function(node, scope)
            case ast.NamedExpr():
                found = await self.value(node.value, scope)
                await self.assign(node.target, found, scope)
                return found
            case _:
                raise NotImplementedError(f"{type(node).__name__} is not pretended in this sandbox")

    def binary(self, kind: type[ast.operator], left: Any, right: Any) -> Any:
        if kind is ast.Mod and isinstance(left, (str, bytes)):
            return checked(methods.percent(left, right))
        if not (isinstance(left, PLAIN) and isinstance(right, PLAIN)) or kind not in BINARY:
            raise TypeError(f"unsupported operand type(s): '{methods.kind_of(left)}' and '{methods.kind_of(right)}'")
        return checked(BINARY[kind](left, right))

    async def _compare(self, node: ast.Compare, scope: Scope) -> Any:
        left = await self.value(node.left, scope)
        for kind, part in zip(node.ops, node.comparators, strict=True):
            right = await self.value(part, scope)
            if not COMPARE[type(kind)](left, right):
                return False
            left = right
        return True

    async def _elements(self, nodes: list[ast.expr], scope: Scope) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found.extend(await self.items(await self.value(node.value, scope)))
            else:
                found.append(await self.value(node, scope))
        checked(found)
        return found

    async def _dictionary(self, node: ast.Dict, scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                found.update(await self.value(value, scope))
            else:
                found[await self.value(key, scope)] = await self.value(value, scope)
        return found

    async def _index(self, node: ast.expr, scope: Scope) -> Any:
        if isinstance(node, ast.Slice):
            return slice(*[await self.value(p, scope) if p else None for p in (node.lower, node.upper, node.step)])
        return await self.value(node, scope)

    async def _item(self, node: ast.Subscript, scope: Scope) -> Any:
        container = await self.value(node.value, scope)
        index = await self._index(node.slice, scope)
        if isinstance(container, Instance):
            return await self.call(self.attribute(container, "__getitem__"), [index], {})
        if not isinstance(container, (list, tuple, dict, str, bytes, range)):
            raise TypeError(f"'{methods.kind_of(container)}' object is not subscriptable")
        return container[index]

    async def _shown(self, node: ast.expr, scope: Scope) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        assert isinstance(node, ast.FormattedValue)
        value = await self.value(node.value, scope)
        text = await self.text(value, exact=node.conversion == 114) if node.conversion != -1 else value
        layout = str(await self.value(node.format_spec, scope)) if node.format_spec else ""
        return methods.formatted(text, layout) if layout else await self.text(text)

    async def text(self, value: Any, *, exact: bool = False) -> str:
        """`str(value)`, or `repr(value)` when `exact`."""
        if isinstance(value, Instance):
            for name in ("__repr__",) if exact else ("__str__", "__repr__"):
                try:
                    function = value.kind.find(name)
                except KeyError:
                    continue
                return str(await self.call(Method(function, value), [], {}))
            if any(isinstance(origin, type) for origin in value.kind.lineage()):
                given = value.fields.get("args", ())
                return " ".join([await self.text(one) for one in given])
        return str(checked(repr(value) if exact else str(value)))

    async def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> Any:
        found: list[Any] = []
        inner = Scope({}, scope)

        async def walk(depth: int) -> None:
            if depth == len(node.generators):
                if isinstance(node, ast.DictComp):
                    found.append((await self.value(node.key, inner), await self.value(node.value, inner)))
                else:
                    found.append(await self.value(node.elt, inner))
                checked(found)
                return
            part = node.generators[depth]
            async for item in self.each(await self.value(part.iter, inner)):
                await self.assign(part.target, item, inner)
                for condition in part.ifs:
                    if not await self.truth(condition, inner):
                        break
                else:
                    await walk(depth + 1)

        await walk(0)
        return dict(found) if isinstance(node, ast.DictComp) else set(found) if isinstance(node, ast.SetComp) else found

    def attribute(self, owner: Any, name: str) -> Any:
        """Raises AttributeError for whatever is not meant to be seen."""
        if isinstance(owner, Instance):
            if name in owner.fields:
                return owner.fields[name]
            try:
                found = owner.kind.find(name)
            except KeyError:
                raise AttributeError(f"'{owner.kind.name}' object has no attribute '{name}'") from None
            return Method(found, owner) if isinstance(found, (Function, Builtin)) else found
        if isinstance(owner, Class):
            try:
                return owner.name if name == "__name__" else owner.find(name)
            except KeyError:
                raise AttributeError(f"type object '{owner.name}' has no attribute '{name}'") from None
        if isinstance(owner, Module):
            if name in owner.names:
                return owner.names[name]
            raise AttributeError(f"module '{owner.name}' has no attribute '{name}'")
        if isinstance(owner, Foreign):
            if name in owner.members and not name.startswith("__"):
                return owner.members[name]
            raise AttributeError(f"'{owner.kind}' object has no attribute '{name}'")
        if isinstance(owner, BaseException) and name in ("args", "errno", "strerror", "filename"):
            return getattr(owner, name, None)
        return methods.method(owner, name)

    # calls

    async def _call(self, node: ast.Call, scope: Scope) -> Any:
        function = await self.value(node.func, scope)
        given = await self._elements(node.args, scope)
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = await self.value(keyword.value, scope)
            named.update(value if keyword.arg is None else {keyword.arg: value})
        self.frames[-1][1] = node.lineno
        return await self.call(function, given, named)

    async def call(self, function: Any, given: list[Any], named: dict[str, Any]) -> Any:
        if isinstance(function, Method):
            return await self.call(function.function, [function.owner, *given], named)
        if isinstance(function, Builtin):
            return checked(await function.call(*given, **named))
        if isinstance(function, Function):
            return await self._enter(function, given, named)
        if isinstance(function, Class):
            made = Instance(function)
            if any(isinstance(origin, type) for origin in function.lineage()):
                made.fields["args"] = tuple(given)
            try:
                start = function.find("__init__")
            except KeyError:
                if given and "args" not in made.fields:
                    raise TypeError(f"{function.name}() takes no arguments") from None
                return made
            await self.call(Method(start, made), given, named)
            return made
        if isinstance(function, type) and function in ERRORS.values() and not named:
            return function(*given)
        if isinstance(function, Instance):
            return await self.call(self.attribute(function, "__call__"), given, named)
        raise TypeError(f"'{methods.kind_of(function)}' object is not callable")

    async def _enter(self, function: Function, given: list[Any], named: dict[str, Any]) -> Any:
        if len(self.frames) > MAX_CALLS:
            raise RecursionError("maximum recursion depth exceeded")
        scope = Scope(bound(function, given, named), function.scope)
        self.frames.append([function.name, 1])
        if isinstance(function.body, ast.expr):
            result = await self.value(function.body, scope)
        else:
            result = None
            try:
                await self.block(function.body, scope)
            except _Return as returned:
                result = returned.value
        self.frames.pop()
        return result


def caught_here(error: BaseException) -> bool:
    """Whether programs may catch it: not what ends loops, functions or the process."""
    return isinstance(error, Raised) or type(error) in ERRORS.values() or isinstance(error, (OSError, UnicodeError))


def _as_load(target: ast.expr) -> ast.expr:
    match target:
        case ast.Name():
            return ast.Name(target.id, ast.Load())
        case ast.Attribute():
            return ast.Attribute(target.value, target.attr, ast.Load())
        case ast.Subscript():
            return ast.Subscript(target.value, target.slice, ast.Load())
    return target
