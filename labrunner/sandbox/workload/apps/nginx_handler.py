"""What nginx answers to a request, by its configuration."""

from __future__ import annotations

import mimetypes
import posixpath
import re
import zlib
from email.utils import formatdate
from urllib.parse import quote, urlsplit

from labrunner.sandbox.workload.apps.nginx_config import Config, Directive, Location, Server
from labrunner.sandbox.workload.filesystem.node import Directory, File
from labrunner.sandbox.workload.http.fetch import FetchFault, fetch
from labrunner.sandbox.workload.http.server import Request, Response, phrase
from labrunner.sandbox.workload.machine.process import Process

VERSION = "1.29.3"
_INTERNAL_REDIRECTS = 10
_TYPES = {".html": "text/html", ".js": "application/javascript", ".json": "application/json", ".css": "text/css",
          ".txt": "text/plain", ".svg": "image/svg+xml", ".xml": "text/xml", ".ico": "image/x-icon"}  # fmt: skip


def page(status: int) -> str:
    """nginx's own error page."""
    title = f"{status} {phrase(status)}" if status != 503 else "503 Service Temporarily Unavailable"
    if status == 302:
        title = "302 Found"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        f"<hr><center>nginx/{VERSION}</center>\r\n</body>\r\n</html>\r\n"
    )


def failure(status: int, headers: list[tuple[str, str]] | None = None) -> Response:
    return Response(status, page(status), headers or [], "text/html")


async def answer(process: Process, request: Request, config: Config) -> Response:
    server = config.server_for(request.port, request.host)
    if server is None:
        return failure(404)
    path = request.path
    for _ in range(_INTERNAL_REDIRECTS):
        location = locate(server, path)
        response = await _in(process, request, config, server, location, path)
        if isinstance(response, str):
            path = response
            continue
        page_ = _error_page(location, server, response.status)
        if page_ and response.status >= 400 and page_ != path:
            status = response.status
            inner = await _in(process, request, config, server, locate(server, page_), page_)
            if isinstance(inner, Response) and inner.status == 200:
                inner.status = status
                response = inner
        _add_headers(response, location, server, config, request)
        return response
    return failure(500)


def locate(server: Server, path: str) -> Location:
    """The location of a path by nginx's rules."""
    return _located(server.root, path) or server.root


def _located(root: Location, path: str) -> Location | None:
    exact = next((found for found in root.locations if found.modifier == "=" and found.path == path), None)
    if exact is not None:
        return exact
    if path.startswith("@"):
        return next((found for found in root.locations if found.modifier == "@" and found.path == path), None)
    prefixes = [found for found in root.locations if found.modifier in ("", "^~") and path.startswith(found.path)]
    best = max(prefixes, key=lambda found: len(found.path), default=None)
    if best is None or best.modifier != "^~":
        for found in root.locations:
            if found.modifier in ("~", "~*") and len(path) < 2048:
                try:
                    if re.search(found.path, path, re.IGNORECASE if found.modifier == "~*" else 0):
                        return found
                except re.error:
                    continue
    if best is not None and best.locations:
        return _located(best, path) or best
    return best


def _setting(name: str, *places: Location) -> Directive | None:
    return next((found for place in places if (found := place.last(name)) is not None), None)


def _error_page(location: Location, server: Server, status: int) -> str:
    for place in (location, server.root):
        for directive in place.directives:
            if directive.name == "error_page" and str(status) in directive.words[:-1]:
                return directive.words[-1]
    return ""


def _add_headers(response: Response, location: Location, server: Server, config: Config, request: Request) -> None:
    for place in (location.directives, server.root.directives, config.http):
        adds = [d for d in place if d.name == "add_header" and len(d.words) >= 2]
        if adds:
            for add in adds:
                if response.status in (200, 201, 204, 206, 301, 302, 303, 304, 307, 308) or "always" in add.words[2:]:
                    response.headers.append((add.words[0], substitute(add.words[1], request)))
            return


