"""`labrunner sandbox`: start, stop, inspect and snapshot sandboxes, and use them from any shell."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from typing import Any

from labrunner.errors import EnvironmentFault, ExitCode, UsageError
from labrunner.sandbox import mesh_flavours
from labrunner.sandbox.instance import Sandbox, SandboxStatus, sandboxes

_EXAMPLE = """\
examples:
  labrunner sandbox start                          bring the default sandbox up
  eval "$(labrunner sandbox env)"                  plain kubectl on it, in sh, bash or zsh
  labrunner sandbox env --shell fish | source      the same in fish
  labrunner sandbox exec -- kubectl get nodes      one command on it
  labrunner sandbox snapshot save before-lab       keep the whole world
  labrunner sandbox snapshot restore before-lab    put it back
  labrunner sandbox status --json
"""

_EXAMPLES = {
    "start": "labrunner sandbox start --name scratch",
    "stop": "labrunner sandbox stop --name scratch --delete",
    "status": "labrunner sandbox status --all --json",
    "env": 'eval "$(labrunner sandbox env)"',
    "exec": "labrunner sandbox exec -- kubectl get nodes",
    "snapshot": "labrunner sandbox snapshot save before-lab",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EXAMPLE
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, summary: str, *, as_json: bool = False) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=summary, description=summary, epilog=f"example: {_EXAMPLES[name]}")
        action.add_argument("--name", default="default", help="which sandbox (default: default)")
        if as_json:
            action.add_argument("--json", action="store_true", help="print the result as JSON")
        return action

    start = add("start", "bring a sandbox up; its state is as it was", as_json=True)
    start.add_argument(
        "--flavour",
        choices=mesh_flavours.FLAVOURS,
        default="",
        help="the Istio a new sandbox has: AKS's add-on (default), upstream's, or none",
    )
    start.add_argument("--instant", action="store_true", help="pretended work, such as pulling images, takes no time")
    stop = add("stop", "end a sandbox's processes; its state is kept", as_json=True)
    stop.add_argument("--delete", action="store_true", help="also delete its state")
    status = add("status", "show health, address, version, uptime and what is in it", as_json=True)
    status.add_argument("--all", action="store_true", help="every sandbox of yours")
    env = add("env", "print the `export` lines that point a shell at a sandbox")
    env.add_argument("--shell", choices=("sh", "fish"), default="sh", help="sh is also for bash and zsh")
    execute_ = add("exec", "run a command with a sandbox's environment")
    execute_.add_argument("argv", metavar="-- CMD", nargs=argparse.REMAINDER, help="the command and its arguments")
    snapshot = add("snapshot", "keep, put back, list or delete the whole state", as_json=True)
    snapshot.add_argument("what", choices=("save", "restore", "list", "delete"))
    snapshot.add_argument("id", nargs="?", help="the snapshot's name")


def execute(args: argparse.Namespace) -> ExitCode:
    sandbox = Sandbox(args.name)
    match args.action:
        case "start":
            return _start(sandbox, args)
        case "stop":
            return _stop(sandbox, args)
        case "status":
            return _status(sandbox, args)
        case "env":
            return _env(sandbox, args.shell)
        case "exec":
            return _exec(sandbox, args.argv)
        case _:
            return _snapshot(sandbox, args)


def _start(sandbox: Sandbox, args: argparse.Namespace) -> ExitCode:
    started = sandbox.start(instant=args.instant, flavour=args.flavour)
    status = sandbox.status()
    if args.json:
        _print_json(_described(status) | {"started": started})
    else:
        word = "started" if started else "already runs"
        sys.stdout.write(f"sandbox '{sandbox.name}' {word}: {status.server}\n")
        name = "" if sandbox.name == "default" else f" --name {sandbox.name}"
        sys.stdout.write(f'use it with: eval "$(labrunner sandbox env{name})"\n')
    return ExitCode.OK


def _stop(sandbox: Sandbox, args: argparse.Namespace) -> ExitCode:
    stopped = sandbox.stop()
    if args.delete:
        sandbox.destroy()
    if args.json:
        _print_json({"name": sandbox.name, "stopped": stopped, "deleted": args.delete})
    else:
        text = "stopped" if stopped else "was not running"
        sys.stdout.write(f"sandbox '{sandbox.name}' {text}{'; its state is deleted' if args.delete else ''}\n")
    return ExitCode.OK


def _status(sandbox: Sandbox, args: argparse.Namespace) -> ExitCode:
    statuses = [s.status() for s in sandboxes()] if args.all else [sandbox.status()]
    if args.json:
        described = [_described(status) for status in statuses]
        _print_json(described if args.all else described[0])
    else:
        for status in statuses:
            _print_status(status)
    return ExitCode.OK if all(status.health != "unhealthy" for status in statuses) else ExitCode.ENVIRONMENT


def _env(sandbox: Sandbox, shell: str) -> ExitCode:
    sandbox.start()
    for key, value in sandbox.environment().items():
        if shell == "fish":
            words = value.split(os.pathsep) if key == "PATH" else [value]
            sys.stdout.write(f"set -gx {key} {' '.join(map(_fish_quoted, words))};\n")
        else:
            sys.stdout.write(f"export {key}={shlex.quote(value)}\n")
    return ExitCode.OK


def _fish_quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _exec(sandbox: Sandbox, argv: list[str]) -> ExitCode:
    command = argv[1:] if argv[:1] == ["--"] else argv
    if not command:
        raise UsageError("what shall be run?", hint="labrunner sandbox exec -- kubectl get nodes")
    sandbox.start()
    environment = {**os.environ, **sandbox.environment()}
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, environment)
    except FileNotFoundError as error:
        raise EnvironmentFault(f"the command '{command[0]}' was not found") from error
    except OSError as error:
        raise EnvironmentFault(f"the command '{command[0]}' cannot be run: {error.strerror}") from error


def _snapshot(sandbox: Sandbox, args: argparse.Namespace) -> ExitCode:
    if args.what == "list":
        found = sandbox.snapshot_list()
        if args.json:
            _print_json(found)
        else:
            sys.stdout.write("".join(f"{snapshot_id}\n" for snapshot_id in found))
        return ExitCode.OK
    if not args.id:
        raise UsageError(f"which snapshot shall be {args.what}d?", hint=f"labrunner sandbox snapshot {args.what} ID")
    match args.what:
        case "save":
            sandbox.snapshot_save(args.id)
        case "restore":
            sandbox.snapshot_restore(args.id)
        case _:
            sandbox.snapshot_delete(args.id)
    done = {"save": "saved", "restore": "restored", "delete": "deleted"}[args.what]
    if args.json:
        _print_json({"name": sandbox.name, "snapshot": args.id, "done": done})
    else:
        sys.stdout.write(f"snapshot '{args.id}' {done}\n")
    return ExitCode.OK


def _described(status: SandboxStatus) -> dict[str, object]:
    return {
        "name": status.name,
        "health": status.health,
        "directory": str(status.directory),
        "pid": status.pid,
        "server": status.server,
        "version": status.version,
        "uptimeSeconds": round(status.uptime, 1),
        "objects": status.objects or {},
        "mesh": status.mesh or {},
    }


def _print_status(status: SandboxStatus) -> None:
    sys.stdout.write(f"{status.name}: {status.health}\n")
    if status.health == "stopped":
        return
    rows = [("server", status.server), ("pid", str(status.pid or "")), ("directory", str(status.directory))]
    if status.health == "running":
        total = sum((status.objects or {}).values())
        rows += [("version", status.version), ("uptime", f"{status.uptime:.0f} s"), ("objects", str(total))]
        rows += _mesh_rows(status.mesh or {})
    for label, value in rows:
        sys.stdout.write(f"  {label:<10}{value}\n")


def _mesh_rows(mesh: dict[str, Any]) -> list[tuple[str, str]]:
    if not mesh:
        return []
    said = "Envoy runs" if mesh["envoy"] == "running" else mesh.get("problem") or "no pod has a sidecar yet"
    if restarts := mesh["restarts"]:
        times = "once" if restarts == 1 else f"{restarts} times"
        said += f"; it ended unexpectedly {times} and was started again (last: {mesh['lastEnd']})"
    return [("mesh", said), *(("", f"{name}: {words}") for name, words in (mesh.get("problems") or {}).items())]


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
