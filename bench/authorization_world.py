"""Random worlds for the authorization fuzz: workloads with policies of every field and condition, and requests."""

from __future__ import annotations

import base64
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from labrunner.sandbox.mesh.model import Config, Endpoint, MeshConfig, Service, ServicePort, Workload, World

ROOT = "istio-system"
NAMESPACES = ("foo", "bar", "prod-eu")
ACCOUNTS = ("default", "sleep", "frontend", "api-v2")
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
PATHS = (
    "/", "/info", "/info/a", "/admin", "/admin/", "/admin/users?x=1", "/a/b/c", "/A/b", "/info/../admin", "/./info",
    "//admin", "/%61dmin", "/a%2Fb", "/info?admin", "/x/y/z.html", "/a/b/c/d/status", "/data.json", "/a\\b", "/..",
    "/info/.", "/%2e%2e/admin", "/a;b=1", "/a%20b",
)  # fmt: skip
PATH_PATTERNS = (
    "/info", "/info*", "*/users", "/admin", "/admin/*", "*", "*.html", "/a/b/c", "/", "/a/{*}/c", "/a/{**}",
    "/{*}", "/{**}/status", "/x/{*}/z.html", "/A/b", "/a/b", "/info/*",
)  # fmt: skip
HOSTS = ("web.foo.svc.cluster.local", "WEB.foo", "web.foo:8080", "example.com", "api.example.com", "web")
HOST_PATTERNS = ("web.foo", "web.*", "*.example.com", "*", "example.com", "Web.Foo:8080", "*.local", "web.foo:*")
HEADERS = {
    "x-token": ("admin", "guest", "admin-2", ""),
    "user-agent": ("curl/8.1", "Mozilla/5.0", "probe"),
    "x-role": ("a", "ab", "b"),
}
ISSUERS = ("https://issuer.example/realm", "testing@secure.istio.io")
SUBJECTS = ("alice", "bob", "svc/robot")
AUDIENCES = ("api", "web", "https://api.example/")
GROUPS = ("dev", "ops", "dev-eu")