def substitute(text: str, request: Request) -> str:
    """nginx variables."""
    values = {
        "host": request.host.partition(":")[0], "http_host": request.host, "remote_addr": request.peer_ip,
        "remote_port": str(request.peer_port), "request_uri": request.target, "uri": request.path,
        "args": request.query, "is_args": "?" if request.query else "", "scheme": "http",
        "server_port": str(request.port),
        "request_method": request.method, "proxy_add_x_forwarded_for":
            ", ".join(filter(None, (request.get("X-Forwarded-For"), request.peer_ip))),
        "server_protocol": f"HTTP/{request.version}", "query_string": request.query, "nginx_version": VERSION,
        "proxy_host": request.host, "document_uri": request.path,
    }  # fmt: skip

    def replace(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name == "hostname":
            return "nginx"
        if name in values:
            return values[name]
        if name.startswith("http_"):
            return request.get(name[5:].replace("_", "-"))
        if name.startswith("arg_"):
            return request.argument(name[4:])
        return ""

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", replace, text)


async def _in(
    process: Process, request: Request, config: Config, server: Server, location: Location, path: str
) -> Response | str:
    """The answer, or another path to go on with."""
    for place in (server.root, location) if location is not server.root else (server.root,):
        for directive in place.directives:
            if directive.name == "return" and directive.words:
                return _return(directive, process, request)
            if directive.name == "rewrite" and len(directive.words) >= 2:
                rewritten = _rewritten(directive, path)
                if rewritten is not None:
                    if rewritten.startswith(("http://", "https://")) or directive.words[-1] in (
                        "redirect",
                        "permanent",
                    ):
                        status = 301 if directive.words[-1] == "permanent" else 302
                        return failure(status, [("Location", rewritten)])
                    if directive.words[-1] == "break":
                        path = rewritten
                    elif rewritten != path:
                        return rewritten
    if location.last("deny") and not location.last("allow"):
        return failure(403)
    proxy = location.last("proxy_pass")
    if proxy is not None and proxy.words:
        return await _proxied(process, request, config, server, location, proxy.words[0], path)
    if location.last("stub_status") is not None:
        return Response(200, "Active connections: 1 \nserver accepts handled requests\n 1 1 1 \n"
                        "Reading: 0 Writing: 1 Waiting: 0 \n", [], "text/plain")  # fmt: skip
    if request.method not in ("GET", "HEAD"):
        return failure(405)
    return _static(process, request, server, location, path, config)


def _return(directive: Directive, process: Process, request: Request) -> Response:
    words = directive.words
    if len(words) == 1 and not words[0].isdigit():
        return failure(302, [("Location", substitute(words[0], request))])
    status = int(words[0]) if words[0].isdigit() else 200
    if status == 444:
        return Response(abort=True)
    text = substitute(words[1].replace("$hostname", process.container.hostname), request) if len(words) > 1 else ""
    if status in (301, 302, 303, 307, 308):
        if text.startswith("/"):
            text = f"http://{request.host}{text}"
        return failure(status, [("Location", text)] if text else [])
    if not text and status >= 400:
        return failure(status)
    return Response(status, text.replace("\\n", "\n"), [], "text/plain" if status != 204 else "")


def _rewritten(directive: Directive, path: str) -> str | None:
    try:
        found = re.search(directive.words[0], path) if len(path) < 2048 else None
    except re.error:
        return None
    if not found:
        return None
    return re.sub(r"\$(\d)", lambda m: (found[int(m[1])] or "") if int(m[1]) <= (found.lastindex or 0) else "",
                  directive.words[1])  # fmt: skip


def _static(
    process: Process, request: Request, server: Server, location: Location, path: str, config: Config
) -> Response | str:
    fs, owner = process.fs, process.container.owner_of("nginx")
    alias = location.last("alias")
    root = _setting("root", location, server.root)
    base = root.words[0] if root and root.words else "/etc/nginx/html"
    if not base.startswith("/"):
        base = posixpath.join("/etc/nginx", base)

    def real(uri: str) -> str:
        if alias and alias.words:
            return alias.words[0] + uri[len(location.path) :]
        return base + uri

    clean = posixpath.normpath(path)
    if ".." in path.split("/") and not clean.startswith("/"):
        return failure(400)
    uri = clean + ("/" if path.endswith("/") and clean != "/" else "")
    tries = location.last("try_files") or (server.root.last("try_files") if location is not server.root else None)
    if tries is not None:
        *candidates, last = [substitute(w, request) for w in tries.words]
        for candidate in candidates:
            target = real(candidate)
            if fs.exists(target) and fs.is_dir(target) == candidate.endswith("/"):
                uri = candidate
                break
        else:
            if last.startswith("="):
                return failure(int(last[1:]) if last[1:].isdigit() else 404)
            if last != path:
                return last
            uri = last
    target = real(uri)
    try:
        node = fs.node(target, owner=owner)
        if isinstance(node, Directory):
            if not uri.endswith("/"):
                return failure(301, [("Location", f"http://{request.host}{quote(uri)}/")])
            index = _setting("index", location, server.root)
            names = index.words if index else ["index.html"]
            for name in names:
                if fs.exists(target + name):
                    target = target + name
                    node = fs.node(target, owner=owner)
                    break
            else:
                auto = _setting("autoindex", location, server.root)
                if auto and auto.words == ["on"]:
                    return _index(process, uri, target)
                return failure(403)
        if not isinstance(node, File):
            return failure(403)
        data = fs.read(target, owner=owner)
    except PermissionError:
        return failure(403)
    except OSError:
        return failure(404)
    tag = f'"{int(node.mtime):x}-{len(data):x}"'
    modified = formatdate(node.mtime, usegmt=True)
    if request.get("If-None-Match") == tag:
        return Response(304, "", [("Last-Modified", modified), ("ETag", tag)])
    default = next((d.words[0] for d in config.http if d.name == "default_type" and d.words), "text/plain")
    extension = posixpath.splitext(target)[1]
    kind = _TYPES.get(extension) or mimetypes.guess_type(target)[0] or default
    return Response(200, data, [("Last-Modified", modified), ("ETag", tag), ("Accept-Ranges", "bytes")], kind)


def _index(process: Process, uri: str, target: str) -> Response:
    rows = "".join(
        f'<a href="{quote(name)}{"/" if isinstance(node, Directory) else ""}">{name}'
        f'{"/" if isinstance(node, Directory) else ""}</a>\r\n'
        for name, node in process.fs.listing(target).items() if not name.startswith(".")
    )  # fmt: skip
    body = (f"<html>\r\n<head><title>Index of {uri}</title></head>\r\n<body>\r\n<h1>Index of {uri}</h1><hr><pre>"
            f'<a href="../">../</a>\r\n{rows}</pre><hr></body>\r\n</html>\r\n')  # fmt: skip
    return Response(200, body, [], "text/html")


_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "host"}


