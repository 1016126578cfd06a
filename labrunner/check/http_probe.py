"""Performs HTTP requests for real, with curl: from a workload's container through `kubectl exec`, or from the host."""

from __future__ import annotations

import re
import shlex
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from labrunner.check.probe import run_probe
from labrunner.errors import EnvironmentFault
from labrunner.sandbox.mesh.access_log import TRACE_HEADER

HOST: Final = "host"
"""The caller that is the learner's own machine."""
_AT_ONCE: Final = 100
"""Requests of one `kubectl exec`."""
_KEPT: Final = 32 * 1024 * 1024
"""Bytes kept of their answers."""
_PLACE, _VARIABLE = "labrunner-id-goes-here", "id"
_TIME, _EXIT = "#labrunner-time:", "#labrunner-exit:"
_NO_CURL = re.compile(r"curl: (command )?not found|sh: .*curl.*not found|exec: \"sh\".*not found")
_CANNOT_EXEC = re.compile(r"^(error|Error from server).*", re.MULTILINE)

REQUEST_PROPERTIES: Final[dict[str, Any]] = {
    "from": {
        "type": "string",
        "minLength": 1,
        "description": "Who calls: a Pod's name, `deploy/NAME` (or another workload), or `host`, the lab's machine.",
    },
    "namespace": {"type": "string", "description": "The caller's namespace; default: the context's."},
    "container": {"type": "string", "description": "The container that has curl; default: the Pod's default."},
    "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 120, "description": "Seconds; default 5."},
}


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask, and from where."""

    url: str
    source: str = HOST
    namespace: str = ""
    container: str = ""
    method: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    curl: tuple[str, ...] = ()
    """Further arguments: `--cacert`, `--cert`, `--resolve` ..."""
    timeout: float = 5.0

    def command(self, request_id: str = "") -> str:
        """The curl command as one would type it."""
        return shlex.join(self._words(request_id))

    def looped(self, prefix: str, times: int) -> str:
        """The same for a shell that asks `times` times, with ids `prefix` + a counter of 12 digits."""
        command = shlex.join(self._words(_PLACE)).replace(_PLACE, f"'\"${_VARIABLE}\"'")
        count = f"{prefix}%012d"
        return (
            f"n=0; while [ $n -lt {times} ]; do {_VARIABLE}=$(printf {shlex.quote(count)} $n); "
            f"{_reported(command)}; n=$((n + 1)); done"
        )

    @property
    def own_id(self) -> str:
        """The x-request-id that the lab gives it; empty: none."""
        return next((value for name, value in self.headers.items() if name.lower() == "x-request-id"), "")

    def caller(self) -> str:
        """How the mesh is asked about who sent it."""
        return HOST if self.source == HOST else f"{self.namespace or 'default'}/{self.source}"

    def _words(self, request_id: str) -> list[str]:
        words = ["curl", "-sS", "-i", "-m", f"{self.timeout:g}"]
        if self.method:
            words += ["-I"] if self.method == "HEAD" else ["-X", self.method]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        if request_id:
            words += ["-H", f"{TRACE_HEADER}: {request_id}"]
            if not self.own_id:
                words += ["-H", f"x-request-id: {request_id}"]
        if self.data:
            words += ["-d", self.data]
        return [*words, *self.curl, self.url]


def _reported(command: str) -> str:
    written = shlex.quote(f"\n{_TIME}%{{time_total}}\n")
    return f"{command} -w {written} 2>&1; printf '{_EXIT}%s\\n' $?"


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: no HTTP response came; `exit` is curl's."""

    request_id: str
    exit: int
    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: str
    seconds: float
    error: str = ""
    """curl's own words."""
    mark: str = ""
    """What the request carried as `x-labrunner-trace`."""
    started: float = 0.0
    """Not before this: seconds since the epoch."""

    def outcome(self) -> str:
        """For people: `403` or `curl: (56) Recv failure`."""
        return str(self.status) if self.status else self.error or f"curl exit {self.exit}"


def perform(request: Request, cwd: Path, environment: Mapping[str, str], times: int = 1) -> list[Answer]:
    """Ask `times` times, one after another. Raises EnvironmentFault when the caller cannot be made to call."""
    answers: list[Answer] = []
    while len(answers) < times:
        answers += _perform(request, cwd, environment, min(times - len(answers), _AT_ONCE))
    must_have_curl(request, answers)
    return answers


