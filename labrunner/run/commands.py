"""What runs in the lab's shell, said as events: blocks that are run, and what the learner types by hand."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Block, Lab
from labrunner.run import events
from labrunner.run.events import BlockFinished, Event
from labrunner.run.output import OutputSink
from labrunner.run.plain_text import shortened
from labrunner.run.recognition import Recognised, Recognition
from labrunner.run.session import OUTPUT_KEPT
from labrunner.run.shell import Shell
from labrunner.run.shell_command import CommandResult, TextSink
from labrunner.run.telling import Teller

GONE_WELL = ("ok", "started")
"""Outcomes of a block that did what it must."""


class Commands:
    """Runs blocks and is the shell's listener. `shell`: raises `EnvironmentFault` while there is none. `values`: the
    lab's variables, once they are known.

    `headless`: nobody is at the keyboard, so interactive blocks time out as well. `failed`: told of a journal that
    cannot be written on the reader thread, where nobody can be asked; the next call tells the learner.
    """

    def __init__(
        self,
        lab: Lab,
        teller: Teller,
        shell: Callable[[], Shell],
        values: Mapping[str, str],
        *,
        headless: bool,
        failed: Callable[[EnvironmentFault], None],
    ) -> None:
        self._lab = lab
        self._teller = teller
        self._shell = shell
        self._headless = headless
        self._failed = failed
        self._typed: tuple[Recognised, OutputSink] | None = None
        self._recognition = Recognition(lab, values)

    def run(self, step_id: str, block: Block, role: str) -> BlockFinished:
        """Raises `ShellBusy` while another command runs, `EnvironmentFault` when the outcome cannot be journalled."""
        shell = self._shell()
        self._recognition.forget()
        self._teller.say(
            events.BlockStarted(at=time.time(), step=step_id, block=block.id, role=role, command=block.run)
        )
        sink = self._sink(step_id, block.id)
        timeout = None if block.interactive and not self._headless else block.timeout
        try:
            result = shell.run(block.run, timeout=timeout, sink=sink, background=block.background)
        except BaseException:
            self._finished(step_id, block.id, role, CommandResult(None, "interrupted", str(shell.cwd), 0.0), "")
            raise
        output = sink.finish()
        return self._finished(step_id, block.id, role, result, output, outcome_of(block, result, output))

    # -- the shell's listener

    def typed_started(self, text: str) -> TextSink:
        found = self._recognition.recognise(text, self._teller.session.current)
        block_id = found.block.id if found.block is not None else ""
        sink = self._sink(found.step, block_id)
        self._typed = (found, sink)
        self._say_from_shell(
            events.BlockStarted(at=time.time(), step=found.step, block=block_id, role="typed", command=text)
        )
        return sink

    def typed_finished(self, text: str, result: CommandResult) -> None:
        if self._typed is None:
            return
        found, sink = self._typed
        self._typed = None
        output = sink.finish()
        self._recognition.ended(text, output)
        block = found.block or Block("", text)
        output = found.earlier + output
        try:
            self._finished(found.step, block.id, "typed", result, output, outcome_of(block, result, output))
        except EnvironmentFault as fault:
            self._failed(fault)

    def restarted(self, reason: str) -> None:
        self._say_from_shell(events.ShellRestarted(at=time.time(), reason=reason))

    # -- inside

    def _sink(self, step_id: str, block_id: str) -> OutputSink:
        return OutputSink(
            self._teller.redactor,
            lambda text: self._teller.say(events.BlockOutput(at=time.time(), step=step_id, block=block_id, text=text)),
        )

    def _finished(
        self, step_id: str, block_id: str, role: str, result: CommandResult, output: str, outcome: str = ""
    ) -> BlockFinished:
        finished = BlockFinished(
            at=time.time(), step=step_id, block=block_id, role=role, exit=result.status,
            outcome=outcome or result.outcome, output=shortened(output, OUTPUT_KEPT), cwd=result.cwd,
            seconds=result.seconds,
        )  # fmt: skip
        finished = self._teller.redactor.value(finished)
        self._teller.say(finished)
        return finished

    def _say_from_shell(self, event: Event) -> None:
        try:
            self._teller.say(event)
        except EnvironmentFault as fault:
            self._failed(fault)


def outcome_of(block: Block, result: CommandResult, output: str) -> str:
    """What the block's run counts as (see `BlockFinished`)."""
    if result.outcome == "syntax":
        return "not-run"
    if result.outcome != "exited":
        return result.outcome
    if block.background:
        return "started"
    if result.status != block.expect.exit:
        return "unexpected-exit"
    if block.expect.output is not None and not re.search(block.expect.output, output, re.MULTILINE):
        return "unexpected-output"
    return "ok"
