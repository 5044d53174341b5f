"""A stable address in front of the registry: a Service of the kind that is asked for, and an Ingress if that is.

What the endpoint, the certificate and the registry say of themselves follows from it (docs/adr/0011-exposure.md).
"""

from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import ServicePortArgsDict, ServiceSpecArgsDict
from pulumi_kubernetes.networking.v1 import HTTPIngressPathArgsDict

from .args import PrivateRegistryArgs
from .metadata import NOT_AWAITED, Metadata
from .validation import network

HTTPS = 443
"""Where an Ingress controller listens."""

TYPES = {"node-port": "NodePort", "load-balancer": "LoadBalancer"}
"""Of the Service, where it is not ClusterIP."""

ADDRESSED = {"pulumi.com/waitFor": "jsonpath={.status.loadBalancer.ingress}"}
"""A load balancer without an address is of no use yet."""

UNLIMITED = {
    "nginx.ingress.kubernetes.io/backend-protocol": "HTTPS",
    "nginx.ingress.kubernetes.io/proxy-body-size": "0",
    "nginx.ingress.kubernetes.io/proxy-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "900",
    "nginx.ingress.kubernetes.io/proxy-send-timeout": "900",
}
"""Layers are larger than any limit, pass through instead of lying on the controller's disk first, and take minutes."""

REPLACING = ["spec.ports", "spec.type", "spec.loadBalancerClass"]
"""Of the Service. Server-side apply would keep an old port beside the new one; the class is immutable."""

ALLOWED_FROM = "nginx.ingress.kubernetes.io/whitelist-source-range"


class Address(NamedTuple):
    """How clients reach it: `host` is what they type before the port, `endpoint` both. `hosts` are all names and
    addresses that a certificate made for it has, the common name first."""

    host: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    hosts: pulumi.Output[list[str]]


def address(app: str, given: PrivateRegistryArgs) -> Address:
    """What clients type, and every name and address that may be typed instead."""
    service = f"{app}.{given['namespace']}"
    inside = [service, f"{service}.svc", f"{service}.svc.cluster.local"]
    names = [given["hostname"], *inside, *given["external_ips"], given.get("load_balancer_address")]
    # The class is none of them: what is refused of the way in is refused before anything is signed for it.
    hosts = pulumi.Output.all(names, given["certificate_names"], given.get("load_balancer_class")).apply(
        lambda known: list(dict.fromkeys(host for host in [*known[0], *known[1]] if host))
    )
    host = pulumi.Output.from_input(f"{service}.svc" if given["exposure"] == "cluster" else given["hostname"])
    port = {"node-port": given.get("node_port"), "ingress": HTTPS}.get(given["exposure"], given["port"])
    return Address(host, pulumi.Output.concat(host, ":", str(port)), hosts)


def expose(
    name: str,
    app: str,
    given: PrivateRegistryArgs,
    node: kubernetes.core.v1.Node | None,
    target_port: int,
    metadata: Metadata,
    opts: pulumi.ResourceOptions,
) -> kubernetes.core.v1.Service:
    """The Service, once it has its addresses."""
    balanced = given["exposure"] == "load-balancer"
    return kubernetes.core.v1.Service(
        name,
        metadata=metadata.of(app, annotations=ADDRESSED if balanced else NOT_AWAITED),
        spec={
            "selector": metadata.selector,
            "type": TYPES.get(given["exposure"], "ClusterIP"),
            "ports": [_port(given, target_port)],
            **_addresses(name, given, node, opts),
        },
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(replace_on_changes=REPLACING, delete_before_replace=True)
        ),
    )


def addresses(given: PrivateRegistryArgs, service: kubernetes.core.v1.Service) -> pulumi.Output[list[str]]:
    """Where the hostname has to lead; a balancer's own word counts, as it may not serve the address asked for."""
    if given["exposure"] != "load-balancer":
        return pulumi.Output.from_input(given["external_ips"])
    known = pulumi.Output.all(service.status.apply(_balanced), given.get("load_balancer_address"))
    return known.apply(lambda each: each[0] or [address for address in each[1:] if address])


