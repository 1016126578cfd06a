"""nginx: static files and the directives that labs put in ConfigMaps."""

from __future__ import annotations

import asyncio
import errno
from datetime import UTC, datetime

from labrunner.sandbox.workload.apps.nginx_config import Config, ConfigFault, load
from labrunner.sandbox.workload.apps.nginx_handler import answer
from labrunner.sandbox.workload.http.server import Request, Response, combined_line, listen
from labrunner.sandbox.workload.machine.process import Process, never

VERSION = "1.29.3"
MAIN = "/etc/nginx/nginx.conf"


def stamp() -> str:
    return datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


def error_stamp() -> str:
    return datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S")


async def main(process: Process) -> int:
    """`nginx [-g directives] [-t] [-T] [-v] [-V] [-c file] [-s signal]`"""
    words = process.argv[1:]
    path, test, dump = MAIN, False, False
    directives = ""
    while words:
        word = words.pop(0)
        if word in ("-v", "-V"):
            await process.error(f"nginx version: nginx/{VERSION}\n")
            return 0
        if word == "-c" and words:
            path = words.pop(0)
        elif word == "-g" and words:
            directives = words.pop(0)
        elif word == "-t":
            test = True
        elif word == "-T":
            test = dump = True
        elif word == "-s" and words:
            return await _signal(process, words.pop(0))
        elif word not in ("-q", "-e", "-p"):
            await process.error(f'nginx: invalid option: "{word.lstrip("-")}"\n')
            return 1
    try:
        config = load(process.fs, path, process.container.family)
    except ConfigFault as error:
        await process.error(f"{error_stamp()} [emerg] {process.pid}#{process.pid}: {error}\nnginx: [emerg] {error}\n"
                            if not test else f"nginx: [emerg] {error}\n")  # fmt: skip
        if test:
            await process.error(f"nginx: configuration file {path} test failed\n")
        return 1
    if test:
        await process.error(
            f"nginx: the configuration file {path} syntax is ok\nnginx: configuration file {path} test is successful\n"
        )
        if dump:
            for name in config.files:
                await process.write(f"# configuration file {name}:\n")
                await process.write(process.read_file(name))
        return 0
    return await _serve(process, path, config, foreground="daemon off" in directives or process.pid == 1)


async def _serve(process: Process, path: str, config: Config, *, foreground: bool) -> int:
    await process.error(
        f'{error_stamp()} [notice] {process.pid}#{process.pid}: using the "epoll" event method\n'
        f"{error_stamp()} [notice] {process.pid}#{process.pid}: nginx/{VERSION}\n"
        f"{error_stamp()} [notice] {process.pid}#{process.pid}: start worker processes\n"
    )
    current = [config]
    network = process.container.pod.network.network
    machine = process.container.pod

    async def handle(server: Process, request: Request) -> Response:
        return await answer(server, request, current[0])

    async def logged(server: Process, request: Request, response: Response, seconds: float) -> None:
        await server.line(combined_line(request, response, stamp()) + f' "{request.get("X-Forwarded-For", "-")}"')

    ports: set[int] = set()
    for port in sorted(config.ports()):
        try:
            listen(process, [port], handle, access_log=logged, server_name=f"nginx/{VERSION}")
        except OSError as error:
            code = error.errno or errno.EADDRINUSE
            await process.error(f"{error_stamp()} [emerg] {process.pid}#{process.pid}: bind() to 0.0.0.0:{port} failed "
                                f"({code}: Address already in use)\n")  # fmt: skip
            return 1
        ports.add(port)

    def reload(number: int) -> None:
        try:
            current[0] = load(process.fs, path, process.container.family)
        except ConfigFault:
            return
        for port in current[0].ports() - ports:
            listen(process, [port], handle, access_log=logged, server_name=f"nginx/{VERSION}")
        for port in ports - current[0].ports():
            network.stop_listening(machine, process.container, port)
        ports.clear()
        ports.update(current[0].ports())

    process.handlers[1] = reload
    process.serves = True
    workers = []
    for _ in range(2):
        workers.append(_worker(process))
    try:
        await never()
    except asyncio.CancelledError:
        if process.ended_by_signal():
            raise
        await process.error(f"{error_stamp()} [notice] {process.pid}#{process.pid}: signal 3 (SIGQUIT) received, "
                            f"shutting down\n{error_stamp()} [notice] {process.pid}#{process.pid}: exit\n")  # fmt: skip
    return 0


def _worker(process: Process) -> Process:
    async def wait(worker: Process) -> int:
        return await never()

    return process.container.start(
        wait, ["nginx: worker process"], descriptors=process.descriptors, parent=process, background=True,
        owner=process.container.owner_of("nginx"),
    )  # fmt: skip


async def _signal(process: Process, name: str) -> int:
    number = {"reload": 1, "stop": 15, "quit": 3, "reopen": 10}.get(name)
    if number is None:
        await process.error(f'nginx: invalid option: "-s {name}"\n')
        return 1
    master = next((p for p in process.container.processes() if p.name == "nginx" and p is not process), None)
    if master is None:
        await process.error('nginx: [error] open() "/run/nginx.pid" failed (2: No such file or directory)\n')
        return 1
    await process.error(f"{error_stamp()} [notice] {process.pid}#{process.pid}: signal process started\n")
    master.kill(number)
    return 0
