"""What `validate` proves about a lab, and what it says when a proof does not hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pytest
from run_fakes import KINDS, FakeTarget, block, lab_of, write_step

from labrunner.check.result import Finding
from labrunner.errors import EnvironmentFault, ExitCode, UsageError
from labrunner.lab.model import Check, Expect, Lab, Mistake, Step
from labrunner.run import processes
from labrunner.run.proofs import LabReport, ProofStatus, exit_code
from labrunner.run.validation import LabValidation, right_answer
from labrunner.run.validation_pool import ValidationPool, plan
from labrunner.target.base import KubeClient, ObjectName


@pytest.fixture(autouse=True)
def small_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labrunner.check.evaluate.kinds", lambda: KINDS)


@pytest.fixture
def prove(tmp_path: Path) -> Any:
    def run(*steps: Step, target: Any = None, only: Any = None, **more: Any) -> LabReport:
        lab = lab_of(*steps, directory=tmp_path, **more)
        report = LabValidation(lab, target or FakeTarget(), tmp_path / "session", steps=only).run()
        assert processes.belonging_to(str(tmp_path / "session")) == []
        return report

    return run


def statuses(report: LabReport) -> dict[str, str]:
    return {f"{p.step}/{p.proof}": str(p.status) for p in report.proofs}


def proof(report: LabReport, name: str) -> Any:
    return next(p for p in report.proofs if f"{p.step}/{p.proof}" == name)


def changed(**more: Any) -> Step:
    return dataclasses.replace(write_step(), **more)


def test_a_good_lab_passes_every_proof_in_the_order_of_the_contract(prove: Any) -> None:
    report = prove(write_step())
    assert list(statuses(report).items()) == [
        ("/setup", "passed"), ("write/fails-before", "passed"), ("write/mistake:loud", "passed"),
        ("write/solution", "passed"), ("write/passes-after", "passed"), ("write/idempotent", "passed"),
        ("/cleanup", "passed"),
    ]  # fmt: skip
    assert exit_code([report]) is ExitCode.OK


def test_a_check_that_passes_beforehand_proves_nothing(prove: Any) -> None:
    report = prove(write_step(), setup=(block("early", "echo hello > greeting"),))
    found = proof(report, "write/fails-before")
    assert found.status is ProofStatus.FAILED
    assert (found.verdict.check, found.verdict.message) == (
        "says", "check 'says' passes before the step is done, so it proves nothing",
    )  # fmt: skip
    assert exit_code([report]) is ExitCode.CHECK_FAILED


def test_already_lets_a_check_pass_beforehand(prove: Any) -> None:
    step = write_step()
    step = changed(checks=(dataclasses.replace(step.checks[0], already="the setup wrote it"),), mistakes=())
    report = prove(step, setup=(block("early", "echo hello > greeting"),))
    assert statuses(report)["write/fails-before"] == "passed"


def test_a_wrong_solution_names_step_check_expected_and_observed(prove: Any) -> None:
    report = prove(changed(solution=(block("solve", "echo hallo > greeting"),)), write_step("second", "other"))
    found = proof(report, "write/passes-after")
    assert found.status is ProofStatus.FAILED
    verdict = found.verdict
    assert (verdict.check, verdict.expected, verdict.observed) == ("says", "hello", "hallo")
    assert verdict.where.endswith("work/greeting")
    assert statuses(report)["write/idempotent"] == "skipped"
    assert statuses(report)["second/solution"] == "skipped"
    assert statuses(report)["/cleanup"] == "passed"


def test_a_solution_block_that_ends_otherwise_than_it_says_fails_the_solution(prove: Any) -> None:
    report = prove(changed(solution=(block("solve", "echo no such thing >&2; false"),), mistakes=()))
    found = proof(report, "write/solution")
    assert found.status is ProofStatus.FAILED
    assert found.verdict.message == "block 'solve' of the solution: exit 1: no such thing"
    assert "$ echo no such thing" in found.output and "[exit 1]" in found.output


def test_a_solution_that_spoils_itself_the_second_time_is_not_idempotent(prove: Any) -> None:
    report = prove(changed(solution=(block("solve", "[ ! -e greeting ] && echo hello > greeting"),), mistakes=()))
    assert statuses(report)["write/passes-after"] == "passed"
    assert statuses(report)["write/idempotent"] == "failed"


def test_a_mistake_that_no_check_catches_fails(prove: Any) -> None:
    mistake = Mistake("fine", "Not wrong", (block("b", "echo hello > greeting"),), caught_by="says", hint="shout")
    found = proof(prove(changed(mistakes=(mistake,))), "write/mistake:fine")
    assert found.status is ProofStatus.FAILED
    assert "does not catch the mistake 'fine'" in found.verdict.message


def test_a_mistake_that_yields_another_hint_fails_and_says_which(prove: Any) -> None:
    mistake = Mistake("odd", "Odd", (block("b", "echo odd > greeting"),), caught_by="says", hint="shout")
    verdict = proof(prove(changed(mistakes=(mistake,))), "write/mistake:odd").verdict
    assert verdict.expected == "hint 'shout'"
    assert verdict.observed.startswith("hint '#1' for different")


def test_a_mistake_leaves_nothing_for_what_follows(prove: Any) -> None:
    """Files, variables, the directory and background processes of a mistake are gone when the solution runs."""
    mistake = Mistake(
        "mess", "A mess",
        (block("b", "echo HELLO > greeting; export MESS=1; mkdir deep; sleep 300 & mkdir -m 0 locked"),),
        caught_by="says", hint="shout",
    )  # fmt: skip
    solve = block("solve", '[ -z "$MESS" ] && [ ! -e deep ] && [ -z "$(jobs)" ] && echo hello > greeting')
    step = changed(mistakes=(mistake, dataclasses.replace(mistake, id="again")), solution=(solve,))
    step = dataclasses.replace(step, solution=(block("solve", f"rm -f greeting; {solve.run}"),))
    found = statuses(prove(step))
    assert set(found.values()) == {"passed"}, found


def test_cleanup_that_leaves_files_and_processes_names_them(prove: Any) -> None:
    solve = block("solve", "echo hello > greeting; mkdir -p kept; echo x > kept/file; setsid sleep 299 &")
    report = prove(changed(solution=(solve,), mistakes=()))
    found = proof(report, "/cleanup")
    assert found.status is ProofStatus.FAILED
    assert "file kept/file" in found.verdict.observed and "process sleep 299" in found.verdict.observed


class _Objects(FakeTarget):
    """A target whose inventory is what the lab's shell writes to a file."""

    file: Path

    def kube(self) -> KubeClient:
        outer = self

        class Kube:
            def inventory(self) -> set[ObjectName]:
                names = outer.file.read_text().split() if outer.file.exists() else []
                return {ObjectName("v1", "ConfigMap", "default", name) for name in names}

            def get(self, *_args: Any) -> None:
                return None

        return Kube()  # type: ignore[return-value]


