"""Runs syntax trees in a process."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from typing import TYPE_CHECKING

from labrunner.sandbox.workload.filesystem.tree import FileSystem, Owner, fault
from labrunner.sandbox.workload.machine.container import DEFAULT_PATH
from labrunner.sandbox.workload.machine.process import Exited, Process, waited
from labrunner.sandbox.workload.machine.stream import Bytes, Collected, Pipe, Stream
from labrunner.sandbox.workload.shell import conditional, messages, pattern
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
    ArithmeticCommand,
    ArithmeticFor,
    Assignment,
    Case,
    Command,
    Conditional,
    For,
    Function,
    Group,
    If,
    Loop,
    Pipeline,
    ProcessFile,
    Redirect,
    Sequence,
    ShellSyntaxError,
    Simple,
    Subshell,
)

if TYPE_CHECKING:
    from labrunner.sandbox.workload.shell.builtins import Builtin

MAX_CALLS = 200
"""Nested functions, `eval`s and substitutions."""
_LOOP_BREATH = 64


class RedirectFault(OSError):
    """A file that could not be opened for a redirection."""

    def __init__(self, cause: OSError, path: str, *, reading: bool) -> None:
        super().__init__(cause.errno, cause.strerror or "", path)
        self.reading = reading


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
            return await self._compound(command)
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

    async def _compound(self, command: Command) -> int:
        try:
            saved = await self._redirect_here(command.redirects)
        except OSError as error:
            self.state.status = status = await self._redirect_failed(error)
            self._check_errexit(command, status)
            return status
        try:
            status = await self._run_compound(command)
        finally:
            self._restore(saved)
        self.state.status = status
        return status

    async def _run_compound(self, command: Command) -> int:
        match command:
            case Group():
                return await self.run(command.body)
            case If():
                for condition, body in command.branches:
                    if await self._condition(condition):
                        return await self.run(body)
                return await self.run(command.otherwise) if command.otherwise else 0
            case Loop():
                return await self._loop(command)
            case For():
                return await self._for(command)
            case ArithmeticFor():
                return await self._arithmetic_for(command)
            case Case():
                return await self._case(command)
            case ArithmeticCommand():
                status = int(await self.expander.number(await self._arithmetic_text(command.expression)) == 0)
                self._check_errexit(command, status)
                return status
            case Conditional():
                status = await conditional.evaluate(self, command)
                self._check_errexit(command, status)
                return status
        raise ShellFault("cannot run this", 2)

    async def _arithmetic_text(self, text: str) -> str:
        from labrunner.sandbox.workload.shell.words import WordReader

        return await self.expander.text(WordReader(text, flavour=self.state.flavour).here_text())

    async def _body(self, body: Sequence) -> tuple[int, bool]:
        """(status, whether the loop goes on)."""
        self.loops += 1
        try:
            return await self.run(body), True
        except LoopBreak as stop:
            if stop.levels > 1 and self.loops > 1:
                raise LoopBreak(stop.levels - 1) from None
            return self.state.status, False
        except LoopContinue as again:
            if again.levels > 1 and self.loops > 1:
                raise LoopContinue(again.levels - 1) from None
            return self.state.status, True
        finally:
            self.loops -= 1

    async def _loop(self, command: Loop) -> int:
        status = 0
        while await self._condition(command.condition) != command.until:
            status, more = await self._body(command.body)
            if not more:
                break
            await self.process.breathe()
        return status

    async def _for(self, command: For) -> int:
        values = self.state.positional if command.words is None else await self.expander.fields(command.words)
        status = 0
        for value in list(values):
            self.state.set(command.name, value)
            if "xtrace" in self.state.options and self.state.flavour == "bash":
                shown = " ".join(messages.traced(v, "bash") for v in values)
                await self.process.error(f"+ for {command.name} in {shown}\n")
            status, more = await self._body(command.body)
            if not more:
                break
            await self.process.breathe()
        return status

    async def _arithmetic_for(self, command: ArithmeticFor) -> int:
        status = 0
        await self.expander.number(await self._arithmetic_text(command.start))
        while not command.condition.strip() or await self.expander.number(
            await self._arithmetic_text(command.condition)
        ):
            status, more = await self._body(command.body)
            if not more:
                break
            await self.expander.number(await self._arithmetic_text(command.step))
            await self.process.breathe()
        return status

    async def _case(self, command: Case) -> int:
        subject = await self.expander.text(command.subject)
        status, falling = 0, False
        for patterns, body, terminator in command.items:
            if not falling:
                for word in patterns:
                    if pattern.matches(pattern.compiled(await self.expander.pieces(word)), subject):
                        break
                else:
                    continue
            status = await self.run(body)
            falling = terminator == ";&"
            if terminator == ";;":
                break
        return status

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
            descriptors = await self._redirected(command.redirects, opened)
            child = self._fork(command.body, descriptors)
        except OSError as error:
            return await self._redirect_failed(error)
        finally:
            _release(opened)
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
        return await self._external(command, words)

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
                saved = await self._redirect_here(command.redirects)
            except OSError as error:
                return await self._redirect_failed(error)
            try:
                await self._assign_all(command if not bash else Simple())
            finally:
                self._restore(saved)
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
            saved = await self._redirect_here(command.redirects)
        except OSError as error:
            status = await self._redirect_failed(error)
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
                return await self._exec(words[1:], saved)
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
            self._restore(saved)
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

    async def _exec(self, words: list[str], saved: dict[int, Stream | None]) -> int:
        """`exec`: redirections stay; with a command this process becomes it."""
        if not words:
            _release({n: s for n, s in saved.items() if s is not None})
            saved.clear()
            return 0
        try:
            child = self.process.container.execute(
                words, parent=self.process, env=self.state.environment(), cwd=self.process.cwd
            )
        except OSError as error:
            await self._not_started(words[0], error, exec_=True)
            raise Exited(126 if not isinstance(error, FileNotFoundError) else 127) from error
        for number in (1, 2, 3, 10, 12, 15):
            self.process.handlers[number] = child.kill
        self.process.serves = True
        raise Exited(await waited(child))

    async def _external(self, command: Simple, words: list[str]) -> int:
        opened: dict[int, Stream] = {}
        try:
            try:
                descriptors = await self._redirected(command.redirects, opened)
            except OSError as error:
                return await self._redirect_failed(error)
            env = self.state.environment()
            for assignment in command.assignments:
                env[assignment.name] = await self.expander.text(assignment.value)
            if self.becomes and not self.state.traps:
                return await self._become(words, descriptors, env)
            try:
                child = self.process.container.execute(
                    words, parent=self.process, descriptors=descriptors, env=env, cwd=self.process.cwd
                )
            except OSError as error:
                return await self._instead(words, descriptors, env, error)
        finally:
            _release(opened)
        return await self._wait(child)

    async def _become(self, words: list[str], descriptors: dict[int, Stream], env: dict[str, str]) -> int:
        """Run the program in this very process."""
        process = self.process
        try:
            program, argv = process.container.resolve(words, env.get("PATH", DEFAULT_PATH), process.cwd, process.owner)
        except OSError as error:
            return await self._instead(words, descriptors, env, error)
        current = process.descriptors
        for stream in descriptors.values():
            stream.retain()
        for stream in current.values():
            stream.release()
        current.clear()
        current.update(descriptors)
        process.argv, process.env = argv, dict(env)
        return await program(process)

    async def _instead(
        self, words: list[str], descriptors: dict[int, Stream], env: dict[str, str], error: OSError
    ) -> int:
        """What happens when a program cannot be started: it is a script without `#!`, or it is said."""
        if error.errno == errno.ENOEXEC:
            return await self._script(words, descriptors, env)
        return await self._not_started(words[0], error, descriptors.get(2))

    async def _script(self, words: list[str], descriptors: dict[int, Stream], env: dict[str, str]) -> int:
        """A file without `#!` is run by the shell itself."""
        container, process = self.process.container, self.process
        where = container.which(words[0], env.get("PATH", ""), process.cwd, process.owner)
        data = self.process.fs.read(where, process.cwd, process.owner)
        if b"\0" in data[:512]:
            await self.process.error(self.message(f"{words[0]}: Exec format error"))
            return 126
        shown = words[0] if "/" in words[0] else where
        child = container.execute([process.argv[0] or "sh", shown, *words[1:]], parent=process,
                                  descriptors=descriptors, env=env, cwd=process.cwd)  # fmt: skip
        return await self._wait(child)

    async def _not_started(
        self, name: str, error: OSError, stderr: Stream | None = None, *, exec_: bool = False
    ) -> int:
        """Say why a command could not be started: 127 when it is not there, else 126."""
        bash = self.state.flavour == "bash"
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
            directory = self.process.fs.is_dir(name, self.process.cwd) if "/" in name else False
            word = "Is a directory" if directory and bash else error.strerror or "Permission denied"
            text, status = f"{name}: {word}", 126
        stream = stderr or self.process.descriptors.get(2)
        if stream is not None:
            await stream.write(self.message(text).encode("utf-8", "surrogateescape"))
        return status

    # redirections

    async def _redirected(self, redirects: list[Redirect], opened: dict[int, Stream]) -> dict[int, Stream]:
        """Descriptors for a command; those newly opened are also in `opened`, for the caller to release."""
        found = dict(self.process.descriptors)
        for redirect in redirects:
            await self._apply(redirect, found, opened)
        return found

    async def _apply(self, redirect: Redirect, found: dict[int, Stream], opened: dict[int, Stream]) -> None:
        op = redirect.op
        number = redirect.descriptor if redirect.descriptor is not None else 0 if op[0] == "<" else 1
        if op in ("<<", "<<-", "<<<"):
            text = await self.expander.text(redirect.target)
            stream: Stream = Bytes((text + ("\n" if op == "<<<" else "")).encode("utf-8", "surrogateescape"))
        else:
            fields = await self.expander.fields([redirect.target])
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
                if op == ">" and "noclobber" in self.state.options and self.process.fs.exists(target, self.process.cwd):
                    words = "cannot overwrite existing file" if self.state.flavour == "bash" else "File exists"
                    raise OSError(errno.EEXIST, words, target)
                try:
                    stream = self.process.open(target, how)
                except OSError as error:
                    raise RedirectFault(error, target, reading=how == "r") from error
        key = max(opened, default=-1) + 1
        opened[key] = stream
        found[number] = stream
        if op in ("&>", "&>>") or (op == ">&" and redirect.descriptor is None and not fields[0].isdigit()):
            found[2] = stream

    async def _redirect_here(self, redirects: list[Redirect]) -> dict[int, Stream | None]:
        """Redirect this process itself; what was there before, to be put back by `_restore`."""
        if not redirects:
            return {}
        opened: dict[int, Stream] = {}
        try:
            found = await self._redirected(redirects, opened)
        except OSError:
            _release(opened)
            raise
        saved: dict[int, Stream | None] = {}
        current = self.process.descriptors
        for number in {*found, *current}:
            if found.get(number) is not current.get(number):
                saved[number] = current.get(number)
                if number in found:
                    current[number] = found[number].retain()
                else:
                    del current[number]
        _release(opened)
        return saved

    def _restore(self, saved: dict[int, Stream | None]) -> None:
        current = self.process.descriptors
        for number, stream in saved.items():
            now = current.pop(number, None)
            if now is not None and now is not stream:
                now.release()
            if stream is not None:
                current[number] = stream

    async def _redirect_failed(self, error: OSError) -> int:
        """Say why a redirection failed; the command's status."""
        name, flavour = error.filename or "", self.state.flavour
        if flavour == "bash" or error.errno == errno.EBADF:
            text = f"{name}: {error.strerror}"
        else:
            reading = isinstance(error, RedirectFault) and error.reading
            verb = ("cannot " if flavour == "dash" else "can't ") + ("open" if reading else "create")
            missing = {
                "dash": ("Directory nonexistent", "No such file"), "ash": ("nonexistent directory", "no such file")
            }[flavour][reading]  # fmt: skip
            text = f"{verb} {name}: {missing if error.errno == errno.ENOENT else error.strerror}"
        await self.process.error(self.message(text))
        return 2 if flavour == "dash" else 1

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


def describe(command: Command) -> str:
    """Roughly the command's text, for `jobs`."""
    if isinstance(command, Simple):
        return " ".join("".join(getattr(p, "text", "$") for p in w.parts) for w in command.words)
    if isinstance(command, Pipeline):
        return " | ".join(describe(c) for c in command.commands)
    return type(command).__name__.lower()


def _release(streams: dict[int, Stream]) -> None:
    for stream in streams.values():
        stream.release()
