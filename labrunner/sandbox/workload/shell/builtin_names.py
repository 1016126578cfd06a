"""What a word stands for: `alias`, `type`, `command`."""

from __future__ import annotations

from labrunner.sandbox.workload.shell import starting
from labrunner.sandbox.workload.shell.executor import Shell, find_builtin
from labrunner.sandbox.workload.shell.messages import quoted
from labrunner.sandbox.workload.shell.registry import builtin


@builtin("alias")
async def _alias(shell: Shell, words: list[str]) -> int:
    if not words:
        for name, text in sorted(shell.state.aliases.items()):
            await shell.process.line(f"{name}={quoted(text)}")
    for word in words:
        name, equals, text = word.partition("=")
        if equals:
            shell.state.aliases[name] = text
        elif name in shell.state.aliases:
            await shell.process.line(f"{name}='{shell.state.aliases[name]}'")
        else:
            await shell.process.error(shell.message(f"alias: {name} not found"))
            return 1
    return 0


@builtin("unalias")
async def _unalias(shell: Shell, words: list[str]) -> int:
    for word in words:
        shell.state.aliases.pop(word, None)
    return 0


@builtin("type")
async def _type(shell: Shell, words: list[str]) -> int:
    status = 0
    for word in words:
        if word.startswith("-"):
            continue
        text = _kind(shell, word)
        if text:
            await shell.process.line(text)
        else:
            status = 1 if shell.state.flavour == "bash" else 127
            line = f"{word}: not found"
            if shell.state.flavour == "bash":
                await shell.process.error(shell.message(f"type: {line}"))
            else:
                await shell.process.line(line)
    return status


_KEYWORDS = frozenset(
    ("if", "then", "else", "fi", "while", "do", "done", "for", "case", "esac", "until", "elif", "{", "}", "!", "in")
)


def _kind(shell: Shell, word: str) -> str:
    if word in shell.state.functions:
        return f"{word} is a shell function" if shell.state.flavour == "dash" else f"{word} is a function"
    if find_builtin(word, shell.state.flavour):
        return f"{word} is a shell builtin"
    if word in _KEYWORDS:
        return f"{word} is a shell keyword"
    path = _which(shell, word)
    return f"{word} is {path}" if path else ""


def _which(shell: Shell, word: str) -> str:
    try:
        return shell.process.container.which(
            word, shell.state.get("PATH") or "", shell.process.cwd, shell.process.owner
        )
    except OSError:
        return ""


@builtin("command", "builtin")
async def _command(shell: Shell, words: list[str]) -> int:
    if words[:1] in (["-v"], ["-V"]):
        verbose, status = words[0] == "-V", 0
        for word in words[1:]:
            if verbose:
                text = _kind(shell, word)
            elif word in shell.state.functions or find_builtin(word, shell.state.flavour) or word in _KEYWORDS:
                text = word
            else:
                text = _which(shell, word)
            if text:
                await shell.process.line(text)
            else:
                status = 127 if shell.state.flavour != "bash" else 1
        return status
    words = [w for i, w in enumerate(words) if not (i == 0 and w in ("-p", "--"))]
    if not words:
        return 0
    found = find_builtin(words[0], shell.state.flavour)
    if found is not None:
        return await found(shell, words[1:])
    try:
        child = shell.process.container.execute(
            words, parent=shell.process, env=shell.state.environment(), cwd=shell.process.cwd
        )
    except OSError as error:
        return await starting.not_started(shell, words[0], error)
    return await shell._wait(child)
