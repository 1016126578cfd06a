"""`labrunner show LAB [STEP]`: what a lab is about, or all of one step."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from labrunner.errors import ExitCode, UsageError
from labrunner.lab.model import Block, Lab, Position, Step

_EXAMPLE = """\
examples:
  labrunner show apim-istio                     its parts and steps
  labrunner show apim-istio certificate         one step as the learner sees it
  labrunner show apim-istio 3 --solution        the third step, with its solution
  labrunner show apim-istio --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lab", metavar="LAB", help="a lab's id or its folder")
    parser.add_argument("step", metavar="STEP", nargs="?", help="a step's id or number")
    parser.add_argument("--solution", action="store_true", help="also show hints and the solution")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.epilog = _EXAMPLE


def execute(args: argparse.Namespace) -> ExitCode:
    from labrunner.check.registry import kinds
    from labrunner.lab.content import find_lab
    from labrunner.lab.loader import load_lab

    lab = load_lab(find_lab(args.lab), kinds())
    step = _step(lab, args.step) if args.step else None
    if args.json:
        sys.stdout.write(json.dumps(_plain(step or lab), indent=2, ensure_ascii=False) + "\n")
    else:
        lines = _step_lines(lab, step, args.solution) if step else _lab_lines(lab)
        sys.stdout.write("\n".join(lines).rstrip() + "\n")
    return ExitCode.OK


def _step(lab: Lab, name: str) -> Step:
    from labrunner.lab.problem import did_you_mean

    found = lab.step(name)
    if found is None and name.isdigit() and 0 < int(name) <= len(lab.steps):
        found = lab.steps[int(name) - 1]
    if found is None:
        ids = [step.id for step in lab.steps]
        suggestion = did_you_mean(name, ids)
        hint = suggestion[:1].upper() + suggestion[1:] or f"Its steps: {', '.join(ids)}."
        raise UsageError(f"the lab '{lab.id}' has no step '{name}'", hint=hint)
    return found


def _plain(value: Any) -> Any:
    """A model value as JSON; positions as text."""
    if isinstance(value, Position):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _lab_lines(lab: Lab) -> Iterator[str]:
    yield f"{lab.title} ({lab.id})"
    yield ""
    yield from _wrap(lab.summary)
    yield ""
    facts = [("Level", f"{lab.level}, about {lab.minutes} minutes"), ("Tags", ", ".join(lab.tags))]
    facts += [("Made after", lab.source), ("Before it", ", ".join(lab.requires.labs))]
    facts += [("Tools", ", ".join(lab.requires.tools)), ("Features", ", ".join(lab.requires.features))]
    for name, value in facts:
        if value:
            yield f"{name + ':':12}{value}"
    number = 0
    width = max(len(step.id) for step in lab.steps)
    for part in lab.parts:
        yield ""
        yield part.title
        for step in part.steps:
            number += 1
            yield f"{number:4}  {step.id:{width}}  {step.title}"


def _step_lines(lab: Lab, step: Step, solution: bool) -> Iterator[str]:
    from labrunner.lab.markdown import Fence, sections

    text = _substituted(lab)
    yield f"{lab.title}: {step.title} ({step.id})"
    yield ""
    for section in sections(step.instructions):
        if isinstance(section, Fence):
            block = step.block(section.block_id) if section.block_id else None
            yield from _block_lines(block) if block else (f"    {line}" for line in text(section.body).split("\n"))
            yield ""
        else:
            yield text(section.text).strip("\n")
            yield ""
    yield "Checks"
    for check in step.checks:
        yield f"  - {text(check.title) or _describe(check.kind, check.params)} ({check.id})"
    if not solution:
        return
    for number, hint in enumerate(step.hints, 1):
        yield ""
        yield f"Hint {number}"
        yield from (f"  {line}" for line in text(hint).strip().split("\n"))
    yield ""
    yield "Solution"
    for block in step.solution:
        yield from _block_lines(block)


def _substituted(lab: Lab) -> Callable[[str], str]:
    """Texts as the learner sees them, with the variables' defaults."""
    from labrunner.lab.substitution import substitute

    values = {v.name: v.default for v in lab.variables if v.default is not None and not v.secret}
    return lambda text: str(substitute(text, values))


def _describe(kind: str, params: Any) -> str:
    from labrunner.check.registry import kinds

    return kinds()[kind].describe(params)


def _block_lines(block: Block) -> Iterator[str]:
    yield f"  ▶ {block.title or block.id}"
    yield from (f"    {line}".rstrip() for line in block.run.rstrip("\n").split("\n"))


def _wrap(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(" ".join(text.split()), 78)
