"""SIGKILL at random moments under a load of writes: nothing acknowledged is lost, and every restart works.

python bench/soak_writes.py [--kills 200] [--seed N]     one line per figure; exit 1 when a write or a restart is lost

Each writer owns one object at a time: it creates it, raises a counter in it, deletes it, and goes on to the next.
After each kill what the server has is compared with the last answers: the state acknowledged last, or the one asked
for when the kill came, is there; no other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from figures import Figures
from kube_api import session

from labrunner.sandbox.instance import Sandbox

WRITERS = 8
UPDATES = 3
URL = "/api/v1/namespaces/default/configmaps"
GONE = 0
"""The counter of an object that is not there."""


@dataclass
class Ledger:
    """Counters by name: acknowledged, and asked for without an answer yet."""

    kept: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0

    def problems(self, found: dict[str, int]) -> list[str]:
        wrong = []
        for name in self.kept.keys() | self.asked.keys() | found.keys():
            have, known = found.get(name, GONE), self.kept.get(name, GONE)
            if have not in (known, self.asked.get(name, known)):
                wrong.append(f"{name}: acknowledged {known}, asked {self.asked.get(name)}, found {have}")
        return wrong


async def write(client: aiohttp.ClientSession, ledger: Ledger, server: str, name: str, counter: int) -> None:
    """One write, into the ledger when it is acknowledged."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"soak": "1"}}}
    ledger.asked[name] = counter
    if counter == GONE:
        request = client.delete(f"{server}{URL}/{name}")
    elif counter == 1:
        request = client.post(server + URL, json=body | {"data": {"n": "1"}})
    else:
        request = client.put(f"{server}{URL}/{name}", json=body | {"data": {"n": str(counter)}})
    async with request as response:
        text = await response.text()
        assert response.status in (200, 201), text
    ledger.kept[name] = counter
    ledger.asked.pop(name, None)
    ledger.acknowledged += 1


async def writer(client: aiohttp.ClientSession, ledger: Ledger, server: str, prefix: str) -> None:
    number = 0
    while True:
        number += 1
        name = f"{prefix}-{number}"
        for counter in range(1, UPDATES + 1):
            await write(client, ledger, server, name, counter)
        if number % 2:
            await write(client, ledger, server, name, GONE)


async def load(sandbox: Sandbox, ledger: Ledger, round_: int, seconds: float) -> None:
    """Write until the sandbox has been killed."""
    client, server = session(sandbox, WRITERS)
    pid = sandbox.status().pid
    assert pid, "the sandbox does not run"
    async with client:
        tasks = [
            asyncio.create_task(writer(client, ledger, server, f"r{round_}-w{number}")) for number in range(WRITERS)
        ]
        await asyncio.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, (aiohttp.ClientError, OSError)):
                raise result if isinstance(result, BaseException) else AssertionError("a writer ended")


async def listed(sandbox: Sandbox) -> dict[str, int]:
    client, server = session(sandbox, 1)
    async with client, client.get(f"{server}{URL}", params={"labelSelector": "soak"}) as response:
        items = (await response.json())["items"]
    return {item["metadata"]["name"]: int(item["data"]["n"]) for item in items}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    chance, ledger, figures = random.Random(options.seed), Ledger(), Figures()
    lost: list[str] = []
    failed, starts = 0, []
    with tempfile.TemporaryDirectory(prefix="labrunner-soak-") as directory:
        sandbox = Sandbox("soak", Path(directory) / "sandbox")
        sandbox.start(owned=True, instant=True)
        try:
            for round_ in range(options.kills):
                asyncio.run(load(sandbox, ledger, round_, chance.uniform(0.0, 0.3)))
                began = time.perf_counter()
                try:
                    sandbox.start(owned=True, instant=True)
                except Exception as error:  # the edge of a round: what went wrong is the figure
                    failed += 1
                    sys.stderr.write(f"round {round_}: {error}\n")
                    break
                starts.append((time.perf_counter() - began) * 1000)
                found = asyncio.run(listed(sandbox))
                lost += [f"round {round_}: {problem}" for problem in ledger.problems(found)]
                ledger.kept, ledger.asked = found, {}
        finally:
            with contextlib.suppress(Exception):
                sandbox.stop()
    for problem in lost[:20]:
        sys.stderr.write(problem + "\n")
    figures.add("seed", options.seed, "")
    figures.add("kills", len(starts), "")
    figures.add("acknowledged writes", ledger.acknowledged, "")
    figures.add("of them lost or changed", len(lost), "", 0)
    figures.add("restarts that failed", failed, "", 0)
    figures.add("restart, median", statistics.median(starts), "ms")
    figures.add("restart, slowest", max(starts), "ms")
    return 1 if lost or failed else 0


if __name__ == "__main__":
    sys.exit(main())
