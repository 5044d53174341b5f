"""A private Docker registry on Kubernetes: the table of contents.

`PrivateRegistry` checks its inputs and hands outputs from part to part; each part is a module of its own. What it
deliberately does not do: create a provider (the caller's flows in), change a namespace that is not its own, or delete
images.
"""

import pulumi

from .args import PrivateRegistryArgs
from .auth import Auth
from .certificate import Certificate
from .discovery import announce
from .exposure import address, addresses, expose, route
from .lease import hold
from .metadata import Metadata
from .monitoring import find_operator, measure
from .namespace import provide_namespace
from .network_policy import shield
from .node import find_node, label_node
from .node_trust.of_registry import trust_registry
from .pull_secrets import hand_out
from .settings import settled
from .storage import Storage
from .validation.names import component
from .workload import METRICS_PORT, PORT, Needs, Workload

APP = "docker-registry"
"""Name of the workload, the Service and the policy. It is fixed, so a namespace has room for one registry."""


class PrivateRegistry(pulumi.ComponentResource):
    """A TLS registry with password, on a node's folder, a claim or an object store, behind the way in you choose."""

    endpoint: pulumi.Output[str]
    """host:port, as in `docker login` and in image references."""
    ca_pem: pulumi.Output[str]
    """Every CA that clients must trust, PEM: a whole file for certs.d."""
    username: pulumi.Output[str]
    """What the first of `users` logs in as; empty with `users_secret`."""
    password: pulumi.Output[str]
    """The password of that login; secret, and empty with `users_secret`."""
    passwords: pulumi.Output[dict[str, str]]
    """All passwords that get in, by login; secret, and empty with `users_secret`."""
    namespace: pulumi.Output[str]
    """The namespace of its objects."""
    addresses: pulumi.Output[list[str]]
    """Addresses at which clients outside the cluster reach it, if it knows any: external IPs, or the balancer's."""

    def __init__(self, name: str, args: PrivateRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("private-registry:index:PrivateRegistry", component(name), {}, opts)
        given = settled(args)
        child = pulumi.ResourceOptions(parent=self)
        selector = {"app.kubernetes.io/name": APP, "app.kubernetes.io/instance": given["namespace"]}
        metadata = Metadata(selector, given["labels"], given["annotations"])
        reached = address(APP, given)

        node = find_node(f"{name}-node", given, child)
        operator = find_operator(f"{name}-metrics", given, child)
        first = [*hold(name, given, metadata, child), *(found for found in (node, operator) if found)]
        home = provide_namespace(
            f"{name}-namespace", given, metadata, pulumi.ResourceOptions(parent=self, depends_on=first)
        )
        metadata = metadata._replace(namespace=home.name)
        certificate = Certificate(f"{name}-tls", given, reached.host, reached.hosts, metadata, child)
        service = expose(f"{name}-service", APP, given, node, PORT, metadata, child)
        trusted = trust_registry(f"{name}-nodes", given, reached.endpoint, certificate.ca_pem, service, child)
        leaf = certificate.serve(trusted.after, trusted.addresses)
        users = Auth(f"{name}-auth", given, metadata, child)
        images = Storage(f"{name}-data", given, metadata, home.own, child)
        needs = Needs(
            certificate=leaf.secret_name,
            users=users.secret_name,
            claim=images.claim_name,
            driver=images.driver,
            node_selector=label_node(f"{name}-label", given, node, child),
            endpoint=reached.endpoint,
            read_once=leaf.pem,
            after=[certificate, users],
        )
        workload = Workload(f"{name}-workload", APP, given, needs, metadata, child)
        certificate.served(after=[workload])
        route(f"{name}-service-ingress", APP, given, service, leaf.secret_name, metadata, child)
        shield(f"{name}-policy", APP, given, {"registry": PORT, "metrics": METRICS_PORT}, metadata, child)
        measure(f"{name}-metrics", APP, given, METRICS_PORT, metadata, child)
        once_taken = pulumi.ResourceOptions(parent=self, depends_on=[users])
        hand_out(name, given, reached.endpoint, (users.username, users.password), metadata, once_taken)
        announce(name, APP, given, reached.endpoint, metadata, child)

        self.endpoint = reached.endpoint
        self.ca_pem = certificate.ca_pem
        self.username, self.password = users.username, users.password
        self.passwords = users.passwords
        self.namespace = home.name
        self.addresses = addresses(given, service)
        self.register_outputs({key: getattr(self, key) for key in PrivateRegistry.__annotations__})
