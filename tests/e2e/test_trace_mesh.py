"""`labrunner trace` tells who decided, and what would have to change, in every situation that labs bring about."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from labrunner.check.http_probe import Request, perform
from labrunner.check.mesh_questions import way_of
from labrunner.cli.trace_text import document, text
from tests.e2e.mesh_sandbox import no_envoy
from tests.e2e.trace_world import TraceWorld, istio

pytestmark = [pytest.mark.skipif(bool(no_envoy()), reason=no_envoy() or "-"), pytest.mark.timeout(180)]

CLIENT, PLAIN = "shop/client", "legacy/plain"
CLIENT_ID = "spiffe://cluster.local/ns/shop/sa/default"
WEB_ID = "spiffe://cluster.local/ns/shop/sa/web"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TraceWorld]:
    found = TraceWorld("trace", tmp_path_factory.mktemp("trace") / "sandbox")
    yield found
    found.sandbox.stop()


def policy(name: str, spec: str) -> str:
    return istio("security", "AuthorizationPolicy", name, f"{{selector: {{matchLabels: {{app: web}}}}, {spec}}}")


def route(http: str, host: str = "web") -> str:
    return istio("networking", "VirtualService", "web", f"{{hosts: [{host}], http: [{http}]}}")


TO_WEB = "route: [{destination: {host: web}}]"


def said(found: dict[str, Any]) -> str:
    return " ".join([found["why"], *found["change"]])


def denied(found: dict[str, Any]) -> bool:
    return bool(found["verdict"] == "denied")


def failed(found: dict[str, Any]) -> bool:
    return bool(found["verdict"] == "failed")


# who may


def test_a_request_within_the_mesh_is_told_hop_by_hop(world: TraceWorld) -> None:
    found = world.trace(CLIENT, "http://web:8000/get")
    assert (found["status"], found["verdict"]) == (200, "allowed")
    assert found["client"] == {"who": "client.shop", "identity": CLIENT_ID, "sidecar": True}
    outbound, inbound = found["hops"]
    assert outbound["cluster"] == "outbound|8000||web.shop.svc.cluster.local"
    assert (outbound["pod"], outbound["server"], outbound["tls"]) == ("web.shop", WEB_ID, "mTLS")
    assert (inbound["client"], inbound["tls"]) == (CLIENT_ID, "mTLS TLSv1.3")
    assert (found["application"]["who"], found["application"]["state"]) == ("web.shop", "answered")


def test_a_request_that_a_rule_allows_names_the_rule(world: TraceWorld) -> None:
    with world.with_objects(policy("some", "rules: [{to: [{operation: {methods: [GET]}}]}]")):
        found = world.traced(lambda f: f["hops"][-1]["policy"], CLIENT, "http://web:8000/get")
    assert found["hops"][-1]["policy"] == "shop/some rules[0]"


def test_a_deny_rule_is_named_with_the_field_that_held(world: TraceWorld) -> None:
    with world.with_objects(policy("no-ip", "action: DENY, rules: [{to: [{operation: {paths: [/ip]}}]}]")):
        found = world.traced(denied, CLIENT, "http://web:8000/ip")
    assert (found["status"], found["why"]) == (403, "denied by shop/no-ip rules[0] (DENY)")
    assert "rules[0].to[0].operation.paths (/ip) holds for /ip" in found["change"][0]
    assert found["application"]["state"] == "unreached"


def test_no_matching_allow_rule_shows_the_fields_that_did_not_match(world: TraceWorld) -> None:
    rule = (
        "{from: [{source: {principals: [cluster.local/ns/shop/sa/other]}}], to: [{operation: {methods: [GET, HEAD]}}]}"
    )
    with world.with_objects(policy("other", f"rules: [{rule}]")):
        found = world.traced(denied, CLIENT, "http://web:8000/post", "-X", "POST")
    assert found["status"] == 403
    assert "principals wants cluster.local/ns/shop/sa/other; it is cluster.local/ns/shop/sa/default" in said(found)
    assert "rules[0].to[0].operation.methods wants GET, HEAD; it is POST" in said(found)


def test_an_empty_allow_policy_is_said_to_allow_nothing(world: TraceWorld) -> None:
    with world.with_objects(istio("security", "AuthorizationPolicy", "nothing", "{}")):
        found = world.traced(denied, CLIENT, "http://web:8000/get")
    assert "shop/nothing allows nothing" in found["why"]


def test_a_caller_without_identity_is_told_how_to_get_one(world: TraceWorld) -> None:
    rule = "rules: [{from: [{source: {namespaces: [legacy]}}]}]"
    with world.with_objects(policy("legacy-only", rule)):
        found = world.traced(denied, PLAIN, "http://web.shop:8000/get")
    assert found["hops"][0]["tls"] == "plaintext"
    assert "no identity" in said(found)
    assert "namespace legacy is not labelled for injection" in said(found)


def test_a_policy_on_trial_denies_nothing_and_is_not_blamed(world: TraceWorld) -> None:
    trial = istio("security", "AuthorizationPolicy", "trial", "{}").replace(
        "namespace: shop}", 'namespace: shop, annotations: {"istio.io/dry-run": "true"}}', 1
    )
    with world.with_objects(trial):
        found = world.trace(CLIENT, "http://web:8000/get")
    assert (found["status"], found["verdict"]) == (200, "allowed")
    assert "trial" not in said(found)


def test_conditions_on_headers_are_judged_with_what_was_sent(world: TraceWorld) -> None:
    rule = "rules: [{when: [{key: 'request.headers[x-team]', values: [blue]}]}]"
    with world.with_objects(policy("team", rule)):
        refused = world.traced(denied, CLIENT, "http://web:8000/get", "-H", "x-team: red")
        passed = world.trace(CLIENT, "http://web:8000/get", "-H", "x-team: blue")
    assert "wants blue; it is red" in said(refused)
    assert passed["verdict"] == "allowed"


def test_an_explanation_that_contradicts_envoy_is_reported_as_labrunners_defect(world: TraceWorld) -> None:
    """The explanation is made to go wrong: it is given another header than the one that was sent."""
    rule = "rules: [{when: [{key: 'request.headers[x-team]', values: [blue]}]}]"
    sent = Request("http://web:8000/get", "client", "shop", headers={"x-team": "red"})
    lie = replace(sent, headers={"x-team": "blue"})
    with world.with_objects(policy("team", rule)):
        world.traced(denied, CLIENT, "http://web:8000/get")
        (answer,) = perform(sent, world.directory, world.environment)
        way = way_of(lie, answer, world.directory, world.environment)
    assert answer.status == 403
    assert not way["hops"][-1]["agrees"]
    found = document(lie, answer, way)
    assert not found["agrees"]
    assert "a defect of labrunner's, please report it" in text(found, plain=True)
    assert "rbac_access_denied_matched_policy[none]" in found["why"]


# plaintext and TLS


def test_plaintext_to_a_strict_workload_is_refused_by_its_peer_authentication(world: TraceWorld) -> None:
    found = world.trace(PLAIN, "http://web.strict:8000/get")
    assert (found["status"], found["curlExit"], found["verdict"]) == (0, 56, "denied")
    assert "PeerAuthentication strict/default is STRICT" in found["why"]
    assert "sidecar" in said(found)


def test_a_rule_that_turns_tls_off_in_front_of_strict_is_named(world: TraceWorld) -> None:
    spec = "{host: web.strict.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}}"
    rule = istio("networking", "DestinationRule", "cleartext", spec)
    with world.with_objects(rule):
        found = world.traced(lambda f: f["status"] == 503, CLIENT, "http://web.strict:8000/get")
    assert found["hops"][0]["rule"] == "shop/cleartext"
    assert "STRICT" in said(found)
    assert "DestinationRule shop/cleartext" in json.dumps(found["hops"])


def test_tls_of_a_rule_in_front_of_a_pod_without_sidecar_is_explained(world: TraceWorld) -> None:
    spec = "{host: web.legacy.svc.cluster.local, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"
    rule = istio("networking", "DestinationRule", "mutual", spec)
    with world.with_objects(rule):
        found = world.traced(lambda f: f["status"] == 503, CLIENT, "http://web.legacy:8000/get")
    assert "DestinationRule shop/mutual asks for TLS, and web.legacy speaks none" in found["why"]
    assert "web.legacy has no sidecar" in said(found)


def test_a_server_without_sidecar_gets_plaintext(world: TraceWorld) -> None:
    found = world.trace(CLIENT, "http://web.legacy:8000/get")
    assert (found["status"], found["hops"][-1]["tls"]) == (200, "plaintext")
    assert found["application"] == {
        "who": "web.legacy", "address": found["hops"][-1]["endpoint"], "sidecar": False, "state": "answered"
    }  # fmt: skip


def test_two_ends_without_sidecars_are_outside_the_mesh(world: TraceWorld) -> None:
    found = world.trace(PLAIN, "http://web.legacy:8000/get")
    assert (found["status"], found["verdict"], found["hops"]) == (200, "unseen", [])
    assert "neither plain.legacy nor web.legacy has a sidecar" in found["why"]


# tokens


class Issuer:
    """Signs tokens, and has the JWKS that goes with them."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.key.public_key().public_numbers()
        jwk = {"kty": "RSA", "kid": "k", "n": _number(numbers.n), "e": _number(numbers.e)}
        self.jwks = json.dumps({"keys": [jwk]})

    def token(self, **claims: Any) -> str:
        body = {"iss": "lab", "sub": "ann", "aud": "shop", "exp": int(time.time()) + 600, **claims}
        head = {"alg": "RS256", "kid": "k", "typ": "JWT"}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (head, body))
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"authorization: Bearer {signed}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def test_tokens_that_are_missing_wrong_or_for_others_are_told_apart(world: TraceWorld) -> None:
    issuer, stranger = Issuer(), Issuer()
    rule = f"{{issuer: lab, audiences: [shop], jwks: '{issuer.jwks}'}}"
    objects = istio(
        "security", "RequestAuthentication", "lab", f"{{selector: {{matchLabels: {{app: web}}}}, jwtRules: [{rule}]}}"
    )
    objects += policy("token", "rules: [{from: [{source: {requestPrincipals: ['lab/ann']}}]}]")
    url = "http://web:8000/get"
    with world.with_objects(objects):
        missing = world.traced(denied, CLIENT, url)
        good = world.trace(CLIENT, url, "-H", issuer.token())
        audience = world.trace(CLIENT, url, "-H", issuer.token(aud="bank"))
        unknown = world.trace(CLIENT, url, "-H", issuer.token(iss="other"))
        expired = world.trace(CLIENT, url, "-H", issuer.token(exp=1000000000))
        forged = world.trace(CLIENT, url, "-H", stranger.token())
        broken = world.trace(CLIENT, url, "-H", "authorization: Bearer abc")
        wrong = world.trace(CLIENT, url, "-H", issuer.token(sub="bob"))
    assert (missing["status"], "no verified token" in said(missing)) == (403, True)
    assert (good["status"], good["hops"][-1]["policy"]) == (200, "shop/token rules[0]")
    assert (audience["status"], "wants an audience of shop; the token's aud is bank" in said(audience)) == (403, True)
    assert (unknown["status"], "knows the issuer lab; the token's iss is other" in said(unknown)) == (401, True)
    assert (expired["status"], "exp is 1000000000" in said(expired)) == (401, True)
    assert (forged["status"], "sign the token with a key" in said(forged)) == (401, True)
    assert (broken["status"], "three parts" in said(broken)) == (401, True)
    assert (wrong["status"], "wants lab/ann; it is a token of lab/bob" in said(wrong)) == (403, True)


