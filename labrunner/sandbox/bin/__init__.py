"""The commands put on the learner's PATH that are modules of ours: small scripts that start them with our Python."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from pathlib import Path

COMMANDS = {"istioctl": "labrunner.sandbox.istioctl", "labrunner": "labrunner"}
"""Command -> the module that `python -m` runs."""

OPENSSL = """#!/bin/sh
# `openssl s_client` reaches the sandbox's LoadBalancer addresses through its proxy; all else is openssl's own.
PATH=$(printf %s "$PATH" | tr : '\\n' | grep -vxF "${0%/*}" | paste -sd: -)
relay=@RELAY@
if [ "$1" = s_client ] && [ -r "$relay" ]; then
  read -r place password < "$relay"
  shift
  exec openssl s_client -proxy "$place" -proxy_user labrunner -proxy_pass "pass:$password" "$@"
fi
exec openssl "$@"
"""


def install(folder: Path) -> None:
    """Write what is missing or differs, atomically. Raises OSError.

    The front of a tool that this machine lacks is taken away: it would make the tool look as if it were there.
    """
    package_root = str(Path(__file__).resolve().parents[3])
    for name, module in COMMANDS.items():
        text = (
            "#!/bin/sh\n"
            f'PYTHONPATH={shlex.quote(package_root)}"${{PYTHONPATH:+:$PYTHONPATH}}"; export PYTHONPATH\n'
            f'exec {shlex.quote(sys.executable)} -m {module} "$@"\n'
        )
        _place(folder / name, text)
    relay = folder.parent / "mesh" / "client" / "relay"
    elsewhere = os.pathsep.join(p for p in os.environ.get("PATH", os.defpath).split(os.pathsep) if p != str(folder))
    if shutil.which("openssl", path=elsewhere) is None:
        (folder / "openssl").unlink(missing_ok=True)
    else:
        _place(folder / "openssl", OPENSSL.replace("@RELAY@", shlex.quote(str(relay))))


def _place(place: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        if place.read_text() == text:
            return
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.chmod(0o755)
    os.replace(fresh, place)
