"""Probes of containers, really made: HTTP requests, TCP connections, commands.

The kubelet simulation asks synchronously: the answer of a probe that has been started comes with the next question.
Words: k8s.io/kubernetes/pkg/kubelet/prober and pkg/probe.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from labrunner.sandbox.kube.api import Api, Obj
from labrunner.sandbox.kube.controllers.kubelet.runtime import named_port
from labrunner.sandbox.workload.machine.container import ContainerMachine, exec_problem
from labrunner.sandbox.workload.machine.pod import PodMachine
from labrunner.sandbox.workload.machine.stream import Collected, Null
from labrunner.sandbox.workload.network import streams_of

if TYPE_CHECKING:
    from labrunner.sandbox.workload.runtime import WorkloadRuntime

_MAX_SHOWN = 10 * 1024
_LONGEST_HOOK = 600.0


class Probes:
    """Answers of probes, by pod, container and probe."""

    def __init__(self, runtime: WorkloadRuntime) -> None:
        self._runtime = runtime
        self._answers: dict[tuple[str, str, str], str] = {}
        self._running: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self._wakes: dict[tuple[str, str], Callable[[], None]] = {}
        self._hooks: set[asyncio.Task[None]] = set()

    def result(
        self, api: Api, pod: Obj, machine: PodMachine, instance: ContainerMachine, container: dict[str, Any],
        probe: dict[str, Any], wake: Callable[[], None],
    ) -> str | None:  # fmt: skip
        """The answer if it is there, else None and a wake-up once it is. Empty: success."""
        key = (machine.uid, instance.name, json.dumps(probe, sort_keys=True))
        self._wakes[key[:2]] = wake
        if key in self._answers:
            return self._answers.pop(key)
        if key not in self._running:
            self._running[key] = asyncio.get_running_loop().create_task(
                self._ask(key, api, machine, instance, container, probe, wake)
            )
        return None

    def may_change(self, instance: ContainerMachine, probe: dict[str, Any]) -> bool:
        """Whether a probe that succeeded must be made again: commands always, others once somebody was inside."""
        return "exec" in probe or instance.touched or instance.stopped

    def touched(self, instance: ContainerMachine) -> None:
        """Somebody went in: probes that were settled are made again."""
        if wake := self._wakes.get((instance.pod.uid, instance.name)):
            asyncio.get_running_loop().call_soon(wake)

    def hook(
        self, api: Api, machine: PodMachine, instance: ContainerMachine, container: dict[str, Any],
        handler: dict[str, Any], done: Callable[[bool], None],
    ) -> None:  # fmt: skip
        """A lifecycle handler, made like a probe; it may take as long as the container lives."""

        async def made() -> None:
            try:
                if pause := (handler.get("sleep") or {}).get("seconds"):
                    await asyncio.sleep(float(pause))
                said = await self._made(api, machine, instance, container, handler, _LONGEST_HOOK)
            except OSError as error:
                said = str(error)
            done(not said)

        task = asyncio.get_running_loop().create_task(made())
        self._hooks.add(task)
        task.add_done_callback(self._hooks.discard)

    def forget(self, uid: str, container: str = "") -> None:
        for key in [k for k in self._running if k[0] == uid and container in ("", k[1])]:
            self._running.pop(key).cancel()
        for key in [k for k in self._answers if k[0] == uid and container in ("", k[1])]:
            del self._answers[key]
        if not container:
            for short in [k for k in self._wakes if k[0] == uid]:
                del self._wakes[short]

    async def _ask(
        self, key: tuple[str, str, str], api: Api, machine: PodMachine, instance: ContainerMachine,
        container: dict[str, Any], probe: dict[str, Any], wake: Callable[[], None],
    ) -> None:  # fmt: skip
        seconds = float(probe.get("timeoutSeconds") or 1)
        try:
            answer = await self._made(api, machine, instance, container, probe, seconds)
        except OSError as error:
            answer = str(error)
        self._running.pop(key, None)
        self._answers[key] = answer
        wake()

    async def _made(
        self, api: Api, machine: PodMachine, instance: ContainerMachine, container: dict[str, Any],
        probe: dict[str, Any], seconds: float,
    ) -> str:  # fmt: skip
        pod = api.get("Pod", machine.name, machine.namespace)
        ip = ((pod or {}).get("status") or {}).get("podIP", "")
        if command := (probe.get("exec") or {}).get("command"):
            return await self._command(instance, list(command), seconds)
        if get := probe.get("httpGet"):
            return await self._http(
                machine, get, get.get("host") or ip, named_port(container, get.get("port")), seconds
            )
        if tcp := probe.get("tcpSocket"):
            return await self._tcp(machine, tcp.get("host") or ip, named_port(container, tcp.get("port")), seconds)
        if grpc := probe.get("grpc"):
            port = int(grpc.get("port") or 0)
            failed = await self._tcp(machine, ip, port, seconds)
            words = f'timeout: failed to connect service "{ip}:{port}" within {seconds:g}s: context deadline exceeded'
            return words if failed else ""
        return ""

    @staticmethod
    async def _command(instance: ContainerMachine, command: list[str], seconds: float) -> str:
        output = Collected(_MAX_SHOWN * 4)
        shown = " ".join(command)
        try:
            process = instance.execute(
                command, descriptors={0: Null(), 1: output, 2: output}, env=instance.env, cwd=instance.workdir,
                owner=instance.owner, new_session=True,
            )  # fmt: skip
        except OSError as error:
            problem = exec_problem(error, command[0])
            return (
                "command error: rpc error: code = Unknown desc = failed to exec in container: failed to start exec: "
                f"OCI runtime exec failed: exec failed: unable to start container process: {problem}: unknown"
            )
        try:
            async with asyncio.timeout(seconds):
                status = await process.wait()
        except TimeoutError:
            instance.kill_session(process.session)
            return f'command timed out: "{shown}" timed out after {seconds:g}s'
        text = bytes(output.data[:_MAX_SHOWN]).decode("utf-8", "replace")
        return "" if status == 0 else text if text else f"command failed with exit code {status}"

    async def _tcp(self, machine: PodMachine, host: str, port: int, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                sock = await self._runtime.network.open_socket(machine, host, port)
            sock.close()
        except TimeoutError:
            return f"dial tcp {host}:{port}: i/o timeout"
        except OSError:
            return f"dial tcp {host}:{port}: connect: connection refused"
        return ""

    async def _http(self, machine: PodMachine, get: dict[str, Any], host: str, port: int, seconds: float) -> str:
        scheme = str(get.get("scheme") or "HTTP").lower()
        path = "/" + str(get.get("path") or "/").lstrip("/")
        url = f"{scheme}://{host}:{port}{path}"
        try:
            async with asyncio.timeout(seconds):
                status = await self._status(machine, get, host, port, path, scheme)
        except TimeoutError:
            return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        except ConnectionRefusedError:
            return f'Get "{url}": dial tcp {host}:{port}: connect: connection refused'
        except (OSError, ValueError):
            return f'Get "{url}": EOF'
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"

    async def _status(
        self, machine: PodMachine, get: dict[str, Any], host: str, port: int, path: str, scheme: str
    ) -> int:
        sock = await self._runtime.network.open_socket(machine, host, port)
        reader, writer = await streams_of(sock)
        try:
            if scheme == "https":
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                await writer.start_tls(context)
            headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*"}
            for header in get.get("httpHeaders") or ():
                name = next((k for k in headers if k.lower() == header["name"].lower()), header["name"])
                headers[name] = header["value"]
            text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
            writer.write(f"{text}Connection: close\r\n\r\n".encode())
            line = await reader.readline()
            words = line.split()
            if len(words) < 2 or not words[1].isdigit():
                raise ValueError("no HTTP answer")
            return int(words[1])
        finally:
            writer.transport.abort()
