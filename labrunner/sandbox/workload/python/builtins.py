"""The names that every program has: print, len, range, open and their like."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.python import methods
from labrunner.sandbox.workload.python.objects import (
    MAX_ITEMS,
    MAX_TEXT,
    Builtin,
    Class,
    Foreign,
    Function,
    Instance,
    Method,
    Module,
    Native,
    ProgramExit,
    checked,
    power,
)
from labrunner.sandbox.workload.python.operations import ERRORS

if TYPE_CHECKING:
    from labrunner.sandbox.workload.python.interpreter import Interpreter

_TYPES = {"str": str, "int": int, "float": float, "bool": bool, "bytes": bytes, "list": list, "tuple": tuple,
          "dict": dict, "set": set}  # fmt: skip


def names(process: Process, interpreter: Callable[[], Interpreter]) -> dict[str, Any]:
    """`interpreter`: asked when a function calls back."""
    found: dict[str, Any] = {"True": True, "False": False, "None": None, **ERRORS}

    def define(name: str) -> Callable[[Callable[..., Awaitable[Any]]], None]:
        def register(function: Callable[..., Awaitable[Any]]) -> None:
            found[name] = Builtin(name, function)

        return register

    @define("print")
    async def _print(*values: Any, sep: str = " ", end: str = "\n", file: Any = None, flush: bool = False) -> None:
        text = sep.join([await interpreter().text(value) for value in values]) + end
        descriptor = file.members.get("descriptor", 1) if isinstance(file, Foreign) else 1
        await process.write(text, descriptor)

    @define("input")
    async def _input(prompt: str = "") -> str:
        await process.write(prompt)
        line = await process.stdin.readline()
        if not line:
            raise RuntimeError("EOF when reading a line")
        return line.decode("utf-8", "replace").rstrip("\n")

    @define("open")
    async def _open(path: str, mode: str = "r", encoding: str = "utf-8", **_: Any) -> Foreign:
        return opened(process, path, mode)

    @define("range")
    async def _range(*given: int) -> range:
        return range(*given)

    @define("len")
    async def _len(value: Any) -> int:
        if isinstance(value, Instance):
            return int(await interpreter().call(interpreter().attribute(value, "__len__"), [], {}))
        if not isinstance(value, (str, bytes, list, tuple, dict, set, frozenset, range)):
            raise TypeError(f"object of type '{methods.kind_of(value)}' has no len()")
        return len(value)

    @define("repr")
    async def _repr(value: Any) -> str:
        return await interpreter().text(value, exact=True)

    @define("isinstance")
    async def _isinstance(value: Any, kinds: Any) -> bool:
        wanted = kinds if isinstance(kinds, tuple) else (kinds,)
        for kind in wanted:
            kind = _TYPES.get(kind.name, kind) if isinstance(kind, Builtin) else kind
            if isinstance(kind, Class) and isinstance(value, Instance) and kind in value.kind.lineage():
                return True
            if isinstance(kind, type) and isinstance(value, kind):
                return True
        return False

    @define("callable")
    async def _callable(value: Any) -> bool:
        return isinstance(value, (Function, Method, Builtin, Class, type))

    @define("type")
    async def _type(value: Any) -> Any:
        return value.kind if isinstance(value, Instance) else found.get(methods.kind_of(value), methods.kind_of(value))

    @define("sorted")
    async def _sorted(values: Any, *, key: Any = None, reverse: bool = False) -> list[Any]:
        items = await interpreter().items(values)
        if key is None:
            return sorted(items, reverse=reverse)
        ranked = [(await interpreter().call(key, [item], {}), number) for number, item in enumerate(items)]
        order = sorted(ranked, key=functools.cmp_to_key(_by_rank), reverse=reverse)
        return [items[number] for _, number in order]

    @define("map")
    async def _map(function: Any, values: Any) -> list[Any]:
        return [await interpreter().call(function, [item], {}) for item in await interpreter().items(values)]

    @define("filter")
    async def _filter(function: Any, values: Any) -> list[Any]:
        items = await interpreter().items(values)
        return [i for i in items if (await interpreter().call(function, [i], {}) if function else i)]

    @define("enumerate")
    async def _enumerate(values: Any, start: int = 0) -> list[Any]:
        return list(enumerate(await interpreter().items(values), start))

    @define("zip")
    async def _zip(*several: Any) -> list[Any]:
        return list(zip(*[await interpreter().items(values) for values in several], strict=False))

    @define("pow")
    async def _pow(base: Any, exponent: Any, modulo: Any = None) -> Any:
        return power(base, exponent) if modulo is None else pow(base, exponent, modulo)

    for name, plain in {"sum": sum, "any": any, "all": all, "list": list, "tuple": tuple, "set": set, "reversed": None,
                        "max": max, "min": min}.items():  # fmt: skip
        found[name] = Builtin(name, functools.partial(_over_items, interpreter, name, plain))
    plain_ones: dict[str, Callable[..., Any]] = {"abs": abs, "round": round, "chr": chr, "ord": ord, "hex": hex,
                                               "oct": oct, "bin": bin,
                         "bool": bool, "float": float, "divmod": divmod}  # fmt: skip
    for name, plain_ in plain_ones.items():
        found[name] = Builtin(name, functools.partial(_plain, plain_))

    @define("str")
    async def _str(value: Any = "", encoding: str = "", errors: str = "strict") -> str:
        return (
            value.decode(encoding, errors) if encoding and isinstance(value, bytes) else await interpreter().text(value)
        )

    @define("int")
    async def _int(value: Any = 0, base: int | None = None) -> int:
        if isinstance(value, str) and len(value) > 4000:
            raise ValueError("Exceeds the limit (4300 digits) for integer string conversion")
        if not isinstance(value, (int, float, str, bytes)):
            raise TypeError(f"int() argument must be a string or a real number, not '{methods.kind_of(value)}'")
        if base is None:
            return int(value)
        if not isinstance(value, (str, bytes)):
            raise TypeError("int() can't convert non-string with explicit base")
        return int(value, base)

    @define("bytes")
    async def _bytes(value: Any = b"", encoding: str = "utf-8") -> bytes:
        if isinstance(value, int) and value > MAX_TEXT:
            raise MemoryError
        return value.encode(encoding) if isinstance(value, str) else bytes(value)

    @define("dict")
    async def _dict(values: Any = (), **named: Any) -> dict[Any, Any]:
        return {**dict(values), **named}

    @define("getattr")
    async def _getattr(owner: Any, name: str, *default: Any) -> Any:
        try:
            return interpreter().attribute(owner, name)
        except AttributeError:
            if default:
                return default[0]
            raise

    @define("hasattr")
    async def _hasattr(owner: Any, name: str) -> bool:
        try:
            interpreter().attribute(owner, name)
        except AttributeError:
            return False
        return True

    @define("setattr")
    async def _setattr(owner: Any, name: str, value: Any) -> None:
        if not isinstance(owner, Instance):
            raise AttributeError(f"'{methods.kind_of(owner)}' object has no attribute '{name}'")
        owner.fields[name] = value

    @define("exit")
    async def _exit(status: Any = None) -> None:
        raise ProgramExit(status)

    found["quit"] = found["exit"]
    found["object"] = Class("object", [], {})
    return found


def _by_rank(left: tuple[Any, int], right: tuple[Any, int]) -> int:
    return -1 if left[0] < right[0] else 1 if right[0] < left[0] else 0


async def _over_items(interpreter: Callable[[], Interpreter], name: str, plain: Any, *given: Any, **named: Any) -> Any:
    items = await interpreter().items(given[0]) if len(given) == 1 else list(given)
    if name == "reversed":
        return items[::-1]
    if name in ("max", "min") and named.get("key") is not None:
        ranked = [(await interpreter().call(named["key"], [item], {}), n) for n, item in enumerate(items)]
        best = ranked[0]
        for candidate in ranked[1:]:
            if (candidate[0] > best[0]) if name == "max" else (candidate[0] < best[0]):
                best = candidate
        return items[best[1]]
    if name == "sum":
        total = given[1] if len(given) > 1 else 0
        for item in await interpreter().items(given[0]) if given else ():
            total = checked(total + item)
        return total
    if name in ("list", "tuple", "set") and not given:
        return plain()
    if name in ("list", "tuple", "set") and len(items) > MAX_ITEMS:
        raise MemoryError
    return plain(items)


async def _plain(function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    for value in given:
        if isinstance(value, (Instance, Foreign, Module, Function)):
            raise TypeError(f"bad operand type: '{methods.kind_of(value)}'")
    return function(*given, **named)


def opened(process: Process, path: str, mode: str) -> Foreign:
    """A file of the container. Raises OSError."""
    stream = process.open(path, "a" if "a" in mode else "w" if "w" in mode else "r")
    binary = "b" in mode

    def shown(data: bytes) -> str | bytes:
        return data if binary else data.decode("utf-8", "replace")

    async def read(size: int = -1) -> str | bytes:
        return shown(await stream.readall(MAX_TEXT) if size < 0 else await stream.read(size))

    async def readline() -> str | bytes:
        return shown(await stream.readline())

    async def readlines() -> list[str | bytes]:
        return [shown(line) for line in (await stream.readall(MAX_TEXT)).splitlines(keepends=True)]

    async def following() -> str | bytes | None:
        return shown(line) if (line := await stream.readline()) else None

    async def write(data: Any) -> int:
        await stream.write(data if isinstance(data, bytes) else str(data).encode())
        return len(data)

    closed = False

    async def close() -> None:
        nonlocal closed
        if not closed:
            closed = True
            stream.release()

    made: dict[str, Native] = {"read": read, "readline": readline, "readlines": readlines, "write": write,
            "close": close, "__iter__": following}  # fmt: skip
    return Foreign("_io.TextIOWrapper", {name: Builtin(name, function) for name, function in made.items()})
