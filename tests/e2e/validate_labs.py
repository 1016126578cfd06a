"""A small lab as files, and `labrunner` as a process, for the end-to-end tests of validation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LAB = """\
apiVersion: labrunner/v1
kind: Lab
metadata:
  id: small
  title: A small lab
  summary: One ConfigMap and one file.
  level: beginner
  minutes: 1
  requires: {tools: [kubectl], features: [kubernetes]}
parts:
  - id: only
    title: The only part
    steps:
      - id: settings
        title: Make settings
        instructions: |
          Make it.
        checks:
          - id: colour
            title: The ConfigMap settings says blue
            resource:
              apiVersion: v1
              kind: ConfigMap
              name: settings
              match: {data: {colour: blue}}
        hints: [Think of colours., A ConfigMap holds them.]
        targetedHints:
          - id: red
            when: {check: colour, reason: different}
            text: Not that colour.
        solution:
          - id: make
            run: |
              kubectl create configmap settings --from-literal=colour=blue --dry-run=client -o yaml |
                kubectl apply -f -
        mistakes:
          - id: wrong-colour
            title: Red
            blocks:
              - id: make-red
                run: kubectl create configmap settings --from-literal=colour=red
            caughtBy: colour
            hint: red
        cleanup:
          - id: drop
            run: kubectl delete configmap settings --ignore-not-found
      - id: note
        title: Write a note
        instructions: |
          Write it.
        checks:
          - id: note
            title: The note says done
            file: {path: note.txt, content: {$matches: "^done"}}
        hints: [A file., note.txt is its name.]
        solution:
          - id: write
            run: echo done > note.txt
        cleanup:
          - id: remove
            run: rm -f note.txt
"""


def write_lab(directory: Path, **changes: str) -> Path:
    """The lab in `directory/small`, texts replaced as `changes` says (`_` stands for a blank in keys)."""
    text = LAB
    for old, new in changes.items():
        old = old.replace("_", " ")
        assert old in text, old
        text = text.replace(old, new)
    folder = directory / "small"
    folder.mkdir(parents=True)
    (folder / "lab.yaml").write_text(text)
    return folder


def labrunner(*arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labrunner", *arguments], capture_output=True, text=True, timeout=timeout,
        stdin=subprocess.DEVNULL, env=dict(os.environ),
    )  # fmt: skip


def start(*arguments: str) -> subprocess.Popen[str]:
    """In a session of its own, so that what is left of it can be told."""
    return subprocess.Popen(
        [sys.executable, "-m", "labrunner", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def left_of(home: Path) -> list[str]:
    """Command lines of living processes that know this home: everything started for the test does."""
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit() or int(directory.name) == os.getpid():
            continue
        try:
            environment = (directory / "environ").read_bytes()
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if command and f"LABRUNNER_HOME={home}".encode() in environment.split(b"\0"):
            found.append(command)
    return found
