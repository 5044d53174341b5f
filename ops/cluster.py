"""What lives on the cluster, asked of its API server through the kubeconfig that the engine uses too.

Only what Pulumi wrote counts: an object that somebody else made under the same name is not to be adopted. Whatever the
API server cannot say is no answer, and nothing is settled without one.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes.client.api.version_api import VersionApi
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import load_kube_config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError
from urllib3.exceptions import HTTPError

from .stack import Refusal
from .state import Live, Resource

TIMEOUT = 10

MANAGER = "pulumi-kubernetes"
"""How the provider's field managers begin."""


def finder() -> Callable[[Resource], Live | None]:
    """A function that finds a resource's live object. It connects at the first call: not every recovery has one."""
    connected: list[DynamicClient] = []

    def find(resource: Resource) -> Live | None:
        try:
            if not connected:
                connected.append(_connect())
            return _find(connected[0], resource["inputs"])
        except (ConfigException, HTTPError, ApiException) as error:
            cause = str(error).partition("\n")[0]
            raise Refusal(f"cannot see what lives on the cluster: {cause}; check KUBECONFIG, then again") from None

    return find


def _connect() -> DynamicClient:
    settings = Configuration()
    load_kube_config(client_configuration=settings)
    settings.retries = False  # type: ignore[attr-defined]  # the stubs are behind
    client = ApiClient(settings)
    VersionApi(client).get_code(_request_timeout=TIMEOUT)  # type: ignore[call-arg]  # discovery has no timeout
    with tempfile.TemporaryDirectory() as folder:  # its own cache outlives the cluster
        return DynamicClient(client, cache_file=str(Path(folder) / "discovery"))


def _find(client: DynamicClient, inputs: dict[str, Any]) -> Live | None:
    metadata = inputs["metadata"]
    try:
        kind = client.resources.get(api_version=inputs["apiVersion"], kind=inputs["kind"])
        namespace = metadata.get("namespace", "default") if kind.namespaced else None
        found = client.get(kind, name=metadata["name"], namespace=namespace, _request_timeout=TIMEOUT)
    except (NotFoundError, ResourceNotFoundError):
        return None
    managers = [entry.manager for entry in found.metadata.managedFields or [] if entry.manager.startswith(MANAGER)]
    identity = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
    return Live(identity, managers[0]) if managers else None
