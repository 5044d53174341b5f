"""The network: a switch in its own namespace. It connects the hosts, and this machine unless the cluster is isolated.

The machine gets one link with one address. It routes, forwards and translates nothing for the hosts, so they have no
internet access, and their attempts fail at once.
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
from dev.errors import RequirementError

NAMESPACES = Path("/run/netns")
BRIDGE = "br0"
PORT = "eth0"
PREFIX = ip_network(NETWORK).prefixlen


def create(plan: Plan) -> None:
    """Create the network. Call `remove` first if parts of it may exist."""
    for name in (plan.switch, *map(plan.netns, HOSTS)):
        netns.create(name)
    with _open_namespace(plan.switch) as switch:
        # Save the owner first, so that an `up` in another clone does not take an incomplete network for its own.
        switch.link("add", ifname=BRIDGE, kind="bridge")
        _set(switch, BRIDGE, state="up", ifalias=str(plan.state))
        for host in HOSTS:
            switch.link("add", ifname=host.name, kind="veth", peer={"ifname": PORT, "net_ns_fd": plan.netns(host)})
            _set(switch, host.name, state="up", master=_index(switch, BRIDGE))
    for host in HOSTS:
        with _open_namespace(plan.netns(host)) as namespace:
            _configure(namespace, host)
    if not plan.isolated:
        _attach(plan)


def remove(plan: Plan) -> None:
    """Remove all parts of the network that exist, even if `create` was killed."""
    with IPRoute() as machine:
        for index in machine.link_lookup(ifname=plan.link):
            machine.link("del", index=index)
    for name in (*map(plan.netns, HOSTS), plan.switch):
        if (NAMESPACES / name).exists():
            netns.remove(name)
    if NAMESPACES.exists() and not any(NAMESPACES.iterdir()):
        # The first `netns.create` or `ip netns add` mounts the folder on itself, and no command undoes that.
        subprocess.run(["umount", NAMESPACES], capture_output=True, check=False)
        with suppress(OSError):  # another cluster uses it again
            NAMESPACES.rmdir()


def find_owner(plan: Plan) -> Path | None:
    """Return the state folder of the running cluster with this name, or None."""
    if not (NAMESPACES / plan.switch).exists():
        return None
    with _open_namespace(plan.switch) as switch:
        for bridge in switch.link("dump", ifname=BRIDGE):
            return Path(bridge.get("ifalias") or plan.state)
    return plan.state


def check_owner(plan: Plan) -> None:
    """Raise if the running cluster with this name belongs to another clone that still exists."""
    owner = find_owner(plan)
    if owner and owner != plan.state and plan.with_state(owner).lock.exists():
        raise RequirementError(
            f"The cluster of {owner} is running and has the same name.", "Stop it with `make down` in that clone."
        )


def check_addresses(plan: Plan) -> None:
    """Raise if another network of the machine uses the cluster's addresses."""
    if plan.isolated:
        return
    with IPRoute() as machine:
        links = {link["index"]: link for link in machine.link("dump")}
        addresses = [entry for entry in machine.addr("dump") if _is_in_network(entry.get("address"))]
    for link in [links[entry["index"]] for entry in addresses]:
        if (name := link.get("ifname")) == plan.link:
            continue
        if owner := link.get("ifalias"):
            raise RequirementError(
                f"The cluster of {owner} is running and has the same addresses.",
                "Stop it with `make down` in that clone.",
            )
        raise RequirementError(
            f"The network {NETWORK} is in use by the link {name}.",
            "Take that link down, or set KUBECONFIG to a cluster of your own.",
        )


def connect(plan: Plan, host: Host, port: int, address: str = "127.0.0.1", timeout: float = 5) -> socket.socket:
    """Open a TCP connection from `host`. A socket stays in the network namespace where it was created."""

    def create_socket() -> socket.socket:
        netns.setns(plan.netns(host), flags=0, fork=False)
        return socket.socket()

    with ThreadPoolExecutor(1) as thread:  # setns moves the calling thread only, which ends here
        connection = thread.submit(create_socket).result()
    try:
        connection.settimeout(timeout)
        connection.connect((address, port))
    except OSError:
        connection.close()
        raise
    return connection


def _configure(namespace: Any, host: Host) -> None:
    namespace.addr("add", index=_index(namespace, PORT), address=host.address, prefixlen=PREFIX)
    _set(namespace, PORT, state="up")
    _set(namespace, "lo", state="up")
    if host not in NODES:
        return
    # Without a route, packets for a Service are rejected before kube-proxy translates their address.
    namespace.route("add", dst=SERVICES, oif=_index(namespace, PORT))
    for other in NODES:
        if other != host:
            namespace.route("add", dst=other.pods, gateway=other.address)


def _attach(plan: Plan) -> None:
    with IPRoute() as machine:
        machine.link("add", ifname=plan.link, kind="veth", peer={"ifname": "machine", "net_ns_fd": plan.switch})
        _set(machine, plan.link, ifalias=str(plan.state))
        machine.addr("add", index=_index(machine, plan.link), address=MACHINE, prefixlen=PREFIX)
        _set(machine, plan.link, state="up")
    with _open_namespace(plan.switch) as switch:
        _set(switch, "machine", state="up", master=_index(switch, BRIDGE))


def _open_namespace(namespace: str) -> Any:
    return NetNS(namespace, flags=0)  # 0: do not create the namespace


def _index(route: Any, link: str) -> int:
    index: int = route.link_lookup(ifname=link)[0]
    return index


def _set(route: Any, link: str, **attributes: Any) -> None:
    route.link("set", index=_index(route, link), **attributes)


def _is_in_network(address: str | None) -> bool:
    return address is not None and ip_address(address) in ip_network(NETWORK)
