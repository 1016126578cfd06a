"""The application: themes, the way between screens, the palette, and leaving without a trace."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import ClassVar

from textual import events, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import LineFilter
from textual.geometry import Size
from textual.screen import Screen
from textual.theme import Theme

from labrunner import paths
from labrunner.errors import ExitCode, LabrunnerError
from labrunner.lab.model import Lab
from labrunner.tui import memory
from labrunner.tui.actions import Action, actions, actions_of, keys_by_default, show_key
from labrunner.tui.library import Export, Library, Options
from labrunner.tui.plain_filter import PlainFilter
from labrunner.tui.settings.model import Settings
from labrunner.tui.symbols import UNICODE, Symbols
from labrunner.tui.themes import PREFIX, THEMES

SIZE_EVERY = 0.5
"""Seconds between two looks at the terminal's size."""
CLOSE_WITHIN = 6.0
"""Seconds that closing a session may take before we leave anyway."""
LEAVE_WITHIN = CLOSE_WITHIN + 2.0
"""Seconds after which the process ends whatever still hangs; its children end with it."""


class LabrunnerApp(App[int], inherit_bindings=False):
    """Opens the catalogue, or `lab` at once. Its return value is the exit code."""

    TITLE = "labrunner"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        # Not of priority: in the shell these keys are the shell's.
        Binding("ctrl+p", "command_palette", "Palette", id="app.palette", tooltip="Everything you can do", show=False),
        Binding("ctrl+q", "leave", "Quit", id="app.quit", tooltip="Leave labrunner", show=False),
        Binding("question_mark", "help", "Help", id="app.help", tooltip="Keys and symbols", show=False),
    ]

    _plain: PlainFilter | None = None

    def __init__(
        self,
        library: Library,
        *,
        lab: Lab | Callable[[], Lab] | None = None,
        options: Options | None = None,
        symbols: Symbols = UNICODE,
        frozen: bool = False,
        export: Export | None = None,
        settings: Settings | None = None,
        driver_class: type[Driver] | None = None,
        tour: bool = False,
    ) -> None:
        """`lab`: what to open instead of the catalogue, or how to read it (on a thread; `failure` has its error).

        `frozen`: nothing blinks, spins or tells the time (pictures and snapshots).
        `tour`: open the tour. `export`: how the summary writes a session down; None: it cannot.
        """
        super().__init__(driver_class=driver_class)
        self.library = library
        self.symbols = symbols
        if symbols.ascii:
            self._plain = PlainFilter(getattr(sys.__stderr__, "encoding", None) or "ascii")  # where Textual draws
        self.frozen = frozen
        self.export = export
        self.settings = settings or Settings()
        self._lab: Lab | Callable[[], Lab] | None = (lambda: library.tour(self.key)) if tour else lab
        self._options = Options(target="shell") if tour else options or Options()
        self._leaving = self._told_to_stop = self._mounted_once = False
        self.failure: LabrunnerError | None = None
        """Why the lab could not be opened at all; the app has ended then."""
        self.set_keymap({action_id: ",".join(keys) for action_id, keys in self.settings.keymap.items()})
        for theme in self.themes:
            self.register_theme(theme)
        wanted = f"{PREFIX}{self.settings.theme or (memory.recall('theme') if settings else '')}"
        self.theme = wanted if wanted in {theme.name for theme in self.themes} else THEMES[0].name

    @property
    def themes(self) -> tuple[Theme, ...]:
        """Ours and the user's."""
        return (*THEMES, *self.settings.themes)

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return filters if self._plain is None else [*filters, self._plain]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return THEMES[0].variables

    def on_mount(self) -> None:
        self.set_class(self.symbols.ascii, "-ascii")
        self._catch_signals()
        self._mounted_once = True
        if self._told_to_stop:
            self.told_to_stop()
            return
        if not (self.is_headless or self.is_web):
            self.set_interval(SIZE_EVERY, self.adopt_terminal_size)
        self._say_problems()
        if self._lab is None:
            from labrunner.tui.screens.catalogue import CatalogueScreen

            self.push_screen(CatalogueScreen())
        elif isinstance(self._lab, Lab):
            self.open_lab(self._lab, self._options)
        else:
            from labrunner.tui.screens.opening import OpeningScreen

            self.push_screen(OpeningScreen("the lab"))
            self.call_after_refresh(self._read_lab, self._lab)

    def _say_problems(self) -> None:
        """What is wrong in the settings: a notice, never more."""
        problems = self.settings.problems
        if problems:
            shown = [f"{p.position.file.name}:{p.position.line}: {p.message}" for p in problems[:3]]
            more = [f"and {len(problems) - 3} more"] if len(problems) > 3 else []
            said = "\n".join([*shown, *more, "`labrunner config check` says it all."])
            self.notify(said, title="Your settings", severity="warning", timeout=15, markup=False)

    @work(thread=True, exit_on_error=False, group="read-lab")
    def _read_lab(self, read: Callable[[], Lab]) -> None:
        try:
            lab = read()
        except LabrunnerError as error:
            self.failure = error
            self.call_from_thread(self.exit, int(error.exit_code))
            return
        memory.remember("tour", "seen")
        from labrunner.tui.screens.lab import LabScreen  # on this thread: the switch is then one step for the eye

        self.call_from_thread(self.switch_screen, LabScreen(lab, self._options))

    def adopt_terminal_size(self) -> None:
        """Take the terminal's size when it is not ours: a SIGWINCH can come before its handler, or a size after it."""
        size = Size(*shutil.get_terminal_size(fallback=self.size))
        if size != self.size:
            self.post_message(events.Resize(size, size))

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(number, self.told_to_stop)
            except (NotImplementedError, RuntimeError, ValueError):
                return  # not the main thread (tests), or a platform without signals

    def told_to_stop(self) -> None:
        """Close the session and end: somebody outside wants it. Before the first frame is drawn: then."""
        self._told_to_stop = True
        if not self._mounted_once:
            return
        self._leave(int(ExitCode.INTERRUPTED), "interrupted")

    # -- between screens ---------------------------------------------------------------------------------------

    def open_lab(self, lab: Lab, options: Options | None = None) -> None:
        from labrunner.tui.screens.lab import LabScreen

        if options is None:
            target = "sandbox" if self._options.target == "shell" else self._options.target
            options = Options(target=target, context=self._options.context)
        memory.remember("tour", "seen")  # who opened a lab is not new here
        self.push_screen(LabScreen(lab, options))

    @work(thread=True, exclusive=True, exit_on_error=False, group="read-lab")
    def open_tour(self) -> None:
        """The tour, from its beginning."""
        try:
            lab = self.library.tour(self.key)
        except LabrunnerError as error:
            self.call_from_thread(self.report, error)
            return
        self.call_from_thread(self.open_lab, lab, Options(target="shell"))

    @property
    def lab_screen(self) -> object | None:
        """The lab screen below whatever dialog is open."""
        from labrunner.tui.screens.lab import LabScreen

        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, LabScreen)), None)

    @work(exclusive=True, exit_on_error=False, group="leave")
    async def leave_lab(self) -> None:
        """Close the session and show the catalogue."""
        await self._close_lab("quit")
        await self.show_catalogue()

    async def show_catalogue(self) -> None:
        from labrunner.tui.screens.catalogue import CatalogueScreen

        if any(isinstance(screen, CatalogueScreen) for screen in self.screen_stack):
            while not isinstance(self.screen, CatalogueScreen):
                await self.pop_screen()
        else:
            await self.switch_screen(CatalogueScreen())

    async def _close_lab(self, reason: str) -> None:
        from labrunner.tui.screens.lab import LabScreen

        screen = self.lab_screen
        if not isinstance(screen, LabScreen):
            return
        closing = asyncio.get_running_loop().run_in_executor(None, partial(screen.close_engine, reason))
        try:
            await asyncio.wait_for(asyncio.shield(closing), CLOSE_WITHIN)
        except TimeoutError:
            self.log.error("closing the session took too long")

    async def action_leave(self) -> None:
        """Quit; asks first only while a command runs."""
        from labrunner.tui.screens.lab import LabScreen

        screen = self.lab_screen
        if isinstance(screen, LabScreen) and screen.command_running:
            self._ask_to_leave()
        else:
            self._leave(int(ExitCode.OK), "quit")

    async def action_quit(self) -> None:
        await self.action_leave()

    @work(exclusive=True, exit_on_error=False, group="ask-leave")
    async def _ask_to_leave(self) -> None:
        from labrunner.tui.screens.confirm import ConfirmScreen

        if await self.push_screen_wait(
            ConfirmScreen("Quit?", "A command is still running; quitting stops it.", yes="Quit", no="Stay")
        ):
            self._leave(int(ExitCode.OK), "quit")

    @work(exclusive=True, exit_on_error=False, group="leave")
    async def _leave(self, code: int, reason: str) -> None:
        if self._leaving:
            return
        self._leaving = True
        self._leave_for_sure(code)
        await self._close_lab(reason)
        self.exit(code)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        from labrunner.tui.terminal.widget import ShellTerminal

        # In the shell these keys are the shell's.
        return not (action in ("leave", "help", "command_palette") and isinstance(self.focused, ShellTerminal))

    def _leave_for_sure(self, code: int) -> None:
        """End the process though a thread hangs: a check that waits, a terminal that is gone and takes no output."""
        if self.is_headless:
            return  # tests: the process is not ours to end

        def end() -> None:
            time.sleep(LEAVE_WITHIN)
            os._exit(code)

        threading.Thread(target=end, name="labrunner-leave", daemon=True).start()

    # -- help, palette, errors ---------------------------------------------------------------------------------

    def action_help(self) -> None:
        from labrunner.tui.help_topics import topics
        from labrunner.tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            return
        here = getattr(self.screen, "help_place", "lab" if self.screen is self.lab_screen else "catalogue")
        file = str(self.settings.file or paths.config_dir() / "config.yaml")
        home = os.path.expanduser("~")
        shown = f"~{file[len(home) :]}" if file.startswith(f"{home}{os.sep}") else file
        self.push_screen(HelpScreen(topics(self.keys_of, self.symbols, here=here, settings_file=shown)))

    # -- keys --------------------------------------------------------------------------------------------------

    def get_key_display(self, binding: Binding) -> str:
        return show_key(binding.key)

    def keys_of(self, action_id: str) -> tuple[str, ...]:
        """The keys that an action has here: the user's, else the built-in ones."""
        keys = self.settings.keymap.get(action_id)
        if keys:
            return keys
        for owner in (*(type(screen) for screen in reversed(self.screen_stack)), type(self)):
            keys = keys_by_default(owner).get(action_id)
            if keys:
                return keys
        return actions()[action_id].keys

    def key(self, action_id: str) -> str:
        """An action's first key as people write it, for a text that names it."""
        return show_key(self.keys_of(action_id)[0])

    def _actions_of(self, screen: Screen[object]) -> Iterator[tuple[Action, str, Screen[object] | App[int]]]:
        """What can be done on a screen and in the app, once each, with how Textual calls it."""
        seen: set[str] = set()
        for owner in (screen, self):
            for action in actions_of(type(owner).BINDINGS):
                if action.id not in seen and action.id != "app.palette":
                    seen.add(action.id)
                    called = next(
                        b.action for b in type(owner).BINDINGS if isinstance(b, Binding) and b.id == action.id
                    )
                    yield action, called, owner

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every action that has a key, and the themes."""
        for action, called, owner in self._actions_of(screen):
            yield SystemCommand(
                f"{action.name} ({self.key(action.id)})", action.purpose, partial(self._run_bound, called, owner)
            )
        for theme in self.themes:
            name = theme.name.removeprefix(PREFIX)
            yield SystemCommand(f"Theme: {name}", "Change the colours", partial(self._choose_theme, name))

    def _choose_theme(self, name: str) -> None:
        self.theme = f"{PREFIX}{name}"
        memory.remember("theme", name)

    async def _run_bound(self, action: str, namespace: Screen[object] | App[int]) -> None:
        await self.run_action(action, namespace)

    def explain(self, error: BaseException) -> tuple[str, str]:
        """What to tell the learner of an error, and the way out; what is not theirs goes to the log file."""
        if isinstance(error, LabrunnerError):
            return error.message, error.hint
        if isinstance(error, OSError):
            return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", ""
        log = paths.state_dir() / "logs" / "tui.log"
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a") as file:
                file.write("".join(traceback.format_exception(error)) + "\n")
        except OSError:
            return f"labrunner failed: {type(error).__name__}: {error}", ""
        return f"labrunner failed: {type(error).__name__}: {error}", f"The details are in {log}."

    def report(self, error: BaseException) -> None:
        """Say an error without stopping anything."""
        message, hint = self.explain(error)
        self.notify(f"{message}\n{hint}" if hint else message, title="That did not work", severity="error", timeout=12)
