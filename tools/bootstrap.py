"""Make the checkout's virtual environment from the lock file, then run a command in it.

    python3 tools/bootstrap.py run|dev COMMAND [ARGUMENT ...]

Needs only Python 3.11+ and its standard library. The environment is `.venv` in the checkout (where that cannot be
written, a folder of the user's cache), is made once per lock file and interpreter, and a set-up that was interrupted
is made again from scratch. Two set-ups at the same time wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str]) -> int:
    if len(argv) < 2 or argv[0] not in ("run", "dev"):
        sys.stderr.write(__doc__ or "")
        return 2
    base = ROOT if os.access(ROOT, os.W_OK) else cache()
    where = base / (".venv" if base == ROOT else "venv")
    # What serves development serves to run as well.
    if not any(ready(where, purpose) for purpose in {argv[0], "dev"}):
        try:
            install(where, argv[0])
        except subprocess.CalledProcessError as error:
            command = " ".join(map(str, error.cmd[:4]))
            say(f"set-up failed: {command} ... exited {error.returncode}; its own words are above")
            say("  Check that pip can reach a package index (pip config list), then run this again.")
            return 3
        except OSError as error:
            say(f"set-up failed: {error}\n  Mend that, then run this again.")
            return 3
        except KeyboardInterrupt:
            say("set-up interrupted; run this again to finish it")
            return 130
    environ = {**os.environ, "PATH": f"{where / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    environ["VIRTUAL_ENV"] = str(where)
    environ.pop("PYTHONHOME", None)
    program = where / "bin" / argv[1]
    os.execve(program, [str(program), *argv[2:]], environ)


def lock_file(purpose: str) -> Path:
    return ROOT / "requirements" / f"{purpose}.lock"


def digest(purpose: str) -> str:
    """Changes when the environment must be made again."""
    parts = (lock_file(purpose).read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), bytes(ROOT))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def mark(where: Path, purpose: str) -> Path:
    return where / f".labrunner-{purpose}"


def ready(where: Path, purpose: str) -> bool:
    """Whether it was made from what is here now, with an interpreter that is still there."""
    try:
        made = mark(where, purpose).read_text() == digest(purpose)
    except OSError:
        return False
    return made and os.access(where / "bin" / "python", os.X_OK)


def install(where: Path, purpose: str) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    with (where.parent / ".venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if ready(where, purpose):
            return
        version = sys.version.split()[0]
        say(f"setting up {where.name} with Python {version} from requirements/{purpose}.lock (once, about a minute)")
        python = where / "bin" / "python"
        if not working(python) or not any(where.glob(".labrunner-*")):
            shutil.rmtree(where, ignore_errors=True)
            make(where)
        # What the user has set for pip, apart from where packages come from, must not leak in.
        leaks = ("PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PYTHONPATH", "PYTHONHOME")
        environ = {k: v for k, v in os.environ.items() if k not in leaks} | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        pip = [python, "-m", "pip", "-qq", "--no-input", "install"]
        subprocess.run([*pip, "--require-hashes", "-r", lock_file(purpose)], check=True, env=environ)
        subprocess.run([*pip, "--no-deps", "--editable", ROOT], check=True, env=environ)
        # Compiled once here: where bytecode is not written (PYTHONDONTWRITEBYTECODE), every start would pay for it.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        # A checkout that cannot be written goes without, which is nothing to complain about.
        subprocess.run([python, "-m", "compileall", "-qq", ROOT / "labrunner"], check=False, env=environ)
        mark(where, purpose).write_text(digest(purpose))


def working(python: Path) -> bool:
    try:
        done = subprocess.run(
            [python, "-c", "import sys, pip; print(sys.version)"], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == sys.version


def make(where: Path) -> None:
    """An environment with pip in it, also where Debian split `ensurepip` off."""
    try:
        import ensurepip  # noqa: F401

        venv.create(where, with_pip=True, symlinks=True)
        return
    except ImportError:
        pass
    if shutil.which("uv"):
        subprocess.run(["uv", "venv", "--quiet", "--seed", "--python", sys.executable, where], check=True)
        return
    venv.create(where, with_pip=False, symlinks=True)
    outer = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if outer.returncode:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise OSError(
            f"this Python has neither ensurepip nor pip: install python{version}-venv (Debian, Ubuntu: "
            f"apt-get install python{version}-venv) or uv"
        )
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--python", where / "bin" / "python", "install", "pip"], check=True
    )


def cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "labrunner" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
