"""Addresses and ports: what a Service can carry and a client can reach."""

from ipaddress import IPv6Address, ip_address, ip_network

from . import Described, InvalidInput, whole_number

RESERVED = ip_network("240.0.0.0/4")
"""Class E and the broadcast address, RFC 1112: no host answers there."""


def port(value: int) -> int:
    """The port of the Service, which clients type after the hostname."""
    return whole_number("port", value, 1, 65535, "a TCP port", "for example 5000")


def external_ips(value: list[str]) -> list[str]:
    """Addresses of the nodes on which the Service answers; each becomes a SAN of the certificate."""
    if not isinstance(value, list):
        raise InvalidInput("external_ips", "a list of addresses", value, "for example ['192.168.56.10']")
    for given in value:
        _external_ip(given)
    if len({ip_address(given) for given in value}) < len(value):
        raise InvalidInput("external_ips", "distinct addresses", value, "name each one once")
    if len(value) > 32:
        raise InvalidInput("external_ips", "at most 32 addresses", Described(str(len(value))), "use fewer nodes")
    return value


def _external_ip(given: str) -> None:
    """An address as the API server takes it (no leading zeros, prefix length or zone) that another host can reach."""
    remedy = "use the address by which clients reach a node, for example '192.168.56.10'"
    try:
        address = ip_address(given if isinstance(given, str) else "")
    except ValueError as error:
        raise InvalidInput("external_ips", "a list of IP addresses", given, remedy) from error
    unreachable = (
        address.is_loopback
        or address.is_unspecified
        or address.is_link_local
        or address.is_multicast
        or address in RESERVED
        or (isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id))
    )
    if unreachable:
        raise InvalidInput("external_ips", "addresses that other hosts can reach", given, remedy)