# routes and endpoints


def test_the_chosen_entry_of_a_virtual_service_is_named(world: TraceWorld) -> None:
    two = f"{{match: [{{uri: {{prefix: /ip}}}}], {TO_WEB}}}, {{name: rest, {TO_WEB}}}"
    with world.with_objects(route(two)):
        first = world.traced(lambda f: f["hops"][0]["origin"], CLIENT, "http://web:8000/ip")
        second = world.trace(CLIENT, "http://web:8000/get")
    assert first["hops"][0]["origin"] == "VirtualService shop/web http[0].match[0]"
    assert second["hops"][0]["origin"] == 'VirtualService shop/web http[1] "rest"'


def test_a_404_without_route_shows_the_matches_there_are(world: TraceWorld) -> None:
    only = f"{{match: [{{uri: {{prefix: /ip}}, headers: {{x-user: {{exact: ann}}}}}}], {TO_WEB}}}"
    with world.with_objects(route(only)):
        found = world.traced(failed, CLIENT, "http://web:8000/get", "-H", "x-user: bob")
    assert found["status"] == 404
    assert "http[0].match[0].uri wants prefix /ip; it is /get" in said(found)
    assert "headers.x-user wants exact ann; it is bob" in said(found)


def test_a_subset_without_definition_and_one_without_pods_are_told_apart(world: TraceWorld) -> None:
    to = "{route: [{destination: {host: web, subset: v9}}]}"
    rule = istio("networking", "DestinationRule", "web", "{host: web, subsets: [{name: v9, labels: {version: v9}}]}")
    with world.with_objects(route(to)):
        undefined = world.traced(failed, CLIENT, "http://web:8000/get")
        with world.with_objects(rule):
            empty = world.traced(lambda f: "no ready pod" in f["why"], CLIENT, "http://web:8000/get")
    assert (undefined["status"], empty["status"]) == (503, 503)
    assert "no DestinationRule defines that subset" in undefined["why"]
    assert "DestinationRule shop/web wants pods with version=v9" in said(empty)


