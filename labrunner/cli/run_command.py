"""`labrunner run LAB`: the lab in the terminal, where you left it."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from labrunner.errors import EnvironmentFault, ExitCode, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from textual.driver import Driver

    from labrunner.lab.model import Lab
    from labrunner.run.events import Event
    from labrunner.tui.app import LabrunnerApp
    from labrunner.tui.library import Options

_EXAMPLE = """\
examples:
  labrunner run apim-istio
  labrunner run apim-istio --at gateway
  labrunner run apim-istio --target live --context my-cluster
  labrunner run apim-istio --web           the same in a browser on this machine
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lab", metavar="LAB", help="a lab's id (see `labrunner list`), or its folder")
    parser.add_argument("--target", choices=("sandbox", "live"), default="sandbox", help="where it runs")
    parser.add_argument("--context", metavar="NAME", help="the kubeconfig context, for --target live")
    parser.add_argument("--at", metavar="STEP", help="start at this step")
    parser.add_argument("--record", metavar="FILE.cast", help="record the shell (asciicast v2, secrets redacted)")
    parser.add_argument("--web", action="store_true", help="serve it to a browser on this machine (one-time address)")
    parser.add_argument("--port", metavar="N", type=int, help="the port for --web; a free one without")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    """Raises `UsageError` for a lab, step or context that does not exist, `EnvironmentFault` without a terminal."""
    from labrunner.lab.content import find_lab

    directory = find_lab(args.lab)
    if args.target == "live" and not args.context:
        raise UsageError("a live cluster is used only by name", hint="add --context NAME (kubectl config get-contexts)")
    if args.context and args.target == "live":
        from labrunner.target.kubeconfig import require_context

        require_context(args.context)
    if args.context and args.target != "live":
        raise UsageError(
            "--context goes with --target live", hint=f"labrunner run {args.lab} --target live --context …"
        )
    if args.port is not None and not args.web:
        raise UsageError("--port goes with --web", hint=f"labrunner run {args.lab} --web --port {args.port}")
    if args.web:
        return _serve(directory, args)
    require_terminal(args.lab)

    from pathlib import Path

    from labrunner.tui.library import Options

    record = Path(args.record).absolute() if args.record else None
    options = Options(args.target, args.context, args.at, record)
    return open_tui(lambda: read_lab(directory, args.at), options)


def _serve(directory: Path, args: argparse.Namespace) -> ExitCode:
    """Raises what reading the lab raises before anything listens."""
    from labrunner.cli.browser_app import serve

    lab = read_lab(directory, args.at)
    options = {"lab": str(directory), "target": args.target, "context": args.context, "at": args.at}
    return serve(options, lab.title, args.port or 0, args.record)


def read_lab(directory: Path, at: str | None) -> Lab:
    """The lab in a folder. Raises `LabErrors` for wrong files, `UsageError` when it has no step `at`."""
    from labrunner.check.registry import kinds
    from labrunner.lab.loader import load_lab
    from labrunner.lab.problem import did_you_mean

    lab = load_lab(directory, kinds())
    if at is not None and lab.step(at) is None:
        steps = [step.id for step in lab.steps]
        raise UsageError(
            f"lab {lab.id} has no step '{at}'", hint=did_you_mean(at, steps) or f"steps: {', '.join(steps)}"
        )
    return lab


def has_terminal() -> bool:
    """Whether a full-screen program can run here."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def require_terminal(lab_id: str) -> None:
    """Raises `EnvironmentFault` naming the headless way when there is no terminal to draw on."""
    headless = f"`labrunner validate {lab_id}` walks the lab without one." if lab_id else "`labrunner list` needs none."
    if not has_terminal():
        raise EnvironmentFault("labrunner run needs a terminal, and this is none", hint=headless)
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise EnvironmentFault(
            f"this terminal cannot place text (TERM={os.environ.get('TERM', '')})",
            hint=f"Set TERM to what your terminal is (often xterm-256color). {headless}",
        )


@contextlib.contextmanager
def _told_early(app: LabrunnerApp) -> Iterator[None]:
    """SIGTERM and SIGHUP before the app listens to them itself: no terminal is left as the app's, nothing runs on."""

    def told(number: int, _frame: object) -> None:
        loop = app._loop
        if loop is None:
            raise Interrupted("interrupted before the lab was open")
        loop.call_soon_threadsafe(app.told_to_stop)

    before = {}
    with contextlib.suppress(ValueError):  # not the main thread
        before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_report(lab: Lab, history: Sequence[Event], folder: Path) -> Sequence[Path]:
    from labrunner.report.session_report import write_report

    return write_report(lab, history, folder)


ESCAPE_DELAY = "25"
"""Milliseconds in which what follows an Escape belongs to it; what a terminal sends for one key comes faster."""


def open_tui(
    read: Callable[[], Lab] | None = None,
    options: Options | None = None,
    *,
    driver: type[Driver] | None = None,
    size: tuple[int, int] | None = None,
    tour: bool = False,
) -> ExitCode:
    """Run the interface until the learner leaves: the catalogue, or the lab that `read` reads.

    `driver`, `size`: for a terminal that is not the one we were started in.
    Raises what `read` raises, after the terminal is as it was.
    """
    # Textual reads it when it is imported, and waits 100 ms otherwise: `Esc` and `:wq` typed fast are not one key.
    os.environ.setdefault("ESCDELAY", ESCAPE_DELAY)
    from labrunner.tui.app import LabrunnerApp
    from labrunner.tui.installed_library import InstalledLibrary
    from labrunner.tui.settings.loader import load_settings
    from labrunner.tui.symbols import symbols_for

    settings = load_settings()
    app = LabrunnerApp(
        InstalledLibrary(),
        lab=read,
        options=options,
        symbols=symbols_for("unicode" if driver and settings.symbols == "auto" else settings.symbols),
        export=_write_report,
        settings=settings,
        driver_class=driver,
        tour=tour,
    )
    # Some shells export these; Textual would believe them instead of the terminal, and never see a resize.
    os.environ.pop("COLUMNS", None)
    os.environ.pop("LINES", None)
    with _told_early(app):
        code = app.run(mouse=settings.mouse, size=size)
    if app.failure is not None:
        raise app.failure
    return ExitCode(code or 0)
