"""A request of the learner's own: from whom, what, how often; it is really sent, and its way is shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Label, OptionList, Select, Static, TextArea
from textual.widgets.option_list import Option

from labrunner.check.http_probe import HOST, Request
from labrunner.errors import UsageError
from labrunner.run.mesh.source import Exchange
from labrunner.tui.mesh.desk import MeshDesk, caller_of, name_of, short_url, urls
from labrunner.tui.mesh.trace_text import outcome, trace_text
from labrunner.tui.mesh.words import colour
from labrunner.tui.screens.matrix import METHODS
from labrunner.tui.screens.mesh_base import MeshBase
from labrunner.tui.widgets.header_bar import HeaderBar
from labrunner.tui.widgets.key_bar import KeyBar

MOST_TIMES = 200
_HOST = "host"


class ComposerScreen(MeshBase):
    """F5 sends what the form says. The history is kept until the lab is closed; nothing of it is written down."""

    CSS_PATH = "composer.tcss"
    where = "Ask"
    help_place = "ask"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+s", "send", "Send", id="ask.send", tooltip="Send the request"),
        Binding("f8", "trace", "Trace", id="ask.trace", tooltip="The answer's way, by itself"),
        Binding("f7", "history", "History", id="ask.history", tooltip="What was sent before"),
        Binding("r", "replay", "Send it again", id="ask.replay", tooltip="Send the chosen one again"),
        Binding("escape", "back", "Back", id="ask.back", tooltip="Back"),
        Binding("question_mark", "app.help", "Help", id="app.help", tooltip="Keys and symbols"),
    ]

    def __init__(self, desk: MeshDesk, lab_title: str, request: Request | None) -> None:
        super().__init__(desk, lab_title)
        self._given = request
        self._shown: Exchange | None = None
        self._sending = False
        self._callers: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        yield HeaderBar()
        with Container(id="ask-body"):
            with VerticalScroll(id="ask-form", classes="pane"):
                with Horizontal(classes="row"):
                    yield Label("from")
                    yield Select[str]([("this machine", _HOST)], id="ask-from", allow_blank=False, compact=True)
                with Horizontal(classes="row"):
                    yield Label("method")
                    yield Select[str]([(m, m) for m in METHODS], id="ask-method", allow_blank=False, compact=True)
                    yield Label("times", classes="second")
                    yield Input("1", id="ask-times", type="integer", compact=True)
                with Horizontal(classes="row"):
                    yield Label("url")
                    yield Input(placeholder="http://service.namespace:port/path", id="ask-url", compact=True)
                with Horizontal(classes="row -tall"):
                    yield Label("headers")
                    yield TextArea(id="ask-headers", compact=True, placeholder="name: value, one a line")
                with Horizontal(classes="row -tall"):
                    yield Label("body")
                    yield TextArea(id="ask-data", compact=True)
                with Horizontal(classes="row -send"):
                    yield Label("")
                    yield Button("Send", id="ask-send", variant="primary", compact=True)
                    yield Static(id="ask-said")
            with VerticalScroll(id="ask-answer", classes="pane"):
                yield Static(id="answer")
            yield OptionList(id="ask-past", classes="pane")
        yield self.too_small()
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#ask-form").border_title = "Ask"
        self.query_one("#ask-answer").border_title = "Answer"
        self.query_one("#ask-past").border_title = "Sent before"
        if self._given is not None:
            self._fill(self._given)
        for field in (*self.query(Input), *self.query(TextArea)):
            field.cursor_blink = not self._labrunner.frozen
        self.query_one("#ask-url", Input).focus()
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._adopt_size()
        self.call_after_refresh(self._draw)

    def pictured(self) -> None:
        nodes = [n for n in self.picture.nodes if n.kind == "workload" and n.caller and not n.system]
        nodes.sort(key=lambda node: (node.namespace, node.name))
        callers = [("this machine", _HOST), *((f"{n.name}.{n.namespace}", n.id) for n in nodes)]
        if callers != self._callers:
            chosen = self.query_one("#ask-from", Select)
            before = chosen.value
            self._callers = callers
            with self.prevent(Select.Changed):
                chosen.set_options(callers)
                if any(value == before for _, value in callers):
                    chosen.value = before
            if self._given is not None and self.picture.nodes:
                self._choose_caller(self._given)
                self._given = None
            self.query_one("#ask-url", Input).suggester = SuggestFromList(urls(self.picture.nodes))
        self._draw()

    # -- the form

    def _fill(self, request: Request) -> None:
        self._choose_caller(request)
        method = request.method or ("POST" if request.data else "GET")
        if method in METHODS:
            self.query_one("#ask-method", Select).value = method
        self.query_one("#ask-url", Input).value = request.url
        self.query_one("#ask-headers", TextArea).text = "\n".join(f"{n}: {v}" for n, v in request.headers.items())
        self.query_one("#ask-data", TextArea).text = request.data
        self._extra = request

    _extra: Request | None = None
    """What the form was filled from: it may have a container and options for curl, which the form has no fields for."""

    def _choose_caller(self, request: Request) -> None:
        chosen = self.query_one("#ask-from", Select)
        name = name_of(request, self.picture)
        found = next((value for label, value in self._callers if label == name), None)
        if found is not None:
            chosen.value = found

    def _request(self) -> Request:
        """What the form says. Raises UsageError."""
        url = self.query_one("#ask-url", Input).value.strip()
        if not url or " " in url:
            raise UsageError("Where to? Write a URL, such as http://service.namespace:8080/path.")
        headers = {}
        for line in self.query_one("#ask-headers", TextArea).text.splitlines():
            name, colon, value = line.partition(":")
            if line.strip() and (not colon or not name.strip() or " " in name.strip()):
                raise UsageError(f"'{line.strip()}' is no header. Write it as name: value.")
            if line.strip():
                headers[name.strip()] = value.strip()
        chosen = self.query_one("#ask-from", Select).value
        node = None if chosen == _HOST else self.picture.node(str(chosen))
        if node is None and chosen != _HOST:
            raise UsageError(f"{chosen} runs no longer.")
        source, namespace = caller_of(node) if node is not None else (HOST, "")
        method = str(self.query_one("#ask-method", Select).value)
        data = self.query_one("#ask-data", TextArea).text
        if method == ("POST" if data else "GET"):
            method = ""
        made = Request(url, source, namespace, method=method, headers=headers, data=data, timeout=10.0)
        given = self._extra
        if given is None:
            return made
        same = name_of(given, self.picture) == name_of(made, self.picture)
        container, curl = given.container if same else "", given.curl if given.url == url else ()
        return replace(made, container=container, curl=curl)

    def _times(self) -> int:
        text = self.query_one("#ask-times", Input).value.strip()
        if not text.isdigit() or not 1 <= int(text) <= MOST_TIMES:
            raise UsageError(f"How often? A number from 1 to {MOST_TIMES}.")
        return int(text)

    # -- sending

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action == "send":
            return None if self._sending else True
        if action == "trace":
            return True if self._shown is not None and self._shown.answer is not None else None
        if action == "replay":
            return isinstance(self.focused, OptionList)
        if action == "app.help":
            return not isinstance(self.focused, Input | TextArea)
        return True

    @on(Button.Pressed, "#ask-send")
    @on(Input.Submitted)
    def _pressed(self) -> None:
        self.action_send()

    def action_send(self) -> None:
        if self._sending:
            return
        said = self.query_one("#ask-said", Static)
        try:
            request, times = self._request(), self._times()
        except UsageError as error:
            said.update(Content.styled(error.message, "$warning"))
            return
        said.update("")
        self._go(request, times)

    def _go(self, request: Request, times: int) -> None:
        self._sending = True
        self._draw()
        self.send(request, times, self._answered)

    def failed(self, group: str) -> None:
        if group == "send":
            self._sending = False
            self._draw()
            self.refresh_bindings()

    def _answered(self, exchange: Exchange) -> None:
        self._shown, self._sending = exchange, False
        self._draw()
        self.query_one("#ask-answer", VerticalScroll).scroll_home(animate=False)

    def action_trace(self) -> None:
        if self._shown is not None:
            self.open_trace(self._shown)

    def action_history(self) -> None:
        past = self.query_one("#ask-past", OptionList)
        if not self.desk.history:
            self.notify("Nothing was sent yet.")
            return
        past.focus()
        if past.highlighted is None:
            past.highlighted = 0

    def action_replay(self) -> None:
        exchange = self._past
        if exchange is not None and not self._sending:
            self._go(exchange.request, max(1, len(exchange.answers)))

    @property
    def _past(self) -> Exchange | None:
        highlighted = self.query_one("#ask-past", OptionList).highlighted
        history = self.desk.history[::-1]
        return history[highlighted] if highlighted is not None and highlighted < len(history) else None

    @on(OptionList.OptionSelected, "#ask-past")
    def _brought_back(self) -> None:
        exchange = self._past
        if exchange is not None:
            self._shown = exchange
            self._fill(exchange.request)
            self.query_one("#ask-times", Input).value = str(max(1, len(exchange.answers)))
            self._draw()

    # -- drawing

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        symbols = self._labrunner.symbols
        pane = self.query_one("#ask-answer")
        pane.border_subtitle = "sending" if self._sending else ""
        width = max(30, pane.scrollable_content_region.width - 2)
        if self._shown is None:
            text = Content.styled(
                f"{self._labrunner.key('ask.send')} sends it; the answer and its way come here.", "$muted"
            )
        else:
            parts = [
                self._tally(self._shown),
                trace_text(self._shown, self.picture, symbols, width),
                self._body(self._shown),
            ]
            text = Content("\n\n").join(part for part in parts if part)
        self.query_one("#answer", Static).update(text)
        past = self.query_one("#ask-past", OptionList)
        kept = past.highlighted
        past.clear_options()
        past.add_options([Option(self._line(exchange)) for exchange in reversed(self.desk.history)])
        if kept is not None and self.desk.history:
            past.highlighted = min(kept, len(self.desk.history) - 1)
        self.refresh_bindings()

    @staticmethod
    def _tally(exchange: Exchange) -> Content:
        """How many ended how, when it was sent more than once."""
        if len(exchange.answers) < 2:
            return Content("")
        counts = Counter(answer.outcome() for answer in exchange.answers)
        said = ", ".join(f"{count} x {what}" for what, count in counts.most_common())
        return Content.assemble((f"{len(exchange.answers)} sent: ", "bold"), said, ("; the last one:", "$muted"))

    @staticmethod
    def _body(exchange: Exchange) -> Content:
        if exchange.answer is None or not exchange.answer.status:
            return Content("")
        headers = "\n".join(f"{name}: {value}" for name, value in exchange.answer.headers.items())
        body = exchange.answer.body.strip()
        shown = body if len(body) < 2000 else f"{body[:2000]}\n(cut)"
        return Content.assemble((headers, "$muted"), "\n\n" if shown else "", shown)

    def _line(self, exchange: Exchange) -> Content:
        symbols, request = self._labrunner.symbols, exchange.request
        mark = f"{symbols.lock(exchange.mtls)}{symbols.verdict(exchange.state)}"
        method = request.method or ("POST" if request.data else "GET")
        many = f" x{len(exchange.answers)}" if len(exchange.answers) > 1 else ""
        return Content.assemble(
            (f"{mark} ", colour(exchange.state)), f"{method} {short_url(request.url)}{many} ",
            (f"from {name_of(request, self.picture)}, {outcome(exchange)}", "$muted"),
        )  # fmt: skip
