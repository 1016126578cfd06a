"""Reports of a validation: JUnit that parsers accept, JSON that scripts read, lines that people read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_fakes import lab_of, write_step

from labrunner.lab.model import Position
from labrunner.report.json_report import as_json, dump
from labrunner.report.junit import junit
from labrunner.report.terminal import TerminalReport
from labrunner.run import events
from labrunner.run.proofs import LabReport, Proof, ProofStatus, Verdict, counts, exit_code

HOSTILE = "a\x00b\x1b[31m\x08]]>&<\"' \ud800 \ufffe é \U0001f600\n\tend"
PLACE = Position(Path("/lab/parts/one.yaml"), 12, 9)


def report() -> LabReport:
    made = LabReport(lab_of(write_step(), directory=Path("/lab")), "sandbox", 1_700_000_000.0, 3.25)
    made.proofs = [
        Proof("", "setup", Verdict(ProofStatus.PASSED, "the setup ran"), 0.5, "$ kubectl apply\ncreated\n[exit 0]"),
        Proof("write", "fails-before", Verdict(ProofStatus.PASSED, "they fail"), 0.1),
        Proof(
            "write", "passes-after",
            Verdict(ProofStatus.FAILED, "check 'says' does not pass", "says", "hello", HOSTILE, "file greeting", PLACE),
            0.2, HOSTILE,
        ),
        Proof("write", "idempotent", Verdict(ProofStatus.SKIPPED, "the checks do not pass"), 0.0),
        Proof("", "cleanup", Verdict(ProofStatus.ERROR, "the API server does not answer", observed="start it"), 1.0),
        Proof("", "time limit", Verdict(ProofStatus.TIMEOUT, "too long"), 0.0),
    ]  # fmt: skip
    return made


ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {
        "name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "file",
    },
    "properties": set(), "property": {"name", "value"},
    "testcase": {"name", "classname", "time", "file", "line"},
    "failure": {"message", "type"}, "error": {"message", "type"}, "skipped": {"message"}, "system-out": set(),
}  # fmt: skip
CHILDREN = {
    "testsuites": ["testsuite"], "testsuite": ["properties", "testcase"], "properties": ["property"],
    "testcase": ["skipped", "error", "failure", "system-out"], "property": [], "failure": [], "error": [],
    "skipped": [], "system-out": [],
}  # fmt: skip


def accept(element: Xml.Element) -> None:
    """What the JUnit schema of Jenkins' xunit plugin says, with `file` and `line` as GitLab and GitHub read them."""
    assert set(element.attrib) == ATTRIBUTES[element.tag], element.tag
    order = [CHILDREN[element.tag].index(child.tag) for child in element]
    assert order == sorted(order), f"children of {element.tag} are out of order"
    for name in ("time",):
        if name in element.attrib:
            assert float(element.attrib[name]) >= 0
    if element.tag in ("testsuites", "testsuite"):
        cases = list(element.iter("testcase"))
        assert int(element.attrib["tests"]) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib[attribute]) == sum(case.find(tag) is not None for case in cases)
    if element.tag == "testcase":
        outcomes = [child for child in element if child.tag in ("failure", "error", "skipped")]
        assert len(outcomes) <= 1 and int(element.attrib["line"]) >= 1
    for child in element:
        accept(child)


def test_the_junit_report_is_what_the_parsers_expect() -> None:
    root = Xml.fromstring(junit([report()]).encode())
    accept(root)
    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    failed = cases["passes-after"]
    assert failed.attrib["classname"] == "demo.write"
    assert (failed.attrib["file"], failed.attrib["line"]) == ("/lab/parts/one.yaml", "12")
    failure = failed.find("failure")
    assert failure is not None and failure.attrib["message"] == "check 'says' does not pass"
    assert failure.text is not None
    for said in ("check: says", "expected: hello", "where: file greeting"):
        assert said in failure.text
    output = failed.find("system-out")
    assert output is not None and output.text is not None and "\x1b" not in output.text and "end" in output.text


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_was_printed_the_xml_is_well_formed(message: str, output: str) -> None:
    made = report()
    made.proofs = [Proof(message, output, Verdict(ProofStatus.FAILED, message, output, output, message), 0.0, output)]
    accept(Xml.fromstring(junit([made]).encode("utf-8")))


def test_an_empty_validation_is_still_a_report() -> None:
    accept(Xml.fromstring(junit([])))
    assert json.loads(dump([]))["result"] == "skipped"


def test_the_json_report_says_everything_by_step() -> None:
    data = json.loads(dump([report()]).encode("utf-8", "backslashreplace"))
    assert data["result"] == "failed" and data["schema"] == 1
    assert data["proofs"] == {"passed": 2, "failed": 1, "error": 1, "timeout": 1, "skipped": 1}
    lab = data["labs"][0]
    assert [proof["proof"] for proof in lab["proofs"]] == ["setup", "cleanup", "time limit"]
    step = lab["steps"][0]
    assert (step["id"], step["title"], step["result"]) == ("write", "Write greeting", "failed")
    failed = step["proofs"][1]
    assert (failed["check"], failed["expected"], failed["where"], failed["line"]) == (
        "says", "hello", "file greeting", 12,
    )  # fmt: skip
    assert as_json([report()], interrupted=True)["result"] == "interrupted"


def lines(live: bool = False, colour: bool = False) -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    made = report()
    terminal = TerminalReport(out, live=live, colour=colour)
    for proof in made.proofs:
        terminal.hear(
            made.lab, ("write",),
            events.ProofFinished(
                at=0.0, step=proof.step, proof=proof.proof, status=str(proof.status), message=proof.verdict.message,
                detail=proof.detail, seconds=proof.seconds,
            ),
        )  # fmt: skip
    terminal.finish([made])
    out.flush()
    return out.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]


def test_plain_lines_begin_with_their_status_and_end_with_the_failure_in_full() -> None:
    said = lines()
    assert "ok      demo/write fails-before (0.10 s)\n" in said
    assert "FAILED  demo/write passes-after (0.20 s): check 'says' does not pass\n" in said
    assert "  expected: hello\n" in said and "  lab file: /lab/parts/one.yaml:12:9\n" in said
    assert said.rstrip().endswith("3.2 s") or said.rstrip().endswith("3.3 s")
    assert not any(ord(character) < 32 and character not in "\n\t" for character in said)


def test_a_live_report_on_a_stream_that_is_no_terminal_does_not_break() -> None:
    assert "demo/write" in lines(live=True)


@pytest.mark.parametrize(
    ("statuses", "interrupted", "code"),
    [
        (["passed", "skipped"], False, 0), (["passed", "failed", "error", "timeout"], False, 1),
        (["error", "timeout"], False, 3), (["timeout", "passed"], False, 4), (["failed"], True, 130), ([], False, 0),
    ],
)  # fmt: skip
def test_exit_codes_are_those_of_the_contract(statuses: list[str], interrupted: bool, code: int) -> None:
    made = report()
    made.proofs = [Proof("s", "p", Verdict(ProofStatus(status), "m"), 0.0) for status in statuses]
    assert exit_code([made], interrupted=interrupted) == code
    assert sum(counts([made]).values()) == len(statuses)
