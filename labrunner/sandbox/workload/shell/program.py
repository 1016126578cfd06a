"""`sh`, `bash` and `ash` as programs: scripts, `-c`, standard input, and the interactive shell."""

from __future__ import annotations

import asyncio

from labrunner.sandbox.workload.machine.process import Exited, Process
from labrunner.sandbox.workload.shell import messages
from labrunner.sandbox.workload.shell.executor import Shell
from labrunner.sandbox.workload.shell.parser import Parser, parse
from labrunner.sandbox.workload.shell.prompt import LineEditor, prompt_text
from labrunner.sandbox.workload.shell.state import (
    OPTION_LETTERS,
    FunctionReturn,
    LoopBreak,
    LoopContinue,
    ShellFault,
    State,
    Variable,
)
from labrunner.sandbox.workload.shell.syntax import ShellSyntaxError

_IGNORED_LETTERS = set("il")


def flavour_of(process: Process) -> str:
    """Which shell this name is in this image."""
    if process.name in ("bash", "zsh"):
        return "bash"
    return "dash" if process.container.family == "debian" else "ash"


async def main(process: Process) -> int:
    """`sh [-options] [-c command [name [argument...]] | file [argument...]]`"""
    state = State(flavour_of(process), process.name or "sh", pid=process.pid)
    words = process.argv[1:]
    command, login, from_input = False, process.argv[0].startswith("-"), False
    while words and len(words[0]) > 1 and words[0][0] in "-+":
        word = words.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            if word in ("--login", "--norc", "--noprofile", "--posix", "--rcfile"):
                continue
            if word == "--version" and state.flavour == "bash":
                await process.line("GNU bash, version 5.2.37(1)-release (x86_64-pc-linux-gnu)")
                return 0
            return await process.fail(f"{word}: invalid option", 2)
        for letter in word[1:]:
            if letter == "c":
                command = True
            elif letter == "o":
                if words:
                    (state.options.add if word[0] == "-" else state.options.discard)(words.pop(0))
            elif letter == "i":
                state.interactive = True
            elif letter in OPTION_LETTERS:
                (state.options.add if word[0] == "-" else state.options.discard)(OPTION_LETTERS[letter])
            elif letter == "s":
                from_input = True
            elif letter not in _IGNORED_LETTERS:
                if state.flavour == "dash":
                    await process.error(f"{state.name}: 0: Illegal option -{letter}\n")
                    return 2
                return await process.fail(f"-{letter}: invalid option", 2)
    _environment(process, state)
    if command:
        if not words:
            bash = state.flavour == "bash"
            text = "-c: option requires an argument" if bash else "-c requires an argument"
            if state.flavour == "dash":
                text = "0: -c requires an argument"
            return await process.fail(text, 2)
        if len(words) > 1:
            state.name = words[1]
        state.positional = words[2:]
        state.from_option = True
        return await Shell(process, state).run_to_end(words[0])
    if words and not from_input:
        return await _script(process, state, words)
    state.positional = words
    if process.stdin.is_tty or state.interactive:
        state.interactive = True
        return await _interactive(process, state, login)
    return await _from_input(process, state)


def _environment(process: Process, state: State) -> None:
    for name, value in process.env.items():
        if name.isidentifier():
            state.variables[name] = Variable(value, exported=True)
    state.variables["PWD"] = Variable(process.cwd, exported=True)
    state.variables.setdefault("SHLVL", Variable("0", exported=True))
    level = state.variables["SHLVL"].value
    state.variables["SHLVL"].value = str(int(level) + 1) if level.isdigit() else "1"
    state.variables["PPID"] = Variable(str(process.parent.pid if process.parent else 0))
    state.variables["OPTIND"] = Variable("1")
    if state.flavour == "bash":
        state.variables["BASH_VERSION"] = Variable("5.2.37(1)-release")
        state.variables["HOSTNAME"] = Variable(process.container.hostname, "HOSTNAME" in process.env)
        state.variables["UID"] = Variable(str(process.owner.uid), read_only=True)


async def _script(process: Process, state: State, words: list[str]) -> int:
    try:
        data = process.read_file(words[0])
    except OSError as error:
        match state.flavour:
            case "bash":
                text = f"{state.name}: {words[0]}: {error.strerror}"
            case "dash":
                text = f"{state.name}: 0: cannot open {words[0]}: No such file"
            case _:
                text = f"{state.name}: can't open '{words[0]}': {error.strerror}"
        await process.error(text + "\n")
        return 127 if state.flavour == "bash" else 2
    state.name = words[0]
    state.positional = words[1:]
    return await Shell(process, state).run_to_end(data.decode("utf-8", "surrogateescape"))


