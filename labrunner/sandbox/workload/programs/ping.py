"""`ping` and `traceroute`: pods answer; the addresses of Services, which only TCP and UDP rules know, do not."""

from __future__ import annotations

import asyncio
import random
import time

from labrunner.sandbox.workload.machine.process import Exited, Process
from labrunner.sandbox.workload.programs.network import network_of
from labrunner.sandbox.workload.programs.options import OptionFault, lacking, parse, wrong
from labrunner.sandbox.workload.programs.table import program


def _answers(process: Process, address: str) -> bool:
    """Whether an echo request would come back."""
    if address.startswith("127.") or address == process.container.pod.network_ip():
        return True
    pod = network_of(process).pod_at(address)
    return pod is not None and (pod.get("status") or {}).get("phase") == "Running"


async def _resolved(process: Process, name: str) -> str | None:
    found = network_of(process).resolve(process.container.pod, name)
    if found:
        return found[0]
    gnu = process.container.family == "debian"
    await process.say(f"{name}: Name or service not known" if gnu else f"bad address '{name}'")
    return None


@program("ping")
async def ping(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "46c:W:w:i:s:qAnt:I:")
    except OptionFault as error:
        return await wrong(process, error)
    if not options.rest:
        return await lacking(process)
    name, gnu = options.rest[0], process.container.family == "debian"
    address = await _resolved(process, name)
    if address is None:
        return 2 if gnu else 1
    size, count = _number(options.value("s"), 56), int(_number(options.value("c"), 0))
    pause, deadline = max(_number(options.value("i"), 1.0), 0.002), _number(options.value("w"), 0.0)
    last = _number(options.value("W"), 10.0)
    tail = f"{size:.0f}({size + 28:.0f}) bytes of data." if gnu else f": {size:.0f} data bytes"
    await process.line(f"PING {name} ({address}) {tail}" if gnu else f"PING {name} ({address}){tail}")
    began, times, sent = time.monotonic(), [], 0
    interrupted = asyncio.Event()
    process.handlers[2] = lambda number: interrupted.set()
    while not (count and sent >= count) and not interrupted.is_set():
        sent += 1
        if _answers(process, address):
            took = random.uniform(0.05, 0.4)
            times.append(took)
            if not options.flag("q"):
                sequence = f"icmp_seq={sent}" if gnu else f"seq={sent - 1}"
                hops = 64 if address.startswith("127.") else 62
                await process.line(f"{size + 8:.0f} bytes from {address}: {sequence} ttl={hops} time={took:.3f} ms")
        wait = pause if not count or sent < count else 0.0 if times else last
        if deadline and time.monotonic() - began + wait >= deadline:
            break
        try:
            async with asyncio.timeout(wait):
                await interrupted.wait()
        except TimeoutError:
            continue
    await _summary(process, name, sent, times, int((time.monotonic() - began) * 1000))
    if interrupted.is_set():
        raise Exited(0 if times else 1)
    return 0 if times else 1


def _number(text: str, default: float) -> float:
    try:
        return min(max(float(text), 0.0), 100_000.0)
    except ValueError:
        return default


async def _summary(process: Process, name: str, sent: int, times: list[float], milliseconds: int) -> None:
    lost = 100 * (sent - len(times)) // max(sent, 1)
    gnu = process.container.family == "debian"
    received = f"{len(times)} received" if gnu else f"{len(times)} packets received"
    text = f"\n--- {name} ping statistics ---\n{sent} packets transmitted, {received}, {lost}% packet loss"
    text += f", time {milliseconds}ms\n" if gnu else "\n"
    if times:
        least, mean, most = min(times), sum(times) / len(times), max(times)
        if gnu:
            text += f"rtt min/avg/max/mdev = {least:.3f}/{mean:.3f}/{most:.3f}/{(most - least) / 2:.3f} ms\n"
        else:
            text += f"round-trip min/avg/max = {least:.3f}/{mean:.3f}/{most:.3f} ms\n"
    await process.write(text)


@program("traceroute")
async def traceroute(process: Process) -> int:
    try:
        options = parse(process.argv[1:], "46nIFlrvf:m:q:p:w:")
    except OptionFault as error:
        return await wrong(process, error)
    if not options.rest:
        return await lacking(process)
    name = options.rest[0]
    address = await _resolved(process, name)
    if address is None:
        return 1
    hops = max(1, min(int(_number(options.value("m"), 30)), 255))
    await process.line(f"traceroute to {name} ({address}), {hops} hops max, 46 byte packets")
    own = process.container.pod.network_ip() or "127.0.0.1"
    gateway = f"{own.rpartition('.')[0]}.1"
    way = [address] if address.startswith("127.") or address == own else [gateway, address]
    for number in range(1, hops + 1):
        if number <= len(way) and (number < len(way) or _answers(process, address)):
            shown = "  ".join(f"{random.uniform(0.01, 0.3):.3f} ms" for _ in range(3))
            there = way[number - 1]
            await process.line(f"{number:2}  {there if options.flag('n') else f'{there} ({there})'}  {shown}")
            if there == address:
                return 0
        else:
            await asyncio.sleep(3 * _number(options.value("w"), 3.0))
            await process.line(f"{number:2}  *  *  *")
    return 0
