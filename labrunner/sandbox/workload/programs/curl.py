"""`curl`: the command line. What it does is in `labrunner.sandbox.workload.http.transfer`."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from urllib.parse import quote

from labrunner.sandbox.workload.http.connections import Pool
from labrunner.sandbox.workload.http.globbing import GlobFault, expand
from labrunner.sandbox.workload.http.job import Job, Result, Settings
from labrunner.sandbox.workload.http.transfer import perform
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.options import OptionFault, Options, parse
from labrunner.sandbox.workload.programs.table import program

VERSION = "8.10.1"
_FLAGS = {
    "s": "silent", "S": "show-error", "v": "verbose", "i": "include", "I": "head", "f": "fail", "k": "insecure",
    "L": "location", "O": "remote-name", "G": "get", "g": "globoff", "Z": "parallel", "N": "no-buffer",
    "#": "progress-bar",
    "4": "ipv4", "6": "ipv6", "0": "http1.0", "j": "junk-session-cookies", "J": "remote-header-name", "q": "disable",
    "n": "netrc", "a": "append", "R": "remote-time", "V": "version", "h": "help", "M": "manual", "l": "list-only",
    "B": "use-ascii", "p": "proxytunnel",
}  # fmt: skip
_VALUES = {
    "X": "request", "H": "header", "d": "data", "o": "output", "w": "write-out", "m": "max-time", "u": "user",
    "A": "user-agent", "e": "referer", "b": "cookie", "c": "cookie-jar", "F": "form", "T": "upload-file", "x": "proxy",
    "E": "cert", "r": "range", "D": "dump-header", "K": "config", "C": "continue-at", "y": "speed-time",
    "Y": "speed-limit",
    "z": "time-cond", "t": "telnet-option", "P": "ftp-port", "Q": "quote", "U": "proxy-user",
}  # fmt: skip
_LONG_FLAGS = [
    "fail-with-body",
    "parallel-immediate",
    "path-as-is",
    "http1.1",
    "http2",
    "http2-prior-knowledge",
    "http3",
    "tlsv1",
    "tlsv1.0",
    "tlsv1.1",
    "tlsv1.2",
    "tlsv1.3",
    "compressed",
    "raw",
    "no-keepalive",
    "tcp-nodelay",
    "no-progress-meter",
    "remove-on-error",
    "retry-all-errors",
    "retry-connrefused",
    "post301",
    "post302",
    "post303",
    "location-trusted",
    "no-alpn",
    "no-sessionid",
    "tcp-fastopen",
    "styled-output",
    "no-styled-output",
    "trace-time",
    "next",
    "basic",
    "digest",
    "anyauth",
    "ntlm",
    "negotiate",
    "create-dirs",
    "xattr",
    "ssl-no-revoke",
    "proxy-insecure",
    "disallow-username-in-url",
    "suppress-connect-headers",
    "haproxy-protocol",
    "keepalive",
    "fail-early",
    "no-clobber",
    "globon",
    "ca-native",
    "ssl",
    "ssl-reqd",
    "tr-encoding",
    "http0.9",
    "skip-existing",
]
_LONG_VALUES = [
    "data-raw",
    "data-binary",
    "data-ascii",
    "data-urlencode",
    "json",
    "connect-timeout",
    "cacert",
    "capath",
    "key",
    "resolve",
    "connect-to",
    "retry",
    "retry-delay",
    "retry-max-time",
    "parallel-max",
    "noproxy",
    "max-redirs",
    "interface",
    "limit-rate",
    "url",
    "pass",
    "cert-type",
    "key-type",
    "ciphers",
    "tls-max",
    "proto",
    "proto-default",
    "proto-redir",
    "oauth2-bearer",
    "form-string",
    "unix-socket",
    "abstract-unix-socket",
    "dns-servers",
    "local-port",
    "keepalive-time",
    "max-filesize",
    "stderr",
    "trace",
    "trace-ascii",
    "pinnedpubkey",
    "crlfile",
    "tls13-ciphers",
    "curves",
    "dns-interface",
    "happy-eyeballs-timeout-ms",
    "expect100-timeout",
    "aws-sigv4",
    "variable",
    "rate",
    "url-query",
    "output-dir",
    "proxy-header",
    "socks5",
    "socks5-hostname",
    "socks4",
    "haproxy-clientip",
    "proxy-cacert",
    "alt-svc",
    "hsts",
    "etag-save",
    "etag-compare",
    "doh-url",
    "dns-ipv4-addr",
    "request-target",
]


def _tables() -> tuple[str, dict[str, str]]:
    short = "".join(_FLAGS) + "".join(f"{letter}:" for letter in _VALUES)
    long = {name: letter for letter, name in _FLAGS.items()}
    long |= {name: f"{letter}=" for letter, name in _VALUES.items()}
    long |= {name: name for name in _LONG_FLAGS}
    long |= {name: f"{name}=" for name in _LONG_VALUES}
    long |= {f"no-{name}": f"no-{name}" for name in ("silent", "location", "verbose", "include", "insecure", "buffer")}
    return short, long


_SHORT, _LONG = _tables()
MESSAGES: Mapping[int, str] = {
    1: 'Protocol "{0}" not supported', 3: "URL using bad/illegal format or missing URL",
    6: "Could not resolve host: {0}",
}  # fmt: skip
"""By exit code; `labrunner.sandbox.workload.http.transfer` words those that happen on the way."""


@program("curl")
async def curl(process: Process) -> int:
    """The exit code of the last transfer that failed, as curl's."""
    words = _config_first(process, process.argv[1:])
    groups: list[list[str]] = [[]]
    for word in words:
        if word in ("--next", "-:"):
            groups.append([])
        else:
            groups[-1].append(word)
    status = 0
    pool = Pool(process)
    try:
        for group in groups:
            status = await _group(process, group, pool) or status
    finally:
        pool.close()
    return status


