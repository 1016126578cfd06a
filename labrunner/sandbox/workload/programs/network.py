"""`ip`, `ifconfig`, `route`, `netstat`: a pod looks at its own network."""

from __future__ import annotations

from labrunner.sandbox.workload.machine.process import Process
from labrunner.sandbox.workload.network import Network
from labrunner.sandbox.workload.programs.table import program


def network_of(process: Process) -> Network:
    return process.container.pod.network.network


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
