"""The map of the mesh: pans, and lets one choose a node or a wire with the arrows or the mouse."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from labrunner.run.mesh.picture import Picture
from labrunner.tui.mesh.drawing import Chosen, Drawing, Plan, draw
from labrunner.tui.symbols import Symbols

_PARTS = ("allowed", "denied", "failed", "unsure", "frame", "title", "node", "name", "facts", "chosen", "chosen-wire")


class MeshMap(ScrollView, can_focus=True):
    """Draws one `Picture` as roomy as fits."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"mesh-map--{part}" for part in _PARTS}
    DEFAULT_CSS = """
    MeshMap { background: $background; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    MeshMap > .mesh-map--allowed { color: $success; }
    MeshMap > .mesh-map--denied { color: $error; text-style: bold; }
    MeshMap > .mesh-map--failed { color: $warning; }
    MeshMap > .mesh-map--unsure { color: $primary; }
    MeshMap > .mesh-map--frame { color: $border; }
    MeshMap > .mesh-map--title { color: $accent; text-style: bold; }
    MeshMap > .mesh-map--node { background: $panel; }
    MeshMap > .mesh-map--name { color: $foreground; background: $panel; text-style: bold; }
    MeshMap > .mesh-map--facts { color: $muted; background: $panel; }
    MeshMap > .mesh-map--chosen {
        color: $block-cursor-foreground; background: $block-cursor-background; text-style: bold;
    }
    MeshMap > .mesh-map--chosen-wire { text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "go(0, -1)", "Choose", id="map.up", show=False),
        Binding("down", "go(0, 1)", "Choose", id="map.down", show=False),
        Binding("left", "go(-1, 0)", "Choose", id="map.left", show=False),
        Binding("right", "go(1, 0)", "Choose", id="map.right", show=False),
        Binding("shift+up,ctrl+up", "scroll_up", "Pan", show=False),
        Binding("shift+down,ctrl+down", "scroll_down", "Pan", show=False),
        Binding("shift+left,ctrl+left", "pan(-8)", "Pan", show=False),
        Binding("shift+right,ctrl+right", "pan(8)", "Pan", show=False),
        Binding("enter", "open", "Open"),
    ]

    class Chose(Message):
        """Another node or wire is chosen."""

        def __init__(self, chosen: Chosen) -> None:
            super().__init__()
            self.chosen = chosen

    class Opened(Message):
        """The chosen one is to be shown whole."""

        def __init__(self, chosen: Chosen) -> None:
            super().__init__()
            self.chosen = chosen

    def __init__(self, symbols: Symbols, name: str) -> None:
        """`name`: its id."""
        super().__init__(id=name)
        self._symbols = symbols
        self.picture = Picture()
        self.chosen: Chosen = None
        self._plan: Plan | None = None
        self._planned: tuple[object, ...] = ()
        self._drawing: Drawing | None = None
        self._styles: dict[str, Style] = {}

    def show(self, picture: Picture) -> None:
        """Draw another picture; what is chosen stays so while it is there."""
        self.picture = picture
        gone = picture.node(self.chosen) is None if isinstance(self.chosen, str) else (
            self.chosen is not None and picture.edge(self.chosen) is None
        )  # fmt: skip
        if gone:
            self.chosen = None
            self.post_message(self.Chose(None))
        self._draw()

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        if not width:
            return
        planned = (*self.picture.shape, width)
        if planned != self._planned:
            self._plan, self._planned = None, planned
        self._drawing, self._plan = draw(self.picture, self._symbols, width, self.chosen, self._plan)
        self.virtual_size = Size(*self._drawing.size)
        self.refresh()

    def choose(self, chosen: Chosen) -> None:
        if chosen != self.chosen:
            self.chosen = chosen
            self._draw()
            self.post_message(self.Chose(chosen))
        self._bring_into_view()

    # -- drawing

    def render_line(self, y: int) -> Strip:
        scroll_x, scroll_y = self.scroll_offset
        width = self.scrollable_content_region.width
        row = y + scroll_y
        if self._drawing is None:
            return Strip.blank(width, self.rich_style)
        runs = self._drawing.canvas.row(row, scroll_x, scroll_x + width)
        return Strip([Segment(text, self._style(names)) for text, names in runs]).adjust_cell_length(
            width, self.rich_style
        )

    def _style(self, names: str) -> Style:
        found = self._styles.get(names)
        if found is None:
            found = self.rich_style
            for name in sorted(names.split(), key=lambda each: (each == "chosen", each != "node")):
                found += self.get_component_rich_style(f"mesh-map--{name}", partial=True)
            self._styles[names] = found
        return found

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    # -- choosing

    def _spots(self) -> dict[str | tuple[str, str], tuple[int, int]]:
        if self._drawing is None:
            return {}
        layout = self._drawing.layout
        spots: dict[str | tuple[str, str], tuple[int, int]] = {
            node: (rect.x + 2, rect.y) for node, rect in layout.nodes.items()
        }
        return spots | {key: (wire.last[1][0] - 3, wire.last[1][1]) for key, wire in layout.wires.items()}

    def action_go(self, right: int, down: int) -> None:
        """To the nearest node or wire in that direction."""
        spots = self._spots()
        if not spots:
            return
        if self.chosen is None or self.chosen not in spots:
            self.choose(min(spots, key=lambda each: (spots[each][1], spots[each][0])))
            return
        x, y = spots[self.chosen]

        def far(spot: tuple[int, int]) -> float:
            dx, dy = spot[0] - x, spot[1] - y
            ahead, aside = (dx * right, abs(dy) * 2) if right else (dy * down * 2, abs(dx))
            if ahead <= 0:
                return float("inf")
            return ahead + aside * (3 if right else 0.6)

        best = min(spots, key=lambda each: far(spots[each]))
        if far(spots[best]) < float("inf"):
            self.choose(best)

    def action_pan(self, columns: int) -> None:
        self.scroll_relative(x=columns, animate=False)

    def action_open(self) -> None:
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen))

    def _bring_into_view(self) -> None:
        if self._drawing is None or self.chosen is None:
            return
        layout = self._drawing.layout
        if isinstance(self.chosen, str):
            rect = layout.nodes.get(self.chosen)
            region = Region(rect.x - 2, rect.y - 2, rect.width + 4, rect.height + 4) if rect else None
        else:
            wire = layout.wires.get(self.chosen)
            region = Region(wire.last[1][0] - 20, wire.last[1][1] - 2, 40, 5) if wire else None
        if region is not None:
            self.scroll_to_region(region, animate=False)

    def on_click(self, event: events.Click) -> None:
        if self._drawing is None:
            return
        at = event.get_content_offset(self)
        if at is None:
            return
        found = self._drawing.at(at.x + self.scroll_offset.x, at.y + self.scroll_offset.y)
        if found is not None and (event.chain > 1 or found == self.chosen):
            self.choose(found)
            self.action_open()
        else:
            self.choose(found)
