"""The files by which a node trusts a registry: where the container runtimes look, and what stands in them.

containerd reads them at every pull (config_path, docs/hosts.md of containerd), and Docker, podman and skopeo at every
connection (containers-certs.d(5)): nothing has to be restarted.
"""

from collections.abc import Iterator, Mapping

from ..validation.network import spellings

CONTAINERD, DOCKER = "containerd", "docker"
"""Kinds of folders."""


def files(endpoint: str, ca_pem: str, address: str) -> Iterator[tuple[str, str]]:
    """Path below the kind's folder, and content, of every file; `address` is IP:port, or empty to go by the name."""
    for host in spellings(endpoint):
        yield f"{CONTAINERD}/{host}/ca.crt", ca_pem
        yield f"{CONTAINERD}/{host}/hosts.toml", hosts_toml(endpoint, address)
        yield f"{DOCKER}/{host}/ca.crt", ca_pem


def hosts_toml(endpoint: str, address: str) -> str:
    """Pull from `address`, and from the name if that does not answer; `ca` is relative to the file's folder."""
    server = f'server = "https://{endpoint}"\ncapabilities = ["pull", "resolve"]\nca = "ca.crt"\n'
    if not address:
        return server
    return f'{server}\n[host."https://{address}"]\n  capabilities = ["pull", "resolve"]\n  ca = "ca.crt"\n'


def wanted(registries: list[Mapping[str, str]]) -> dict[str, str]:
    """Content by path, in the order of the paths, of all `registries` (endpoint, ca_pem and perhaps address)."""
    each = (files(one["endpoint"], one["ca_pem"], one.get("address", "")) for one in registries)
    return dict(sorted(file for found in each for file in found))