def _config_first(process: Process, words: list[str]) -> list[str]:
    home = process.env.get("HOME", "/")
    if words[:1] in (["-q"], ["--disable"]):
        return words
    try:
        text = process.read_file(f"{home.rstrip('/')}/.curlrc").decode("utf-8", "replace")
    except OSError:
        return words
    return [*config_words(text), *words]


def config_words(text: str) -> list[str]:
    """Options of a configuration file."""
    found: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, value = re.sub(r"\s*[=:]\s*|\s+", " ", line, count=1).partition(" ")
        name = name if name.startswith("-") else f"--{name}"
        value = value.strip()
        if len(value) > 1 and value[0] == '"' and value[-1] == '"':
            value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\").replace("\\n", "\n")
        found.append(name)
        if value:
            found.append(value)
    return found


async def _group(process: Process, words: list[str], pool: Pool) -> int:
    try:
        options = parse(words, _SHORT, _LONG)
    except OptionFault as error:
        name = error.option if error.long else f"-{error.option}"
        what = "requires parameter" if error.missing else "is unknown"
        await process.error(
            f"curl: option {name}: {what}\ncurl: try 'curl --help' or 'curl --manual' for more information\n"
        )
        return 2
    for path in options.values("K"):
        try:
            text = (await process.stdin.readall() if path == "-" else process.read_file(path)).decode(
                "utf-8", "replace"
            )
            options = parse([*words, *config_words(text)], _SHORT, _LONG)
        except OSError:
            await process.error(f"curl: cannot read config from '{path}'\n")
            return 26
        except OptionFault:
            return 2
    if options.flag("V"):
        await process.write(
            f"curl {VERSION} (x86_64-pc-linux-musl) libcurl/{VERSION} OpenSSL/3.3.2 zlib/1.3.1 brotli/1.1.0 "
            f"c-ares/1.33.1\n"
            "Release-Date: 2024-09-18\nProtocols: file http https\nFeatures: alt-svc AsynchDNS HSTS HTTPS-proxy IPv6 "
            "Largefile libz SSL TLS-SRP UnixSockets\n"
        )
        return 0
    if options.flag("h"):
        await process.write("Usage: curl [options...] <url>\n -d, --data <data>           HTTP POST data\n"
                            " -f, --fail                  Fail fast with no output on HTTP errors\n"
                            " -o, --output <file>         Write to file instead of stdout\n"
                            " -s, --silent                Silent mode\n -u, --user <user:password>  Server user and "
                            "password\n"
                            " -v, --verbose               Make the operation more talkative\n")  # fmt: skip
        return 0
    given = [*options.values("url"), *options.rest]
    if not given:
        await process.error("curl: (2) no URL specified\n" if len(words) == 0 or True else "")
        await process.error("curl: try 'curl --help' or 'curl --manual' for more information\n")
        return 2
    try:
        settings = await settings_of(process, options)
    except CurlFault as error:
        await process.error(f"curl: {error.text}\n" if error.bare else f"curl: ({error.status}) {error.text}\n")
        return error.status
    try:
        jobs = _jobs(options, given)
    except GlobFault as error:
        await process.error(f"curl: (3) {error}\n")
        return 3
    if options.flag("Z"):
        return await _parallel(process, settings, jobs, options)
    status = 0
    for job in jobs:
        result = await perform(process, settings, job, pool)
        status = result.status or status
        if status and options.flag("fail-early"):
            break
    return status


