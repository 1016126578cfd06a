"""The mesh as a list: what is called, and by whom, one line each. For narrow terminals, and for those who prefer it."""

from __future__ import annotations

from textual import on
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from labrunner.run.mesh.picture import Picture
from labrunner.tui.mesh.drawing import Chosen, facts, rate, title
from labrunner.tui.mesh.words import colour
from labrunner.tui.symbols import Symbols
from labrunner.tui.widgets.mesh_map import MeshMap


class MeshList(OptionList):
    """Posts the same messages as `MeshMap`."""

    DEFAULT_CSS = """
    MeshList, MeshList:focus { border: none; padding: 0; background: $background; }
    MeshList > .option-list--option-highlighted, MeshList:focus > .option-list--option-highlighted {
        background: $block-cursor-blurred-background;
        color: $block-cursor-blurred-foreground;
        text-style: bold;
    }
    """

    def __init__(self, symbols: Symbols, name: str) -> None:
        """`name`: its id."""
        super().__init__(id=name)
        self._symbols = symbols
        self._chosen: list[Chosen] = []
        self._drawn: list[str] = []
        self.picture = Picture()

    def show(self, picture: Picture) -> None:
        self.picture = picture
        rows = list(self._rows(picture))
        drawn = [content.markup for _, content in rows]
        if drawn == self._drawn:
            return
        self._drawn = drawn
        chosen = self.chosen
        self._chosen = [what for what, _ in rows]
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options([Option(content, disabled=what is None) for what, content in rows])
            if chosen in self._chosen:
                self.highlighted = self._chosen.index(chosen)

    @property
    def chosen(self) -> Chosen:
        return self._chosen[self.highlighted] if self.highlighted is not None and self._chosen else None

    def choose(self, chosen: Chosen) -> None:
        if chosen is not None and chosen in self._chosen:
            self.highlighted = self._chosen.index(chosen)

    def _rows(self, picture: Picture) -> list[tuple[Chosen, Content]]:
        symbols = self._symbols
        rows: list[tuple[Chosen, Content]] = []
        namespace: str | None = None
        names = {node.id: node for node in picture.nodes}
        for node in sorted(picture.nodes, key=lambda each: (each.kind == "external", each.namespace, each.name)):
            if node.namespace != namespace:
                namespace = node.namespace
                rows.append((None, Content.styled(namespace or "outside the cluster", "$accent")))
            rows.append(
                (node.id, Content.assemble(f" {title(node, symbols)}", (f"  {facts(node, symbols)}", "$muted")))
            )
            for edge in picture.edges:
                if edge.target != node.id or edge.source == edge.target:
                    continue
                caller = names.get(edge.source)
                who = edge.source if caller is None else caller.name
                if caller is not None and caller.namespace not in ("", node.namespace):
                    who = f"{who}.{caller.namespace}"
                marks = f"{symbols.lock(edge.mtls)}{symbols.verdict(edge.state)}"
                flow = f"  {rate(edge.rate)}" if edge.rate else ""
                wrong = f" {edge.wrong:.0%}{symbols.failed}" if edge.rate and edge.wrong else ""
                text = Content.assemble(
                    ("   from ", "$muted"), f"{who} ", (f"{marks}{flow}{wrong}", colour(edge.state)),
                    (f"  {edge.method} {edge.path}" if edge.method else "", "$muted"),
                )  # fmt: skip
                rows.append((edge.key, text))
        return rows

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.post_message(MeshMap.Chose(self.chosen))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(MeshMap.Opened(self.chosen))
