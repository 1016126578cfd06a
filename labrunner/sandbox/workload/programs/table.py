"""Finds programs by name; the module of a program is imported when it is first started."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from labrunner.sandbox.workload.machine.process import Program

_WHERE = {
    "basic": "echo true false yes sleep printf test [ env printenv pwd date seq expr nohup timeout watch time "
    "which uname hostname arch nproc uptime id whoami groups clear tty sync usleep mktemp init tini pause setsid",
    "files": "cat mkdir rmdir rm touch ln readlink realpath basename dirname find truncate",
    "listing": "ls stat du df mount tree",
    "modes": "chmod chown chgrp",
    "copying": "cp mv dd install",
    "text": "head tail wc cut tr tee grep egrep fgrep nl rev tac paste fold split column less more jq",
    "sorting": "sort uniq comm",
    "xargs": "xargs",
    "dumps": "od hexdump xxd strings",
    "comparing": "cmp diff",
    "encode": "base64 md5sum sha1sum sha256sum sha512sum cksum gzip gunzip zcat",
    "streams": "sed awk",
    "archive": "tar",
    "processes": "ps kill killall pidof pgrep pkill top free vmstat",
    "editors": "vi vim nano",
    "resolving": "nslookup dig host getent",
    "netcat": "nc telnet",
    "network": "ip ifconfig netstat ss arp route",
    "ping": "ping traceroute",
    "curl": "curl",
    "wget": "wget",
    "openssl": "openssl",
    "postgres": "psql pg_isready",
    "mesh": "pilot-agent",
    "small": "busybox stty nice ionice unlink factor shuf expand unexpand dos2unix unix2dos",
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names.split()}
_LOADED: dict[str, Program] = {}


def program(*names: str) -> Callable[[Program], Program]:
    """Register the function as these programs."""

    def register(function: Program) -> Program:
        for name in names:
            _LOADED[name] = function
        return function

    return register


def lookup(name: str) -> Program | None:
    """The program of this name; `app:` programs are servers of `labrunner.sandbox.workload.apps`."""
    found = _LOADED.get(name)
    if found is not None:
        return found
    if name in ("sh", "bash", "ash", "zsh"):
        from labrunner.sandbox.workload.shell import program as shell_program

        return shell_program.main
    if name.startswith("app:"):
        from labrunner.sandbox.workload.apps import table

        return table.program(name.removeprefix("app:"))
    module = _MODULES.get(name)
    if module is None:
        return None
    try:
        importlib.import_module(f"labrunner.sandbox.workload.programs.{module}")
    except ModuleNotFoundError:
        return None
    return _LOADED.get(name)


def exists(name: str) -> bool:
    """Whether there is such a program at all."""
    return name in _MODULES or name in ("sh", "bash", "ash", "zsh")
