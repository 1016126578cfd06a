"""Full-screen editors are not pretended: they say so, and what to do instead."""

from __future__ import annotations

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.table import program


@program("vi", "vim", "nano")
async def editor(process: Process) -> int:
    """Shows the file, and how to change it without an editor."""
    names = [w for w in process.argv[1:] if not w.startswith(("-", "+"))]
    if names:
        try:
            await process.write(process.read_file(names[0]))
        except OSError:
            await process.error(f'"{names[0]}" [New file]\n')
    await process.error(f"{process.name}: there is no screen editor in this sandbox; use `cat > "
                        f"{names[0] if names else 'FILE'}`, "
                        "`sed -i` or `kubectl cp`.\n")  # fmt: skip
    return 1
