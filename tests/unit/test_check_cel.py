"""CEL in checks: its errors are findings or lint problems, never exceptions, and it loads quickly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labrunner.check.cel_expression import CelError, evaluate, findings, lint

OBJECT = {"spec": {"n": 2, "s": "a,b", "l": [1, 2, 3], "m": {"k": "v"}, "f": 1.5, "b": True, "z": None}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("object.spec.n + 1", 3),
        ("object.spec.s.split(',').size()", 2),
        ("object.spec.s.lowerAscii() == 'a,b'", True),
        ("object.spec.l.all(x, x > 0) && object.spec.l.exists(x, x == 2)", True),
        ("has(object.spec.nothing) || object.spec.m.k == 'v'", True),
        ("object.spec.z == null", True),
        ("timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z')", True),
        ("sets.contains(object.spec.l, [1])", True),
        ("'x' in object.spec.m", False),
    ],
)
def test_expressions(expression: str, value: Any) -> None:
    assert evaluate(expression, {"object": OBJECT}) == value


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.nothing.deeper",
        "object.spec.s.charAt(99)",
        "object.spec.n.split(',')",
        "object.spec.l[99]",
        "1 / 0",
        "nothing",
        "object.spec.s + 1",
        "math.sqrt('x')",
        "object.spec.s.matches('(')",
        "1 +",
        "((((",
        "",
        "9223372036854775807 + 1",
        "[1].map(x, nothing(x))",
        "int('x')",
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence(expression: str) -> None:
    with pytest.raises(CelError) as caught:
        evaluate(expression, {"object": OBJECT})
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    [finding] = findings([{"expression": expression}], {"object": OBJECT}, "here")
    assert finding.reason == "cel"


def test_lint_knows_the_names_that_macros_bind() -> None:
    good = "objects.all(o, o.metadata.name != '' && o.l.exists(i, i > 1)) && object.x.map(e, e + 1).size() > 0"
    assert lint([{"expression": good}], ("object", "objects")) == []
    [problem] = lint([{"expression": "objects.all(o, p.x)"}], ("object", "objects"))
    assert "there is no variable p" in problem


@given(st.text(max_size=30) | st.text("()[]{}.,?:'\"+-*/%&|!<>= abo01\\\n", max_size=30))
def test_any_text_is_evaluated_or_refused(expression: str) -> None:
    lint([{"expression": expression}], ("object",))
    findings([{"expression": expression}], {"object": OBJECT}, "here")


def test_loading_the_library_does_not_load_its_command_line() -> None:
    code = (
        "import sys; from labrunner.cel_library import load; load().compile('1 == 1'); "
        "sys.exit(bool({'typer', 'prompt_toolkit'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
