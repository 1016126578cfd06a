"""Names, addresses and HTTP between pods; nothing of the machine outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from labrunner.sandbox.workload.network import Attempt
from tests.unit.workload_world import World, run, sh


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    yield found
    found.close()


@pytest.fixture
async def shop(world: World) -> World:
    """nginx behind `web`, go-httpbin behind `api`, and a pod `c` with curl."""
    world.pod("web", "nginx")
    world.pod("api", "mccutchen/go-httpbin:v2.15.0", env=[{"name": "USE_REAL_HOSTNAME", "value": "true"}])
    world.service("web", 80, 80, "web")
    world.service("api", 8000, 8080, "api")
    world.pod("c", "curlimages/curl:8.10.1", command=["sleep", "infinity"])
    await asyncio.sleep(0)
    return world


def machine(world: World, name: str) -> object:
    return next(m for m in world.runtime.pods.values() if m.name == name).containers["c"]


async def curl(world: World, *words: str) -> object:
    return await run(machine(world, "c"), "curl", *words)  # type: ignore[arg-type]


CURL = [
    (["-s", "-o", "/dev/null", "-w", "%{http_code} %{exitcode} %{num_connects}", "http://web/"], "200 0 1", 0),
    (["-sS", "-i", "-m", "5", "-w", r"\n@@ %{http_code} %{exitcode}\n", "http://api:8000/status/418"], "@@ 418 0\n", 0),
    (["-sf", "http://web/none"], "", 22),
    (["-s", "-I", "http://web/"], "HTTP/1.1 200 OK\r\n", 0),
    (["-s", "-X", "PUT", "--data-raw", "a=1", "http://api:8000/anything"], '"form": {\n    "a": [\n      "1"', 0),
    (["-s", "-H", "X-Test: yes", "-H", "User-Agent:", "http://api:8000/headers"], '"X-Test": [\n      "yes"\n    ]', 0),
    (["-s", "--json", '{"a":1}', "http://api:8000/post"], '"json": {\n    "a": 1\n  }', 0),
    (["-s", "-L", "http://api:8000/redirect/2"], '"url": "http://api:8000/get"', 0),
    (["-s", "-w", "%{redirect_url}", "-o", "/dev/null", "http://api:8000/redirect-to?url=/ip"], "http://api:8000/ip",
     0),
    (["-s", "-u", "u:p", "http://api:8000/basic-auth/u/p"], '"authorized": true', 0),
    (["-s", "-G", "-d", "q=a b", "--data-urlencode", "r=c d", "http://api:8000/get"], '"q": [\n      "a b"', 0),
    (["-s", "--resolve", "other:8000:10.96.9.9", "-m", "1", "http://other:8000/"], "", 28),
    (["-s", "--connect-to", "x.example:80:web:80", "http://x.example/"], "Welcome to nginx!", 0),
    (["-s", "--path-as-is", "http://api:8000/anything/../x"], '/anything/../x"', 0),
    (["-s", "http://api:8000/anything/../ip"], '"origin"', 0),
    (["-s", "-o", "/dev/null", "-w", "%{http_code} ", "http://api:8000/status/[200-202]"], "200 201 202 ", 0),
    (["-s", "--max-time", "0.2", "http://api:8000/delay/5"], "", 28),
    (["-s", "--fail-with-body", "http://api:8000/status/500"], "", 22),
    (["-sS", "--retry", "2", "--retry-delay", "0.01", "-o", "/dev/null", "-w", "%{num_retries}",
      "http://api:8000/status/503"], "2", 0),
    (["-s", "--compressed", "http://api:8000/gzip"], '"gzipped": true', 0),
    (["-sI", "http://nosuch.example"], "", 6),
    (["-s", "ftp://web/"], "", 1),
    (["-s", "http://web:99999/"], "", 3),
    (["-s", "file:///etc/hostname"], "c\n", 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected", "code"), CURL, ids=lambda v: " ".join(v) if isinstance(v, list) else None
)
async def test_curl(shop: World, words: list[str], expected: str, code: int) -> None:
    outcome = await run(machine(shop, "c"), "curl", *words)  # type: ignore[arg-type]
    assert outcome.code == code, outcome
    assert expected in outcome.out


async def test_curl_keeps_its_connection(shop: World) -> None:
    words = ["-s", "-o", "/dev/null", "-w", "%{num_connects}\n", *["http://api:8000/ip"] * 1]
    outcome = await run(machine(shop, "c"), "curl", "-s", "-o", "/dev/null", "-o", "/dev/null", *words[3:],  # type: ignore[arg-type]
                        "http://api:8000/ip")  # fmt: skip
    assert outcome.out.split() == ["1", "0"]


async def test_curl_in_parallel(shop: World) -> None:
    urls = [word for _ in range(20) for word in ("-o", "/dev/null", "http://api:8000/delay/0.2")]
    argv = ["-sSZ", "--parallel-immediate", "--parallel-max", "20", "-w", "%{http_code}\n", *urls]
    async with asyncio.timeout(3):
        outcome = await run(machine(shop, "c"), "curl", *argv)  # type: ignore[arg-type]
    assert outcome.out.split() == ["200"] * 20


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("http://nosuch", 6, "curl: (6) Could not resolve host: nosuch\n"),
        (
            "http://127.0.0.1:9",
            7,
            "curl: (7) Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn't connect to server\n",
        ),
    ],
)
async def test_curl_says_what_is_wrong(shop: World, url: str, code: int, message: str) -> None:
    outcome = await run(machine(shop, "c"), "curl", "-sS", url)  # type: ignore[arg-type]
    assert (outcome.code, outcome.err) == (code, message)


async def test_who_asks_is_seen_by_its_pod_address(shop: World) -> None:
    outcome = await run(machine(shop, "c"), "curl", "-s", "http://api:8000/ip")  # type: ignore[arg-type]
    pod = shop.api.get("Pod", "c", "default")
    assert pod is not None and json.loads(outcome.out)["origin"] == pod["status"]["podIP"]


async def test_a_service_without_endpoints_refuses(shop: World) -> None:
    shop.service("empty", 80, 80)
    outcome = await run(machine(shop, "c"), "curl", "-sS", "-m", "2", "http://empty")  # type: ignore[arg-type]
    assert outcome.code == 7


async def test_a_policy_drops_silently(shop: World) -> None:
    seen: list[Attempt] = []

    def deny(attempt: Attempt) -> bool:
        seen.append(attempt)
        return attempt.target.port != 8080

    shop.network.policies.append(deny)
    outcome = await run(machine(shop, "c"), "curl", "-sS", "-m", "0.3", "http://api:8000/ip")  # type: ignore[arg-type]
    assert outcome.code == 28
    assert (await run(machine(shop, "c"), "curl", "-s", "http://web/")).code == 0  # type: ignore[arg-type]
    assert seen[-1].asked.port == 80


async def test_names(shop: World) -> None:
    shop.pod("a", command=["sleep", "9"])
    headless = shop.service("peers", 80, 80, "a", "web", cluster_ip="None")
    assert headless == "None"
    shop.api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "alias", "namespace": "default"},
                  "spec": {"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}})  # fmt: skip
    pod = next(m for m in shop.runtime.pods.values() if m.name == "a")
    web, a = shop.api.get("Pod", "web", "default"), shop.api.get("Pod", "a", "default")
    service = shop.api.get("Service", "web", "default")
    assert web is not None and a is not None and service is not None
    address = service["spec"]["clusterIP"]
    resolve = shop.network.resolve
    for name in (
        "web",
        "web.default",
        "web.default.svc",
        "web.default.svc.cluster.local",
        "web.default.svc.cluster.local.",
        "alias",
    ):
        assert resolve(pod, name) == [address], name
    assert set(resolve(pod, "peers")) == {a["status"]["podIP"], web["status"]["podIP"]}
    assert resolve(pod, "web.peers") == [web["status"]["podIP"]]
    assert resolve(pod, "10-244-0-9.default.pod.cluster.local") == []  # there is no such namespace object here
    assert resolve(pod, "localhost") == ["127.0.0.1"]
    assert resolve(pod, "a") == [a["status"]["podIP"]]
    for name in ("nosuch", "web.other", "example.com", "a..b", "-", "x" * 300):
        assert resolve(pod, name) == [], name


async def test_nslookup_as_busybox_prints_it(shop: World) -> None:
    box = shop.pod("box", "busybox", command=["sleep", "9"])
    service = shop.api.get("Service", "web", "default")
    assert service is not None
    outcome = await sh(box, "nslookup web.default.svc.cluster.local; nslookup kubernetes.default")
    assert outcome.out == (
        "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\nName:\tweb.default.svc.cluster.local\n"
        f"Address: {service['spec']['clusterIP']}\n\n\nServer:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n"
        "** server can't find kubernetes.default: NXDOMAIN\n\n** server can't find kubernetes.default: NXDOMAIN\n\n"
    )


async def test_netcat_talks_to_tcp_echo(shop: World) -> None:
    shop.pod("line", "istio/tcp-echo-server:1.3", args=["9000,9001", "hello"])
    shop.service("line", 9000, 9000, "line")
    box = shop.pod("box", command=["sleep", "9"])
    assert (await sh(box, "echo knock-knock | nc -w 3 line 9000")).out == "hello knock-knock\n"
    assert (await sh(box, "nc -zv line 9000")).err.endswith(":9000) open\n")
    assert (
        await sh(box, "(echo served | nc -l -p 7000) & sleep 0.05; nc -w 1 127.0.0.1 7000 < /dev/null")
    ).out == "served\n"


async def test_bookinfo_calls_its_services(shop: World) -> None:
    for name, image in (
        ("details", "details-v1"),
        ("ratings", "ratings-v1"),
        ("reviews", "reviews-v3"),
        ("productpage", "productpage-v1"),
    ):
        shop.pod(name, f"docker.io/istio/examples-bookinfo-{image}:1.20.3")
        shop.service(name, 9080, 9080, name)
    page = await run(machine(shop, "c"), "curl", "-s", "http://productpage:9080/productpage")  # type: ignore[arg-type]
    assert "<title>Simple Bookstore App</title>" in page.out and 'color="red"' in page.out and "PublisherA" in page.out
    shop.runtime.stop(shop.api.get("Pod", "ratings", "default"), {"name": "c"})  # type: ignore[arg-type]
    await asyncio.sleep(0)
    reviews = await run(machine(shop, "c"), "curl", "-s", "http://reviews:9080/reviews/0")  # type: ignore[arg-type]
    assert "Ratings service is currently unavailable" in reviews.out


async def test_nginx_reads_its_configuration(shop: World) -> None:
    shop.api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", "namespace": "default"},
                  "data": {
        "default.conf": "server { listen 8081; location / { return 200 'mine\\n'; } location /api/ { proxy_pass "
                        "http://api:8000/; } "
                        "location = /gone { return 410; } add_header X-From nginx; }"}})  # fmt: skip
    proxy = shop.pod(
        "proxy", "nginx", volumeMounts=[{"name": "conf", "mountPath": "/etc/nginx/conf.d"}],
        spec={"volumes": [{"name": "conf", "configMap": {"name": "conf"}}]},
    )  # fmt: skip
    shop.service("proxy", 80, 8081, "proxy")
    await asyncio.sleep(0)
    client = machine(shop, "c")
    outcome = await run(client, "curl", "-si", "http://proxy/x")  # type: ignore[arg-type]
    assert outcome.out.endswith("mine\n") and "X-From: nginx" in outcome.out
    assert '"url": "http://api:8000/get"' in (await run(client, "curl", "-s", "http://proxy/api/get")).out  # type: ignore[arg-type]
    assert "410 Gone" in (await run(client, "curl", "-s", "http://proxy/gone")).out  # type: ignore[arg-type]
    assert (await run(proxy, "nginx", "-t")).code == 0
    assert 'GET /x HTTP/1.1" 200' in b"".join(e.data for e in proxy.log.entries()).decode()


async def test_nothing_of_the_host_is_reachable(shop: World) -> None:
    """A server on the host's loopback: neither its address nor any alias of it leads there."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    box = shop.pod("box", command=["sleep", "9"])
    real = shop.network.plan.real_ip("10.244.0.2")
    for target in ("127.0.0.1", "localhost", "0.0.0.0", "127.1.2.3", real):
        outcome = await sh(box, f"echo x | nc -w 1 {target} {port}")
        assert outcome.code == 1, target
    for target in ("10.224.0.4", "192.168.1.1", "169.254.169.254", "172.17.0.1"):
        outcome = await run(machine(shop, "c"), "curl", "-s", "-m", "0.1", f"http://{target}:{port}/")  # type: ignore[arg-type]
        assert outcome.code == 28, target
    server.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await server.wait_closed()
    assert asked == []


