"""Runs syntax trees in a process."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.filesystem.tree import FileSystem, Owner, fault
from labrunner.sandbox.workload.machine.process import Exited, Process, waited
from labrunner.sandbox.workload.machine.stream import Bytes, Collected, Pipe, Stream
from labrunner.sandbox.workload.shell import compound, messages, redirection, starting
from labrunner.sandbox.workload.shell.expansion import Expander
from labrunner.sandbox.workload.shell.parser import parse
from labrunner.sandbox.workload.shell.state import (
    FunctionReturn,
    Job,
    LoopBreak,
    LoopContinue,
    ShellFault,
    State,
    Variable,
)
from labrunner.sandbox.workload.shell.syntax import (
    AndOr,
    Assignment,
    Command,
    Function,
    Pipeline,
    ProcessFile,
    Sequence,
    ShellSyntaxError,
    Simple,
    Subshell,
    describe,
)

if TYPE_CHECKING:
    from labrunner.sandbox.workload.shell.builtins import Builtin

MAX_CALLS = 200
"""Nested functions, `eval`s and substitutions."""
_LOOP_BREATH = 64


class Shell:
    """One shell: a state in a process. Subshells are shells of their own in processes of their own."""

    def __init__(self, process: Process, state: State, depth: int = 0) -> None:
        self.process, self.state, self.depth = process, state, depth
        self.expander = Expander(state, self.output_of, self._files, self._process_file, self._home)
        self.conditions = 0
        """How many conditions we are in, where `set -e` does not apply."""
        self.substituted = 0
        """The status of the last substitution of this command."""
        self.loops = 0
        """How many loops of this function we are in."""
        self.functions: list[dict[str, Variable | None]] = []
        """Local variables of the functions that run: what they hid."""
        self.pending_signals: list[int] = []
        self.program: Sequence | None = None
        """What `-c` says."""
        self.last_of_option = False
        """It runs the last command of `-c`, in whose place a real shell puts the program itself."""
        self.becomes = False
        """This subshell runs one simple command only: an external one takes its place."""
        self._count = 0

    # texts

    async def run_text(self, text: str) -> int:
        """Parse and run. A syntax error is said and gives status 2."""
        try:
            tree = parse(text, self.state.flavour)
        except ShellSyntaxError as error:
            await self.process.error(messages.syntax(self.state, error, text))
            self.state.status = 2
            return 2
        return await self.run(tree)

    async def _run_program(self, text: str) -> int:
        """As `run_text`, for all of a script or of `-c`."""
        try:
            self.program = parse(text, self.state.flavour) if self.state.from_option else None
        except ShellSyntaxError as error:
            await self.process.error(messages.syntax(self.state, error, text))
            return 2
        return await (self.run(self.program) if self.program is not None else self.run_text(text))

    def message(self, text: str) -> str:
        """A fault in this shell's style."""
        return messages.fault(self.state, text)

    async def say(self, error: ShellFault) -> None:
        """What a fault has to say, once."""
        if error.message:
            await self.process.error(self.message(error.message))

    # commands

    async def run(self, command: Command) -> int:
        """Execute; the status is also `$?`."""
        self._count += 1
        if self._count % _LOOP_BREATH == 0:
            await self.process.breathe()
        if self.pending_signals:
            await self.run_traps()
        if command.line:
            self.state.source_line = command.line
        if "noexec" in self.state.options and not self.state.interactive:
            return 0
        if isinstance(command, Simple):
            status = await self._simple(command)
        elif isinstance(command, Sequence):
            return await self._sequence(command)
        elif isinstance(command, AndOr):
            return await self._and_or(command)
        elif isinstance(command, Pipeline):
            status = await self._pipeline(command)
        elif isinstance(command, Function):
            self.state.functions[command.name] = command.body
            status = 0
        elif isinstance(command, Subshell):
            status = await self._subshell(command)
        else:
            return await compound.compound(self, command)
        self.state.status = status
        self._check_errexit(command, status)
        return status

    def _check_errexit(self, command: Command, status: int) -> None:
        if status and "errexit" in self.state.options and not self.conditions:
            if isinstance(command, Pipeline) and command.negated:
                return
            raise Exited(status)

    async def _sequence(self, sequence: Sequence) -> int:
        status = 0
        top = sequence is self.program
        for number, (command, background) in enumerate(sequence.items):
            if top and number == len(sequence.items) - 1:
                self.last_of_option = isinstance(command, Simple)
            status = await self._background(command) if background else await self.run(command)
        self.state.status = status
        return status

    async def _and_or(self, command: AndOr) -> int:
        last = len(command.rest) - 1
        self.conditions += 1
        try:
            status = await self.run(command.first)
        finally:
            self.conditions -= 1
        for index, (op, right) in enumerate(command.rest):
            if (op == "&&") != (status == 0):
                continue
            if index == last:
                status = await self.run(right)
            else:
                self.conditions += 1
                try:
                    status = await self.run(right)
                finally:
                    self.conditions -= 1
        self.state.status = status
        return status

    async def _condition(self, sequence: Sequence) -> bool:
        self.conditions += 1
        try:
            return await self.run(sequence) == 0
        finally:
            self.conditions -= 1

    # processes

    async def _pipeline(self, command: Pipeline) -> int:
        began, children = time.time(), []
        if len(command.commands) == 1:
            if command.negated:
                self.conditions += 1
            try:
                status = await self.run(command.commands[0])
            finally:
                self.conditions -= int(command.negated)
        else:
            children = await self._start_stages(command.commands)
            try:
                statuses = [await child.wait() for child in children]
            except asyncio.CancelledError:
                for child in children:
                    child.kill(9)
                raise
            self.state.pipe_status = statuses
            status = statuses[-1]
            if "pipefail" in self.state.options:
                status = next((s for s in reversed(statuses) if s), 0)
        if command.timed:
            await self._say_time(time.time() - began, sum(child.cpu for child in children))
        return int(not status) if command.negated else status

    async def _say_time(self, real: float, cpu: float) -> None:
        def shown(seconds: float) -> str:
            if self.state.flavour == "ash":
                return f"{int(seconds // 60)}m {seconds % 60:.2f}s"
            return f"{int(seconds // 60)}m{seconds % 60:.3f}s"

        await self.process.error(f"\nreal\t{shown(real)}\nuser\t{shown(cpu)}\nsys\t{shown(0)}\n".lstrip(
            "\n" if self.state.flavour == "ash" else ""))  # fmt: skip

    async def _start_stages(self, commands: list[Command]) -> list[Process]:
        children: list[Process] = []
        previous: Stream | None = None
        for index, stage in enumerate(commands):
            descriptors = dict(self.process.descriptors)
            opened: list[Stream] = []
            if previous is not None:
                descriptors[0] = previous
                opened.append(previous)
            if index < len(commands) - 1:
                pipe = Pipe()
                descriptors[1] = pipe.writer
                opened.append(pipe.writer)
                previous = pipe.reader
            try:
                children.append(self._fork(stage, descriptors))
            except OSError as error:
                for child in children:
                    child.kill(9)
                raise ShellFault(f"Cannot fork: {error.strerror}", 2) from error
            finally:
                for stream in opened:
                    stream.release()
        return children

    def _fork(
        self,
        command: Command,
        descriptors: dict[int, Stream],
        *,
        background: bool | None = None,
        substitution: bool = False,
    ) -> Process:
        """A subshell that runs this command. In a substitution only dash keeps `set -e`."""
        if self.depth >= MAX_CALLS:
            raise fault(errno.EAGAIN, "fork")
        state = self.state.copy()
        if substitution and state.flavour != "dash":
            state.options.discard("errexit")

        async def child(process: Process) -> int:
            process.handlers.clear()
            shell = Shell(process, state, self.depth + 1)
            shell.becomes = isinstance(command, Simple)
            return await shell.run_to_end(command)

        return self.process.container.start(
            child,
            self.process.argv,
            descriptors=descriptors,
            parent=self.process,
            env=self.state.environment(),
            background=background,
        )

    async def run_to_end(self, command: Command | str) -> int:
        """Run it as all that this shell does: faults, `return` and EXIT traps are settled here."""
        try:
            try:
                status = await (self._run_program(command) if isinstance(command, str) else self.run(command))
            except ShellFault as error:
                await self.say(error)
                status = error.status
            except (LoopBreak, LoopContinue):
                status = self.state.status
            except FunctionReturn as returned:
                status = returned.status
        except Exited as exit_:
            status = exit_.status
        self.state.status = status
        return await self._exit_trap(status)

    async def _exit_trap(self, status: int) -> int:
        text = self.state.traps.pop(0, "")
        if text:
            try:
                await self.run_text(text)
            except Exited as exit_:
                return exit_.status
            except ShellFault as error:
                await self.say(error)
        return status

    async def run_traps(self) -> None:
        """What traps of signals that came are to do."""
        while self.pending_signals:
            number = self.pending_signals.pop(0)
            text = self.state.traps.get(number)
            if text:
                saved = self.state.status
                await self.run_text(text)
                self.state.status = saved

    async def _subshell(self, command: Subshell) -> int:
        opened: dict[int, Stream] = {}
        try:
            descriptors = await redirection.redirected(self, command.redirects, opened)
            child = self._fork(command.body, descriptors)
        except OSError as error:
            return await redirection.redirect_failed(self, error)
        finally:
            redirection.release(opened)
        return await self._wait(child)

    async def _background(self, command: Command) -> int:
        descriptors = dict(self.process.descriptors)
        null = None
        if not self.state.interactive:
            null = descriptors[0] = self.process.open("/dev/null")
        try:
            child = self._fork(command, descriptors, background=True)
        except OSError as error:
            raise ShellFault(f"Cannot fork: {error.strerror}", 2) from error
        finally:
            if null is not None:
                null.release()
        child.ignored |= {2, 3} if not self.state.interactive else set()
        self.state.last_background = child.pid
        number = max((job.number for job in self.state.jobs), default=0) + 1
        self.state.jobs.append(Job(number, child, describe(command)))
        if self.state.interactive and self.state.flavour == "bash":
            await self.process.error(f"[{number}] {child.pid}\n")
        return 0

    async def _wait(self, child: Process) -> int:
        """Wait for a child in the foreground; traps run when signals come in between."""
        try:
            status = await waited(child)
        finally:
            if self.pending_signals:
                await self.run_traps()
        if child.ended_by_signal() and child is not self.process:
            await self.say_killed(child)
        return status

    async def say_killed(self, child: Process) -> None:
        """A child that a signal ended, other than by Ctrl-C or for want of a reader."""
        number = (child.status or 0) - 128
        words = {1: "Hangup", 3: "Quit", 6: "Aborted", 9: "Killed", 11: "Segmentation fault", 15: "Terminated"}
        if number not in words or self.last_of_option:
            return
        text = f"{words[number]}\n"
        if self.state.flavour == "bash" and not self.state.interactive and number != 15:
            text = self.message(f"{child.pid:>5} {words[number]:<24}{' '.join(map(messages.quoted, child.argv))}")
        await self.process.error(text)

    # simple commands

    async def _simple(self, command: Simple) -> int:
        state = self.state
        self.substituted = 0
        words = await self.expander.fields(command.words)
        if words and words[0] in state.aliases and state.interactive:
            return await self._aliased(words)
        if not words:
            return await self._assign_only(command)
        if "xtrace" in state.options:
            prefix = [f"{a.name}={await self.expander.text(a.value)}" for a in command.assignments]
            shown = [messages.traced(word, state.flavour) for word in words]
            await self.process.error("+ " + " ".join([*prefix, *shown]) + "\n")
        name = words[0]
        if name in state.functions:
            return await self._in_place(command, words, None)
        builtin = find_builtin(name, state.flavour)
        if builtin is not None:
            return await self._in_place(command, words, builtin)
        return await starting.external(self, command, words)

    async def _aliased(self, words: list[str]) -> int:
        name = words[0]
        text = self.state.aliases.pop(name)
        try:
            return await self.run_text(" ".join([text, *map(messages.quoted, words[1:])]))
        finally:
            self.state.aliases[name] = text

    async def _assign_only(self, command: Simple) -> int:
        bash = self.state.flavour == "bash"
        if bash:
            await self._assign_all(command)
        if command.redirects:
            try:
                saved = await redirection.redirect_here(self, command.redirects)
            except OSError as error:
                return await redirection.redirect_failed(self, error)
            try:
                await self._assign_all(command if not bash else Simple())
            finally:
                redirection.restore(self, saved)
        elif not bash:
            await self._assign_all(command)
        if "xtrace" in self.state.options and command.assignments:
            shown = [
                f"{a.name}={messages.traced(self.state.get(a.name) or '', self.state.flavour)}"
                for a in command.assignments
            ]
            await self.process.error("+ " + " ".join(shown) + "\n")
        return self.substituted

    async def _assign_all(self, command: Simple) -> None:
        for assignment in command.assignments:
            await self.assign(assignment)

    async def assign(self, assignment: Assignment) -> None:
        """`name=value`, `name+=value`, `name[i]=value` or `name=(...)`."""
        state, name = self.state, assignment.name
        if assignment.items is not None:
            values = await self.expander.fields(assignment.items)
            known = state.variables.get(name)
            items = dict(known.items or {}) if assignment.append and known is not None else {}
            start = max(items, default=-1) + 1
            items.update({start + i: value for i, value in enumerate(values)})
            state.variables[name] = Variable(exported=bool(known and known.exported), items=items)
            return
        value = await self.expander.text(assignment.value)
        if assignment.index is not None:
            index = await self.expander.number(await self.expander.text(assignment.index))
            variable = state.variables.setdefault(name, Variable(items={}))
            if variable.items is None:
                variable.items = {0: variable.value} if variable.value else {}
            variable.items[index] = variable.items.get(index, "") + value if assignment.append else value
            return
        if assignment.append:
            value = (state.get(name) or "") + value
        variable_ = state.variables.get(name)
        if variable_ is not None and variable_.integer:
            value = str(await self.expander.number(value))
        if len(value) > 8 * 1024 * 1024:
            raise ShellFault("out of memory", 2)
        state.set(name, value)

    async def _in_place(self, command: Simple, words: list[str], builtin: Builtin | None) -> int:
        """A function or a builtin: in this shell, with redirections and assignments undone afterwards."""
        state = self.state
        special = builtin is not None and words[0] in _SPECIAL
        try:
            saved = await redirection.redirect_here(self, command.redirects)
        except OSError as error:
            status = await redirection.redirect_failed(self, error)
            if special and state.flavour != "bash":
                raise ShellFault("", status) from error
            return status
        hidden: dict[str, Variable | None] = {}
        try:
            for assignment in command.assignments:
                before = state.variables.get(assignment.name)
                hidden.setdefault(assignment.name, before)
                if before is not None and not special:
                    state.variables[assignment.name] = Variable(before.value, before.exported, before.read_only)
                await self.assign(assignment)
                if not special and builtin is None:
                    state.variables[assignment.name].exported = True
            if builtin is None:
                return await self.call(words)
            if words[0] == "exec":
                return await starting.exec_(self, words[1:], saved)
            try:
                return await builtin(self, words[1:])
            except BrokenPipeError:
                raise
            except ShellFault as error:
                await self.say(error)  # here, where its redirections hold
                raise ShellFault("", error.status) from None
            except OSError as error:
                await self.process.error(self.message(f"{words[0]}: {error_text(error)}"))
                return 1
        finally:
            redirection.restore(self, saved)
            if not special:
                for name, variable in hidden.items():
                    if variable is None:
                        state.variables.pop(name, None)
                    else:
                        state.variables[name] = variable

    async def call(self, words: list[str]) -> int:
        """A function with its arguments."""
        if self.depth + len(self.functions) >= MAX_CALLS:
            raise ShellFault(f"{words[0]}: maximum function nesting level exceeded ({MAX_CALLS})", 1)
        state = self.state
        positional = state.positional
        state.positional = words[1:]
        self.functions.append({})
        loops, self.loops = self.loops, 0
        try:
            return await self.run(state.functions[words[0]])
        except FunctionReturn as returned:
            return returned.status
        finally:
            self.loops = loops
            state.positional = positional
            for name, variable in self.functions.pop().items():
                if variable is None:
                    state.variables.pop(name, None)
                else:
                    state.variables[name] = variable

    # redirections

    # substitutions

    async def output_of(self, text: str) -> str:
        """What a program writes, for `$(...)`."""
        collected = Collected()
        descriptors = {**self.process.descriptors, 1: collected}
        try:
            tree = parse(text, self.state.flavour)
        except ShellSyntaxError as error:
            await self.process.error(messages.syntax(self.state, error, text))
            raise ShellFault("", 2) from None
        fast = await self._short_cut(tree)
        if fast is not None:
            return fast
        try:
            child = self._fork(tree, descriptors, substitution=True)
        except OSError as error:
            raise ShellFault(f"Cannot fork: {error.strerror}", 2) from error
        self.substituted = await self._wait(child)
        if self.state.flavour == "bash":
            self.state.status = self.substituted  # the others change `$?` only when the command is done
        return bytes(collected.data).replace(b"\0", b"").decode("utf-8", "surrogateescape")

    async def _short_cut(self, tree: Sequence) -> str | None:
        """bash's `$(< file)`."""
        if len(tree.items) != 1 or not isinstance(tree.items[0][0], Simple):
            return None
        simple = tree.items[0][0]
        if simple.words or simple.assignments or len(simple.redirects) != 1 or simple.redirects[0].op != "<":
            return None
        path = await self.expander.text(simple.redirects[0].target)
        return self.process.read_file(path).decode("utf-8", "surrogateescape")

    async def _process_file(self, part: ProcessFile) -> str:
        """`<(...)`: the output is kept in a temporary file."""
        if part.how != "<":
            raise ShellFault("syntax error: >(...) is not supported here", 2)
        text = await self.output_of(part.text)
        number = 63
        while number in self.process.descriptors:
            number -= 1
        self.process.descriptors[number] = Bytes((text).encode("utf-8", "surrogateescape"))
        return f"/dev/fd/{number}"

    def _files(self) -> tuple[FileSystem, str, Owner]:
        return self.process.fs, self.process.cwd, self.process.owner

    def _home(self, user: str) -> str:
        return next((row[5] for row in self.process.container.table("/etc/passwd") if row[0] == user), "")

    # traps

    def set_trap(self, number: int, text: str | None) -> None:
        """None: the default again; empty: ignore."""
        process = self.process
        process.handlers.pop(number, None)
        process.ignored.discard(number)
        if text is None:
            self.state.traps.pop(number, None)
            return
        self.state.traps[number] = text
        if number and not text:
            process.ignored.add(number)
        elif number:
            process.handlers[number] = self.pending_signals.append


_SPECIAL = frozenset((":", ".", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set",
                      "shift", "times", "trap", "unset"))  # fmt: skip


def find_builtin(name: str, flavour: str) -> Builtin | None:
    from labrunner.sandbox.workload.shell.builtins import BUILTINS

    found = BUILTINS.get(name)
    if found is None or (found.only and flavour not in found.only):
        return None
    return found.run


def error_text(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}"
