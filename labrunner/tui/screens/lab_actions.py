"""What the learner does in a lab: each action asks the engine on a worker thread; drawing is the screen's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.widgets import Input
from textual.worker import WorkerState

from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Block, Lab, Step
from labrunner.run.protocol import EngineProtocol
from labrunner.tui import format as fmt
from labrunner.tui.screens.base import SizedScreen
from labrunner.tui.session_view import SessionView
from labrunner.tui.terminal.widget import ShellTerminal
from labrunner.tui.widgets.block_card import BlockCard
from labrunner.tui.widgets.instructions_pane import InstructionsPane
from labrunner.tui.widgets.quiz_card import QuizCard
from labrunner.tui.widgets.steps_pane import StepsPane

if TYPE_CHECKING:
    from labrunner.tui.app import LabrunnerApp


class LabActions(SizedScreen):
    """The actions of `LabScreen`, which has the state named here and draws it."""

    lab: Lab
    engine: EngineProtocol | None
    view: SessionView
    phase: str
    read_only: bool
    shown: str
    pane: str

    @property
    def _labrunner(self) -> LabrunnerApp:
        from labrunner.tui.app import LabrunnerApp

        assert isinstance(self.app, LabrunnerApp)
        return self.app

    def _key(self, action_id: str) -> str:
        """The key that an action has, for a text that names it."""
        return self._labrunner.key(action_id)

    def _running_already(self) -> str:
        stop, shell = self._key("lab.interrupt"), self._key("lab.shell")
        return f"A command is running. {stop} stops it, {shell} goes to the shell."

    @property
    def instructions(self) -> InstructionsPane:
        return self.query_one(InstructionsPane)

    @property
    def step(self) -> Step:
        """The step on the screen."""
        return self.view.steps[self.shown].step

    @property
    def command_running(self) -> bool:
        return self.view.running is not None

    # What the screen does.

    @property
    def _single(self) -> bool:
        raise NotImplementedError

    def action_pane(self, pane: str) -> None:
        raise NotImplementedError

    def action_shell(self) -> None:
        raise NotImplementedError

    def _not_ready(self) -> str:
        raise NotImplementedError

    def _upcoming(self) -> Step | None:
        raise NotImplementedError

    async def _show_step(self, step_id: str) -> None:
        raise NotImplementedError

    # -- the shell ---------------------------------------------------------------------------------------------

    def _to_shell(self, text: str) -> None:
        if self.engine is not None and not self.read_only:
            self.engine.send_input(text)

    def action_interrupt(self) -> None:
        """Stop the command that runs; else stop waiting for checks."""
        if self.engine is None:
            return
        if self.command_running:
            self.engine.interrupt()
        else:
            self.engine.stop_waiting()

    def action_stop_waiting(self) -> None:
        if self.engine is not None:
            self.engine.stop_waiting()

    # -- actions -----------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("copy_text", "app.help"):
            return True
        if isinstance(self.focused, ShellTerminal):
            return False
        if action == "pane" and isinstance(self.focused, Input):
            return False  # a digit of an answer
        if action == "interrupt":
            return self.command_running or any(view.checking for view in self.view.steps.values())
        if action in ("go_back", "jump", "undo"):
            if not self.is_mounted or not self._can_act():
                return None
            return True if action != "undo" or (self.engine is not None and self.engine.can_undo) else None
        if action in ("solve",):
            return self._can_act() and self.view.steps[self.shown].solution_shown
        if action in ("run_block", "run_rest", "check", "hint", "solution", "skip"):
            if not self.is_mounted:
                return None
            view = self.view.steps[self.shown]
            has = {
                "hint": bool(view.ordered_hints_left or self.step.targeted_hints),
                "solution": bool(self.step.solution),
                "check": bool(self.step.checks),
                "run_block": bool(self.step.blocks or (view.solution_shown and self.step.solution)),
                "run_rest": bool(self.step.blocks),
            }.get(action, True)
            return True if has and self._can_act() else None
        return True

    def _can_act(self) -> bool:
        return self.phase == "ready" and not self.read_only

    def _busy(self, group: str) -> bool:
        return any(
            worker.group == group and worker.state in (WorkerState.PENDING, WorkerState.RUNNING)
            for worker in self.workers
        )

    def action_run_block(self) -> None:
        card = self.instructions.chosen_card(self.view.steps[self.shown])
        if card is None:
            cards = self.instructions.cards
            self.notify(
                "Every block of this step ran. Choose one with Tab to run it again."
                if cards
                else "This step has no commands to run."
            )
            return
        card.action_run()

    # -- a block as text

    def _meant(self) -> BlockCard | None:
        card = self.instructions.meant_card(self.view.steps[self.shown])
        if card is None:
            self.notify("This step has no commands.")
        return card

    @work(exit_on_error=False, group="ask")
    async def action_edit_block(self) -> None:
        card = self._meant()
        if card is None:
            return
        from labrunner.tui.screens.edit import EditScreen

        title = card.block.title or "Edit before running"
        command = await self.app.push_screen_wait(EditScreen(title, card.state.command or card.block.run))
        if command is not None:
            self._ask_and_run([(replace(card.block, run=command), card.role)])

    def action_copy_block(self) -> None:
        card = self._meant()
        if card is not None:
            self.app.copy_to_clipboard(card.block.run.rstrip("\n"))
            self.notify("The command was copied.")

    def action_show_output(self) -> None:
        card = self.instructions.chosen_card(self.view.steps[self.shown])
        if card is None or not card.state.outcome:
            ran = [c for c in self.instructions.cards if c.state.outcome]
            focused = card is not None and card is self.focused
            card = card if focused or not ran else ran[-1]
        if card is None:
            self.notify("This step has no commands.")
            return
        from labrunner.tui.screens.output import OutputScreen

        state = card.state
        command = state.command or card.block.run
        self.app.push_screen(OutputScreen(card.block.title or "Output", command, card.note, state.output))

    @on(BlockCard.Run)
    def _run_card(self, message: BlockCard.Run) -> None:
        self._ask_and_run([(message.block, message.role)])

    def action_run_rest(self) -> None:
        cards = self.instructions.pending_cards(self.view.steps[self.shown])
        if not cards:
            self.notify("Every block of this step ran.")
            return
        self._ask_and_run([(card.block, card.role) for card in cards])

    @work(exit_on_error=False, group="ask")
    async def _ask_and_run(self, blocks: Sequence[tuple[Block, str]]) -> None:
        if not self._can_act():
            self.notify(self._not_ready() or "not ready yet", severity="warning")
            return
        if self._busy("shell") or self.command_running:
            self.notify(self._running_already(), severity="warning")
            return
        from labrunner.tui.screens.confirm import ConfirmScreen

        for block, _ in blocks:
            if block.confirm and not await self.app.push_screen_wait(
                ConfirmScreen(block.title or "Run this?", block.confirm, yes="Run it", no="Leave it", code=block.run)
            ):
                return
        if any(block.interactive for block, _ in blocks):
            self.action_shell()
        self._run_blocks(self.step, blocks)

    @work(thread=True, exit_on_error=False, group="shell")
    def _run_blocks(self, step: Step, blocks: Sequence[tuple[Block, str]]) -> None:
        """One after the other; stops at the first that goes wrong. What became of several is said."""
        for number, (block, role) in enumerate(blocks, 1):
            engine = self.engine
            if engine is None:
                return
            if engine.run_block(step, block, role=role).outcome not in ("ok", "started"):
                if number < len(blocks):
                    left = fmt.count(len(blocks) - number, "block")
                    why = f"'{block.title or block.id}' did not go well: {left} after it did not run."
                    self.app.call_from_thread(self.notify, why, severity="warning")
                return
        if len(blocks) > 1:
            self.app.call_from_thread(self.notify, f"{fmt.count(len(blocks), 'block')} ran.")

    def action_check(self) -> None:
        if self._busy("check"):
            return
        question = self.instructions.open_question(self.view.steps[self.shown])
        if question is not None:
            if self.pane != "lab":
                self.action_pane("lab")
            self.notify("One question is left: choose, and the step is done.")
            self.call_after_refresh(question.go_there)
            return
        self._check(self.step)
        if self._single and self.pane == "lab":
            self.action_pane("checks")

    @work(thread=True, exit_on_error=False, group="check")
    def _check(self, step: Step) -> None:
        if self.engine is not None:
            self.engine.check(step)

    def action_hint(self) -> None:
        self._hint(self.step)
        if self._single and self.pane == "lab":
            self.action_pane("checks")

    @work(thread=True, exclusive=True, exit_on_error=False, group="hint")
    def _hint(self, step: Step) -> None:
        if self.engine is not None and self.engine.hint(step) is None:
            said = f"There are no more hints for this step. {self._key('lab.solution')} shows the solution."
            self.app.call_from_thread(self.notify, said)

    @work(exit_on_error=False, group="ask")
    async def action_solution(self) -> None:
        view = self.view.steps[self.shown]
        if not view.solution_shown and view.state != "passed":
            from labrunner.tui.screens.confirm import ConfirmScreen

            left = view.ordered_hints_left
            remark = (
                f"There {'is' if left == 1 else 'are'} {fmt.count(left, 'hint')} you did not see yet. " if left else ""
            )
            if not await self.app.push_screen_wait(
                ConfirmScreen(
                    "Show the solution?", f"{remark}You learn more by trying once again.", yes="Show it", no="Try again"
                )
            ):
                return
        if self.pane != "lab":
            self.action_pane("lab")
        if view.solution_shown:
            await self.instructions.show_solution(view)
            self._compare(self.step)
        else:
            self._reveal(self.step)

    @work(thread=True, exclusive=True, exit_on_error=False, group="hint")
    def _reveal(self, step: Step) -> None:
        if self.engine is not None:
            self.engine.show_solution(step)
        self.app.call_from_thread(self._compare, step)

    @work(thread=True, exclusive=True, exit_on_error=False, group="compare")
    def _compare(self, step: Step) -> None:
        """Show what the solution would change in the cluster."""
        if self.engine is not None and self._can_act():
            differences = self.engine.solution_diff(step)
            self.app.call_from_thread(self.instructions.show_differences, step.id, differences)

    @work(exit_on_error=False, group="ask")
    async def action_solve(self) -> None:
        if self._busy("shell") or self.command_running:
            self.notify(self._running_already(), severity="warning")
            return
        self._solve(self.step)

    @work(thread=True, exit_on_error=False, group="shell")
    def _solve(self, step: Step) -> None:
        if self.engine is not None:
            self.engine.solve(step)

    async def action_next(self) -> None:
        upcoming = self._upcoming()
        if upcoming is None:
            self.action_summary()
        else:
            await self._go_to(upcoming)

    async def action_previous(self) -> None:
        order = [step.id for step in self.lab.steps]
        index = order.index(self.shown)
        if index:
            await self._go_to(self.lab.steps[index - 1])

    @on(StepsPane.StepChosen)
    async def _step_chosen(self, message: StepsPane.StepChosen) -> None:
        step = self.lab.step(message.step)
        if step is not None:
            await self._go_to(step)
            self.action_pane("lab")

    async def _go_to(self, step: Step) -> None:
        if step.id == self.shown:
            return
        await self._show_step(step.id)
        if self.pane != "lab" and self._single:
            self.action_pane("lab")
        else:
            self.instructions.focus()
        if self.engine is not None and self.phase == "ready" and not self.read_only:
            self._enter(step)

    @work(thread=True, exit_on_error=False, group="enter")
    def _enter(self, step: Step) -> None:
        if self.engine is not None:
            self.engine.enter(step)

    @work(exit_on_error=False, group="ask")
    async def action_note(self) -> None:
        if not self._can_act():
            return
        from labrunner.tui.screens.edit import EditScreen

        step = self.step
        screen = EditScreen(f"Your note: {step.title}", self.view.steps[step.id].note, yes="Keep it", empty=True)
        text = await self.app.push_screen_wait(screen)
        if text is not None:
            self._note(step, text)

    @work(thread=True, exit_on_error=False, group="answer")
    def _note(self, step: Step, text: str) -> None:
        if self.engine is not None:
            self.engine.note(step, text)

    def _export(self) -> Sequence[Path]:
        """Write the session down; where to. Blocking; raises `LabrunnerError`."""
        export = self._labrunner.export
        if self.engine is None or export is None:
            raise EnvironmentFault("the lab is not open", hint="open it again")
        return export(self.lab, self.engine.history(), self.engine.workdir.parent)

    # -- going back and ahead

    def _free(self) -> bool:
        """Whether the shell can be put back; says so when not."""
        if not self._can_act():
            self.notify(self._not_ready() or "not ready yet", severity="warning")
        elif self._busy("shell") or self.command_running:
            self.notify(self._running_already(), severity="warning")
        else:
            return True
        return False

    def _titles(self, step_ids: Sequence[str]) -> str:
        order = [step.id for step in self.lab.steps]
        return "\n".join(f"  {order.index(i) + 1} {self.view.steps[i].step.title}" for i in step_ids)

    @work(exit_on_error=False, group="ask")
    async def action_go_back(self) -> None:
        """Back to the start of the step shown."""
        if self.engine is None or not self._free():
            return
        plan = self.engine.plan_back(self.step)
        if plan is None:
            jump = self._key("lab.jump")
            self.notify(
                f"You have not begun this step: there is nothing to go back to. {jump} does the steps before it."
            )
            return
        from labrunner.tui.screens.confirm import ConfirmScreen

        what = (
            "The sandbox, your files and the shell go back to how they were when you began this step."
            if plan.whole
            else "Your files and the shell go back to how they were when you began this step. A live cluster keeps no "
            "copies: the commands below delete what these steps made and make again what belongs to earlier ones; "
            "everything else stays as it is."
            if plan.cleanup
            else "Your files and the shell go back to how they were when you began this step. A live cluster keeps no "
            "copies and these steps have no cleanup: what you changed in it stays."
        )
        undo = f"\n\n{self._key('lab.undo')} undoes it." if plan.whole else ""
        open_again = f"\n\nOpen again:\n{self._titles(plan.reopened)}"
        code = "\n".join(block.run.strip() for block in (*plan.cleanup, *plan.again))
        screen = ConfirmScreen("Start over?", f"{what}{open_again}{undo}", yes="Start over", no="Leave it", code=code)
        if await self.app.push_screen_wait(screen):
            self._go_back(self.step)

    @work(thread=True, exit_on_error=False, group="shell")
    def _go_back(self, step: Step) -> None:
        if self.engine is not None:
            self.engine.go_back(step)
            self.app.call_from_thread(self.notify, "You are back at the start of the step.")

    @work(exit_on_error=False, group="ask")
    async def action_jump(self) -> None:
        """To the step shown, the ones before it done."""
        if self.engine is None or not self._free():
            return
        before = self.engine.steps_before(self.step)
        if not before:
            self.notify("Every step before this one has passed: just go on.")
            return
        from labrunner.tui.screens.confirm import ConfirmScreen

        question = (
            f"The solutions of these steps are run in your shell, one after the other:\n\n"
            f"{self._titles([step.id for step in before])}\n\n{self._key('lab.undo')} undoes it on the sandbox."
        )
        code = "\n".join(block.run.strip() for step in before for block in step.solution)
        if await self.app.push_screen_wait(ConfirmScreen("Jump here?", question, yes="Do them", no="Stay", code=code)):
            self._jump(self.step)

    @work(thread=True, exit_on_error=False, group="shell")
    def _jump(self, step: Step) -> None:
        if self.engine is not None:
            self.engine.jump_to(step)

    async def action_undo(self) -> None:
        if self._free():
            self._undo()

    @work(thread=True, exit_on_error=False, group="shell")
    def _undo(self) -> None:
        if self.engine is not None:
            at = self.engine.undo()
            self.app.call_from_thread(self.notify, "Undone: everything is as it was.")
            if at in self.view.steps:
                self.app.call_from_thread(self.call_later, self._show_step, at)

    async def action_skip(self) -> None:
        step = self.step
        self._skip(step)
        await self.action_next()

    @work(thread=True, exit_on_error=False, group="enter")
    def _skip(self, step: Step) -> None:
        if self.engine is not None:
            self.engine.skip(step)

    @on(QuizCard.Answered)
    def _answered(self, message: QuizCard.Answered) -> None:
        if self._can_act():
            self._answer(self.step, message.check.id, message.answer)

    @work(thread=True, exit_on_error=False, group="answer")
    def _answer(self, step: Step, check_id: str, answer: str) -> None:
        if self.engine is not None:
            self.engine.answer(step, check_id, answer)

    @work(exit_on_error=False, group="summary")
    async def action_summary(self) -> None:
        from labrunner.tui.screens.summary import SummaryScreen

        answer = await self.app.push_screen_wait(SummaryScreen(self.view, self._labrunner.symbols, self._export))
        if answer == "catalogue":
            self.action_catalogue()
        elif answer == "quit":
            await self._labrunner.action_leave()

    def action_catalogue(self) -> None:
        self._labrunner.leave_lab()
