"""One curl transfer: from URL to output, with curl's words and exit codes.

Source: curl's man page and lib/ (messages of curl 8.10).
"""

from __future__ import annotations

import asyncio
import base64
import errno
import posixpath
import re
import ssl
import time
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from labrunner.sandbox.workload.http import tls, trust
from labrunner.sandbox.workload.http.connections import Connection, Pool
from labrunner.sandbox.workload.http.cookies import save as save_cookies
from labrunner.sandbox.workload.http.encoding import unpacked
from labrunner.sandbox.workload.http.job import Job, Result, Settings, TransferFault
from labrunner.sandbox.workload.http.message import EmptyReply, Head, HttpFault, has_body, read_body, read_head
from labrunner.sandbox.workload.http.url import DEFAULT_PORTS, completed, without_dots
from labrunner.sandbox.workload.http.write_out import rendered
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.machine.stream import Stream

TRANSIENT = {408, 429, 500, 502, 503, 504}
_TIMEOUT = 28


async def perform(process: Process, settings: Settings, job: Job, pool: Pool) -> Result:
    """Transfer, say what went wrong, write what `-w` asks for."""
    began = time.monotonic()
    attempt = 0
    delay = settings.retry_delay or 1.0
    while True:
        result = Result(job.url, method=_method(settings))
        result.retries = attempt
        transfer = _Transfer(process, settings, job, pool, result)
        try:
            async with asyncio.timeout(settings.max_time or None):
                await transfer.run()
        except TimeoutError:
            result.status, result.message = _TIMEOUT, transfer.timeout_text()
        except TransferFault as error:
            result.status, result.message = error.status, error.message
        except BrokenPipeError:
            raise
        finally:
            transfer.close()
        result.mark("total")
        left = settings.retry - attempt
        elapsed = time.monotonic() - began
        if left > 0 and _worth_retrying(settings, result) and not (0 < settings.retry_max_time < elapsed + delay):
            if not settings.silent or settings.show_error:
                seconds = f"{delay:g} second{'s' if delay != 1 else ''}"
                tries = f"{left} retr{'ies' if left != 1 else 'y'}"
                why = f"Problem: {_why_again(result)}. Will retry in {seconds}. {tries} left."
                await process.error(f"curl: ({result.status}) {result.message}\nWarning: {why}\n" if result.status else
                                    f"Warning: {why}\n")  # fmt: skip
            await asyncio.sleep(delay)
            if not settings.retry_delay:
                delay = min(delay * 2, 600.0)
            attempt += 1
            continue
        break
    if result.status and (not settings.silent or settings.show_error):
        await process.error(f"curl: ({result.status}) {result.message}\n")
    if settings.write_out:
        text, errors = rendered(settings.write_out, result, job)
        if text:
            await process.write(text)
        if errors:
            await process.error(errors)
    if settings.cookie_jar:
        await save_cookies(process, settings, result)
    return result


def _worth_retrying(settings: Settings, result: Result) -> bool:
    if settings.retry_all and (result.status or result.code >= 400):
        return True
    if result.status in (6, 28):
        return True
    if result.status == 7:
        return settings.retry_refused
    return result.code in TRANSIENT and (result.status in (0, 22))


def _why_again(result: Result) -> str:
    if result.status == 28:
        return "timeout"
    if result.status == 7:
        return "connection refused"
    if result.code in TRANSIENT:
        return "HTTP error"
    return "(retrying all errors)"


def _method(settings: Settings) -> str:
    if settings.method:
        return settings.method
    if settings.head:
        return "HEAD"
    if settings.upload:
        return "PUT"
    return "POST" if settings.body is not None else "GET"