@dataclass(frozen=True)
class Key:
    """A signing key and its public half as a JWK Set."""

    private: rsa.RSAPrivateKey
    kid: str

    @property
    def jwks(self) -> str:
        numbers = self.private.public_key().public_numbers()
        e, n = (_b64(v.to_bytes((v.bit_length() + 7) // 8, "big")) for v in (numbers.e, numbers.n))
        return json.dumps({"keys": [{"kty": "RSA", "kid": self.kid, "e": e, "n": n}]})

    def sign(self, claims: dict[str, Any]) -> str:
        head = _b64(json.dumps({"alg": "RS256", "kid": self.kid, "typ": "JWT"}).encode())
        text = f"{head}.{_b64(json.dumps(claims).encode())}"
        return f"{text}.{_b64(self.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@dataclass(frozen=True)
class Request:
    """One request or TCP connection to a workload. `identity` empty: plaintext."""

    workload: int
    identity: str = ""
    source: str = "10.244.9.1"
    sni: str = ""
    method: str = "GET"
    path: str = "/"
    host: str = "web"
    headers: dict[str, str] = field(default_factory=dict)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Generator:
    """Everything random comes from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.keys = [Key(rsa.generate_private_key(65537, 2048), f"k{i}") for i in range(2)]
        self.stranger = Key(rsa.generate_private_key(65537, 2048), "k0")
        self.tokens: list[str] = []
        self._make_tokens(40)

    # worlds

    def world(self, count: int) -> World:
        """`count` workloads, each in a namespace of its own with policies of its own; every third speaks TCP."""
        workloads, services = [], []
        policies: list[Config] = []
        requests: list[Config] = []
        for index in range(count):
            tcp = index % 3 == 2
            port = self.random.choice((8080, 80, 9000))
            namespace = f"t{index}"
            address = f"10.244.{index // 200 + 1}.{index % 200 + 1}"
            workload = Workload(
                f"w{index}", namespace, {"app": f"w{index}", "tier": "x"}, "server", address, True, app_ports=(port,)
            )
            workloads.append(workload)
            service_port = ServicePort("tcp-db" if tcp else "http-web", port, port)
            endpoints = {port: [Endpoint(address, port, workload)]}
            host = f"w{index}.{namespace}.svc.cluster.local"
            services.append(Service(host, f"w{index}", namespace, (), (service_port,), endpoints))
            for number in range(self.random.choice((0, 1, 1, 2, 3, 4))):
                policies.append(self._policy(workload, number, port))
            if not tcp and self.random.random() < 0.5:
                requests.append(self._request_authentication(workload))
        configs = {"AuthorizationPolicy": policies, "RequestAuthentication": requests}
        return World(MeshConfig(), tuple(workloads), tuple(services), configs, {}, {})

    def _policy(self, workload: Workload, number: int, port: int) -> Config:
        namespace = workload.namespace if self.random.random() < 0.8 else ROOT
        wanted = {"matchLabels": {"app": workload.labels["app"]}}
        spec: dict[str, Any] = {"selector": wanted} if namespace == ROOT or self.random.random() < 0.5 else {}
        action = self.random.choice(("ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "AUDIT"))
        if action != "ALLOW" or self.random.random() < 0.5:
            spec["action"] = action
        if self.random.random() < 0.95:
            spec["rules"] = [self._rule(port) for _ in range(self.random.choice((1, 1, 2, 3)))]
        metadata: dict[str, Any] = {"name": f"p{number}-{workload.name}", "namespace": namespace}
        if self.random.random() < 0.1:
            metadata["annotations"] = {"istio.io/dry-run": "true"}
        return {"kind": "AuthorizationPolicy", "metadata": metadata, "spec": spec}

    def _rule(self, port: int) -> dict[str, Any]:
        rule: dict[str, Any] = {}
        if self.random.random() < 0.6:
            rule["from"] = [{"source": self._fields(self._source_values, 2)} for _ in range(self._few())]
        if self.random.random() < 0.6:
            rule["to"] = [
                {"operation": self._fields(lambda: self._operation_values(port), 2)} for _ in range(self._few())
            ]
        if self.random.random() < 0.4:
            rule["when"] = [self._when(port) for _ in range(self._few())]
        return rule

    def _few(self) -> int:
        return self.random.choice((1, 1, 1, 2))

    def _fields(self, values: Any, most: int) -> dict[str, Any]:
        table = values()
        found: dict[str, Any] = {}
        for name in self.random.sample(sorted(table), self.random.randint(1, most)):
            key = "not" + name[0].upper() + name[1:] if self.random.random() < 0.25 else name
            found[key] = self._some(table[name])
        return found

    def _some(self, pool: Any) -> list[str]:
        return self.random.sample(list(pool), min(len(pool), self._few()))

    def _source_values(self) -> dict[str, Any]:
        r = self.random
        if r.random() < 0.3:
            return {
                "serviceAccounts": (*ACCOUNTS, "foo/sleep", "bar/default", "foo/frontend"),
                "ipBlocks": self._blocks(),
            }
        return {
            "principals": self._principals(),
            "namespaces": ("foo", "bar", "f*", "*", "prod-*", "*-eu"),
            "requestPrincipals": self._request_principals(),
            "ipBlocks": self._blocks(),
            "remoteIpBlocks": ("203.0.113.0/24", "198.51.100.7", "10.244.9.0/24", "0.0.0.0/0", "2001:db8::/32"),
        }

    def _principals(self) -> tuple[str, ...]:
        return (
            "*", "cluster.local/ns/foo/sa/sleep", "cluster.local/ns/foo/*", "*/sa/default", "cluster.local/ns/bar/sa/*",
            "*/ns/prod-eu/sa/frontend", "spiffe", "cluster.local/*",
        )  # fmt: skip

    def _request_principals(self) -> tuple[str, ...]:
        one, two = ISSUERS
        return ("*", f"{one}/alice", f"{two}/*", f"{one}/*", "*/bob", "*/robot", f"{two}/svc/robot", "https*", "*ice")

    def _blocks(self) -> tuple[str, ...]:
        return ("10.244.9.0/24", "10.244.9.1", "10.244.8.0/22", "10.0.0.0/8", "192.0.2.1", "0.0.0.0/0", "10.244.7.3/32")

    def _operation_values(self, port: int) -> dict[str, Any]:
        return {
            "hosts": HOST_PATTERNS,
            "methods": (*METHODS, "*", "P*", "*T"),
            "paths": PATH_PATTERNS,
            "ports": (str(port), "8080", "81"),
        }

    def _when(self, port: int) -> dict[str, Any]:
        pools: dict[str, Any] = {
            "destination.port": (str(port), "8080", "81"),
            "destination.ip": ("10.244.1.0/25", "10.244.0.0/16", "192.0.2.0/24", "10.244.1.7"),
            "connection.sni": ("outbound_.80_._.web", "*.example", "outbound*", "*"),
            "source.ip": self._blocks(),
            "remote.ip": ("203.0.113.0/24", "198.51.100.7", "0.0.0.0/0"),
            "source.namespace": ("foo", "b*", "*"),
            "source.principal": self._principals(),
            "source.serviceAccount": ("foo/sleep", "sleep"),
            "request.auth.principal": self._request_principals(),
            "request.auth.audiences": ("api", "web", "*", "ap*"),
            "request.auth.presenter": ("client-a", "client-*", "*"),
            "request.auth.claims[groups]": ("dev", "dev*", "*eu", "*"),
            "request.auth.claims[scope]": ("read", "write", "read:*"),
            "request.auth.claims[nested][key]": ("one", "t*"),
            "request.auth.claims[iss]": ISSUERS,
            "request.headers[x-token]": ("admin", "admin*", "*", "*est"),
            "request.headers[User-Agent]": ("curl*", "*/5.0", "*"),
            "request.headers[x-role]": ("a", "*b", "b"),
            "request.headers[authorization]": ("*", "Bearer*"),
            "request.headers[x-sub]": ("alice", "*"),
            "no.such.key": ("x",),
        }
        key = self.random.choice(sorted(pools))
        name = "notValues" if self.random.random() < 0.25 else "values"
        found = {"key": key, name: self._some(pools[key])}
        if self.random.random() < 0.1:
            found["notValues"] = self._some(pools[key])
        return found

    def _request_authentication(self, workload: Workload) -> Config:
        rules = []
        for index in self.random.sample((0, 1), self._few()):
            rule: dict[str, Any] = {"issuer": ISSUERS[index], "jwks": self.keys[index].jwks}
            if self.random.random() < 0.3:
                rule["audiences"] = self._some(AUDIENCES)
            if self.random.random() < 0.3:
                rule["forwardOriginalToken"] = True
            place = self.random.random()
            if place < 0.15:
                rule["fromHeaders"] = [{"name": "x-jwt", **({"prefix": "Tok "} if place < 0.07 else {})}]
            elif place < 0.25:
                rule["fromParams"] = ["token"]
            elif place < 0.3:
                rule["fromCookies"] = ["session"]
            if self.random.random() < 0.2:
                rule["outputClaimToHeaders"] = [{"header": "x-sub", "claim": "sub"}]
            rules.append(rule)
        metadata = {"name": f"ra-{workload.name}", "namespace": workload.namespace}
        return {"kind": "RequestAuthentication", "metadata": metadata, "spec": {"jwtRules": rules}}

    # requests

    def _make_tokens(self, count: int) -> None:
        now = int(time.time())
        for number in range(count):
            index = self.random.randrange(2)
            claims: dict[str, Any] = {"iss": ISSUERS[index], "sub": self.random.choice(SUBJECTS), "exp": now + 3600}
            if self.random.random() < 0.7:
                claims["aud"] = self.random.choice([*AUDIENCES, ["api", "web"], ["other"], "api/"])
            if self.random.random() < 0.5:
                claims["groups"] = self._some(GROUPS)
            if self.random.random() < 0.5:
                claims["scope"] = self.random.choice(("read", "read write", "read:all write"))
            if self.random.random() < 0.4:
                claims["azp"] = self.random.choice(("client-a", "other"))
            if self.random.random() < 0.4:
                claims["nested"] = {"key": self.random.choice(("one", "two", ["three", "four"], 5))}
            key = self.keys[index]
            match number % 10:
                case 0:
                    claims["exp"] = now - 3600
                case 1:
                    key = self.stranger
                case 2:
                    claims["iss"] = "https://unknown.example"
                case 3:
                    claims["nbf"] = now + 3600
                case 4:
                    del claims["sub"]
            self.tokens.append(key.sign(claims))
        self.tokens += ["garbage", "a.b.c", ""]

    def request(self, count: int) -> Request:
        """To any of `count` workloads."""
        r = self.random
        identity = ""
        if r.random() < 0.7:
            identity = f"spiffe://cluster.local/ns/{r.choice(NAMESPACES)}/sa/{r.choice(ACCOUNTS)}"
        headers = {name: r.choice(values) for name, values in HEADERS.items() if r.random() < 0.4}
        if r.random() < 0.3:
            headers["x-forwarded-for"] = r.choice(
                ("203.0.113.9", "1.2.3.4, 198.51.100.7", "2001:db8::5", "bad", "203.0.113.9, 10.9.9.9")
            )
        path = r.choice(PATHS)
        if r.random() < 0.6:
            token = r.choice(self.tokens)
            place = r.random()
            if place < 0.7:
                headers["authorization"] = r.choice(("Bearer ",) * 8 + ("Basic ", "bearer ")) + token
            elif place < 0.8:
                headers["x-jwt"] = r.choice(("", "Tok ")) + token
            elif place < 0.9:
                path += ("&" if "?" in path else "?") + r.choice(("token", "access_token")) + "=" + token
            else:
                headers["cookie"] = f"a=b; session={token}"
        method = r.choice(METHODS)
        if method == "OPTIONS" and r.random() < 0.5:
            headers |= {"origin": "https://example.com", "access-control-request-method": "GET"}
        sni = r.choice(("", "outbound_.80_._.web", "db.example", "web.foo")) if identity else ""
        source = r.choice(("10.244.9.1", "10.244.9.2", "10.244.7.3", "10.244.20.9"))
        return Request(r.randrange(count), identity, source, sni, method, path, r.choice(HOSTS), headers)