def test_a_destination_that_does_not_exist_is_named(world: TraceWorld) -> None:
    with world.with_objects(route("{route: [{destination: {host: webb}}]}")):
        found = world.traced(failed, CLIENT, "http://web:8000/get")
    assert "webb.shop.svc.cluster.local, and there is no such service" in found["why"]


def test_faults_and_timeouts_name_the_entry_they_come_from(world: TraceWorld) -> None:
    stop = "{abort: {httpStatus: 418, percentage: {value: 100}}}"
    wait = "{delay: {fixedDelay: 0.2s, percentage: {value: 100}}}"
    abort = f"{{match: [{{uri: {{prefix: /ip}}}}], fault: {stop}, {TO_WEB}}}"
    slow = f"{{match: [{{uri: {{prefix: /delay}}}}], timeout: 0.3s, {TO_WEB}}}"
    late = f"{{match: [{{uri: {{prefix: /uuid}}}}], fault: {wait}, {TO_WEB}}}"
    with world.with_objects(route(f"{abort}, {slow}, {late}")):
        aborted = world.traced(failed, CLIENT, "http://web:8000/ip")
        timed_out = world.trace(CLIENT, "http://web:8000/delay/3")
        delayed = world.trace(CLIENT, "http://web:8000/uuid")
    assert (aborted["status"], timed_out["status"], delayed["status"]) == (418, 504, 200)
    assert "VirtualService shop/web http[0].match[0] aborts with 418" in aborted["why"]
    assert "no answer within 0.3s, the timeout of VirtualService shop/web http[1].match[0]" in timed_out["why"]
    assert timed_out["application"]["state"] == "silent"
    assert "delays by 0.2s" in delayed["hops"][0]["why"]


