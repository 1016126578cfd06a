"""Small echo servers: http-echo, ealen and jmalloc echo-server, fortio, hello-world."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from labrunner.sandbox.workload.http.server import Request, Response, pairs, serve
from labrunner.sandbox.workload.machine.process import Process

_HELLO = """
Hello from Docker!
This message shows that your installation appears to be working correctly.

To generate this message, Docker took the following steps:
 1. The Docker client contacted the Docker daemon.
 2. The Docker daemon pulled the "hello-world" image from the Docker Hub.
    (amd64)
 3. The Docker daemon created a new container from that image which runs the
    executable that produces the output you are currently reading.
 4. The Docker daemon streamed that output to the Docker client, which sent it
    to your terminal.

"""


async def hello_world(process: Process) -> int:
    await process.write(_HELLO)
    return 0


async def http_echo(process: Process) -> int:
    """hashicorp/http-echo: `-text=...`, `-listen=:5678`, `-status-code=200`; the text may come from ECHO_TEXT."""
    given: dict[str, str] = {}
    words = process.argv[1:]
    while words:
        word = words.pop(0).lstrip("-")
        name, equals, value = word.partition("=")
        given[name] = value if equals else words.pop(0) if words else ""
    text = given.get("text") or process.env.get("ECHO_TEXT", "")
    if not text:
        await process.error("Missing -text option!\n")
        return 127
    listen = given.get("listen", ":5678").rpartition(":")[2]
    status = given.get("status-code", "200")
    if not listen.isdigit() or not status.isdigit():
        await process.error(f"[ERR] invalid listen address {given.get('listen')}\n")
        return 1
    await process.error(f"{datetime.now(UTC).strftime('%Y/%m/%d %H:%M:%S')} [INFO] server is listening on :{listen}\n")

    async def answer(server: Process, request: Request) -> Response:
        if request.raw_path == "/health":
            return Response(200, '{"status":"ok"}\n', [], "application/json")
        headers = [("X-App-Name", "http-echo"), ("X-App-Version", "1.0.0")]
        return Response(int(status), f"{text}\n", headers, "text/plain; charset=utf-8")

    async def logged(server: Process, request: Request, response: Response, seconds: float) -> None:
        stamp = datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S")
        await server.line(f'{stamp} {request.host} {request.peer_ip}:{request.peer_port} "{request.method} '
                          f'{request.target} '
                          f'HTTP/{request.version}" {response.status} {len(response.data())} '
                          f'"{request.get("User-Agent")}" '
                          f"{seconds * 1e6:.3f}µs")  # fmt: skip

    return await serve(process, [int(listen)], answer, access_log=logged)


async def echo_server(process: Process) -> int:
    """ealen/echo-server answers JSON on 80, jmalloc/echo-server text on 8080."""
    if "ealen" in process.container.image:
        port = process.env.get("PORT", "80")
        return await serve(process, [int(port) if port.isdigit() else 80], _ealen)
    port = process.env.get("PORT", "8080")
    await process.line(f"Echo server listening on port {port}.")
    return await serve(process, [int(port) if port.isdigit() else 8080], _plain)


async def _ealen(process: Process, request: Request) -> Response:
    name = process.container.hostname
    headers = {k.lower(): v for k, v in request.headers}
    body = {
        "host": {"hostname": request.host.partition(":")[0], "ip": f"::ffff:{request.peer_ip}", "ips": []},
        "http": {"method": request.method, "baseUrl": "", "originalUrl": request.target, "protocol": "http"},
        "request": {"params": {"0": request.path}, "query": dict(request.arguments()), "cookies": {},
                    "body": request.body.decode("utf-8", "replace") or {}, "headers": headers},
        "environment": {"PATH": process.env.get("PATH", ""), "HOSTNAME": name},
    }  # fmt: skip
    return Response(200, json.dumps(body, separators=(",", ":")), [], "application/json; charset=utf-8")


async def _plain(process: Process, request: Request) -> Response:
    lines = [
        f"Request served by {process.container.hostname}",
        "",
        f"{request.method} {request.target} HTTP/{request.version}",
        "",
    ]
    lines.append(f"Host: {request.host}")
    lines += [f"{k}: {v}" for k, v in sorted(request.headers) if k.lower() != "host"]
    text = "\n".join(lines) + "\n\n" + request.body.decode("utf-8", "replace")
    return Response(200, text, [], "text/plain")


async def echoserver(process: Process) -> int:
    """registry.k8s.io/echoserver"""

    async def answer(server: Process, request: Request) -> Response:
        headers = "\n".join(f"\t{k.lower()}={v}" for k, v in sorted(request.headers))
        text = (
            f"\n\nHostname: {server.container.hostname}\n\nPod Information:\n\t-no pod information available-\n\n"
            f"Server values:\n\tserver_version=nginx: 1.14.2 - lua: 10015\n\nRequest Information:\n"
            f"\tclient_address={request.peer_ip}\n\tmethod={request.method}\n\treal path={request.target}\n"
            f"\tquery={request.query}\n\trequest_version={request.version}\n\trequest_scheme=http\n"
            f"\trequest_uri=http://{request.host}{request.target}\n\nRequest Headers:\n{headers}\n\nRequest Body:\n"
            f"{request.body.decode('utf-8', 'replace') or '-no body in request-'}\n\n"
        )
        return Response(200, text, [], "text/plain")

    return await serve(process, [8080], answer, server_name="nginx/1.14.2")


async def fortio(process: Process) -> int:
    """`fortio server`: /echo, /debug and /fortio on 8080."""
    if "server" not in process.argv[1:] and len(process.argv) > 1:
        await process.error("fortio: only `server` is pretended here\n")
        return 1

    async def answer(server: Process, request: Request) -> Response:
        status = request.argument("status", "200")
        if request.raw_path.startswith("/debug"):
            head = "\n".join(f"{k}: {v[0]}" for k, v in sorted(pairs(request.headers).items()))
            return Response(200, f"Φορτίο version 1.66.5 echo debug server on {server.container.hostname} - request "
                                 f"from "
                            f"{request.peer_ip}:{request.peer_port}\n\n{request.method} {request.target} "
                            f"HTTP/1.1\n\nheaders:\n\n"
                            f"{head}\n\nbody:\n\n{request.body.decode('utf-8', 'replace')}\n", [],
                            "text/plain; charset=UTF-8")  # fmt: skip
        return Response(
            int(status) if status.isdigit() and 100 <= int(status) < 600 else 200, request.body, [], "text/plain"
        )

    return await serve(process, [8080], answer)
