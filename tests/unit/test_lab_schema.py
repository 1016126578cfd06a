"""The published schema is the one the loader uses, and it accepts what is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from labrunner.check.registry import kinds
from labrunner.cli.schema_command import schema_text
from labrunner.lab import content
from labrunner.lab.loader import examine, examine_check

ROOT = content.bundled_root()
FILES = sorted([*ROOT.glob("labs/**/*.yaml"), *ROOT.glob("checks/*/*.yaml")])


def test_the_committed_schema_is_what_the_command_prints() -> None:
    committed = (ROOT / "labs" / "lab.schema.json").read_text("utf-8")
    assert committed == schema_text(), "run `labrunner schema > labs/lab.schema.json`"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


def test_every_property_is_described_for_editors() -> None:
    def undescribed(node: object, at: str) -> list[str]:
        if isinstance(node, list):
            return [u for i, item in enumerate(node) for u in undescribed(item, f"{at}/{i}")]
        if not isinstance(node, dict):
            return []
        found = []
        for name, child in node.get("properties", {}).items():
            if (
                isinstance(child, dict)
                and not child.get("description")
                and "$ref" not in child
                and "const" not in child
            ):
                found.append(f"{at}/{name}")
        return found + [u for key, child in node.items() for u in undescribed(child, f"{at}/{key}")]

    definitions = json.loads(schema_text())["$defs"]
    assert undescribed(definitions, "") == []


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_shipped_files_fit_the_schema_as_other_tools_read_it(file: Path) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    data = yaml.safe_load(file.read_text("utf-8"))
    assert [e.message for e in validator.iter_errors(data)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_shipped_files_name_the_schema_for_editors(file: Path) -> None:
    first = file.read_text("utf-8").split("\n", 1)[0]
    marker = "# yaml-language-server: $schema="
    assert first.startswith(marker)
    assert (file.parent / first.removeprefix(marker)).resolve() == ROOT / "labs" / "lab.schema.json"


@pytest.mark.parametrize("directory", sorted(p.parent for p in ROOT.glob("labs/*/lab.yaml")), ids=lambda d: d.name)
def test_shipped_labs_have_neither_errors_nor_warnings(directory: Path) -> None:
    assert [str(p) for p in examine(directory, kinds()).problems] == []


@pytest.mark.parametrize("file", sorted(ROOT.glob("checks/*/*.yaml")), ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_shipped_checks_have_no_problems(file: Path) -> None:
    assert [str(p) for p in examine_check(file, kinds()).problems] == []
