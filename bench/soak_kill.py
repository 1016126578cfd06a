"""Kills labrunner with SIGKILL at random moments, and proves that nothing shown as done is lost.

    python bench/soak_kill.py [--kills 100] [--seed N]

Three kinds of process are killed in turn. A *session* walks a small lab with the real engine, shell and journal, and
prints every durable event when it hears it; the journal must then hold all of them, in order, with no line that
cannot be read, and the next session must go on from there. The *interface* (`labrunner run` on a terminal, with keys
pressed) must have kept every event its journal had when it was started. A *validation* (`labrunner validate` on a
sandbox of its own) must leave a journal that can be read. After each kill no process of it may live, shells and
sandboxes included.
Exits 1 with what was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

LAB = """\
apiVersion: labrunner/v1
kind: Lab
metadata: {id: soak, title: Soak, summary: For the soak., level: beginner, minutes: 1}
parts:
  - id: only
    title: Only
    steps:
STEPS"""
STEP = """\
      - id: sN
        title: Step N
        instructions: |
          Write it.
        checks:
          - id: file-N
            title: File N says done
            file: {path: file-N.txt, content: {$matches: "^done"}}
        hints: [One., Two.]
        solution:
          - {id: write-N, run: "sleep 300 & echo done > file-N.txt; kill %%"}
        cleanup:
          - {id: remove-N, run: rm -f file-N.txt}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--session", metavar="DIR", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.session:
        return walk(Path(args.session))
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    with tempfile.TemporaryDirectory(prefix="labrunner-soak-") as name:
        return soak(Path(name), args.kills, random.Random(seed), seed)


# -- the session that is killed


def walk(directory: Path) -> int:
    """Walk the lab for ever, telling every durable event on stdout once it is heard."""
    from labrunner.check.registry import kinds
    from labrunner.lab.loader import load_lab
    from labrunner.run.engine import Engine
    from labrunner.run.events import Event, to_json

    def tell(event: Event) -> None:
        if event.durable:
            os.write(1, json.dumps(to_json(event)).encode() + b"\n")

    lab = load_lab(directory / "soak", kinds())
    engine = Engine(lab, _Nowhere(), directory=directory / "session")
    engine.subscribe(tell)
    engine.start()
    while True:
        for step in lab.steps:
            engine.enter(step)
            engine.check(step, wait=False)
            engine.hint(step)
            engine.solve(step)
            engine.check(step)
            engine.clean_up(step)


class _Nowhere:
    """A target without a world: this is about the session."""

    name = "sandbox"
    features: frozenset[str] = frozenset()

    def start(self) -> None:
        return

    def stop(self) -> None:
        return

    def environment(self) -> Mapping[str, str]:
        return {}

    def kube(self):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def snapshot(self, snapshot_id: str) -> bool:
        return False

    def restore(self, snapshot_id: str) -> bool:
        return False


# -- the one who kills


def soak(base: Path, kills: int, chance: random.Random, seed: int) -> int:
    (base / "soak").mkdir()
    steps = "".join(STEP.replace("N", str(number)) for number in range(4))
    (base / "soak" / "lab.yaml").write_text(LAB.replace("STEPS", steps))
    environment = {**os.environ, "LABRUNNER_HOME": str(base / "home"), "TMPDIR": str(base / "tmp"), "HOME": str(base)}
    (base / "tmp").mkdir()
    trust(base, environment)
    shown: list[str] = []
    resumed = interfaces = 0
    for number in range(kills):
        if number % 5 == 4:
            what = kill_interface(base, environment, chance)
            if what:
                return lost(seed, number, what)
            interfaces += 1
            continue
        validating = number % 5 == 3
        command = (
            [sys.executable, "-m", "labrunner", "validate", str(base / "soak")]
            if validating
            else [sys.executable, str(Path(__file__).resolve()), "--session", str(base)]
        )
        out = base / "out"
        with open(out, "wb") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
                start_new_session=True,
            )  # fmt: skip
            time.sleep(chance.uniform(0.05, 2.5 if validating else 1.5))
            process.kill()
            process.wait()
        left = living(base)
        if left:
            return lost(seed, number, "processes were left: " + "; ".join(left))
        if validating:
            for journal in (base / "tmp").glob("labrunner-validate-*/*/session"):
                _, notes = journal_of(journal)
                if notes:
                    return lost(seed, number, f"the validation's journal has lines that cannot be read: {notes}")
            continue
        lines = out.read_bytes().split(b"\n")[:-1]
        told = [line.decode() for line in lines if line.startswith(b"{")]
        if len(told) != len(lines):
            return lost(seed, number, "the session said: " + b"\n".join(lines[-20:]).decode(errors="replace"))
        shown += told
        resumed += bool(told) and json.loads(told[0]).get("resumed") is True
        kept, notes = journal_of(base / "session")
        if notes:
            return lost(seed, number, f"lines of the journal cannot be read: {notes}")
        missing = first_missing(shown, kept)
        if missing is not None:
            return lost(seed, number, f"it was shown and is not in the journal: {missing}")
    in_interface = len(journal_of(base / "home" / "state" / "sessions" / "soak" / "sandbox")[0])
    print(f"{kills} kills, {len(shown)} events shown, none lost; {resumed} sessions resumed (seed {seed})")
    print(f"the interface was killed {interfaces} times and kept {in_interface} events")
    return 0


