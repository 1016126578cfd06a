"""Istio's Bookinfo: productpage calls details and reviews, reviews v2 and v3 call ratings; headers travel along.

Source: github.com/istio/istio, samples/bookinfo/src.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from labrunner.sandbox.workload.http.fetch import FetchFault, fetch
from labrunner.sandbox.workload.http.server import Request, Response, serve
from labrunner.sandbox.workload.machine.process import Process, Program

PORT = 9080
JSON = "application/json"
_PROPAGATED = (
    "x-request-id", "x-ot-span-context", "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority",
    "traceparent", "tracestate", "x-cloud-trace-context", "grpc-trace-bin", "x-b3-traceid", "x-b3-spanid",
    "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "sw8", "end-user", "user-agent", "cookie", "authorization",
    "jwt",
)  # fmt: skip
_FAULT = {"error": "Sorry, product reviews are currently unavailable for this book."}


def of(name: str) -> Program | None:
    """The server of an image `examples-bookinfo-<name>`."""
    service, _, version = name.partition("-")
    handlers = {"productpage": productpage, "details": details, "reviews": reviews, "ratings": ratings}
    handler = handlers.get(service)
    if handler is None:
        return None

    async def main(process: Process) -> int:
        process.env["BOOKINFO_VERSION"] = version
        await process.line(_start_line(service))
        return await serve(process, [PORT], handler, access_log=_logs.get(service), server_name=_SERVERS[service])

    return main


_SERVERS = {"productpage": "gunicorn", "details": "WEBrick/1.9.1 (Ruby/3.3.5/2024-09-03)", "reviews": "", "ratings": ""}


def _start_line(service: str) -> str:
    now = datetime.now(UTC)
    return {
        "productpage": f"[{now.strftime('%Y-%m-%d %H:%M:%S')} +0000] [1] [INFO] Listening at: http://[::]:9080 (1)",
        "details": f"[{now.strftime('%Y-%m-%d %H:%M:%S')}] INFO  WEBrick::HTTPServer#start: pid=1 port=9080",
        "reviews": "[AUDIT   ] CWWKF0011I: The defaultServer server is ready to run a smarter planet.",
        "ratings": "Server listening on: http://0.0.0.0:9080",
    }[service]


async def _gunicorn_log(process: Process, request: Request, response: Response, seconds: float) -> None:
    stamp = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    await process.error(f'{request.peer_ip} - - [{stamp}] "{request.method} {request.target} HTTP/{request.version}" '
                        f'{response.status} {len(response.data())} "-" "{request.get("User-Agent", "-")}"\n'
    )  # fmt: skip


async def _webrick_log(process: Process, request: Request, response: Response, seconds: float) -> None:
    stamp = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S UTC")
    await process.error(f'{request.peer_ip} - - [{stamp}] "{request.method} {request.target} HTTP/{request.version}" '
                        f"{response.status} {len(response.data())}\n- -> {request.target}\n")  # fmt: skip


async def _ratings_log(process: Process, request: Request, response: Response, seconds: float) -> None:
    await process.line(f"{request.method} {request.target}")


_logs = {"productpage": _gunicorn_log, "details": _webrick_log, "ratings": _ratings_log}


def _version(process: Process) -> str:
    return process.env.get("BOOKINFO_VERSION", "v1")


def _domain(process: Process) -> str:
    suffix = process.env.get("SERVICES_DOMAIN", "")
    return f".{suffix}" if suffix else ""


def _base(process: Process, service: str) -> str:
    """The URL of another service; its host and port may be set in the environment, as Istio's samples do."""
    host = process.env.get(f"{service.upper()}_HOSTNAME") or service + _domain(process)
    return f"http://{host}:{process.env.get(f'{service.upper()}_SERVICE_PORT', str(PORT))}"


def forwarded(request: Request) -> list[tuple[str, str]]:
    """The headers that each service passes on."""
    return [(k, v) for k, v in request.headers if k.lower() in _PROPAGATED]


def _user(request: Request) -> str:
    """Who is logged in, by productpage's own session cookie."""
    found = re.search(r"(?:^|;\s*)session=([^;]+)", request.get("Cookie"))
    if not found:
        return ""
    import base64

    try:
        return str(json.loads(base64.urlsafe_b64decode(found[1] + "==")).get("user", ""))
    except ValueError:
        return ""


async def _get(process: Process, request: Request, url: str, seconds: float) -> tuple[int, Any]:
    """(status, JSON) of another service; 500 and an error when it cannot be had."""
    headers = forwarded(request)
    user = _user(request)
    if user and not any(k.lower() == "end-user" for k, _ in headers):
        headers.append(("end-user", user))
    try:
        answer = await fetch(process, url, "GET", headers, seconds=seconds)
    except (FetchFault, OSError, TimeoutError):
        return 500, None
    try:
        return answer.status, json.loads(answer.body) if answer.status == 200 else None
    except ValueError:
        return 500, None


