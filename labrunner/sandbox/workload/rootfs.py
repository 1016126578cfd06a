"""The files of images: a base (busybox, alpine, debian, distroless, scratch) and what each image adds to it.

Trees are made once per image and shared frozen; a container copies what it changes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from labrunner.sandbox.workload.apps.files import files_of
from labrunner.sandbox.workload.filesystem.node import BUILD_TIME, Device, Directory, File, Node, Symlink, freeze
from labrunner.sandbox.workload.images import Image, Reference

_BUSYBOX = (
    "sh ash cat ls mkdir rmdir rm cp mv touch ln chmod chown chgrp stat readlink realpath basename dirname find du df "
    "mount dd truncate head tail wc cut sort uniq tr tee grep egrep fgrep xargs nl rev tac paste fold od hexdump xxd "
    "cmp diff comm split strings less more base64 md5sum sha1sum sha256sum sha512sum cksum gzip gunzip zcat sed awk "
    "tar ps kill "
    "killall pidof pgrep pkill top free vi nslookup nc ping ip ifconfig netstat traceroute arp route telnet wget echo "
    "true false yes sleep printf test [ env printenv pwd date seq expr nohup timeout watch time which uname hostname "
    "arch nproc uptime id whoami groups clear tty sync usleep mktemp setsid tree stty nice ionice unlink factor shuf "
    "expand unexpand dos2unix unix2dos install"
)
_ALPINE_LACKS = {"telnet"}
_ALPINE_ADDS = "getent"
_DEBIAN = (
    "sh bash cat ls mkdir rmdir rm cp mv touch ln chmod chown chgrp stat readlink realpath basename dirname find du df "
    "mount dd truncate head tail wc cut sort uniq tr tee grep egrep fgrep xargs nl tac paste fold od cmp diff comm "
    "split more "
    "base64 md5sum sha1sum sha256sum sha512sum cksum gzip gunzip zcat sed awk tar hostname echo true false yes "
    "sleep printf "
    "test [ env printenv pwd date seq expr nohup timeout which uname arch nproc id whoami groups tty sync mktemp "
    "getent setsid clear stty nice ionice unlink factor shuf expand unexpand"
)
_FAMILY = {
    "docker.io/library/busybox": "busybox", "docker.io/library/alpine": "alpine", "docker.io/library/bash": "alpine",
    "docker.io/curlimages/curl": "alpine", "quay.io/curl/curl": "alpine", "docker.io/nicolaka/netshoot": "alpine",
    "docker.io/wbitt/network-multitool": "alpine", "docker.io/praqma/network-multitool": "alpine",
    "registry.k8s.io/e2e-test-images/agnhost": "alpine", "docker.io/stefanprodan/podinfo": "alpine",
    "ghcr.io/stefanprodan/podinfo": "alpine", "docker.io/library/traefik": "alpine",
    "docker.io/library/registry": "alpine", "docker.io/ealen/echo-server": "alpine",
    "docker.io/istio/tcp-echo-server": "busybox", "docker.io/grafana/grafana": "alpine",
    "docker.io/prom/prometheus": "busybox", "mcr.microsoft.com/azuredocs/aks-helloworld": "debian",
    "docker.io/emissaryingress/emissary": "alpine", "docker.io/datawire/quote": "alpine",
    "registry.k8s.io/echoserver": "debian", "registry.k8s.io/ingress-nginx/controller": "alpine",
}  # fmt: skip
_EXTRA = {
    "docker.io/nicolaka/netshoot": "bash zsh curl dig host nslookup nc tcpdump openssl jq ss getent column nano vim",
    "docker.io/wbitt/network-multitool": "bash curl dig host openssl jq ss",
    "docker.io/praqma/network-multitool": "bash curl dig host openssl jq ss",
    "registry.k8s.io/e2e-test-images/agnhost": "bash curl dig",
    "docker.io/library/bash": "bash",
    "docker.io/library/postgres": "psql pg_isready",
    "docker.io/library/python": "curl wget openssl ps kill top free pgrep",
    "docker.io/library/node": "curl wget openssl ps kill top free pgrep",
    "docker.io/library/golang": "curl wget openssl ps top free",
    "docker.io/library/perl": "curl wget openssl ps top free",
    "docker.io/library/httpd": "openssl apachectl",
    "docker.io/istio/examples-bookinfo-ratings-v1": "curl wget",
    "docker.io/istio/examples-bookinfo-ratings-v2": "curl wget",
    "docker.io/istio/examples-bookinfo-reviews-v1": "curl",
    "docker.io/istio/examples-bookinfo-reviews-v2": "curl",
    "docker.io/istio/examples-bookinfo-reviews-v3": "curl",
    "registry.k8s.io/hpa-example": "",
    "mcr.microsoft.com/oss/v2/istio/proxyv2": "curl pilot-agent openssl ss ip nc",
    "docker.io/istio/proxyv2": "curl pilot-agent openssl ss ip nc",
}
OWN = "ghcr.io/labrunner/"
"""Images of services that only exist for labs (`apps.orders`)."""
_SBIN = {"ip", "ifconfig", "route", "arp", "init"}
_USERS = {
    "curl_user": (100, 101, "/home/curl_user"), "nginx": (101, 101, "/var/cache/nginx"), "app": (100, 101, "/home/app"),
    "postgres": (999, 999, "/var/lib/postgresql"), "redis": (999, 999, "/data"), "nobody": (65534, 65534, "/"),
    "istio-proxy": (1337, 1337, "/home/istio-proxy"), "mysql": (999, 999, "/var/lib/mysql"),
}  # fmt: skip


def family_of(image: Image, reference: Reference | None = None) -> str:
    """Whose tools an image has. A tag that names another base wins (`nginx:alpine`)."""
    if not image.shell:
        return "distroless"
    tag = reference.tag if reference else ""
    if "alpine" in tag:
        return "alpine"
    if image.repository.startswith(OWN):
        return "alpine"
    return _FAMILY.get(image.repository, "debian")


def tree_of(image: Image, reference: Reference | None = None) -> Directory:
    """The image's root directory, frozen."""
    return _tree(image.repository, family_of(image, reference), reference.tag if reference else "")


