"""The bottom line: the keys that work now, as many as fit, the help and the palette always."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget


class KeyBar(Widget):
    """A key can be clicked. What does not fit is in the palette and in the help."""

    DEFAULT_CSS = """
    KeyBar {
        dock: bottom;
        height: 1;
        background: $footer-background;
        padding: 0 1;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self.refresh()

    def _visible(self) -> list[tuple[Binding, bool]]:
        seen: set[str] = set()
        found = []
        for _, binding, enabled, _tooltip in self.screen.active_bindings.values():
            name = binding.id or binding.action
            if binding.show and name not in seen:
                seen.add(name)
                found.append((binding, enabled))
        return found

    def render(self) -> Content:
        width = self.content_size.width
        always = self._always()
        tail = Content("  ").join(self._entry(binding, True) for binding in always)
        room = width - tail.cell_length - 2
        parts: list[Content] = []
        self._spans = []
        x = 0
        for binding, enabled in self._visible():
            if binding.id in {other.id for other in always}:
                continue
            entry = self._entry(binding, enabled)
            if x + entry.cell_length > room:
                break
            self._spans.append((x, x + entry.cell_length, binding.key))
            parts.append(entry)
            x += entry.cell_length + 2
        line = Content("  ").join(parts)
        start = x = max(line.cell_length + 1, width - tail.cell_length)
        for binding in always:
            end = x + self._entry(binding, True).cell_length
            self._spans.append((x, end, binding.key))
            x = end + 2
        return Content.assemble(line, " " * (start - line.cell_length), tail)

    def _always(self) -> list[Binding]:
        """The help and the palette, where they can be reached."""
        if not self._palette_reachable():
            return []
        found = {binding.id: binding for _, binding, _, _ in self.screen.active_bindings.values()}
        return [found[name] for name in ("app.help", "app.palette") if name in found]

    def _palette_reachable(self) -> bool:
        from labrunner.tui.terminal.widget import ShellTerminal

        return not isinstance(self.screen.focused, ShellTerminal)

    def _entry(self, binding: Binding, enabled: bool) -> Content:
        key = self.app.get_key_display(binding)
        if not enabled:
            return Content.styled(f"{key} {binding.description}", "$muted 50%")
        return Content.assemble(
            (key, "bold $footer-key-foreground"), (f" {binding.description}", "$footer-description-foreground")
        )

    def on_click(self, event: events.Click) -> None:
        x = event.x - self.styles.padding.left
        for start, end, key in self._spans:
            if start <= x < end:
                self.app.simulate_key(key)
                return
