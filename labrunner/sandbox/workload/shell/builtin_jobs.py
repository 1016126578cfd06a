"""`wait`, `jobs`, `kill` and their like."""

from __future__ import annotations

import asyncio

from labrunner.sandbox.workload.machine import signals
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.shell.executor import Shell
from labrunner.sandbox.workload.shell.registry import builtin, usage
from labrunner.sandbox.workload.shell.state import (
    Job,
)


def _job(shell: Shell, word: str) -> Job | None:
    jobs = shell.state.jobs
    if word in ("%%", "%+", "%", ""):
        return jobs[-1] if jobs else None
    if word == "%-":
        return jobs[-2] if len(jobs) > 1 else None
    number = int(word[1:]) if word[1:].isdigit() else -1
    return next((j for j in jobs if j.number == number), None)


@builtin("wait")
async def _wait(shell: Shell, words: list[str]) -> int:
    state = shell.state
    if "-n" in words:
        running = [job.process for job in state.jobs]
        if not running:
            return 127
        waits = [asyncio.ensure_future(p.wait()) for p in running]
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in rest:
            waiting.cancel()
        state.jobs = [job for job in state.jobs if job.process.status is None]
        return done.pop().result()
    if not words:
        for job in list(state.jobs):
            status = await _wait_for(shell, job.process)
            if status is None:
                return 128 + 15
        state.jobs.clear()
        return 0
    status = 0
    for word in words:
        found: Process | None
        if word.startswith("%"):
            chosen = _job(shell, word)
            found = chosen.process if chosen else None
        else:
            found = next((job.process for job in state.jobs if str(job.process.pid) == word), None)
        if found is None:
            known = state.ended.get(int(word)) if word.isdigit() else None
            status = 127 if known is None else known
            if known is None and state.flavour == "bash":
                what = f"pid {word} is not a child of this shell" if word.isdigit() else f"{word}: no such job"
                await shell.process.error(shell.message(f"wait: {what}"))
            continue
        waited_ = await _wait_for(shell, found)
        if waited_ is None:
            return 128 + 15
        status = waited_
        if len(state.ended) < 1000:
            state.ended[found.pid] = status
        if found.ended_by_signal() and state.flavour != "bash":
            await shell.say_killed(found)
        state.jobs = [job for job in state.jobs if job.process is not found]
    return status


async def _wait_for(shell: Shell, child: Process) -> int | None:
    """None when a trap interrupted it."""
    waiting = asyncio.ensure_future(child.wait())
    try:
        while not waiting.done():
            await asyncio.wait((waiting,), timeout=0.1)
            if shell.pending_signals:
                await shell.run_traps()
                return None
        return waiting.result()
    finally:
        waiting.cancel()


@builtin("jobs")
async def _jobs(shell: Shell, words: list[str]) -> int:
    for index, job in enumerate(shell.state.jobs):
        mark = "+" if index == len(shell.state.jobs) - 1 else "-" if index == len(shell.state.jobs) - 2 else " "
        status = job.process.status
        state = "Running" if status is None else "Done" if status == 0 else f"Done({status})"
        await shell.process.line(f"[{job.number}]{mark}  {state:<24}{job.text}")
    shell.state.jobs = [job for job in shell.state.jobs if job.process.status is None]
    return 0


@builtin("fg")
async def _fg(shell: Shell, words: list[str]) -> int:
    job = _job(shell, words[0] if words else "")
    if job is None:
        await shell.process.error(shell.message(f"fg: {words[0] if words else 'current'}: no such job"))
        return 1
    await shell.process.line(job.text)
    job.process.background = False
    shell.state.jobs.remove(job)
    return await job.process.wait()


@builtin("bg")
async def _bg(shell: Shell, words: list[str]) -> int:
    return 0


@builtin("kill")
async def _kill(shell: Shell, words: list[str]) -> int:
    number = 15
    if words[:1] in (["-l"], ["-L"]):
        if len(words) > 1 and words[1].isdigit():
            await shell.process.line(signals.NAMES.get(int(words[1]) & 127, words[1]))
        else:
            await shell.process.line(" ".join(signals.NUMBERS))
        return 0
    if words and words[0] == "-s" and len(words) > 1:
        words = [f"-{words[1]}", *words[2:]]
    if words and words[0].startswith("-") and words[0] != "--":
        found = signals.parse(words[0][1:])
        if found is None:
            await shell.process.error(shell.message(f"kill: {words[0][1:]}: invalid signal specification"))
            return 1
        number, words = found, words[1:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        if shell.state.flavour == "ash":
            await shell.process.error("sh: you need to specify whom to kill\n")
            return 1
        return await usage(shell, "kill", "kill [-s sigspec | -signum] pid", 2)
    status = 0
    for word in words:
        problem = _signal(shell, word, number)
        if problem:
            await shell.process.error(shell.message(f"kill: {problem}"))
            status = 1
    await asyncio.sleep(0)
    if shell.pending_signals:
        await shell.run_traps()
    return status


def _signal(shell: Shell, word: str, number: int) -> str:
    if word.startswith("%"):
        job = _job(shell, word)
        if job is None:
            return f"{word}: no such job"
        job.process.kill(number)
        return ""
    if not word.lstrip("-").isdigit():
        return f"{word}: arguments must be process or job IDs" if shell.state.flavour == "bash" else (
            f"Illegal number: {word}" if shell.state.flavour == "dash" else f"invalid number '{word}'")  # fmt: skip
    problem = kill_pid(shell.process, int(word), number)
    if problem.startswith("can't kill pid") and shell.state.flavour != "ash":
        reason = problem.rpartition(": ")[2]
        return f"({word}) - {reason}" if shell.state.flavour == "bash" else f"{reason}\n"
    return problem


def kill_pid(process: Process, pid: int, number: int) -> str:
    """What is wrong, or nothing. Negative: a session; -1: all but the first process."""
    everyone = process.container.processes()
    if pid == -1:
        for other in everyone:
            if other.pid != 1 and other is not process:
                other.kill(number)
        return ""
    targets = [p for p in everyone if (p.session == -pid if pid < 0 else p.pid == pid)]
    if pid == 0:
        targets = [p for p in everyone if p.session == process.session]
    if not targets:
        return f"can't kill pid {pid}: No such process"
    for target in targets:
        if process.owner.uid not in (0, target.owner.uid):
            return f"can't kill pid {pid}: Operation not permitted"
        if target.pid == 1 and number == 9:
            continue  # the kernel keeps a namespace's first process from its own
        target.kill(number)
    return ""
