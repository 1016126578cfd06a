"""The real (pretended) container runtime: starts machines for the kubelet simulation and keeps them by pod.

Implements `labrunner.sandbox.kube.controllers.kubelet.runtime.ContainerRuntime`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from typing import Any

from labrunner.sandbox.kube.api import Api, Change, Obj
from labrunner.sandbox.kube.controllers.kubelet.runtime import OCI_FAILURE, Exited, PlannedRuntime, Run, argv_of
from labrunner.sandbox.workload import images, procfs, rootfs
from labrunner.sandbox.workload.apps import table as apps
from labrunner.sandbox.workload.environment import declared, environment, expanded
from labrunner.sandbox.workload.filesystem.node import Directory, File, Generated, Node
from labrunner.sandbox.workload.filesystem.tree import FileSystem, Mount, Owner
from labrunner.sandbox.workload.images import Image
from labrunner.sandbox.workload.machine.container import ContainerMachine, exec_problem
from labrunner.sandbox.workload.machine.log import LogStream
from labrunner.sandbox.workload.machine.pod import PodMachine
from labrunner.sandbox.workload.machine.process import Process, Program, never
from labrunner.sandbox.workload.machine.stream import Null, Pipe, Stream
from labrunner.sandbox.workload.machine.terminal import Terminal
from labrunner.sandbox.workload.network import Network
from labrunner.sandbox.workload.probe import Probes
from labrunner.sandbox.workload.programs import table as programs
from labrunner.sandbox.workload.volumes import IssueToken, Volumes, sub_path

log = logging.getLogger(__name__)
_ATTACH_SECONDS = 2.0
"""How long a container that reads standard input waits for somebody to attach before it begins."""


class WorkloadRuntime:
    """All machines of one sandbox. `attach_api` must be called before anything is started."""

    def __init__(self, network: Network, token: IssueToken) -> None:
        self.network, self._token = network, token
        self.pods: dict[str, PodMachine] = {}
        """By uid."""
        self._claims: dict[tuple[str, str], Directory] = {}
        self._nodes: dict[str, Directory] = {}
        """What `hostPath` volumes see, by node."""
        self._planned = PlannedRuntime()
        self._probes = Probes(self)
        self._api: Api | None = None

    def attach_api(self, api: Api) -> None:
        """Follow pods, so that what a deleted one left is dropped."""
        self._api = api
        self.network.attach_api(api)
        api.subscribe(("Pod",), self._changed)

    def close(self) -> None:
        """End every process and every socket."""
        for pod in list(self.pods.values()):
            self._drop(pod)
        self.network.close()

    # ContainerRuntime

    def start(self, api: Api, pod: Obj, container: dict[str, Any], image: Image, restarts: int, exited: Exited) -> Run:
        machine = self._machine(pod)
        instance = self._container(api, pod, container, image, machine)
        machine.add(instance)
        known = declared(api, pod, container)
        argv = [expanded(word, known) for word in argv_of(container, image)]
        argv = argv or [image.repository.rpartition("/")[2]]
        cwd = instance.workdir
        if not instance.fs.is_dir(cwd):
            instance.fs.mkdir(cwd, parents=True)
        planned = self._planned.start(api, pod, container, image, restarts, exited)
        try:
            program, argv = self._resolved(instance, argv, image)
        except OSError as error:
            if planned.start_error or self._really_missing(instance, argv, image, error):
                problem = exec_problem(error, argv[0] if argv else "")
                instance.stopped = True
                instance.log.close()
                return Run(exit_code=128, start_error=f"{OCI_FAILURE.removesuffix('exec: ')}{problem}")
            program = apps.of_image(image) or apps.stand_in(planned, container, image)
        descriptors = self._descriptors(instance, container)

        def ended(status: int) -> None:
            self.network.stop_listening(machine, instance)
            self._probes.forget(machine.uid, instance.name)
            exited(status, termination_message(instance, container, status))

        instance.on_end(ended)
        if container.get("stdin") and not restarts:
            program = _held(instance, program)
        instance.main = instance.start(program, argv, descriptors=descriptors, terminal=instance.terminal, cwd=cwd)
        for stream in descriptors.values():
            stream.release()
        serves = planned.serves
        return Run(
            ready_after=image.start_seconds if serves else 0.0,
            ports=planned.ports,
            serves=serves,
            honours_term=planned.honours_term,
        )

    def probe(
        self, api: Api, pod: Obj, container: dict[str, Any], run: Run, probe: dict[str, Any],
        wake: Callable[[], None] | None = None,
    ) -> str | None:  # fmt: skip
        """None while the answer is not known; `wake` is called when it is."""
        machine = self.pods.get(pod["metadata"]["uid"])
        instance = machine.containers.get(container["name"]) if machine else None
        if machine is None or instance is None or wake is None:
            return self._planned.probe(api, pod, container, run, probe)
        return self._probes.result(api, pod, machine, instance, container, probe, wake)

    def may_change(self, pod: Obj, container: dict[str, Any], probe: dict[str, Any]) -> bool:
        machine = self.pods.get(pod["metadata"]["uid"])
        instance = machine.containers.get(container["name"]) if machine else None
        return instance is not None and self._probes.may_change(instance, probe)

    def stop(self, pod: Obj, container: dict[str, Any]) -> None:
        machine = self.pods.get(pod["metadata"]["uid"])
        instance = machine.containers.get(container["name"]) if machine else None
        if machine is not None and instance is not None:
            instance.kill_all(9)
            self.network.stop_listening(machine, instance)

    def terminate(self, pod: Obj, container: dict[str, Any]) -> None:
        """The pod is being deleted: the first process gets SIGTERM."""
        machine = self.pods.get(pod["metadata"]["uid"])
        instance = machine.containers.get(container["name"]) if machine else None
        if instance is not None and instance.main is not None:
            instance.main.kill(15)

    def hook(
        self, api: Api, pod: Obj, container: dict[str, Any], handler: dict[str, Any], done: Callable[[bool], None]
    ) -> None:
        machine = self.pods.get(pod["metadata"]["uid"])
        instance = machine.containers.get(container["name"]) if machine else None
        if machine is None or instance is None:
            self._planned.hook(api, pod, container, handler, done)
            return
        self._probes.hook(api, machine, instance, container, handler, done)

    # asking

    def find(self, pod: Obj) -> PodMachine | None:
        return self.pods.get(pod["metadata"]["uid"])

    def execute(
        self, instance: ContainerMachine, argv: list[str], descriptors: dict[int, Stream], terminal: Terminal | None
    ) -> Process:
        """A further process, as `kubectl exec` asks for. Raises OSError with the reason why it cannot be started."""
        env = dict(instance.env)
        env.setdefault("HOME", instance.home_of(instance.owner.uid))
        if terminal is not None:
            env["TERM"] = "xterm"
        instance.touched = True
        self._probes.touched(instance)
        return instance.execute(
            argv, descriptors=descriptors, env=env, cwd=instance.workdir, owner=instance.owner, terminal=terminal,
            new_session=True,
        )  # fmt: skip

    # making machines

    def _machine(self, pod: Obj) -> PodMachine:
        meta = pod["metadata"]
        machine = self.pods.get(meta["uid"])
        if machine is None:
            hostname = pod["spec"].get("hostname") or meta["name"]
            if pod["spec"].get("hostNetwork"):
                hostname = pod["spec"].get("nodeName") or hostname
            network = self.network.of_pod(meta["uid"], meta["namespace"], meta["name"])
            machine = PodMachine(meta["uid"], meta["namespace"], meta["name"], hostname[:63].rstrip("-."), network)
            self.pods[meta["uid"]] = machine
            if pod["spec"].get("shareProcessNamespace"):
                machine.infra = _infra(machine)
        return machine

    def _container(
        self, api: Api, pod: Obj, container: dict[str, Any], image: Image, machine: PodMachine
    ) -> ContainerMachine:
        reference = images.parse_reference(container.get("image", ""))
        tree = rootfs.tree_of(image, reference)
        context = container.get("securityContext") or {}
        pod_context = pod["spec"].get("securityContext") or {}
        fs = FileSystem(tree, machine.usage, read_only=bool(context.get("readOnlyRootFilesystem")))
        instance = ContainerMachine(
            machine,
            container["name"],
            container.get("image", ""),
            fs,
            programs.lookup,
            workdir=container.get("workingDir") or image.workdir or "/",
            family=rootfs.family_of(image, reference),
        )
        self._mount(api, pod, container, instance)
        instance.env = environment(api, pod, container, image, machine.hostname)
        instance.owner = _owner(instance, image, context, pod_context)
        instance.env.setdefault("HOME", instance.home_of(instance.owner.uid))
        if container.get("tty"):
            instance.terminal = Terminal()
            instance.env.setdefault("TERM", "xterm")
        target = container.get("targetContainerName")
        if target and target in machine.containers:
            instance.shared_pids = machine.containers[target]
        if instance.shared_pids is instance:
            instance.shared_pids = None
        return instance

    def _mount(self, api: Api, pod: Obj, container: dict[str, Any], instance: ContainerMachine) -> None:
        machine, mounts = instance.pod, instance.fs.mounts
        mounts["/proc"] = Mount(procfs.root(instance), True, "proc", "proc")
        mounts["/dev"] = Mount(rootfs.devices(bool(container.get("tty"))), False, "tmpfs", "tmpfs")
        mounts["/sys"] = Mount(Directory(), True, "sysfs", "sysfs")
        mounts["/etc/resolv.conf"] = Mount(Generated(lambda: self.network.resolv_conf(machine).encode(), 0o644))
        mounts["/etc/hosts"] = Mount(Generated(lambda: self.network.hosts_file(machine).encode(), 0o644))
        mounts["/etc/hostname"] = Mount(File(f"{machine.hostname}\n".encode()))
        message = container.get("terminationMessagePath") or "/dev/termination-log"
        mounts[message] = Mount(File(b"", 0o666))
        instance.termination_path = message
        volumes = Volumes(api, machine.namespace, machine.name, machine.volumes, self._token, self._claims,
                          lambda: self._node(pod["spec"].get("nodeName") or ""))  # fmt: skip
        known = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
        for mount in container.get("volumeMounts") or ():
            volume = known.get(mount["name"])
            if volume is None:
                continue
            root, read_only, kind = volumes.root(volume)
            node: Node = root
            path = mount.get("subPath") or expanded(mount.get("subPathExpr") or "", declared(api, pod, container))
            if path:
                node = sub_path(root, path)
            group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
            if group is not None and not read_only:
                node.gid, node.mode = int(group), node.mode | 0o2070
            where = "/" + str(mount["mountPath"]).strip("/")
            mounts[where] = Mount(node, read_only or bool(mount.get("readOnly")), kind, _source(volume, kind))

    def _node(self, name: str) -> Directory:
        """The files of a node: a plain Ubuntu."""
        found = self._nodes.get(name)
        if found is None:
            reference = images.parse_reference("ubuntu:22.04")
            image = images.find(reference) if reference else None
            base = rootfs.tree_of(image, reference).children() if image else {}
            found = self._nodes[name] = Directory(dict(base), 0o755)
            FileSystem(found).write("/etc/hostname", f"{name}\n".encode())
        return found

    def _resolved(self, instance: ContainerMachine, argv: list[str], image: Image) -> tuple[Any, list[str]]:
        if not argv:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), "")
        path = instance.env.get("PATH", "")
        return instance.resolve(argv, path, instance.workdir, instance.owner)

    @staticmethod
    def _really_missing(instance: ContainerMachine, argv: list[str], image: Image, error: OSError) -> bool:
        """Whether a real image would not have it either; else something stands in for a program that we lack."""
        if isinstance(error, PermissionError):
            return True
        if not isinstance(error, FileNotFoundError) or not argv:
            return False
        inside_volume = instance.fs.mount_of(argv[0])[1] is not None if argv[0].startswith("/") else False
        return inside_volume or image.does == "ends"

    @staticmethod
    def _descriptors(instance: ContainerMachine, container: dict[str, Any]) -> dict[int, Stream]:
        out, err = LogStream(instance.log, "stdout"), LogStream(instance.log, "stderr")
        if instance.terminal is not None:
            instance.terminal.show_with(lambda data: instance.log.append("stdout", data), out)
            stream = instance.terminal.stream
            return {0: stream, 1: stream.retain(), 2: stream.retain()}
        stdin: Stream = Null()
        if container.get("stdin"):
            instance.stdin = Pipe()
            stdin = instance.stdin.reader
        return {0: stdin, 1: out, 2: err}

    # cleaning up

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED":
            machine = self.pods.get(change.obj["metadata"]["uid"])
            if machine is not None:
                self._drop(machine)
        elif change.type == "MODIFIED" and change.old is not None:
            ended = (change.obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
            if ended and (change.old.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                machine = self.pods.get(change.obj["metadata"]["uid"])
                if machine is not None:
                    self.network.close_pod(machine)

    def _drop(self, machine: PodMachine) -> None:
        self.pods.pop(machine.uid, None)
        for instance in (*machine.containers.values(), *((machine.infra,) if machine.infra else ())):
            instance.stopped = True
            instance.kill_all(9)
            instance.log.close()
        self.network.forget(machine)
        self._probes.forget(machine.uid)


def _infra(machine: PodMachine) -> ContainerMachine:
    """The pause container: its process is the first of those that share their numbers."""
    infra = ContainerMachine(machine, "", "registry.k8s.io/pause", FileSystem(Directory()), programs.lookup,
                             owner=Owner(65535, 65535))  # fmt: skip

    async def pause(process: Process) -> int:
        return await never()

    infra.main = infra.start(pause, ["/pause"], descriptors={})
    return infra


def termination_message(instance: ContainerMachine, container: dict[str, Any], status: int) -> str:
    """What the container left at its terminationMessagePath, or the end of its log. Source: pkg/kubelet/kuberuntime."""
    mount = instance.fs.mounts.get(instance.termination_path)
    data = mount.root.read() if mount is not None and isinstance(mount.root, File) else b""
    if not data and status and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        data = instance.log.tail_bytes(2048)
    return data[-4096:].decode("utf-8", "replace")


def _held(instance: ContainerMachine, program: Program) -> Program:
    """Waits a moment for whoever wants to attach: `kubectl run -i` reads the log first and would show output twice."""

    async def main(process: Process) -> int:
        try:
            async with asyncio.timeout(_ATTACH_SECONDS):
                await instance.attaching.wait()
        except TimeoutError:
            pass
        return await program(process)

    return main


def _owner(instance: ContainerMachine, image: Image, own: dict[str, Any], pod_level: dict[str, Any]) -> Owner:
    """The user that a container runs as."""
    owner = instance.owner_of(image.user or "root")
    user, group = own.get("runAsUser", pod_level.get("runAsUser")), own.get("runAsGroup", pod_level.get("runAsGroup"))
    if user is not None:
        known = instance.owner_of(str(user))
        owner = Owner(int(user), known.gid)
    if group is not None:
        owner = Owner(owner.uid, int(group))
    groups = [int(g) for g in pod_level.get("supplementalGroups") or ()]
    if pod_level.get("fsGroup") is not None:
        groups.append(int(pod_level["fsGroup"]))
    return Owner(owner.uid, owner.gid, tuple(groups))


def _source(volume: dict[str, Any], kind: str) -> str:
    return "tmpfs" if kind == "tmpfs" else "/dev/sda1"