async def details(process: Process, request: Request) -> Response:
    if request.path == "/health":
        return Response(200, json.dumps({"status": "Details is healthy"}), [], JSON)
    found = re.fullmatch(r"/details/?(.*)", request.path)
    if not found:
        return Response(404, "Not Found", [], "text/html; charset=ISO-8859-1")
    if not found[1].isdigit():
        return Response(400, json.dumps({"error": "please provide numeric product id"}), [], JSON)
    book = {"id": int(found[1]), "author": "William Shakespeare", "year": 1595, "type": "paperback", "pages": 200,
            "publisher": "PublisherA", "language": "English", "ISBN-10": "1234567890",
            "ISBN-13": "123-1234567890"}  # fmt: skip
    return Response(200, json.dumps(book, separators=(",", ":")), [], JSON)


async def ratings(process: Process, request: Request) -> Response:
    version = _version(process)
    if request.path == "/health":
        healthy = "unhealthy" not in version
        return Response(
            200 if healthy else 500,
            json.dumps({"status": "Ratings is healthy" if healthy else "Ratings is not healthy"}),
            [],
            JSON,
        )
    found = re.fullmatch(r"/ratings/(.*)", request.path)
    if not found:
        return Response(404, "", [], "")
    if not found[1].isdigit():
        return Response(400, json.dumps({"error": "please provide numeric product ID"}), [], JSON)
    if "unavailable" in version or ("faulty" in version and int(request.started * 10) % 2):
        return Response(503, json.dumps({"error": "Service unavailable"}), [], JSON)
    if "delayed" in version:
        import asyncio

        await asyncio.sleep(7)
    body = {"id": int(found[1]), "ratings": {"Reviewer1": 5, "Reviewer2": 4}}
    return Response(200, json.dumps(body, separators=(",", ":")), [], JSON)


async def reviews(process: Process, request: Request) -> Response:
    version = _version(process)
    if request.path == "/health":
        return Response(200, json.dumps({"status": "Reviews is healthy"}), [], JSON)
    found = re.fullmatch(r"/reviews/(\d+)", request.path)
    if not found:
        return Response(404, "", [], "")
    texts = (
        "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!",
        "Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare.",
    )
    stars: dict[str, int] | None = None
    failed = False
    if version in ("v2", "v3"):
        host = process.env.get("RATINGS_HOSTNAME") or f"ratings{_domain(process)}"
        url = f"http://{host}:{process.env.get('RATINGS_SERVICE_PORT', str(PORT))}/ratings/{found[1]}"
        status, answer = await _get(process, request, url, 10.0 if version == "v2" else 2.5)
        failed = status != 200 or not isinstance(answer, dict)
        stars = (answer or {}).get("ratings") if not failed else None
    entries = []
    for number, text in enumerate(texts, 1):
        entry: dict[str, Any] = {"reviewer": f"Reviewer{number}", "text": text}
        if version in ("v2", "v3"):
            color = "black" if version == "v2" else "red"
            if failed or stars is None:
                entry["rating"] = {"error": "Ratings service is currently unavailable"}
            else:
                entry["rating"] = {"stars": stars.get(f"Reviewer{number}", -1), "color": color}
        entries.append(entry)
    pod = process.container.hostname
    body = {"id": found[1], "podname": pod, "clustername": "null", "reviews": entries}
    return Response(200, json.dumps(body, separators=(", ", ": ")), [("X-Powered-By", "Servlet/4.0"),
                                                                     ("Content-Language", "en-US")], JSON)  # fmt: skip