async def _from_input(process: Process, state: State) -> int:
    """Commands from standard input, each run before the next is read."""
    shell = Shell(process, state)
    text = ""
    status = 0
    while True:
        line = await process.stdin.readline()
        if not line:
            break
        text += line.decode("utf-8", "surrogateescape")
        if _incomplete(text, state.flavour):
            continue
        status = await _command(shell, text)
        text = ""
    if text:
        status = await _command(shell, text)
    return await shell._exit_trap(status)


async def _command(shell: Shell, text: str) -> int:
    try:
        return await shell.run_text(text)
    except ShellFault as error:
        await shell.say(error)
        shell.state.status = error.status
        if not shell.state.interactive:
            raise Exited(await shell._exit_trap(error.status)) from error
    except (LoopBreak, LoopContinue):
        pass
    except FunctionReturn as returned:
        shell.state.status = returned.status
    return shell.state.status


def _incomplete(text: str, flavour: str) -> bool:
    """Whether more lines are needed."""
    try:
        parser = Parser(text, flavour=flavour)
        parser.sequence(frozenset())
        if parser.open_here_document:
            return True
        stripped = text.rstrip("\n")
        if stripped.endswith("\\") and (len(stripped) - len(stripped.rstrip("\\"))) % 2:
            return True
        parse(text, flavour)
    except ShellSyntaxError as error:
        return error.incomplete
    return False


async def _interactive(process: Process, state: State, login: bool) -> int:
    """Prompts, reads and runs until `exit` or Ctrl-D. Ctrl-C ends what runs, not the shell."""
    shell = Shell(process, state)
    process.ignored |= {15, 20, 21, 22}
    running: asyncio.Task[int] | None = None
    editor = LineEditor(process, shell)

    def interrupt(number: int) -> None:
        if running is not None and not running.done():
            running.cancel()
        else:
            editor.interrupt()

    process.handlers[2] = process.handlers[3] = interrupt
    process.handlers[28] = editor.resized
    if "PS1" not in state.variables:
        state.variables["PS1"] = Variable(prompt_default(process, state))
    state.variables.setdefault("PS2", Variable("> "))
    if login or state.flavour == "bash":
        for name in ("/etc/profile",) if login else ():
            if process.fs.exists(name):
                await _command(shell, f". {name}")
    text = ""
    try:
        while True:
            prompt = await prompt_text(shell, "PS2" if text else "PS1")
            line = await editor.read(prompt)
            if line is None:
                text = ""
                state.status = 130
                continue
            if line == "":
                if text:
                    error = ShellSyntaxError("end of file", 1, incomplete=True)
                    await process.error(messages.syntax(state, error, text))
                    text = ""
                    continue
                if state.flavour == "bash" or process.terminal:
                    await process.error("exit\n" if state.flavour == "bash" else "\n")
                break
            text += line
            if not text.strip():
                text = ""
                continue
            if _incomplete(text, state.flavour):
                continue
            entry = text.rstrip("\n")
            if not state.history or state.history[-1] != entry:
                state.history.append(entry)
                del state.history[:-500]
            text, whole = "", text
            running = asyncio.ensure_future(_command(shell, whole))
            try:
                await running
            except asyncio.CancelledError:
                if not running.cancelled():
                    raise
                state.status = 130
                shell.conditions = 0
                shell.functions.clear()
            finally:
                if not running.done():
                    running.cancel()
                running = None
            await _finished_jobs(shell)
    except Exited as exit_:
        state.status = exit_.status
    return await shell._exit_trap(state.status)


async def _finished_jobs(shell: Shell) -> None:
    for job in [j for j in shell.state.jobs if j.process.status is not None]:
        status = job.process.status
        word = "Done" if status == 0 else "Terminated" if status == 143 else "Killed" if status == 137 else (
            f"Done({status})" if shell.state.flavour != "bash" else f"Exit {status}")  # fmt: skip
        mark = "+" if job is shell.state.jobs[-1] else "-"
        await shell.process.error(f"[{job.number}]{mark}  {word:<24}{job.text}\n")
        shell.state.jobs.remove(job)


def prompt_default(process: Process, state: State) -> str:
    if state.flavour == "bash":
        return "\\u@\\h:\\w\\$ " if process.container.family == "debian" else "bash-5.2\\$ "
    if state.flavour == "dash":
        return "# " if process.owner.uid == 0 else "$ "
    return "\\w \\$ "
