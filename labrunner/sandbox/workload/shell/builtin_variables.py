"""Commands about variables, options and positional parameters."""

from __future__ import annotations

from labrunner.sandbox.workload.shell.executor import Shell
from labrunner.sandbox.workload.shell.messages import quoted
from labrunner.sandbox.workload.shell.registry import builtin
from labrunner.sandbox.workload.shell.state import (
    OPTION_LETTERS,
    OPTION_NAMES,
    ShellFault,
    Variable,
)


@builtin("export")
async def _export(shell: Shell, words: list[str]) -> int:
    return await _attribute(shell, words, "export")


@builtin("readonly")
async def _readonly(shell: Shell, words: list[str]) -> int:
    return await _attribute(shell, words, "readonly")


async def _attribute(shell: Shell, words: list[str], which: str) -> int:
    state = shell.state
    remove = "-n" in words
    words = [w for w in words if w not in ("-p", "-n", "--", "-x")]
    if not words:
        for name, variable in sorted(state.variables.items()):
            if variable.exported if which == "export" else variable.read_only:
                prefix = {"export": "declare -x", "readonly": "declare -r"}[which] if state.flavour == "bash" else which
                value = f'"{variable.value}"' if state.flavour == "bash" else f"'{variable.value}'"
                await shell.process.line(f"{prefix} {name}={value}")
        return 0
    for word in words:
        name, equals, value = word.partition("=")
        if not name.isidentifier():
            bash = state.flavour == "bash"
            text = f"`{word}': not a valid identifier" if bash else f"{name}: bad variable name"
            await shell.process.error(shell.message(f"{which}: {text}"))
            return 1 if bash else 2
        if equals:
            state.set(name, value)
        variable = state.variables.setdefault(name, Variable())
        if which == "export":
            variable.exported = not remove
        else:
            variable.read_only = True
    return 0


@builtin("unset")
async def _unset(shell: Shell, words: list[str]) -> int:
    functions = "-f" in words
    for word in words:
        if word.startswith("-"):
            continue
        if functions:
            shell.state.functions.pop(word, None)
        elif word in shell.state.variables:
            if shell.state.variables[word].read_only:
                if shell.state.flavour == "bash":
                    await shell.process.error(shell.message(f"unset: {word}: cannot unset: readonly variable"))
                    return 1
                raise ShellFault(f"unset: {shell.state.read_only(word)}", 2)
            shell.state.unset(word)
        else:
            shell.state.functions.pop(word, None)
    return 0


@builtin("set")
async def _set(shell: Shell, words: list[str]) -> int:
    state = shell.state
    if not words:
        for name, variable in sorted(state.variables.items()):
            await shell.process.line(f"{name}={quoted(variable.value)}")
        return 0
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--" or word == "-":
            state.positional = words[at + 1 :]
            return 0
        if len(word) < 2 or word[0] not in "-+":
            break
        for letter in word[1:]:
            if letter == "o":
                at += 1
                if at >= len(words):
                    for name in sorted(OPTION_NAMES):
                        await shell.process.line(f"{name:<15}\t{'on' if name in state.options else 'off'}")
                    return 0
                name = words[at]
                if name not in OPTION_NAMES:
                    raise ShellFault(f"set: {name}: invalid option name", 2)
            elif letter in OPTION_LETTERS:
                name = OPTION_LETTERS[letter]
            else:
                raise ShellFault(f"set: Illegal option -{letter}" if state.flavour == "dash" else
                                 f"set: {word[0]}{letter}: invalid option", 2)  # fmt: skip
            (state.options.add if word[0] == "-" else state.options.discard)(name)
        at += 1
    if at < len(words):
        state.positional = words[at:]
    return 0


@builtin("shopt", only=("bash",))
async def _shopt(shell: Shell, words: list[str]) -> int:
    return 0