async def productpage(process: Process, request: Request) -> Response:
    path = request.path
    domain = _domain(process)
    product = {
        "id": 0,
        "title": "The Comedy of Errors",
        "descriptionHtml": '<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia Summary</a>: The '
        "Comedy of Errors is one of <b>William Shakespeare's</b> early plays. It is his "
        "shortest and one of his most farcical comedies, with a major part of the humour coming "
        "from slapstick and mistaken identity, in addition to puns and word play.",
    }
    details_url = f"{_base(process, 'details')}/details/0"
    reviews_url = f"{_base(process, 'reviews')}/reviews/0"
    if path == "/health":
        return Response(200, "Product page is healthy", [], "text/html; charset=utf-8")
    if path == "/api/v1/products":
        return Response(200, json.dumps([product]), [], JSON)
    if found := re.fullmatch(r"/api/v1/products/(\d+)(/reviews|/ratings)?", path):
        if not found[2]:
            status, body = await _get(process, request, details_url, 3.0)
            return Response(200 if status == 200 else 500, json.dumps(body or {"error": "Sorry, product details are "
                "currently "
                            "unavailable for this book."}), [], JSON)  # fmt: skip
        if found[2] == "/ratings":
            url = f"http://{process.env.get('RATINGS_HOSTNAME') or 'ratings' + domain}:9080/ratings/{found[1]}"
            status, body = await _get(process, request, url, 3.0)
            return Response(200 if status == 200 else 500, json.dumps(body or {"error": "Sorry, product ratings are "
                "currently "
                            "unavailable for this book."}), [], JSON)  # fmt: skip
        status, body = await _reviews(process, request, reviews_url)
        return Response(200 if status == 200 else 500, json.dumps(body or _FAULT), [], JSON)
    if path == "/login" and request.method == "POST":
        import base64
        from urllib.parse import parse_qs

        user = parse_qs(request.body.decode("utf-8", "replace")).get("username", [""])[0]
        cookie = base64.urlsafe_b64encode(json.dumps({"user": user}).encode()).decode().rstrip("=")
        target = request.get("Referer") or "/productpage"
        return Response(
            302,
            "",
            [("Location", target), ("Set-Cookie", f"session={cookie}; HttpOnly; Path=/")],
            "text/html; charset=utf-8",
        )
    if path == "/logout":
        return Response(302, "", [("Location", request.get("Referer") or "/productpage"),
                                  ("Set-Cookie", "session=; Max-Age=0; Path=/")])  # fmt: skip
    if path == "/":
        return Response(200, _page("<h3>Hello! This is a simple bookstore application consisting of three services "
                                   "as shown below</h3>"
                        "<p>name http://details:9080, endpoint details, children http://reviews:9080, "
                        "http://ratings:9080</p>"
                        '<p><a href="/productpage">Normal user</a></p>'), [], "text/html; charset=utf-8")  # fmt: skip
    if path != "/productpage":
        return Response(404, "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not "
                             "Found</h1>\n<p>The requested URL was "
                        "not found on the server. If you entered the URL manually please check your spelling and "
                        "try again.</p>\n",
                        [], "text/html; charset=utf-8")  # fmt: skip
    status, about = await _get(process, request, details_url, 3.0)
    reviews_status, opinions = await _reviews(process, request, reviews_url)
    return Response(
        200,
        _productpage(product, status, about, reviews_status, opinions, _user(request)),
        [],
        "text/html; charset=utf-8",
    )


async def _reviews(process: Process, request: Request, url: str) -> tuple[int, Any]:
    """Tried twice, three seconds each: Bookinfo's own famous bug."""
    for _ in range(2):
        status, body = await _get(process, request, url, 3.0)
        if status == 200:
            return status, body
    return status, None


def _page(body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html>\n  <head>\n    <title>Simple Bookstore App</title>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1.0">\n  </head>\n  <body>\n    '
        f"{body}\n  </body>\n</html>\n"
    )


def _productpage(
    product: dict[str, Any], status: int, about: Any, reviews_status: int, opinions: Any, user: str
) -> str:
    who = f'<p>{user} (<a href="logout">sign out</a>)</p>' if user else '<a href="#" class="btn">Sign in</a>'
    parts = [
        f"<nav>BookInfo Sample {who}</nav>",
        f"<h3>{product['title']}</h3>",
        f"<p>Summary: {product['descriptionHtml']}</p>",
    ]
    if status == 200 and isinstance(about, dict):
        rows = "".join(f"<dt>{key}:</dt><dd>{about.get(field)}</dd>" for key, field in (
            ("Type", "type"), ("Pages", "pages"), ("Publisher", "publisher"), ("Language", "language"), ("ISBN-10",
                                                                                                         "ISBN-10"),
            ("ISBN-13", "ISBN-13")))  # fmt: skip
        parts.append(f"<h4>Book Details</h4>\n<dl>{rows}</dl>")
    else:
        parts.append(
            "<h4>Error fetching product details!</h4>\n<p>Sorry, product details are currently unavailable for this "
            "book.</p>"
        )
    if reviews_status == 200 and isinstance(opinions, dict):
        parts.append("<h4>Book Reviews</h4>")
        for review in opinions.get("reviews", ()):
            rating = review.get("rating")
            stars = ""
            if isinstance(rating, dict):
                if "error" in rating:
                    stars = f"<p><i>{rating['error']}</i></p>"
                else:
                    count = int(rating.get("stars", 0))
                    full = '<span class="glyphicon glyphicon-star"></span>' * count
                    empty = '<span class="glyphicon glyphicon-star-empty"></span>' * (5 - count)
                    stars = f'<font color="{rating.get("color")}">\n{full}\n{empty}\n</font>'
            parts.append(
                f"<blockquote>\n<p>{review.get('text')}</p>\n<small>{review.get('reviewer')}</small>\n{stars}\n</blockquote>"
            )
        parts.append(f"<dl>\n<dt>Reviews served by:</dt>\n<u>{opinions.get('podname')}</u>\n</dl>")
    else:
        parts.append(f"<h4>Error fetching product reviews!</h4>\n<p>{_FAULT['error']}</p>")
    return _page("\n    ".join(parts))
