"""Names, addresses and connections: nslookup, dig, getent, nc, ping and their like."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from datetime import UTC, datetime

from labrunner.sandbox.workload import dns
from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.network import Network, Streams
from labrunner.sandbox.workload.programs.options import OptionFault, Options, parse, wrong
from labrunner.sandbox.workload.programs.table import program

_DNS_SECONDS = 5.0
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


def network_of(process: Process) -> Network:
    return process.container.pod.network.network


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


# nc


@program("nc", "telnet")
async def nc(process: Process) -> int:
    words = process.argv[1:]
    try:
        options = parse(words, "w:p:lzvknue:i:s:q:c46dhNX:x:ro:t", permute=True)
    except OptionFault as error:
        return await wrong(process, error)
    if options.flag("l"):
        return await _listen(process, options)
    rest = options.rest
    if len(rest) < 2 and process.name == "telnet" and rest:
        rest = [rest[0], "23"]
    if len(rest) < 2:
        return await wrong(process, OptionFault("", missing=True))
    host, *ports = rest
    found = network_of(process).resolve(process.container.pod, host)
    gnu = _openbsd(process)
    if not found:
        text = (
            f'getaddrinfo for host "{host}" port {ports[0]}: Name or service not known'
            if gnu
            else f"bad address '{host}'"
        )
        return await process.fail(text)
    if options.flag("u"):
        return 0
    status = 0
    for port in [p for text in ports for p in _ports(text)]:
        status = await _connect(process, options, host, found[0], port, gnu)
    return status


def _openbsd(process: Process) -> bool:
    return process.container.family == "debian" or "netshoot" in process.container.image


def _ports(text: str) -> list[int]:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not found:
        return []
    return list(range(int(found[1]), min(int(found[2] or found[1]), int(found[1]) + 1000) + 1))


async def _connect(process: Process, options: Options, host: str, address: str, port: int, gnu: bool) -> int:
    wait = float(options.value("w")) if options.value("w").isdigit() else None
    shown = f"{host} ({address}:{port})"
    verbose = options.flag("v")
    try:
        async with asyncio.timeout(wait):
            reader, writer = await network_of(process).connect(process.container.pod, address, port)
    except TimeoutError:
        if gnu:
            if verbose:
                await process.error(
                    f"nc: connect to {host} ({address}) port {port} (tcp) timed out: Operation now in progress\n"
                )
            return 1
        return await process.fail(f"{shown}: Operation timed out" if verbose or not options.flag("z") else "timed out")
    except OSError as error:
        if gnu:
            if verbose:
                await process.error(f"nc: connect to {host} ({address}) port {port} (tcp) failed: {error.strerror}\n")
            return 1
        if verbose or not options.flag("z"):
            await process.say(f"can't connect to remote host ({address}): {error.strerror}" if not verbose else
                              f"{shown}: {error.strerror}")  # fmt: skip
        return 1
    if verbose:
        await process.error(
            f"Connection to {host} ({address}) {port} port [tcp/*] succeeded!\n" if gnu else f"{shown} open\n"
        )
    if process.name == "telnet":
        await process.line(f"Connected to {host}")
    if options.flag("z"):
        writer.close()
        return 0
    return await _relay(process, (reader, writer), wait)


async def _relay(process: Process, streams: Streams, wait: float | None) -> int:
    """Both ways, until the peer closes or stays silent for `wait` seconds after our input ended."""
    reader, writer = streams

    async def outwards() -> None:
        while data := await process.stdin.read():
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    sending = asyncio.ensure_future(outwards())
    status = 0
    try:
        while True:
            try:
                async with asyncio.timeout(wait):
                    data = await reader.read(65536)
            except TimeoutError:
                if sending.done():
                    break
                continue
            if not data:
                break
            await process.write(data)
    except OSError:
        status = 1
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await sending
        writer.close()
    return status


async def _listen(process: Process, options: Options) -> int:
    """`nc -l -p PORT [-k] [-e PROGRAM]`"""
    port_text = options.value("p") or next((w for w in reversed(options.rest) if w.isdigit()), "")
    if not port_text.isdigit() or not 0 < int(port_text) < 65536:
        return await process.fail("bad port" if port_text else "missing port with option -l")
    port = int(port_text)
    machine, network = process.container.pod, network_of(process)
    waiting: asyncio.Queue[Streams] = asyncio.Queue()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting.put((reader, writer))

    def factory() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=1 << 18), accepted)

    owner = object()
    try:
        network.listen(machine, owner, port, factory)
    except OSError:
        return await process.fail("bind: Address already in use")
    if options.flag("v"):
        await process.error(
            f"listening on [::]:{port} ...\n" if not _openbsd(process) else f"Listening on 0.0.0.0 {port}\n"
        )
    process.serves = True
    try:
        while True:
            streams = await waiting.get()
            if options.flag("v"):
                peer = streams[1].get_extra_info("peername") or ("", 0)
                await process.error(f"connect to [::ffff:{machine.network_ip()}]:{port} from "
                                    f"[::ffff:{network.plan.pod_ip(peer[0])}]:{peer[1]}\n")  # fmt: skip
            if options.flag("e"):
                command = [options.value("e"), *options.rest]
                await _served(process, streams, [w for w in command if w != port_text])
            else:
                await _relay(process, streams, None)
            if not options.flag("k"):
                return 0
    finally:
        network.stop_listening(machine, owner)


async def _served(process: Process, streams: Streams, command: list[str]) -> None:
    """A program on a connection."""
    from labrunner.sandbox.workload.machine.stream import Pipe, Sink

    reader, writer = streams
    pipe = Pipe()

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def receive() -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await pipe.push(data)
        pipe.close_write()

    out = Sink(send)
    receiving = asyncio.ensure_future(receive())
    try:
        await process.call(command, descriptors={0: pipe.reader, 1: out, 2: process.descriptors[2]})
    except OSError as error:
        await process.say(f"can't execute '{command[0]}': {error.strerror}")
    finally:
        receiving.cancel()
        writer.close()


# the rest


def _own(process: Process) -> str:
    return process.container.pod.network_ip() or "127.0.0.1"


def _mac(address: str) -> str:
    return "0a:58:" + ":".join(f"{int(p):02x}" for p in address.split("."))


@program("ip")
async def ip(process: Process) -> int:
    words = [w for w in process.argv[1:] if not w.startswith("-")]
    what = words[0] if words else ""
    address = _own(process)
    if what and "address".startswith(what):
        brief = "-br" in process.argv or "-brief" in process.argv
        if brief:
            await process.write(
                f"lo               UNKNOWN        127.0.0.1/8 \neth0@if12        UP             {address}/24 \n"
            )
            return 0
        await process.write(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue qlen 1000\n"
            "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n"
            "       valid_lft forever preferred_lft forever\n"
            "2: eth0@if12: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500 qdisc noqueue \n"
            f"    link/ether {_mac(address)} brd ff:ff:ff:ff:ff:ff\n"
            f"    inet {address}/24 brd {address.rpartition('.')[0]}.255 scope global eth0\n"
            "       valid_lft forever preferred_lft forever\n"
        )
        return 0
    if what and "route".startswith(what):
        gateway = address.rpartition(".")[0] + ".1"
        await process.write(
            f"default via {gateway} dev eth0 \n{address.rpartition('.')[0]}.0/24 dev eth0 scope link  src {address} \n"
        )
        return 0
    if what and "link".startswith(what):
        await process.write("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue qlen 1000\n"
                            "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"
                            "2: eth0@if12: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500 qdisc noqueue \n"
                            f"    link/ether {_mac(address)} brd ff:ff:ff:ff:ff:ff\n")  # fmt: skip
        return 0
    if what:
        return await process.fail(f'Object "{what}" is unknown, try "ip help".', 1)
    await process.error("Usage: ip [OPTIONS] address|route|link|neigh|rule [ARGS]\n")
    return 1


@program("ifconfig")
async def ifconfig(process: Process) -> int:
    address = _own(process)
    shown = (
        f"eth0      Link encap:Ethernet  HWaddr {_mac(address).upper()}  \n"
        f"          inet addr:{address}  Bcast:{address.rpartition('.')[0]}.255  Mask:255.255.255.0\n"
        "          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1\n\n"
        "lo        Link encap:Local Loopback  \n          inet addr:127.0.0.1  Mask:255.0.0.0\n"
        "          UP LOOPBACK RUNNING  MTU:65536  Metric:1\n\n"
    )
    name = next((word for word in process.argv[1:] if not word.startswith("-")), "")
    found = [part for part in shown.split("\n\n") if part.startswith(name.ljust(10))] if name else [shown[:-2]]
    if not found:
        return await process.fail(f"{name}: error fetching interface information: Device not found")
    await process.write("\n\n".join(found) + "\n\n")
    return 0


@program("route", "arp")
async def route(process: Process) -> int:
    if process.name == "arp":
        return 0
    base = _own(process).rpartition(".")[0]
    await process.write(
        "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n"
        f"default         {base + '.1':<15} 0.0.0.0         UG    0      0        0 eth0\n"
        f"{base + '.0':<15} *               255.255.255.0   U     0      0        0 eth0\n"
    )
    return 0


@program("netstat", "ss")
async def netstat(process: Process) -> int:
    letters = "".join(w[1:] for w in process.argv[1:] if w.startswith("-"))
    machine = process.container.pod
    listeners = machine.network.listeners
    rows = []
    for port, (owner, _) in sorted(listeners.items()):
        address = "127.0.0.1" if port in machine.network.local_only else "0.0.0.0"
        main = getattr(owner, "main", None)
        rows.append((address, port, f"{main.pid}/{main.name}" if owner is process.container and main else "-"))
    if process.name == "ss":
        await process.line(
            f"{'State':<9}{'Recv-Q':<7}{'Send-Q':<7}{'Local Address:Port':>20} {'Peer Address:Port':>18} Process"
        )
        for address, port, who in rows:
            name = who.partition("/")
            shown = f'users:(("{name[2]}",pid={name[0]},fd=6))' if "p" in letters and name[2] else ""
            await process.line(
                f"{'LISTEN':<9}{0:<7}{511:<7}{f'{address}:{port}':>20} {'0.0.0.0:*':>18} {shown}".rstrip()
            )
        return 0
    await process.line("Active Internet connections (only servers)")
    extra = "    PID/Program name" if "p" in letters else ""
    await process.line(f"Proto Recv-Q Send-Q Local Address           Foreign Address         State   {extra}".rstrip())
    for address, port, who in rows:
        tail = f"    {who}" if "p" in letters else ""
        await process.line(f"tcp        0      0 {f'{address}:{port}':<23} {'0.0.0.0:*':<23} LISTEN  {tail}".rstrip())
    return 0
