"""Small programs about output, time, users and the environment."""

from __future__ import annotations

import asyncio
import errno
import posixpath
import random
import re
import string
import time
from datetime import UTC, datetime, timedelta

from labrunner.sandbox.workload import procfs
from labrunner.sandbox.workload.filesystem.node import Directory, File
from labrunner.sandbox.workload.machine import signals
from labrunner.sandbox.workload.machine.process import Process, never
from labrunner.sandbox.workload.programs.options import OptionFault, lacking, parse, wrong
from labrunner.sandbox.workload.programs.table import program
from labrunner.sandbox.workload.shell import conditional
from labrunner.sandbox.workload.shell.builtin_output import echo_text
from labrunner.sandbox.workload.text import printf

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


@program("echo")
async def echo(process: Process) -> int:
    await process.write(echo_text(process.argv[1:], "bash"))
    return 0


@program("true", "sync")
async def true(process: Process) -> int:
    return 0


@program("false")
async def false(process: Process) -> int:
    return 1


@program("yes")
async def yes(process: Process) -> int:
    line = (" ".join(process.argv[1:]) or "y") + "\n"
    block = line.encode("utf-8", "surrogateescape") * max(1, 8192 // len(line))
    while True:
        await process.write(block)
        await process.breathe()


def duration(text: str) -> float | None:
    """`10`, `1.5m`, `infinity` in seconds; None when it is no duration."""
    if text.lower() in ("inf", "infinity"):
        return float("inf")
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", text)
    return float(found[1]) * _UNITS[found[2]] if found else None


@program("sleep")
async def sleep(process: Process) -> int:
    words = [w for w in process.argv[1:] if w != "--"]
    if not words:
        if process.container.family == "debian":
            return await lacking(process)
        return await wrong(process, OptionFault("", missing=True))
    total = 0.0
    for word in words:
        seconds = duration(word)
        if seconds is None:
            gnu = process.container.family == "debian"
            text = f"invalid time interval ‘{word}’\nTry 'sleep --help' for more information." if gnu else (
                f"invalid number '{word}'")  # fmt: skip
            return await process.fail(text)
        total += seconds
    if total > 1e8:
        return await never()
    await asyncio.sleep(total)
    return 0


@program("pause", "init", "tini")
async def pause(process: Process) -> int:
    process.serves = True
    return await never()


@program("usleep")
async def usleep(process: Process) -> int:
    await asyncio.sleep(float(process.argv[1]) / 1e6 if len(process.argv) > 1 and process.argv[1].isdigit() else 0)
    return 0


@program("printf")
async def printf_(process: Process) -> int:
    words = process.argv[1:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        return await lacking(process)
    try:
        text, complaints = printf.render(words[0], words[1:])
    except printf.PrintfFault as error:
        return await process.fail(str(error))
    await process.write(text)
    for complaint in complaints:
        await process.say(complaint)
    return int(bool(complaints))


@program("test", "[")
async def test(process: Process) -> int:
    words = process.argv[1:]
    if process.name == "[":
        if words[-1:] != ["]"]:
            return await process.fail("missing ]", 2)
        words = words[:-1]
    try:
        return int(not conditional.test(process, words))
    except conditional.TestFault as error:
        return await process.fail(str(error), 2)


@program("env", "printenv")
async def env(process: Process) -> int:
    words = process.argv[1:]
    if process.name == "printenv":
        names = [w for w in words if not w.startswith("-")]
        if not names:
            await process.write("".join(f"{k}={v}\n" for k, v in process.env.items()))
            return 0
        status = 0
        for name in names:
            if name in process.env:
                await process.line(process.env[name])
            else:
                status = 1
        return status
    try:
        options = parse(words, "i0u:", {"ignore-environment": "i", "unset": "u=", "null": "0"}, permute=False)
    except OptionFault as error:
        return await wrong(process, error, 125)
    variables = {} if options.flag("i") or options.rest[:1] == ["-"] else dict(process.env)
    rest = [w for w in options.rest if w != "-"] if options.rest[:1] == ["-"] else options.rest
    for name in options.values("u"):
        variables.pop(name, None)
    while rest and "=" in rest[0]:
        name, _, value = rest.pop(0).partition("=")
        variables[name] = value
    if rest:
        return await run(process, rest, env=variables)
    end = "\0" if options.flag("0") else "\n"
    await process.write("".join(f"{k}={v}{end}" for k, v in variables.items()))
    return 0


async def run(process: Process, words: list[str], **changes: object) -> int:
    """Run a command for `env`, `timeout` and their like; 127 or 126 when it cannot be."""
    try:
        return await process.call(words, **changes)
    except OSError as error:
        missing = error.errno == errno.ENOENT
        quoted = f"‘{words[0]}’" if process.container.family == "debian" else f"can't execute '{words[0]}'"
        await process.say(f"{quoted}: {error.strerror}")
        return 127 if missing else 126


@program("pwd")
async def pwd(process: Process) -> int:
    await process.line(process.cwd)
    return 0


@program("nohup", "setsid")
async def nohup(process: Process) -> int:
    words = process.argv[1:]
    if not words:
        return await lacking(process, 125)
    if process.name == "nohup":
        process.ignored.add(1)
        return await run(process, words)
    return await run(process, words, new_session=True)


@program("timeout")
async def timeout(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "s:k:v", {"signal": "s=", "kill-after": "k=", "preserve-status": "preserve",
                                        "foreground": "foreground", "verbose": "v"}, permute=False
        )  # fmt: skip
    except OptionFault as error:
        return await wrong(process, error, 125)
    seconds = duration(options.rest[0]) if options.rest else None
    number = signals.parse(options.value("s", "TERM"))
    if seconds is None or len(options.rest) < 2 or number is None:
        if len(options.rest) < 2:
            return await lacking(process, 125 if process.container.family == "debian" else 1)
        return await process.fail(f"invalid time interval ‘{options.rest[0]}’", 125)
    try:
        child = await process.start(options.rest[1:])
    except OSError as error:
        gnu = process.container.family == "debian"
        words = f"failed to run command ‘{options.rest[1]}’" if gnu else f"can't execute '{options.rest[1]}'"
        await process.say(f"{words}: {error.strerror}")
        return 127 if error.errno == errno.ENOENT else 126
    try:
        async with asyncio.timeout(seconds or None):
            return await child.wait()
    except TimeoutError:
        child.kill(number)
    except asyncio.CancelledError:
        child.kill(9)
        raise
    grace = duration(options.value("k"))
    try:
        async with asyncio.timeout(grace):
            status = await child.wait()
    except TimeoutError:
        child.kill(9)
        return 137
    if process.container.family != "debian":
        return status
    return status if options.flag("preserve") else 137 if number == 9 else 124


@program("watch")
async def watch(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "n:tdegx", {"interval": "n=", "no-title": "t"}, permute=False)
    except OptionFault as error:
        return await wrong(process, error)
    seconds = duration(options.value("n", "2")) or 2.0
    if not options.rest:
        return await wrong(process, OptionFault("", missing=True))
    command = " ".join(options.rest)
    while True:
        await process.write("\x1b[H\x1b[J")
        if not options.flag("t"):
            stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
            await process.line(f"Every {seconds:.1f}s: {command:<55}{stamp}\n")
        await run(process, ["sh", "-c", command])
        await asyncio.sleep(max(0.1, seconds))


@program("time")
async def time_(process: Process) -> int:
    words = [w for w in process.argv[1:] if w != "-p"]
    began = time.monotonic()
    status = await run(process, words) if words else 0
    took = time.monotonic() - began
    await process.error(f"real\t{int(took // 60)}m {took % 60:.2f}s\nuser\t0m 0.00s\nsys\t0m 0.00s\n")
    return status


@program("date")
async def date(process: Process) -> int:
    try:
        options = parse(
            process.argv[1:], "ud:s:r:RI::", {"utc": "u", "date": "d=", "iso-8601": "I=?", "rfc-3339": "rfc3339=",
                                              "rfc-email": "R", "reference": "r="}
        )  # fmt: skip
    except OptionFault as error:
        return await wrong(process, error)
    when = datetime.now(UTC)
    if text := options.value("d"):
        found = _date_from(text, when)
        if found is None:
            gnu = process.container.family == "debian"
            return await process.fail(f"invalid date ‘{text}’" if gnu else f"invalid date '{text}'")
        when = found
    elif path := options.value("r"):
        when = datetime.fromtimestamp(process.fs.node(path, process.cwd).mtime, UTC)
    if options.flag("s"):
        return await process.fail("can't set date: Operation not permitted")
    layout = next((w[1:] for w in options.rest if w.startswith("+")), "")
    for word in options.rest:
        if word.startswith("+"):
            continue
        gnu = process.container.family == "debian"
        if re.fullmatch(r"\d{8}(\d{2}){0,2}(\.\d{2})?", word):
            words = "cannot set date: Operation not permitted" if gnu else "can't set date: Operation not permitted"
            return await process.fail(words)
        return await process.fail(f"invalid date ‘{word}’" if gnu else f"invalid date '{word}'")
    if options.flag("I"):
        kind = options.value("I")
        layout = {"": "%Y-%m-%d", "date": "%Y-%m-%d", "hours": "%Y-%m-%dT%H+00:00", "minutes": "%Y-%m-%dT%H:%M+00:00",
                  "seconds": "%Y-%m-%dT%H:%M:%S+00:00", "ns": "%Y-%m-%dT%H:%M:%S,%N+00:00"}.get(kind,
                                                                                                "%Y-%m-%d")  # fmt: skip
    elif options.flag("R"):
        layout = "%a, %d %b %Y %H:%M:%S +0000"
    await process.line(_strftime(when, layout or "%a %b %e %H:%M:%S UTC %Y"))
    return 0


def _date_from(text: str, now: datetime) -> datetime | None:
    if re.fullmatch(r"@-?\d{1,11}(\.\d+)?", text):
        return datetime.fromtimestamp(float(text[1:]), UTC)
    relative = re.fullmatch(
        r"(?:now)?\s*([-+]?)\s*(\d{1,6}) (sec|second|min|minute|hour|day|week)s?( ago)?", text.strip()
    )
    if relative:
        unit = {"sec": 1, "second": 1, "min": 60, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
        sign = -1 if bool(relative[4]) != (relative[1] == "-") else 1
        return now + timedelta(seconds=sign * int(relative[2]) * unit[relative[3]])
    if text in ("now", "today"):
        return now
    if text in ("tomorrow", "yesterday"):
        return now + timedelta(days=1 if text == "tomorrow" else -1)
    try:
        found = datetime.fromisoformat(text.replace(" UTC", "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _strftime(when: datetime, layout: str) -> str:
    special = {"%s": str(int(when.timestamp())), "%N": f"{when.microsecond * 1000:09d}", "%e": f"{when.day:2d}",
               "%3N": f"{when.microsecond // 1000:03d}", "%F": when.strftime("%Y-%m-%d"),
               "%T": when.strftime("%H:%M:%S"),
               "%Z": "UTC", "%z": "+0000", "%n": "\n", "%t": "\t", "%%": "%"}  # fmt: skip
    known = "aAbBcdDHIjmMpSuUwWxXyYGVgCkh"

    def one(found: re.Match[str]) -> str:
        spec = found[0]
        if spec in special:
            return special[spec]
        if spec == "%k":
            return f"{when.hour:2d}"
        return when.strftime(spec) if spec[-1] in known else spec

    return re.sub(r"%3N|%-?.", one, layout)


@program("seq")
async def seq(process: Process) -> int:
    separator, layout, width, numbers = "\n", "", False, []
    words = process.argv[1:]
    while words:
        word = words.pop(0)
        if word == "-s" and words:
            separator = words.pop(0)
        elif word == "-f" and words:
            layout = words.pop(0)
        elif re.fullmatch(r"-[sf].+", word) and not re.fullmatch(r"-f?[\d.]+", word):
            separator, layout = (word[2:], layout) if word[1] == "s" else (separator, word[2:])
        elif word == "-w":
            width = True
        else:
            numbers.append(word)
    if not numbers or len(numbers) > 3:
        if not numbers:
            return await lacking(process)
        return await process.fail(f"extra operand '{numbers[3]}'")
    try:
        values = [float(n) for n in numbers]
    except ValueError:
        return await process.fail(f"invalid floating point argument: '{numbers[0]}'")
    first, step, last = {1: (1.0, 1.0, values[0]), 2: (values[0], 1.0, values[-1])}.get(
        len(values), (values[0], values[1] if len(values) > 1 else 1.0, values[-1])
    )
    if step == 0:
        return await process.fail("invalid Zero increment value: '0'")
    places = max((len(n.partition(".")[2]) for n in numbers), default=0)
    digits = max(len(f"{v:.{places}f}") for v in (first, last)) if width else 0
    count, batch = 0, []
    while True:
        value = first + count * step
        if (step > 0 and value > last + 1e-9) or (step < 0 and value < last - 1e-9):
            break
        if layout:
            text = printf.render(layout, [repr(value)])[0]
        else:
            text = f"{value:0{digits}.{places}f}" if digits else f"{value:.{places}f}"
        batch.append(text)
        count += 1
        if len(batch) >= 500:
            await process.write(separator.join(batch) + separator)
            batch = []
            await process.breathe()
    if batch:
        await process.write(separator.join(batch) + "\n")
    return 0


@program("expr")
async def expr(process: Process) -> int:
    from labrunner.sandbox.workload.text.expression import ExprFault, evaluate

    try:
        value = evaluate(process.argv[1:])
    except ExprFault as error:
        return await process.fail(str(error), 2)
    await process.line(value)
    return int(value in ("", "0"))


@program("which")
async def which(process: Process) -> int:
    status = 0
    for word in process.argv[1:]:
        if word.startswith("-"):
            continue
        try:
            await process.line(process.container.which(word, process.env.get("PATH", ""), process.cwd, process.owner))
        except OSError:
            status = 1
    return status


@program("uname")
async def uname(process: Process) -> int:
    letters = "".join(w[1:] for w in process.argv[1:] if re.fullmatch(r"-[a-zA-Z]+", w)) or "s"
    linux = "GNU/Linux" if process.container.family == "debian" else "Linux"
    parts = {"s": "Linux", "n": process.container.hostname, "r": procfs.KERNEL, "v": "#98-Ubuntu SMP Thu Apr 3 2025",
             "m": "x86_64", "o": linux, "p": "unknown", "i": "unknown"}  # fmt: skip
    wanted = "snrvmo" if "a" in letters or "--all" in process.argv else "".join(k for k in parts if k in letters)
    await process.line(" ".join(parts[k] for k in wanted))
    return 0


@program("arch")
async def arch(process: Process) -> int:
    await process.line("x86_64")
    return 0


@program("hostname")
async def hostname(process: Process) -> int:
    words = process.argv[1:]
    if any(w in ("-i", "-I", "--ip-address", "--all-ip-addresses") for w in words):
        ip = process.container.pod.network_ip()
        await process.line(ip + (" " if "-I" in words else ""))
        return 0
    if words and not words[0].startswith("-"):
        return await process.fail("sethostname: Operation not permitted")
    await process.line(process.container.hostname)
    return 0


@program("nproc")
async def nproc(process: Process) -> int:
    await process.line("4")
    return 0


@program("uptime")
async def uptime(process: Process) -> int:
    up = int(time.time() - procfs.BOOTED)
    now = datetime.now(UTC).strftime("%H:%M:%S")
    days, hours, minutes = up // 86400, up // 3600 % 24, up // 60 % 60
    await process.line(f" {now} up {days} days, {hours:2d}:{minutes:02d},  0 users,  load average: 0.12, 0.09, 0.05")
    return 0


@program("id", "whoami", "groups")
async def id_(process: Process) -> int:
    container, owner = process.container, process.owner
    user, group = container.user_name(owner.uid), container.group_name(owner.gid)
    if process.name == "whoami":
        if not user:
            gnu = container.family == "debian"
            return await process.fail(
                f"cannot find name for user ID {owner.uid}" if gnu else f"unknown uid {owner.uid}"
            )
        await process.line(user)
        return 0
    groups = list(dict.fromkeys((owner.gid, *owner.groups)))
    asked = next((w for w in process.argv[1:] if not w.startswith("-")), "")
    if asked and process.name == "id":
        row = next((r for r in container.table("/etc/passwd") if asked in (r[0], r[2])), None)
        if row is None:
            gnu = container.family == "debian"
            return await process.fail(f"‘{asked}’: no such user" if gnu else f"unknown user {asked}")
        owner = type(owner)(int(row[2]), int(row[3]))
        user, group, groups = row[0], container.group_name(owner.gid), [owner.gid]
    if process.name == "groups":
        await process.line(" ".join(container.group_name(g) or str(g) for g in groups))
        return 0
    letters = "".join(w[1:] for w in process.argv[1:] if w.startswith("-"))
    if "u" in letters or "g" in letters:
        number, name = (owner.uid, user) if "u" in letters else (owner.gid, group)
        await process.line(name if "n" in letters and name else str(number))
        return 0
    if "G" in letters:
        await process.line(" ".join(container.group_name(g) or str(g) if "n" in letters else str(g) for g in groups))
        return 0

    def shown(number: int, name: str) -> str:
        return f"{number}({name})" if name else str(number)

    text = f"uid={shown(owner.uid, user)} gid={shown(owner.gid, group)}"
    text += " groups=" + ",".join(shown(g, container.group_name(g)) for g in groups)
    await process.line(text)
    return 0


@program("clear")
async def clear(process: Process) -> int:
    await process.write("\x1b[H\x1b[J")
    return 0


@program("tty")
async def tty(process: Process) -> int:
    terminal = process.stdin.is_tty
    await process.line("/dev/pts/0" if terminal else "not a tty")
    return int(not terminal)


@program("mktemp")
async def mktemp(process: Process) -> int:
    words = [w for w in process.argv[1:] if not w.startswith("-")]
    folder = "-d" in process.argv
    template = words[0] if words else "/tmp/tmp.XXXXXX"
    while True:
        name = re.sub(r"X{3,}", lambda m: "".join(random.choices(string.ascii_letters, k=len(m[0]))), template)
        path = posixpath.join(process.cwd, name)
        if not process.fs.exists(path):
            break
    owner = process.owner
    node = Directory(None, 0o700, owner.uid, owner.gid) if folder else File(b"", 0o600, owner.uid, owner.gid)
    process.fs.add(path, node, "/", owner)
    await process.line(name)
    return 0
