"""The images that labs use: what each is, what it runs by itself, and what it listens on.

Purely declarative. A repository that is not here cannot be pulled, as a misspelt one cannot from a real registry.
Sources: the images' own Dockerfiles and configs on their registries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Does = Literal["serves", "ends", "fails", "waits"]
"""What the default command does: serve until stopped, end at once with 0, end at once with 1, wait without serving."""


@dataclass(frozen=True, slots=True)
class Image:
    """One repository. `ports` are those the default command listens on."""

    repository: str
    """Normalised: with registry and `library/`."""
    does: Does = "serves"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"
    workdir: str = "/"
    ports: tuple[int, ...] = ()
    start_seconds: float = 0.4
    """From start until the ports answer."""
    size: int = 40_000_000
    """Compressed bytes, as the Pulled event says."""
    shell: bool = True
    """False for distroless images: there is no `sh` to exec."""
    newest: tuple[int, ...] = ()
    """Highest version published; a higher tag is not found. Empty: any well-formed tag exists."""
    programs: tuple[str, ...] = ()
    """Programs beyond the usual ones of a shell image, by name."""
    tasks: tuple[str, ...] = ()
    """First arguments with which the entrypoint does one thing and ends, instead of serving."""
    stops_at_once: bool = True
    """Ends on SIGTERM instead of waiting to be killed."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed image reference."""

    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """As containerd names it: registry, path and tag written out."""
        if self.digest:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}"


_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"^(?P<name>(?:[A-Za-z0-9.-]+(?::\d+)?/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?$"
)
_TAG_WORDS = (
    "latest|stable|mainline|edge|main|master|release|alpine|slim|debug|perl|otel|lts|current|bookworm|bullseye|trixie"
    "|buster|noble|jammy|focal|jdk|jre|fpm|apache|glibc|musl|uclibc|nonroot|distroless|windows|ubi9|management|minimal"
)
_PLAUSIBLE_TAG = re.compile(
    rf"^(?:v?\d+(?:\.\d+)*|{_TAG_WORDS}|asm-\d+(?:-\d+)+)(?:[-._+]?(?:{_TAG_WORDS}|[a-z]*\d[\w]*))*$"
)


def parse_reference(text: str) -> Reference | None:
    """None when it is not a valid reference. `nginx` is `docker.io/library/nginx:latest`."""
    found = _REFERENCE.match(text)
    if not found:
        return None
    name = found["name"]
    first, slash, _rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        if first != first.lower():
            return None
        name = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    elif name.startswith("index.docker.io/"):
        name = name.removeprefix("index.")
    if name.startswith("docker.io/") and name.count("/") == 1:
        name = name.replace("docker.io/", "docker.io/library/")
    tag = found["tag"] or ("" if found["digest"] else "latest")
    return Reference(name, tag, found["digest"] or "")


def find(reference: Reference) -> Image | None:
    """The image of a repository, whatever the tag; one known by its prefix has the repository's whole name."""
    if image := _TABLE.get(reference.repository):
        return image
    family = next((image for prefix, image in _FAMILIES.items() if reference.repository.startswith(prefix)), None)
    return replace(family, repository=reference.repository) if family else None


def has_tag(image: Image, reference: Reference) -> bool:
    """Whether the registry would have this tag: a well-formed version or a usual word, not above `newest`."""
    if reference.digest or not reference.tag:
        return True
    if not _PLAUSIBLE_TAG.match(reference.tag):
        return False
    version = re.match(r"v?(\d+(?:\.\d+)*)", reference.tag)
    if not version or not image.newest:
        return True
    numbers = tuple(int(n) for n in version[1].split("."))
    depth = min(len(numbers), len(image.newest))
    return numbers[:depth] <= image.newest[:depth]


def _library(name: str, **fields: object) -> Image:
    return Image(f"docker.io/library/{name}", **fields)  # type: ignore[arg-type]


_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_NGINX = {
    "entrypoint": ("/docker-entrypoint.sh",),
    "cmd": ("nginx", "-g", "daemon off;"),
    "env": {**_PATH, "NGINX_VERSION": "1.29.3"},
    "ports": (80,),
    "programs": ("nginx", "curl", "openssl"),
}
_SHELL = {"does": "ends", "stops_at_once": False, "env": _PATH}


