"""Read the objects of a cluster that the proposal depends on."""

from dataclasses import dataclass

from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError

from ..kubernetes import API_VERSIONS, Object, connect, convert_api_errors, get_object, list_objects
from ..stack import DEFAULT_NAMESPACE

NAME_LABEL, APP = "app.kubernetes.io/name", "docker-registry"
"""Label of the registry's objects, and its value, which is also the default hostname."""


@dataclass(frozen=True)
class Facts:
    """The objects of a cluster, as the API server returns them, and its version."""

    version: str
    nodes: list[Object]
    storage_classes: list[Object]
    ingress_classes: list[Object]
    gateways: list[Object]
    services: list[Object]
    namespace: Object | None
    """The namespace `docker-registry`, or None if it does not exist."""


def read_facts() -> Facts:
    """Return the facts of the cluster of the kubeconfig. Raise `ClusterError` if they cannot be read."""
    client = connect()
    with convert_api_errors():
        return Facts(
            version=str(client.version["kubernetes"]["gitVersion"]),
            nodes=list_objects(client, "Node"),
            storage_classes=list_objects(client, "StorageClass"),
            ingress_classes=list_objects(client, "IngressClass"),
            gateways=_list_gateways(client),
            services=list_objects(client, "Service"),
            namespace=get_object(client, "Namespace", DEFAULT_NAMESPACE),
        )


def _list_gateways(client: DynamicClient) -> list[Object]:
    """Return the Gateways. The list is empty on a cluster without routes for TLS or without the Gateway API."""
    try:
        client.resources.get(api_version=API_VERSIONS["Gateway"], kind="TLSRoute")
        return list_objects(client, "Gateway")
    except ResourceNotFoundError:
        return []


def is_of_registry(item: Object) -> bool:
    """Return whether a registry of this component created the object."""
    return (item["metadata"].get("labels") or {}).get(NAME_LABEL) == APP
