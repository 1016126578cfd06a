"""The colours of a theme, and how far apart two must be to be read (WCAG 2.2, contrast ratio)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

READABLE = 4.5
"""Least contrast of text against what is behind it (WCAG 2.2, 1.4.3, level AA)."""

REQUIRED = {
    "background": "behind everything",
    "foreground": "text",
    "accent": "the focused pane, keys, what is current",
    "primary": "headings and links",
    "success": "passed",
    "warning": "regressed, hints, questions",
    "error": "failed",
}
OPTIONAL = {
    "surface": "dialogs; background unless given",
    "panel": "blocks and the top line; background unless given",
    "muted": "less important text; foreground unless given",
    "secondary": "questions; primary unless given",
    "border": "frames of panes; muted unless given",
    "shell": "behind the shell; background unless given",
    "selection": "behind the chosen line; panel unless given",
}

TEXT = ("foreground", "muted", "accent", "primary", "success", "warning", "error")
BEHIND = ("background", "surface", "panel")


def completed(colours: Mapping[str, str]) -> dict[str, str]:
    """Every colour of a theme, those not given taken from others."""
    full = dict(colours)
    for name, source in (
        ("surface", "background"), ("panel", "background"), ("muted", "foreground"), ("secondary", "primary"),
        ("border", "muted"), ("shell", "background"), ("selection", "panel"),
    ):  # fmt: skip
        full.setdefault(name, full[source])
    return full


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def unreadable(colours: Mapping[str, str]) -> Iterator[tuple[str, str, float]]:
    """Text colour, what is behind it, their contrast: of a completed set, where it is below `READABLE`."""
    pairs = [(text, behind) for text in TEXT for behind in BEHIND]
    for text, behind in [*pairs, ("foreground", "shell"), ("foreground", "selection")]:
        ratio = contrast(colours[text], colours[behind])
        if ratio < READABLE:
            yield text, behind, ratio


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
