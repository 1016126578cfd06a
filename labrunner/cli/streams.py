"""The standard streams, made safe to write to: closed ones, encodings that cannot hold our text, full disks."""

from __future__ import annotations

import io
import os
import sys


def prepare() -> None:
    """Give the process all three standard streams, and let every text be written to them.

    A descriptor that is closed (`labrunner list >&-`) is opened on /dev/null: else the next file that is opened, a
    journal for example, would take its number and get what is meant for the stream.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def abandon_stdout() -> None:
    """Drop what stdout still holds and will hold: its reader is gone, or its disk is full."""
    if sys.__stdout__ is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.__stdout__.fileno())
        os.close(null)