async def _proxied(
    process: Process, request: Request, config: Config, server: Server, location: Location, target: str, path: str
) -> Response:
    url = urlsplit(substitute(target, request))
    netloc = url.netloc
    if backends := config.upstreams.get(url.hostname or ""):
        netloc = backends[zlib.crc32(str(request.started).encode()) % len(backends)]
    uri = request.target
    if url.path or target.endswith("/"):
        rest = path[len(location.path) :] if location.modifier in ("", "^~") else path
        uri = (url.path or "/") + quote(rest) + ("?" + request.query if request.query else "")
    elif path != request.path:
        uri = quote(path) + ("?" + request.query if request.query else "")
    headers = [(k, v) for k, v in request.headers if k.lower() not in _HOP]
    host = url.netloc
    for place in (location, server.root):
        sets = [d for d in place.directives if d.name == "proxy_set_header" and len(d.words) >= 2]
        for directive in sets:
            name, value = directive.words[0], substitute(directive.words[1], request)
            if name.lower() == "host":
                host = value
                continue
            headers = [(k, v) for k, v in headers if k.lower() != name.lower()]
            if value:
                headers.append((name, value))
        if sets:
            break
    try:
        answer_ = await fetch(process, f"{url.scheme}://{netloc}{uri}", request.method,
                              [("Host", host), *headers], request.body, seconds=60.0)  # fmt: skip
    except TimeoutError:
        return failure(504)
    except (FetchFault, OSError):
        return failure(502)
    kept = [(k, v) for k, v in answer_.headers if k.lower() not in _HOP and k.lower() != "server"]
    return Response(answer_.status, answer_.body, kept)
