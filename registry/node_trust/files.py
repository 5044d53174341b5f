"""The files that let a node trust a registry.

containerd reads them at every pull (config_path, docs/hosts.md of containerd). Docker, podman and skopeo read them at
every connection (containers-certs.d(5)). So no runtime has to be restarted.
"""

from collections.abc import Iterator, Mapping

from ..validation.network import image_reference_hosts

CONTAINERD, DOCKER = "containerd", "docker"
"""Kinds of folders, one for each runtime."""


def registry_files(endpoint: str, ca_pem: str, address: str) -> Iterator[tuple[str, str]]:
    """Yield path and content of every file. The path begins with the kind of folder.

    `address` is IP:port, or "" to connect by the name.
    """
    for host in image_reference_hosts(endpoint):
        yield f"{CONTAINERD}/{host}/ca.crt", ca_pem
        yield f"{CONTAINERD}/{host}/hosts.toml", hosts_toml(endpoint, address)
        yield f"{DOCKER}/{host}/ca.crt", ca_pem


def hosts_toml(endpoint: str, address: str) -> str:
    """Return a hosts.toml that pulls from `address`, or from the name if that fails.

    `ca` is relative to the folder of the file.
    """
    server = f'server = "https://{endpoint}"\ncapabilities = ["pull", "resolve"]\nca = "ca.crt"\n'
    if not address:
        return server
    return f'{server}\n[host."https://{address}"]\n  capabilities = ["pull", "resolve"]\n  ca = "ca.crt"\n'


def all_files(registries: list[Mapping[str, str]]) -> dict[str, str]:
    """Return the content of every file by path, sorted by path."""
    files = [
        file
        for registry in registries
        for file in registry_files(registry["endpoint"], registry["ca_pem"], registry.get("address", ""))
    ]
    return dict(sorted(files))
