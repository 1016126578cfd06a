"""Apache httpd: static files; and the PHP page of hpa-example."""

from __future__ import annotations

import mimetypes
import posixpath
import re
from datetime import UTC, datetime
from email.utils import formatdate

from labrunner.sandbox.workload.filesystem.node import Directory, File
from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process

SERVER = "Apache/2.4.65 (Unix)"
ROOT = "/usr/local/apache2"
_PHRASES = {
    403: "You don't have permission to access this resource.",
    404: "The requested URL was not found on this server.",
}


async def main(process: Process) -> int:
    """`httpd-foreground` or `httpd [-t|-v|-D FOREGROUND]`"""
    words = process.argv[1:]
    if "-v" in words or "-V" in words:
        await process.write(f"Server version: {SERVER}\nServer built:   Jul 23 2025 15:49:54\n")
        return 0
    if "-t" in words:
        await process.error("Syntax OK\n")
        return 0
    stamp = datetime.now(UTC).strftime("%a %b %d %H:%M:%S.%f %Y")
    ip = process.container.pod.network_ip()
    await process.error(
        f"AH00558: httpd: Could not reliably determine the server's fully qualified domain name, using {ip}. Set the "
        "'ServerName' directive globally to suppress this message\n"
        f"[{stamp}] [mpm_event:notice] [pid 1:tid 1] AH00489: {SERVER} configured -- resuming normal operations\n"
        f"[{stamp}] [core:notice] [pid 1:tid 1] AH00094: Command line: 'httpd -D FOREGROUND'\n"
    )
    return await serve(process, _ports(process), _answer, access_log=_logged, server_name=SERVER, keepalive=5.0)


def _ports(process: Process) -> list[int]:
    try:
        text = process.read_file(f"{ROOT}/conf/httpd.conf").decode("utf-8", "replace")
    except OSError:
        return [80]
    found = [int(p) for p in re.findall(r"(?m)^\s*Listen\s+(?:\S+:)?(\d{1,5})\s*$", text)]
    return found or [80]


async def _logged(process: Process, request: Request, response: Response, seconds: float) -> None:
    stamp = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    await process.line(
        f'{request.peer_ip} - - [{stamp}] "{request.method} {request.target} HTTP/{request.version}" {response.status} '
        f"{len(response.data()) or '-'}"
    )


def _error(status: int) -> Response:
    title = {403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}.get(status, "Error")
    body = (
        '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n'
        f"<title>{status} "
        f"{title}</title>\n</head><body>\n<h1>{title}</h1>\n<p>{_PHRASES.get(status, '')}</p>\n</body></html>\n"
    )
    return Response(status, body, [], "text/html; charset=iso-8859-1")


async def _answer(process: Process, request: Request) -> Response:
    if request.method not in ("GET", "HEAD", "POST", "OPTIONS"):
        return _error(405)
    path = posixpath.normpath(request.path)
    target = f"{ROOT}/htdocs{path}"
    try:
        node = process.fs.node(target)
        if isinstance(node, Directory):
            index = posixpath.join(target, "index.html")
            if not process.fs.exists(index):
                names = "".join(f'<li><a href="{n}"> {n}</a></li>\n' for n in process.fs.listing(target))
                return Response(200, f"<html><head><title>Index of {path}</title></head><body><h1>Index of {path}</h1>"
                                f"<ul>{names}</ul></body></html>\n", [], "text/html;charset=ISO-8859-1")  # fmt: skip
            target, node = index, process.fs.node(index)
        if not isinstance(node, File):
            return _error(403)
        data = process.fs.read(target)
    except PermissionError:
        return _error(403)
    except OSError:
        return _error(404)
    tag = f'"{len(data):x}-{int(node.mtime * 1e6):x}"'
    if request.get("If-None-Match") == tag:
        return Response(304, "", [("ETag", tag)])
    kind = mimetypes.guess_type(target)[0] or "text/plain"
    headers = [("Last-Modified", formatdate(node.mtime, usegmt=True)), ("ETag", tag), ("Accept-Ranges", "bytes")]
    return Response(200, data, headers, kind)


async def php(process: Process) -> int:
    """hpa-example: `OK!` after a computation."""

    async def ok(server: Process, request: Request) -> Response:
        return Response(200, "OK!", [("X-Powered-By", "PHP/5.6.14")], "text/html; charset=UTF-8")

    return await serve(process, [80], ok, access_log=_logged, server_name="Apache/2.4.10 (Debian)")
