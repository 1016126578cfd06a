"""Reads a container's command far enough to know whether it ends, when and with which status.

Not a shell: the simple commands that manifests are made of (`sleep`, `exit`, `echo`, loops that never end). Anything
it does not know succeeds at once.
"""

from __future__ import annotations

import os.path
import re
import shlex
from dataclasses import dataclass

from labrunner.sandbox.workload.images import Image

SHELLS = {"sh", "bash", "ash", "dash", "zsh"}
_USUAL_WORDS = (
    "sh bash ash dash env printenv sleep true false echo printf cat ls cp mv rm mkdir rmdir touch ln chmod "
    "chown date id whoami hostname uname pwd ps kill head tail grep sed awk cut sort uniq wc tr tee find "
    "xargs test expr seq yes nc wget nslookup ping ifconfig ip netstat tar gzip gunzip base64 md5sum "
    "sha256sum od hexdump vi more less du df mount umount free top watch timeout time nohup setsid stat "
    "readlink dirname basename mktemp dd sync "
)
_USUAL = frozenset(_USUAL_WORDS.split())
_FOREVER = re.compile(r"\bwhile\s+(?:true|:|\[\s*1\s*\]|sleep\b)|\buntil\s+false\b|\bfor\s*\(\(\s*;\s*;\s*\)\)")
_FOLLOWS = re.compile(r"\btail\s+(?:-\S+\s+)*-(?:f|F|\w*f\w*)\b|\bsleep\s+(?:inf|infinity)\b")
_SERVES = re.compile(
    r"\b(?:nginx|httpd|apache2|python3?\s+-m\s+http\.server|httpd-foreground|nc\s+-\S*l|redis-server|postgres|mongod"
    r"|mysqld|java|gunicorn|uvicorn|flask|node\s+\S+)\b"
)
_CLIENTS = {"curl", "openssl", "psql", "redis-cli", "mysql", "mariadb", "mysqladmin", "mongosh", "pg_isready", "dig"}
"""Programs of serving images that do not serve."""
_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Plan:
    """`exit_code` None: never ends by itself."""

    exit_code: int | None = 0
    seconds: float = 0.0
    output: str = ""
    serves: bool = False
    missing: str = ""
    """The program that is not there."""
    honours_term: bool = False
    """A shell or `sleep` as process 1 ignores SIGTERM."""


def plan(argv: list[str], image: Image | None) -> Plan:
    """What this command line does, in this image if one is given."""
    if not argv:
        return Plan()
    program = os.path.basename(argv[0])
    if program in ("docker-entrypoint.sh", "entrypoint.sh", "tini", "dumb-init") and len(argv) > 1:
        return plan([a for a in argv[1:] if a != "--"], image)
    known = image is None or program in _programs(image)
    if not known and ("/" not in argv[0] or program in _USUAL):
        return Plan(exit_code=128, missing=argv[0])
    if program in SHELLS:
        for index, word in enumerate(argv[1:], 1):
            if re.fullmatch(r"-[a-z]*c", word) and index + 1 < len(argv):
                return _script(argv[index + 1])
        return Plan()
    if image is not None and _serves(argv, program, image):
        return Plan(exit_code=None, serves=True, honours_term=True)
    return _simple(argv)


def _serves(argv: list[str], program: str, image: Image) -> bool:
    own = program in image.programs or _is_default(argv, image)
    return own and image.does == "serves" and program not in _CLIENTS


def _programs(image: Image) -> set[str]:
    own = {os.path.basename(word) for word in (*image.entrypoint[:1], *image.cmd[:1])}
    return own | set(image.programs) | (_USUAL if image.shell else set())


def _is_default(argv: list[str], image: Image) -> bool:
    default = [*image.entrypoint, *image.cmd]
    return bool(default) and os.path.basename(argv[0]) == os.path.basename(default[0])


def _script(text: str) -> Plan:
    """Adds up the sleeps on the way to an `exit`, a failing last command or the end."""
    total, status = 0.0, 0
    output: list[str] = []
    for statement in _statements(text):
        if _FOREVER.search(statement) or _FOLLOWS.search(statement):
            return Plan(None, total, "".join(output))
        if _SERVES.search(statement) and not statement.strip().startswith(("echo", "printf", "#")):
            return Plan(None, total, "".join(output), serves=True)
        for part in re.split(r"\|\||&&|(?<!\|)\|(?!\|)", statement):
            words = _words(part)
            if not words:
                continue
            if words[0] == "exit":
                code = int(words[1]) if len(words) > 1 and words[1].lstrip("-").isdigit() else status
                return Plan(code & 0xFF, total, "".join(output))
            step = _simple(words)
            total, status = total + step.seconds, step.exit_code or 0
            output.append(step.output)
            if step.exit_code is None:
                return Plan(None, total, "".join(output), step.serves)
    return Plan(status, total, "".join(output))


def _statements(text: str) -> list[str]:
    """Split at `;` and newlines outside quotes; an endless loop stays in one piece with what follows it."""
    pieces, current, quote = [], "", ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        if char in ";\n" and not quote:
            pieces.append(current)
            current = ""
        else:
            current += char
    return [piece for piece in [*pieces, current] if piece.strip()]


def _words(text: str) -> list[str]:
    text = re.sub(r"^\s*(?:(?:do|then|else|if|!|\{|\()\s+)*", "", text).strip()
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    return words[1:] if words[:1] == ["exec"] else words


def _simple(words: list[str]) -> Plan:
    program = os.path.basename(words[0])
    if program == "sleep":
        return _sleep(words[1:])
    if program == "false":
        return Plan(1)
    if program == "echo":
        return Plan(0, output=" ".join(words[1:]) + "\n")
    if program in ("tail", "watch", "yes", "top", "pause") and (program != "tail" or _FOLLOWS.search(" ".join(words))):
        return Plan(None)
    if _SERVES.search(" ".join(words)):
        return Plan(None, serves=True, honours_term=True)
    return Plan(0)


def _sleep(words: list[str]) -> Plan:
    total = 0.0
    for word in words:
        if word in ("inf", "infinity"):
            return Plan(None)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", word)
        if not found:
            return Plan(1, output=f"sleep: invalid number '{word}'\n")
        total += float(found[1]) * _UNIT.get(found[2], 1)
    return Plan(0, total)