def test_cleanup_that_leaves_an_object_names_it(prove: Any, tmp_path: Path) -> None:
    target = _Objects()
    target.file = tmp_path / "objects"
    step = changed(solution=(block("solve", f"echo hello > greeting; echo left > {target.file}"),), mistakes=())
    assert "object ConfigMap default/left" in proof(prove(step, target=target), "/cleanup").verdict.observed


def test_a_setup_that_fails_is_the_labs_fault(prove: Any) -> None:
    report = prove(write_step(), setup=(block("broken", "echo wrong; false"),))
    assert statuses(report) == {"/setup": "failed"}
    assert exit_code([report]) is ExitCode.CHECK_FAILED


def test_a_world_that_does_not_start_is_the_environments_fault(prove: Any) -> None:
    report = prove(write_step(), target=FakeTarget(fault=EnvironmentFault("no port is free", hint="free one")))
    assert statuses(report) == {"/setup": "error"}
    assert exit_code([report]) is ExitCode.ENVIRONMENT


def test_a_world_that_goes_away_is_an_error_not_a_failure(prove: Any) -> None:
    class Gone(FakeTarget):
        def kube(self) -> KubeClient:
            class Kube:
                def inventory(self) -> set[ObjectName]:
                    return set()

                def get(self, *_args: Any) -> None:
                    raise EnvironmentFault("the API server does not answer", hint="start it")

            return Kube()  # type: ignore[return-value]

    report = prove(changed(solution=(block("solve", "false"),), mistakes=()), target=Gone())
    assert statuses(report)["write/solution"] == "error"
    assert exit_code([report]) is ExitCode.ENVIRONMENT


def test_a_feature_that_the_target_lacks_is_said(prove: Any) -> None:
    from labrunner.lab.model import Requires

    report = prove(write_step(), requires=Requires(features=("mesh",)))
    assert "needs mesh, which the target sandbox lacks" in proof(report, "/setup").verdict.message