class CurlFault(Exception):
    """Wrong options; `bare`: said without the number."""

    def __init__(self, status: int, text: str, *, bare: bool = False) -> None:
        super().__init__(text)
        self.status, self.text, self.bare = status, text, bare


def _jobs(options: Options, given: list[str]) -> list[Job]:
    """A transfer per URL, with its output as the order of options says. Raises GlobFault."""
    outputs: list[tuple[str, str]] = [(name, value) for name, value in options.given if name in ("o", "O")]
    jobs: list[Job] = []
    for index, text in enumerate(given):
        target = ""
        remote = False
        if index < len(outputs):
            name, value = outputs[index]
            target, remote = (value, False) if name == "o" else ("", True)
        urls = [(text, [])] if options.flag("g") else expand(text)
        for url, parts in urls:
            jobs.append(Job(url, _named(target, parts), remote, index=len(jobs)))
    for job in jobs:
        job.of = len(jobs)
    return jobs


def _named(target: str, parts: list[str]) -> str:
    """An output's name with `#1` and so on replaced by what the URL's globs stand for."""
    return re.sub(r"#(\d)", lambda m: parts[int(m[1]) - 1] if 0 < int(m[1]) <= len(parts) else m[0], target)


async def _parallel(process: Process, settings: Settings, jobs: list[Job], options: Options) -> int:
    limit = options.value("parallel-max", "50")
    gate = asyncio.Semaphore(max(1, min(300, int(limit) if limit.isdigit() else 50)))
    settings.parallel = True

    async def one(job: Job) -> Result:
        async with gate:
            pool = Pool(process)
            try:
                return await perform(process, settings, job, pool)
            finally:
                pool.close()

    results = await asyncio.gather(*(one(job) for job in jobs))
    return next((result.status for result in results if result.status), 0)


