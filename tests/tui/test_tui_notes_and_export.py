"""Notes of the learner's own, and the session written down."""

from __future__ import annotations

from pathlib import Path

from scripted_lab import ScriptedEngine, make_lab
from stage import running
from textual.widgets import TextArea

from labrunner.report.session_report import SessionReport
from labrunner.run import events as ev
from labrunner.tui.screens.edit import EditScreen


async def test_a_note_is_kept_and_can_be_changed_or_emptied() -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        for text in ("Mind the CA flag.", ""):
            await stage.press("w")
            await stage.until(lambda: isinstance(stage.app.screen, EditScreen))
            stage.app.screen.query_one(TextArea).text = text
            await stage.press("ctrl+r")
            await stage.until(lambda t=text: ("note", "ca", t) in engine.calls)
            await stage.until(lambda t=text: stage.lab.view.steps["ca"].note == t)
        assert not [call for call in engine.calls if call[0] == "run_block"]


async def test_the_summary_writes_the_session_down_and_says_where(tmp_path: Path) -> None:
    engine = ScriptedEngine(make_lab())
    engine.work = tmp_path / "work"
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("r")
        await stage.shows("exit 0")
        await stage.press("u")
        await stage.shows("e export")
        await stage.press("e")
        await stage.until(lambda: (tmp_path / "apim-istio.html").exists())
        await stage.shows("Written")
    text = (tmp_path / "apim-istio.md").read_text()
    assert "$ openssl req -x509" in text and "configured" in text


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    engine = ScriptedEngine(make_lab())
    engine.work = tmp_path / "missing" / "work"
    async with running(lab=engine.lab, engine=engine) as stage:
        await stage.press("u")
        await stage.shows("e export")
        await stage.press("e")
        await stage.shows("cannot write into")


def test_the_documents_hold_commands_outputs_notes_and_escape_what_they_hold() -> None:
    lab = make_lab()
    step = "gateway"
    report = SessionReport.of(
        lab,
        [
            ev.SessionStarted(at=1000.0, lab=lab.id, lab_digest="d", target="sandbox", resumed=False),
            ev.BlockStarted(at=1001.0, step=step, block="", role="typed", command="echo '<b>' ```\necho 2"),
            ev.BlockFinished(
                at=1002.0, step=step, block="", role="typed", exit=1, outcome="unexpected-exit",
                output="<script>alert(1)</script>\n", cwd="/", seconds=1.0,
            ),
            ev.HintShown(at=1003.0, step=step, hint="#1", text="h"),
            ev.SolutionShown(at=1004.0, step=step),
            ev.NoteWritten(at=1005.0, step=step, text="old"),
            ev.NoteWritten(at=1006.0, step=step, text="<i>mine</i>\nsecond line"),
            ev.StepStateChanged(at=1007.0, step=step, state="passed"),
        ],
    )  # fmt: skip
    page, text = report.page(), report.markdown()
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert "&lt;i&gt;mine" in page and "old" not in text
    assert "http" not in page.replace("https", "http").split("</style>")[0]  # nothing is fetched
    assert "````console\n$ echo '<b>' ```\n> echo 2\n<script>" in text
    assert "> <i>mine</i>\n> second line" in text
    assert "passed, 1 hint, solution looked at" in text and "(exit 1)" in text
    assert "1 of 5 steps passed" in text