def test_a_client_that_gives_up_is_told_apart_from_a_refusal(world: TraceWorld) -> None:
    found = world.trace(CLIENT, "http://web:8000/delay/8", "-m", "2")
    assert (found["curlExit"], found["verdict"], found["application"]["state"]) == (28, "failed", "silent")
    assert "the client closed the connection after" in found["why"]


def test_redirects_and_direct_responses_are_the_configurations_own_answers(world: TraceWorld) -> None:
    moved = "{match: [{uri: {prefix: /old}}], redirect: {uri: /get}}"
    direct = "{match: [{uri: {prefix: /fixed}}], directResponse: {status: 503}}"
    with world.with_objects(route(f"{moved}, {direct}, {{{TO_WEB}}}")):
        redirect = world.traced(lambda f: f["status"] == 301, CLIENT, "http://web:8000/old")
        fixed = world.trace(CLIENT, "http://web:8000/fixed")
    assert "http[0].match[0] redirects it (301)" in redirect["why"]
    assert "answers itself with 503 (directResponse)" in fixed["why"]


def test_an_overflowing_pool_names_the_limits(world: TraceWorld) -> None:
    pool = "{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}}"
    rule = istio("networking", "DestinationRule", "pool", f"{{host: web, trafficPolicy: {{connectionPool: {pool}}}}}")
    with world.with_objects(rule):
        world.traced(lambda f: f["hops"][0]["rule"] == "shop/pool", CLIENT, "http://web:8000/get")
        one = "curl -s -o /dev/null -m 4 http://web:8000/delay/2; sleep 0.1"
        loop = f"end=$(($(date +%s) + 12)); while [ $(date +%s) -lt $end ]; do {one}; done"
        load = f"for i in 1 2 3 4 5 6; do ({loop}) & done; wait"
        busy = world.start("kubectl", "exec", "-n", "shop", "client", "--", "sh", "-c", load)
        try:
            found = world.traced(lambda f: f["status"] == 503, CLIENT, "http://web:8000/get", "-m", "1")
        finally:
            busy.kill()
            busy.wait(timeout=30)
    assert "the circuit breaker is open" in found["why"]
    assert "maxConnections: 1" in found["why"]


# names, ports and networks


def test_wrong_names_and_ports_are_told_before_any_proxy_sees_them(world: TraceWorld) -> None:
    unknown = world.trace(CLIENT, "http://nowhere:8000/")
    elsewhere = world.trace(PLAIN, "http://echo:9000/")
    port = world.trace(CLIENT, "http://web:8001/", "-m", "1")
    assert unknown["curlExit"] == 6
    assert "nothing in the cluster has the name nowhere" in unknown["why"]
    assert "there is echo.shop" in said(elsewhere)
    assert "Service shop/web has no port 8001; it has 8000" in port["why"]


