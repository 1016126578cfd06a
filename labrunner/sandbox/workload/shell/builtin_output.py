"""`echo`, `printf` and `test`."""

from __future__ import annotations

from labrunner.sandbox.workload.shell import conditional
from labrunner.sandbox.workload.shell.conditional import TestFault
from labrunner.sandbox.workload.shell.executor import Shell
from labrunner.sandbox.workload.shell.registry import BUILTINS, Entry, builtin, usage
from labrunner.sandbox.workload.text import printf


@builtin("echo")
async def _echo(shell: Shell, words: list[str]) -> int:
    await shell.process.write(echo_text(words, shell.state.flavour))
    return 0


def echo_text(words: list[str], flavour: str) -> str:
    """What `echo` writes: dash always interprets escapes, the others with -e."""
    escapes, newline = flavour == "dash", True
    while (
        words
        and len(words[0]) > 1
        and words[0][0] == "-"
        and set(words[0][1:]) <= set("n" if flavour == "dash" else "neE")
    ):
        newline = newline and "n" not in words[0]
        for letter in words[0][1:]:
            escapes = escapes if letter == "n" else letter == "e"
        words = words[1:]
    text = " ".join(words)
    if escapes:
        text, stopped = printf.unescape(text)
        newline = newline and not stopped
    return text + ("\n" if newline else "")


@builtin("printf")
async def _printf(shell: Shell, words: list[str]) -> int:
    name = ""
    if shell.state.flavour == "bash" and words[:1] == ["-v"] and len(words) > 2:
        name, words = words[1], words[2:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        return await usage(shell, "printf", "printf FORMAT [ARG]...", 2)
    try:
        text, complaints = printf.render(words[0], words[1:], shell.state.flavour)
    except printf.PrintfFault as error:
        await shell.process.error(shell.message(f"printf: {error}"))
        return 1
    if name:
        shell.state.set(name, text)
    else:
        await shell.process.write(text)
    for complaint in complaints:
        await shell.process.error(shell.message(f"printf: {complaint}"))
    return int(bool(complaints))


async def _test_as(name: str, shell: Shell, words: list[str]) -> int:
    if name == "[":
        if not words or words[-1] != "]":
            missing = "`]'" if shell.state.flavour == "bash" else "]"
            await shell.process.error(shell.message(f"[: missing {missing}"))
            return 2
        words = words[:-1]
    try:
        return int(not conditional.test(shell.process, words))
    except TestFault as error:
        text = str(error)
        unexpected = text.endswith(": unexpected operator")
        if unexpected and shell.state.flavour == "ash":
            text = f"{words[1]}: unknown operand"
        elif unexpected and shell.state.flavour == "bash":
            text = text.replace("unexpected operator", f"{'unary' if len(words) == 2 else 'binary'} operator expected")
        elif unexpected:
            text = f"{words[0]}: unexpected operator"
        elif text == "too many arguments" and shell.state.flavour != "bash":
            text = (
                f"{words[1]}: unknown operand" if shell.state.flavour == "ash" else f"{words[0]}: unexpected operator"
            )
        if shell.state.flavour == "bash" and text.startswith("Illegal number: "):
            text = f"{text.removeprefix('Illegal number: ')}: integer expression expected"
        elif shell.state.flavour == "ash" and text.startswith("Illegal number: "):
            text = text.removeprefix("Illegal number: ")
            await shell.process.error(f"sh: {text}: bad number\n")
            return 2
        await shell.process.error(shell.message(f"{name}: {text}"))
        return 2


BUILTINS["test"] = Entry(lambda shell, words: _test_as("test", shell, words))
BUILTINS["["] = Entry(lambda shell, words: _test_as("[", shell, words))
