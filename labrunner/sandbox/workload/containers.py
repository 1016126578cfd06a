"""Makes the container runtime of a sandbox: its block of addresses, its network, its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.workload.addresses import AddressPlan
from labrunner.sandbox.workload.network import Network, claim_block
from labrunner.sandbox.workload.runtime import WorkloadRuntime

if TYPE_CHECKING:
    from labrunner.sandbox.kube.tokens import Tokens


def make(tokens: Tokens, api: Api) -> WorkloadRuntime:
    """Raises OSError when no block of 127/8 is free."""
    block, lock = claim_block()
    network = Network(AddressPlan(block))
    network.lock = lock

    def issue(pod: Obj, audience: str, seconds: int) -> str:
        meta = pod["metadata"]
        account = api.get("ServiceAccount", pod["spec"].get("serviceAccountName") or "default", meta["namespace"])
        if account is None:
            return ""
        node_name = pod["spec"].get("nodeName", "")
        host = api.get("Node", node_name) if node_name else None
        token, _ = tokens.issue(
            account,
            audiences=[audience] if audience else None,
            seconds=seconds,
            bound=("Pod", meta["name"], meta["uid"]),
            node=(node_name, host["metadata"]["uid"]) if host else None,
        )
        return token

    runtime = WorkloadRuntime(network, issue)
    runtime.attach_api(api)
    return runtime