async def settings_of(process: Process, options: Options) -> Settings:
    """What the options ask of every transfer. Raises CurlFault."""
    found = Settings()
    found.silent = options.last(("s", "no-silent")) == "s"
    found.show_error = options.flag("S")
    found.verbose = options.last(("v", "no-verbose")) == "v"
    found.include, found.head = options.flag("i"), options.flag("I")
    found.fail, found.fail_with_body = options.flag("f"), options.flag("fail-with-body")
    found.insecure = options.last(("k", "no-insecure")) == "k"
    found.location = options.flag("L", "location-trusted")
    found.trust_location = options.flag("location-trusted")
    found.path_as_is = options.flag("path-as-is")
    found.compressed = options.flag("compressed")
    found.http10 = options.last(("0", "http1.1", "http2", "http2-prior-knowledge")) == "0"
    found.ipv6_only = options.last(("4", "6")) == "6"
    found.keep_alive = not options.flag("no-keepalive")
    found.method = options.value("X")
    found.max_time = _seconds(options, "m")
    found.connect_timeout = _seconds(options, "connect-timeout")
    found.write_out = await _text(process, options.value("w"))
    found.dump_header = options.value("D")
    found.max_redirects = int(options.value("max-redirs", "50") or 50) if options.value(
        "max-redirs", "50").lstrip("-").isdigit() else 50  # fmt: skip
    found.retry = int(options.value("retry", "0")) if options.value("retry", "0").isdigit() else 0
    found.retry_delay = _seconds(options, "retry-delay")
    found.retry_max_time = _seconds(options, "retry-max-time")
    found.retry_refused = options.flag("retry-connrefused", "retry-all-errors")
    found.retry_all = options.flag("retry-all-errors")
    found.cacert, found.cert, found.key = options.value("cacert"), options.value("E"), options.value("key")
    found.no_progress = options.flag("no-progress-meter")
    found.tls_min = next((v for v in ("tlsv1.3", "tlsv1.2") if options.flag(v)), "")
    found.tls_max = options.value("tls-max")
    found.range = options.value("r")
    found.cookie_jar = options.value("c")
    found.create_dirs = options.flag("create-dirs")
    found.output_dir = options.value("output-dir")
    found.request_target = options.value("request-target")
    found.max_size = int(options.value("max-filesize", "0")) if options.value("max-filesize", "0").isdigit() else 0
    for text in options.values("resolve"):
        parts = text.lstrip("+").split(":", 2)
        if len(parts) < 3 and not text.startswith("-"):
            raise CurlFault(49, f"Couldn't parse CURLOPT_RESOLVE entry '{text}'")
        if len(parts) == 3:
            found.resolve[parts[0].lower(), parts[1]] = [a.strip("[]") for a in parts[2].split(",")]
    for text in options.values("connect-to"):
        pieces = re.findall(r"(\[[^]]*\]|[^:]*)(?::|$)", text)
        pieces = [*pieces, "", "", "", ""][:4]
        found.connect_to.append((pieces[0], pieces[1], pieces[2], pieces[3]))
    await _headers(process, options, found)
    await _body(process, options, found)
    return found


def _seconds(options: Options, name: str) -> float:
    text = options.value(name)
    if not text:
        return 0.0
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", text):
        long = {"m": "-m"}.get(name, f"--{name}")
        raise CurlFault(2, f"option {long}: expected a proper numerical parameter\ncurl: try 'curl --help' or "
                        "'curl --manual' for more information", bare=True)  # fmt: skip
    return float(text)


async def _text(process: Process, text: str) -> str:
    """`@file` stands for the file's content."""
    if not text.startswith("@"):
        return text
    try:
        data = await process.stdin.readall() if text == "@-" else process.read_file(text[1:])
    except OSError:
        raise CurlFault(26, f"Failed to open {text[1:]}") from None
    return data.decode("utf-8", "surrogateescape")


async def _headers(process: Process, options: Options, found: Settings) -> None:
    for text in options.values("H"):
        lines = (await _text(process, text)).splitlines() if text.startswith("@") else [text]
        found.headers.extend(line for line in lines if line)
    found.user = options.value("u")
    found.user_agent = options.value("A", f"curl/{VERSION}") if options.flag("A") else f"curl/{VERSION}"
    found.referer = options.value("e")
    if token := options.value("oauth2-bearer"):
        found.bearer = token
    cookies = []
    for text in options.values("b"):
        if "=" in text:
            cookies.append(text)
            continue
        try:
            data = process.read_file(text).decode("utf-8", "replace")
        except OSError:
            continue
        for line in data.splitlines():
            cells = line.removeprefix("#HttpOnly_").split("\t")
            if len(cells) == 7:
                found.jar[cells[5]] = cells[6]
    found.cookies = "; ".join(cookies)
    found.keeps_cookies = bool(options.values("b") or found.cookie_jar)


