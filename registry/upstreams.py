"""The servers behind the registry: their ports, their namespaces in the cluster, and the proxies in front of them.

A server is known by its URL, which its rule has checked (validation/servers.py). A server may be a Service of the same
cluster, which Pods reach by short names.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pulumi
from pulumi_kubernetes.networking.v1 import NetworkPolicyEgressRuleArgsDict

from .settings import MirrorSettings, StorageSettings

AWS, AZURE = "https://s3.amazonaws.com", "https://blob.core.windows.net"
"""URLs that stand for the servers of S3 and of Azure Blob Storage, which all have this port."""

GOOGLE = "https://storage.googleapis.com"
"""URL of Google Cloud Storage."""

GOOGLE_SERVERS = (GOOGLE, "https://www.googleapis.com", "https://oauth2.googleapis.com")
"""Servers of Google for objects, for uploads in parts and for tokens (CNCF Distribution 3, gcs)."""

TOKEN_SERVER = "https://auth.docker.io"
"""URL of the token server of Docker Hub."""

CLUSTER_DOMAINS = (".svc", ".cluster.local")
"""Domains of the cluster's own names. In a cluster with another domain, Services still have the label svc."""

NEVER_PROXIED = (
    "localhost",
    "127.0.0.0/8",
    "::1",
    "169.254.0.0/16",  # the node's metadata, which give out the keys of its role
    "$(KUBERNETES_SERVICE_HOST)",  # the kubelet inserts the address
    "kubernetes",
    "kubernetes.default",
    *CLUSTER_DOMAINS,
)
"""Entries of NO_PROXY for every cluster. They are hosts, domains with a leading dot, and networks."""

DNS: NetworkPolicyEgressRuleArgsDict = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
"""Rule of a NetworkPolicy for DNS, which resolves the names of servers."""


def upstream_urls(storage: StorageSettings, mirror: MirrorSettings | None) -> pulumi.Output[list[str]]:
    """Return the URLs of the servers that the registry connects to: those of the object store and of the mirror."""
    urls: list[pulumi.Input[str]] = []
    if storage.storage == "s3":
        urls.append(storage.s3_endpoint or AWS)
    if storage.storage == "azure":
        urls.append(storage.azure_endpoint or AZURE)
    if storage.storage == "gcs":
        urls += GOOGLE_SERVERS
    if mirror is not None:
        urls += [mirror.mirror_of, TOKEN_SERVER]
    return pulumi.Output.all(*urls)


def with_bucket_ca(
    ca_pem: pulumi.Output[str], storage: StorageSettings, upstream_ca: pulumi.Input[str] | None
) -> pulumi.Output[str]:
    """Return the CAs that clients must trust: those of the registry, and that of a bucket that they are sent to."""
    if not storage.s3_redirect or upstream_ca is None:
        return ca_pem
    return pulumi.Output.concat(ca_pem, upstream_ca)


def with_proxies(
    urls: pulumi.Output[list[str]], proxies: pulumi.Input[Mapping[str, str]] | None
) -> pulumi.Output[list[str]]:
    """Return the URLs, and those of the proxies. The servers stay, because `no_proxy` may exclude them."""
    return pulumi.Output.all(urls, proxies or {}).apply(
        lambda known: [*known[0], *(known[1][scheme] for scheme in ("http", "https") if scheme in known[1])]
    )


def egress_rules(urls: Sequence[str], *, own_namespace: str) -> list[Any]:
    """Return rules that allow DNS and the ports of the servers, at any address because it may change.

    `own_namespace` is that of the registry. Without servers there is no rule.
    """
    if not urls:
        return []
    ports = sorted({server_port(url) for url in urls})
    servers = {"ports": [{"protocol": "TCP", "port": number} for number in ports]}
    return [DNS, servers, *_service_namespaces(urls, own_namespace)]


def _service_namespaces(urls: Sequence[str], own_namespace: str) -> list[NetworkPolicyEgressRuleArgsDict]:
    """Return rules that allow every port in the namespaces of Services.

    Network plug-ins compare the port of the Pod, which may differ from that of the URL.
    """
    namespaces = filter(None, [service_namespace(url, own_namespace) for url in urls])
    return [
        {"to": [{"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": namespace}}}]}
        for namespace in dict.fromkeys(namespaces)
    ]


def server_port(url: str) -> int:
    """Return the TCP port of the server."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def service_namespace(url: str, own_namespace: str) -> str | None:
    """Return the namespace of the server if its name may be that of a Service, else None.

    A Pod resolves SERVICE, SERVICE.NAMESPACE and SERVICE.NAMESPACE.svc, with or without the domain of the cluster. The
    second form may be a name of the Internet as well, such as ghcr.io. A rule for its namespace has no effect then.
    """
    labels = _dns_labels(url)
    if "svc" in labels[2:]:
        return labels[labels.index("svc", 2) - 1]
    if len(labels) == 2:
        return labels[1]
    return own_namespace if len(labels) == 1 else None


def never_proxied(proxies: Mapping[str, str], urls: Sequence[str]) -> str:
    """Return the value of NO_PROXY: the cluster's own servers, and those of `outbound_proxy.no_proxy`.

    `urls` are those of the servers that the registry connects to.
    """
    own = [urlsplit(url).hostname or "" for url in urls if _is_surely_in_cluster(url)]
    return ",".join(dict.fromkeys([*NEVER_PROXIED, *own, *filter(None, [proxies.get("no_proxy")])]))


def _is_surely_in_cluster(url: str) -> bool:
    """Return whether the server is a Service. A name of two labels counts only with http, because it may be public."""
    labels = _dns_labels(url)
    return "svc" in labels[2:] or len(labels) == 1 or (len(labels) == 2 and url.startswith("http://"))


def _dns_labels(url: str) -> list[str]:
    """Return the labels of the server's name, or none if its URL has an address."""
    labels = (urlsplit(url).hostname or "").split(".")
    return [] if ":" in labels[0] or labels[-1].isdigit() else labels
