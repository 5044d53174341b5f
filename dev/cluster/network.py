"""The network of the cluster: a bridge in a network namespace of its own. That namespace is called the switch.

The bridge connects the hosts. If the cluster is not isolated, it also connects this machine, by one link with one
address. The machine does not route packets of the hosts, and does no NAT for them. So they have no internet access,
and their attempts fail at once.
"""

import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, NetNS, netns  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD  # type: ignore[import-untyped]

from dev.cluster.plan import (
    HOSTS,
    MACHINE,
    NETWORK,
    NETWORK_IPV6,
    NODES,
    PREFIX,
    SERVICES,
    SERVICES_IPV6,
    Host,
    Plan,
)
from dev.errors import RequirementError

NAMESPACES = Path("/run/netns")
"""Folder where iproute2 and pyroute2 mount the named network namespaces of the machine."""

BRIDGE = "br0"
HOST_LINK = "eth0"
"""Name of the link in each host."""

MACHINE_LINK = "machine"
"""Name of the machine's link in the switch."""

PREFIX_LENGTH, PREFIX_LENGTH_IPV6 = (ip_network(network).prefixlen for network in (NETWORK, NETWORK_IPV6))


def create(plan: Plan) -> None:
    """Create the network. Call `remove` first if parts of it may exist."""
    for name in (plan.switch, *map(plan.netns, HOSTS)):
        netns.create(name)
    with _open_namespace(plan.switch) as switch:
        # The alias names the owner: its state folder. A clone takes a network without an owner for its own.
        switch.link("add", ifname=BRIDGE, kind="bridge")
        _set_link(switch, BRIDGE, state="up", ifalias=str(plan.state))
        for host in HOSTS:
            switch.link("add", ifname=host.name, kind="veth", peer={"ifname": HOST_LINK, "net_ns_fd": plan.netns(host)})
            _set_link(switch, host.name, state="up", master=_index_of(switch, BRIDGE))
    for host in HOSTS:
        with _open_namespace(plan.netns(host)) as namespace:
            _configure_host(namespace, host, plan)
    if not plan.isolated:
        _attach_machine(plan)


def remove(plan: Plan) -> None:
    """Remove all parts of the network that exist, even if `create` was killed."""
    with IPRoute() as machine:
        for index in machine.link_lookup(ifname=plan.link):
            machine.link("del", index=index)
    for name in (*map(plan.netns, HOSTS), plan.switch):
        if (NAMESPACES / name).exists():
            netns.remove(name)
    if NAMESPACES.exists() and not any(NAMESPACES.iterdir()):
        # The first `netns.create` or `ip netns add` mounts the folder on itself, and neither pyroute2 nor
        # `ip netns` unmounts it.
        subprocess.run(["umount", NAMESPACES], capture_output=True, check=False)
        with suppress(OSError):  # another cluster uses it again
            NAMESPACES.rmdir()


def find_owner(plan: Plan) -> Path | None:
    """Return the state folder of the running cluster with this name, or None if none runs.

    An incomplete network without an owner counts as that of this clone.
    """
    if not (NAMESPACES / plan.switch).exists():
        return None
    with _open_namespace(plan.switch) as switch:
        aliases = [bridge.get("ifalias") for bridge in switch.link("dump", ifname=BRIDGE)]
    return Path(next(filter(None, aliases), plan.state))


def check_owner(plan: Plan) -> None:
    """Raise `RequirementError` if the running cluster with this name belongs to another clone that still exists."""
    owner = find_owner(plan)
    if owner and owner != plan.state and plan.with_state(owner).lock.exists():
        raise RequirementError(f"The cluster of {owner} is running and has the same name.", _stop_command(plan.name))


def check_addresses(plan: Plan) -> None:
    """Raise `RequirementError` if a link of this machine has an address in the cluster's network."""
    if plan.isolated:
        return
    with IPRoute() as machine:
        links = {link["index"]: link for link in machine.link("dump")}
        addresses = [entry for entry in machine.addr("dump") if _is_in_network(entry.get("address"))]
    for link in [links[entry["index"]] for entry in addresses]:
        if (name := link.get("ifname")) == plan.link:
            continue
        if name.startswith(PREFIX):
            raise RequirementError(
                f"The cluster of {link.get('ifalias')} is running and has the same addresses.",
                _stop_command(name.removeprefix(PREFIX)),
            )
        raise RequirementError(
            f"The network {NETWORK} is in use by the link {name}.",
            "Remove that address with `ip address del`, or set KUBECONFIG to a cluster of your own.",
        )


def _stop_command(name: str) -> str:
    return f"Stop it with `python -m dev down --cluster {name}` in that clone."


def connect(plan: Plan, host: Host, port: int, address: str = "127.0.0.1", timeout: float = 5) -> socket.socket:
    """Open a TCP connection from `host` to `address`, as `host` sees it, within `timeout` seconds.

    Raise `OSError` if it fails. A socket stays in the network namespace where it was created.
    """

    def create_socket() -> socket.socket:
        netns.setns(plan.netns(host), flags=0, fork=False)
        return socket.socket()

    # setns moves only the thread that calls it: the only thread of the pool, which ends with the block.
    with ThreadPoolExecutor(1) as pool:
        connection = pool.submit(create_socket).result()
    try:
        connection.settimeout(timeout)
        connection.connect((address, port))
    except OSError:
        connection.close()
        raise
    return connection


def _configure_host(namespace: Any, host: Host, plan: Plan) -> None:
    link = _index_of(namespace, HOST_LINK)
    namespace.addr("add", index=link, address=host.address, prefixlen=PREFIX_LENGTH)
    if plan.dual_stack:  # usable at once, because no other host has the address
        namespace.addr("add", index=link, address=host.ipv6, prefixlen=PREFIX_LENGTH_IPV6, flags=IFA_F_NODAD)
    _set_link(namespace, HOST_LINK, state="up")
    _set_link(namespace, "lo", state="up")
    if host not in NODES:
        return
    # Without a route, packets for a Service are rejected before kube-proxy translates their address.
    for services in plan.families(SERVICES, SERVICES_IPV6):
        namespace.route("add", dst=services, oif=link)
    for other in NODES:
        if other != host:
            addresses = plan.families(other.address, other.ipv6)
            for pods, address in zip(plan.families(other.pods, other.pods_ipv6), addresses, strict=True):
                namespace.route("add", dst=pods, gateway=address)


def _attach_machine(plan: Plan) -> None:
    with IPRoute() as machine:
        machine.link("add", ifname=plan.link, kind="veth", peer={"ifname": MACHINE_LINK, "net_ns_fd": plan.switch})
        _set_link(machine, plan.link, ifalias=str(plan.state))
        machine.addr("add", index=_index_of(machine, plan.link), address=MACHINE, prefixlen=PREFIX_LENGTH)
        _set_link(machine, plan.link, state="up")
    with _open_namespace(plan.switch) as switch:
        _set_link(switch, MACHINE_LINK, state="up", master=_index_of(switch, BRIDGE))


def _open_namespace(namespace: str) -> Any:
    return NetNS(namespace, flags=0)  # 0: do not create the namespace


def _index_of(netlink: Any, link: str) -> int:
    index: int = netlink.link_lookup(ifname=link)[0]
    return index


def _set_link(netlink: Any, link: str, **attributes: Any) -> None:
    netlink.link("set", index=_index_of(netlink, link), **attributes)


def _is_in_network(address: str | None) -> bool:
    return address is not None and ip_address(address) in ip_network(NETWORK)
