"""go-httpbin v2.15 and the Python httpbin. Source: github.com/mccutchen/go-httpbin, httpbin/handlers.go."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import re
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

from labrunner.sandbox.workload.http.server import Request, Response, pairs, phrase, serve
from labrunner.sandbox.workload.machine.process import Process

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
MAX_DELAY = 10.0
MAX_BYTES = 100 * 1024
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

Route = Callable[[Process, Request, "re.Match[str]"], Awaitable[Response]]
_ROUTES: list[tuple[re.Pattern[str], tuple[str, ...], Route]] = []


async def main(process: Process) -> int:
    """`go-httpbin [-port N] [-host H]`; PORT and USE_REAL_HOSTNAME in the environment."""
    arguments = process.argv[1:]
    port = process.env.get("PORT", "8080")
    for index, word in enumerate(arguments):
        if word.lstrip("-") == "port" and index + 1 < len(arguments):
            port = arguments[index + 1]
        elif word.lstrip("-").startswith("port="):
            port = word.partition("=")[2]
    if not port.isdigit() or not 0 < int(port) < 65536:
        await process.error(f'Error: invalid value "{port}" for env var PORT: parse error\n')
        return 2
    await process.error(_line(f'level=INFO msg="go-httpbin listening on http://0.0.0.0:{port}"'))
    return await serve(process, [int(port)], answer, access_log=_logged)


async def python(process: Process) -> int:
    """The original on gunicorn, port 80."""
    await process.error(
        f"[{_now('%Y-%m-%d %H:%M:%S')} +0000] [1] [INFO] Starting gunicorn 19.9.0\n"
        f"[{_now('%Y-%m-%d %H:%M:%S')} +0000] [1] [INFO] Listening at: http://0.0.0.0:80 (1)\n"
        f"[{_now('%Y-%m-%d %H:%M:%S')} +0000] [1] [INFO] Using worker: gevent\n"
    )
    return await serve(process, [80], answer_python, server_name="gunicorn/19.9.0")


def _now(layout: str) -> str:
    return datetime.now(UTC).strftime(layout)


def _line(rest: str) -> str:
    now = datetime.now(UTC)
    return f"time={now.strftime('%Y-%m-%dT%H:%M:%S')}.{now.microsecond // 1000:03d}Z {rest}\n"


async def _logged(process: Process, request: Request, response: Response, seconds: float) -> None:
    agent = json.dumps(request.get("User-Agent")) if " " in request.get("User-Agent") else request.get("User-Agent")
    milliseconds = seconds * 1000
    level = "WARN" if 400 <= response.status < 500 else "ERROR" if response.status >= 500 else "INFO"
    uri = json.dumps(request.target) if "=" in request.target or '"' in request.target else request.target
    await process.error(_line(
        f'level={level} msg="{response.status} {request.method} {request.target} {milliseconds:.1f}ms" '
        f"status={response.status} method={request.method} uri={uri} size_bytes={len(response.data())} "
        f'duration_ms={milliseconds:.6f} user_agent={agent or chr(34) * 2} client_ip={client_ip(request)}'
    ))  # fmt: skip


def client_ip(request: Request) -> str:
    forwarded = request.get("X-Forwarded-For")
    return forwarded.split(",")[0].strip() if forwarded else request.peer_ip


def _json(data: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> Response:
    return Response(status, json.dumps(data, indent=2, ensure_ascii=False) + "\n", headers or [], JSON)


def _error(status: int, detail: str = "") -> Response:
    body: dict[str, Any] = {"status_code": status, "error": phrase(status)}
    if detail:
        body["detail"] = detail
    return _json(body, status)


def route(pattern: str, *methods: str) -> Callable[[Route], Route]:
    def register(function: Route) -> Route:
        _ROUTES.append((re.compile(pattern), methods or ("GET", "HEAD"), function))
        return function

    return register


async def answer(process: Process, request: Request) -> Response:
    """One request to go-httpbin."""
    allowed: list[str] = []
    response = None
    path = re.sub(r"/{2,}", "/", request.raw_path)
    if path != request.raw_path:
        query = f"?{request.query}" if request.query else ""
        return Response(301, f'<a href="{path}{query}">Moved Permanently</a>.\n\n', [("Location", path + query)], HTML)
    for pattern, methods, function in _ROUTES:
        found = pattern.fullmatch(path)
        if not found:
            continue
        if request.method == "OPTIONS" and "OPTIONS" not in methods:
            response = Response(200)
            break
        if request.method in methods:
            response = await function(process, request, found)
            break
        allowed = sorted(set(methods))
    if response is None:
        if allowed:
            response = Response(405, "Method Not Allowed\n", [("Allow", ", ".join(allowed))], TEXT)
        else:
            response = _error(404)
    origin = request.get("Origin") or "*"
    response.headers += [("Access-Control-Allow-Credentials", "true"), ("Access-Control-Allow-Origin", origin)]
    if request.method == "OPTIONS":
        response.headers += [
            ("Access-Control-Allow-Methods", "GET, POST, HEAD, PUT, DELETE, PATCH, OPTIONS"),
            ("Access-Control-Max-Age", "3600"),
        ]
        if wanted := request.get("Access-Control-Request-Headers"):
            response.headers.append(("Access-Control-Allow-Headers", wanted))
    return response


# what the answers hold


def _url(request: Request) -> str:
    scheme = request.get("X-Forwarded-Proto") or request.get("X-Forwarded-Protocol") or "http"
    if request.get("X-Forwarded-Ssl") == "on":
        scheme = "https"
    return f"{scheme}://{request.host}{request.target}"


def _canonical(name: str) -> str:
    """As Go's textproto writes header names."""
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def _request_headers(request: Request) -> dict[str, list[str]]:
    found = pairs([(_canonical(k), v) for k, v in request.headers])
    return dict(sorted(found.items()))


