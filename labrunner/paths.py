"""Where per-user state lives (config, state, cache): the only module that asks platformdirs.

`LABRUNNER_HOME`, when set, holds all three (tests, workshops, CI). Nothing is created here: whoever writes creates.
"""

from __future__ import annotations

import os
from pathlib import Path


def _root(kind: str) -> Path:
    home = os.environ.get("LABRUNNER_HOME")
    if home:
        return Path(home) / kind
    import platformdirs

    base = {
        "config": platformdirs.user_config_path,
        "state": platformdirs.user_state_path,
        "cache": platformdirs.user_cache_path,
    }[kind]
    return base("labrunner")


def config_dir() -> Path:
    """The user's settings, keymap and themes."""
    return _root("config")


def state_dir() -> Path:
    """Session journals (`sessions/`), sandboxes (`sandboxes/`), trust decisions."""
    return _root("state")


def cache_dir() -> Path:
    """What can be made again at any time."""
    return _root("cache")
