"""The lab screen: what to do now, did it work, why not; and the shell beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from labrunner.lab.model import Lab, Step
from labrunner.lab.substitution import substitute
from labrunner.run import events as ev
from labrunner.run.lock import SessionHeld
from labrunner.run.protocol import EngineProtocol
from labrunner.tui import format as fmt
from labrunner.tui.inbox import Inbox
from labrunner.tui.library import Opening, Options
from labrunner.tui.screens.lab_mesh import LabMesh
from labrunner.tui.session_view import SessionView, StepView
from labrunner.tui.terminal.widget import ShellTerminal
from labrunner.tui.widgets.checks_pane import ChecksPane
from labrunner.tui.widgets.header_bar import HeaderBar
from labrunner.tui.widgets.instructions_pane import InstructionsPane
from labrunner.tui.widgets.key_bar import KeyBar
from labrunner.tui.widgets.mesh_pane import MeshPane
from labrunner.tui.widgets.pane_tabs import PANES, PaneTabs
from labrunner.tui.widgets.steps_pane import StepsPane

if TYPE_CHECKING:
    pass

CLOCK_EVERY = 15.0
"""Seconds between two looks at the clock in the header."""

_SOURCES = {"steps": "#steps", "lab": "#instructions", "checks": "#checks", "shell": "#shell"}


class LabScreen(LabMesh):
    """One learner in one lab. `phase`: opening, starting, ready, failed, closed."""

    CSS_PATH = "lab.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run_block", "Run", id="lab.run", tooltip="Run the focused block, or the next one"),
        Binding("R", "run_rest", "Run rest", id="lab.run-rest", tooltip="Run all blocks of this step that did not run"),
        Binding("c", "check", "Check", id="lab.check", tooltip="Check this step"),
        Binding("h", "hint", "Hint", id="lab.hint", tooltip="The next hint; each says more"),
        Binding("s", "solution", "Solution", id="lab.solution", tooltip="Show this step's solution (asks first)"),
        Binding("S", "solve", "Run solution", id="lab.solve", tooltip="Run the solution shown", show=False),
        Binding("n", "next", "Next", id="lab.next", tooltip="Next step"),
        Binding("p", "previous", "Back", id="lab.previous", tooltip="Previous step"),
        Binding("x", "skip", "Skip", id="lab.skip", tooltip="Skip this step; you can come back"),
        Binding("b", "go_back", "Restart", id="lab.back", tooltip="Back to the start of this step", show=False),
        Binding("J", "jump", "Jump here", id="lab.jump", tooltip="Have the steps before this one done", show=False),
        Binding("U", "undo", "Undo", id="lab.undo", tooltip="Undo the last restart or jump", show=False),
        Binding("e", "edit_block", "Edit block", id="lab.edit", tooltip="Change a command before it runs", show=False),
        Binding("y", "copy_block", "Copy block", id="lab.copy", tooltip="Copy a block's command", show=False),
        Binding("o", "show_output", "Output", id="lab.output", tooltip="What a block printed", show=False),
        Binding("w", "note", "Write a note", id="lab.note", tooltip="Your own note on this step; kept", show=False),
        Binding(
            "f6",
            "shell",
            "Shell",
            id="lab.shell",
            tooltip="To the shell; F6 again comes back",
            key_display="F6",
            priority=True,  # keys typed right after it are the shell's
        ),
        Binding(
            "i",
            "interrupt",
            "Stop",
            id="lab.interrupt",
            tooltip="Ctrl-C to the command that runs; or no more waiting for a check",
        ),
        Binding("m", "mesh", "Mesh", id="lab.mesh", tooltip="Who talks to whom: the map of the mesh"),
        Binding("t", "trace", "Trace", id="lab.trace", tooltip="Where a failing check's request ends, hop by hop"),
        Binding("z", "zoom", "Zoom", id="lab.zoom", tooltip="The focused pane alone, and back"),
        Binding("1", "pane('steps')", "Steps", id="lab.pane-steps", tooltip="Go to the steps", show=False),
        Binding("2", "pane('lab')", "Text", id="lab.pane-lab", tooltip="Go to the instructions", show=False),
        Binding("3", "pane('checks')", "Checks", id="lab.pane-checks", tooltip="Go to the checks", show=False),
        Binding(
            "4", "pane('shell')", "Shell", id="lab.pane-shell", tooltip="Go to the shell", show=False, priority=True
        ),
        Binding("u", "summary", "Summary", id="lab.summary", tooltip="How it goes so far", show=False),
        Binding("l", "catalogue", "Labs", id="lab.catalogue", tooltip="Back to the catalogue; progress is kept"),
        Binding("question_mark", "app.help", "Help", id="app.help", tooltip="Keys and symbols"),
        Binding("ctrl+q", "app.leave", "Quit", id="app.quit", tooltip="Leave; progress is kept"),
    ]

    class Arrived(Message):
        """The engine said something: the inbox is not empty."""

    class Started(Message):
        """The engine is ready for blocks and checks."""

    def __init__(self, lab: Lab, options: Options) -> None:
        super().__init__()
        self.lab = lab
        self.options = options
        self.engine: EngineProtocol | None = None
        self.view = SessionView(lab)
        self.phase = "opening"
        self.values = {v.name: v.default for v in lab.variables if v.default is not None and not v.secret}
        self.read_only = False
        self.shown = lab.steps[0].id
        self.pane = "lab"
        self._zoomed = False
        self._stuck = False
        self._inbox = Inbox(self._wake)
        self._unsubscribe: list[Callable[[], None]] = []
        self._failure_shown = False
        self._started_at: float | None = None
        self._settling = 0
        """Changes of size whose layout is not there yet."""

    def _wake(self) -> None:
        self.post_message(self.Arrived())

    # -- composition -------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        symbols = self._labrunner.symbols
        yield HeaderBar()
        yield PaneTabs()
        with Container(id="columns"):
            with Vertical(id="middle"):
                yield InstructionsPane(symbols, self._filled_in)
                yield ChecksPane(symbols, self._filled_in, self._key)
            with Vertical(id="steps-box"):
                yield StepsPane(symbols)
                yield MeshPane(symbols, self._labrunner.key)
            with Horizontal(id="shell-box", classes="pane"):
                yield ShellTerminal(self._to_shell, id="shell")
        yield self.too_small()
        yield KeyBar()

    async def on_mount(self) -> None:
        self.query_one("#shell-box").border_title = "Shell"
        self.set_class(self._labrunner.symbols.ascii, "-ascii")
        self._show_pane("lab")
        await self._show_step(self.shown)
        self.set_interval(CLOCK_EVERY, self._tick)
        self.instructions.focus()
        self._ask_trust()

    @property
    def checks(self) -> ChecksPane:
        return self.query_one(ChecksPane)

    @property
    def shell(self) -> ShellTerminal:
        return self.query_one(ShellTerminal)

    # -- opening and closing -----------------------------------------------------------------------------------

    @work(exit_on_error=False, group="trust")
    async def _ask_trust(self) -> None:
        from labrunner.tui.screens.consent import ConsentScreen

        library = self._labrunner.library
        if not library.trusted(self.lab):
            if not await self.app.push_screen_wait(ConsentScreen(self.lab)):
                self.action_catalogue()
                return
            library.trust(self.lab)
        self._open()

    @work(thread=True, exclusive=True, exit_on_error=False, group="engine")
    def _open(self, takeover: bool = False, look_on: bool = False) -> Opening:
        return self._labrunner.library.open(self.lab, self.options, takeover=takeover, look_on=look_on)

    async def _opened(self, opening: Opening) -> None:
        self.engine = opening.engine
        self.read_only = opening.read_only
        self.view = SessionView.of(self.lab, self.engine.history())
        at = self.options.at or self.view.current
        self._unsubscribe = [self.engine.subscribe(self._inbox.put), self.engine.tap(self.shell.push)]
        self.phase = "starting"
        await self._show_step(at if at in self.view.steps else self.shown)
        self._start()

    @work(thread=True, exclusive=True, exit_on_error=False, group="engine")
    def _start(self) -> None:
        assert self.engine is not None
        self.engine.resize(self.shell.emulator.rows, self.shell.emulator.columns)
        self.engine.start()
        step = self.lab.step(self.shown)
        if step is not None and not self.read_only:
            self.engine.enter(step)
        if not self.read_only:
            self.engine.go_live()
        self.post_message(self.Started())

    def _filled_in(self, text: str) -> str:
        """A text of the lab with its variables' values."""
        return str(substitute(text, self.values))

    @on(Started)
    async def _ready(self) -> None:
        self.phase = "ready"
        self._started_at = time.monotonic()
        self.begin_mesh()
        if self.engine is not None:
            self.engine.resize(self.shell.emulator.rows, self.shell.emulator.columns)
            secret = {variable.name for variable in self.lab.variables if variable.secret}
            values = {name: value for name, value in self.engine.values.items() if name not in secret}
            if values != self.values:
                self.values = values
                if "${" in self.step.instructions:
                    await self._show_step(self.shown)
        self._draw()

    def _let_go(self) -> EngineProtocol | None:
        """Hear no more of the engine."""
        self.end_mesh()
        engine, self.engine = self.engine, None
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        return engine

    def close_engine(self, reason: str) -> None:
        """Blocking; called from a worker."""
        self.phase = "closed"
        engine = self._let_go()
        if engine is not None:
            engine.close(reason)

    # -- what the engine says ----------------------------------------------------------------------------------

    @on(Arrived)
    async def _take_events(self) -> None:
        seen: set[str] = set()
        followed = anew = False
        for event in self._inbox.take():
            step_id, aspect = self.view.apply(event)
            if step_id in ("", self.shown) or aspect != "output":
                seen.add(aspect if step_id in ("", self.shown) else "elsewhere")
            if isinstance(event, ev.StepEntered) and event.step != self.shown and self.read_only:
                followed = True
            if (
                isinstance(event, ev.BlockStarted | ev.BlockFinished)
                and event.step == self.shown
                and event.role != "typed"
            ):
                self.instructions.reveal(event.block, end=isinstance(event, ev.BlockFinished))
            if isinstance(event, ev.StepReset) and event.step == self.shown:
                anew = True
            if isinstance(event, ev.SessionEnded) and event.reason == "taken-over" and not self.read_only:
                self._taken_over()
            if isinstance(event, ev.ShellRestarted):
                self.notify(event.reason, title="The shell was restarted", severity="warning")
        if followed or anew:
            await self._show_step(self.view.current if followed else self.shown)
        elif seen <= {"output"}:
            if seen and self._shell_hidden:
                self.instructions.refresh_blocks(self.view.steps[self.shown], show_output=True)
        else:
            if "solution" in seen:
                await self.instructions.show_solution(self.view.steps[self.shown])
            self._draw()

    @work(exit_on_error=False, exclusive=True, group="failure")
    async def _taken_over(self) -> None:
        from labrunner.tui.screens.failure import FailureScreen

        self.phase = "failed"
        self._draw()
        answer = await self.app.push_screen_wait(
            FailureScreen(
                "This lab went on elsewhere",
                "Another labrunner took this session over. Nothing is lost: everything you did is there.",
                can_retry=False,
            )
        )
        if answer == "quit":
            await self._labrunner.action_leave()
        else:
            self.action_catalogue()

    # -- drawing -----------------------------------------------------------------------------------------------

    async def _show_step(self, step_id: str) -> None:
        self.shown = step_id
        number = [step.id for step in self.lab.steps].index(step_id) + 1
        await self.instructions.show_step(number, self.step, self.view.steps[step_id])
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        view = self.view.steps[self.shown]
        self.set_class(self._single, "-single")
        self.instructions.refresh_blocks(view, show_output=self._shell_hidden)
        self._stuck = self._is_stuck(view)
        self.checks.show(view, self._upcoming(), self._not_ready(), self._stuck, self._way_out(view))
        steps = self.query_one(StepsPane)
        steps.show(self.view, self.shown)
        columns = self.query_one("#columns").styles
        if self.has_class("-medium"):
            columns.grid_rows = f"{steps.natural_height} 1fr"  # a grid's auto row does not follow a list that grows
        else:
            columns.clear_rule("grid_rows")
        self._draw_status()
        self.refresh_bindings()

    def _way_out(self, view: StepView) -> str:
        """What to do when checks cannot be asked."""
        if not view.unreachable.startswith("The cluster"):
            return ""  # a tool or a file: what is missing says how to get it
        if self.options.target == "sandbox":
            return (
                f"{self._key('lab.catalogue')}, then opening the lab again, starts the sandbox anew; "
                "your progress is kept."
            )
        return "The checks ask again by themselves once it answers: look at your network, VPN and login."

    def _is_stuck(self, view: StepView) -> bool:
        after = self._labrunner.settings.help_after
        now = view.progress_at if self._labrunner.frozen else time.time()
        return self._can_act() and view.stuck(now, after.attempts, after.minutes * 60)

    def _tick(self) -> None:
        """The clock moved on."""
        if self._is_stuck(self.view.steps[self.shown]) != self._stuck:
            self._draw()
        else:
            self._draw_status()

    @property
    def _shell_hidden(self) -> bool:
        return self._single and self.pane != "shell"

    def _draw_status(self) -> None:
        symbols = self._labrunner.symbols
        part = next(part for part in self.lab.parts if any(step.id == self.shown for step in part.steps))
        number = [step.id for step in self.lab.steps].index(self.shown) + 1
        words = [self.lab.title, *([part.title] if len(self.lab.parts) > 1 else []), f"{number} {self.step.title}"]
        header = self.query_one(HeaderBar)
        header.set_place(words, symbols)
        mark, style, word = {
            "opening": (symbols.ring, "$muted", "opening"),
            "starting": (symbols.running, "$warning", "starting"),
            "ready": (symbols.dot, "$success", ""),
            "failed": (symbols.failed, "$error", "not running"),
            "closed": (symbols.ring, "$muted", "closing"),
        }[self.phase]
        if self.read_only and self.phase == "ready":
            word = "looking on"
        since = (
            time.monotonic() - self._started_at if self._started_at is not None and not self._labrunner.frozen else 0
        )
        header.set_status(
            Content.assemble(
                f"{self.options.context or self.options.target} ", (f"{mark} {word}".rstrip(), style),
                (f"  {self.view.done}/{len(self.view.steps)}", "$foreground"),
                (f"  {fmt.clock(self.view.seconds if self.view.seconds else since)}", "$muted"),
            )
        )  # fmt: skip
        self.query_one(PaneTabs).show(self.pane, self._tab_status(), self._going_on())

    def _going_on(self) -> Content:
        """On the line of tabs, where the checks may be out of sight."""
        if self.view.steps[self.shown].state != "passed":
            return Content("")
        passed = (f"{self._labrunner.symbols.passed} passed  ", "$success")
        return Content.assemble(passed, (self._key("lab.next"), "bold $accent"), " goes on ")

    def _tab_status(self) -> dict[str, str]:
        symbols = self._labrunner.symbols
        view = self.view.steps[self.shown]
        total = len(view.step.checks)
        checks = f"{view.passing}/{total}" if total else ""
        if view.checking:
            checks += f" {symbols.error if view.unreachable else symbols.running}"
        elif view.state == "passed":
            checks += f" {symbols.passed}"
        elif view.unreachable:
            checks += f" {symbols.error}"
        elif view.failing:
            checks += f" {symbols.failed}"
        if self._stuck:
            checks += f" {symbols.hint}"
        shell = symbols.running if self.command_running else "$"
        return {"steps": f"{self.view.done}/{len(self.view.steps)}", "checks": checks, "shell": shell}

    def _not_ready(self) -> str:
        return {
            "opening": "opening the session",
            "starting": f"the {self.options.target} is starting; read on meanwhile",
            "failed": "not running: the checks cannot be asked",
        }.get(self.phase, "looking on: only the other one can check" if self.read_only else "")

    def _upcoming(self) -> Step | None:
        order = list(self.lab.steps)
        index = [step.id for step in order].index(self.shown)
        if index + 1 < len(order):
            return order[index + 1]
        return None

    # -- panes -------------------------------------------------------------------------------------------------

    def _show_pane(self, pane: str) -> None:
        self.pane = pane
        for name in PANES:
            self.set_class(name == pane, f"-show-{name}")

    def action_pane(self, pane: str) -> None:
        self._show_pane(pane)
        wanted = self.query_one(_SOURCES[pane])
        self.set_focus(wanted)  # at once: the next key may be on its way
        self._draw()
        if self.focused is not wanted:
            self.call_after_refresh(wanted.focus)

    def action_focus_lab(self) -> None:
        self.action_pane("lab")

    def action_shell(self) -> None:
        self.action_pane("shell")

    @on(ShellTerminal.Leave)
    def _leave_shell(self) -> None:
        self.action_pane("lab")

    @on(ShellTerminal.Noted)
    def _shell_noted(self, message: ShellTerminal.Noted) -> None:
        self.query_one("#shell-box").border_subtitle = Content(message.text)

    @on(ShellTerminal.Copied)
    def _shell_copied(self, message: ShellTerminal.Copied) -> None:
        self._copy(message.text)

    def on_text_selected(self) -> None:
        """Text selected with the mouse in the shell is copied, as terminals do: Ctrl+C is the program's there."""
        if self.shell in self.selections:
            self._copy(self.get_selected_text() or "")

    def _copy(self, text: str) -> None:
        if text.strip():
            self.app.copy_to_clipboard(text)
            lines = text.count("\n") + 1
            self.notify(f"{fmt.count(lines, 'line')} copied." if lines > 1 else "Copied.")

    @on(PaneTabs.Chosen)
    def _tab_chosen(self, message: PaneTabs.Chosen) -> None:
        self.action_pane(message.pane)

    @on(events.DescendantFocus)
    def _follow_focus(self, event: events.DescendantFocus) -> None:
        """Focus that Tab or the mouse moved decides which pane a narrow terminal shows."""
        if self._settling:
            return
        for pane, source in _SOURCES.items():
            if _within(event.widget, self.query_one(source)):
                if pane != self.pane:
                    self._show_pane(pane)
                    self._draw()
                break
        self.refresh_bindings()

    @on(ShellTerminal.Resized)
    def _shell_resized(self, message: ShellTerminal.Resized) -> None:
        if self.engine is not None:
            self.engine.resize(message.rows, message.columns)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        super().on_screen_resume(event)
        if self.is_mounted:
            self.shell.catch_up()

    def _compositor_refresh(self) -> None:
        super()._compositor_refresh()
        if self.app.screen is not self:
            # Textual 8.2 has a screen behind a dialog paint all of itself again after each message it gets.
            self._repaint_required = False

    def on_resize(self, event: events.Resize) -> None:
        self._settling += 1
        self._adopt_size()
        self._draw()
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        """The layout is that of the new size: who had the focus has it, though there was no room for a moment."""
        self._draw()
        self._settling -= 1
        owner = self.query_one(_SOURCES[self.pane])
        if not self._settling and self.app.screen is self and not _within(self.focused, owner):
            self.set_focus(owner)

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._draw()

    @property
    def _single(self) -> bool:
        """One pane at a time."""
        return self.narrow or self._zoomed

    # -- when something goes wrong -----------------------------------------------------------------------------

    async def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        worker = event.worker
        if event.state is WorkerState.SUCCESS and isinstance(worker.result, Opening):
            await self._opened(worker.result)
        elif event.state is WorkerState.ERROR and worker.error is not None and self.phase != "closed":
            self._went_wrong(worker.group, worker.error)

    def _went_wrong(self, group: str, error: BaseException) -> None:
        if group == "engine":
            self.phase = "failed"
            self._draw()
            self._offer_ways_out(error)
            return
        self._labrunner.report(error)
        self._draw()

    @work(exit_on_error=False, exclusive=True, group="failure")
    async def _offer_ways_out(self, error: BaseException) -> None:
        if isinstance(error, SessionHeld):
            from labrunner.tui.screens.busy import BusyScreen

            answer = await self.app.push_screen_wait(BusyScreen(error))
            if answer:
                self.phase = "opening"
                self._let_go()
                self._open(takeover=answer == "take-over", look_on=answer == "look-on")
            else:
                self.action_catalogue()
            return
        from labrunner.tui.screens.failure import FailureScreen

        message, hint = self._labrunner.explain(error)
        answer = await self.app.push_screen_wait(
            FailureScreen(f"The {self.options.target} did not start", message, hint)
        )
        if answer == "retry":
            self.phase = "opening" if self.engine is None else "starting"
            self._draw()
            if self.engine is None:
                self._open()
            else:
                self._start()
        elif answer == "quit":
            await self._labrunner.action_leave()
        else:
            self.action_catalogue()


def _within(widget: Widget | None, owner: Widget) -> bool:
    return widget is not None and (widget is owner or owner in widget.ancestors)
