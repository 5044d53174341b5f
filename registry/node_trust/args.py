"""The inputs of NodeTrust."""

from typing import NotRequired, TypedDict

import pulumi


class TrustedRegistryArgs(TypedDict):
    endpoint: pulumi.Input[str]
    """host:port, as in image references."""
    ca_pem: pulumi.Input[str]
    """Every CA that may have issued its certificate, PEM."""
    address: NotRequired[pulumi.Input[str]]
    """IP:port for the nodes, a SAN of its certificate, for pulls without DNS. Default: by its name."""


class NodeTrustArgs(TypedDict):
    registries: list[pulumi.Input[TrustedRegistryArgs]]
    """The registries that every node trusts."""
    namespace: NotRequired[str]
    """Namespace to create for it. Default node-trust."""
    labels: NotRequired[dict[str, str]]
    """Labels for every object, in addition to the component's own. Default none."""
    annotations: NotRequired[dict[str, str]]
    """Annotations for every object, in addition to the component's own. Default none."""
    containerd_folder: NotRequired[pulumi.Input[str]]
    """containerd's config_path on the nodes. Default /etc/containerd/certs.d."""
    docker_folder: NotRequired[pulumi.Input[str]]
    """Folder of Docker, podman and skopeo on the nodes. Default /etc/docker/certs.d."""
    image: NotRequired[pulumi.Input[str]]
    """Image with sh, cmp and the file commands of POSIX, for example of busybox. Default registry:3.1.2."""