def _balanced(status: Any) -> list[str]:
    """The balancer's addresses; one that is known by a name alone, as AWS's are, resolves by itself."""
    balancer = status.load_balancer if status else None
    return [each.ip for each in (balancer.ingress if balancer else None) or [] if each.ip]


def _port(given: PrivateRegistryArgs, target_port: int) -> ServicePortArgsDict:
    port: ServicePortArgsDict = {"name": "registry", "port": given["port"], "target_port": target_port}
    return port if given["exposure"] != "node-port" else {**port, "node_port": given["node_port"]}


def _addresses(
    name: str, given: PrivateRegistryArgs, node: kubernetes.core.v1.Node | None, opts: pulumi.ResourceOptions
) -> ServiceSpecArgsDict:
    """What the Service is reached by from outside, once the cluster is known to serve it."""
    spec: ServiceSpecArgsDict = {}
    if given["exposure"] == "external-ips" and node is not None:
        api, version = _api_server(name, opts), node.status.node_info.kubelet_version
        known = pulumi.Output.all(version, api.spec.cluster_ip, api.spec.ports[0].target_port)
        spec["external_ips"] = known.apply(lambda cluster: _served(given, *cluster))
    if given.get("load_balancer_class") is not None:
        spec["load_balancer_class"] = given["load_balancer_class"]
    if given.get("load_balancer_address") is not None:
        both = pulumi.Output.all(given["load_balancer_address"], _api_server(name, opts).spec.cluster_ip)
        spec["load_balancer_ip"] = both.apply(
            lambda known: network.of_the_clusters_family("load_balancer_address", [known[0]], known[1])[0]
        )
    if given["exposure"] in ("external-ips", *TYPES):
        # Otherwise the node that takes a connection hides who made it from the NetworkPolicy.
        sees = pulumi.Output.from_input(given["client_cidrs"]).apply(lambda known: "Local" if known else "Cluster")
        spec["external_traffic_policy"] = sees
    return spec


def _served(given: PrivateRegistryArgs, version: str, cluster_ip: str, api_port: Any) -> list[str]:
    network.beside_the_api_server(given["port"], api_port)
    if said := network.external_ips_by_version(version):
        pulumi.log.warn(said)
    return network.of_the_clusters_family("external_ips", given["external_ips"], cluster_ip)


def _api_server(name: str, opts: pulumi.ResourceOptions) -> kubernetes.core.v1.Service:
    """The Service that every cluster has: it tells the cluster's family of addresses, and the API server's own port."""
    return kubernetes.core.v1.Service.get(f"{name}-of-the-cluster", "default/kubernetes", opts=opts)


def route(
    name: str,
    app: str,
    given: PrivateRegistryArgs,
    service: kubernetes.core.v1.Service,
    certificate: pulumi.Input[str],
    metadata: Metadata,
    opts: pulumi.ResourceOptions,
) -> None:
    """An Ingress in front of the Service, if asked for.

    The registry's own certificate for clients, TLS to the registry behind it, and no limit between the two.
    """
    if given["exposure"] != "ingress":
        return
    allowed = pulumi.Output.from_input(given["client_cidrs"]).apply(
        lambda known: {ALLOWED_FROM: ",".join(known)} if known else {}
    )
    bears = metadata.of(app)
    bears["annotations"] = allowed.apply(lambda of: {**metadata.annotations, **NOT_AWAITED, **UNLIMITED, **of})
    everything: HTTPIngressPathArgsDict = {
        "path": "/",
        "path_type": "Prefix",
        "backend": {"service": {"name": service.metadata.name, "port": {"name": "registry"}}},
    }
    kubernetes.networking.v1.Ingress(
        name,
        metadata=bears,
        spec={
            "ingress_class_name": given["ingress_class"],
            "tls": [{"hosts": [given["hostname"]], "secret_name": certificate}],
            "rules": [{"host": given["hostname"], "http": {"paths": [everything]}}],
        },
        opts=opts,
    )
