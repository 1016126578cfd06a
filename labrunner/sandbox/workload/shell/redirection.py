"""Redirections: opening their files, putting them in place and taking them back."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.machine.stream import Bytes, Stream
from labrunner.sandbox.workload.shell.syntax import (
    Redirect,
)

if TYPE_CHECKING:
    from labrunner.sandbox.workload.shell.executor import Shell


class RedirectFault(OSError):
    """A file that could not be opened for a redirection."""

    def __init__(self, cause: OSError, path: str, *, reading: bool) -> None:
        super().__init__(cause.errno, cause.strerror or "", path)
        self.reading = reading


def release(streams: dict[int, Stream]) -> None:
    for stream in streams.values():
        stream.release()


async def redirected(shell: Shell, redirects: list[Redirect], opened: dict[int, Stream]) -> dict[int, Stream]:
    """Descriptors for a command; those newly opened are also in `opened`, for the caller to release."""
    found = dict(shell.process.descriptors)
    for redirect in redirects:
        await apply(shell, redirect, found, opened)
    return found


async def apply(shell: Shell, redirect: Redirect, found: dict[int, Stream], opened: dict[int, Stream]) -> None:
    op = redirect.op
    number = redirect.descriptor if redirect.descriptor is not None else 0 if op[0] == "<" else 1
    if op in ("<<", "<<-", "<<<"):
        text = await shell.expander.text(redirect.target)
        stream: Stream = Bytes((text + ("\n" if op == "<<<" else "")).encode("utf-8", "surrogateescape"))
    else:
        fields = await shell.expander.fields([redirect.target])
        if len(fields) != 1:
            raise OSError(errno.EINVAL, "ambiguous redirect", "")
        target = fields[0]
        if op in ("<&", ">&") and (target == "-" or target.rstrip("-").isdigit()):
            if target == "-":
                found.pop(number, None)
                return
            source = found.get(int(target.rstrip("-")))
            if source is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF), target)
            stream = source.retain()
        else:
            how = {"<": "r", "<>": "+", ">>": "a", "&>>": "a"}.get(op, "w")
            if op == ">" and "noclobber" in shell.state.options and shell.process.fs.exists(target, shell.process.cwd):
                words = "cannot overwrite existing file" if shell.state.flavour == "bash" else "File exists"
                raise OSError(errno.EEXIST, words, target)
            try:
                stream = shell.process.open(target, how)
            except OSError as error:
                raise RedirectFault(error, target, reading=how == "r") from error
    key = max(opened, default=-1) + 1
    opened[key] = stream
    found[number] = stream
    if op in ("&>", "&>>") or (op == ">&" and redirect.descriptor is None and not fields[0].isdigit()):
        found[2] = stream


async def redirect_here(shell: Shell, redirects: list[Redirect]) -> dict[int, Stream | None]:
    """Redirect this process itself; what was there before, to be put back by `_restore`."""
    if not redirects:
        return {}
    opened: dict[int, Stream] = {}
    try:
        found = await redirected(shell, redirects, opened)
    except OSError:
        release(opened)
        raise
    saved: dict[int, Stream | None] = {}
    current = shell.process.descriptors
    for number in {*found, *current}:
        if found.get(number) is not current.get(number):
            saved[number] = current.get(number)
            if number in found:
                current[number] = found[number].retain()
            else:
                del current[number]
    release(opened)
    return saved


def restore(shell: Shell, saved: dict[int, Stream | None]) -> None:
    current = shell.process.descriptors
    for number, stream in saved.items():
        now = current.pop(number, None)
        if now is not None and now is not stream:
            now.release()
        if stream is not None:
            current[number] = stream


async def redirect_failed(shell: Shell, error: OSError) -> int:
    """Say why a redirection failed; the command's status."""
    name, flavour = error.filename or "", shell.state.flavour
    if flavour == "bash" or error.errno == errno.EBADF:
        text = f"{name}: {error.strerror}"
    else:
        reading = isinstance(error, RedirectFault) and error.reading
        verb = ("cannot " if flavour == "dash" else "can't ") + ("open" if reading else "create")
        missing = {
            "dash": ("Directory nonexistent", "No such file"), "ash": ("nonexistent directory", "no such file")
        }[flavour][reading]  # fmt: skip
        text = f"{verb} {name}: {missing if error.errno == errno.ENOENT else error.strerror}"
    await shell.process.error(shell.message(text))
    return 2 if flavour == "dash" else 1