@functools.lru_cache(maxsize=128)
def _tree(repository: str, family: str, tag: str) -> Directory:
    from labrunner.sandbox.workload import images

    image = images.find(Reference(repository, tag)) or Image(repository)
    root = _base(family, tag)
    extra = "curl openssl" if repository.startswith(OWN) else _EXTRA.get(repository, "")
    for name in extra.split():
        _install(root, family, name)
    for name in image.programs:
        _install(root, family, name)
    for name in {word.rpartition("/")[2] for word in (*image.entrypoint[:1], *image.cmd[:1])}:
        _entry_point(root, family, image, name)
    for user in {image.user, *(u for u in _USERS if u in repository)}:
        _add_user(root, user)
    for path, data in files_of(image, family).items():
        put(root, path, data if isinstance(data, Node) else _file(data))
    put(root, image.workdir.lstrip("/") or "tmp", Directory(None, 0o755, mtime=BUILD_TIME), keep=True)
    freeze(root)
    return root


def _entry_point(root: Directory, family: str, image: Image, name: str) -> None:
    """The program of the default command, where the image's own paths say it is."""
    from labrunner.sandbox.workload.programs import table

    paths = [w for w in (*image.entrypoint[:1], *image.cmd[:1]) if w.rpartition("/")[2] == name]
    path = paths[0]
    target = name if table.exists(name) else f"app:{name}"
    if "/" in path:
        base = image.workdir if path.startswith("./") else "/"
        put(root, f"{base}/{path}".replace("/./", "/").lstrip("/"), _program(target), keep=True)
    elif not _has(root, name):
        put(root, f"usr/local/bin/{name}", _program(target), keep=True)


def _has(root: Directory, name: str) -> bool:
    for folder in ("bin", "usr/bin", "usr/local/bin", "sbin", "usr/sbin"):
        node: Node | None = root
        for part in folder.split("/"):
            node = node.children().get(part) if isinstance(node, Directory) else None
        if isinstance(node, Directory) and name in node.children():
            return True
    return False


def _install(root: Directory, family: str, name: str) -> None:
    """A program where this base has its kind."""
    from labrunner.sandbox.workload.programs import table

    if _has(root, name):
        return
    target = name if table.exists(name) else f"app:{name}"
    if target.startswith("app:") and name in ("nginx", "httpd", "apache2", "go-httpbin"):
        folder = "usr/sbin" if name == "nginx" else "usr/local/apache2/bin" if name == "httpd" else "bin"
    elif family == "debian":
        folder = "usr/bin"
    elif family == "distroless":
        folder = "bin"
    else:
        folder = "usr/bin"
    put(root, f"{folder}/{name}", _program(target))


def _base(family: str, tag: str) -> Directory:
    root = Directory(None, 0o755, mtime=BUILD_TIME)
    for folder in ("dev", "etc", "proc", "sys", "tmp", "var", "root", "home", "usr"):
        put(root, folder, Directory(None, 0o755, mtime=BUILD_TIME))
    tmp = root.entries["tmp"]
    tmp.mode = 0o1777
    root.entries["root"].mode = 0o700
    if family == "scratch":
        return root
    for folder in ("run", "opt", "mnt", "srv", "media", "var/log", "var/cache", "var/lib", "var/tmp", "usr/bin",
                   "usr/sbin", "usr/lib", "usr/share", "usr/local/bin"):  # fmt: skip
        put(root, folder, Directory(None, 0o755, mtime=BUILD_TIME))
    if family == "debian":
        for folder in ("bin", "sbin", "lib"):
            put(root, folder, Symlink(f"usr/{folder}", BUILD_TIME))
        names, home = _DEBIAN.split(), "usr/bin"
    elif family == "distroless":
        put(root, "bin", Directory(None, 0o755, mtime=BUILD_TIME))
        put(root, "sbin", Directory(None, 0o755, mtime=BUILD_TIME))
        names, home = [], "bin"
    else:
        put(root, "bin", Directory(None, 0o755, mtime=BUILD_TIME))
        put(root, "sbin", Directory(None, 0o755, mtime=BUILD_TIME))
        put(root, "lib", Directory(None, 0o755, mtime=BUILD_TIME))
        names = [n for n in _BUSYBOX.split() if family == "busybox" or n not in _ALPINE_LACKS]
        names += _ALPINE_ADDS.split()
        home = "bin"
    for name in names:
        put(root, f"{'sbin' if name in _SBIN and home == 'bin' else home}/{name}", _program(name))
    if names and home == "bin":
        put(root, "bin/busybox", _program("busybox"))
    for path, text in _etc(family, tag).items():
        put(root, path, _file(text))
    put(root, "etc/shadow", File(b"root:*::0:::::\n", 0o600, mtime=BUILD_TIME), keep=True)
    return root


