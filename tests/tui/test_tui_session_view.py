"""Events folded into what the screens show, and instructions split at their blocks."""

from __future__ import annotations

import dataclasses

from scripted_lab import make_lab

from labrunner.check.result import CheckResult, CheckStatus
from labrunner.lab.model import Block
from labrunner.run import events as ev
from labrunner.tui.blocks import split
from labrunner.tui.inbox import Inbox
from labrunner.tui.session_view import OUTPUT_TAIL, SessionView

LAB = make_lab()


def finished(at: float, outcome: str = "ok") -> ev.BlockFinished:
    return ev.BlockFinished(
        at=at, step="ca", block="make-ca", role="block", exit=0, outcome=outcome, output="x", cwd="/", seconds=1.5
    )


def test_pauses_do_not_count_as_time_spent() -> None:
    view = SessionView.of(
        LAB,
        [
            ev.StepEntered(at=0, step="ca"),
            ev.StepEntered(at=100, step="gateway"),
            ev.HintShown(at=90_000, step="gateway", hint="#1", text=""),
            ev.HintShown(at=90_030, step="gateway", hint="#2", text=""),
        ],
    )
    assert view.seconds == 130
    assert view.steps["ca"].seconds == 100
    assert view.steps["gateway"].seconds == 30


def test_a_command_that_ran_when_the_session_ended_no_longer_runs() -> None:
    started = ev.BlockStarted(at=1, step="ca", block="make-ca", role="block", command="x")
    view = SessionView.of(LAB, [started])
    assert view.running == ("ca", "make-ca")
    view.apply(ev.SessionStarted(at=2, lab="l", lab_digest="", target="sandbox", resumed=True))
    assert view.running is None
    assert view.steps["ca"].blocks["make-ca"].outcome == "interrupted"


def test_a_step_that_passed_and_broke_is_regressed_and_not_done() -> None:
    view = SessionView(LAB)
    view.apply(ev.StepStateChanged(at=1, step="ca", state="passed"))
    assert view.done == 1
    view.apply(ev.StepStateChanged(at=2, step="ca", state="regressed"))
    assert view.steps["ca"].state == "regressed" and view.done == 0


def test_a_failed_attempt_shows_until_the_step_passes() -> None:
    view = SessionView(LAB)
    result = CheckResult("ca-is-ca", "t", CheckStatus.FAILED)
    view.apply(ev.CheckFinished(at=1, step="ca", check="ca-is-ca", result=result))
    view.apply(ev.AttemptFinished(at=1, step="ca", number=1, passed=False))
    assert view.steps["ca"].state == "failed"
    view.apply(ev.StepStateChanged(at=2, step="ca", state="passed"))
    assert view.steps["ca"].state == "passed"


def test_events_of_steps_the_lab_no_longer_has_are_ignored() -> None:
    view = SessionView.of(LAB, [ev.StepEntered(at=1, step="gone"), dataclasses.replace(finished(2), step="gone")])
    assert view.current == "ca"


def test_next_open_looks_forward_then_from_the_start() -> None:
    view = SessionView(LAB)
    view.apply(ev.StepEntered(at=1, step="watch"))
    for step in ("watch", "read"):
        view.apply(ev.StepStateChanged(at=2, step=step, state="skipped"))
    following = view.next_open()
    assert following is not None and following.id == "ca"


def test_the_inbox_keeps_order_and_merges_a_flood_of_output() -> None:
    woken: list[int] = []
    inbox = Inbox(lambda: woken.append(1))
    for number in range(5000):
        inbox.put(ev.BlockOutput(at=number, step="ca", block="make-ca", text=f"{number:099}\n"))
    inbox.put(finished(6000))
    output, end = inbox.take()
    assert woken == [1]
    assert isinstance(output, ev.BlockOutput) and len(output.text) <= OUTPUT_TAIL and output.text.endswith("4999\n")
    assert isinstance(end, ev.BlockFinished)
    assert inbox.take() == []


def pieces(instructions: str) -> list[str]:
    step = dataclasses.replace(LAB.steps[0], instructions=instructions)
    return [f"<{piece.id}>" if isinstance(piece, Block) else piece.strip() for piece in split(step)]


def test_blocks_stand_where_the_text_refers_to_them() -> None:
    assert pieces("a\n```run:make-ca\n```\nb\n```run:show-ca\n```\n") == ["a", "<make-ca>", "b", "<show-ca>"]


def test_blocks_the_text_never_mentions_come_last() -> None:
    assert pieces("a\n```run:show-ca\n```\n") == ["a", "<show-ca>", "<make-ca>"]


def test_a_reference_inside_another_fence_is_text() -> None:
    assert pieces("````\n```run:make-ca\n```\n````")[0] == "````\n```run:make-ca\n```\n````"


def test_a_reference_to_no_block_and_an_open_fence_lose_nothing() -> None:
    assert pieces("```run:none\n```\nend")[0] == "```run:none\n```\nend"
    assert pieces("x\n```run:make-ca")[:2] == ["x", "<make-ca>"]
