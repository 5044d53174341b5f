"""Rules for the families of IP addresses, IPv4 and IPv6, of the Service, its clients and the cluster."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from ..choices import IpFamily, IpFamilyPolicy
from .basics import one_of, texts
from .errors import InvalidInput, quoted


def ip_families(value: list[str]) -> list[str]:
    """Require families of addresses, the primary one first."""
    families = texts("ip_families", value, "IPv4")
    return [one_of("ip_families", family, IpFamily, "For example ['IPv4', 'IPv6']") for family in families]


def ip_family_policy(value: str) -> str:
    """Require one of the policies of Kubernetes."""
    return one_of("ip_family_policy", value, IpFamilyPolicy, "PreferDualStack works in every cluster")


def families_fit_policy(ip_families: list[str], ip_family_policy: str) -> None:
    """Refuse two families for a Service that gets addresses of one."""
    if len(ip_families) > 1 and ip_family_policy == IpFamilyPolicy.SINGLE_STACK:
        problem = "must be PreferDualStack or RequireDualStack, because `ip_families` has two families"
        remedy = "Run `pulumi config set ip_family_policy PreferDualStack`"
        raise InvalidInput("ip_family_policy", "two-families", problem, remedy)


def families_of_addresses(external_ips: list[str], ip_families: list[str], ip_family_policy: str) -> None:
    """Refuse external IPs of two families, or of another family, for a Service that gets addresses of one."""
    families = {ip_address(address).version for address in external_ips}
    if ip_family_policy != IpFamilyPolicy.SINGLE_STACK:
        return
    if len(families) > 1:
        problem = f"mixes IPv4 and IPv6: {quoted(external_ips)}"
        remedy = "Use addresses of one family. In a dual-stack cluster, set `ip_family_policy` to PreferDualStack"
        raise InvalidInput("external_ips", "mixed-families", problem, remedy)
    if ip_families and families - versions(ip_families):
        problem = f"has {quoted(external_ips)}, but `ip_families` is {ip_families[0]}"
        raise InvalidInput("external_ips", "family-of-service", problem, f"Use {ip_families[0]} addresses")


def families_of_clients(client_cidrs: list[str], ip_families: list[str]) -> None:
    """Refuse networks from which no client could connect, because the Service has addresses of the other family."""
    if ip_families and client_cidrs:
        networks = {ip_network(cidr).version for cidr in client_cidrs}
        if not networks & versions(ip_families):
            problem = f"has no {ip_families[0]} network, but `ip_families` is {ip_families[0]}"
            raise InvalidInput("client_cidrs", "family-of-service", problem, "Add the networks of the clients")


def versions(ip_families: Sequence[str]) -> set[int]:
    """Return 4 and 6 for the families IPv4 and IPv6."""
    return {int(family[-1]) for family in ip_families}


def refuse_families_of_other_clusters(ip_families: Sequence[str], policy: str, cluster_cidrs: Sequence[str]) -> None:
    """Refuse families that no Service of the cluster can have. `cluster_cidrs` are the networks of its Services.

    Before Kubernetes 1.33 they are not known, and the API server refuses such families.
    """
    if not cluster_cidrs:
        return
    available = {ip_network(cidr).version for cidr in cluster_cidrs}
    known = " and ".join(f"IPv{version}" for version in sorted(available))
    for family in ip_families:
        if not versions([family]) <= available and policy != IpFamilyPolicy.PREFER_DUAL_STACK:
            problem = f"has {family}, but the Services of this cluster have {known} addresses"
            raise InvalidInput("ip_families", "family-of-cluster", problem, "Remove it")
    if policy == IpFamilyPolicy.REQUIRE_DUAL_STACK and len(available) < 2:
        problem = f"is RequireDualStack, but the Services of this cluster have {known} addresses"
        remedy = "Run `pulumi config set ip_family_policy PreferDualStack`"
        raise InvalidInput("ip_family_policy", "family-of-cluster", problem, remedy)


def service_versions(
    ip_families: Sequence[str], policy: str, cluster_ip: str, cluster_cidrs: Sequence[str]
) -> set[int]:
    """Return 4, 6 or both for the addresses of the Service. Without `cluster_cidrs`, both policies may give both.

    `cluster_ip` is the address of the API server's Service, which has the first family of the cluster.
    """
    if policy != IpFamilyPolicy.SINGLE_STACK:
        return {ip_network(cidr).version for cidr in cluster_cidrs} or {4, 6}
    return versions(ip_families) or {ip_address(cluster_ip).version}


def require_service_family(key: str, addresses: Sequence[str], service_versions: set[int]) -> None:
    """Refuse addresses of a family that the Service does not have, because it would drop their traffic."""
    for address in addresses:
        if ip_address(address).version not in service_versions:
            (family,) = service_versions
            problem = f"has {quoted(address)}, but the Services of this cluster have IPv{family} addresses"
            raise InvalidInput(key, "family-of-cluster", problem, f"Use an IPv{family} address")
