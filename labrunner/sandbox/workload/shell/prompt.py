"""The interactive shell's prompt and line editor: arrows, history, erasing, completion of nothing."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labrunner.sandbox.workload.machine.process import Process
    from labrunner.sandbox.workload.shell.executor import Shell

_SEQUENCES = {
    b"[A": "up", b"OA": "up", b"[B": "down", b"OB": "down", b"[C": "right", b"OC": "right", b"[D": "left",
    b"OD": "left", b"[H": "home", b"[F": "end", b"OH": "home", b"OF": "end", b"[3~": "delete", b"[1~": "home",
    b"[4~": "end",
}  # fmt: skip
_CONTROL = {b"\x01": "home", b"\x05": "end", b"\x02": "left", b"\x06": "right", b"\x10": "up", b"\x0e": "down",
            b"\x7f": "erase", b"\x08": "erase", b"\x15": "kill", b"\x17": "word", b"\x0b": "rest", b"\x0c": "clear",
            b"\t": "complete"}  # fmt: skip


async def prompt_text(shell: Shell, name: str) -> str:
    """`PS1` or `PS2` with its escapes."""
    process, state = shell.process, shell.state
    text = state.get(name) or ""
    home = state.get("HOME") or "/"
    cwd = process.cwd
    tilde = "~" + cwd[len(home) :] if home != "/" and (cwd == home or cwd.startswith(home + "/")) else cwd
    host = process.container.hostname
    known = {
        "u": process.container.user_name(process.owner.uid) or "I have no name!", "h": host.split(".")[0], "H": host,
        "w": tilde, "W": posixpath.basename(tilde) or "/", "$": "$" if process.owner.uid else "#", "n": "\n",
        "s": state.name, "v": "5.2", "[": "", "]": "", "\\": "\\", "e": "\x1b",
    }  # fmt: skip
    out, at = [], 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in known and state.flavour != "dash":
            out.append(known[text[at + 1]])
            at += 2
        else:
            out.append(text[at])
            at += 1
    found = "".join(out)
    if "$" in found[:-2]:
        from labrunner.sandbox.workload.shell.words import WordReader

        return await shell.expander.text(WordReader(found).here_text())
    return found


class LineEditor:
    """Reads one line after the other from the terminal in raw mode, or from any other stream as it is."""

    def __init__(self, process: Process, shell: Shell) -> None:
        self._process, self._shell = process, shell
        self._reading: asyncio.Task[str] | None = None
        self._shown: Callable[[], str] | None = None
        """What the line looks like now."""
        self._redrawing: asyncio.Task[None] | None = None

    def interrupt(self) -> None:
        """Ctrl-C while a line is typed."""
        if self._reading is not None:
            self._reading.cancel()

    def resized(self, number: int) -> None:
        """The terminal has another size: draw the line again (whoever attaches late sees the prompt by this)."""
        if self._shown is not None:
            self._redrawing = asyncio.ensure_future(self._process.error(self._shown()))

    async def read(self, prompt: str) -> str | None:
        """The line with its newline; empty at the end of input; None when it was interrupted."""
        process = self._process
        terminal = process.terminal
        if terminal is None or not process.stdin.is_tty:
            await process.error(prompt)
            line = (await process.stdin.readline()).decode("utf-8", "surrogateescape")
            return line
        terminal.raw = True
        self._reading = asyncio.ensure_future(self._edit(prompt))
        try:
            return await self._reading
        except asyncio.CancelledError:
            if not self._reading.cancelled():
                self._reading.cancel()
                raise
            await process.error("^C\n")
            return None
        finally:
            terminal.raw = False
            self._reading = self._shown = None

    async def _edit(self, prompt: str) -> str:
        process = self._process
        line: list[str] = []
        at = 0
        history = self._shell.state.history
        place = len(history)
        kept = ""
        last = prompt.rpartition("\n")[2]
        await process.error(prompt)

        def drawn() -> str:
            back = len(line) - at
            return f"\r{last}{''.join(line)}\x1b[K" + (f"\x1b[{back}D" if back else "")

        self._shown = drawn

        async def redraw() -> None:
            await process.error(drawn())

        while True:
            key, text = await self._key()
            if key == "end of input":
                return ""
            if key == "eof":
                if not line:
                    return ""
                if at < len(line):
                    del line[at]
                    await redraw()
            elif key == "enter":
                await process.error("\n")
                return "".join(line) + "\n"
            elif key == "text":
                line[at:at] = list(text)
                at += len(text)
                if at == len(line):
                    await process.error(text)
                else:
                    await redraw()
            elif key in ("up", "down"):
                if place == len(history):
                    kept = "".join(line)
                place = max(0, min(len(history), place + (-1 if key == "up" else 1)))
                line = list(history[place] if place < len(history) else kept)
                at = len(line)
                await redraw()
            else:
                at, changed = _moved(key, line, at)
                if key == "clear":
                    await process.error("\x1b[H\x1b[J")
                if changed:
                    await redraw()

    async def _key(self) -> tuple[str, str]:
        stdin = self._process.stdin
        byte = await stdin.read(1)
        if not byte:
            return "end of input", ""
        if byte in (b"\r", b"\n"):
            return "enter", ""
        if byte == b"\x04":
            return "eof", ""
        if byte == b"\x1b":
            sequence = b""
            while len(sequence) < 6:
                sequence += await stdin.read(1)
                if (sequence[-1:].isalpha() and sequence != b"O") or sequence.endswith(b"~"):
                    break
            return _SEQUENCES.get(sequence, "nothing"), ""
        if byte in _CONTROL:
            return _CONTROL[byte], ""
        if byte < b" ":
            return "nothing", ""
        more = {0xC0: 1, 0xE0: 2, 0xF0: 3}
        need = next(
            (n for mask, n in sorted(more.items(), reverse=True) if byte[0] & mask == mask and byte[0] > 0xBF), 0
        )
        for _ in range(need):
            byte += await stdin.read(1)
        return "text", byte.decode("utf-8", "replace")


def _moved(key: str, line: list[str], at: int) -> tuple[int, bool]:
    """(cursor, whether anything is to be drawn); `line` is changed in place."""
    match key:
        case "left":
            return max(0, at - 1), at > 0
        case "right":
            return min(len(line), at + 1), at < len(line)
        case "home":
            return 0, True
        case "end":
            return len(line), True
        case "erase":
            if at:
                del line[at - 1]
                return at - 1, True
        case "delete":
            if at < len(line):
                del line[at]
                return at, True
        case "kill":
            del line[:at]
            return 0, True
        case "rest":
            del line[at:]
            return at, True
        case "clear":
            return at, True
        case "word":
            start = at
            while start and line[start - 1] == " ":
                start -= 1
            while start and line[start - 1] != " ":
                start -= 1
            del line[start:at]
            return start, True
    return at, False