def trust(base: Path, environment: Mapping[str, str]) -> None:
    """Say yes for the learner: the soak's lab does not come with labrunner."""
    code = (
        "import sys; from pathlib import Path; from labrunner.lab.loader import load_lab; "
        "from labrunner.lab.trust import trust; from labrunner.check.registry import kinds; "
        "trust(load_lab(Path(sys.argv[1]), kinds()))"
    )
    subprocess.run([sys.executable, "-c", code, str(base / "soak")], env=dict(environment), check=True)


def kill_interface(base: Path, environment: Mapping[str, str], chance: random.Random) -> str:
    """Open the lab in the interface, press keys, kill it. Returns what was lost; empty when nothing was."""
    import pexpect

    directory = base / "home" / "state" / "sessions" / "soak" / "sandbox"
    before, _ = journal_of(directory)
    child = pexpect.spawn(
        sys.executable, ["-m", "labrunner", "run", str(base / "soak")], timeout=10, dimensions=(40, 120),
        env={**environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    until = time.monotonic() + chance.uniform(0.3, 6.0)
    while time.monotonic() < until:
        try:
            child.read_nonblocking(65536, timeout=0.1)
        except pexpect.TIMEOUT:
            child.send(chance.choice(["r", "c", "h", "n", "p", "s"]))
        except pexpect.EOF:
            return "the interface ended by itself"
    child.kill(9)
    child.close(force=True)
    left = living(base)
    if left:
        return "processes were left: " + "; ".join(left)
    kept, notes = journal_of(directory)
    if notes:
        return f"lines of the journal cannot be read: {notes}"
    return "" if kept[: len(before)] == before else "the journal lost what it had"


def lost(seed: int, number: int, what: str) -> int:
    print(f"kill {number + 1} (seed {seed}): {what}", file=sys.stderr)
    return 1


def journal_of(directory: Path) -> tuple[list[str], list[str]]:
    from labrunner.run.events import to_json
    from labrunner.run.journal import Reader
    from labrunner.run.session import load

    load(directory)
    reader = Reader(directory / "journal.jsonl")
    return [json.dumps(to_json(event)) for event in reader.read()], reader.notes


def first_missing(shown: list[str], kept: list[str]) -> str | None:
    """The first that was shown and is not kept, in this order; what was kept and not shown may lie between."""
    rest = iter(kept)
    return next((event for event in shown if not any(event == other for other in rest)), None)


def living(base: Path, patience: float = 5.0) -> list[str]:
    """Command lines of processes that still know this soak's home, after a moment to end."""
    deadline = time.monotonic() + patience
    while True:
        found = []
        for directory in Path("/proc").iterdir():
            if directory.name.isdigit() and int(directory.name) != os.getpid():
                try:
                    environment = (directory / "environ").read_bytes().split(b"\0")
                    command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if command and f"LABRUNNER_HOME={base / 'home'}".encode() in environment:
                    found.append(command.strip())
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
