"""A validation as JSON, for scripts. `schema` is raised when a field changes its meaning or goes away."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from labrunner import __version__
from labrunner.lab.problem import display_path
from labrunner.run.proofs import LabReport, Proof, ProofStatus, counts, overall

SCHEMA = 1


def as_json(reports: Sequence[LabReport], *, interrupted: bool = False) -> dict[str, Any]:
    """`result`: passed, failed, error, timeout, skipped or interrupted."""
    status = overall(proof for report in reports for proof in report.proofs)
    return {
        "schema": SCHEMA,
        "labrunner": __version__,
        "result": "interrupted" if interrupted else str(status),
        "proofs": counts(reports),
        "seconds": round(sum(report.seconds for report in reports), 3),
        "labs": [_lab(report) for report in reports],
    }


def dump(reports: Sequence[LabReport], *, interrupted: bool = False) -> str:
    return json.dumps(as_json(reports, interrupted=interrupted), indent=2, ensure_ascii=False) + "\n"


def _lab(report: LabReport) -> dict[str, Any]:
    titles = {step.id: step.title for step in report.lab.steps}
    by_step: dict[str, list[Proof]] = {}
    for proof in report.proofs:
        by_step.setdefault(proof.step, []).append(proof)
    return {
        "id": report.lab.id,
        "title": report.lab.title,
        "file": display_path(report.lab.directory / "lab.yaml"),
        "digest": report.lab.digest,
        "target": report.target,
        "result": str(report.status),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(report.started)),
        "seconds": round(report.seconds, 3),
        "proofs": [_proof(proof) for proof in by_step.pop("", [])],
        "steps": [
            {
                "id": step_id,
                "title": titles.get(step_id, ""),
                "result": str(overall(proofs)),
                "proofs": [_proof(proof) for proof in proofs],
            }
            for step_id, proofs in by_step.items()
        ],
    }


def _proof(proof: Proof) -> dict[str, Any]:
    verdict = proof.verdict
    made: dict[str, Any] = {
        "proof": proof.proof,
        "status": str(proof.status),
        "message": verdict.message,
        "seconds": round(proof.seconds, 3),
    }
    if proof.status not in (ProofStatus.PASSED, ProofStatus.SKIPPED):
        made |= {
            "check": verdict.check or None,
            "expected": verdict.expected,
            "observed": verdict.observed,
            "where": verdict.where,
        }
    if verdict.position is not None:
        made |= {"file": display_path(verdict.position.file), "line": verdict.position.line}
    if proof.output:
        made["output"] = proof.output
    return made
