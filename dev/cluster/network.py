"""The network: a switch in a namespace of its own, the hosts on it, and this machine unless the cluster is isolated.

Nothing is routed, forwarded or translated on the machine itself: all it gets is one link with one address. There is
no way from a host to the internet, and a host that tries is told so at once.
"""

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, NetNS, netns  # type: ignore[import-untyped]

from dev.cluster.plan import HOSTS, MACHINE, NETWORK, NODES, SERVICES, Host, Plan
from dev.console import Unmet

NAMESPACES = Path("/run/netns")
BRIDGE = "br0"
PORT = "eth0"
PREFIX = ip_network(NETWORK).prefixlen
UP_ELSEWHERE = "The cluster of {} is up: run `make down` there."


def create(plan: Plan) -> None:
    """Make it from nothing: `remove` comes first wherever something may be left."""
    for name in (plan.switch, *map(plan.netns, HOSTS)):
        netns.create(name)
    with _inside(plan.switch) as switch:
        # The owner is written down first: an `up` in another clone must not take a half-made network for a free name.
        switch.link("add", ifname=BRIDGE, kind="bridge")
        _set(switch, BRIDGE, state="up", ifalias=str(plan.state))
        for host in HOSTS:
            switch.link("add", ifname=host.name, kind="veth", peer={"ifname": PORT, "net_ns_fd": plan.netns(host)})
            _set(switch, host.name, state="up", master=_index(switch, BRIDGE))
    for host in HOSTS:
        with _inside(plan.netns(host)) as inside:
            _configure(inside, host)
    if not plan.isolated:
        _attach(plan)


def remove(plan: Plan) -> None:
    """Take away whatever is there of it, however far a killed `create` came."""
    with IPRoute() as machine:
        for index in machine.link_lookup(ifname=plan.link):
            machine.link("del", index=index)
    for name in (*map(plan.netns, HOSTS), plan.switch):
        if (NAMESPACES / name).exists():
            netns.remove(name)
    if NAMESPACES.exists() and not any(NAMESPACES.iterdir()):
        # The first `netns.create` or `ip netns add` mounts it on itself, and nothing else ever takes it away again.
        subprocess.run(["umount", NAMESPACES], capture_output=True, check=False)
        with suppress(OSError):  # in use again, by another cluster
            NAMESPACES.rmdir()


def owner(plan: Plan) -> Path | None:
    """The state folder of the cluster that goes by this name now, if there is one."""
    if not (NAMESPACES / plan.switch).exists():
        return None
    with _inside(plan.switch) as switch:
        for bridge in switch.link("dump", ifname=BRIDGE):
            return Path(bridge.get("ifalias") or plan.state)
    return plan.state


def check_owner(plan: Plan) -> None:
    """Refuse to touch the cluster of another clone; one whose clone was deleted is nobody's."""
    other = owner(plan)
    if other and other != plan.state and plan.at(other).lock.exists():
        raise Unmet(UP_ELSEWHERE.format(other))


def check_addresses(plan: Plan) -> None:
    """Refuse to collide with another network of the machine."""
    if plan.isolated:
        return
    with IPRoute() as machine:
        links = {link["index"]: link for link in machine.link("dump")}
        taken = [links[entry["index"]] for entry in machine.addr("dump") if _within(entry.get("address"))]
    for link in taken:
        if (name := link.get("ifname")) == plan.link:
            continue
        if alias := link.get("ifalias"):
            raise Unmet(UP_ELSEWHERE.format(alias))
        raise Unmet(f"{NETWORK} is in use by {name}: take that network down, or set KUBECONFIG to your own cluster.")


def connect(plan: Plan, host: Host, port: int, address: str = "127.0.0.1", timeout: float = 5) -> socket.socket:
    """A TCP connection as a program on `host` would make it: a socket stays in the namespace it was made in."""

    def enter_and_make() -> socket.socket:
        netns.setns(plan.netns(host), flags=0, fork=False)
        return socket.socket()

    with ThreadPoolExecutor(1) as thread:  # setns moves only the calling thread, and this one ends here
        made = thread.submit(enter_and_make).result()
    try:
        made.settimeout(timeout)
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


def _configure(inside: Any, host: Host) -> None:
    inside.addr("add", index=_index(inside, PORT), address=host.address, prefixlen=PREFIX)
    _set(inside, PORT, state="up")
    _set(inside, "lo", state="up")
    if host not in NODES:
        return
    # Without a route to it, a packet for a Service is refused before kube-proxy can give it an address.
    inside.route("add", dst=SERVICES, oif=_index(inside, PORT))
    for other in NODES:
        if other != host:
            inside.route("add", dst=other.pods, gateway=other.address)


def _attach(plan: Plan) -> None:
    with IPRoute() as machine:
        machine.link("add", ifname=plan.link, kind="veth", peer={"ifname": "machine", "net_ns_fd": plan.switch})
        _set(machine, plan.link, ifalias=str(plan.state))
        machine.addr("add", index=_index(machine, plan.link), address=MACHINE, prefixlen=PREFIX)
        _set(machine, plan.link, state="up")
    with _inside(plan.switch) as switch:
        _set(switch, "machine", state="up", master=_index(switch, BRIDGE))


def _inside(namespace: str) -> Any:
    return NetNS(namespace, flags=0)  # 0: do not create it


def _index(route: Any, link: str) -> int:
    index: int = route.link_lookup(ifname=link)[0]
    return index


def _set(route: Any, link: str, **attributes: Any) -> None:
    route.link("set", index=_index(route, link), **attributes)


def _within(address: str | None) -> bool:
    return address is not None and ip_address(address) in ip_network(NETWORK)
