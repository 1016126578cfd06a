"""`wget`, as busybox and as GNU have it."""

from __future__ import annotations

import asyncio
import posixpath
import re
from urllib.parse import urljoin, urlsplit

from labrunner.sandbox.workload.http.client import Answer, HttpFault, exchange
from labrunner.sandbox.workload.http.server import phrase
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.programs.network import network_of
from labrunner.sandbox.workload.programs.options import OptionFault, Options, parse, wrong
from labrunner.sandbox.workload.programs.table import program

_LONG = {"output-document": "O=", "quiet": "q", "timeout": "T=", "spider": "spider", "header": "header=", "tries": "t=",
         "post-data": "post=", "post-file": "postfile=", "no-check-certificate": "insecure", "server-response": "S",
         "user-agent": "U=", "directory-prefix": "P=", "continue": "c", "no-verbose": "nv", "max-redirect": "maxr=",
         "ca-certificate": "ca=", "method": "method=", "body-data": "post=", "connect-timeout": "T=",
         "read-timeout": "T=",
         "output-file": "o=", "retry-connrefused": "retry", "waitretry": "wait=", "no-cache": "nocache",
         "show-progress": "progress", "progress": "bar=", "verbose": "v", "version": "V",
         "content-on-error": "coe"}  # fmt: skip


@program("wget")
async def wget(process: Process) -> int:
    gnu = process.container.family == "debian"
    try:
        options = parse([w if w != "-nv" else "--no-verbose" for w in process.argv[1:]], "O:qT:t:SU:P:co:Y:Vvn:", _LONG)
    except OptionFault as error:
        return await wrong(process, error, 2 if gnu else 1)
    if not options.rest:
        if gnu:
            return await process.fail("missing URL\nUsage: wget [OPTION]... [URL]...", 1)
        return await wrong(process, OptionFault("", missing=True))
    status = 0
    for url in options.rest:
        status = await (_Gnu if gnu else _Busybox)(process, options).get(url) or status
    return status


class _Fault(Exception):
    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.text, self.status = text, status