async def test_nothing_of_the_hosts_files_is_seen(world: World, tmp_path: object) -> None:
    secret = f"{tmp_path}/secret"
    with open(secret, "w") as file:
        file.write("host")
    box = world.pod("box", "curlimages/curl:8.10.1", command=["sleep", "9"])
    outcome = await sh(
        box, f"cat {secret}; curl -s file://{secret}; ls /proc/self/root{secret}; . {secret}; cat < {secret}"
    )
    assert "host" not in outcome.out.replace("hosts", "")
    assert (await sh(box, "cat /etc/passwd")).out.startswith("root:x:0:0:root:/root:/bin/sh\n")
    assert (await sh(box, "ls /home")).out == "curl_user\n"


async def test_ping_reaches_pods_and_no_service_addresses(world: World) -> None:
    box = world.pod("box", command=["sleep", "infinity"])
    world.pod("web", "nginx")
    address = world.service("web", 80, 80, "web")
    pod = world.api.get("Pod", "web", "default")
    assert pod is not None
    ip = pod["status"]["podIP"]
    outcome = await sh(box, f"ping -c 2 -i 0.01 {ip} | sed 's/time=.*/time/; /round-trip/d'")
    assert outcome.out == (
        f"PING {ip} ({ip}): 56 data bytes\n64 bytes from {ip}: seq=0 ttl=62 time\n"
        f"64 bytes from {ip}: seq=1 ttl=62 time\n"
        f"\n--- {ip} ping statistics ---\n2 packets transmitted, 2 packets received, 0% packet loss\n"
    )
    outcome = await sh(box, "ping -c 1 -W 0.01 web")
    assert (outcome.code, "1 packets transmitted, 0 packets received, 100% packet loss" in outcome.out) == (1, True)
    assert outcome.out.startswith(f"PING web ({address}): 56 data bytes\n")
    assert (await sh(box, "ping -c 1 nosuch")).err == "ping: bad address 'nosuch'\n"


async def test_dig_shows_the_sections_that_are_asked_for(world: World) -> None:
    netshoot = world.pod("net", "nicolaka/netshoot", command=["sleep", "infinity"])
    world.pod("web", "nginx")
    address = world.service("web", 80, 80, "web")
    name = "web.default.svc.cluster.local"
    assert (await sh(netshoot, f"dig {name} +noall +answer")).out == f"{name}.\t30\tIN\tA\t{address}\n"
    shown = (await sh(netshoot, f"dig {name} +nostats +nocmd")).out
    assert shown.startswith(";; Got answer:\n") and "Query time" not in shown
