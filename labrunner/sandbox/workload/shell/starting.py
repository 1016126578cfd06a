"""Starting programs, and what is said when that fails."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.machine.container import DEFAULT_PATH
from labrunner.sandbox.workload.machine.process import Exited, waited
from labrunner.sandbox.workload.machine.stream import Stream
from labrunner.sandbox.workload.shell import redirection
from labrunner.sandbox.workload.shell.state import (
    ShellFault,
)
from labrunner.sandbox.workload.shell.syntax import (
    Simple,
)

if TYPE_CHECKING:
    from labrunner.sandbox.workload.shell.executor import Shell


async def external(shell: Shell, command: Simple, words: list[str]) -> int:
    opened: dict[int, Stream] = {}
    try:
        try:
            descriptors = await redirection.redirected(shell, command.redirects, opened)
        except OSError as error:
            return await redirection.redirect_failed(shell, error)
        env = shell.state.environment()
        for assignment in command.assignments:
            env[assignment.name] = await shell.expander.text(assignment.value)
        if shell.becomes and not shell.state.traps:
            return await become(shell, words, descriptors, env)
        try:
            child = shell.process.container.execute(
                words, parent=shell.process, descriptors=descriptors, env=env, cwd=shell.process.cwd
            )
        except OSError as error:
            return await instead(shell, words, descriptors, env, error)
    finally:
        redirection.release(opened)
    return await shell._wait(child)


async def become(shell: Shell, words: list[str], descriptors: dict[int, Stream], env: dict[str, str]) -> int:
    """Run the program in this very process."""
    process = shell.process
    try:
        program, argv = process.container.resolve(words, env.get("PATH", DEFAULT_PATH), process.cwd, process.owner)
    except OSError as error:
        return await instead(shell, words, descriptors, env, error)
    current = process.descriptors
    for stream in descriptors.values():
        stream.retain()
    for stream in current.values():
        stream.release()
    current.clear()
    current.update(descriptors)
    process.argv, process.env = argv, dict(env)
    return await program(process)


async def instead(
    shell: Shell, words: list[str], descriptors: dict[int, Stream], env: dict[str, str], error: OSError
) -> int:
    """What happens when a program cannot be started: it is a script without `#!`, or it is said."""
    if error.errno == errno.ENOEXEC:
        return await script(shell, words, descriptors, env)
    return await not_started(shell, words[0], error, descriptors.get(2))


async def script(shell: Shell, words: list[str], descriptors: dict[int, Stream], env: dict[str, str]) -> int:
    """A file without `#!` is run by the shell itself."""
    container, process = shell.process.container, shell.process
    where = container.which(words[0], env.get("PATH", ""), process.cwd, process.owner)
    data = shell.process.fs.read(where, process.cwd, process.owner)
    if b"\0" in data[:512]:
        await shell.process.error(shell.message(f"{words[0]}: Exec format error"))
        return 126
    shown = words[0] if "/" in words[0] else where
    child = container.execute([process.argv[0] or "sh", shown, *words[1:]], parent=process,
                              descriptors=descriptors, env=env, cwd=process.cwd)  # fmt: skip
    return await shell._wait(child)


async def not_started(
    shell: Shell, name: str, error: OSError, stderr: Stream | None = None, *, exec_: bool = False
) -> int:
    """Say why a command could not be started: 127 when it is not there, else 126."""
    bash = shell.state.flavour == "bash"
    if isinstance(error, FileNotFoundError):
        if "/" in name:
            text = f"{name}: No such file or directory" if bash else f"{name}: not found"
        else:
            text = f"{name}: command not found" if bash and not exec_ else f"{name}: not found"
        text = f"exec: {text}" if exec_ else text
        status = 127
    elif error.errno == errno.EAGAIN:
        raise ShellFault("fork: retry: Resource temporarily unavailable" if bash else "can't fork: " + (
            os.strerror(errno.EAGAIN)), 254 if bash else 2) from error  # fmt: skip
    else:
        directory = shell.process.fs.is_dir(name, shell.process.cwd) if "/" in name else False
        word = "Is a directory" if directory and bash else error.strerror or "Permission denied"
        text, status = f"{name}: {word}", 126
    stream = stderr or shell.process.descriptors.get(2)
    if stream is not None:
        await stream.write(shell.message(text).encode("utf-8", "surrogateescape"))
    return status


async def exec_(shell: Shell, words: list[str], saved: dict[int, Stream | None]) -> int:
    """`exec`: redirections stay; with a command this process becomes it."""
    if not words:
        redirection.release({n: s for n, s in saved.items() if s is not None})
        saved.clear()
        return 0
    try:
        child = shell.process.container.execute(
            words, parent=shell.process, env=shell.state.environment(), cwd=shell.process.cwd
        )
    except OSError as error:
        await not_started(shell, words[0], error, exec_=True)
        raise Exited(126 if not isinstance(error, FileNotFoundError) else 127) from error
    for number in (1, 2, 3, 10, 12, 15):
        shell.process.handlers[number] = child.kill
    shell.process.serves = True
    raise Exited(await waited(child))
