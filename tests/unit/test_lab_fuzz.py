"""Whatever a lab file holds: a Lab or LabErrors, soon."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab_files import LAB

from labrunner.check.registry import kinds
from labrunner.lab import content
from labrunner.lab.loader import examine, examine_check, load_lab
from labrunner.lab.model import Lab
from labrunner.lab.problem import LabErrors

BUNDLED = content.bundled_root()
SOURCES = [LAB, *(p.read_text("utf-8") for p in sorted(BUNDLED.glob("labs/*/**/*.yaml")))]
FRAGMENTS = [
    "{", "}", "[", "]", ": ", "- ", "\n", "\n  ", "\t", "|", ">", "&a ", "*a", "!!x ", "'", '"', "#", "---\n", "<<: ",
    "null", "yes", "0777", "1e999", ".nan", "999999999999999999999999", "\x00", "\u2028", "\U0001f600", "${", "${X}",
    "```run:", "```\n", "$LAB_ASSETS/../", "(", "a{9999999999}", "\\", "%", "@", "`", "? ", "{}", "[]", "id: ", "use: ",
]  # fmt: skip
SOON = 5.0


def judge(raw: bytes) -> None:
    """Load these bytes as a lab.yaml, as a part and as a reusable check."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "labs" / "demo"
        directory.mkdir(parents=True)
        (directory / "lab.yaml").write_bytes(raw)
        started = time.monotonic()
        try:
            assert isinstance(load_lab(directory, kinds()), Lab)
        except LabErrors as error:
            assert error.problems
            for problem in error.problems:
                assert problem.position.line >= 1
                assert problem.position.column >= 1
                assert "\n" not in str(problem)
        for problem in examine_check(directory / "lab.yaml", kinds()).problems:
            assert str(problem)
        (directory / "part.yaml").write_bytes(raw)
        (directory / "lab.yaml").write_text(LAB.replace("parts:\n", "parts:\n  - file: part.yaml\n"))
        examine(directory, kinds())
        assert time.monotonic() - started < SOON


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(SOURCES))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 30))
        match draw(st.sampled_from(["insert", "delete", "replace", "truncate", "move", "line"])):
            case "insert":
                text = text[:at] + draw(st.sampled_from(FRAGMENTS)) + text[at:]
            case "delete":
                text = text[:at] + text[at + length :]
            case "replace":
                text = text[:at] + draw(st.sampled_from(FRAGMENTS)) + text[at + length :]
            case "truncate":
                text = text[:at]
            case "move":
                piece = text[at : at + length]
                target = draw(st.integers(0, len(text)))
                text = text[:target] + piece + text[target:]
            case "line":
                lines = text.split("\n")
                number = draw(st.integers(0, len(lines) - 1))
                lines[number] = draw(st.sampled_from(["", "  " + lines[number], lines[number].strip(), "x: 1", "- x"]))
                text = "\n".join(lines)
    raw = text.encode("utf-8", "surrogatepass")
    cut = draw(st.integers(0, len(raw)))
    return raw[:cut] + draw(st.sampled_from([b"", b"", b"\xff", b"\xed\xa0\x80"])) + raw[cut:]


_FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@_FUZZ
@given(mutated())
def test_mutated_labs_are_loaded_or_refused(raw: bytes) -> None:
    judge(raw)


@_FUZZ
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_noise_is_refused(raw: bytes) -> None:
    judge(raw)


_NODES = st.recursive(
    st.sampled_from(["x", "yes", "1", "true", "null", "''", "${X}", "run:x"]),
    lambda child: (
        st.lists(child, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
        | st.dictionaries(
            st.sampled_from(
                ["id", "title", "steps", "checks", "file", "use", "with", "run", "blocks", "when", "parts"]
            ),
            child,
            max_size=4,
        ).map(lambda m: "{" + ", ".join(f"{k}: {v}" for k, v in m.items()) + "}")
    ),
    max_leaves=20,
)
_KEYS = ["metadata", "variables", "setup", "parts", "cleanup"]


@_FUZZ
@given(st.dictionaries(st.sampled_from(_KEYS), _NODES, min_size=1))
def test_any_shape_under_the_known_keys_is_refused_in_words(values: dict[str, str]) -> None:
    lines = ["apiVersion: labrunner/v1", "kind: Lab", *(f"{k}: {v}" for k, v in values.items())]
    judge("\n".join(lines).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 1_000_000,
        b"{a: " * 200_000,
        b"- " * 300_000,
        b"a: &a [" + b"*a, " * 100_000,
        b"? " * 200_000,
        b"a:\n" + b" " * 500_000 + b"b: c",
        b"x" * 1_000_000,
        b"parts: [" + b"{id: a, title: b, steps: [{id: a}]}, " * 4_000 + b"]",
        b"\n".join(b"k%d: v" % n for n in range(60_000)),
        b"a: '" + b"''" * 400_000,
    ],
    ids=["brackets", "maps", "dashes", "aliases", "questions", "indent", "word", "parts", "keys", "quotes"],
)
def test_hostile_files_are_refused_soon(tmp_path: Path, raw: bytes) -> None:
    directory = tmp_path / "demo"
    directory.mkdir()
    (directory / "lab.yaml").write_bytes(raw)
    started = time.monotonic()
    with pytest.raises(LabErrors):
        load_lab(directory, kinds())
    assert time.monotonic() - started < 10
