"""A cluster of the learner's own as a target. It is never guessed: the learner names the context."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from labrunner.errors import EnvironmentFault, UsageError
from labrunner.paths import state_dir
from labrunner.target.base import KubeClient
from labrunner.target.kube_client import KubeApiClient
from labrunner.target.kubeconfig import context_names, kubeconfig_paths, only_context, read_kubeconfig

_FEATURE_GROUPS = {"istio-crds": "networking.istio.io", "gateway-api": "gateway.networking.k8s.io"}
"""Feature -> the API group whose presence shows it."""


class LiveTarget:
    """Implements `labrunner.target.base.Target` over one context of the learner's kubeconfig.

    While it runs, a private copy of the kubeconfig holds that one context only, so that nothing the lab runs can reach
    another cluster, and `kubectl config use-context` changes nothing of the learner's. `stop` deletes the copy.
    """

    name = "live"

    def __init__(self, context: str, *, namespace: str = "", environment: Mapping[str, str] | None = None) -> None:
        """`namespace`: the default namespace, instead of the context's. `environment`: where $KUBECONFIG is read."""
        self.context = context
        self.features: frozenset[str] = frozenset()
        """Known once it is started."""
        self._namespace = namespace
        self._environment = dict(os.environ if environment is None else environment)
        self._directory: Path | None = None
        self._client: KubeApiClient | None = None

    def start(self) -> None:
        if self._directory is not None:
            return
        config = read_kubeconfig(kubeconfig_paths(self._environment))
        if not self.context:
            names = ", ".join(context_names(config)) or "none"
            raise UsageError("A live cluster is used only by name.", hint=f"Add --context NAME; there is: {names}.")
        chosen = only_context(config, self.context, self._namespace)
        _sweep()
        self._directory = _private_directory()
        try:
            path = self._directory / "config"
            _write_private(path, chosen)
            self._client = KubeApiClient(path, self.context)
            self._client.server_version()
            self.features = self._probe(self._client)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def environment(self) -> Mapping[str, str]:
        return {"KUBECONFIG": str(self._started() / "config"), "LABRUNNER_CONTEXT": self.context}

    def kube(self) -> KubeClient:
        self._started()
        assert self._client is not None
        return self._client

    def snapshot(self, snapshot_id: str) -> bool:
        return False

    def restore(self, snapshot_id: str) -> bool:
        return False

    def _started(self) -> Path:
        if self._directory is None:
            raise EnvironmentFault(f"The live target {self.context} is not started.", hint="Start the session again.")
        return self._directory

    @staticmethod
    def _probe(client: KubeApiClient) -> frozenset[str]:
        """What the cluster can do: by the API groups it serves, and by a running istiod for `mesh`."""
        found = {"kubernetes"} | {f for f, group in _FEATURE_GROUPS.items() if client.serves_group(group)}
        if "istio-crds" in found:
            # Who may not list Pods everywhere cannot be told whether a mesh runs; the lab's own checks will.
            with contextlib.suppress(EnvironmentFault):
                pods = client.list("v1", "Pod", all_namespaces=True, label_selector="app=istiod")
                if any((pod.get("status") or {}).get("phase") == "Running" for pod in pods):
                    found.add("mesh")
        return frozenset(found)


def _base() -> Path:
    return state_dir() / "live"


def _private_directory() -> Path:
    """A directory that only the learner may enter, named by our process so that `_sweep` can tell it is in use."""
    try:
        _base().mkdir(parents=True, exist_ok=True, mode=0o700)
        return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=_base()))
    except OSError as error:
        raise EnvironmentFault(
            f"{_base()} cannot be written: {error.strerror}.", hint="Set LABRUNNER_HOME to a directory of yours."
        ) from error


def _write_private(path: Path, config: Mapping[str, object]) -> None:
    import yaml

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            yaml.safe_dump(dict(config), file)
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}.", hint="Is the disk full?") from error


def _sweep() -> None:
    """Delete the copies of processes that ended without `stop`: they hold credentials."""
    if not _base().is_dir():
        return
    for directory in _base().iterdir():
        pid = directory.name.partition("-")[0]
        if pid.isdecimal() and not _alive(int(pid)):
            shutil.rmtree(directory, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
