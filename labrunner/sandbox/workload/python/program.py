"""Runs a program's text in a process, and tells what went wrong as Python does."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.python import builtins, methods
from labrunner.sandbox.workload.python.interpreter import Interpreter, caught_here
from labrunner.sandbox.workload.python.modules import Library
from labrunner.sandbox.workload.python.objects import ProgramExit, Raised

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_SOURCE = 512 * 1024


async def execute(process: Process, source: str, filename: str, argv: list[str]) -> int:
    """The exit status."""
    try:
        if len(source) > _MAX_SOURCE:
            raise MemoryError
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, filename)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        await process.error(_syntax(error, filename, source))
        return 1
    library = Library(process, argv)
    holder: list[Interpreter] = []
    asked: Callable[[], Interpreter] = lambda: holder[0]  # noqa: E731
    interpreter = Interpreter(process, filename, builtins.names(process, asked), library.find)
    holder.append(interpreter)
    library.interpreter = interpreter
    process.serves = False
    try:
        await interpreter.run(tree)
    except ProgramExit as exit_:
        if isinstance(exit_.value, int) or exit_.value is None:
            return int(exit_.value or 0) & 0xFF
        await process.error(f"{exit_.value}\n")
        return 1
    except Exception as error:
        if not caught_here(error):
            raise
        await process.error(await _traceback(interpreter, error, source))
        return 1
    finally:
        for task in library.background:
            task.cancel()
    return 0


def _syntax(error: BaseException, filename: str, source: str) -> str:
    if not isinstance(error, SyntaxError):
        return f"SyntaxError: {error or 'too many nested parentheses'}\n"
    line = error.lineno or 1
    lines = source.split("\n")
    shown = lines[line - 1].strip() if line <= len(lines) else ""
    return f'  File "{filename}", line {line}\n    {shown}\n{type(error).__name__}: {error.msg}\n'


async def _traceback(interpreter: Interpreter, error: BaseException, source: str) -> str:
    lines = source.split("\n")
    out = ["Traceback (most recent call last):\n"]
    frames, repeated = interpreter.frames, 0
    for number, (name, line) in enumerate(frames):
        if number >= 3 and all(frame == frames[number] for frame in frames[number - 3 : number]):
            repeated += 1
            continue
        out.append(f'  File "{interpreter.filename}", line {line}, in {name}\n')
        if 0 < line <= len(lines):
            out.append(f"    {lines[line - 1].strip()}\n")
    if repeated:
        out.append(f"  [Previous line repeated {repeated} more times]\n")
    if isinstance(error, Raised):
        kind, text = error.value.kind.name, await interpreter.text(error.value)
    else:
        kind, text = methods.kind_of(error), str(error)
        if isinstance(error, OSError) and error.errno and error.filename:
            text = f"[Errno {error.errno}] {error.strerror}: '{error.filename}'"
    return "".join(out) + (f"{kind}: {text}\n" if text else f"{kind}\n")
