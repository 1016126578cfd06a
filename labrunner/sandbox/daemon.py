"""The sandbox's own process: `python -m labrunner.sandbox.daemon`. `labrunner.sandbox.instance` starts it.

It says on the file descriptor `--ready-fd` one JSON line: `{"port": ...}` once requests are answered, or
`{"error": ..., "hint": ...}`. With `--owner-fd` it ends when that pipe is closed at the other end, however its owner
ended.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import fcntl
import gc
import json
import logging
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from labrunner.errors import EnvironmentFault, ExitCode, LabrunnerError
from labrunner.sandbox import kubeconfig, mesh_flavours
from labrunner.sandbox.kube import pki
from labrunner.sandbox.layout import Layout

if TYPE_CHECKING:
    from labrunner.sandbox.kube.assembly import Cluster
    from labrunner.sandbox.kube.controllers.settings import MeshSettings
    from labrunner.sandbox.mesh.plane import MeshPlane

log = logging.getLogger("labrunner.sandbox")

HOUSEKEEPING_SECONDS = 1.0
HOST = "127.0.0.1"


def main() -> int:
    """Serve one sandbox until told to stop."""
    parser = argparse.ArgumentParser(prog="labrunner.sandbox.daemon")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--owner-fd", type=int)
    parser.add_argument("--instant", action="store_true")
    parser.add_argument("--flavour", choices=mesh_flavours.FLAVOURS, default=mesh_flavours.DEFAULT)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        return asyncio.run(_serve(args))
    except LabrunnerError as error:
        _say(args.ready_fd, {"error": error.message, "hint": error.hint})
        log.error("%s", error.message)
        return int(error.exit_code)
    except OSError as error:
        where = error.filename or args.directory
        _say(args.ready_fd, {"error": f"the sandbox cannot start: {where}: {error.strerror}", "hint": _way_out(error)})
        log.error("cannot start: %s", error)
        return int(ExitCode.ENVIRONMENT)


def _way_out(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Free some space there, or set LABRUNNER_HOME to a place that has some (`df -h` shows which)."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Make it writable, or set LABRUNNER_HOME to a place that is."
    return "`labrunner doctor` looks for what this machine lacks."


async def _serve(args: argparse.Namespace) -> int:
    layout = Layout(args.directory)
    lock = _claim(layout)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    certificates = pki.ensure(layout.certificates)
    layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)

    with _no_system_certificates():
        from labrunner.sandbox import control
        from labrunner.sandbox.kube.assembly import assemble

    mesh = mesh_flavours.settings(layout, args.flavour)
    cluster = assemble(layout.state, certificates, instant=args.instant, mesh=mesh, loop=loop)
    plane: MeshPlane | None = None
    control.install(cluster, layout, ended, lambda: plane.health() if plane else {})
    port = await _listen(cluster.server, layout, _tls(certificates))
    if cluster.runtime:
        cluster.runtime.network.api_server = (HOST, port)
    plane = _mesh(cluster, layout, mesh)
    server_url = f"https://{HOST}:{port}"
    kubeconfig.write(layout.kubeconfig, certificates, args.name, server_url)
    layout.port.write_text(str(port))
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"pid": os.getpid(), "port": port}).encode(), 0)
    if args.owner_fd is not None:
        os.set_blocking(args.owner_fd, False)
        loop.add_reader(args.owner_fd, _owner_spoke, args.owner_fd, ended)
    # What is loaded now stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20000, 20, 50)
    log.info("serving at %s", server_url)
    _say(args.ready_fd, {"port": port})
    housekeeping = asyncio.create_task(_housekeeping(cluster))
    await ended.wait()
    log.info("stopping")
    housekeeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await housekeeping
    if cluster.runner:
        cluster.runner.stop()
    if plane:
        plane.close()
    if cluster.runtime:
        cluster.runtime.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(cluster.server.stop(), 0.5)
    cluster.server.audit.flush()
    if cluster.journal:
        cluster.journal.sync()
        cluster.journal.close()
    return 0


@contextlib.contextmanager
def _no_system_certificates() -> Iterator[None]:
    """aiohttp makes client contexts when it is imported; reading the system's CAs for them would take 50 ms."""
    before = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    os.environ.update(dict.fromkeys(before, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _mesh(cluster: Cluster, layout: Layout, settings: MeshSettings) -> MeshPlane | None:
    """The mesh's data plane; None without a mesh."""
    if cluster.runtime is None or settings.flavour == "none":
        return None
    from labrunner.sandbox.mesh.observe.attach import attach
    from labrunner.sandbox.mesh.plane import install
    from labrunner.sandbox.mesh.validation.webhook import validate

    cluster.server.registry.judges.append(validate)
    plane = install(cluster.api, cluster.runtime.network, layout.mesh, settings)
    attach(cluster.server, plane, cluster.runtime, settings.version)
    return plane


def _claim(layout: Layout) -> int:
    """Take the lock that says this sandbox runs; returns its descriptor, kept open for life."""
    layout.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(layout.running, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise EnvironmentFault("this sandbox already runs in another process") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid()}).encode(), 0)
    return descriptor


def _tls(certificates: pki.Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _listen(server: object, layout: Layout, tls: ssl.SSLContext) -> int:
    """On the port used last if it is free, else on any."""
    from labrunner.sandbox.kube.server import ApiServer

    assert isinstance(server, ApiServer)
    remembered = 0
    with contextlib.suppress(OSError, ValueError):
        remembered = int(layout.port.read_text())
    if remembered:
        try:
            return await server.start(tls, HOST, remembered)
        except OSError as error:
            log.warning("port %d is taken (%s); another one is used", remembered, error.strerror)
    return await server.start(tls, HOST, 0)


def _owner_spoke(descriptor: int, ended: asyncio.Event) -> None:
    """The owner's pipe became readable: at its end the owner is gone."""
    with contextlib.suppress(BlockingIOError):
        if not os.read(descriptor, 1024):
            asyncio.get_running_loop().remove_reader(descriptor)
            ended.set()


async def _housekeeping(cluster: object) -> None:
    """Once a second: the journal to the disk, compaction, audit lines."""
    from labrunner.sandbox.kube.assembly import Cluster
    from labrunner.sandbox.kube.journal import JournalFull

    assert isinstance(cluster, Cluster)
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(HOUSEKEEPING_SECONDS)
        try:
            cluster.store.compact()
        except JournalFull as error:
            log.warning("the journal cannot be compacted: %s", error.strerror)
        cluster.server.audit.flush()
        if cluster.journal and cluster.journal.dirty:
            await loop.run_in_executor(None, cluster.journal.sync)


def _say(descriptor: int | None, message: dict[str, object]) -> None:
    if descriptor is None:
        return
    with contextlib.suppress(OSError):
        os.write(descriptor, json.dumps(message).encode() + b"\n")
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
