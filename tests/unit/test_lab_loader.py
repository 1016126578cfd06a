"""A lab's files become a Lab, or everything that is wrong with them is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_files import LAB, write, write_lab

from labrunner.check.registry import kinds
from labrunner.errors import ExitCode
from labrunner.lab.loader import examine, examine_check, load_lab
from labrunner.lab.problem import LabErrors


def found(directory: Path) -> list[tuple[str, int]]:
    return [(p.rule, p.position.line) for p in examine(directory, kinds()).problems]


def line_of(directory: Path, text: str) -> int:
    lines = (directory / "lab.yaml").read_text().split("\n")
    return next(n for n, line in enumerate(lines, 1) if text in line)


def test_a_sound_lab_is_read_whole(tmp_path: Path) -> None:
    directory = write_lab(tmp_path)
    lab = load_lab(directory, kinds())
    step = lab.steps[0]
    assert (lab.id, lab.level, lab.minutes, lab.variables[0].default) == ("demo", "beginner", 5, "hello")
    assert [b.id for b in step.blocks] == ["write"]
    assert step.solution == step.blocks
    assert step.checks[0].kind == "file"
    assert step.checks[0].params == {"path": "greeting.txt", "content": "${GREETING}"}
    assert (step.mistakes[0].caught_by, step.mistakes[0].hint) == ("greeting", "missing")
    assert step.checks[0].position is not None
    assert step.checks[0].position.line == line_of(directory, "id: greeting")
    assert examine(directory, kinds()).problems == ()


def test_blocks_keep_what_they_say(tmp_path: Path) -> None:
    long = (
        "{run: make, title: Make it, expect: {exit: 2, output: err.r}, background: true, timeout: 90s, confirm: Sure?}"
    )
    directory = write_lab(tmp_path, replace={'write: echo "$GREETING" > greeting.txt': f"write: {long}"})
    block = load_lab(directory).steps[0].blocks[0]
    assert (block.run, block.title, block.background, block.timeout, block.confirm) == (
        "make", "Make it", True, 90.0, "Sure?",
    )  # fmt: skip
    assert (block.expect.exit, block.expect.output) == (2, "err.r")


@pytest.mark.parametrize(
    ("old", "new", "rule", "at"),
    [
        ("summary: Shows", "sumary: Shows", "unknown-key", "sumary"),
        ("minutes: 5", "minutes: five", "wrong-type", "minutes"),
        ("minutes: 5", "minutes: 0", "wrong-value", "minutes"),
        ("level: beginner", "level: begginer", "wrong-value", "level"),
        ("  title: A demo\n", "", "missing-key", "  id: demo"),
        ("title: A demo", "title: ' '", "wrong-value", "title: ' '"),
        ("id: demo", "id: other", "id-mismatch", "id: other"),
        ("id: write\n", "id: Write It\n", "wrong-value", "id: Write It"),
        ("labrunner/v1", "labrunner/v2", "wrong-value", "apiVersion"),
        ("kind: Lab", "kind: Part", "wrong-value", "kind: Part"),
        ("run:write", "run:wirte", "unknown-block", "run:wirte"),
        ("run:write\n          ```", "run:write\n          echo\n          ```", "fence-body", "run:write"),
        ("          ```run:write\n          ```\n", "          ```run:write\n", "open-fence", "run:write"),
        ("solution: [write]", "solution: [writ]", "unknown-block", "solution"),
        ("solution: [write]", "solution: []", "no-solution", "solution"),
        ("caughtBy: greeting", "caughtBy: greting", "unknown-check", "caughtBy"),
        ("check: greeting", "check: greting", "unknown-check", "check: greting"),
        ("hint: missing", "hint: mising", "unknown-hint", "hint: mising"),
        ("reason: missing}", "reason: missing, matches: '('}", "regex", "matches"),
        ("- Use echo.", "- ''", "wrong-value", "''"),
        ("GREETING: hello", "GREETING: hello\n  UNUSED: x", "unused-variable", "UNUSED"),
        ("GREETING: hello", "GREETING: hello\n  PATH: x", "reserved-variable", "PATH"),
        ("GREETING: hello", "GREETING: {type: integer, default: x}", "wrong-type", "GREETING"),
        ("Write ${GREETING}", "Write ${GRETING}", "undefined-variable", "${GRETING}"),
        ('"${GREETING}"', '"${NOTHING}"', "undefined-variable", "${NOTHING}"),
        ("Write ${GREETING} to", "See [it](other.md): write ${GREETING} to", "missing-link", "other.md"),
        ("Write ${GREETING} to", "![](../../x.png) write ${GREETING} to", "missing-link", "x.png"),
        ("file: {path", "fille: {path", "unknown-key", "fille"),
        ("file: {path", "file: {pth", "unknown-key", "pth"),
        ("            file: {", "            env: {name: X}\n            file: {", "ambiguous", "file: {path"),
        ('content: "${GREETING}"', "content: {$matchs: x}", "check-params", "$matchs"),
        ('content: "${GREETING}"', "content: {$matches: '('}", "check-params", "$matches"),
        ("title: The file greets", "wait: 10", "wrong-type", "wait"),
        ("title: The file greets", "wait: 10x", "wrong-value", "wait"),
        ("id: remove", "id: write", "duplicate-id", "rm -f"),
        ("id: write-other, run:", "id: write-other, interactive: true, run:", "interactive", "write-other"),
        ("echo \"$GREETING\" > greeting", "cat $LAB_ASSETS/x > greeting", "missing-asset", "LAB_ASSETS"),
        ("        blocks:\n", "        blocks:\n          write: x\n", "duplicate-key", "write: echo"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, old: str, new: str, rule: str, at: str) -> None:
    directory = write_lab(tmp_path, replace={old: new})
    assert (rule, line_of(directory, at)) in found(directory)
    with pytest.raises(LabErrors) as caught:
        load_lab(directory, kinds())
    assert caught.value.exit_code is ExitCode.USAGE
    assert f"lab.yaml:{line_of(directory, at)}:" in caught.value.message


def test_what_only_follows_from_another_mistake_is_not_said(tmp_path: Path) -> None:
    directory = write_lab(tmp_path, replace={"        checks:\n": "        cheks:\n"})
    assert [rule for rule, _ in found(directory)] == ["unknown-key"]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("          - Redirect its output.\n", "", "few-hints"),
        ("        blocks:\n", "        blocks:\n          spare: ls\n", "unused-block"),
        ("minutes: 5", "minutes: 5\n  requires: {labs: [apim-itsio]}", "unknown-lab"),
    ],
)
def test_what_could_be_better_is_a_warning(tmp_path: Path, old: str, new: str, rule: str) -> None:
    directory = write_lab(tmp_path, replace={old: new})
    assert [r for r, _ in found(directory)] == [rule]
    assert load_lab(directory, kinds()).id == "demo"


def test_links_to_what_is_there_are_fine(tmp_path: Path) -> None:
    links = "[a](https://example.test/x) [b](#top) [c](notes.md) `[d](none.md)` ![e](pic.svg) ${GREETING}"
    directory = write_lab(tmp_path, replace={"Write ${GREETING} to a file.": links})
    write(directory / "notes.md", "x")
    write(tmp_path / "assets/demo/pic.svg", "<svg/>")
    assert found(directory) == []


def test_all_errors_of_all_files_are_reported_together(tmp_path: Path) -> None:
    directory = write_lab(
        tmp_path, replace={"minutes: 5": "minutes: x", "parts:\n": "parts:\n  - file: parts/two.yaml\n"}
    )
    part = "apiVersion: labrunner/v1\nkind: Part\nid: two\ntitle: Two\nsteps:\n  - id: write\n    titel: x\n"
    write(directory / "parts/two.yaml", part)
    problems = examine(directory, kinds()).problems
    files = {(p.position.file.name, p.rule) for p in problems}
    assert {("lab.yaml", "wrong-type"), ("two.yaml", "unknown-key"), ("two.yaml", "missing-key")} <= files
    assert ("lab.yaml", "duplicate-id") in files or ("two.yaml", "duplicate-id") in files
    assert list(problems) == sorted(problems, key=lambda p: (str(p.position.file), p.position.line, p.position.column))


def test_parts_in_files_are_read_in_order(tmp_path: Path) -> None:
    head, _, part = LAB.partition("  - id: one\n")
    body = "\n".join(line[4:] for line in part.split("\n"))
    directory = write_lab(tmp_path, head + "  - file: parts/one.yaml\n")
    write(directory / "parts/one.yaml", "apiVersion: labrunner/v1\nkind: Part\nid: one\n" + body)
    lab = load_lab(directory, kinds())
    assert [p.id for p in lab.parts] == ["one"]
    assert lab.steps[0].position is not None
    assert lab.steps[0].position.file.name == "one.yaml"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("parts/none.yaml", "missing-file"),
        ("../../../etc/passwd", "outside"),
        ("parts", "not-a-file"),
        ("\\0", "missing-file"),
    ],
)
def test_a_part_that_cannot_be_used_is_refused(tmp_path: Path, name: str, rule: str) -> None:
    directory = write_lab(tmp_path, replace={"parts:\n": f'parts:\n  - file: "{name}"\n'})
    (directory / "parts").mkdir()
    assert rule in [r for r, _ in found(directory)]


def test_a_missing_part_does_not_make_its_variables_unused(tmp_path: Path) -> None:
    head, _, _ = LAB.partition("  - id: one\n")
    directory = write_lab(tmp_path, head + "  - file: parts/one.yaml\n")
    assert [rule for rule, _ in found(directory)] == ["missing-file"]


CHECK = """\
apiVersion: labrunner/v1
kind: Check
title: ${params.file} has ${params.lines} lines
parameters:
  file: {type: string, description: The file}
  lines: {type: integer, default: 1, description: How many}
