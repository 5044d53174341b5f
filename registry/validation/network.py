"""Rules for addresses, ports, networks and URLs."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from .basics import texts, whole_number
from .errors import InvalidInput, quoted

RESERVED_NETWORK = ip_network("240.0.0.0/4")
"""Class E and the broadcast address, RFC 1112. No host has such an address."""

MOST_EXTERNAL_IPS = 32


def port(value: int) -> int:
    """Require the port of the Service."""
    return whole_number("port", value, 1, 65535, "a TCP port", "For example 5000")


def node_port(value: int) -> int:
    """Require a port in the API server's default range for node ports."""
    return whole_number("node_port", value, 30000, 32767, "a port", "For example 30500")


def external_ips(value: list[str]) -> list[str]:
    """Require addresses of nodes that other hosts can reach."""
    if not isinstance(value, list):
        problem = f"must be a list of addresses, not {quoted(value)}"
        remedy = "Run `pulumi config set --path 'external_ips[0]' 192.168.56.10`"
        raise InvalidInput("external_ips", "not-a-list", problem, remedy)
    addresses = [_reachable("external_ips", item) for item in value]
    if len(set(addresses)) < len(addresses):
        problem = f"names an address twice: {quoted(value)}"
        raise InvalidInput("external_ips", "repeated", problem, "Name each one once")
    if len(value) > MOST_EXTERNAL_IPS:
        problem = f"must be at most {MOST_EXTERNAL_IPS} addresses, not {len(value)}"
        raise InvalidInput("external_ips", "too-many", problem, "Use fewer nodes")
    return value


def load_balancer_address(value: str) -> str:
    """Require an address that other hosts can reach."""
    _reachable("load_balancer_address", value)
    return value


def client_cidrs(value: list[str]) -> list[str]:
    """Require networks in the form that the ipBlock of a NetworkPolicy takes."""
    example = "For example '10.0.0.0/8', or '10.1.2.3/32' for one host"
    for item in texts("client_cidrs", value, "10.0.0.0/8"):
        address, slash, length = item.partition("/")
        cidr = item if slash and length.isdigit() and "%" not in address else ""
        try:
            network = ip_network(cidr)
        except ValueError as error:
            if _has_host_bits(cidr):
                problem = f"has {quoted(item)}, an address inside a network"
                remedy = f"Write {str(ip_network(cidr, strict=False))!r}"
                raise InvalidInput("client_cidrs", "cidr-host-bits", problem, remedy) from error
            problem = f"must be networks in CIDR notation, not {quoted(item)}"
            raise InvalidInput("client_cidrs", "not-a-cidr", problem, example) from error
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        usual = str(ip_network(f"{mapped}/{max(network.prefixlen - 96, 0)}", strict=False)) if mapped else str(network)
        if usual != item:
            problem = f"must be networks in their usual form, not {quoted(item)}"
            raise InvalidInput("client_cidrs", "cidr-form", problem, f"Write {usual!r}")
    return value


def _has_host_bits(cidr: str) -> bool:
    """Return whether the network is valid without the bits behind its prefix."""
    try:
        ip_network(cidr, strict=False)
    except ValueError:
        return False
    return True


def load_balancer_reaches_clients(load_balancer_address: str, client_cidrs: list[str]) -> None:
    """Refuse an address that no client network can reach, because the family differs."""
    family = ip_address(load_balancer_address).version
    if client_cidrs and all(ip_network(cidr).version != family for cidr in client_cidrs):
        problem = f"is {quoted(load_balancer_address)}, whose family none of `client_cidrs` has"
        remedy = "Use an address of the same family as the clients"
        raise InvalidInput("load_balancer_address", "family-of-clients", problem, remedy)


def ip_version(host: str) -> int:
    """Return 4 or 6 for an IP address, else 0."""
    try:
        return ip_address(host).version
    except ValueError:
        return 0


def image_reference_hosts(endpoint: str) -> list[str]:
    """Return how image references may name the registry at `host:port`. Clients leave out the port 443."""
    return list(dict.fromkeys([endpoint, endpoint.removesuffix(":443")]))


def _reachable(key: str, value: str) -> IPv4Address | IPv6Address:
    """Return an address that other hosts can reach, in the form that the API server takes.

    The API server takes no leading zeros, prefix length or zone.
    """
    remedy = "Use an address by which clients reach the cluster, for example '192.168.56.10'"
    try:
        address = ip_address(value if isinstance(value, str) else "")
    except ValueError as error:
        raise InvalidInput(key, "not-an-address", f"must be IP addresses, not {quoted(value)}", remedy) from error
    is_unreachable = (
        address.is_loopback
        or address.is_unspecified
        or address.is_link_local
        or address.is_multicast
        or address in RESERVED_NETWORK
        or (isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id))
    )
    if is_unreachable:
        raise InvalidInput(key, "unreachable-address", f"has {quoted(value)}, which no other host can reach", remedy)
    if str(address) != value:
        # The API server compares addresses as text.
        problem = f"must be addresses in their usual form, not {quoted(value)}"
        raise InvalidInput(key, "address-form", problem, f"Write {str(address)!r}")
    return address
