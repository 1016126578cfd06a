"""`python3`: programs of everyday Python from `-c`, a file or standard input; `-m http.server`, `-m json.tool`."""

from __future__ import annotations

import mimetypes
import posixpath
from datetime import UTC, datetime
from urllib.parse import quote

from labrunner.sandbox.workload.filesystem.node import Directory
from labrunner.sandbox.workload.http.server import Request, Response, phrase, serve
from labrunner.sandbox.workload.machine.process import Process, never

VERSION = "3.13.7"
_MAX_SOURCE = 512 * 1024
_JSON_TOOL = """
import json, sys
try:
    print(json.dumps(json.load(sys.stdin), indent=4))
except ValueError as error:
    sys.exit(str(error))
"""
SERVER = f"SimpleHTTP/0.6 Python/{VERSION}"


async def main(process: Process) -> int:
    words = process.argv[1:]
    if not words:
        return await process_without_script(process)
    if words[0] in ("-V", "--version"):
        await process.line(f"Python {VERSION}")
        return 0
    while words and words[0] in ("-u", "-B", "-O"):
        words = words[1:]
    if words[:2] == ["-m", "http.server"]:
        rest = words[2:]
        folder = process.cwd
        ports = []
        while rest:
            word = rest.pop(0)
            if word in ("-d", "--directory") and rest:
                folder = posixpath.join(process.cwd, rest.pop(0))
            elif word in ("-b", "--bind") and rest:
                rest.pop(0)
            elif word.isdigit():
                ports.append(int(word))
        return await _serve(process, folder, ports[0] if ports else 8000)
    from labrunner.sandbox.workload.python.program import execute

    if words[:2] == ["-m", "json.tool"]:
        return await execute(process, _JSON_TOOL, "json.tool", words[1:])
    if words[:1] == ["-m"]:
        return await process.fail(f"No module named {words[1] if len(words) > 1 else ''}", 1)
    if words[:1] == ["-c"]:
        if len(words) < 2:
            await process.error("Argument expected for the -c option\n")
            return 2
        return await execute(process, words[1], "<string>", ["-c", *words[2:]])
    if words[0] == "-":
        text = (await process.stdin.readall(_MAX_SOURCE)).decode("utf-8", "replace")
        return await execute(process, text, "<stdin>", words)
    try:
        source = process.read_file(words[0]).decode("utf-8", "replace")
    except OSError as error:
        path = posixpath.join(process.cwd, words[0])
        await process.error(f"python3: can't open file '{path}': [Errno {error.errno}] {error.strerror}\n")
        return 2
    return await execute(process, source, words[0], words)


async def process_without_script(process: Process) -> int:
    """The interactive interpreter: waits at a terminal, ends at once without one."""
    if process.stdin.is_tty:
        await process.write(f"Python {VERSION} (main) on linux\n>>> ")
        return await never()
    from labrunner.sandbox.workload.python.program import execute

    text = (await process.stdin.readall(_MAX_SOURCE)).decode("utf-8", "replace")
    return await execute(process, text, "<stdin>", [""])


async def _serve(process: Process, folder: str, port: int) -> int:
    await process.line(f"Serving HTTP on 0.0.0.0 port {port} (http://0.0.0.0:{port}/) ...")

    async def answer(server: Process, request: Request) -> Response:
        target = posixpath.normpath(folder + "/" + request.path.lstrip("/"))
        try:
            node = server.fs.node(target)
            if isinstance(node, Directory):
                index = posixpath.join(target, "index.html")
                if not server.fs.exists(index):
                    rows = "".join(f'<li><a href="{quote(n)}">{n}</a></li>\n' for n in server.fs.listing(target))
                    text = (f"<!DOCTYPE HTML>\n<html lang=\"en\">\n<head>\n<meta "
                            f"charset=\"utf-8\">\n<title>Directory listing for "
                            f"{request.path}</title>\n</head>\n<body>\n<h1>Directory listing for "
                            f"{request.path}</h1>\n<hr>\n<ul>\n"
                            f"{rows}</ul>\n<hr>\n</body>\n</html>\n")  # fmt: skip
                    return Response(200, text, [], "text/html; charset=utf-8")
                target = index
            data = server.fs.read(target)
        except OSError:
            text = (f"<!DOCTYPE HTML>\n<html lang=\"en\">\n    <head>\n        <title>Error response</title>\n    "
                    f"</head>\n    <body>\n"
                    f"        <h1>Error response</h1>\n        <p>Error code: 404</p>\n        <p>Message: "
                    f"{phrase(404)}.</p>\n"
                    "    </body>\n</html>\n")  # fmt: skip
            return Response(404, text, [], "text/html;charset=utf-8", "File not found")
        return Response(200, data, [], mimetypes.guess_type(target)[0] or "application/octet-stream")

    async def logged(server: Process, request: Request, response: Response, seconds: float) -> None:
        stamp = datetime.now(UTC).strftime("%d/%b/%Y %H:%M:%S")
        await server.error(f'{request.peer_ip} - - [{stamp}] "{request.method} {request.target} '
                           f'HTTP/{request.version}" '
                           f"{response.status} -\n")  # fmt: skip

    return await serve(process, [port], answer, access_log=logged, server_name=SERVER)
