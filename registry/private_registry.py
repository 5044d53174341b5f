"""A private Docker registry on Kubernetes: the table of contents.

`PrivateRegistry` checks its inputs and hands outputs from part to part; each part is a module of its own. What it does
deliberately not do: create a provider (the caller's flows in), touch a namespace that is not its own, or delete images.
"""

import pulumi

from .args import PrivateRegistryArgs, settled
from .auth import SECRET_NAME, Auth
from .certificate import Certificate, CertificateSpec
from .namespace import create_namespace
from .node import find_node, label_node
from .service import expose
from .storage import HostPath, Storage
from .workload import PORT, Spec, Workload

APP = "docker-registry"
"""Name of the Pod and of the Service, each alone of its kind in the registry's own namespace."""


class PrivateRegistry(pulumi.ComponentResource):
    """A TLS registry with password, pinned to the node that holds its images."""

    endpoint: pulumi.Output[str]
    """host:port, as in `docker login` and in image references."""
    ca_pem: pulumi.Output[str]
    """Every CA that clients must trust, PEM: a whole file for certs.d."""
    username: pulumi.Output[str]
    """Who may push and pull."""
    password: pulumi.Output[str]
    """That user's password; secret."""
    namespace: pulumi.Output[str]
    """Where the objects are."""

    def __init__(self, name: str, args: PrivateRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("private-registry:index:PrivateRegistry", name, {}, opts)
        given = settled(args)
        child = pulumi.ResourceOptions(parent=self)
        labels = {"app.kubernetes.io/name": APP, "app.kubernetes.io/instance": name}

        node = find_node(f"{name}-node", given["node"], child)
        namespace = create_namespace(
            f"{name}-namespace",
            given["namespace"],
            root=given["run_as_user"] == 0,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[node]),
        )
        certificate = Certificate(f"{name}-tls", _certificate_spec(given), namespace.name, child)
        users = Auth(f"{name}-auth", given["username"], given.get("password"), namespace.name, child)
        folder = HostPath(given["storage_path"], given["storage_size"], given["node"])
        data = Storage(f"{name}-data", folder, namespace.object, child)
        selector = label_node(f"{name}-label", node, given["node_label"], child)
        Workload(
            f"{name}-workload",
            Spec(
                image=given["image"],
                user=given["run_as_user"],
                node_selector=selector,
                labels=labels,
                certificate=certificate.secret_name,
                users=SECRET_NAME,
                claim=data.claim_name,
            ),
            pod=APP,
            namespace=namespace.name,
            read_once=certificate.leaf_pem,
            after=[users],  # their Secret by order alone: the registry reads it again, so the Pod stays as it is
            opts=child,
        )
        expose(
            f"{name}-service",
            service=APP,
            namespace=namespace.name,
            port=given["port"],
            target_port=PORT,
            external_ips=given["external_ips"],
            selector=labels,
            opts=child,
        )
        self.endpoint = pulumi.Output.from_input(f"{given['hostname']}:{given['port']}")
        self.ca_pem = certificate.ca_pem
        self.username = pulumi.Output.from_input(given["username"])
        self.password = users.password
        self.namespace = namespace.name
        self.register_outputs({key: getattr(self, key) for key in PrivateRegistry.__annotations__})


def _certificate_spec(given: PrivateRegistryArgs) -> CertificateSpec:
    """Every name and address by which a client may reach the registry, the common name first."""
    in_cluster = f"{APP}.{given['namespace']}"
    hosts = [given["hostname"], in_cluster, f"{in_cluster}.svc", f"{in_cluster}.svc.cluster.local"]
    return CertificateSpec(
        hosts=list(dict.fromkeys([*hosts, *given["external_ips"]])),
        subject=given["certificate_subject"],
        key=given["certificate_key"],
        days=given["certificate_days"],
        renew_before_days=given["renew_before_days"],
    )
