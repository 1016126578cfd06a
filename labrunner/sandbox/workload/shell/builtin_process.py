"""Commands about the shell's own process: `cd`, `pwd`, `umask`, `ulimit`."""

from __future__ import annotations

import errno
import posixpath
import re

from labrunner.sandbox.workload.filesystem.node import Directory
from labrunner.sandbox.workload.filesystem.tree import fault, may
from labrunner.sandbox.workload.shell.executor import Shell
from labrunner.sandbox.workload.shell.registry import BUILTINS, builtin


@builtin("cd", "chdir")
async def _cd(shell: Shell, words: list[str]) -> int:
    state, process = shell.state, shell.process
    words = [w for w in words if w not in ("-L", "-P", "--")]
    target = words[0] if words else state.get("HOME") or "/"
    shown = target == "-"
    if shown:
        target = state.get("OLDPWD") or "/"
    elif not target.startswith(("/", "./", "../")) and target not in ("", ".", ".."):
        for folder in (state.get("CDPATH") or "").split(":"):
            if folder and process.fs.is_dir(posixpath.join(folder, target), process.cwd):
                target, shown = posixpath.join(folder, target), True
                break
    logical = posixpath.normpath(posixpath.join(process.cwd, target))
    try:
        if target == "":
            logical = process.cwd
        node = process.fs.node(logical, "/", owner=process.owner)
        if not isinstance(node, Directory):
            raise fault(errno.ENOTDIR, target)
        if not may(node, process.owner, 1):
            raise fault(errno.EACCES, target)
    except OSError as error:
        words_ = {"dash": f"can't cd to {target}", "ash": f"can't cd to {target}: {error.strerror}"}
        text = words_.get(state.flavour, f"{target}: {error.strerror}")
        await process.error(shell.message(f"cd: {text}"))
        return 1 if state.flavour == "bash" else 2
    state.set("OLDPWD", process.cwd)
    process.cwd = "/" if logical == "//" else logical
    state.set("PWD", process.cwd)
    if shown:
        await process.line(process.cwd)
    return 0


@builtin("pwd")
async def _pwd(shell: Shell, words: list[str]) -> int:
    await shell.process.line(shell.process.cwd)
    return 0


@builtin("umask")
async def _umask(shell: Shell, words: list[str]) -> int:
    if not words:
        await shell.process.line(f"{shell.process.umask:04o}")
    elif words[0].isdigit() and set(words[0]) <= set("01234567"):
        shell.process.umask = int(words[0], 8) & 0o777
    else:
        mode = None if words[0].isdigit() else _symbolic_mask(words[0], shell.process.umask)
        if mode is None:
            flavour = shell.state.flavour
            said = {"dash": f"Illegal number: {words[0]}", "ash": f"illegal mode: {words[0]}"}
            text = f"umask: {said.get(flavour, f'{words[0]}: octal number out of range')}"
            await shell.process.error(shell.message(text))
            return 1 if flavour == "bash" else 2
        shell.process.umask = mode
    return 0


def _symbolic_mask(text: str, mask: int) -> int | None:
    """`u=rwx,g=rx,o=` says what is allowed; the mask is the rest. None when it is no mode."""
    allowed = ~mask & 0o777
    for clause in text.split(","):
        found = re.fullmatch(r"([ugoa]*)([-+=])([rwx]*)", clause)
        if not found:
            return None
        bits = sum({"r": 4, "w": 2, "x": 1}[letter] for letter in set(found[3]))
        for who in found[1].replace("a", "ugo") or "ugo":
            shift = {"u": 6, "g": 3, "o": 0}[who]
            match found[2]:
                case "+":
                    allowed |= bits << shift
                case "-":
                    allowed &= ~(bits << shift)
                case _:
                    allowed = allowed & ~(7 << shift) | bits << shift
    return ~allowed & 0o777


@builtin("ulimit")
async def _ulimit(shell: Shell, words: list[str]) -> int:
    letters = {"-n": "1048576", "-u": "unlimited", "-c": "0", "-s": "8192", "-f": "unlimited"}
    await shell.process.line(letters.get(words[0] if words else "-f", "unlimited"))
    return 0


@builtin("times")
async def _times(shell: Shell, words: list[str]) -> int:
    await shell.process.line("0m0.000s 0m0.000s\n0m0.000s 0m0.000s")
    return 0


@builtin("hash")
async def _hash(shell: Shell, words: list[str]) -> int:
    return 0


@builtin("history")
async def _history(shell: Shell, words: list[str]) -> int:
    for number, text in enumerate(shell.state.history, 1):
        await shell.process.line(f"{number:5}  {text}")
    return 0


@builtin("help", only=("bash", "ash"))
async def _help(shell: Shell, words: list[str]) -> int:
    await shell.process.line("Built-in commands:\n------------------\n\t" + " ".join(sorted(BUILTINS)))
    return 0
