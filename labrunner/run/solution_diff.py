"""What a solution would change in the cluster: its `kubectl apply` asked as `kubectl diff`, which changes nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

TIMEOUT: Final = 10.0
"""Seconds for one block; kubectl asks the server once per object."""

_APPLY: Final = re.compile(
    r"kubectl apply (?P<arguments>(?:[^\n;&|`<>$()]|\\\n|\$\w+|\$\{\w+\})*)(?P<heredoc><<.*)?", re.S
)
_HEREDOC: Final = re.compile(
    r"<<(?P<dash>-?)\s*(?P<quote>['\"]?)(?P<word>\w+)(?P=quote)[ \t]*\n(?P<body>.*\n)?\s*(?P=word)", re.S
)
_HEADER: Final = re.compile(r"^diff .*?(?P<object>[^/\s]+)\s+\S+$")


def as_diff(command: str) -> str | None:
    """The command that shows what `command` would change; None when it is more than one `kubectl apply`."""
    found = _APPLY.fullmatch(command.strip())
    if found is None:
        return None
    if heredoc := found["heredoc"]:
        body = _HEREDOC.fullmatch(heredoc.strip())
        if body is None or (not body["quote"] and re.search(r"\$\(|`", body["body"] or "")):
            return None  # another command would run inside
    if re.search(r"(^|\s)--(dry-run|prune|wait|force|output|server-side)\b|(^|\s)-o", found["arguments"]):
        return None
    return "kubectl diff " + command.strip().removeprefix("kubectl apply ")


def difference(command: str, environment: Mapping[str, str], cwd: Path) -> str | None:
    """Unified diff from what the cluster has to what the command would make of it, without the server's bookkeeping.

    Empty when nothing differs; None when it cannot be told.
    """
    asked = as_diff(command)
    if asked is None:
        return None
    clean = {key: value for key, value in environment.items() if key != "KUBECTL_EXTERNAL_DIFF"}
    try:
        done = subprocess.run(
            ["bash", "-c", asked], env=clean, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode > 1:
        return None
    return readable(done.stdout.decode("utf-8", "replace"))


def readable(diff: str) -> str:
    """kubectl's diff with the object's name for its temporary files' and without lines that the server alone writes."""
    lines: list[str] = []
    for line in diff.splitlines():
        if header := _HEADER.match(line):
            lines.append(f"@ {header['object']}")
        elif not line.startswith(("--- ", "+++ ", "@@")) and not re.match(
            r"^[+-]\s+(generation|resourceVersion|uid|creationTimestamp):", line
        ):
            lines.append(line)
    changed = any(line[:1] in "+-" for line in lines if line)
    return "\n".join(lines) if changed else ""