class _Transfer:
    def __init__(self, process: Process, settings: Settings, job: Job, pool: Pool, result: Result) -> None:
        self.process, self.settings, self.job, self.pool, self.result = process, settings, job, pool, result
        self.out: Stream | None = None
        self.connecting = False
        self.connection: Connection | None = None
        self._resolved = False

    def close(self) -> None:
        if self.out is not None:
            self.out.release()
            self.out = None
        if self.connection is not None:
            self.connection.writer.transport.abort()
            self.connection = None

    def timeout_text(self) -> str:
        took = int((time.monotonic() - self.result.started) * 1000)
        if self.connecting:
            return f"Connection timed out after {took} milliseconds"
        if self.result.downloaded:
            length = self.result.head.get("Content-Length") if self.result.head else None
            total = f" out of {length}" if length else ""
            return f"Operation timed out after {took} milliseconds with {self.result.downloaded}{total} bytes received"
        return f"Operation timed out after {took} milliseconds with 0 bytes received"

    async def talk(self, text: str, mark: str = "*") -> None:
        """`-v`"""
        if self.settings.verbose:
            await self.process.error(f"{mark} {text}\n")

    async def run(self) -> None:
        url = completed(self.job.url)
        if self.settings.get_data:
            url += ("&" if "?" in url else "?") + self.settings.get_data
        for extra in self.settings.url_query:
            url += ("&" if "?" in url else "?") + extra
        method, body = self.result.method, self.settings.body
        trusted = True
        while True:
            self.result.effective = url
            if url.startswith("file:"):
                await self._file(url)
                return
            head = await self._exchange(url, method, body, trusted=trusted)
            target = head.get("Location")
            if target is None or not 300 <= head.status < 400 or head.status == 304:
                break
            following = urljoin(url, target)
            if not self.settings.location:
                self.result.redirect = following
                break
            self.result.redirects += 1
            if self.result.redirects > self.settings.max_redirects >= 0:
                raise TransferFault(47, f"Maximum ({self.settings.max_redirects}) redirects followed")
            await self.talk(f"Issue another request to this URL: '{following}'")
            posted = head.status in (301, 302) and method == "POST" and not self.settings.method
            if (head.status == 303 or posted) and not self.settings.head:
                method, body = "GET", None
            self.result.method = method
            before, after = urlsplit(url), urlsplit(following)
            trusted = self.settings.trust_location or (before.scheme, before.netloc) == (after.scheme, after.netloc)
            url = following
        if self.settings.fail_with_body and self.result.code >= 400:
            raise TransferFault(22, f"The requested URL returned error: {self.result.code}")

    async def _file(self, url: str) -> None:
        self.result.scheme = "FILE"
        path = unquote(urlsplit(url).path)
        try:
            data = self.process.read_file(path)
        except OSError:
            raise TransferFault(37, f"Couldn't open file {path}") from None
        if self.settings.head:
            await self._write(f"Content-Length: {len(data)}\r\nAccept-ranges: bytes\r\n\r\n".encode())
            return
        await self._write(data)
        self.result.downloaded += len(data)

    # connections

    async def _connected(self, scheme: str, host: str, port: int) -> Connection:
        to_host, to_port = self._connect_to(host, port)
        key = (scheme, to_host.lower(), to_port, host.lower())
        if not self.settings.parallel:
            known = self.pool.take(key)
            if known is not None:
                await self.talk(f"Re-using existing connection with host {host}")
                self._note(known)
                return known
        limit = self.settings.connect_timeout or 300.0
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                self.connecting = True
                reader, writer, ip = await self._open(to_host, to_port)
                self.result.mark("connect")
                number = self.pool.count
                self.pool.count += 1
                connection = Connection(key, reader, writer, number, ip, to_port)
                self.connection = connection
                await self.talk(f"Connected to {to_host} ({ip}) port {to_port}")
                if scheme == "https":
                    await self._secure(connection, host)
        except TimeoutError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            took = int((time.monotonic() - began) * 1000)
            text = f"Connection timed out after {took} milliseconds"
            if self.connection is not None and scheme == "https":
                text = "SSL connection timeout"
            raise TransferFault(_TIMEOUT, text) from None
        self.connecting = False
        self.result.connects += 1
        self._note(connection)
        return connection

    def _note(self, connection: Connection) -> None:
        plan = self.process.container.pod.network.network.plan
        local = connection.writer.get_extra_info("sockname") or ("", 0)
        self.result.remote_ip, self.result.remote_port = connection.ip, connection.port
        self.result.local_ip, self.result.local_port = plan.pod_ip(local[0]) if local[0] else "", local[1]
        self.result.verify = connection.verify
        self.connection = connection

    def _connect_to(self, host: str, port: int) -> tuple[str, int]:
        for from_host, from_port, to_host, to_port in self.settings.connect_to:
            if from_host.lower() in ("", host.lower()) and from_port in ("", str(port)):
                return to_host.strip("[]") or host, int(to_port) if to_port.isdigit() else port
        return host, port

    async def _open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
        machine = self.process.container.pod
        network = machine.network.network
        known = self.settings.resolve.get((host.lower(), str(port))) or self.settings.resolve.get(("*", str(port)))
        if known:
            addresses = known
            await self.talk(f"Added {host}:{port}:{','.join(known)} to DNS cache")
            await self.talk(f"Hostname {host} was found in DNS cache")
        else:
            addresses = network.resolve(machine, host)
        self.result.mark("namelookup")
        addresses = [a for a in addresses if (":" in a) == self.settings.ipv6_only]
        if not addresses:
            raise TransferFault(6, f"Could not resolve host: {host}")
        if not known and not re.fullmatch(r"[\d.]+", host):
            await self.talk(f"Host {host}:{port} was resolved.\n* IPv6: (none)\n* IPv4: {', '.join(addresses)}")
        began = time.monotonic()
        for address in addresses:
            await self.talk(f"  Trying {address}:{port}...")
            try:
                reader, writer = await network.connect(machine, address, port)
            except ConnectionRefusedError:
                await self.talk(f"connect to {address} port {port} from {machine.network_ip()} port 0 failed: "
                                "Connection refused")  # fmt: skip
                continue
            except OSError as error:
                await self.talk(f"connect to {address} port {port} failed: {error.strerror}")
                continue
            return reader, writer, address
        took = int((time.monotonic() - began) * 1000)
        text = f"Failed to connect to {host} port {port} after {took} ms: Couldn't connect to server"
        raise TransferFault(7, text)

    async def _secure(self, connection: Connection, host: str) -> None:
        await self.talk("ALPN: curl offers h2,http/1.1")
        context = trust.context_of(self.process, self.settings)
        await self.talk("TLSv1.3 (OUT), TLS handshake, Client hello (1):")
        try:
            await connection.writer.start_tls(context, server_hostname=host.rstrip("."))
        except ssl.SSLCertVerificationError as error:
            connection.verify = self.result.verify = error.verify_code
            raise TransferFault(60, tls.verification_text(error, host)) from None
        except ssl.SSLError as error:
            raise TransferFault(35, tls.handshake_text(error)) from None
        except ConnectionResetError:
            raise TransferFault(35, "Recv failure: Connection reset by peer") from None
        except (ConnectionError, EOFError, OSError):
            text = "TLS connect error: error:00000000:lib(0)::reason(0)"
            raise TransferFault(35, text) from None
        self.result.mark("appconnect")
        await self._show_tls(connection, host)

    async def _show_tls(self, connection: Connection, host: str) -> None:
        if not self.settings.verbose:
            return
        handle = connection.writer.get_extra_info("ssl_object")
        version, cipher = handle.version(), (handle.cipher() or ("", "", 0))[0]
        await self.talk("TLSv1.3 (IN), TLS handshake, Server hello (2):")
        await self.talk(f"SSL connection using {version} / {cipher} / x25519 / RSASSA-PSS")
        protocol = handle.selected_alpn_protocol()
        refused = "ALPN: server did not agree on a protocol. Uses default."
        await self.talk(f"ALPN: server accepted {protocol}" if protocol else refused)
        for line in tls.certificate_lines(handle.getpeercert(binary_form=True), host, insecure=self.settings.insecure):
            await self.talk(line)

    # requests

    async def _exchange(self, url: str, method: str, body: bytes | None, *, trusted: bool) -> Head:
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        if scheme not in DEFAULT_PORTS:
            raise TransferFault(1, f'Protocol "{scheme}" not supported')
        try:
            port = parts.port or DEFAULT_PORTS[scheme]
            host = parts.hostname or ""
        except ValueError:
            raise TransferFault(3, "URL rejected: Port number was not a decimal number between 0 and 65535") from None
        if not host:
            raise TransferFault(3, "URL rejected: No host part in the URL")
        if re.search(r"[\s\x00-\x1f]", host):
            raise TransferFault(3, "URL rejected: Malformed input to a URL function")
        self.result.scheme = scheme
        target = self._target(url)
        retried = False
        while True:
            connection = await self._connected(scheme, host, port)
            self.result.mark("pretransfer")
            head_bytes = self._request(method, target, parts.netloc.rpartition("@")[2], body, trusted, parts)
            try:
                head = await self._sent(connection, head_bytes, method, body)
                break
            except (EmptyReply, ConnectionResetError, BrokenPipeError):
                if connection.used and not retried:  # a kept connection that the server closed meanwhile
                    retried = True
                    await self.talk("Connection died, retrying a fresh connect (retry count: 1)")
                    connection.writer.transport.abort()
                    self.connection = None
                    continue
                raise
        return head

    def _target(self, url: str) -> str:
        if self.settings.request_target:
            return self.settings.request_target
        rest = re.sub(r"^[a-zA-Z]+://[^/?#]*", "", url).partition("#")[0]
        path, question, query = rest.partition("?")
        path = path or "/"
        if not self.settings.path_as_is:
            path = without_dots(path)
        safe = "/:@!$&'()*+,;=~-._%[]|{}\\^`\"<>"
        return quote(path.encode("utf-8", "surrogateescape"), safe=safe).replace(" ", "%20") + (
            question + quote(query.encode("utf-8", "surrogateescape"), safe=safe + "?") if question else ""
        )

    def _request(self, method: str, target: str, netloc: str, body: bytes | None, trusted: bool, parts: Any) -> bytes:
        settings = self.settings
        default = DEFAULT_PORTS[parts.scheme.lower()]
        if netloc.endswith(f":{default}"):
            netloc = netloc[: -len(str(default)) - 1]
        removed, replaced, extra = self._given_headers()
        lines = [f"{method} {target} HTTP/{'1.0' if settings.http10 else '1.1'}"]

        def put(name: str, value: str) -> None:
            if name.lower() in removed:
                return
            if name.lower() in replaced:
                lines.append(
                    f"{name}: {replaced.pop(name.lower())}" if name != "Host" else f"Host: {replaced.pop('host')}"
                )
                return
            lines.append(f"{name}: {value}")

        put("Host", netloc)
        if trusted and (parts.username or settings.user):
            user = settings.user or f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            put("Authorization", "Basic " + base64.b64encode((user if ":" in user else user + ":").encode()).decode())
        elif trusted and settings.bearer:
            put("Authorization", f"Bearer {settings.bearer}")
        if settings.range:
            put("Range", f"bytes={settings.range}")
        if settings.user_agent:
            put("User-Agent", settings.user_agent)
        put("Accept", "application/json" if settings.json else "*/*")
        if settings.compressed:
            put("Accept-Encoding", "deflate, gzip")
        if settings.referer:
            put("Referer", settings.referer)
        cookies = "; ".join(filter(None, (settings.cookies, "; ".join(f"{k}={v}" for k, v in settings.jar.items()))))
        if cookies:
            put("Cookie", cookies)
        if not trusted:
            extra = [(k, v) for k, v in extra if k.lower() not in ("authorization", "cookie")]
        for name, value in [*extra]:
            lines.append(f"{name}: {value}")
        if body is not None:
            if "transfer-encoding" not in {k.lower() for k, _ in extra}:
                put("Content-Length", str(len(body)))
            if settings.content_type:
                put("Content-Type", settings.content_type)
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")

    def _given_headers(self) -> tuple[set[str], dict[str, str], list[tuple[str, str]]]:
        """(taken away, given instead of curl's own, further)."""
        own = {"host", "user-agent", "accept", "content-type", "content-length", "authorization", "accept-encoding",
               "referer", "cookie", "range"}  # fmt: skip
        removed: set[str] = set()
        replaced: dict[str, str] = {}
        extra: list[tuple[str, str]] = []
        for line in self.settings.headers:
            name, colon, value = line.partition(":")
            if not colon:
                name, semicolon, _ = line.partition(";")
                if semicolon:
                    extra.append((name.strip(), ""))
                continue
            name, value = name.strip(), value.strip()
            if not value:
                removed.add(name.lower())
            elif name.lower() == "host":
                replaced["host"] = value
            elif name.lower() in own and name.lower() != "cookie":
                removed.add(name.lower())
                extra.append((name, value))
            else:
                extra.append((name, value))
        return removed, replaced, extra

    async def _sent(self, connection: Connection, head_bytes: bytes, method: str, body: bytes | None) -> Head:
        settings, result = self.settings, self.result
        result.request_size += len(head_bytes)
        if settings.verbose:
            for line in head_bytes.decode("utf-8", "replace").split("\r\n")[:-1]:
                await self.talk(line, ">")
        connection.used += 1
        first = connection.used == 1
        try:
            connection.writer.write(head_bytes + (body or b""))
            await connection.writer.drain()
            await self.talk(f"upload completely sent off: {len(body)} bytes" if body else "Request completely sent off")
        except ConnectionResetError:
            if not first:
                raise
            raise TransferFault(55, "Send failure: Connection reset by peer") from None
        except BrokenPipeError:
            if not first:
                raise
            raise TransferFault(55, "Send failure: Broken pipe") from None
        if body:
            result.uploaded += len(body)
            await self.talk(f"upload completely sent off: {len(body)} bytes")
        head = await self._answer(connection, method, first)
        await self._received(connection, head, method)
        return head

    async def _answer(self, connection: Connection, method: str, first: bool) -> Head:
        while True:
            try:
                head = await read_head(connection.reader)
            except EmptyReply:
                if not first:
                    raise
                raise TransferFault(52, "Empty reply from server") from None
            except ConnectionResetError:
                if not first:
                    raise
                raise TransferFault(56, "Recv failure: Connection reset by peer") from None
            except ssl.SSLError as error:
                raise TransferFault(56, f"OpenSSL SSL_read: {tls.reason(error)}, errno 0") from None
            except HttpFault as error:
                raise TransferFault(1 if "HTTP/0.9" in str(error) else 56, str(error)) from None
            except OSError as error:
                code = "Connection reset by peer" if error.errno in (errno.ECONNRESET, None) else error.strerror
                raise TransferFault(56, f"Recv failure: {code}") from None
            if "starttransfer" not in self.result.times:
                self.result.mark("starttransfer")
            self.result.header_size += len(head.raw)
            if self.settings.verbose:
                for line in head.raw.decode("latin-1").split("\r\n")[:-1]:
                    await self.talk(line, "<")
            if 100 <= head.status < 200 and head.status != 101:
                if self.settings.include or self.settings.head:
                    await self._write(head.raw)
                continue
            return head

    async def _received(self, connection: Connection, head: Head, method: str) -> None:
        settings, result = self.settings, self.result
        result.code, result.head = head.status, head
        if settings.keeps_cookies:
            for value in head.all("Set-Cookie"):
                name, _, content = value.partition(";")[0].partition("=")
                settings.jar[name.strip()] = content.strip()
        if settings.dump_header:
            await self._dump(head)
        failed = settings.fail and head.status >= 400
        if failed:
            raise TransferFault(22, f"The requested URL returned error: {head.status}")
        if settings.include or settings.head:
            await self._write(head.raw)
        following = settings.location and head.get("Location") is not None and 300 <= head.status < 400
        packed = bytearray()
        encoding = (head.get("Content-Encoding") or "").lower() if settings.compressed else ""
        length = head.get("Content-Length") or ""
        if settings.max_size and length.isdigit() and int(length) > settings.max_size:
            raise TransferFault(63, "Maximum file size exceeded")
        try:
            async for piece in read_body(connection.reader, head, method):
                result.downloaded += len(piece)
                if following:
                    continue
                if encoding in ("gzip", "deflate"):
                    packed += piece
                else:
                    await self._write(piece)
                await self.process.breathe()
        except BrokenPipeError:
            raise
        except HttpFault as error:
            raise TransferFault(18, str(error)) from None
        except asyncio.IncompleteReadError:
            raise TransferFault(18, "transfer closed with outstanding read data remaining") from None
        except ConnectionResetError:
            raise TransferFault(56, "Recv failure: Connection reset by peer") from None
        except ssl.SSLError as error:
            raise TransferFault(56, f"OpenSSL SSL_read: {tls.reason(error)}, errno 0") from None
        if packed:
            await self._write(unpacked(bytes(packed), encoding))
        elif not following and not has_body(head, method):
            await self._write(b"")
        connection.tls_text = []
        chunked = "chunked" in (head.get("Transfer-Encoding") or "").lower()
        delimited = head.get("Content-Length") is not None or chunked or not has_body(head, method)
        self.connection = None
        if head.keeps_alive and delimited and settings.keep_alive and not settings.http10:
            await self.talk(f"Connection #{connection.number} to host {connection.key[1]} left intact")
            if settings.parallel:
                connection.writer.close()
            else:
                self.pool.give(connection)
        else:
            await self.talk("shutting down connection #" + str(connection.number))
            connection.writer.close()

    # output

    async def _write(self, data: bytes) -> None:
        if self.out is None:
            self.out = self._opened()
        if data:
            try:
                await self.out.write(data)
            except BrokenPipeError:
                raise TransferFault(23, "Failure writing output to destination") from None
            except OSError:
                raise TransferFault(23, "client returned ERROR on write, " + str(len(data)) + " bytes") from None

    def _opened(self) -> Stream:
        name = self.job.output
        if self.job.remote:
            name = posixpath.basename(urlsplit(self.result.effective or self.job.url).path)
            if not name:
                raise TransferFault(23, "Remote file name has no length")
        if self.settings.output_dir and name not in ("", "-"):
            name = posixpath.join(self.settings.output_dir, name)
        if name in ("", "-"):
            stream = self.process.descriptors.get(1)
            if stream is None:
                raise TransferFault(23, "Failed writing body")
            return stream.retain()
        self.result.output = name
        try:
            if self.settings.create_dirs and posixpath.dirname(name):
                self.process.fs.mkdir(posixpath.dirname(name), self.process.cwd, self.process.owner, parents=True)
            return self.process.open(name, "w")
        except OSError as error:
            raise TransferFault(23, f"Failed to open the file {name}: {error.strerror}") from None

    async def _dump(self, head: Head) -> None:
        if self.settings.dump_header == "-":
            await self.process.write(head.raw)
            return
        stream = self.process.open(self.settings.dump_header, "a" if self.result.redirects else "w")
        try:
            await stream.write(head.raw)
        finally:
            stream.release()
