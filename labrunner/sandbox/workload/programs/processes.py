"""ps, kill, top and their like."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from labrunner.sandbox.workload import procfs
from labrunner.sandbox.workload.machine import signals
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.options import OptionFault, parse, wrong
from labrunner.sandbox.workload.programs.table import program
from labrunner.sandbox.workload.shell.builtin_jobs import kill_pid
from labrunner.sandbox.workload.text import regex


def _visible(process: Process) -> list[Process]:
    return process.container.processes()


def _user(process: Process, of: Process) -> str:
    return process.container.user_name(of.owner.uid) or str(of.owner.uid)


def _command(of: Process) -> str:
    return " ".join(of.argv) or "[unknown]"


def _tty(of: Process) -> str:
    return "pts/0" if of.terminal is not None else "?"


@program("ps")
async def ps(process: Process) -> int:
    words = process.argv[1:]
    letters = "".join(w.lstrip("-") for w in words if not w.startswith("--"))
    columns = next((words[i + 1] for i, w in enumerate(words[:-1]) if w in ("-o", "o", "-eo", "-A -o")), "")
    if columns:
        return await _chosen(process, columns)
    if process.container.family != "debian":
        if any(w not in ("-ef", "aux", "-aux", "-e", "-f", "ax", "-A", "-a", "-w", "-T", "-l") for w in words):
            return await wrong(process, OptionFault(letters[:1] or "?"))
        await process.line("PID   USER     TIME  COMMAND")
        for other in _visible(process):
            minutes, seconds = divmod(int(other.cpu), 60)
            await process.line(
                f"{other.pid:5d} {_user(process, other):<8.8} {minutes:2d}:{seconds:02d} {_command(other)}"
            )
        return 0
    if "u" in letters:
        await process.line("USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND")
        for other in _visible(process):
            start = datetime.fromtimestamp(other.started, UTC).strftime("%H:%M")
            await process.line(f"{_user(process, other):<8} {other.pid:7d}  0.0  0.0   4588  3840 {_tty(other):<8} "
                               f"{_state(process, other):<4} {start}   0:00 {_command(other)}")  # fmt: skip
        return 0
    if "f" in letters:
        await process.line("UID          PID    PPID  C STIME TTY          TIME CMD")
        for other in _visible(process):
            start = datetime.fromtimestamp(other.started, UTC).strftime("%H:%M")
            parent = other.parent.pid if other.parent else 0
            await process.line(f"{_user(process, other):<8} {other.pid:7d} {parent:7d}  0 {start} {_tty(other):<8} "
                               f"00:00:00 "
                               f"{_command(other)}")  # fmt: skip
        return 0
    everyone = bool(set("eAax") & set(letters))
    await process.line("    PID TTY          TIME CMD")
    for other in _visible(process):
        if everyone or other.session == process.session:
            await process.line(f"{other.pid:7d} {_tty(other):<8} 00:00:00 {other.name or '?'}")
    return 0


def _state(process: Process, other: Process) -> str:
    return "R" if other is process else "Ss" if other.pid == other.session else "S"


async def _chosen(process: Process, columns: str) -> int:
    heads = {"pid": "PID", "ppid": "PPID", "user": "USER", "comm": "COMMAND", "args": "COMMAND", "cmd": "CMD",
             "tty": "TT",
             "stat": "STAT", "time": "TIME", "etime": "ELAPSED", "pgid": "PGID", "uid": "UID", "vsz": "VSZ",
             "rss": "RSS",
             "group": "GROUP", "rgroup": "RGROUP", "ruser": "RUSER", "nice": "NI"}  # fmt: skip
    names = [c.partition("=")[0] for c in columns.split(",")]
    for name in names:
        if name not in heads:
            return await process.fail(f"bad -o argument '{name}'")
    rows = [[heads[name] for name in names]]
    for other in _visible(process):
        elapsed = int(time.time() - other.started)
        group = process.container.group_name(other.owner.gid) or str(other.owner.gid)
        values = {"pid": other.pid, "ppid": other.parent.pid if other.parent else 0, "user": _user(process, other),
                  "comm": other.name, "args": _command(other), "cmd": _command(other), "tty": _tty(other),
                  "stat": _state(process, other), "time": "00:00:00",
                  "etime": f"{elapsed // 60:02d}:{elapsed % 60:02d}",
                  "pgid": other.session, "uid": other.owner.uid, "vsz": 4588, "rss": 3840, "group": group,
                  "rgroup": group,
                  "ruser": _user(process, other), "nice": 0}  # fmt: skip
        rows.append([str(values[name]) for name in names])
    widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
    silent = all(c.endswith("=") for c in columns.split(","))
    for row in rows[1:] if silent else rows:
        await process.line(" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


@program("kill")
async def kill(process: Process) -> int:
    words = process.argv[1:]
    number = 15
    if words[:1] == ["-l"]:
        await process.line(" ".join(f"{n:2d}) SIG{name}" for name, n in signals.NUMBERS.items()))
        return 0
    if words[:1] == ["-s"] and len(words) > 1:
        words = [f"-{words[1]}", *words[2:]]
    if words and words[0].startswith("-") and words[0] != "--":
        found = signals.parse(words[0][1:])
        if found is None:
            return await process.fail(f"bad signal name '{words[0][1:]}'")
        number, words = found, words[1:]
    status = 0
    for word in [w for w in words if w != "--"]:
        if not word.lstrip("-").isdigit():
            status = await process.fail(f"invalid number '{word}'")
            continue
        if problem := kill_pid(process, int(word), number):
            status = await process.fail(problem)
    return status


@program("killall", "pkill", "pgrep", "pidof")
async def by_name(process: Process) -> int:
    kind = process.name
    number, full, exact, long = 15, False, kind in ("killall", "pidof"), False
    names: list[str] = []
    for word in process.argv[1:]:
        if word.startswith("-") and len(word) > 1:
            found = signals.parse(word[1:])
            if found is not None and kind in ("killall", "pkill"):
                number = found
            full = full or (kind in ("pkill", "pgrep") and "f" in word[1:])
            exact = exact or "x" in word[1:]
            long = long or (kind == "pgrep" and bool(set("la") & set(word[1:])))
        else:
            names.append(word)
    matched: list[Process] = []
    for other in _visible(process):
        if other is process or (process.parent is other and kind != "pidof"):
            continue
        text = _command(other) if full else other.name
        try:
            if any(text == n if exact else regex.compile_(n, extended=True).test(text) for n in names):
                matched.append(other)
        except regex.RegexFault as error:
            return await process.fail(str(error), 2)
    if kind == "pidof":
        if matched:
            await process.line(" ".join(str(p.pid) for p in reversed(matched)))
        return int(not matched)
    if kind == "pgrep":
        for other in matched:
            await process.line(f"{other.pid} {_command(other)}" if long else str(other.pid))
        return int(not matched)
    if not matched and kind == "killall":
        return await process.fail(f"{names[0] if names else ''}: no process killed")
    for other in matched:
        if other.pid != 1 or number != 9:  # the kernel keeps a namespace's first process from its own
            other.kill(number)
    return int(not matched)


@program("top")
async def top(process: Process) -> int:
    used = procfs.MEMORY_KB - 9_211_904
    rows = [f"Mem: {used}K used, 9211904K free, 3060K shrd, 201728K buff, 3904512K cached",
            "CPU:   2% usr   1% sys   0% nic  96% idle   0% io   0% irq   0% sirq",
            f"Load average: 0.12 0.09 0.05 1/{len(_visible(process)) + 90} {process.pid}",
            "  PID  PPID USER     STAT   VSZ %VSZ CPU %CPU COMMAND"]  # fmt: skip
    for other in _visible(process):
        parent = other.parent.pid if other.parent else 0
        state = "R" if other is process else "S"
        rows.append(
            f"{other.pid:5d} {parent:5d} {_user(process, other):<8} {state:<4}  4404   0%   0   0% {_command(other)}"
        )
    await process.write("\n".join(rows) + "\n")
    return 0


@program("free")
async def free(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "hmgbk", {"human": "h"})
    except OptionFault as error:
        return await wrong(process, error)
    values = [procfs.MEMORY_KB, 3_074_072, 9_211_904, 3060, 4_107_240, 13_107_200]

    def shown(kilobytes: int) -> str:
        if options.flag("h"):
            return f"{kilobytes / 1048576:.1f}G" if kilobytes > 1048576 else f"{kilobytes / 1024:.1f}M"
        return str(kilobytes // 1024 if options.flag("m") else kilobytes // 1048576 if options.flag("g") else kilobytes)

    await process.line("              total        used        free      shared  buff/cache   available")
    await process.line("Mem:   " + "".join(f"{shown(v):>12}" for v in values))
    await process.line("Swap:  " + "".join(f"{shown(0):>12}" for _ in range(3)))
    return 0


@program("vmstat")
async def vmstat(process: Process) -> int:
    await process.line("procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----")
    await process.line(" r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st")
    await process.line(" 1  0      0 9211904 201728 3904512    0    0     2    14   90  160  2  1 96  0  0")
    return 0