_BOOKINFO_NAMES = (
    "productpage-v1", "details-v1", "details-v2", "ratings-v1", "ratings-v2", "reviews-v1", "reviews-v2", "reviews-v3",
    "mongodb", "mysqldb", "productpage-v-flooding", "ratings-v-delayed", "ratings-v-faulty", "ratings-v-unavailable",
    "ratings-v-unhealthy",
)  # fmt: skip


def _bookinfo(name: str) -> Image:
    repository = f"docker.io/istio/examples-bookinfo-{name}"
    return Image(repository, env=_PATH, user="1000", ports=(9080,), start_seconds=1.0, size=110_000_000)


_IMAGES: list[Image] = [
    _library("nginx", size=72_000_000, newest=(1, 31), **_NGINX),
    Image("docker.io/nginxinc/nginx-unprivileged", **{**_NGINX, "ports": (8080,), "user": "101"}),  # type: ignore[arg-type]
    _library(
        "httpd",
        cmd=("httpd-foreground",),
        ports=(80,),
        env=_PATH,
        size=60_000_000,
        newest=(2, 4),
        workdir="/usr/local/apache2",
        programs=("httpd", "httpd-foreground"),
    ),
    _library("busybox", cmd=("sh",), size=2_200_000, newest=(1, 39), **_SHELL),
    _library("alpine", cmd=("/bin/sh",), size=3_800_000, newest=(3, 25), **_SHELL),
    _library("ubuntu", cmd=("/bin/bash",), size=29_000_000, newest=(27,), **_SHELL),
    _library("debian", cmd=("bash",), size=48_000_000, newest=(14,), **_SHELL),
    _library("bash", cmd=("bash",), size=6_000_000, entrypoint=("docker-entrypoint.sh",), **_SHELL),
    _library("hello-world", does="ends", cmd=("/hello",), size=2_400, shell=False, programs=("hello",)),
    _library(
        "python", cmd=("python3",), size=360_000_000, newest=(3, 16), programs=("python", "python3", "pip"), **_SHELL
    ),
    _library(
        "node",
        cmd=("node",),
        entrypoint=("docker-entrypoint.sh",),
        size=390_000_000,
        newest=(27,),
        programs=("node", "npm"),
        **_SHELL,
    ),
    _library("golang", cmd=("bash",), size=300_000_000, programs=("go",), **_SHELL),
    _library("perl", cmd=("perl-user-prompt",), size=320_000_000, programs=("perl",), **_SHELL),
    _library(
        "redis",
        entrypoint=("docker-entrypoint.sh",),
        cmd=("redis-server",),
        ports=(6379,),
        env=_PATH,
        size=45_000_000,
        newest=(8,),
        programs=("redis-server", "redis-cli"),
        workdir="/data",
    ),
    _library(
        "postgres",
        entrypoint=("docker-entrypoint.sh",),
        cmd=("postgres",),
        ports=(5432,),
        start_seconds=1.5,
        env={**_PATH, "PGDATA": "/var/lib/postgresql/data"},
        size=150_000_000,
        newest=(19,),
        programs=("postgres", "psql", "pg_isready"),
    ),
    _library(
        "mysql",
        entrypoint=("docker-entrypoint.sh",),
        cmd=("mysqld",),
        ports=(3306, 33060),
        start_seconds=2.0,
        env=_PATH,
        size=230_000_000,
        programs=("mysqld", "mysql", "mysqladmin"),
    ),
    _library(
        "mariadb",
        entrypoint=("docker-entrypoint.sh",),
        cmd=("mariadbd",),
        ports=(3306,),
        start_seconds=1.5,
        env=_PATH,
        size=110_000_000,
        programs=("mariadbd", "mariadb"),
    ),
    _library(
        "mongo",
        entrypoint=("docker-entrypoint.sh",),
        cmd=("mongod",),
        ports=(27017,),
        start_seconds=1.5,
        env=_PATH,
        size=280_000_000,
        programs=("mongod", "mongosh"),
    ),
    _library(
        "memcached",
        entrypoint=("docker-entrypoint.sh",),
        cmd=("memcached",),
        ports=(11211,),
        user="11211",
        env=_PATH,
        size=30_000_000,
        programs=("memcached",),
    ),
    _library(
        "rabbitmq",
        entrypoint=("docker-entrypoint.sh",),
        cmd=("rabbitmq-server",),
        ports=(5672,),
        start_seconds=2.0,
        env=_PATH,
        size=100_000_000,
        programs=("rabbitmq-server",),
    ),
    _library("traefik", entrypoint=("/entrypoint.sh",), cmd=("traefik",), ports=(80,), programs=("traefik",)),
    _library("haproxy", does="fails", entrypoint=("docker-entrypoint.sh",), programs=("haproxy",)),
    _library("registry", entrypoint=("/entrypoint.sh",), cmd=("/etc/distribution/config.yml",), ports=(5000,)),
    Image(
        "docker.io/curlimages/curl",
        "ends",
        ("/entrypoint.sh",),
        ("curl",),
        _PATH,
        "curl_user",
        size=9_500_000,
        newest=(8, 99),
        programs=("curl",),
        stops_at_once=False,
    ),
    Image(
        "quay.io/curl/curl",
        "ends",
        ("/entrypoint.sh",),
        ("curl",),
        _PATH,
        "curl_user",
        size=9_500_000,
        programs=("curl",),
        stops_at_once=False,
    ),
    Image(
        "docker.io/nicolaka/netshoot",
        "ends",
        cmd=("zsh",),
        env=_PATH,
        size=200_000_000,
        stops_at_once=False,
        programs=("curl", "dig", "nslookup", "nc", "tcpdump", "openssl", "zsh", "iperf3", "jq"),
    ),
    Image(
        "docker.io/wbitt/network-multitool",
        "serves",
        ("/bin/sh", "/docker/entrypoint.sh"),
        ("/usr/sbin/nginx", "-g", "daemon off;"),
        _PATH,
        ports=(80, 443),
        programs=("curl", "dig", "nginx"),
    ),
    Image("docker.io/praqma/network-multitool", "serves", env=_PATH, ports=(80, 443), programs=("curl", "dig")),
    Image(
        "docker.io/mccutchen/go-httpbin",
        "serves",
        cmd=("/bin/go-httpbin",),
        ports=(8080,),
        shell=False,
        user="65532",
        programs=("go-httpbin",),
        size=12_000_000,
    ),
    Image(
        "ghcr.io/mccutchen/go-httpbin",
        "serves",
        cmd=("/bin/go-httpbin",),
        ports=(8080,),
        shell=False,
        user="65532",
        programs=("go-httpbin",),
        size=12_000_000,
    ),
    Image(
        "docker.io/kennethreitz/httpbin",
        "serves",
        cmd=("gunicorn", "-b", "0.0.0.0:80", "httpbin:app", "-k", "gevent"),
        env=_PATH,
        ports=(80,),
        programs=("gunicorn", "python3"),
        size=190_000_000,
    ),
    Image("docker.io/kong/httpbin", "serves", cmd=("gunicorn",), env=_PATH, ports=(80,), programs=("gunicorn",)),
    Image(
        "docker.io/istio/tcp-echo-server",
        "serves",
        ("/bin/tcp-echo",),
        ("9000", "hello"),
        ports=(9000,),
        programs=("tcp-echo",),
        size=3_000_000,
    ),
    Image(
        "docker.io/fortio/fortio",
        "serves",
        ("/usr/bin/fortio",),
        ("server",),
        ports=(8080, 8079, 8078),
        shell=False,
        programs=("fortio",),
        size=15_000_000,
    ),
    Image(
        "docker.io/hashicorp/http-echo",
        "serves",
        ("/http-echo",),
        ports=(5678,),
        shell=False,
        programs=("http-echo",),
        size=3_000_000,
    ),
    Image("docker.io/ealen/echo-server", "serves", cmd=("./echo-server",), ports=(80,), programs=("node",)),
    Image("docker.io/jmalloc/echo-server", "serves", ("/bin/echo-server",), ports=(8080,), shell=False),
    Image(
        "docker.io/stefanprodan/podinfo",
        "serves",
        cmd=("./podinfo",),
        ports=(9898, 9797),
        user="app",
        programs=("podinfo",),
        size=30_000_000,
    ),
    Image(
        "ghcr.io/stefanprodan/podinfo",
        "serves",
        cmd=("./podinfo",),
        ports=(9898, 9797),
        user="app",
        programs=("podinfo",),
        size=30_000_000,
    ),
    Image("docker.io/datawire/quote", "serves", ports=(8080,), size=20_000_000),
    Image("docker.io/bitnami/kubectl", "ends", ("kubectl",), env=_PATH, user="1001", programs=("kubectl",)),
    Image("docker.io/bitnamilegacy/kubectl", "ends", ("kubectl",), env=_PATH, user="1001", programs=("kubectl",)),
    Image("docker.io/grafana/grafana", "serves", ("/run.sh",), ports=(3000,), user="472", start_seconds=1.5),
    Image("docker.io/prom/prometheus", "serves", ("/bin/prometheus",), ports=(9090,), user="nobody"),
    Image("docker.io/jaegertracing/all-in-one", "serves", ports=(16686, 14268), shell=False),
    Image("docker.io/emissaryingress/emissary", "serves", ports=(8080, 8443, 8877), start_seconds=2.0),
    Image("docker.io/openpolicyagent/opa", "serves", ("/opa",), ("run",), ports=(8181,), user="1000", shell=False),
    Image("registry.k8s.io/pause", "waits", ("/pause",), shell=False, size=320_000, user="65535"),
    *(
        Image(f"gcr.io/{project}/pause", "waits", ("/pause",), shell=False, size=320_000, user="65535")
        for project in ("google_containers", "google-containers")
    ),
    Image("registry.k8s.io/echoserver", "serves", ports=(8080,)),
    Image("registry.k8s.io/metrics-server/metrics-server", "serves", ("/metrics-server",), ports=(10250,), shell=False),
    Image("registry.k8s.io/coredns/coredns", "serves", ("/coredns",), ports=(53, 8080, 8181, 9153), shell=False),
    Image("registry.k8s.io/ingress-nginx/controller", "serves", ("/usr/bin/dumb-init", "--"), ports=(80, 443, 10254)),
    Image("registry.k8s.io/hpa-example", "serves", cmd=("apache2-foreground",), ports=(80,)),
    Image("registry.k8s.io/e2e-test-images/agnhost", "waits", ("/agnhost",), ("pause",), programs=("agnhost",)),
    Image("mcr.microsoft.com/azuredocs/aks-helloworld", "serves", ports=(80,), size=350_000_000),
    Image("mcr.microsoft.com/azurelinux/base/core", "ends", cmd=("bash",), env=_PATH, stops_at_once=False),
    Image("mcr.microsoft.com/oss/kubernetes/coredns", "serves", ("/coredns",), ports=(53, 8080, 8181), shell=False),
    Image("mcr.microsoft.com/dotnet/samples", "serves", ports=(8080,)),
    Image("gcr.io/distroless/static", "fails", shell=False),
    *(_bookinfo(name) for name in _BOOKINFO_NAMES),
]
_PROXY = {
    "entrypoint": ("/usr/local/bin/pilot-agent",),
    "tasks": ("istio-iptables", "istio-clean-iptables", "version", "request", "wait"),
    "ports": (15001, 15006, 15020, 15021, 15090),
    "user": "1337",
    "start_seconds": 0.6,
    "size": 95_000_000,
    "env": _PATH,
    "programs": ("pilot-agent", "envoy", "curl", "openssl"),
}
_PILOT = {"entrypoint": ("/usr/local/bin/pilot-discovery",), "ports": (8080, 15010, 15012, 15014, 15017),
          "user": "1337", "start_seconds": 1.0, "size": 76_000_000, "env": _PATH,
          "programs": ("pilot-discovery",)}  # fmt: skip
_IMAGES += [
    Image("docker.io/istio/proxyv2", **_PROXY),  # type: ignore[arg-type]
    Image("mcr.microsoft.com/oss/v2/istio/proxyv2", **_PROXY),  # type: ignore[arg-type]
    Image("docker.io/istio/pilot", **_PILOT),  # type: ignore[arg-type]
    Image("mcr.microsoft.com/oss/v2/istio/pilot", **_PILOT),  # type: ignore[arg-type]
]
_TABLE = {image.repository: image for image in _IMAGES}
_FAMILIES = {
    "ghcr.io/labrunner/": Image("ghcr.io/labrunner/", env=_PATH, ports=(8080,), user="1000", size=18_000_000),
    "gcr.io/google-samples/": Image("gcr.io/google-samples/", ports=(8080,)),
    "us-docker.pkg.dev/google-samples/": Image("us-docker.pkg.dev/google-samples/", ports=(8080,)),
    "mcr.microsoft.com/oss/": Image("mcr.microsoft.com/oss/", ports=(8080,)),
    "quay.io/jetstack/cert-manager-": Image("quay.io/jetstack/cert-manager-", ports=(9402, 10250), shell=False),
}
"""Repositories known by prefix: sample applications that serve on the port they name."""