async def _body(process: Process, options: Options, found: Settings) -> None:
    pieces: list[bytes] = []
    kinds = [name for name, _ in options.given if name in ("d", "data-raw", "data-binary", "data-ascii",
                                                           "data-urlencode",
                                                           "json", "F", "form-string")]  # fmt: skip
    for name, value in options.given:
        if name in ("d", "data-ascii", "data-binary", "json"):
            data = await _data(process, value)
            if name in ("d", "data-ascii") and value.startswith("@"):
                data = data.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
            if pieces and name != "json":
                pieces.append(b"&")
            pieces.append(data)
        elif name == "data-raw":
            if pieces:
                pieces.append(b"&")
            pieces.append(value.encode("utf-8", "surrogateescape"))
        elif name == "data-urlencode":
            if pieces:
                pieces.append(b"&")
            pieces.append((await _urlencoded(process, value)).encode())
    found.url_query = [
        await _urlencoded(process, v) if not v.startswith("+") else v[1:] for v in options.values("url-query")
    ]
    if any(kind in ("F", "form-string") for kind in kinds):
        found.body, found.content_type = await _multipart(process, options)
        return
    if path := options.value("T"):
        found.upload = path
        found.body = await process.stdin.readall() if path in ("-", ".") else await _data(process, f"@{path}")
        return
    if not kinds:
        return
    body = b"".join(pieces)
    if options.flag("G"):
        found.get_data = body.decode("utf-8", "surrogateescape")
        return
    found.body = body
    if "json" in kinds:
        found.content_type = "application/json"
        found.json = True
    else:
        found.content_type = "application/x-www-form-urlencoded"


async def _data(process: Process, value: str) -> bytes:
    if not value.startswith("@"):
        return value.encode("utf-8", "surrogateescape")
    try:
        return await process.stdin.readall() if value == "@-" else process.read_file(value[1:])
    except OSError:
        raise CurlFault(26, f"Failed to open {value[1:]}") from None


async def _urlencoded(process: Process, value: str) -> str:
    name, equals, content = value.partition("=")
    if equals:
        return (f"{name}=" if name else "") + quote(content, safe="")
    name, at, path = value.partition("@")
    if at:
        text = (await _data(process, f"@{path}")).decode("utf-8", "surrogateescape")
        return (f"{name}=" if name else "") + quote(text, safe="")
    return quote(value, safe="")


async def _multipart(process: Process, options: Options) -> tuple[bytes, str]:
    boundary = "------------------------d74496d66958873e"
    out = b""
    for name, value in options.given:
        if name not in ("F", "form-string"):
            continue
        key, _, content = value.partition("=")
        extra, kind = "", ""
        data = content.encode("utf-8", "surrogateescape")
        if name == "F" and content[:1] in ("@", "<"):
            path, *more = content[1:].split(";")
            given = dict(item.strip().partition("=")[::2] for item in more)
            data = await _data(process, f"@{path}")
            if content[0] == "@":
                extra = f'; filename="{given.get("filename", path.rpartition("/")[2])}"'
                kind = given.get(
                    "type", "text/plain" if path.endswith((".txt", ".yaml")) else "application/octet-stream"
                )
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"{extra}\r\n'.encode()
        out += (f"Content-Type: {kind}\r\n" if kind else "").encode() + b"\r\n" + data + b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode("utf-8", "surrogateescape")).decode()


def as_json(values: Mapping[str, object]) -> str:
    """`%{json}`"""
    return json.dumps(values)
