"""Where the user's settings are. Who has none pays nothing for reading them."""

from __future__ import annotations

from pathlib import Path

from labrunner import paths
from labrunner.tui.settings.model import Settings

FILE = "config.yaml"


def config_file() -> Path:
    return paths.config_dir() / FILE


def load_settings(folder: Path | None = None) -> Settings:
    """The settings in a config folder (the user's own without one); defaults where there is nothing."""
    folder = folder or paths.config_dir()
    if not (folder / FILE).exists() and not (folder / "themes").is_dir():
        return Settings(file=folder / FILE)
    from labrunner.tui.settings.reader import read_settings

    return read_settings(folder)
