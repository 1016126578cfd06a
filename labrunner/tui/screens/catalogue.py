"""The labs: search, see what each is about and how far one is, open one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from labrunner.errors import LabrunnerError
from labrunner.tui import format as fmt
from labrunner.tui import memory
from labrunner.tui.library import Entry
from labrunner.tui.screens.base import SizedScreen
from labrunner.tui.widgets.filter_bar import Choice, FilterBar
from labrunner.tui.widgets.header_bar import HeaderBar
from labrunner.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from labrunner.tui.app import LabrunnerApp

_LEVEL_STYLE = {"beginner": "$success", "intermediate": "$warning", "advanced": "$error"}


class LabList(OptionList):
    """The list of labs; Enter opens."""

    class Widened(Message):
        """Its width changed: its lines must be laid out again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Open", id="catalogue.open", tooltip="Open the lab, where you left it"),
    ]
    _width = 0

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width != self._width:
            self._width = event.size.width
            self.post_message(self.Widened())


class Offer(Static):
    """The tour, offered to who is new here; a click takes it."""

    def on_click(self) -> None:
        screen = self.screen
        assert isinstance(screen, CatalogueScreen)
        screen.action_tour()


class CatalogueScreen(SizedScreen):
    """Posts nothing: it asks the app to open the lab chosen."""

    CSS_PATH = "catalogue.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "Open", id="catalogue.open-key", show=False, tooltip="Open the lab, where you left it"),
        Binding("slash", "search", "Search", id="catalogue.search", tooltip="Search titles, tags, levels and steps"),
        Binding("t", "tour", "Tour", id="catalogue.tour", tooltip="Two minutes on the real screen, without a cluster"),
        Binding("escape", "clear_search", "All labs", id="catalogue.clear", tooltip="Clear the search and the filters"),
        Binding("v", "filter('level')", "Level", id="catalogue.level", tooltip="Only labs of one level", show=False),
        Binding("f", "filter('state')", "State", id="catalogue.state", tooltip="Only new, begun or finished labs"),
        Binding("f5", "reload", "Reload", id="catalogue.reload", tooltip="Read the labs again", show=False),
        Binding("question_mark", "app.help", "Help", id="app.help", tooltip="Keys and symbols"),
        Binding("ctrl+q,q", "app.leave", "Quit", id="app.quit", tooltip="Leave labrunner"),
    ]

    @dataclass
    class Loaded(Message):
        entries: Sequence[Entry]
        error: LabrunnerError | None = None

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[Entry] = ()
        self._shown: list[Entry] = []
        self._loaded = False
        self._error: LabrunnerError | None = None

    @property
    def _labrunner(self) -> LabrunnerApp:
        from labrunner.tui.app import LabrunnerApp

        assert isinstance(self.app, LabrunnerApp)
        return self.app

    def compose(self) -> ComposeResult:
        yield HeaderBar()
        yield Input(placeholder="search labs: a word of the title, a tag, a level, a step", id="search", compact=True)
        app = self._labrunner
        yield FilterBar(
            [
                Choice("level", ("every level", "beginner", "intermediate", "advanced"), app.key("catalogue.level")),
                Choice("state", ("new, begun or finished", "new", "begun", "finished"), app.key("catalogue.state")),
            ],
            "#istio in the search: by tag",
        )
        yield Offer(id="offer")
        with Horizontal(id="body"):
            yield LabList(id="labs", classes="pane")
            with VerticalScroll(id="about", classes="pane"):
                yield Static(id="detail")
        yield Static(id="nothing")
        yield self.too_small()
        yield KeyBar()

    def on_mount(self) -> None:
        labs = self.query_one("#labs", OptionList)
        labs.border_title = "Labs"
        labs.focus()
        self.query_one("#about").border_title = "About"
        self.query_one(HeaderBar).set_place(["learn by doing, on a cluster of your own"], self._labrunner.symbols)
        self._show()
        self.call_after_refresh(self.action_reload)  # the first frame comes first

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        super().on_screen_resume(event)
        if self._loaded:
            self.action_reload()

    def action_reload(self) -> None:
        self._load()

    @work(thread=True, exclusive=True, exit_on_error=False, group="catalogue")
    def _load(self) -> None:
        try:
            self.post_message(self.Loaded(self._labrunner.library.entries()))
        except LabrunnerError as error:
            self.post_message(self.Loaded((), error))

    @on(Loaded)
    def _take(self, message: Loaded) -> None:
        self._loaded = True
        self._entries, self._error = message.entries, message.error
        self._show()

    # -- drawing -----------------------------------------------------------------------------------------------

    @on(LabList.Widened)
    def _show(self) -> None:
        words = self.query_one("#search", Input).value.casefold().split()
        level, state = self.filters.value("level"), self.filters.value("state")
        self._shown = [
            entry
            for entry in self._entries
            if all(entry.matches(word) for word in words)
            and (not level or (entry.lab is not None and entry.lab.level == level))
            and (not state or (entry.lab is not None and entry.state == state))
        ]
        labs = self.query_one("#labs", OptionList)
        keep = labs.highlighted_option.id if labs.highlighted_option else None
        labs.clear_options()
        labs.add_options([Option(self._line(entry), id=entry.id) for entry in self._shown])
        narrowed = bool(words or level or state)
        labs.border_subtitle = f"{len(self._shown)} of {len(self._entries)}" if narrowed else ""
        if self._shown:
            ids = [entry.id for entry in self._shown]
            preferred = keep if keep in ids else self._preferred()
            labs.highlighted = ids.index(preferred) if preferred in ids else 0
        self._offer_tour()
        nothing = self.query_one("#nothing", Static)
        nothing.update(self._nothing(words))
        self.set_class(not self._shown, "-nothing")
        self._show_detail()

    def _offer_tour(self) -> None:
        new_here = not any(entry.started for entry in self._entries) and not memory.recall("tour")
        offer = self.query_one("#offer", Offer)
        offer.display = self._loaded and new_here
        if offer.display:
            key = self._labrunner.key("catalogue.tour")
            offer.update(
                Content.assemble(
                    (f"{self._labrunner.symbols.hint} New here? ", "bold $warning"), (key, "bold $accent"),
                    " takes the two-minute tour; it needs no cluster.",
                )
            )  # fmt: skip

    def _preferred(self) -> str:
        """The lab begun and not finished, else the first."""
        begun = [entry for entry in self._shown if entry.started and not entry.finished]
        return (begun or self._shown)[0].id

    def _nothing(self, words: list[str]) -> Content:
        if self._error is not None:
            return Content.assemble(
                (f"{self._labrunner.symbols.failed} {self._error.message}", "bold $error"),
                (f"\n{self._error.hint}" if self._error.hint else "", "$muted"),
                (f"\n\n{self._labrunner.key('catalogue.reload')} tries again", "$muted"),
            )
        if not self._loaded:
            return Content.styled("reading the labs" + self._labrunner.symbols.ellipsis, "$muted")
        sought = [f"“{' '.join(words)}”"] if words else []
        if sought or self.filters.active:
            return Content.assemble(
                ("No lab matches ", "bold"),
                (", ".join([*sought, *self.filters.active]), "bold $accent"),
                (f"\n\n{self._labrunner.key('catalogue.clear')} shows all of them", "$muted"),
            )
        return Content.assemble(
            ("There are no labs yet", "bold"), ("\n\nA lab is a folder with a lab.yaml in labs/", "$muted")
        )

    def _line(self, entry: Entry) -> Content:
        symbols = self._labrunner.symbols
        width = max(30, self.query_one("#labs", OptionList).content_size.width - 2)
        if entry.lab is None:
            return Content.assemble(
                (f"{symbols.failed}  {entry.id}", "bold $error"), ("\n   its files have errors", "$muted")
            )
        lab = entry.lab
        total = len(lab.steps)
        mark, style = symbols.todo, "$muted"
        if entry.finished:
            mark, style = symbols.passed, "$success"
        elif entry.started:
            mark, style = symbols.running, "$accent"
        progress = f"{entry.steps_done}/{total}" if entry.started or entry.finished else ""
        title = fmt.fit(Content.styled(lab.title, "bold"), max(10, width - len(progress) - 4), symbols.ellipsis)
        gap = " " * max(1, width - 3 - title.cell_length - len(progress))
        first = Content.assemble((f"{mark}  ", style), title, gap, (progress, style))
        second = Content.assemble(
            "   ",
            (lab.level, _LEVEL_STYLE.get(lab.level, "")),
            (f"  {lab.minutes} min  ", "$muted"),
        )
        lines = [first, fmt.fit(self._with_tags(second, lab.tags, width), width, symbols.ellipsis)]
        if entry.missing:
            first_do = Content.styled(f"   {symbols.arrow} first: {', '.join(entry.missing)}", "$warning")
            lines.append(fmt.fit(first_do, width, symbols.ellipsis))
        lines.append(Content(""))
        return Content("\n").join(lines)

    def _with_tags(self, line: Content, tags: Sequence[str], width: int) -> Content:
        """As many tags as fit whole; the rest is in the details."""
        for number, tag in enumerate(tags):
            more = Content.styled(f"{' ' if number else ''}#{tag}", "$primary")
            left_out = f" +{len(tags) - number}"
            rest = 0 if number == len(tags) - 1 else len(left_out)
            if line.cell_length + more.cell_length + rest > width:
                return Content.assemble(line, (left_out, "$muted"))
            line = Content.assemble(line, more)
        return line

    def _show_detail(self) -> None:
        entry = self._highlighted()
        detail = self.query_one("#detail", Static)
        detail.update(self._detail(entry) if entry else Content(""))
        self.query_one("#about").scroll_home(animate=False)

    def _highlighted(self) -> Entry | None:
        index = self.query_one("#labs", OptionList).highlighted
        return self._shown[index] if index is not None and index < len(self._shown) else None

    def _detail(self, entry: Entry) -> Content:
        symbols = self._labrunner.symbols
        if entry.lab is None:
            return Content.assemble(
                (f"{entry.id} cannot be opened\n\n", "bold $error"), entry.problem,
                (f"\n\nlabrunner lint {entry.id} says more.", "$muted"),
            )  # fmt: skip
        lab = entry.lab
        total = len(lab.steps)
        parts: list[Content] = [
            Content.styled(lab.title, "bold $accent"),
            Content(lab.summary.strip()),
            Content(""),
            Content.assemble(
                (lab.level, _LEVEL_STYLE.get(lab.level, "")),
                (
                    f" {symbols.separator} about {lab.minutes} min {symbols.separator} {fmt.count(total, 'step')}",
                    "$muted",
                ),
            ),
        ]
        bar = fmt.progress_bar(entry.steps_done, total, 20, symbols.full, symbols.empty)
        state = (
            "finished" if entry.finished else f"{entry.steps_done} of {total} steps" if entry.started else "not begun"
        )
        parts.append(Content.assemble((bar, "$success" if entry.finished else "$accent"), (f" {state}", "$muted")))
        for title in entry.missing:
            parts.append(Content.styled(f"{symbols.arrow} do this lab first: {title}", "$warning"))
        if lab.tags:
            parts.append(Content.styled(" ".join(f"#{tag}" for tag in lab.tags), "$primary"))
        if lab.requires.tools:
            parts.append(Content.styled(f"needs on this machine: {', '.join(lab.requires.tools)}", "$muted"))
        if lab.source:
            parts.append(Content.styled(f"from: {lab.source}", "$muted"))
        number = 0
        for part in lab.parts:
            parts.append(Content(""))
            if len(lab.parts) > 1:
                parts.append(Content.styled(part.title, "bold"))
            for step in part.steps:
                number += 1
                parts.append(Content.assemble((f"{number:>3} ", "$muted"), step.title))
        return Content("\n").join(parts)

    # -- acting ------------------------------------------------------------------------------------------------

    @on(Input.Changed, "#search")
    def _search(self) -> None:
        self._show()
        self.refresh_bindings()

    @on(Input.Submitted, "#search")
    def _submitted(self) -> None:
        self.query_one("#labs").focus()
        if len(self._shown) == 1:
            self.action_open()

    @on(OptionList.OptionHighlighted, "#labs")
    def _moved(self) -> None:
        self._show_detail()

    @on(OptionList.OptionSelected, "#labs")
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        entry = self._highlighted()
        if entry is None:
            return
        if entry.lab is None:
            self.notify(entry.problem or "its files have errors", title=entry.id, severity="error")
            return
        self._labrunner.open_lab(entry.lab)

    def action_tour(self) -> None:
        self._labrunner.open_tour()

    def action_search(self) -> None:
        self.query_one("#search").focus()

    @property
    def filters(self) -> FilterBar:
        return self.query_one(FilterBar)

    def action_filter(self, name: str) -> None:
        self.filters.turn(name)

    @on(FilterBar.Changed)
    def _filtered(self) -> None:
        self._show()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "clear_search" and self.is_mounted:
            # Leaving the search line counts, too; else the key has nothing to do and no place in the bottom line.
            search = self.query_one("#search", Input)
            return bool(search.value or search.has_focus or self.filters.active)
        return True

    def action_clear_search(self) -> None:
        self.query_one("#search", Input).value = ""
        self.filters.clear()
        self.query_one("#labs").focus()

    def on_key(self, event: events.Key) -> None:
        search = self.query_one("#search", Input)
        if search.has_focus and event.key in ("down", "up"):
            event.stop()
            self.query_one("#labs").focus()
