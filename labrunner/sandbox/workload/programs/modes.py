"""`chmod`, `chown` and `chgrp`."""

from __future__ import annotations

import errno

from labrunner.sandbox.workload.filesystem.node import Directory
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.files import reason, walk
from labrunner.sandbox.workload.programs.mode_words import changed_mode
from labrunner.sandbox.workload.programs.options import lacking
from labrunner.sandbox.workload.programs.table import program


@program("chmod")
async def chmod(process: Process) -> int:
    words = process.argv[1:]
    recursive = any(w in ("-R", "--recursive") for w in words)
    words = [w for w in words if w not in ("-R", "--recursive", "-v", "-f", "-c", "--")]
    if len(words) < 2:
        return await lacking(process)
    status = 0
    for name in words[1:]:
        for path in walk(process, name) if recursive else [name]:
            try:
                node = process.fs.node(path, process.cwd)
                mode = changed_mode(words[0], node.mode, isinstance(node, Directory))
                if mode is None:
                    return await process.fail(f"invalid mode: ‘{words[0]}’" if process.container.family == "debian" else
                                              f"invalid mode '{words[0]}'")  # fmt: skip
                if process.owner.uid not in (0, node.uid):
                    raise OSError(errno.EPERM, "Operation not permitted")
                process.fs.change(path, process.cwd).mode = mode
            except OSError as error:
                gnu = process.container.family == "debian"
                missing = error.errno == errno.ENOENT
                words_ = (
                    (f"cannot access '{path}'" if missing else f"changing permissions of '{path}'") if gnu else path
                )
                status = await process.fail(f"{words_}: {reason(error)}")
            await process.breathe()
    return status


@program("chown", "chgrp")
async def chown(process: Process) -> int:
    words = process.argv[1:]
    recursive = any(w in ("-R", "--recursive") for w in words)
    words = [w for w in words if not w.startswith("-")]
    if len(words) < 2:
        return await lacking(process)
    user, _, group = words[0].partition(":") if process.name == "chown" else ("", "", words[0])
    container, status = process.container, 0
    if user and not user.isdigit() and not any(row[0] == user for row in container.table("/etc/passwd")):
        return await process.fail(
            f"invalid user: ‘{words[0]}’" if container.family == "debian" else f"unknown user {user}"
        )
    uid = container.owner_of(user).uid if user else None
    gid = container.owner_of(f"root:{group}").gid if group else None
    for name in words[1:]:
        for path in walk(process, name) if recursive else [name]:
            try:
                process.fs.node(path, process.cwd)
                if process.owner.uid != 0:
                    raise OSError(errno.EPERM, "Operation not permitted")
                node = process.fs.change(path, process.cwd)
                node.uid = node.uid if uid is None else uid
                node.gid = node.gid if gid is None else gid
            except OSError as error:
                gnu = container.family == "debian"
                text = f"changing ownership of '{path}'" if gnu else path
                status = await process.fail(f"{text}: {reason(error)}")
            await process.breathe()
    return status