check:
  wait: 2s
  file: {path: "${params.file}", content: "${params.lines}", mode: "${params.lines}"}
"""


def use(tmp_path: Path, check: str, given: str) -> Path:
    write(tmp_path / "checks/files/lines.yaml", check)
    old = '            title: The file greets\n            file: {path: greeting.txt, content: "${GREETING}"}\n'
    return write_lab(tmp_path, replace={old: f"            use: files/lines\n            with: {given}\n"})


def test_a_reusable_check_is_filled_in_with_typed_values(tmp_path: Path) -> None:
    check = CHECK.replace(', mode: "${params.lines}"', "")
    lab = load_lab(use(tmp_path, check, "{file: '${GREETING}.txt', lines: 3}"), kinds())
    made = lab.steps[0].checks[0]
    assert made.params == {"path": "${GREETING}.txt", "content": 3}
    assert (made.kind, made.title, made.wait) == ("file", "${GREETING}.txt has 3 lines", 2.0)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("{file: x, line: 3}", "unknown-parameter"),
        ("{lines: 3}", "missing-parameter"),
        ("{file: x, lines: many}", "wrong-type"),
        ("{file: x, lines: 3}", "wrong-type"),
    ],
)
def test_wrong_parameters_are_refused_where_the_check_is_used(tmp_path: Path, given: str, rule: str) -> None:
    directory = use(tmp_path, CHECK, given)
    problems = [p for p in examine(directory, kinds()).problems if p.rule == rule]
    assert problems
    assert problems[0].position.file.name == "lab.yaml"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("params.lines} lines", "params.lnes} lines", "undefined-parameter"),
        ("  lines:", "  spare: {type: string, description: Not used}\n  lines:", "unused-parameter"),
        ("default: 1", "default: one", "wrong-type"),
        ("type: integer", "type: int", "wrong-value"),
        ("file: {path", "flie: {path", "unknown-key"),
        (', mode: "${params.lines}"', ", mod: x", "unknown-key"),
    ],
)
def test_a_reusable_check_is_judged_by_itself(tmp_path: Path, old: str, new: str, rule: str) -> None:
    assert old in CHECK
    file = write(tmp_path / "checks/files/lines.yaml", CHECK.replace(old, new, 1))
    assert rule in [p.rule for p in examine_check(file, kinds()).problems]
    assert [p.rule for p in examine_check(write(file, CHECK), kinds()).problems] == []


def test_an_unknown_reusable_check_comes_with_a_suggestion(tmp_path: Path) -> None:
    old = 'file: {path: greeting.txt, content: "${GREETING}"}'
    directory = write_lab(tmp_path, replace={old: "use: tls/server-certificat"})
    problem = next(p for p in examine(directory, kinds()).problems if p.rule == "unknown-check")
    assert problem.suggestion == "did you mean 'tls/server-certificate'?"


def test_quiz_questions_need_no_solution(tmp_path: Path) -> None:
    quiz = "quiz: {question: 'What?', answer: that}"
    lab = LAB.replace('file: {path: greeting.txt, content: "${GREETING}"}', quiz).replace("solution: [write]", "")
    directory = write_lab(tmp_path, lab.replace("Write a file", "Ask"))
    assert [p for p in examine(directory, kinds()).problems if p.is_error] == []


def test_a_lab_that_is_not_there_is_an_error_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(LabErrors) as caught:
        load_lab(tmp_path / "none", kinds())
    assert "none/lab.yaml:1:1: error" in caught.value.message


def test_the_digest_follows_everything_that_can_run(tmp_path: Path) -> None:
    directory = use(tmp_path, CHECK.replace(', mode: "${params.lines}"', ""), "{file: x}")
    script = write(tmp_path / "assets/demo/run.sh", "echo 1\n")
    digests = [load_lab(directory).digest]
    write(script, "echo 2\n")
    digests.append(load_lab(directory).digest)
    script.chmod(0o755)
    digests.append(load_lab(directory).digest)
    check = tmp_path / "checks/files/lines.yaml"
    write(check, check.read_text().replace("2s", "3s"))
    digests.append(load_lab(directory).digest)
    lab = directory / "lab.yaml"
    write(lab, lab.read_text() + "# changed\n")
    digests.append(load_lab(directory).digest)
    assert len(set(digests)) == 5
    moved = tmp_path.parent / "moved"
    tmp_path.rename(moved)
    assert load_lab(moved / "labs/demo").digest == digests[-1]
    moved.rename(tmp_path)
