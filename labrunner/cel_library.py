"""The CEL library without its command line.

`import cel` also imports the package's own CLI, and with it typer and prompt_toolkit: 0.5 s for nothing. An empty
module takes the CLI's place while the package is imported.
"""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any, Final

_LOCK: Final = threading.Lock()


def load() -> Any:
    """The `cel` module (package `common-expression-language`)."""
    with _LOCK:
        if "cel" not in sys.modules:
            stand_in = sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
            import cel

            if sys.modules.get("cel.cli") is stand_in:
                del sys.modules["cel.cli"]
    import cel

    return cel
