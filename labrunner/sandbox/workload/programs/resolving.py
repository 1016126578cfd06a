"""`nslookup`, `dig`, `host` and `getent`."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import UTC, datetime

from labrunner.sandbox.workload import dns
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.network import Network
from labrunner.sandbox.workload.programs.network import network_of
from labrunner.sandbox.workload.programs.options import OptionFault, wrong
from labrunner.sandbox.workload.programs.table import program

_DNS_SECONDS = 5.0

_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


def _resolver(process: Process) -> tuple[list[str], list[str], int]:
    """(name servers, search domains, ndots) as /etc/resolv.conf says."""
    servers, searches, ndots = [], [], 1
    try:
        text = process.read_file("/etc/resolv.conf").decode("utf-8", "replace")
    except OSError:
        return [], [], 1
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            servers.append(words[1])
        elif words[:1] == ["search"]:
            searches = words[1:]
        elif words[:1] == ["options"]:
            for word in words[1:]:
                if word.startswith("ndots:") and word[6:].isdigit():
                    ndots = int(word[6:])
    return servers, searches, ndots


async def _answers(process: Process, server: str) -> bool:
    """Whether this address is a name server that we can reach; waits as long as tools do if not."""
    if server == dns.SERVER and network_of(process).dns_reachable(process.container.pod):
        return True
    await asyncio.sleep(_DNS_SECONDS)
    return False


def _reverse(process: Process, address: str) -> str:
    """The name of an address, as CoreDNS's reverse zone has it; empty when there is none."""
    network = network_of(process)
    service = network.service_at(address)
    if service is not None:
        meta = service["metadata"]
        return f"{meta['name']}.{meta['namespace']}.svc.{dns.DOMAIN}"
    pod = network.pod_at(address)
    if pod is not None:
        for slice_ in network.api.objects("discovery.k8s.io/EndpointSlice", pod["metadata"]["namespace"]):
            name = (slice_["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
            if name and any(address in (e.get("addresses") or ()) for e in slice_.get("endpoints") or ()):
                return f"{address.replace('.', '-')}.{name}.{pod['metadata']['namespace']}.svc.{dns.DOMAIN}"
    return ""


def _tag(process: Process) -> tuple[int, ...]:
    found = re.search(r":(\d+)\.(\d+)", process.container.image)
    return (int(found[1]), int(found[2])) if found else (99,)


@program("nslookup")
async def nslookup(process: Process) -> int:
    words = [w for w in process.argv[1:] if not w.startswith("-")]
    kinds = [
        w.partition("=")[2].upper() for w in process.argv[1:] if w.lower().startswith(("-type=", "-query=", "-q="))
    ]
    if not words:
        return await wrong(process, OptionFault("", missing=True))
    servers, searches, ndots = _resolver(process)
    network = network_of(process)
    server = servers[0] if servers else ""
    if len(words) > 1:
        found = network.resolve(process.container.pod, words[1])
        if not found:
            await process.error(f"nslookup: can't resolve '{words[1]}'\n")
            return 1
        server = found[0]
    if not server or not await _answers(process, server):
        await process.line(";; connection timed out; no servers could be reached\n")
        return 1
    bind = process.container.family == "debian" or "netshoot" in process.container.image
    if bind:
        return await _nslookup_bind(process, words[0], server, searches, ndots)
    if process.container.family == "busybox" and _tag(process) < (1, 29):
        return await _nslookup_old(process, words[0], server)
    return await _nslookup_busybox(process, words[0], server, searches, kinds)


async def _nslookup_busybox(process: Process, name: str, server: str, searches: list[str], kinds: list[str]) -> int:
    """busybox since 1.29: dotted names are absolute, others are asked in every search domain, A and AAAA each."""
    resolver = network_of(process).resolver
    await process.write(f"Server:\t\t{server}\nAddress:\t{server}:53\n\n")
    if _ADDRESS.fullmatch(name):
        found = _reverse(process, name)
        turned = ".".join(reversed(name.split("."))) + ".in-addr.arpa"
        await process.write(
            f"{turned}\tname = {found}\n\n" if found else f"** server can't find {turned}: NXDOMAIN\n\n"
        )
        return int(not found)
    names = [name.rstrip(".")] if "." in name or not searches else [f"{name}.{domain}" for domain in searches]
    status = 0
    for kind in kinds or ["A", "AAAA"]:
        for candidate in names:
            answer = resolver.lookup(candidate)
            if answer.status != "NOERROR":
                await process.write(f"** server can't find {candidate}: {answer.status}\n\n")
                status = 1
                continue
            if answer.canonical:
                await process.write(f"{candidate}\tcanonical name = {answer.canonical}\n")
            if kind == "SRV":
                for port, target in answer.services:
                    await process.write(f"{candidate}\tservice = 0 100 {port} {target}\n")
            if kind == "A":
                for address in answer.addresses:
                    await process.write(f"Name:\t{answer.canonical or candidate}\nAddress: {address}\n")
            await process.write("\n")
    return status


async def _nslookup_bind(process: Process, name: str, server: str, searches: list[str], ndots: int) -> int:
    network = network_of(process)
    await process.write(f"Server:\t\t{server}\nAddress:\t{server}#53\n\n")
    if _ADDRESS.fullmatch(name):
        found = _reverse(process, name)
        turned = ".".join(reversed(name.split("."))) + ".in-addr.arpa"
        text = f"{turned}\tname = {found}.\n\n" if found else f"** server can't find {turned}: NXDOMAIN\n\n"
        await process.write(text)
        return int(not found)
    answer = _searched(network, name, searches, ndots)
    if not answer.addresses:
        await process.write(f"** server can't find {name}: {answer.status}\n\n")
        return 1
    if answer.canonical:
        await process.write(f"{answer.name}\tcanonical name = {answer.canonical}.\n")
    for address in answer.addresses:
        await process.write(f"Name:\t{answer.canonical or answer.name}\nAddress: {address}\n")
    await process.write("\n")
    return 0


async def _nslookup_old(process: Process, name: str, server: str) -> int:
    """busybox up to 1.28 uses the resolver library."""
    network = network_of(process)
    own = _reverse(process, server)
    await process.write(f"Server:    {server}\nAddress 1: {server} {own}\n\n")
    found = network.resolve(process.container.pod, name)
    if not found:
        await process.error(f"nslookup: can't resolve '{name}'\n")
        return 1
    await process.write(f"Name:      {name}\n")
    for index, address in enumerate(found, 1):
        await process.write(f"Address {index}: {address} {_reverse(process, address)}".rstrip() + "\n")
    return 0


def _searched(network: Network, name: str, searches: list[str], ndots: int) -> dns.Answer:
    bare = name.rstrip(".")
    names = [bare]
    if not name.endswith("."):
        expanded = [f"{bare}.{domain}" for domain in searches]
        names = [bare, *expanded] if bare.count(".") >= ndots else [*expanded, bare]
    answer = dns.Answer(bare)
    for candidate in names:
        answer = network.resolver.lookup(candidate)
        if answer.addresses:
            return answer
    return answer


_SECTIONS = ("cmd", "comments", "question", "answer", "authority", "additional", "stats")
"""What `+noall` hides and `+answer` and its like show."""


@program("dig", "host")
async def dig(process: Process) -> int:
    servers, searches, ndots = _resolver(process)
    network = network_of(process)
    if process.name == "host":
        words = [w for w in process.argv[1:] if not w.startswith("-")]
        if not words:
            return await process.fail("usage: host name [server]")
        answer = _searched(network, words[0], searches, ndots)
        if not answer.addresses:
            await process.line(f"Host {words[0]} not found: 3(NXDOMAIN)")
            return 1
        for address in answer.addresses:
            await process.line(f"{answer.name} has address {address}")
        return 0
    name, kind, server = "", "A", servers[0] if servers else ""
    short = search = False
    shown = set(_SECTIONS)
    words = process.argv[1:]
    while words:
        word = words.pop(0)
        if word.startswith("@"):
            server = next(iter(network.resolve(process.container.pod, word[1:])), word[1:])
        elif word.startswith("+"):
            short, search = short or word == "+short", search or word == "+search"
            shown = set(_SECTIONS) if word == "+all" else set() if word == "+noall" else shown
            if (section := word.removeprefix("+no").removeprefix("+")) in _SECTIONS:
                (shown.discard if word.startswith("+no") else shown.add)(section)
        elif word == "-x" and words:
            name, kind = words.pop(0), "PTR"
        elif word == "-t" and words:
            kind = words.pop(0).upper()
        elif word.upper() in ("A", "AAAA", "SRV", "CNAME", "PTR", "TXT", "NS", "SOA", "MX", "ANY"):
            kind = word.upper()
        elif not word.startswith("-"):
            name = word
    if not await _answers(process, server):
        await process.write(f"\n; <<>> DiG 9.18.27 <<>> {' '.join(process.argv[1:])}\n;; global options: +cmd\n"
                            ";; no servers could be reached\n")  # fmt: skip
        return 9
    await _dig(process, name or ".", kind, server, searches if search else [], ndots, short=short, shown=shown)
    return 0


async def _dig(
    process: Process, name: str, kind: str, server: str, searches: list[str], ndots: int, *, short: bool,
    shown: set[str],
) -> None:  # fmt: skip
    network = network_of(process)
    records: list[str] = []
    if kind == "PTR":
        turned = ".".join(reversed(name.split("."))) + ".in-addr.arpa"
        target = _reverse(process, name)
        status = "NOERROR" if target else "NXDOMAIN"
        question = turned
        if target:
            records.append(f"{turned}.\t30\tIN\tPTR\t{target}.")
    else:
        answer = _searched(network, name, searches, ndots) if searches else network.resolver.lookup(name)
        status, question = answer.status, answer.name
        if answer.canonical and kind in ("A", "CNAME", "ANY"):
            records.append(f"{question}.\t30\tIN\tCNAME\t{answer.canonical}.")
        if kind in ("A", "ANY"):
            owner = answer.canonical or question
            records += [f"{owner}.\t30\tIN\tA\t{address}" for address in answer.addresses]
        if kind == "SRV":
            records += [f"{question}.\t30\tIN\tSRV\t0 100 {port} {target}." for port, target in answer.services]
    if short:
        for record in records:
            await process.line(record.rpartition("\t")[2])
        return
    now = datetime.now(UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    soa = "ns.dns.cluster.local. hostmaster.cluster.local. 1763672400 7200 1800 86400 30"
    section = "answer" if records else "authority"
    parts: list[tuple[str, list[str]]] = [
        ("cmd", ["", f"; <<>> DiG 9.18.27 <<>> {' '.join(process.argv[1:])}", ";; global options: +cmd"]),
        ("comments", [
            ";; Got answer:",
            f";; ->>HEADER<<- opcode: QUERY, status: {status}, id: {random.randrange(65536)}",
            f";; flags: qr aa rd; QUERY: 1, ANSWER: {len(records)}, AUTHORITY: {int(not records)}, ADDITIONAL: 1",
            ";; WARNING: recursion requested but not available", "", ";; OPT PSEUDOSECTION:",
            "; EDNS: version: 0, flags:; udp: 1232",
        ]),
        ("question", [";; QUESTION SECTION:", f";{question}.\t\tIN\t{kind}", ""]),
        (section, [f";; {section.upper()} SECTION:", *(records or [f"cluster.local.\t\t30\tIN\tSOA\t{soa}"]), ""]),
        ("stats", [
            ";; Query time: 1 msec", f";; SERVER: {server}#53({server}) (UDP)", f";; WHEN: {now}",
            f";; MSG SIZE  rcvd: {60 + 40 * len(records)}", "",
        ]),
    ]  # fmt: skip
    out = [line for name_, lines in parts if name_ in shown for line in lines]
    if "comments" not in shown:
        out = [line for line in out if line and not line.endswith(" SECTION:")]
    await process.write("".join(f"{line}\n" for line in out))


@program("getent")
async def getent(process: Process) -> int:
    words = process.argv[1:]
    if len(words) < 1:
        return await process.fail("wrong number of arguments", 1)
    database, keys = words[0], words[1:]
    if database in ("hosts", "ahosts", "ahostsv4"):
        status = 0
        for key in keys:
            found = network_of(process).resolve(process.container.pod, key)
            if not found:
                status = 2
            for address in found:
                if database == "hosts":
                    await process.line(f"{address:<15} {key}")
                else:
                    for index, kind in enumerate(("STREAM", "DGRAM", "RAW")):
                        await process.line(f"{address:<15} {kind:<6}{' ' + key if not index else ''}".rstrip())
        return status
    if database in ("passwd", "group"):
        rows = process.container.table(f"/etc/{database}")
        chosen = [row for row in rows if not keys or row[0] in keys or row[2] in keys]
        for row in chosen:
            await process.line(":".join(row))
        return 0 if chosen else 2
    return await process.fail(f"Unknown database: {database}", 1)
