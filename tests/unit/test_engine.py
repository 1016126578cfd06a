"""The engine walks a lab: events, journal, hints, states, resuming."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from run_fakes import KINDS, FakeTarget, block, lab_of, write_step

from labrunner.check.result import CheckResult, CheckStatus, Finding
from labrunner.errors import EnvironmentFault, UsageError
from labrunner.lab.model import Check, Expect, Lab, Requires, Step, Variable
from labrunner.run import events, processes
from labrunner.run.engine import Engine
from labrunner.run.events import Event
from labrunner.run.lock import SessionHeld
from labrunner.run.protocol import Attempt
from labrunner.run.session import StepState, load, progress
from labrunner.run.shell_command import ShellBusy
from labrunner.run.waiting import wait_for

Open = Callable[..., Engine]


@pytest.fixture
def open_engine(tmp_path: Path) -> Iterator[Open]:
    engines: list[Engine] = []

    def make(lab: Lab | None = None, **more: Any) -> Engine:
        made = Engine(
            lab or lab_of(directory=tmp_path), more.pop("target", None) or FakeTarget(), kinds=KINDS,
            directory=tmp_path / "session", **more,
        )  # fmt: skip
        engines.append(made)
        made.start()
        return made

    yield make
    for engine in engines:
        engine.close()
    assert processes.belonging_to(str(tmp_path / "session")) == []


def heard(engine: Engine) -> list[Event]:
    said: list[Event] = []
    engine.subscribe(said.append)
    return said


def test_a_step_goes_from_open_to_passed_by_its_block(open_engine: Open) -> None:
    engine = open_engine()
    said = heard(engine)
    step = engine.lab.steps[0]
    engine.enter(step)
    assert engine.session.state(step.id) is StepState.CURRENT
    first = engine.check(step)
    assert not first.passed and first.results[0].findings[0].reason == "missing"
    finished = engine.run_block(step, step.blocks[0])
    assert (finished.outcome, finished.exit) == ("ok", 0)
    second = engine.check(step)
    assert second.passed and second.number == 2
    assert engine.session.state(step.id) is StepState.PASSED
    names = [type(event).__name__ for event in said]
    assert names == [
        "StepEntered", "CheckStarted", "CheckFinished", "AttemptFinished", "BlockStarted", "BlockFinished",
        "CheckStarted", "CheckFinished", "AttemptFinished", "StepStateChanged",
    ]  # fmt: skip


def test_a_durable_event_is_in_the_journal_before_a_listener_hears_it(open_engine: Open, tmp_path: Path) -> None:
    engine = open_engine()
    step = engine.lab.steps[0]
    journalled: list[bool] = []

    def listen(event: Event) -> None:
        if isinstance(event, events.StepStateChanged):
            kept, _ = load(engine.directory)
            journalled.append(kept.record(event.step).state is StepState.PASSED)

    engine.subscribe(listen)
    engine.solve(step)
    engine.check(step)
    assert journalled == [True]


def test_a_session_resumes_with_its_state_its_directory_and_its_exports(open_engine: Open) -> None:
    engine = open_engine()
    step = engine.lab.steps[0]
    engine.enter(step)
    engine.run_block(step, block("x", "export KEPT=yes; mkdir -p deep && cd deep; LOCAL=too; umask 077"))
    engine.hint(step)
    engine.close()
    again = open_engine()
    assert again.session.current == step.id
    assert again.session.record(step.id).hints == ["#1"]
    finished = again.run_block(step, block("y", 'echo "$KEPT $LOCAL ${PWD##*/} $(umask)"'))
    assert finished.output == "yes too deep 0077\n"


def test_setup_runs_once_per_session_and_a_failing_setup_is_an_environment_fault(
    open_engine: Open, tmp_path: Path
) -> None:
    lab = lab_of(directory=tmp_path, setup=(block("count", "echo x >> count"),))
    engine = open_engine(lab)
    engine.close()
    open_engine(lab).close()
    assert (engine.workdir / "count").read_text() == "x\n"


def test_a_failing_setup_says_which_block_and_why(open_engine: Open, tmp_path: Path) -> None:
    lab = lab_of(directory=tmp_path, setup=(block("broken", "echo no such cluster; false"),))
    with pytest.raises(EnvironmentFault) as caught:
        open_engine(lab)
    assert "broken" in caught.value.message and caught.value.hint == "no such cluster"


def test_hints_come_targeted_first_then_in_order_then_none(open_engine: Open) -> None:
    engine = open_engine()
    step = engine.lab.steps[0]
    engine.run_block(step, block("loud", "echo HELLO > greeting"))
    engine.check(step)
    shown = [engine.hint(step) for _ in range(4)]
    assert [hint.id if hint else None for hint in shown] == ["shout", "#1", "#2", None]
    assert [hint.remaining for hint in shown if hint] == [2, 1, 0]


def test_while_the_world_cannot_be_asked_no_step_regresses(open_engine: Open) -> None:
    engine = open_engine()
    step = engine.lab.steps[0]
    engine.solve(step)
    engine.check(step)
    failed = CheckResult("greeting", "x", CheckStatus.FAILED, (Finding("different", "No."),))
    lost = CheckResult("other", "y", CheckStatus.ERROR, (Finding("environment", "The cluster cannot be reached."),))
    engine._judge._judge(step, Attempt(step.id, 2, (failed, lost)))
    assert engine.session.state(step.id) is StepState.PASSED
    engine._judge._judge(step, Attempt(step.id, 3, (failed,)))
    assert engine.session.state(step.id) is StepState.REGRESSED


def test_a_step_that_passed_and_fails_now_has_regressed(open_engine: Open) -> None:
    engine = open_engine()
    step = engine.lab.steps[0]
    engine.solve(step)
    engine.check(step)
    engine.run_block(step, block("spoil", "echo other > greeting"))
    engine.check(step)
    assert engine.session.state(step.id) is StepState.REGRESSED
    engine.solve(step)
    engine.check(step)
    assert engine.session.state(step.id) is StepState.PASSED


def test_a_cluster_that_goes_away_is_an_error_not_a_failure_and_regresses_nothing(
    open_engine: Open, tmp_path: Path
) -> None:
    step = write_step()
    gone = Step(
        id="gone", title="", instructions="", checks=(Check("c", "says", {"file": "f", "text": "t", "fault": True}),)
    )
    engine = open_engine(lab_of(step, gone, directory=tmp_path))
    attempt = engine.check(gone)
    assert attempt.results[0].status is CheckStatus.ERROR
    assert "went away" in attempt.results[0].summary
    assert engine.session.state("gone") is StepState.OPEN


@pytest.mark.parametrize(
    ("made", "outcome", "status"),
    [
        (block("a", "exit_with() { return 3; }; exit_with", expect=Expect(3)), "ok", 3),
        (block("b", "false"), "unexpected-exit", 1),
        (block("c", "echo one; echo two", expect=Expect(0, "^two$")), "ok", 0),
        (block("d", "echo one", expect=Expect(0, "^two$")), "unexpected-output", 0),
        (block("e", "sleep 30", timeout=0.3), "timeout", None),
        (block("f", "sleep 30", background=True), "started", 0),
        (block("g", "echo 'open"), "not-run", 2),
        (block("h", "kill -9 $$"), "shell-died", None),
    ],
)
def test_what_a_block_counts_as(open_engine: Open, made: Any, outcome: str, status: int | None) -> None:
    engine = open_engine()
    finished = engine.run_block(engine.lab.steps[0], made)
    assert (finished.outcome, finished.exit) == (outcome, status)


def test_variables_reach_the_shell_and_the_checks(open_engine: Open, tmp_path: Path) -> None:
    step = Step(
        id="s", title="", instructions="", checks=(Check("c", "says", {"file": "${NAME}.txt", "text": "${COUNT}"}),)
    )
    lab = lab_of(
        step, directory=tmp_path,
        variables=(
            Variable("NAME", default="apim"),
            Variable("COUNT", type="integer", command="echo ' 42 '"),
        ),
    )  # fmt: skip
    engine = open_engine(lab)
    engine.run_block(step, block("b", 'echo "$COUNT" > "$NAME.txt"'))
    assert engine.check(step).passed


def test_a_computed_value_stays_the_same_when_the_session_is_resumed(open_engine: Open, tmp_path: Path) -> None:
    lab = lab_of(directory=tmp_path, variables=(Variable("SUFFIX", command="echo $RANDOM$RANDOM$RANDOM"),))
    first = dict((engine := open_engine(lab)).values)
    engine.close()
    assert dict(open_engine(lab).values)["SUFFIX"] == first["SUFFIX"]


def test_a_variable_of_the_wrong_type_is_refused(open_engine: Open, tmp_path: Path) -> None:
    lab = lab_of(directory=tmp_path, variables=(Variable("PORT", type="integer", default="http"),))
    with pytest.raises(UsageError, match="'http' is not of type integer"):
        open_engine(lab)


def test_no_secret_reaches_the_journal_or_a_listener(open_engine: Open, tmp_path: Path) -> None:
    step = Step(id="s", title="", instructions="", checks=(Check("c", "says", {"file": "f", "text": "${TOKEN}"}),))
    lab = lab_of(
        step, directory=tmp_path, variables=(Variable("TOKEN", secret=True, command="echo hunter2-$RANDOM-x"),)
    )
    engine = open_engine(lab)
    said = heard(engine)
    secret = engine.values["TOKEN"]
    engine.run_block(step, block("b", 'for i in 1 2 3 4 5 6; do printf "%s" "${TOKEN:i-1:1}"; sleep 0.03; done; echo'))
    engine.run_block(step, block("b2", 'echo "value $TOKEN"; echo -n "$TOKEN" | base64; printf %s "$TOKEN" > f2'))
    engine.run_block(step, block("b3", "openssl genpkey -algorithm ED25519 2>/dev/null"))
    engine.run_block(step, block("b4", 'printf "%s" "${TOKEN:0:6}"; sleep 0.1; printf "%s\\n" "${TOKEN:6}"'))
    engine.check(step)
    engine.close()
    journal = (engine.directory / "journal.jsonl").read_text()
    for text in (journal, "".join(repr(event) for event in said)):
        assert secret not in text
        assert "BEGIN PRIVATE KEY" not in text
    assert "[redacted]" in journal and "[redacted private key]" in journal


def test_a_block_typed_in_other_words_over_several_lines_is_still_that_block(open_engine: Open, tmp_path: Path) -> None:
    loop = block("loop", 'for n in 1 2; do\n  echo "n $n"\ndone', expect=Expect(output="^n 2$"))
    two = block("two", "echo one > file   # begin\ncat 'file'", expect=Expect(output="one"))
    engine = open_engine(lab_of(Step("s", "S", "", blocks=(loop, two)), directory=tmp_path))
    said = heard(engine)
    engine.enter(engine.lab.steps[0])

    def finished() -> list[events.BlockFinished]:
        return [e for e in said if isinstance(e, events.BlockFinished)]

    engine.send_input('for   n in 1 2\rdo echo "n $n"; done\r')
    assert wait_for(finished, lambda seen: len(seen) == 1, timeout=5).holds
    engine.send_input("echo one >file\r")
    assert wait_for(finished, lambda seen: len(seen) == 2, timeout=5).holds
    engine.send_input('cat "file"\r')
    assert wait_for(finished, lambda seen: len(seen) == 3, timeout=5).holds
    assert [(e.block, e.role, e.outcome, e.output) for e in finished()] == [
        ("loop", "typed", "ok", "n 1\nn 2\n"),
        ("", "typed", "ok", ""),
        ("two", "typed", "ok", "one\n"),
    ]


def test_a_typed_command_is_told_from_a_block_and_matched_to_one(open_engine: Open) -> None:
    engine = open_engine()
    said = heard(engine)
    step = engine.lab.steps[0]
    engine.enter(step)
    engine.send_input(f"{step.blocks[0].run}\r")

    def finished() -> list[events.BlockFinished]:
        return [e for e in said if isinstance(e, events.BlockFinished)]

    assert wait_for(finished, bool, timeout=5).holds
    engine.send_input("cat greeting; false\r")
    assert wait_for(finished, lambda seen: len(seen) == 2, timeout=5).holds
    by_hand, other = finished()
    assert (by_hand.role, by_hand.block, by_hand.exit) == ("typed", "do", 0)
    assert (other.role, other.block, other.exit, other.output) == ("typed", "", 1, "hello\n")
    started = [e for e in said if isinstance(e, events.BlockStarted)]
    assert started[1].command == "cat greeting; false"


def test_a_dead_shell_is_restarted_and_the_learner_is_told(open_engine: Open) -> None:
    engine = open_engine()
    said = heard(engine)
    raw: list[bytes] = []
    engine.tap(raw.append)
    step = engine.lab.steps[0]
    engine.run_block(step, block("a", "export A=1; f() { echo from f; }; cd /"))
    assert engine.run_block(step, block("b", "exit 7")).outcome == "shell-died"
    assert [e.reason for e in said if isinstance(e, events.ShellRestarted)] == ["the shell exited with status 7"]
    assert b"the shell exited with status 7" in b"".join(raw)
    assert engine.run_block(step, block("c", "echo $A $PWD; f")).output == "1 /\nfrom f\n"


def test_a_second_runner_is_told_who_holds_the_session_and_can_take_it_over(open_engine: Open, tmp_path: Path) -> None:
    first = open_engine()
    said = heard(first)
    with pytest.raises(SessionHeld) as caught:
        open_engine()
    assert caught.value.holder is not None and str(caught.value.holder.pid) in caught.value.message
    second = open_engine(take_over=True)
    assert [e.reason for e in said if isinstance(e, events.SessionEnded)] == ["taken-over"]
    assert second.run_block(second.lab.steps[0], block("a", "echo mine")).output == "mine\n"
    with pytest.raises(EnvironmentFault):
        first.check(first.lab.steps[0])


def test_close_is_quick_idempotent_and_ends_what_left_the_terminal(open_engine: Open) -> None:
    engine = open_engine()
    step = engine.lab.steps[0]
    engine.run_block(step, block("a", "setsid nohup sleep 300 >/dev/null 2>&1 & sleep 300 & (sleep 300 &)"))
    assert len(processes.belonging_to(str(engine.directory))) >= 4
    done = wait_for(lambda: engine.close(), lambda _: True, timeout=0)
    assert done.seconds < 1.0
    engine.close()
    assert processes.belonging_to(str(engine.directory)) == []
    assert engine.target.stopped >= 1  # type: ignore[attr-defined]


def test_close_while_it_is_still_starting_leaves_nothing(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(FakeTarget):
        def start(self) -> None:
            entered.set()
            go_on.wait(5)
            super().start()

    target = Slow()
    engine = Engine(lab_of(directory=tmp_path), target, kinds=KINDS, directory=tmp_path / "session")
    faults: list[Exception] = []

    def open_it() -> None:
        try:
            engine.start()
        except EnvironmentFault as fault:
            faults.append(fault)

    worker = threading.Thread(target=open_it)
    worker.start()
    entered.wait(5)
    engine.close()
    go_on.set()
    worker.join(10)
    assert len(faults) == 1
    assert target.stopped >= 1
    assert processes.belonging_to(str(tmp_path / "session")) == []
    again = Engine(lab_of(directory=tmp_path), FakeTarget(), kinds=KINDS, directory=tmp_path / "session")
    again.start()
    again.close()


def test_a_tool_or_feature_the_lab_needs_is_missed_by_name(open_engine: Open, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="needs no-such-tool, not found on the PATH"):
        open_engine(lab_of(directory=tmp_path, requires=Requires(tools=("bash", "no-such-tool"))))
    with pytest.raises(EnvironmentFault, match="needs mesh, which the target sandbox lacks"):
        open_engine(lab_of(directory=tmp_path, requires=Requires(features=("mesh",))))


def test_close_while_a_block_runs_ends_the_block(open_engine: Open) -> None:
    engine = open_engine()
    outcomes: list[str] = []
    step = engine.lab.steps[0]
    said = heard(engine)
    worker = threading.Thread(
        target=lambda: outcomes.append(engine.run_block(step, block("a", "echo on; sleep 300")).outcome)
    )
    worker.start()
    assert wait_for(lambda: any(isinstance(e, events.BlockOutput) for e in said), bool, timeout=5).holds
    engine.close()
    worker.join(2)
    assert outcomes == ["shell-died"]


def test_a_second_block_is_refused_while_one_runs(open_engine: Open) -> None:
    engine = open_engine()
    step = engine.lab.steps[0]
    said = heard(engine)
    worker = threading.Thread(target=lambda: engine.run_block(step, block("a", "echo on; sleep 300")))
    worker.start()
    assert wait_for(lambda: any(isinstance(e, events.BlockOutput) for e in said), bool, timeout=5).holds
    with pytest.raises(ShellBusy):
        engine.run_block(step, block("b", "true"))
    engine.interrupt()
    worker.join(5)
    finished = [e for e in said if isinstance(e, events.BlockFinished) and e.block == "a"]
    assert [e.outcome for e in finished] == ["interrupted"]
    assert engine.run_block(step, block("c", "echo usable")).output == "usable\n"


def test_nothing_is_shown_as_done_that_could_not_be_journalled(
    open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    step = engine.lab.steps[0]
    engine.solve(step)
    said = heard(engine)
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("journal.jsonl"):
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr("labrunner.run.journal.os.write", full)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        engine.check(step)
    monkeypatch.setattr("labrunner.run.journal.os.write", write)
    assert [e for e in said if e.durable] == []
    assert engine.session.state(step.id) is StepState.OPEN


def test_progress_is_the_same_cached_and_folded(open_engine: Open, tmp_path: Path) -> None:
    lab = lab_of(directory=tmp_path)
    engine = Engine(lab, FakeTarget(), kinds=KINDS)
    try:
        engine.start()
        step = lab.steps[0]
        engine.enter(step)
        engine.solve(step)
        engine.check(step)
        engine.hint(step)
    finally:
        engine.close()
    first = progress("demo", "sandbox")
    second = progress("demo", "sandbox")
    assert first == second and first is not None
    assert (first.passed, first.attempts, first.hints, first.current) == (1, 1, 1, "write")
    assert (engine.directory / "progress.json").exists()
