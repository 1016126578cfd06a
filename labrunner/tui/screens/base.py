"""What every full screen shares: how it reacts to the terminal's size."""

from __future__ import annotations

from textual import events
from textual.screen import Screen
from textual.widgets import Static

SMALLEST = (60, 16)
"""Columns and rows below which a screen only says that it is too small."""


class SizedScreen(Screen[None]):
    """Carries classes `-narrow`, `-medium` or `-wide`, and `-too-narrow` or `-too-low`. Compose `too_small()`."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it so
        (0, "-too-narrow"),
        (SMALLEST[0], "-narrow"),
        (100, "-medium"),
        (140, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-too-low"),
        (SMALLEST[1], "-low"),
        (30, "-high"),
    ]

    def too_small(self) -> Static:
        columns, rows = SMALLEST
        return Static(
            f"This terminal is too small.\nlabrunner needs {columns} columns and {rows} rows.", id="too-small"
        )

    @property
    def narrow(self) -> bool:
        return self.has_class("-narrow") or self.has_class("-too-narrow")

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        # A screen in the background is not told of a change of size.
        self._adopt_size()

    def _adopt_size(self) -> None:
        width, height = self.app.size
        for breakpoints, size in ((self.HORIZONTAL_BREAKPOINTS, width), (self.VERTICAL_BREAKPOINTS, height)):
            reached = max((at for at, _ in breakpoints or () if size >= at), default=0)
            for at, name in breakpoints or ():
                self.set_class(at == reached, name)
