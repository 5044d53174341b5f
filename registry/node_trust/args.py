"""What may be set of NodeTrust."""

from typing import NotRequired, TypedDict

import pulumi


class TrustedRegistryArgs(TypedDict):
    endpoint: pulumi.Input[str]
    """host:port, as in image references."""
    ca_pem: pulumi.Input[str]
    """Every CA that may have signed its certificate, PEM."""
    address: NotRequired[pulumi.Input[str]]
    """IP:port by which nodes reach it, a SAN of its certificate: then pulls need no DNS. Default: by its name."""


class NodeTrustArgs(TypedDict):
    registries: list[TrustedRegistryArgs]
    """The registries that every node shall trust."""
    namespace: NotRequired[str]
    """Name of the namespace that is made for it. Default node-trust."""
    labels: NotRequired[dict[str, str]]
    """Labels for every object, beside the component's own. Default none."""
    annotations: NotRequired[dict[str, str]]
    """Annotations for every object, beside the component's own. Default none."""
    containerd_folder: NotRequired[pulumi.Input[str]]
    """containerd's config_path on the nodes. Default /etc/containerd/certs.d."""
    docker_folder: NotRequired[pulumi.Input[str]]
    """Where Docker, podman and skopeo look on the nodes. Default /etc/docker/certs.d."""
    image: NotRequired[pulumi.Input[str]]
    """Any image with sh, cat, cmp and mv. Default registry:3.1.2."""
