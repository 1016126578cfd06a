"""nginx configuration: the directives that labs use; the others are accepted and do nothing."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from labrunner.sandbox.workload.filesystem.tree import FileSystem
from labrunner.sandbox.workload.shell import pattern
from labrunner.sandbox.workload.shell.pattern import Piece

MAX_DEPTH = 12
_BLOCKS = {"events", "http", "server", "location", "upstream", "map", "if", "types", "stream", "limit_except", "geo"}
_WORDS = (
    "access_log add_header alias autoindex charset client_body_buffer_size client_body_timeout "
    "client_header_timeout client_max_body_size daemon default_type deny allow error_log error_page etag expires "
    "gzip gzip_types gzip_vary gzip_min_length gzip_proxied gzip_comp_level gzip_http_version gzip_disable "
    "include index internal keepalive_requests keepalive_timeout keepalive large_client_header_buffers limit_conn "
    "limit_conn_zone limit_req limit_req_zone listen log_format log_not_found merge_slashes multi_accept "
    "open_file_cache pid proxy_buffering proxy_buffers proxy_buffer_size proxy_cache proxy_connect_timeout "
    "proxy_hide_header proxy_http_version proxy_intercept_errors proxy_next_upstream proxy_pass "
    "proxy_pass_request_headers proxy_pass_request_body proxy_read_timeout proxy_redirect proxy_request_buffering "
    "proxy_send_timeout proxy_set_header proxy_ssl_verify proxy_ssl_server_name proxy_ssl_name "
    "proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_trusted_certificate port_in_redirect "
    "real_ip_header real_ip_recursive resolver resolver_timeout return rewrite root satisfy sendfile send_timeout "
    "server server_name server_names_hash_bucket_size server_tokens set set_real_ip_from ssl ssl_certificate "
    "ssl_certificate_key ssl_ciphers ssl_client_certificate ssl_prefer_server_ciphers ssl_protocols "
    "ssl_session_cache ssl_session_timeout ssl_verify_client ssl_verify_depth stub_status sub_filter tcp_nodelay "
    "tcp_nopush try_files types_hash_max_size underscores_in_headers user use worker_connections worker_processes "
    "worker_rlimit_nofile zone least_conn ip_hash hash random absolute_redirect auth_basic auth_basic_user_file "
    "auth_request break env load_module working_directory worker_shutdown_timeout master_process "
    "ignore_invalid_headers variables_hash_max_size map_hash_bucket_size proxy_temp_path client_body_temp_path "
    "fastcgi_temp_path uwsgi_temp_path scgi_temp_path fastcgi_pass fastcgi_param fastcgi_index "
    "reset_timedout_connection "
)
_KNOWN = frozenset(_WORDS.split())


class ConfigFault(Exception):
    """nginx's sentence."""


@dataclass(slots=True)
class Directive:
    name: str
    words: list[str]
    file: str
    line: int
    block: list[Directive] | None = None


@dataclass(slots=True)
class Location:
    """`modifier`: empty (prefix), `=`, `~`, `~*`, `^~` or `@`."""

    modifier: str
    path: str
    directives: list[Directive]
    locations: list[Location] = field(default_factory=list)

    def last(self, name: str) -> Directive | None:
        return next((d for d in reversed(self.directives) if d.name == name), None)


@dataclass(slots=True)
class Server:
    ports: list[tuple[int, bool, bool]]
    """(port, default, TLS)"""
    names: list[str]
    root: Location


@dataclass(slots=True)
class Config:
    servers: list[Server]
    http: list[Directive]
    files: list[str]
    upstreams: dict[str, list[str]] = field(default_factory=dict)

    def ports(self) -> set[int]:
        return {port for server in self.servers for port, _, _ in server.ports}

    def server_for(self, port: int, host: str) -> Server | None:
        """By name, or the port's default."""
        here = [s for s in self.servers if any(p == port for p, _, _ in s.ports)]
        name = host.partition(":")[0].lower()
        for server in here:
            if name in server.names:
                return server
        for server in here:
            if any(_name_matches(pattern_, name) for pattern_ in server.names):
                return server
        default = next((s for s in here if any(p == port and d for p, d, _ in s.ports)), None)
        return default or (here[0] if here else None)


def _name_matches(wanted: str, name: str) -> bool:
    if wanted.startswith("~"):
        try:
            return re.search(wanted[1:], name) is not None if len(name) < 256 else False
        except re.error:
            return False
    if wanted.startswith("*."):
        return name.endswith(wanted[1:])
    if wanted.startswith("."):
        return name == wanted[1:] or name.endswith(wanted)
    return wanted.endswith(".*") and name.startswith(wanted[:-1])


def load(fs: FileSystem, path: str, family: str) -> Config:
    """Read the configuration from the container's files. Raises ConfigFault."""
    files: list[str] = []
    directives = _file(fs, path, files, 0)
    servers: list[Server] = []
    http: list[Directive] = []
    upstreams: dict[str, list[str]] = {}
    for directive in directives:
        if directive.name != "http" or directive.block is None:
            continue
        http = directive.block
        for inner in directive.block:
            if inner.name == "server" and inner.block is not None:
                servers.append(_server(inner))
            elif inner.name == "upstream" and inner.block is not None and inner.words:
                upstreams[inner.words[0]] = [d.words[0] for d in inner.block if d.name == "server" and d.words]
    return Config(servers, http, files, upstreams)


