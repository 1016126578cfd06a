"""`labrunner run LAB --web`: the server's side (`serve`), and the app's own process behind a tab (`main`).

Not a command: the server starts `python -m labrunner.cli.browser_app OPTIONS COLUMNS ROWS`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import webbrowser
from pathlib import Path

from labrunner.errors import ExitCode, LabrunnerError


def serve(options: dict[str, str | None], title: str, port: int, record: str | None) -> ExitCode:
    """Until the learner is done. Raises `EnvironmentFault` when the port cannot be used."""
    from labrunner.tui.web.process import app_command
    from labrunner.tui.web.server import BrowserServer

    if record:
        options = {**options, "record": str(Path(record).absolute())}
    server = BrowserServer(app_command([json.dumps(options)]), title, _announce, port)
    code = asyncio.run(server.serve())
    sys.stderr.write(server.said)
    return ExitCode(code) if code in {int(known) for known in ExitCode} else ExitCode.ENVIRONMENT


def _announce(address: str) -> None:
    port = address.split(":")[2].partition("/")[0]
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    opened = _open(address)
    sys.stderr.write(
        "Opened in your browser; the address works once.\n"
        if opened
        else "No browser could be opened here. Open the address above in one on this machine; it works once.\n"
        f"  From another machine: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE there, then open it there.\n"
    )
    sys.stderr.write("Closing the tab or Ctrl+C here ends the lab; progress is kept.\n")
    sys.stderr.flush()


def _open(address: str) -> bool:
    """Whether a browser of the desktop took it; one that draws in this terminal would only be in the way."""
    if sys.platform != "darwin" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False


def main(argv: list[str]) -> int:
    """The app, drawing to the server that started us."""
    os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"  # read once, when textual is imported
    import textual.constants  # noqa: F401

    del os.environ["TEXTUAL_COLOR_SYSTEM"]  # the lab's shell is none of its business

    from labrunner.cli.run_command import open_tui, read_lab
    from labrunner.tui.library import Options
    from labrunner.tui.web.driver import BrowserDriver

    options = json.loads(argv[0])
    size = (int(argv[1]), int(argv[2]))
    directory, at, record = Path(options["lab"]), options.get("at"), options.get("record")
    chosen = Options(options["target"], options.get("context"), at, Path(record) if record else None)
    try:
        return int(open_tui(lambda: read_lab(directory, at), chosen, driver=BrowserDriver, size=size))
    except LabrunnerError as error:
        sys.stderr.write(f"labrunner: {error.message}\n{f'  {error.hint}' if error.hint else ''}\n")
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