def _etc(family: str, tag: str) -> Mapping[str, str]:
    shell = {"debian": "/bin/bash", "distroless": "/sbin/nologin"}.get(family, "/bin/sh")
    passwd = [
        f"root:x:0:0:root:/root:{shell}", "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin",
        "bin:x:2:2:bin:/bin:/usr/sbin/nologin", "mail:x:8:8:mail:/var/mail:/usr/sbin/nologin",
        "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin", "nobody:x:65534:65534:nobody:/home:/bin/false",
    ]  # fmt: skip
    if family == "distroless":
        passwd = [passwd[0], passwd[-1], "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin"]
    rows = [line.split(":") for line in passwd]
    files = {
        "etc/passwd": "\n".join(passwd) + "\n",
        "etc/group": "\n".join(f"{row[0]}:x:{row[3]}:" for row in rows) + "\n",
        "etc/nsswitch.conf": "hosts: files dns\n",
    }
    if family == "debian":
        files |= {
            "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n'
            'VERSION_ID="12"\nVERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
            'HOME_URL="https://www.debian.org/"\n',
            "etc/debian_version": "12.11\n",
            "etc/profile": 'export PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"\n',
        }
    elif family in ("alpine", "busybox"):
        files |= {"etc/profile": "export PAGER=less\numask 022\n"}
    if family == "alpine":
        files |= {
            "etc/os-release": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME="Alpine Linux v3.22"\n'
            'HOME_URL="https://alpinelinux.org/"\n',
            "etc/alpine-release": "3.22.1\n",
        }
    if family != "busybox":
        files["etc/ssl/certs/ca-certificates.crt"] = ""
    return files


def _add_user(root: Directory, user: str) -> None:
    name, _, _group = user.partition(":")
    if name not in _USERS:
        return
    uid, gid, home = _USERS[name]
    etc = root.entries["etc"]
    assert isinstance(etc, Directory)
    passwd, group = etc.entries.get("passwd"), etc.entries.get("group")
    if not isinstance(passwd, File) or not isinstance(group, File) or f"\n{name}:".encode() in passwd.data:
        return
    passwd.data += f"{name}:x:{uid}:{gid}:Linux User,,,:{home}:/sbin/nologin\n".encode()
    group.data += f"{name}:x:{gid}:\n".encode()
    if home != "/":
        put(root, home.lstrip("/"), Directory(None, 0o755, uid, gid, BUILD_TIME), keep=True)


def _file(data: str | bytes) -> File:
    return File(data.encode() if isinstance(data, str) else data, 0o644, mtime=BUILD_TIME)


def _program(name: str) -> File:
    return File(
        b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00>\x00\x01\x00\x00\x00", 0o755, mtime=BUILD_TIME, program=name
    )


def put(root: Directory, path: str, node: Node, *, keep: bool = False) -> None:
    """Add a node at a path below `root`, making directories on the way; `keep` an existing one."""
    current = root
    parts = [part for part in path.split("/") if part]
    for index, part in enumerate(parts[:-1]):
        child = current.entries.get(part)
        if isinstance(child, Symlink):
            put(root, "/".join([child.target, *parts[index + 1 :]]), node, keep=keep)
            return
        if not isinstance(child, Directory):
            child = current.entries[part] = Directory(None, 0o755, mtime=BUILD_TIME)
        current = child
    if parts and not (keep and parts[-1] in current.entries):
        current.entries[parts[-1]] = node


def devices(terminal: bool) -> Directory:
    """`/dev` of a container."""
    entries: dict[str, Node] = {
        "null": Device("null"), "zero": Device("zero"), "full": Device("full"), "random": Device("random"),
        "urandom": Device("random"), "tty": Device("tty"), "stdin": Device("stdin"), "stdout": Device("stdout"),
        "stderr": Device("stderr"), "shm": Directory(None, 0o1777), "pts": Directory(), "mqueue": Directory(),
        "fd": Symlink("/proc/self/fd", BUILD_TIME), "core": Symlink("/proc/kcore", BUILD_TIME),
    }  # fmt: skip
    if terminal:
        entries["console"] = Device("tty")
    return Directory(entries)