def must_have_curl(request: Request, answers: Sequence[Answer]) -> None:
    """Raises EnvironmentFault when the caller turned out to have no curl."""
    if any(_NO_CURL.search(a.error or a.body) and a.exit in (126, 127) for a in answers):
        raise EnvironmentFault(f"{request.source} has no curl.", hint="Name a Pod, or a container, that has it.")


def _perform(request: Request, cwd: Path, environment: Mapping[str, str], times: int) -> list[Answer]:
    """One shell that asks `times` times."""
    first = str(uuid.uuid4())
    ids = [first] if times == 1 else [f"{first[:24]}{number:012d}" for number in range(times)]
    script = _reported(request.command(first)) if times == 1 else request.looped(first[:24], times)
    started = time.time()
    result = run_probe(_from_caller(request, script), cwd, environment, (request.timeout + 1) * times + 10, keep=_KEPT)
    answers = answers_in(result.stdout, [request] * times, ids, started)
    if len(answers) < times:
        said = "the answers are too long" if result.truncated else (result.stderr or result.stdout).strip()[-300:]
        raise cannot_send(request, said)
    return answers


def series(requests: Sequence[Request], marks: Sequence[str]) -> str:
    """The shell command that sends requests of one caller, one after another, for `answers_in` to read."""
    lines = [_reported(request.command(mark)) for request, mark in zip(requests, marks, strict=True)]
    return _from_caller(requests[0], "\n".join(lines))


def answers_in(output: str, requests: Sequence[Request], marks: Sequence[str], started: float) -> list[Answer]:
    """The answers that have come whole, in order."""
    chunks = re.split(rf"{_EXIT}(\d+)\n?", output)
    return [
        _answer(mark, request.own_id or mark, started, chunks[n * 2], int(chunks[n * 2 + 1]))
        for n, (request, mark) in enumerate(zip(requests, marks, strict=True))
        if n * 2 + 1 < len(chunks)
    ]


def cannot_send(request: Request, said: str) -> EnvironmentFault:
    caller = "the lab's machine" if request.source == HOST else request.source
    return EnvironmentFault(f"{caller} cannot send the request: {said or 'it did not end in time'}.")


def _from_caller(request: Request, script: str) -> str:
    if request.source == HOST:
        return script
    where = ["--namespace", request.namespace] if request.namespace else []
    inside = ["--container", request.container] if request.container else []
    return shlex.join(["kubectl", "exec", request.source, *where, *inside, "--", "sh", "-c", script])


def _answer(mark: str, request_id: str, started: float, text: str, code: int) -> Answer:
    before, _, after = text.partition(_TIME)
    seconds = float(after.split()[0]) if after.split() and re.fullmatch(r"[\d.]+", after.split()[0]) else 0.0
    said = [line for line in text.replace("\r", "").splitlines() if line.startswith("curl: ")]
    status, headers, rest = 0, {}, before.removesuffix("\n").replace("\r\n", "\n").lstrip("\n")
    while rest.startswith("HTTP/"):
        head, _, rest = rest.partition("\n\n")
        first, *fields = head.split("\n")
        words = first.split()
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        headers = {n.strip().lower(): v.strip() for n, _, v in (each.partition(":") for each in fields)}
    error = said[-1] if said else rest[-200:] if code else ""
    return Answer(request_id, code, status, headers, rest, seconds, error, mark, started)


def of_params(params: Mapping[str, Any]) -> Request:
    """The request that a check's parameters describe."""
    return Request(
        url=params["url"],
        source=params.get("from", HOST),
        namespace=params.get("namespace", ""),
        container=params.get("container", ""),
        method=params.get("method", ""),
        headers={str(k): str(v) for k, v in (params.get("headers") or {}).items()},
        data=params.get("data", ""),
        curl=tuple(_words(params.get("curl", ()))),
        timeout=float(params.get("timeout", 5)),
    )


def _words(curl: str | Sequence[str]) -> Sequence[str]:
    return shlex.split(curl) if isinstance(curl, str) else [str(word) for word in curl]