def _common(request: Request) -> dict[str, Any]:
    return {
        "args": dict(sorted(pairs(request.arguments()).items())),
        "headers": _request_headers(request),
        "method": request.method,
        "origin": client_ip(request),
        "url": _url(request),
    }


def _with_body(request: Request) -> Response:
    found = _common(request) | {"data": "", "files": {}, "form": {}, "json": None}
    kind = request.get("Content-Type")
    text = request.body.decode("utf-8", "replace")
    if not request.body:
        pass
    elif kind.startswith(("text/", "html/")):
        found["data"] = text
    elif kind.startswith("application/x-www-form-urlencoded"):
        found["form"] = dict(sorted(pairs(parse_qsl(text, keep_blank_values=True)).items()))
        found["data"] = text
    elif kind.startswith("multipart/form-data"):
        found["form"], found["files"] = _multipart(request.body, kind)
        found["data"] = text
    elif kind.startswith("application/json"):
        found["data"] = text
        try:
            found["json"] = json.loads(text)
        except ValueError as error:
            return _error(400, f"error parsing request body: {error}")
    else:
        encoded = base64.b64encode(request.body).decode()
        found["data"] = f"data:{kind or 'application/octet-stream'};base64,{encoded}"
    return _json(found)


def _multipart(body: bytes, kind: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    form: dict[str, list[str]] = {}
    files: dict[str, list[str]] = {}
    found = re.search(r'boundary="?([^";]+)', kind)
    if not found:
        return form, files
    for part in body.split(b"--" + found[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name:
            target = files if b"filename=" in head else form
            target.setdefault(name[1].decode("utf-8", "replace"), []).append(
                content.removesuffix(b"\r\n").decode("utf-8", "replace")
            )
    return form, files


# routes


@route(r"/")
async def _index(process: Process, request: Request, found: re.Match[str]) -> Response:
    body = "<!DOCTYPE html>\n<html>\n<head><title>go-httpbin(1): HTTP Client Testing Service</title></head>\n<body>\n" \
           "<h1>go-httpbin(1): HTTP Request &amp; Response Service</h1>\n</body>\n</html>\n"  # fmt: skip
    return Response(200, body, [("Content-Security-Policy", "default-src 'self'")], HTML)


@route(r"/get")
async def _get(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _json(_common(request))


@route(r"/post", "POST")
@route(r"/put", "PUT")
@route(r"/patch", "PATCH")
@route(r"/delete", "DELETE")
async def _post(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _with_body(request)


@route(r"/anything(/.*)?", *_METHODS)
async def _anything(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _json(_common(request)) if request.method == "HEAD" else _with_body(request)


@route(r"/headers")
async def _headers(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _json({"headers": _request_headers(request)})


@route(r"/ip")
async def _ip(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _json({"origin": client_ip(request)})


@route(r"/user-agent")
async def _agent(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _json({"user-agent": request.get("User-Agent")})


@route(r"/hostname")
async def _hostname(process: Process, request: Request, found: re.Match[str]) -> Response:
    real = process.env.get("USE_REAL_HOSTNAME", "").lower() in ("1", "true")
    return _json({"hostname": process.container.hostname if real else "go-httpbin"})


@route(r"/uuid")
async def _uuid(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _json({"uuid": str(uuid.uuid4())})


@route(r"/env")
async def _env(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _json({"env": {k: v for k, v in sorted(process.env.items()) if k.startswith("HTTPBIN_ENV_")}})


_TEAPOT = r"""
    -=[ teapot ]=-

       _...._
     .'  _ _ `.
    | ."` ^ `". _,
    \_;`"---"`|//
      |       ;/
      \_     _/
        `\"\"\"`
""".replace('\\"', '"')


@route(r"/status/([^/]*)", *_METHODS)
async def _status(process: Process, request: Request, found: re.Match[str]) -> Response:
    choices = []
    for item in unquote(found[1]).split(","):
        code, _, weight = item.partition(":")
        if not code.strip().isdigit() or not 100 <= int(code) <= 599:
            why = f'"{code}": strconv.Atoi: parsing "{code}": invalid syntax'
            if code.strip().isdigit():
                why = f"{code} not in range [100, 599]"
            return _error(400, f"invalid status code: {why}")
        try:
            choices.append((int(code), float(weight or 1)))
        except ValueError:
            return _error(400, f'invalid weight: "{weight}"')
    code_ = random.choices([c for c, _ in choices], [w for _, w in choices])[0]
    match code_:
        case 300:
            return _json({"message": "multiple choices"}, 300, [("Location", "/image/jpeg")])
        case 301 | 302 | 303 | 305 | 307 | 308:
            return Response(code_, "", [("Location", "/redirect/1")], TEXT)
        case 401:
            return Response(401, "", [("WWW-Authenticate", 'Basic realm="Fake Realm"')], TEXT)
        case 402:
            return Response(402, "Fuck you, pay me!", [("X-More-Info", "http://vimeo.com/22053820")], TEXT)
        case 406:
            return _json({"message": "Client did not request a supported media type.", "accept": [
                "image/webp", "image/svg+xml", "image/jpeg", "image/png", "image/"]}, 406)  # fmt: skip
        case 407:
            return Response(407, "", [("Proxy-Authenticate", 'Basic realm="Fake Realm"')], TEXT)
        case 418:
            return Response(418, _TEAPOT, [("X-More-Info", "http://tools.ietf.org/html/rfc2324")], TEXT, "I'm a teapot")
    return Response(code_, "", [], TEXT)


def _seconds(text: str, limit: float = MAX_DELAY) -> float | None:
    """A Go duration or plain seconds, within 0 and the limit."""
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+", text):
        value = float(text)
    elif re.fullmatch(r"(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+", text):
        units = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
        value = sum(float(n) * units[u] for n, u in re.findall(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)", text))
    else:
        return None
    return value if 0 <= value <= limit else None


@route(r"/delay/([^/]*)", *_METHODS)
async def _delay(process: Process, request: Request, found: re.Match[str]) -> Response:
    text = unquote(found[1])
    seconds = _seconds(text)
    if seconds is None:
        detail = f'invalid duration: time: invalid duration "{text}"'
        if re.match(r"\d", text):
            detail = f"invalid duration: duration {text}s longer than maximum 10s"
        return _error(400, detail)
    await asyncio.sleep(seconds)
    response = _with_body(request)
    response.headers.append(("Server-Timing", f'initial_delay;dur={seconds * 1000:.2f};desc="initial delay"'))
    return response


@route(r"/bytes/(-?\d+)")
@route(r"/stream-bytes/(-?\d+)")
async def _bytes(process: Process, request: Request, found: re.Match[str]) -> Response:
    count = int(found[1])
    if count < 0:
        return _error(400, f"invalid byte count: {count} not in range [0, {MAX_BYTES}]")
    seed = request.argument("seed")
    source = random.Random(int(seed) if seed.lstrip("-").isdigit() else None)
    return Response(200, source.randbytes(min(count, MAX_BYTES)), [], "application/octet-stream")


@route(r"/json")
async def _slideshow(process: Process, request: Request, found: re.Match[str]) -> Response:
    slides = [{"title": "Wake up to WonderWidgets!", "type": "all"},
              {"items": ["Why <em>WonderWidgets</em> are great", "Who <em>buys</em> WonderWidgets"],
               "title": "Overview", "type": "all"}]  # fmt: skip
    show = {"author": "Yours Truly", "date": "date of publication", "slides": slides, "title": "Sample Slide Show"}
    return _json({"slideshow": show})


@route(r"/xml")
async def _xml(process: Process, request: Request, found: re.Match[str]) -> Response:
    return Response(200, "<?xml version='1.0' encoding='us-ascii'?>\n<slideshow title=\"Sample Slide Show\">\n"
                    "  <slide type=\"all\"><title>Wake up to WonderWidgets!</title></slide>\n</slideshow>\n",
                    [], "application/xml")  # fmt: skip


@route(r"/html")
async def _html(process: Process, request: Request, found: re.Match[str]) -> Response:
    return Response(200, "<!DOCTYPE html>\n<html>\n  <body>\n      <h1>Herman Melville - Moby-Dick</h1>\n  </body>\n"
                    "</html>\n", [], HTML)  # fmt: skip


@route(r"/robots\.txt")
async def _robots(process: Process, request: Request, found: re.Match[str]) -> Response:
    return Response(200, "User-agent: *\nDisallow: /deny\n", [], TEXT)


@route(r"/deny")
async def _deny(process: Process, request: Request, found: re.Match[str]) -> Response:
    return Response(200, "YOU SHOULDN'T BE HERE\n", [], TEXT)


@route(r"/base64/(?:(encode|decode)/)?(.+)")
async def _base64(process: Process, request: Request, found: re.Match[str]) -> Response:
    text = unquote(found[2])
    if found[1] == "encode":
        return Response(200, base64.urlsafe_b64encode(text.encode()), [], TEXT)
    try:
        return Response(200, base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), [], TEXT)
    except ValueError:
        return _error(400, "decode failed: illegal base64 data")


@route(r"/basic-auth/([^/]+)/([^/]+)")
@route(r"/hidden-basic-auth/([^/]+)/([^/]+)")
async def _basic(process: Process, request: Request, found: re.Match[str]) -> Response:
    wanted = base64.b64encode(f"{unquote(found[1])}:{unquote(found[2])}".encode()).decode()
    given = request.get("Authorization")
    user = ""
    if given.startswith("Basic "):
        try:
            user = base64.b64decode(given[6:]).decode("utf-8", "replace").partition(":")[0]
        except ValueError:
            user = ""
    authorized = given == f"Basic {wanted}"
    body = {"authenticated": authorized, "authorized": authorized, "user": user}
    if authorized:
        return _json(body)
    if request.raw_path.startswith("/hidden"):
        return _error(404)
    return _json(body, 401, [("WWW-Authenticate", 'Basic realm="Fake Realm"')])


@route(r"/bearer")
async def _bearer(process: Process, request: Request, found: re.Match[str]) -> Response:
    words = request.get("Authorization").split()
    if len(words) != 2 or words[0] != "Bearer":
        return Response(401, "", [("WWW-Authenticate", "Bearer")])
    return _json({"authenticated": True, "token": words[1]})


def _cookies_of(request: Request) -> dict[str, str]:
    found = {}
    for item in request.get("Cookie").split(";"):
        name, equals, value = item.strip().partition("=")
        if equals:
            found[name] = value
    return found


@route(r"/cookies")
async def _cookies(process: Process, request: Request, found: re.Match[str]) -> Response:
    return _json({"cookies": _cookies_of(request)})


@route(r"/cookies/(set|delete)")
async def _cookies_change(process: Process, request: Request, found: re.Match[str]) -> Response:
    headers = [("Location", "/cookies")]
    for name, value in request.arguments():
        gone = "; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
        headers.append(("Set-Cookie", f"{name}={value}; HttpOnly" if found[1] == "set" else f"{name}={gone}"))
    return Response(302, "", headers)


@route(r"/response-headers")
async def _response_headers(process: Process, request: Request, found: re.Match[str]) -> Response:
    body = pairs(request.arguments())
    response = _json(body)
    for name, value in request.arguments():
        if name.lower() == "content-type":
            response.content_type = value
        elif re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            response.headers.append((_canonical(name), value))
    return response


@route(r"/(redirect|relative-redirect|absolute-redirect)/(\d+)")
async def _redirect(process: Process, request: Request, found: re.Match[str]) -> Response:
    left = int(found[2])
    if left < 1:
        return _error(400, f"invalid redirect count: {left} must be > 0")
    target = "/get" if left == 1 else f"/{found[1].replace('redirect', 'redirect')}/{left - 1}"
    if found[1] == "redirect" and left > 1:
        target = f"/relative-redirect/{left - 1}"
    if found[1] == "absolute-redirect" or request.argument("absolute").lower() in ("1", "true"):
        target = _url(request).partition("://")[0] + "://" + request.host + target
    return Response(302, "", [("Location", target)])


@route(r"/redirect-to", *_METHODS)
async def _redirect_to(process: Process, request: Request, found: re.Match[str]) -> Response:
    url = request.argument("url")
    status = request.argument("status_code", "302")
    if not url:
        return _error(400, "missing required query parameter: url")
    if not status.isdigit() or not 300 <= int(status) <= 399:
        return _error(400, f"invalid status_code: {status} not in range [300, 399]")
    return Response(int(status), "", [("Location", url)])


@route(r"/stream/(\d+)")
async def _stream(process: Process, request: Request, found: re.Match[str]) -> Response:
    count = min(100, int(found[1]))
    base = _common(request)
    lines = "".join(json.dumps({"id": i, **base}) + "\n" for i in range(count))
    return Response(200, lines, [], JSON)


@route(r"/drip")
async def _drip(process: Process, request: Request, found: re.Match[str]) -> Response:
    count = request.argument("numbytes", "10")
    duration, delay = _seconds(request.argument("duration", "2")), _seconds(request.argument("delay", "2"))
    code = request.argument("code", "200")
    if not count.isdigit() or duration is None or delay is None or not code.isdigit():
        return _error(400, "invalid parameters")

    async def body() -> AsyncIterator[bytes]:
        for _ in range(int(count)):
            yield b"*"
            await asyncio.sleep(duration / max(1, int(count) - 1) if int(count) > 1 else 0)

    await asyncio.sleep(delay)
    return Response(int(code), body(), [("Content-Length", count)], "application/octet-stream")


@route(r"/(gzip|deflate)")
async def _compressed(process: Process, request: Request, found: re.Match[str]) -> Response:
    kind = found[1]
    body = _common(request) | {"gzipped" if kind == "gzip" else "deflated": True}
    data = (json.dumps(body, indent=2) + "\n").encode()
    packed = gzip.compress(data, mtime=0) if kind == "gzip" else zlib.compress(data)
    return Response(200, packed, [("Content-Encoding", kind)], JSON)


@route(r"/etag/([^/]+)")
async def _etag(process: Process, request: Request, found: re.Match[str]) -> Response:
    tag = f'"{unquote(found[1])}"'
    if tag in request.get("If-None-Match") or request.get("If-None-Match") == "*":
        return Response(304, "", [("ETag", tag)])
    if request.get("If-Match") and tag not in request.get("If-Match"):
        return Response(412, "", [("ETag", tag)], TEXT)
    return _json(_common(request), 200, [("ETag", tag)])


@route(r"/cache(?:/(\d+))?")
async def _cache(process: Process, request: Request, found: re.Match[str]) -> Response:
    if found[1]:
        return _json(_common(request), 200, [("Cache-Control", f"public, max-age={found[1]}")])
    if request.get("If-Modified-Since") or request.get("If-None-Match"):
        return Response(304)
    tag = format(zlib.crc32(b"cache"), "x")
    return _json(_common(request), 200, [("Last-Modified", formatdate(usegmt=True)), ("ETag", tag)])


@route(r"/range/(\d+)")
async def _range(process: Process, request: Request, found: re.Match[str]) -> Response:
    count = min(int(found[1]), MAX_BYTES)
    data = bytes(97 + i % 26 for i in range(count))
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.get("Range"))
    head = [("ETag", f"range{count}"), ("Accept-Ranges", "bytes")]
    if not wanted or not (wanted[1] or wanted[2]):
        return Response(200, data, head, TEXT)
    start = int(wanted[1]) if wanted[1] else max(0, count - int(wanted[2]))
    end = int(wanted[2]) if wanted[1] and wanted[2] else count - 1
    if start > end or start >= count:
        return Response(416, "", [*head, ("Content-Range", f"bytes */{count}")])
    end = min(end, count - 1)
    return Response(206, data[start : end + 1], [*head, ("Content-Range", f"bytes {start}-{end}/{count}")], TEXT)


@route(r"/unstable")
async def _unstable(process: Process, request: Request, found: re.Match[str]) -> Response:
    try:
        rate = float(request.argument("failure_rate", "0.5"))
    except ValueError:
        return _error(400, "invalid failure rate")
    return Response(500 if random.random() < rate else 200, "", [], TEXT)


@route(r"/dump/request", *_METHODS)
async def _dump(process: Process, request: Request, found: re.Match[str]) -> Response:
    lines = [f"{request.method} {request.target} HTTP/{request.version}", f"Host: {request.host}"]
    lines += [f"{_canonical(k)}: {v}" for k, v in request.headers if k.lower() != "host"]
    return Response(200, "\r\n".join([*lines, "", ""]).encode() + request.body, [], TEXT)


@route(r"/encoding/utf8")
async def _utf8(process: Process, request: Request, found: re.Match[str]) -> Response:
    return Response(200, "<h1>Unicode Demo</h1>\n<pre>∮ E⋅da = Q,  n → ∞, ∑ f(i) = ∏ g(i)</pre>\n", [], HTML)


@route(r"/links/(\d+)(?:/(\d+))?")
async def _links(process: Process, request: Request, found: re.Match[str]) -> Response:
    count, at = min(256, int(found[1])), int(found[2] or 0)
    links = " ".join(str(i) if i == at else f'<a href="/links/{count}/{i}">{i}</a>' for i in range(count))
    return Response(200, f"<html><head><title>Links</title></head><body>{links}</body></html>", [], HTML)


@route(r"/sse")
async def _sse(process: Process, request: Request, found: re.Match[str]) -> Response:
    count = request.argument("count", "10")
    total = int(count) if count.isdigit() else 10

    async def body() -> AsyncIterator[bytes]:
        for number in range(min(total, 100)):
            yield f'event: ping\ndata: {{"id":{number},"timestamp":{int(time.time() * 1000)}}}\n\n'.encode()
            await asyncio.sleep(0.5)

    return Response(200, body(), [("Cache-Control", "no-store")], "text/event-stream; charset=utf-8")


@route(r"/forms/post")
async def _form(process: Process, request: Request, found: re.Match[str]) -> Response:
    return Response(200, '<!DOCTYPE html>\n<html>\n<body>\n<form method="post" action="/post">\n'
                    '<p><label>Customer name: <input name="custname"></label></p>\n</form>\n</body>\n</html>\n',
                    [], HTML)  # fmt: skip


# the original


async def answer_python(process: Process, request: Request) -> Response:
    """httpbin 0.9 answers single values where go-httpbin answers lists."""
    response = await answer(process, request)
    if response.content_type != JSON or not isinstance(response.body, str):
        return response
    data = json.loads(response.body)
    for key in ("args", "headers", "form", "files"):
        if isinstance(data.get(key), dict):
            data[key] = {k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in data[key].items()}
    if request.raw_path in ("/get",):
        data.pop("method", None)
    response.body = json.dumps(data, indent=2, sort_keys=True) + "\n"
    response.content_type = "application/json"
    return response
