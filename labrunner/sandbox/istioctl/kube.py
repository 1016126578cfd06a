"""What istioctl asks of the cluster, through the kubectl beside it: credentials and contexts work as kubectl's do."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

_SECONDS = 30.0


class CommandError(Exception):
    """What istioctl prints after `Error: ` before it exits."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message, self.exit_code = message, exit_code


@dataclass(frozen=True, slots=True)
class Kube:
    """One cluster. Raises CommandError with the API's words."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    """Of `-n`; empty: the context's."""
    istio_namespace: str = ""

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        program = shutil.which("kubectl")
        if program is None:
            raise CommandError("kubectl was not found on the PATH")
        options = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        options += [f"--context={self.context}"] if self.context else []
        try:
            done = subprocess.run(
                [program, *arguments, *options],
                input=stdin, capture_output=True, text=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"the Kubernetes API did not answer within {_SECONDS:.0f} s") from error
        if done.returncode:
            words = done.stderr.strip().removeprefix("Error from server ").removeprefix("error: ")
            kind, colon, rest = words.partition("): ")
            raise CommandError(rest if colon and kind.startswith("(") else words)
        return done.stdout

    def default_namespace(self) -> str:
        if self.namespace:
            return self.namespace
        found = self.run("config", "view", "--minify", "-o", "jsonpath={..namespace}")
        return found.strip() or "default"

    def get(self, kinds: str, namespace: str | None = None, *names: str) -> list[Object]:
        """`kinds`: comma-separated resources; `namespace` None: all of them."""
        where = ["--all-namespaces"] if namespace is None else ["--namespace", namespace]
        found = json.loads(self.run("get", kinds, *names, *where, "--output=json"))
        items: list[Object] = found["items"] if found.get("kind") == "List" else [found]
        return items

    def served(self, group: str) -> bool:
        """Whether the API has this group."""
        return any(g["name"] == group for g in json.loads(self.raw("/apis"))["groups"])

    def raw(self, path: str) -> str:
        return self.run("get", "--raw", path)