def test_a_service_without_ready_pods_shows_its_selector(world: TraceWorld) -> None:
    empty = """
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}
"""
    with world.with_objects(empty):
        found = world.traced(failed, CLIENT, "http://empty/")
    assert found["status"] == 503
    assert "its selector is app=nobody" in said(found)


DROP = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: NAMESPACE}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}
"""


@pytest.mark.parametrize("source", [CLIENT, PLAIN])
def test_dropped_packets_name_the_network_policy(world: TraceWorld, source: str) -> None:
    with world.with_objects(DROP.replace("NAMESPACE", "strict")):
        found = world.traced(lambda f: "NetworkPolicy" in f["why"], source, "http://web.strict:8000/", "-m", "1")
    assert (found["status"], found["curlExit"]) == (0, 28)
    assert "Ingress of NetworkPolicy strict/closed" in found["why"]


def test_egress_that_the_registry_does_not_have_is_told(world: TraceWorld) -> None:
    sidecar = istio(
        "networking", "Sidecar", "default",
        "{egress: [{hosts: ['./*']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}",
    )  # fmt: skip
    with world.with_objects(sidecar):
        found = world.traced(lambda f: f["status"] == 502, CLIENT, "http://web.legacy:8000/get")
    assert "Sidecar shop/default does not let web.legacy" in found["why"]
    assert "spec.egress.hosts" in said(found)


# TCP


def test_a_tcp_connection_is_followed_and_its_refusal_told(world: TraceWorld) -> None:
    rule = "{selector: {matchLabels: {app: echo}}, rules: [{from: [{source: {principals: ['*/sa/other']}}]}]}"
    url = "http://echo:9000"
    open_ = world.trace(CLIENT, url, "-m", "1")
    assert (open_["verdict"], open_["application"]["state"]) == ("allowed", "answered"), said(open_)
    assert [hop["direction"] for hop in open_["hops"]] == ["outbound", "inbound"]
    assert open_["hops"][-1]["client"] == CLIENT_ID
    with world.with_objects(istio("security", "AuthorizationPolicy", "echo", rule)):
        found = world.traced(denied, CLIENT, url, "-m", "1")
    assert "principals wants */sa/other; it is cluster.local/ns/shop/sa/default" in said(found)


# rate limits

LIMIT = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: two-a-minute, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  configPatches:
  - applyTo: HTTP_FILTER
    match:
      context: SIDECAR_INBOUND
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value:
            stat_prefix: limiter
            token_bucket: {max_tokens: 2, tokens_per_fill: 2, fill_interval: 60s}
            filter_enabled: {default_value: {numerator: 100}, runtime_key: a}
            filter_enforced: {default_value: {numerator: 100}, runtime_key: b}
"""


def test_a_rate_limit_names_its_filter(world: TraceWorld) -> None:
    with world.with_objects(LIMIT):
        found = world.traced(lambda f: f["status"] == 429, CLIENT, "http://web:8000/get")
    assert "a local rate limit was exceeded (EnvoyFilter shop/two-a-minute)" in found["why"]


# what is printed


def test_the_text_tells_each_hop_and_the_decision(world: TraceWorld) -> None:
    with world.with_objects(policy("no-ip", "action: DENY, rules: [{to: [{operation: {paths: [/ip]}}]}]")):
        world.traced(denied, CLIENT, "http://web:8000/ip")
        done = world.trace_text(CLIENT, "http://web:8000/ip")
    assert done.returncode == 1
    assert f"1 client     client.shop  ({CLIENT_ID})" in done.stdout
    assert "rbac_access_denied_matched_policy[ns[shop]-policy[no-ip]-rule[0]]" in done.stdout
    assert "web.shop's sidecar: denied by shop/no-ip rules[0] (DENY)" in done.stdout
    assert "to change it: shop/no-ip rules[0] denies it" in done.stdout


@pytest.mark.parametrize("options", [["-H", "nonsense"], ["-m", "soon"], ["--curl", "'"]])
def test_bad_options_are_refused_in_words(world: TraceWorld, options: list[str]) -> None:
    done = world.trace_text(CLIENT, "http://web:8000/", *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_caller_that_is_not_there_is_an_error_of_the_environment(world: TraceWorld) -> None:
    done = world.trace_text("shop/nobody", "http://web:8000/")
    assert done.returncode == 3
    assert "nobody" in done.stderr
