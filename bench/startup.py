"""What a learner waits for: the command line, the sandbox, a proven lab; and what it costs.

The first frame and key presses: tui_first_frame.py.

python bench/startup.py        one line per figure (medians of 5); exit 1 when a limit is missed
"""

from __future__ import annotations

import os
import pty
import resource
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import ROOT, Figures, median_ms, resident_mb

LABRUNNER = [sys.executable, "-m", "labrunner"]


def main() -> int:
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        environment = {**os.environ, "LABRUNNER_HOME": directory, "TERM": "xterm-256color", "COLORTERM": "truecolor"}

        def run(*words: str) -> None:
            subprocess.run([*LABRUNNER, *words], env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

        figures.add("labrunner --help", median_ms(lambda: run("--help")), "ms", 250)
        figures.add("labrunner list", median_ms(lambda: run("list")), "ms")
        figures.add("sandbox start to first `kubectl get ns`", median_ms(lambda: sandbox(environment)), "ms", 1500)
        figures.add("TUI and sandbox, resident", tui_memory(environment), "MB", 250)
        figures.add("validate apim-istio", median_ms(lambda: run("validate", "apim-istio"), 1) / 1000, "s", 15)
        figures.add("10 MB of block output", output_cpu(10), "CPU-s", 2)
    return 1 if figures.missed else 0


def tui_memory(environment: dict[str, str]) -> float:
    """Resident megabytes of the TUI, its shell and its sandbox once a lab is open."""
    child = _Terminal(environment, ["run", "apim-istio"])
    child.read_for(6)
    total = sum(resident_mb(pid) for pid in _family(child.pid))
    child.kill()
    return total


def sandbox(environment: dict[str, str]) -> None:
    subprocess.run([*LABRUNNER, "sandbox", "start"], env=environment, check=True, stdout=subprocess.DEVNULL)
    words = [*LABRUNNER, "sandbox", "exec", "--", "kubectl", "get", "ns"]
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*LABRUNNER, "sandbox", "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)


def output_cpu(count: int) -> float:
    """CPU seconds of the engine's shell (reader, parser, bash and the command) for so many megabytes of output."""
    from labrunner.run.shell import Shell

    line = "\\033[32m" + "x" * 80 + "\\033[0m ok"
    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        before = _cpu()
        shell = Shell(Path(directory), cwd=Path(directory), environment=dict(os.environ), mark="bench")
        shell.start()
        received = 0

        def sink(text: str) -> None:
            nonlocal received
            received += len(text)

        shell.run(f"yes \"$(printf '{line}')\" | head -c {count * 1_000_000}", timeout=120, sink=sink)
        shell.close()
        if received < count * 1_000_000 * 0.9:
            raise SystemExit(f"only {received} characters arrived")
        return _cpu() - before


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        queue += children.get(one, [])
    return found


class _Terminal:
    def __init__(self, environment: dict[str, str], words: list[str]) -> None:
        self.pid, self._fd = pty.fork()
        if not self.pid:
            os.chdir(ROOT)
            os.execvpe(LABRUNNER[0], [*LABRUNNER, *words], {**environment, "LINES": "40", "COLUMNS": "120"})

    def read_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self._fd], [], [], 0.1)[0]:
                os.read(self._fd, 65536)

    def kill(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


if __name__ == "__main__":
    sys.exit(main())