def test_a_block_that_does_not_end_is_a_time_out(prove: Any) -> None:
    report = prove(changed(solution=(block("solve", "sleep 60", timeout=0.3),), mistakes=()))
    assert statuses(report)["write/solution"] == "timeout"
    assert exit_code([report]) is ExitCode.TIMEOUT


def test_only_the_step_asked_for_is_proven_and_those_before_are_solved(prove: Any) -> None:
    second = dataclasses.replace(
        write_step("second", "other"), solution=(block("solve2", "cat greeting && echo hello > other"),)
    )
    report = prove(write_step(), second, write_step("third", "more"), only=["second"])
    assert {p.step for p in report.proofs} == {"", "second"}
    assert set(statuses(report).values()) == {"passed"}


@pytest.mark.parametrize(
    ("params", "answer"),
    [
        ({"answer": "yes"}, "yes"),
        ({"answer": ["one", "other"]}, "one"),
        ({"choices": ["a", {"text": "b, c"}], "answer": "b, c"}, "2"),
        ({"choices": ["a", "b", "c"], "answer": ["a", "c"]}, "1, 3"),
        ({"pattern": "x+"}, ""),
    ],
)
def test_quizzes_are_answered_rightly(params: dict[str, Any], answer: str) -> None:
    assert right_answer(Check("q", "quiz", params)) == answer


def test_findings_never_carry_a_secret(prove: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tells:
        name = "tells"
        params_schema: ClassVar[dict[str, Any]] = {}

        def evaluate(self, params: Any, context: Any) -> list[Finding]:
            return [Finding("different", "Authorization: Bearer abcdef0123456789", "x", "password: hunter2000")]

        def describe(self, params: Any) -> str:
            return "tells"

    monkeypatch.setattr("labrunner.check.evaluate.kinds", lambda: {"tells": Tells()})
    report = prove(Step(id="s", title="", instructions="", checks=(Check("c", "tells", {}),)))
    said = repr(report.proofs)
    assert "abcdef0123456789" not in said and "hunter2000" not in said and "[redacted]" in said


def labs(tmp_path: Path) -> list[Lab]:
    one = lab_of(*(write_step(f"s{i}", f"f{i}") for i in range(4)), directory=tmp_path)
    return [one, dataclasses.replace(one, id="other")]


def test_shards_together_take_every_step_once(tmp_path: Path) -> None:
    every = [(u.lab.id, s) for i in (1, 2, 3) for u in plan(labs(tmp_path), shard=f"{i}/3") for s in u.steps]
    assert sorted(every) == sorted((lab.id, s.id) for lab in labs(tmp_path) for s in lab.steps)


def test_more_jobs_than_labs_cut_a_lab(tmp_path: Path) -> None:
    assert [u.steps for u in plan(labs(tmp_path)[:1], jobs=2)] == [("s0", "s1"), ("s2", "s3")]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "x", "1/", "-1/2"])
def test_a_shard_that_is_none_is_refused(tmp_path: Path, shard: str) -> None:
    with pytest.raises(UsageError, match="not a shard"):
        plan(labs(tmp_path), shard=shard)


def test_an_unknown_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no step 'nope'"):
        plan(labs(tmp_path), step="nope")


def test_two_jobs_prove_two_pieces_and_give_one_report(tmp_path: Path) -> None:
    units = plan(labs(tmp_path)[:1], jobs=2)
    reports = ValidationPool(lambda directory: FakeTarget(), jobs=2).run(units)
    assert [r.lab.id for r in reports] == ["demo"]
    assert {p.step for p in reports[0].proofs} == {"", "s0", "s1", "s2", "s3"}
    assert exit_code(reports) is ExitCode.OK


def test_the_log_of_a_world_that_does_not_start_is_in_the_report(tmp_path: Path) -> None:
    def make(directory: Path) -> FakeTarget:
        (directory / "sandbox").mkdir(parents=True)
        (directory / "sandbox" / "sandbox.log").write_text("\n".join(f"line {n}" for n in range(50)))
        return FakeTarget(fault=EnvironmentFault("the sandbox's process ended"))

    (report,) = ValidationPool(make).run(plan(labs(tmp_path)[:1]))
    assert "line 49" in report.proofs[0].output and "line 1\n" not in report.proofs[0].output


def test_an_expected_output_is_part_of_the_solution(prove: Any) -> None:
    solve = block("solve", "echo hello | tee greeting", expect=Expect(0, "^created$"))
    found = proof(prove(changed(solution=(solve,), mistakes=())), "write/solution")
    assert found.verdict.expected == "output that matches '^created$'"
