"""JUnit XML of a validation: one test case per step and proof, as GitHub, GitLab and Jenkins read it.

`testsuite` is a lab; `classname` is `<lab>.<step>`, `name` the proof; `file` and `line` say where the lab's author has
to look. `failure` is for what does not hold (time-outs too), `error` for what could not be put to the test.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from labrunner.lab.model import Lab, Position
from labrunner.lab.problem import display_path
from labrunner.run.proofs import LabReport, Proof, ProofStatus

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(reports: Sequence[LabReport]) -> str:
    """The document, with its XML declaration."""
    root = Xml.Element("testsuites", _totals([p for r in reports for p in r.proofs], sum(r.seconds for r in reports)))
    root.set("name", "labrunner validate")
    for report in reports:
        suite = Xml.SubElement(root, "testsuite", {"name": _clean(report.lab.id)})
        suite.attrib.update(_totals(report.proofs, report.seconds))
        suite.set("timestamp", time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(report.started)))
        suite.set("hostname", "localhost")
        suite.set("file", _file(report.lab, None))
        properties = Xml.SubElement(suite, "properties")
        for name, value in (("title", report.lab.title), ("target", report.target), ("digest", report.lab.digest)):
            Xml.SubElement(properties, "property", {"name": name, "value": _clean(value)})
        for proof in report.proofs:
            _case(suite, report.lab, proof)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _case(suite: Xml.Element, lab: Lab, proof: Proof) -> None:
    step = lab.step(proof.step)
    position = proof.verdict.position or (step.position if step else None)
    case = Xml.SubElement(
        suite,
        "testcase",
        {
            "classname": _clean(f"{lab.id}.{proof.step}" if proof.step else lab.id),
            "name": _clean(proof.proof),
            "time": f"{proof.seconds:.3f}",
            "file": _file(lab, position),
            "line": str(position.line if position else 1),
        },
    )
    message = _clean(proof.verdict.message)
    text = _clean("\n".join(part for part in (proof.verdict.message, proof.detail) if part))
    if proof.status is ProofStatus.SKIPPED:
        Xml.SubElement(case, "skipped", {"message": message})
    elif proof.status is not ProofStatus.PASSED:
        tag = "error" if proof.status is ProofStatus.ERROR else "failure"
        kind = proof.verdict.check or str(proof.status)
        Xml.SubElement(case, tag, {"message": message, "type": _clean(kind)}).text = text
    if proof.output:
        Xml.SubElement(case, "system-out").text = _clean(proof.output)


def _totals(proofs: Sequence[Proof], seconds: float) -> dict[str, str]:
    def count(*statuses: ProofStatus) -> str:
        return str(sum(proof.status in statuses for proof in proofs))

    return {
        "tests": str(len(proofs)),
        "failures": count(ProofStatus.FAILED, ProofStatus.TIMEOUT),
        "errors": count(ProofStatus.ERROR),
        "skipped": count(ProofStatus.SKIPPED),
        "time": f"{seconds:.3f}",
    }


def _file(lab: Lab, position: Position | None) -> str:
    path = position.file if position else Path(lab.directory) / "lab.yaml"
    return _clean(display_path(path))


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("�", text)