@builtin("shift")
async def _shift(shell: Shell, words: list[str]) -> int:
    count = int(words[0]) if words and words[0].isdigit() else 1
    if count > len(shell.state.positional):
        if shell.state.flavour == "dash":
            raise ShellFault("shift: can't shift that many", 2)
        return 1
    del shell.state.positional[:count]
    return 0


@builtin("local")
async def _local(shell: Shell, words: list[str]) -> int:
    if not shell.functions:
        if shell.state.flavour == "bash":
            await shell.process.error(shell.message("local: can only be used in a function"))
            return 1
        raise ShellFault("local: not in a function", 2)
    return await _declare(shell, words)


@builtin("declare", "typeset", only=("bash",))
async def _declare(shell: Shell, words: list[str]) -> int:
    state = shell.state
    options = "".join(w[1:] for w in words if w.startswith("-"))
    for word in words:
        if word.startswith(("-", "+")):
            continue
        name, equals, value = word.partition("=")
        if not name.isidentifier():
            await shell.process.error(shell.message(f"local: `{word}': not a valid identifier"))
            return 1
        if shell.functions and "g" not in options:
            hidden = shell.functions[-1]
            if name not in hidden:
                hidden[name] = state.variables.get(name)
                before = state.variables.get(name)
                state.variables[name] = Variable("", bool(before and before.exported))
                if state.flavour != "bash" and before is not None:
                    state.variables[name].value = before.value
        variable = state.variables.setdefault(name, Variable())
        if "i" in options:
            variable.integer = True
        if "a" in options and variable.items is None:
            variable.items = {}
        if equals:
            state.set(name, str(await shell.expander.number(value)) if variable.integer else value)
        variable.exported = variable.exported or "x" in options
        variable.read_only = variable.read_only or "r" in options
    return 0


@builtin("let", only=("bash", "ash"))
async def _let(shell: Shell, words: list[str]) -> int:
    value = 0
    for word in words:
        value = await shell.expander.number(word)
    return int(value == 0)


@builtin("getopts")
async def _getopts(shell: Shell, words: list[str]) -> int:
    if len(words) < 2:
        raise ShellFault("getopts: usage: getopts optstring var [arg]", 2)
    options, name = words[0], words[1]
    arguments = words[2:] or shell.state.positional
    silent = options.startswith(":")
    state = shell.state
    index = int(state.get("OPTIND") or 1)
    offset = int(state.get("_OPTOFFSET") or 1)
    if index > len(arguments) or not arguments[index - 1].startswith("-") or arguments[index - 1] == "-":
        state.set(name, "?")
        return 1
    if arguments[index - 1] == "--":
        state.set("OPTIND", str(index + 1))
        state.set(name, "?")
        return 1
    word = arguments[index - 1]
    letter = word[offset]
    offset += 1
    known = letter in options and letter != ":"
    takes = known and options[options.index(letter) + 1 :].startswith(":")
    state.unset("OPTARG")
    if takes:
        if offset < len(word):
            state.set("OPTARG", word[offset:])
            index += 1
        elif index < len(arguments):
            state.set("OPTARG", arguments[index])
            index += 2
        else:
            index += 1
            if silent:
                state.set("OPTARG", letter)
            else:
                bash = shell.state.flavour == "bash"
                text = f"{shell.state.name}: option requires an argument -- {letter}"
                await shell.process.error((text if bash else f"No arg for -{letter} option") + "\n")
            letter = ":" if silent else "?"
        offset = 1
    else:
        if not known:
            if silent:
                state.set("OPTARG", letter)
            else:
                bash = shell.state.flavour == "bash"
                text = f"{shell.state.name}: illegal option -- {letter}" if bash else f"Illegal option -{letter}"
                await shell.process.error(text + "\n")
            letter = "?"
        if offset >= len(word):
            index, offset = index + 1, 1
    state.set("OPTIND", str(index))
    state.set("_OPTOFFSET", str(offset))
    state.set(name, letter)
    return 0
