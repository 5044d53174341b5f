"""A component that gives a team a registry, and a namespace for Pods that log in to the registry.

Some inputs of the registry are outputs of other resources, and its outputs are inputs of other resources. The registry
inherits provider and `protect` from its parent.
"""

import json

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random
from pulumi_kubernetes.core.v1 import ContainerArgsDict

from registry import PrivateRegistry

MOUNT_PATH = "/etc/registry"
"""Folder of the CA and the login in the container that logs in."""


class Workspace(pulumi.ComponentResource):
    """A component with a registry and a namespace. The namespace has a pull Secret and a Secret for clients."""

    endpoint: pulumi.Output[str]
    apps: pulumi.Output[str]
    """The namespace for the team's apps."""

    def __init__(self, name: str, curl_image: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Workspace", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        pet = random.RandomPet(f"{name}-pet", opts=child)
        password = random.RandomPassword(f"{name}-password", length=24, special=False, opts=child)
        registry = PrivateRegistry(
            f"{name}-registry",
            {
                "hostname": pulumi.Output.concat(pet.id, ".registry.example.com"),
                "namespace": f"{name}-registry",
                "storage_path": f"/var/lib/{name}-registry",
                "users": [name],
                "passwords": {name: password.result},
            },
            child,
        )
        apps = kubernetes.core.v1.Namespace(f"{name}-apps", metadata={"name": f"{name}-apps"}, opts=child)
        self.endpoint, self.apps = registry.endpoint, apps.metadata.name
        create_pull_secret(f"{name}-pull", self.apps, registry, child)
        files = create_client_secret(f"{name}-client", self.apps, registry, child)
        create_login_job(
            f"{name}-login",
            curl_image,
            self.endpoint,
            files,
            pulumi.ResourceOptions(parent=self, depends_on=[registry]),
        )
        self.register_outputs({"endpoint": self.endpoint, "apps": self.apps})


def create_pull_secret(
    name: str, namespace: pulumi.Output[str], registry: PrivateRegistry, opts: pulumi.ResourceOptions
) -> kubernetes.core.v1.Secret:
    """Create a Secret for `imagePullSecrets`. Pulls with it need nodes that trust the registry's CA."""
    login = pulumi.Output.all(registry.endpoint, registry.username, registry.password).apply(
        lambda values: json.dumps({"auths": {values[0]: {"username": values[1], "password": values[2]}}})
    )
    return kubernetes.core.v1.Secret(
        name,
        metadata={"name": "registry-pull", "namespace": namespace},
        type="kubernetes.io/dockerconfigjson",
        string_data={".dockerconfigjson": login},
        opts=opts,
    )


def create_client_secret(
    name: str, namespace: pulumi.Output[str], registry: PrivateRegistry, opts: pulumi.ResourceOptions
) -> kubernetes.core.v1.Secret:
    """Create a Secret with the CA and the login, which a client in a Pod mounts."""
    host = registry.endpoint.apply(lambda endpoint: endpoint.partition(":")[0])
    netrc = pulumi.Output.concat("machine ", host, " login ", registry.username, " password ", registry.password, "\n")
    return kubernetes.core.v1.Secret(
        name,
        metadata={"name": "registry-client", "namespace": namespace},
        string_data={"ca.pem": registry.ca_pem, "netrc": netrc},
        opts=opts,
    )


def create_login_job(
    name: str,
    image: str,
    endpoint: pulumi.Output[str],
    files: kubernetes.core.v1.Secret,
    opts: pulumi.ResourceOptions,
) -> kubernetes.batch.v1.Job:
    """Create a Job that logs in. `pulumi up` waits until the Job succeeds. `files` is the Secret that it mounts."""
    # A node needs a moment until it knows the address of a new Service.
    retry = ["--retry", "5", "--retry-delay", "1", "--retry-all-errors"]
    curl = ["curl", "--fail", "--silent", "--show-error", "--max-time", "10", *retry]
    credentials = ["--cacert", f"{MOUNT_PATH}/ca.pem", "--netrc-file", f"{MOUNT_PATH}/netrc"]
    url = pulumi.Output.concat("https://", endpoint, "/v2/_catalog")
    container: ContainerArgsDict = {
        "name": "curl",
        "image": image,
        "command": [*curl, *credentials, "--write-out", "%{http_code}", url],
        "volume_mounts": [{"name": "client", "mount_path": MOUNT_PATH, "read_only": True}],
    }
    return kubernetes.batch.v1.Job(
        name,
        metadata={"name": "registry-login", "namespace": files.metadata.namespace},
        spec={
            "backoff_limit": 3,
            "template": {
                "spec": {
                    "restart_policy": "Never",
                    "containers": [container],
                    "volumes": [{"name": "client", "secret": {"secret_name": files.metadata.name}}],
                }
            },
        },
        opts=opts,
    )
