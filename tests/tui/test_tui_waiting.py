"""Checks that wait can be stopped; the terminal's size is taken though nobody said that it changed."""

from __future__ import annotations

import os
import shutil

import pytest
from scripted_lab import ScriptedEngine, make_lab
from stage import running
from textual.geometry import Size

from labrunner.check.result import Finding
from labrunner.tui.widgets.checks_pane import ChecksPane


@pytest.mark.parametrize("how", ["key", "button"])
async def test_a_check_that_waits_is_stopped_by_key_and_by_click(how: str) -> None:
    engine = ScriptedEngine(make_lab())
    async with running(lab=engine.lab, engine=engine) as stage:
        engine.waits.clear()
        await stage.press("c")
        await stage.shows("i stops the waiting")
        if how == "key":
            await stage.press("i")
        else:
            lines = stage.text().splitlines()
            row = next(y for y, line in enumerate(lines) if "i stops the waiting" in line)
            await stage.pilot.click(offset=(lines[row].index("stops the waiting") + 2, row))
        await stage.shows("Step passed")
        assert ("stop_waiting",) in engine.calls
        assert "i stops the waiting" not in stage.text()


async def test_after_a_hint_the_failing_checks_title_is_still_in_view() -> None:
    engine = ScriptedEngine(make_lab())
    engine.failing["gateway-tls"] = Finding("different", "It hands TLS through. " * 6, "SIMPLE", "PASSTHROUGH", "x")
    async with running(lab=engine.lab, engine=engine, size=(120, 36)) as stage:
        await stage.press("n", "c")
        await stage.shows("✘ Gateway apim terminates TLS")
        for hint in ("spec.servers", "credentialName"):
            await stage.press("h")
            await stage.until(lambda hint=hint: hint in stage.text().split("Checks", 1)[1])
        await stage.pilot.pause()
        assert "✘ Gateway apim terminates TLS" in stage.text()
        assert stage.lab.query_one(ChecksPane).has_class("-helped")


async def test_a_hint_below_many_findings_is_brought_into_view() -> None:
    engine = ScriptedEngine(make_lab())
    long = "It hands TLS through. " * 30
    for check in ("gateway-tls", "gateway-host"):
        engine.failing[check] = Finding("different", long, "SIMPLE", "PASSTHROUGH", "x")
    async with running(lab=engine.lab, engine=engine, size=(120, 36)) as stage:
        await stage.press("n", "c")
        await stage.shows("✘ Gateway apim terminates TLS")
        for hint in ("spec.servers", "credentialName"):
            await stage.press("h")
            await stage.until(lambda hint=hint: hint in stage.text().split("Checks", 1)[1])


async def test_a_size_that_nobody_announced_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(lab=make_lab(), size=(120, 36)) as stage:
        monkeypatch.setattr(shutil, "get_terminal_size", lambda fallback: os.terminal_size((80, 24)))
        stage.app.adopt_terminal_size()
        await stage.until(lambda: stage.app.size == Size(80, 24))
        await stage.shows("1 Steps")


async def test_after_hints_the_next_attempt_is_in_view_again() -> None:
    engine = ScriptedEngine(make_lab())
    long = "It hands TLS through. " * 30
    for check in ("gateway-tls", "gateway-host"):
        engine.failing[check] = Finding("different", long, "SIMPLE", "PASSTHROUGH", "x")
    async with running(lab=engine.lab, engine=engine, size=(120, 36)) as stage:
        await stage.press("n", "c")
        await stage.shows("✘ Gateway apim terminates TLS")
        await stage.press("h", "h")
        await stage.until(lambda: "credentialName" in stage.text().split("Checks", 1)[1])
        assert "✘ Gateway apim terminates TLS" not in stage.text()
        await stage.press("c")
        await stage.shows("✘ Gateway apim terminates TLS")
        await stage.press("h")
        await stage.until(lambda: "✘ Gateway apim terminates TLS" not in stage.text())
        engine.failing.clear()
        await stage.press("c")
        await stage.shows("Step passed")
