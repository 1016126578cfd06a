"""Writes labs for tests: a sound one, and the same with changes."""

from __future__ import annotations

from pathlib import Path

LAB = """\
apiVersion: labrunner/v1
kind: Lab
metadata:
  id: demo
  title: A demo
  summary: Shows the format.
  level: beginner
  minutes: 5
variables:
  GREETING: hello
parts:
  - id: one
    title: Part one
    steps:
      - id: write
        title: Write a file
        instructions: |
          Write ${GREETING} to a file.

          ```run:write
          ```
        blocks:
          write: echo "$GREETING" > greeting.txt
        checks:
          - id: greeting
            title: The file greets
            file: {path: greeting.txt, content: "${GREETING}"}
        hints:
          - Use echo.
          - Redirect its output.
        targetedHints:
          - id: missing
            when: {check: greeting, reason: missing}
            text: There is no such file.
        solution: [write]
        mistakes:
          - id: other-name
            title: Another name
            blocks:
              - {id: write-other, run: echo "$GREETING" > gretting.txt}
            caughtBy: greeting
            hint: missing
        cleanup:
          - {id: remove, run: rm -f greeting.txt gretting.txt}
"""


def write_lab(folder: Path, text: str = LAB, *, lab_id: str = "demo", replace: dict[str, str] | None = None) -> Path:
    """`<folder>/labs/<lab_id>` with this lab.yaml, after replacing each text (which must occur in it)."""
    for old, new in (replace or {}).items():
        assert old in text, f"{old!r} is not in the lab"
        text = text.replace(old, new, 1)
    directory = folder / "labs" / lab_id
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "lab.yaml").write_text(text, "utf-8")
    return directory


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file