class _Wget:
    def __init__(self, process: Process, options: Options) -> None:
        self.process, self.options = process, options
        self.quiet = options.flag("q")
        text = options.value("T", "900")
        self.seconds = float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 900.0

    async def note(self, text: str) -> None:
        if not self.quiet:
            await self.process.error(text)

    async def _exchange(self, url: str) -> tuple[Answer, str]:
        """(answer, address). Raises _Fault."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise _Fault(f"not an http or ftp url: {url}")
        host, machine = parts.hostname or "", self.process.container.pod
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = network_of(self.process).resolve(machine, host)
        if not found:
            raise _Fault(self.no_address(host), 4)
        await self.connecting(host, found[0], port)
        method, body = "GET", b""
        if self.options.flag("spider"):
            method = "HEAD"
        if self.options.flag("post"):
            method, body = "POST", self.options.value("post").encode("utf-8", "surrogateescape")
        elif self.options.flag("postfile"):
            method, body = "POST", self.process.read_file(self.options.value("postfile"))
        method = self.options.value("method", method).upper()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = [("Host", parts.netloc), ("User-Agent", self.options.value("U") or self.agent)]
        if self.agent != "Wget":
            headers += [("Accept", "*/*"), ("Accept-Encoding", "identity")]
        if body:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        for line in self.options.values("header"):
            name, _, value = line.partition(":")
            headers = [(k, v) for k, v in headers if k.lower() != name.strip().lower()]
            headers.append((name.strip(), value.strip()))
        try:
            async with asyncio.timeout(self.seconds):
                answer = await exchange(
                    lambda: network_of(self.process).connect(machine, found[0], port), method, target, headers, body,
                    tls=parts.scheme == "https",
                )  # fmt: skip
        except TimeoutError:
            raise _Fault("download timed out", 4) from None
        except HttpFault as error:
            raise _Fault("error getting response" if self.agent == "Wget" else str(error), 4) from None
        except OSError as error:
            raise _Fault(self.refused(host, found[0], port, error), 4) from None
        return answer, found[0]

    agent = "Wget"

    def no_address(self, host: str) -> str:
        return f"bad address '{host}'"

    def refused(self, host: str, address: str, port: int, error: OSError) -> str:
        reason = error.strerror or "Connection reset by peer"
        return f"can't connect to remote host ({address}): {reason}"

    async def connecting(self, host: str, address: str, port: int) -> None:
        await self.note(f"Connecting to {host if port in (80, 443) else f'{host}:{port}'} ({address}:{port})\n")

    async def _store(self, url: str, data: bytes) -> str:
        """The name of the file written; `-` for standard output."""
        name = self.options.value("O")
        if not name:
            name = posixpath.basename(urlsplit(url).path) or "index.html"
            name = posixpath.join(self.options.value("P"), name) if self.options.value("P") else name
        if name == "-":
            await self.process.write(data)
            return name
        if name == "/dev/null":
            return name
        try:
            if self.agent == "Wget" and not self.options.flag("O") and self.process.fs.exists(name, self.process.cwd):
                raise _Fault(f"can't open '{name}': File exists")
            self.process.fs.write(name, data, self.process.cwd, self.process.owner)
        except OSError as error:
            raise _Fault(
                f"can't open '{name}': {error.strerror}" if self.agent == "Wget" else f"{name}: {error.strerror}", 3
            ) from None
        return name


class _Busybox(_Wget):
    async def get(self, url: str) -> int:
        if "://" not in url:
            url = f"http://{url}"
        try:
            for _ in range(5):
                answer, _address = await self._exchange(url)
                if self.options.flag("S"):
                    lines = [
                        f"HTTP/1.1 {answer.status} {phrase(answer.status)}",
                        *(f"{k}: {v}" for k, v in answer.headers),
                    ]
                    await self.process.error("".join(f"  {line}\n" for line in lines) + "  \n")
                target = next((v for k, v in answer.headers if k.lower() == "location"), "")
                if answer.status in (301, 302, 303, 307, 308) and target:
                    url = urljoin(url, target)
                    continue
                if not 200 <= answer.status < 300:
                    raise _Fault(f"server returned error: HTTP/1.1 {answer.status} {phrase(answer.status)}")
                break
            else:
                raise _Fault("too many redirections")
            if self.options.flag("spider"):
                await self.note("remote file exists\n")
                return 0
            name = self.options.value("O") or posixpath.basename(urlsplit(url).path) or "index.html"
            await self.note("writing to stdout\n" if name == "-" else f"saving to '{name}'\n")
            await self._store(url, answer.body)
            size = len(answer.body)
            await self.note(f"{name[:20]:<20} 100% |********************************|{size:6d}  0:00:00 ETA\n")
            await self.note("written to stdout\n" if name == "-" else f"'{name}' saved\n")
        except _Fault as error:
            return await self.process.fail(error.text)
        return 0


class _Gnu(_Wget):
    agent = "Wget/1.21.3"

    def no_address(self, host: str) -> str:
        return f"unable to resolve host address ‘{host}’"

    def refused(self, host: str, address: str, port: int, error: OSError) -> str:
        return f"failed: {error.strerror or 'Connection reset by peer'}."

    async def connecting(self, host: str, address: str, port: int) -> None:
        await self.note(f"Resolving {host} ({host})... {address}\nConnecting to {host} ({host})|{address}|:{port}... ")

    async def get(self, url: str) -> int:
        if "://" not in url:
            url = f"http://{url}"
        try:
            for _ in range(20):
                await self.note(f"--{_stamp()}--  {url}\n")
                answer, _address = await self._exchange(url)
                await self.note(
                    f"connected.\nHTTP request sent, awaiting response... {answer.status} {phrase(answer.status)}\n"
                )
                if self.options.flag("S"):
                    lines = [
                        f"HTTP/1.1 {answer.status} {phrase(answer.status)}",
                        *(f"{k}: {v}" for k, v in answer.headers),
                    ]
                    await self.process.error("".join(f"  {line}\n" for line in lines))
                target = next((v for k, v in answer.headers if k.lower() == "location"), "")
                if answer.status in (301, 302, 303, 307, 308) and target:
                    url = urljoin(url, target)
                    await self.note(f"Location: {target} [following]\n")
                    continue
                break
            if answer.status >= 400:
                await self.note(f"{_stamp()} ERROR {answer.status}: {phrase(answer.status)}.\n\n")
                return 8
            if self.options.flag("spider"):
                await self.note("Remote file exists.\n\n")
                return 0
            size = len(answer.body)
            kind = next((v.partition(";")[0] for k, v in answer.headers if k.lower() == "content-type"), "")
            name = await self._store(url, answer.body)
            shown = "STDOUT" if name == "-" else name
            await self.note(f"Length: {size}{f' [{kind}]' if kind else ''}\nSaving to: ‘{shown}’\n\n")
            await self.note(f"{_stamp()} (1.00 MB/s) - ‘{shown}’ saved [{size}/{size}]\n\n" if name != "-" else
                            f"{_stamp()} (1.00 MB/s) - written to stdout [{size}/{size}]\n\n")  # fmt: skip
        except _Fault as error:
            if error.text.startswith("failed:"):
                await self.note(f"{error.text}\n")
            else:
                await self.process.error(f"wget: {error.text}\n")
            return error.status
        return 0


def _stamp() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
