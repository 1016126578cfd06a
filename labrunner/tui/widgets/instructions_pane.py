"""A step's text with its runnable blocks where they belong, the solution below once it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Markdown, Static

from labrunner.lab.model import Block, Step
from labrunner.tui.blocks import split
from labrunner.tui.session_view import StepView
from labrunner.tui.symbols import Symbols
from labrunner.tui.widgets.block_card import BlockCard
from labrunner.tui.widgets.quiz_card import QuizCard


class InstructionsPane(VerticalScroll):
    """Cards are in reading order; `card` and `next_card` find them."""

    DEFAULT_CSS = """
    InstructionsPane Markdown { margin: 0; padding: 0 1; background: transparent; }
    InstructionsPane .solution-title { margin: 1 1; color: $warning; text-style: bold; border-bottom: solid $warning; }
    """

    def __init__(self, symbols: Symbols, fill_in: Callable[[str], str]) -> None:
        """`fill_in`: puts the lab's variables into a text."""
        super().__init__(id="instructions", classes="pane")
        self._fill_in = fill_in
        self._symbols = symbols
        self._step: Step | None = None
        self._solution_shown = False

    async def show_step(self, number: int, step: Step, view: StepView) -> None:
        """Replace what is shown by this step."""
        self._step, self._solution_shown = step, view.solution_shown
        self.border_title = Content(f"{number} {self._fill_in(step.title)}")
        widgets = list(self._widgets(step))
        if view.solution_shown:
            widgets += self._solution(step)
        async with self.batch():
            await self.remove_children()
            await self.mount_all(widgets)
        self.scroll_home(animate=False)
        self.refresh_blocks(view, show_output=False)

    async def show_solution(self, view: StepView) -> None:
        """Add the solution below the text, once, and bring it into view."""
        if self._step is None or self._step.id != view.step.id:
            return
        if not self._solution_shown:
            self._solution_shown = True
            await self.mount_all(self._solution(self._step))
        self.call_after_refresh(self._scroll_to_solution)

    def show_differences(self, step_id: str, differences: Mapping[str, str]) -> None:
        """What the solution shown would change, by block id."""
        if self._step is not None and self._step.id == step_id:
            for card in self.cards:
                if card.role == "solution":
                    card.show_difference(differences.get(card.block.id))

    def _scroll_to_solution(self) -> None:
        for title in self.query(".solution-title"):
            self.scroll_to_widget(title, top=True, animate=False)

    def _widgets(self, step: Step) -> Iterator[Widget]:
        for piece in split(step):
            if isinstance(piece, Block):
                yield BlockCard(piece, self._symbols)
            else:
                yield Markdown(self._fill_in(piece), open_links=False)
        for check in step.checks:
            if check.kind == "quiz":
                yield QuizCard(check, self._symbols, self._fill_in)

    def _solution(self, step: Step) -> list[Widget]:
        return [
            Static(f"{self._symbols.hint} Solution", classes="solution-title", markup=False),
            *(BlockCard(block, self._symbols, role="solution") for block in step.solution),
        ]

    @property
    def cards(self) -> list[BlockCard]:
        return list(self.query(BlockCard))

    def refresh_blocks(self, view: StepView, show_output: bool) -> None:
        for card in self.cards:
            card.show(view.blocks.get(card.block.id), show_output)
        for quiz in self.query(QuizCard):
            quiz.show(view.answers.get(quiz.check.id), view.results.get(quiz.check.id))

    def reveal(self, block_id: str, *, end: bool = False) -> None:
        """Bring a block's card into view; `end`: how it went, when the card is higher than the pane."""
        card = next((card for card in self.cards if card.block.id == block_id), None)
        if card is not None:
            self.call_after_refresh(self._reveal, card, end)

    def _reveal(self, card: BlockCard, end: bool) -> None:
        height = self.scrollable_content_region.height
        if end and card.region.height > height:
            self.scroll_to(y=card.virtual_region.bottom - height, animate=False)
        else:
            self.scroll_to_widget(card, animate=False)

    def open_question(self, view: StepView) -> QuizCard | None:
        """The question without an answer, when nothing else is left to do in the step."""
        open_ones = [quiz for quiz in self.query(QuizCard) if quiz.check.id not in view.answers]
        others = [check for check in view.step.checks if check.kind != "quiz"]
        done = all((r := view.results.get(check.id)) is not None and r.passed for check in others)
        return open_ones[0] if open_ones and done else None

    def chosen_card(self, view: StepView) -> BlockCard | None:
        """The focused card; else the first that did not run well yet; else none."""
        focused = self.screen.focused
        if isinstance(focused, BlockCard) and focused in self.cards:
            return focused
        return next((card for card in self.pending_cards(view)), None)

    def meant_card(self, view: StepView) -> BlockCard | None:
        """As `chosen_card`, but when all have run the last one."""
        return self.chosen_card(view) or next(reversed(self.cards), None)

    def pending_cards(self, view: StepView) -> list[BlockCard]:
        """The step's own cards that did not run well yet, in order."""
        return [
            card
            for card in self.cards
            if card.role == "block"
            and (card.block.id not in view.blocks or view.blocks[card.block.id].state not in ("ok", "started"))
        ]
