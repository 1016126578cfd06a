"""`labrunner reset LAB`: forget a lab's progress and remove what it made."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.errors import EnvironmentFault, ExitCode, Interrupted, UsageError

if TYPE_CHECKING:
    from labrunner.run.session import Progress

_EXAMPLE = """\
examples:
  labrunner reset apim-istio                 says what it deletes, asks, and deletes it
  labrunner reset apim-istio --yes
  labrunner reset apim-istio --target live   forgets the progress; what is in the cluster stays
"""


@dataclass(frozen=True, slots=True)
class _Session:
    """A session that is to go: its folder, and what is told of it."""

    lab: str
    target: str
    directory: Path
    progress: Progress | None


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lab", metavar="LAB", help="a lab's id")
    parser.add_argument("--target", choices=("sandbox", "live"), help="default: the sessions on both")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print what was deleted as JSON (with --yes)")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    sessions = _sessions(args.lab, args.target)
    if not sessions:
        if args.json:
            sys.stdout.write(json.dumps({"lab": args.lab, "deleted": []}) + "\n")
        else:
            sys.stdout.write(f"nothing to reset: {args.lab} has no session\n")
        return ExitCode.OK
    if not args.yes:
        _ask(sessions)
    kept = {session.target: _undo(session) for session in sessions}
    for session in sessions:
        _delete(session)
    if args.json:
        deleted = [
            {"target": session.target, "directory": str(session.directory), "left": kept[session.target]}
            for session in sessions
        ]
        sys.stdout.write(json.dumps({"lab": sessions[0].lab, "deleted": deleted}, indent=2) + "\n")
    else:
        for session in sessions:
            sys.stdout.write(f"{session.lab} on {session.target}: reset\n")
            for left in kept[session.target]:
                sys.stdout.write(f"  {left}\n")
    return ExitCode.OK


def _sessions(name: str, target: str | None) -> list[_Session]:
    """The sessions of a lab. The lab itself need not exist any more; a name with neither is a `UsageError`."""
    from labrunner.lab.content import find_lab
    from labrunner.run.session import progress, session_dir, sessions_dir

    lab_id = name
    if "/" in name or name in (".", "..") or not (sessions_dir() / name).is_dir():
        lab_id = find_lab(name).name
    return [
        _Session(lab_id, where, session_dir(lab_id, where), progress(lab_id, where))
        for where in ("sandbox", "live")
        if target in (None, where) and session_dir(lab_id, where).is_dir()
    ]


def _ask(sessions: list[_Session]) -> None:
    for session in sessions:
        done = f", {session.progress.passed} steps passed" if session.progress else ""
        sys.stderr.write(f"{session.lab} on {session.target}: this deletes\n")
        sys.stderr.write(f"  the progress{done} ({session.directory / 'journal.jsonl'})\n")
        files = _files(session.directory / "work")
        if files:
            sys.stderr.write(f"  {len(files)} of your files in {session.directory / 'work'}:\n")
            for file in files[:10]:
                sys.stderr.write(f"    {file}\n")
            if len(files) > 10:
                sys.stderr.write(f"    and {len(files) - 10} more\n")
        if session.target == "live":
            sys.stderr.write("  nothing in the cluster: what the lab made there stays\n")
        else:
            sys.stderr.write("  what the lab made in the sandbox (by its cleanup blocks)\n")
    if not sys.stdin.isatty():
        raise UsageError("reset asks before it deletes, and there is no terminal to ask on", hint="add --yes")
    sys.stderr.write("Delete? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Interrupted("nothing was deleted")


def _delete(session: _Session) -> None:
    from labrunner.run import processes
    from labrunner.run.lock import SessionLock

    lock = SessionLock(session.directory)
    lock.acquire()
    try:
        processes.end(str(session.directory))
        shutil.rmtree(session.directory)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot delete {error.filename or session.directory}: {error.strerror}", hint="delete it by hand"
        ) from error
    finally:
        lock.release()


def _undo(session: _Session) -> list[str]:
    """Run the cleanup of the lab and of the steps begun, on the sandbox. Returns what is left, one sentence each."""
    from labrunner.check.registry import kinds
    from labrunner.errors import LabrunnerError
    from labrunner.lab.content import find_lab
    from labrunner.lab.loader import load_lab
    from labrunner.lab.trust import is_trusted
    from labrunner.run.engine import Engine
    from labrunner.run.lock import SessionHeld
    from labrunner.target.sandbox import SandboxTarget

    if session.target == "live":
        return ["what it made in the cluster is still there"]
    if session.progress is None:
        return []
    try:
        lab = load_lab(find_lab(session.lab), kinds())
        if not is_trusted(lab):
            return ["its cleanup was not run, since you have not trusted it as it is now"]
        engine = Engine(lab, SandboxTarget(), directory=session.directory)
        engine.start(set_up=False)
    except SessionHeld:
        raise
    except LabrunnerError as error:
        return [f"its cleanup was not run: {error.message}"]
    try:
        begun = [step for step in reversed(lab.steps) if step.id in session.progress.states]
        finished = [run for step in begun for run in engine.clean_up(step)] + engine.clean_up()
    except LabrunnerError as error:
        return [f"its cleanup was not finished: {error.message}"]
    finally:
        engine.close("reset")
    return [
        f"its cleanup block '{run.block}' did not succeed ({run.outcome})"
        for run in finished
        if run.outcome not in ("ok", "started")
    ]


def _files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
