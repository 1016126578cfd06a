"""How long a passing `resource` check takes on the sandbox: median of 5, first question and warm.

python bench/check_latency.py          prints one line per figure; exit 1 when the limit is missed
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from labrunner.check.evaluate import evaluate_check
from labrunner.check.kind import CheckContext
from labrunner.lab.model import Check
from labrunner.target.sandbox import SandboxTarget

LIMIT_MS = 50.0
GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bench, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      tls: {mode: SIMPLE, credentialName: bench}
      hosts: [bench.example.org]
"""
CHECK = Check(
    "bench",
    "resource",
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "name": "bench",
        "match": {"spec": {"servers": [{"port": {"number": 443}, "tls": {"mode": {"$in": ["SIMPLE", "MUTUAL"]}}}]}},
        "cel": [{"expression": "object.spec.servers.all(s, s.hosts.size() > 0)"}],
    },
)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="labrunner-bench-") as directory:
        target = SandboxTarget("bench", ephemeral=True, instant=True, directory=Path(directory) / "sandbox")
        target.start()
        try:
            environment = {**os.environ, **target.environment()}
            subprocess.run(
                ["kubectl", "apply", "-f", "-"], input=GATEWAY, text=True, env=environment, check=True,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            context = CheckContext(target, Path(directory), environment)
            first = measure(context)
            warm = [measure(context) for _ in range(5)]
        finally:
            target.stop()
    median = statistics.median(warm)
    print(f"resource check, first question: {first:.1f} ms")
    print(f"resource check, warm:           {median:.1f} ms (median of 5; limit {LIMIT_MS:.0f} ms)")
    return 0 if median < LIMIT_MS else 1


def measure(context: CheckContext) -> float:
    """Milliseconds of one evaluation, which must pass."""
    started = time.perf_counter()
    result = evaluate_check(CHECK, context)
    took = (time.perf_counter() - started) * 1000
    if not result.passed:
        raise SystemExit(f"the check does not pass: {result.summary}")
    return took


if __name__ == "__main__":
    sys.exit(main())
