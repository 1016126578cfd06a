"""Our own themes, and the sixteen terminal colours that go with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.theme import Theme

PREFIX = "labrunner-"
"""Before the name of every theme of ours and of the user's, so that none is one of Textual's."""

NIGHT = Theme(
    name="labrunner-night",
    primary="#7aa2f7",
    secondary="#9d8cff",
    accent="#5fd7c5",
    success="#8fd97f",
    warning="#f2c063",
    error="#ff7a85",
    foreground="#d5dbe8",
    background="#10141c",
    surface="#151a24",
    panel="#1e2532",
    dark=True,
    variables={
        "border": "#33405a",
        "border-blurred": "#2a3347",
        "footer-background": "#151a24",
        "footer-key-foreground": "#5fd7c5",
        "footer-description-foreground": "#aab4c8",
        "block-cursor-background": "#2b3a5c",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#222c42",
        "block-cursor-blurred-foreground": "#d5dbe8",
        "scrollbar": "#2a3347",
        "scrollbar-hover": "#3c4a68",
        "scrollbar-active": "#5fd7c5",
        "scrollbar-background": "#10141c",
        "scrollbar-background-hover": "#10141c",
        "scrollbar-background-active": "#10141c",
        "muted": "#8792aa",
        "shell-background": "#0b0e14",
        "input-cursor-background": "#5fd7c5",
    },
)

DAY = Theme(
    name="labrunner-day",
    primary="#2456b8",
    secondary="#6941c6",
    accent="#006d67",
    success="#1a7029",
    warning="#8f5b00",
    error="#c0152f",
    foreground="#1d2430",
    background="#fbfaf7",
    surface="#f3f1ec",
    panel="#e8e5dd",
    dark=False,
    variables={
        "border": "#b9b3a6",
        "border-blurred": "#cfc9bd",
        "footer-background": "#efece5",
        "footer-key-foreground": "#006d67",
        "footer-description-foreground": "#4d5565",
        "block-cursor-background": "#cfdcf5",
        "block-cursor-foreground": "#10182a",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#e0e6f0",
        "block-cursor-blurred-foreground": "#1d2430",
        "scrollbar": "#cfc9bd",
        "scrollbar-hover": "#b9b3a6",
        "scrollbar-active": "#006d67",
        "scrollbar-background": "#f3f1ec",
        "scrollbar-background-hover": "#f3f1ec",
        "scrollbar-background-active": "#f3f1ec",
        "muted": "#5d6577",
        "shell-background": "#ffffff",
        "input-cursor-background": "#006d67",
    },
)

CONTRAST = Theme(
    name="labrunner-contrast",
    primary="#ffffff",
    secondary="#ffff00",
    accent="#00ffff",
    success="#00ff5f",
    warning="#ffff00",
    error="#ff8080",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    dark=True,
    text_alpha=1.0,
    variables={
        "border": "#ffffff",
        "border-blurred": "#b0b0b0",
        "footer-background": "#000000",
        "footer-key-foreground": "#ffff00",
        "footer-description-foreground": "#ffffff",
        "block-cursor-background": "#ffff00",
        "block-cursor-foreground": "#000000",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#404000",
        "block-cursor-blurred-foreground": "#ffffff",
        "scrollbar": "#b0b0b0",
        "scrollbar-hover": "#ffffff",
        "scrollbar-active": "#ffff00",
        "scrollbar-background": "#000000",
        "scrollbar-background-hover": "#000000",
        "scrollbar-background-active": "#000000",
        "muted": "#e0e0e0",
        "shell-background": "#000000",
        "input-cursor-background": "#ffff00",
    },
)

THEMES = (NIGHT, DAY, CONTRAST)

_NIGHT_COLOURS = (
    "#2a3347", "#ff7a85", "#8fd97f", "#f2c063", "#7aa2f7", "#c39bff", "#5fd7c5", "#c7d0e0",
    "#5b6780", "#ff9aa2", "#aee9a1", "#ffd88f", "#9dbcff", "#d7bbff", "#8ff0e0", "#ffffff",
)  # fmt: skip
_DAY_COLOURS = (
    "#1d2430", "#b5122b", "#1d7a2f", "#8f5b00", "#2456b8", "#7a2fa8", "#006d67", "#7d8494",
    "#5d6577", "#d0213c", "#23903a", "#a86c00", "#2f68d8", "#9140c4", "#008a82", "#3a4150",
)  # fmt: skip
_CONTRAST_COLOURS = (
    "#000000", "#ff8080", "#00ff5f", "#ffff00", "#8080ff", "#ff80ff", "#00ffff", "#ffffff",
    "#b0b0b0", "#ffa0a0", "#80ff9f", "#ffff80", "#a0a0ff", "#ffa0ff", "#80ffff", "#ffffff",
)  # fmt: skip


def make_theme(name: str, colours: Mapping[str, str], *, dark: bool, terminal: Sequence[str] = ()) -> Theme:
    """A theme from the colours of a theme file, completed (`labrunner.tui.settings.theme_colours`)."""
    c = colours
    return Theme(
        name=f"{PREFIX}{name}",
        primary=c["primary"],
        secondary=c["secondary"],
        accent=c["accent"],
        success=c["success"],
        warning=c["warning"],
        error=c["error"],
        foreground=c["foreground"],
        background=c["background"],
        surface=c["surface"],
        panel=c["panel"],
        dark=dark,
        variables={
            "border": c["border"],
            "border-blurred": c["border"],
            "footer-background": c["surface"],
            "footer-key-foreground": c["accent"],
            "footer-description-foreground": c["muted"],
            "block-cursor-background": c["selection"],
            "block-cursor-foreground": c["foreground"],
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-background": c["selection"],
            "block-cursor-blurred-foreground": c["foreground"],
            "scrollbar": c["border"],
            "scrollbar-hover": c["muted"],
            "scrollbar-active": c["accent"],
            "scrollbar-background": c["background"],
            "scrollbar-background-hover": c["background"],
            "scrollbar-background-active": c["background"],
            "muted": c["muted"],
            "shell-background": c["shell"],
            "input-cursor-background": c["accent"],
            **{f"shell-colour-{index}": colour for index, colour in enumerate(terminal)},
        },
    )


def terminal_colours(theme: Theme) -> tuple[str, ...]:
    """The sixteen colours in which the shell pane shows palette indexes 0-15 under this theme."""
    if "shell-colour-15" in theme.variables:
        return tuple(theme.variables[f"shell-colour-{index}"] for index in range(16))
    if theme.name == CONTRAST.name:
        return _CONTRAST_COLOURS
    return _NIGHT_COLOURS if theme.dark else _DAY_COLOURS
