"""The sandbox's Kubernetes API under kubectl and under load.

python bench/kube_api.py [--objects 5000] [--watches 200]     one line per figure; exit 1 when a limit is missed
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from figures import Figures, cpu_seconds, median_ms, milliseconds, resident_mb

from labrunner.sandbox.instance import Sandbox

IDLE_SECONDS = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--watches", type=int, default=200)
    options = parser.parse_args()
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        sandbox = Sandbox("bench", Path(directory) / "sandbox")
        environment = dict(os.environ)

        def kubectl(*words: str, text: str | None = None) -> None:
            subprocess.run(
                ["kubectl", *words], input=text, text=True, env=environment, check=True, stdout=subprocess.DEVNULL
            )

        started = time.perf_counter()
        sandbox.start(owned=True, instant=True)
        try:
            environment |= sandbox.environment()
            kubectl("get", "ns")
            figures.add("sandbox start to the first `kubectl get ns`", ms_since(started), "ms", 1500)
            pid = sandbox.status().pid or 0
            figures.add("memory of the bare sandbox", resident_mb(pid), "MB")
            own = median_ms(lambda: kubectl("version", "--client"), 9)
            figures.add("kubectl's own start (`kubectl version --client`)", own, "ms")
            figures.add("`kubectl get ns`, warm", median_ms(lambda: kubectl("get", "ns"), 9), "ms", own + 25)
            manifests = "---\n".join(config_map(f"bench-{i}") for i in range(20))
            figures.add(
                "apply of 20 objects", milliseconds(lambda: kubectl("apply", "-f", "-", text=manifests)), "ms", 200
            )
            again = median_ms(lambda: kubectl("apply", "-f", "-", text=manifests))
            figures.add("apply of 20 objects, unchanged", again, "ms", 300)
            asyncio.run(under_load(sandbox, options.objects, options.watches, figures, pid))
            kubectl("delete", "namespace", "load")
            kubectl("create", "namespace", "half")
            asyncio.run(fill(sandbox, "half", 500))
            figures.add("snapshot save at 500 objects", milliseconds(lambda: sandbox.snapshot_save("a")), "ms", 300)
            figures.add(
                "snapshot restore at 500 objects", milliseconds(lambda: sandbox.snapshot_restore("a")), "ms", 300
            )
            time.sleep(1)
            before = cpu_seconds(pid)
            time.sleep(IDLE_SECONDS)
            figures.add("idle CPU", (cpu_seconds(pid) - before) / IDLE_SECONDS * 100, "%", 1)
        finally:
            figures.add("sandbox stop", milliseconds(sandbox.stop), "ms")
    return 1 if figures.missed else 0


def ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def config_map(name: str) -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\ndata: {{a: '1', b: '2'}}\n"
    )


def session(sandbox: Sandbox, connections: int) -> tuple[aiohttp.ClientSession, str]:
    """A client with the sandbox's own credentials."""
    config = yaml.safe_load(Path(sandbox.environment()["KUBECONFIG"]).read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile("wb") as file:
        file.write(b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"]))
        file.flush()
        context.load_cert_chain(file.name)
    connector = aiohttp.TCPConnector(ssl=context, limit=connections)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)), cluster["server"]


async def fill(sandbox: Sandbox, namespace: str, count: int, clients: int = 20) -> None:
    """Create `count` ConfigMaps through so many concurrent clients; every answer must be 201."""
    client, server = session(sandbox, clients)
    url = f"{server}/api/v1/namespaces/{namespace}/configmaps"

    async def worker(first: int) -> None:
        for number in range(first, count, clients):
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"c{number}"},
                "data": {"n": str(number)},
            }
            async with client.post(url, json=body) as response:
                assert response.status == 201, await response.text()

    async with client:
        await asyncio.gather(*(worker(first) for first in range(clients)))


async def under_load(sandbox: Sandbox, objects: int, watches: int, figures: Figures, pid: int) -> None:
    client, server = session(sandbox, watches + 20)
    async with client:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "load"}}
        async with client.post(f"{server}/api/v1/namespaces", json=body) as response:
            assert response.status == 201
        started = time.perf_counter()
        await fill(sandbox, "load", objects)
        seconds = time.perf_counter() - started
        figures.add(f"{objects} objects created through 20 clients", objects / seconds, "per s")
        started = time.perf_counter()
        async with client.get(f"{server}/api/v1/namespaces/load/configmaps") as response:
            listed = len((await response.json())["items"])
        # The namespace's own root CA is one more.
        assert listed >= objects, listed
        figures.add(f"{listed} objects listed", ms_since(started), "ms")
        figures.add("memory with them", resident_mb(pid), "MB", 120)
        await watched(client, server, watches, figures)


async def watched(client: aiohttp.ClientSession, server: str, watches: int, figures: Figures) -> None:
    """How long one write takes to reach every one of many concurrent watches."""
    url = f"{server}/api/v1/namespaces/default/secrets"
    async with client.get(url) as response:
        version = (await response.json())["metadata"]["resourceVersion"]
    ready, seen = asyncio.Semaphore(0), asyncio.Queue[tuple[str, float]]()

    async def watch() -> None:
        async with client.get(url, params={"watch": "1", "resourceVersion": version}) as response:
            ready.release()
            async for line in response.content:
                event: dict[str, Any] = json.loads(line)
                seen.put_nowait((event["object"]["metadata"]["name"], time.perf_counter()))

    tasks = [asyncio.create_task(watch()) for _ in range(watches)]
    for _ in tasks:
        await ready.acquire()
    slowest = []
    for number in range(10):
        sent = time.perf_counter()
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s{number}"}}
        async with client.post(url, json=body) as response:
            assert response.status == 201
        arrivals = [(await seen.get())[1] for _ in tasks]
        slowest.append((max(arrivals) - sent) * 1000)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    figures.add(f"one write seen by all of {watches} watches, median", statistics.median(slowest), "ms")
    figures.add(f"one write seen by all of {watches} watches, worst of 10", max(slowest), "ms", 100)


if __name__ == "__main__":
    sys.exit(main())
