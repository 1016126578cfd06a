"""A lab in a real browser: opened by its one-time address, worked in with keys, closed with its tab."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import chromium
import pytest

pytestmark = [pytest.mark.skipif(not chromium.FOUND, reason="chromium is not installed"), pytest.mark.slow]

LAB = "apim-istio"


async def test_a_lab_is_worked_in_and_nothing_is_fetched_from_elsewhere(isolated_home: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment.pop("DISPLAY", None)
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "labrunner", "run", LAB, "--web",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    assert program.stdout is not None and program.stderr is not None
    try:
        address = (await asyncio.wait_for(program.stdout.readline(), 30)).decode().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{20,}", address)
        journal = isolated_home / "labrunner" / "state" / "sessions"
        async with asyncio.timeout(90), chromium.chromium(tmp_path / "profile") as tab:
            await tab.open(address)
            while not await tab.value("document.body.classList.contains('-first-byte')"):
                await asyncio.sleep(0.05)
            assert await tab.value("location.search") == ""
            assert await tab.value("document.fonts.check(\"16px 'Roboto Mono'\")")
            blank = await tab.picture()
            while "SessionStarted" not in _journalled(journal):
                await asyncio.sleep(0.1)
            await tab.click(300, 300)
            while '"role":"block"' not in _journalled(journal):
                await tab.type("r")  # the first block, once the lab is ready for it
                await asyncio.sleep(0.3)
            await tab.type("n")
            while _journalled(journal).count("StepEntered") < 2:
                await asyncio.sleep(0.1)
            picture = await tab.picture()
            (tmp_path / "web.png").write_bytes(picture)
            keep = os.environ.get("LABRUNNER_WEB_PICTURE")
            if keep:
                Path(keep).write_bytes(picture)
            assert picture != blank
            assert {urlsplit(url).hostname for url in tab.requested if not url.startswith("data:")} == {"127.0.0.1"}
            assert any(url.startswith("ws://") for url in tab.requested)
            assert tab.complaints == []
        code = await asyncio.wait_for(program.wait(), 30)  # the browser is gone: so is everything else
        assert code == 0, (await program.stderr.read()).decode()
    finally:
        if program.returncode is None:
            program.terminate()
            await program.wait()
    assert "SessionEnded" in _journalled(journal).splitlines()[-1]


def _journalled(sessions: Path) -> str:
    return "".join(file.read_text() for file in sessions.rglob("journal.jsonl"))
