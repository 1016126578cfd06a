"""Told to stop at any moment of its start, the interface leaves the terminal as it was and nothing running."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pexpect
import pytest

from labrunner.errors import ExitCode
from labrunner.run import processes

MOMENTS = {
    "the alternate screen was just entered": "\x1b[?1049h",
    "the first frame is drawn": "labrunner",
    "the lab is on the screen": "Run something",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_terminal_is_left_as_it_was(isolated_home: Path, number: signal.Signals, moment: str) -> None:
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    program = pexpect.spawn(
        sys.executable, ["-m", "labrunner", "tour"], env=environment, encoding="utf-8", dimensions=(24, 80), timeout=60
    )
    program.expect_exact(MOMENTS[moment])
    shown = MOMENTS[moment]
    os.kill(program.pid, number)
    program.expect(pexpect.EOF)
    shown += program.before or ""
    program.close()
    assert (program.exitstatus, program.signalstatus) == (int(ExitCode.INTERRUPTED), None)
    assert "Traceback" not in shown
    for entered, left in (("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?25l", "\x1b[?25h"), ("\x1b[?1000h", "\x1b[?1000l")):
        assert shown.rfind(left) > shown.rfind(entered) or entered not in shown
    assert shown.count("\x1b[?1049l") == 1
    assert processes.belonging_to(str(isolated_home)) == []