def _server(directive: Directive) -> Server:
    assert directive.block is not None
    ports: list[tuple[int, bool, bool]] = []
    names: list[str] = []
    for inner in directive.block:
        if inner.name == "listen" and inner.words:
            text = inner.words[0].rpartition(":")[2].rstrip("]") or "80"
            if inner.words[0].startswith("unix:"):
                continue
            if not text.isdigit():
                text = "80"
            entry = (int(text), "default_server" in inner.words, "ssl" in inner.words)
            if entry[0] not in [p for p, _, _ in ports]:
                ports.append(entry)
        elif inner.name == "server_name":
            names += [w.lower() for w in inner.words]
    return Server(ports or [(80, False, False)], names, _location("", "", directive.block))


def _location(modifier: str, path: str, block: list[Directive]) -> Location:
    found = Location(modifier, path, block)
    for inner in block:
        if inner.name == "location" and inner.block is not None and inner.words:
            words = inner.words
            if len(words) == 1:
                word = words[0]
                kind = next((m for m in ("^~", "~*", "~", "=", "@") if word.startswith(m)), "")
                found.locations.append(_location(kind, word if kind == "@" else word[len(kind) :], inner.block))
            else:
                found.locations.append(_location(words[0], words[1], inner.block))
    return found


def _file(fs: FileSystem, path: str, files: list[str], depth: int) -> list[Directive]:
    if depth > MAX_DEPTH:
        raise ConfigFault(f'include "{path}" nested too deeply')
    try:
        text = fs.read(path).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigFault(f'open() "{path}" failed ({error.errno}: {error.strerror})') from None
    files.append(path)
    reader = _Reader(fs, path, text, files, depth)
    return reader.block(False)


_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'"""
    r"""|([{};])|((?:[^\s{};"'\\]|\\.|\$\{\w+\})+)""",
    re.DOTALL,
)


class _Reader:
    def __init__(self, fs: FileSystem, path: str, text: str, files: list[str], depth: int) -> None:
        self.fs, self.path, self.files, self.depth = fs, path, files, depth
        self.tokens: list[tuple[str, bool, int]] = []
        """(text, whether it is punctuation, line)"""
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            line = text.count("\n", 0, at) + 1
            if not found:
                raise ConfigFault(f'unexpected "{text[at]}" in {path}:{line}')
            at = found.end()
            if found[3]:
                self.tokens.append((found[3], True, line))
            else:
                value = next((g for g in (found[1], found[2], found[4]) if g is not None), None)
                if value is not None:
                    self.tokens.append((re.sub(r"\\([\"'\\;{}])", r"\1", value), False, line))
        self.at = 0
        self.nested = 0

    def block(self, inside: bool, raw: bool = False) -> list[Directive]:
        found: list[Directive] = []
        while True:
            if self.at >= len(self.tokens):
                if inside:
                    line = self.tokens[-1][2] if self.tokens else 1
                    raise ConfigFault(f'unexpected end of file, expecting "}}" in {self.path}:{line}')
                return found
            text, punctuation, line = self.tokens[self.at]
            if punctuation and text == "}":
                if not inside:
                    raise ConfigFault(f'unexpected "}}" in {self.path}:{line}')
                self.at += 1
                return found
            directive = self._directive(raw)
            if directive.name == "include" and not raw:
                found.extend(self._include(directive))
            else:
                found.append(directive)

    def _directive(self, raw: bool) -> Directive:
        name, punctuation, line = self.tokens[self.at]
        self.at += 1
        if punctuation:
            raise ConfigFault(f'unexpected "{name}" in {self.path}:{line}')
        directive = Directive(name, [], self.path, line)
        while True:
            if self.at >= len(self.tokens):
                raise ConfigFault(f'unexpected end of file, expecting ";" or "}}" in {self.path}:{line}')
            text, punctuation, here = self.tokens[self.at]
            self.at += 1
            if not punctuation:
                directive.words.append(text)
                continue
            if text == ";":
                if not raw and name not in _KNOWN:
                    raise ConfigFault(f'unknown directive "{name}" in {self.path}:{line}')
                return directive
            if text == "}":
                raise ConfigFault(f'unexpected "}}" in {self.path}:{here}')
            if not raw and name not in _BLOCKS:
                word = "unknown directive" if name not in _KNOWN else "directive"
                tail = "" if name not in _KNOWN else ' has no opening "{"'
                raise ConfigFault(f'{word} "{name}"{tail} in {self.path}:{line}')
            self.nested += 1
            if self.nested > 60:
                raise ConfigFault(f"too deeply nested in {self.path}:{line}")
            directive.block = self.block(True, raw or name in ("types", "map", "geo"))
            self.nested -= 1
            return directive

    def _include(self, directive: Directive) -> list[Directive]:
        if not directive.words:
            raise ConfigFault(f'invalid number of arguments in "include" directive in {self.path}:{directive.line}')
        path = posixpath.join("/etc/nginx", directive.words[0])
        if any(c in path for c in "*?["):
            from labrunner.sandbox.workload.filesystem.tree import ROOT

            paths = pattern.paths([Piece(path, False)], self.fs, "/", ROOT)
        else:
            if path.endswith("mime.types") and not self.fs.exists(path):
                return []
            paths = [path]
        return [d for p in paths for d in _file(self.fs, p, self.files, self.depth + 1)]
