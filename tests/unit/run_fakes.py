"""A target without a world, a check kind over files, and small labs, for the tests of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labrunner.check.kind import CheckContext
from labrunner.check.result import Finding
from labrunner.errors import EnvironmentFault
from labrunner.lab.model import Block, Check, Expect, Lab, Mistake, Part, Step, TargetedHint
from labrunner.target.base import KubeClient, ObjectName


class FakeKube:
    def get(self, *_names: str) -> None:
        return None

    def inventory(self) -> set[ObjectName]:
        return set()


@dataclass
class FakeTarget:
    name: str = "sandbox"
    features: frozenset[str] = frozenset({"kubernetes"})
    given: dict[str, str] = field(default_factory=dict)
    started: int = 0
    stopped: int = 0
    fault: EnvironmentFault | None = None

    def start(self) -> None:
        if self.fault:
            raise self.fault
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1

    def environment(self) -> Mapping[str, str]:
        return self.given

    def kube(self) -> KubeClient:
        return FakeKube()  # type: ignore[return-value]

    def snapshot(self, snapshot_id: str) -> bool:
        return False

    def restore(self, snapshot_id: str) -> bool:
        return False


class FileSays:
    """`file` has the text `text`."""

    name = "says"
    params_schema: Mapping[str, Any] = {}

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        path = context.cwd / params["file"]
        if params.get("fault"):
            raise EnvironmentFault("the cluster went away", hint="bring it back")
        if not path.exists():
            return [Finding("missing", f"There is no file {params['file']}.", params["text"], "", str(path))]
        found = path.read_text().strip()
        if found != str(params["text"]):
            return [Finding("different", "The file says something else.", params["text"], found, str(path))]
        return []

    def describe(self, params: Mapping[str, Any]) -> str:
        return f"{params['file']} says {params['text']}"

    def lint(self, params: Mapping[str, Any]) -> list[str]:
        return []


class EnvSays(FileSays):
    """The exported variable `name` has the value `text`."""

    name = "exported"

    def evaluate(self, params: Mapping[str, Any], context: CheckContext) -> list[Finding]:
        found = context.environment.get(params["name"])
        return [] if found == params["text"] else [Finding("different", "no", params["text"], str(found))]

    def describe(self, params: Mapping[str, Any]) -> str:
        return "exported"


KINDS = {"says": FileSays(), "exported": EnvSays()}


def block(block_id: str, run: str, **more: Any) -> Block:
    return Block(block_id, run, **more)


def write_step(step_id: str = "write", file: str = "greeting", text: str = "hello", **more: Any) -> Step:
    """A step done by writing a text to a file."""
    return Step(
        id=step_id,
        title=f"Write {file}",
        instructions="Write it.",
        blocks=(block("do", f"echo {text} > {file}"), block("fail", "false", expect=Expect(0))),
        checks=(Check("says", "says", {"file": file, "text": text}),),
        hints=("Look at echo.", "Redirect with >."),
        targeted_hints=(
            TargetedHint("absent", "says", "The file is not there yet.", reason="missing"),
            TargetedHint("shout", "says", "Not so loud.", reason="different", matches="HELLO"),
        ),
        solution=(block("solve", f"echo {text} > {file}"),),
        mistakes=(
            Mistake("loud", "Shouting", (block("loudly", f"echo HELLO > {file}"),), caught_by="says", hint="shout"),
        ),
        cleanup=(block("remove", f"rm -f {file}"),),
        **more,
    )


def lab_of(*steps: Step, directory: Path, **more: Any) -> Lab:
    return Lab(
        id="demo", title="Demo", summary="A demo.", level="beginner", minutes=1, directory=directory,
        parts=(Part("one", "One", steps or (write_step(),)),), digest="d1", **more,
    )  # fmt: skip
