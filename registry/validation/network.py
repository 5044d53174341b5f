"""Addresses, ports and networks: what a Service can carry and a client can reach."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from . import Described, InvalidInput, one_of, text, whole_number, words
from .names import dns_name

RESERVED = ip_network("240.0.0.0/4")
"""Class E and the broadcast address, RFC 1112: no host answers there."""

SERVER = re.compile(r"https?://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?/?", re.ASCII)
"""The URL of a server by name or address, whose own spelling is another question."""

EXPOSURES = ("cluster", "external-ips", "node-port", "load-balancer", "ingress")

DEPRECATED, OFF = (1, 36), (1, 40)
"""Versions of Kubernetes: the first that warns of Service.spec.externalIPs, and the earliest that may switch it off."""


def port(value: int) -> int:
    """The port of the Service, which clients type after the hostname."""
    return whole_number("port", value, 1, 65535, "a TCP port", "for example 5000")


def node_port(value: int) -> int:
    """The port on every node: the API server's default range."""
    return whole_number("node_port", value, 30000, 32767, "a port", "for example 30500")


def exposure(value: str) -> str:
    """The way in, one of `EXPOSURES`."""
    return one_of("exposure", value, EXPOSURES, "external-ips is the guide's")


def external_ips(value: list[str]) -> list[str]:
    """Addresses of the nodes on which the Service answers; each becomes a SAN of the certificate."""
    example = ["192.168.56.10"]
    if not isinstance(value, list):
        raise InvalidInput("external_ips", "a list of addresses", value, f"for example {example!r}")
    addresses = [_reachable("external_ips", given) for given in value]
    if len(set(addresses)) < len(addresses):
        raise InvalidInput("external_ips", "distinct addresses", value, "name each one once")
    if len({address.version for address in addresses}) > 1:
        raise InvalidInput("external_ips", "addresses of one family", value, "all IPv4, or all IPv6")
    if len(value) > 32:
        raise InvalidInput("external_ips", "at most 32 addresses", Described(str(len(value))), "use fewer nodes")
    return value


def load_balancer_address(value: str) -> str:
    """The address that the load balancer shall have."""
    _reachable("load_balancer_address", value)
    return value


def client_cidrs(value: list[str]) -> list[str]:
    """Networks from which clients connect, as a NetworkPolicy's ipBlock takes them."""
    remedy = "for example '10.0.0.0/8', or '10.1.2.3/32' for one host"
    for given in words("client_cidrs", value, ["10.0.0.0/8"]):
        address, slash, length = given.partition("/")
        try:
            network = ip_network(given if slash and length.isdigit() and "%" not in address else "")
        except ValueError as error:
            raise InvalidInput("client_cidrs", "networks in CIDR notation, host bits zero", given, remedy) from error
        if str(network) != given or getattr(network.network_address, "ipv4_mapped", None):
            raise InvalidInput("client_cidrs", "networks in their usual form", given, f"write {str(network)!r}")
    return value


def one_family(load_balancer_address: str, client_cidrs: list[str]) -> None:
    """Refuse an address that none of the clients could reach."""
    family = ip_address(load_balancer_address).version
    if client_cidrs and all(ip_network(each).version != family for each in client_cidrs):
        remedy = "take an address of the clients' family"
        raise InvalidInput("load_balancer_address", "of a family of `client_cidrs`", load_balancer_address, remedy)


def s3_endpoint(value: str) -> str:
    """The S3 server, if it is not AWS."""
    return _server("s3_endpoint", value, "https://s3.example.com:9000")


def mirror_of(value: str) -> str:
    """The registry whose images are kept."""
    return _server("mirror_of", value, "https://registry-1.docker.io")


def _server(key: str, value: str, example: str) -> str:
    """The URL of a whole server, without credentials, path, query or fragment."""
    given = text(key, value, example)
    match = SERVER.fullmatch(given)
    if "@" in given:
        remedy = "credentials have keys of their own, so that they stay secret"
        raise InvalidInput(key, "a URL without credentials", Described("one with some"), remedy)
    if not match or not _is_host(match["host"]) or not 0 < int(match["port"] or 443) <= 65535:
        raise InvalidInput(key, "the http or https URL of a server, without a path", given, f"for example {example!r}")
    return given.rstrip("/")


def _is_host(host: str) -> bool:
    """A name, an IPv4 address, or an IPv6 address in brackets."""
    if version := family(host.strip("[]")):
        return version == (6 if host.startswith("[") else 4)
    return dns_name(host) and not host.rsplit(".", 1)[-1].isdigit()


def family(host: str) -> int:
    """4 or 6 of an address, 0 of whatever is none."""
    try:
        return ip_address(host).version
    except ValueError:
        return 0


def spellings(endpoint: str) -> list[str]:
    """How references of images begin that lie at `host:port`: the port of HTTPS may be left out."""
    return list(dict.fromkeys([endpoint, endpoint.removesuffix(":443")]))


def external_ips_by_version(kubelet: str) -> str:
    """What to say of external IPs on nodes that run `kubelet`, such as v1.36.3; refused once they are off."""
    numbers = re.match(r"v(\d+)\.(\d+)", kubelet or "")
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    instead = "set `exposure` to load-balancer, node-port or ingress"
    if version >= OFF:
        got = Described(f"external-ips on Kubernetes {kubelet}, which ignores them")
        raise InvalidInput("exposure", "a way that this cluster knows", got, instead)
    if version < DEPRECATED:
        return ""
    return f"`exposure` external-ips is deprecated since Kubernetes 1.36 and off from 1.40 on: before then, {instead}"


def of_the_clusters_family(key: str, addresses: list[str], cluster_ip: str) -> list[str]:
    """Refuse addresses of another family than the cluster's own Services: traffic to them would go nowhere."""
    family = ip_address(cluster_ip).version
    for given in addresses:
        if ip_address(given).version != family:
            raise InvalidInput(key, f"of the cluster's family, IPv{family}", given, "use an address of that family")
    return addresses


def beside_the_api_server(port: int, api_port: float | str) -> None:
    """Refuse the API server's own port, 6443.0 as the engine tells it: its node would give its connections away."""
    if api_port in (port, str(port)):
        remedy = "take another one, for example 5000: the nodes could not reach their API server any more"
        raise InvalidInput("port", "free on the nodes", Described(f"{port}, the API server's"), remedy)


def _reachable(key: str, given: str) -> IPv4Address | IPv6Address:
    """An address as the API server takes it (no leading zeros, prefix length or zone) that another host can reach."""
    remedy = "use an address by which clients reach the cluster, for example '192.168.56.10'"
    try:
        address = ip_address(given if isinstance(given, str) else "")
    except ValueError as error:
        raise InvalidInput(key, "IP addresses in full", given, remedy) from error
    unreachable = (
        address.is_loopback
        or address.is_unspecified
        or address.is_link_local
        or address.is_multicast
        or address in RESERVED
        or (isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id))
    )
    if unreachable:
        raise InvalidInput(key, "addresses that other hosts can reach", given, remedy)
    if str(address) != given:
        # The API server warns of it, and compares addresses as text.
        raise InvalidInput(key, "addresses in their usual form", given, f"write {str(address)!r}")
    return address
