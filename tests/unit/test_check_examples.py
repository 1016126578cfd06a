"""Every example in the reference of checks is true: it passes where it says so and fails for the reason it says."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from check_world import build

from labrunner.check.registry import kinds


def examples() -> Iterator[Any]:
    for name in kinds():
        module = importlib.import_module(f"labrunner.check.{name}")
        for index, example in enumerate(yaml.safe_load(module.EXAMPLES)):
            yield pytest.param(name, example, id=f"{name}-{index}")


@pytest.mark.parametrize(("name", "example"), examples())
def test_example_passes_and_its_counter_examples_fail_as_said(name: str, example: Any, tmp_path: Path) -> None:
    kind = kinds()[name]
    params = example["params"]
    jsonschema.Draft202012Validator(kind.params_schema).validate(params)
    assert kind.lint(params) == []
    assert kind.describe(params)
    assert kind.evaluate(params, build(example["passes"], tmp_path / "passes")) == []
    assert example["fails"], "an example without a counter-example proves nothing"
    for index, counter in enumerate(example["fails"]):
        found = kind.evaluate(params, build(counter, tmp_path / f"fails-{index}"))
        reasons = {f.reason for f in found}
        assert reasons >= set(counter["reasons"]), (counter["why"], found)
        assert reasons <= set(importlib.import_module(f"labrunner.check.{name}").REASONS)
        for finding in found:
            assert finding.message.strip().endswith((".", "?", ")")), finding
            assert finding.expected and finding.observed and finding.where, finding


@pytest.mark.parametrize("name", list(kinds()))
def test_every_kind_describes_itself_and_each_parameter(name: str) -> None:
    module = importlib.import_module(f"labrunner.check.{name}")
    assert module.__doc__
    assert all(meaning.endswith(".") for meaning in module.REASONS.values())
    kind = kinds()[name]
    jsonschema.Draft202012Validator.check_schema(kind.params_schema)
    assert kind.params_schema["additionalProperties"] is False
    assert kind.name == name
    for parameter, schema in kind.params_schema["properties"].items():
        assert schema.get("description"), f"{name}.{parameter} has no description"
