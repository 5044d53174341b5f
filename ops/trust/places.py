"""Where each client looks for the CA of a registry. Nothing here changes a file.

    docker      docs.docker.com/engine/security/certificates: the daemon reads certs.d/HOST:PORT/*.crt at every request
    podman,     containers-certs.d(5): the same below /etc/containers, or below ~/.config/containers for a person. The
    skopeo      folder is named as in the image's reference, with the port or without
    containerd  docs/hosts.md of containerd: hosts.toml in certs.d/HOST:PORT, read at every pull
    system      `system.py`
    python      requests and pip read the one file that REQUESTS_CA_BUNDLE names, the ssl module that of SSL_CERT_FILE

Port 443 need not be typed, so there the registry has two names, and a folder for each.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from ..stack import Endpoint, Known, Refusal
from . import system
from .machine import Machine, public_roots

HTTPS = 443

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?-----END CERTIFICATE-----", re.DOTALL)

HOSTS_TOML = """\
# containerd reads this file if its own config.toml names the folder: config_path = "/etc/containerd/certs.d", below
# [plugins."io.containerd.cri.v1.images".registry], or [plugins."io.containerd.grpc.v1.cri".registry] before 2.0.
server = "https://{endpoint}"

[host."https://{endpoint}"]
  capabilities = ["pull", "resolve", "push"]
  ca = "{ca}"
"""


class File(NamedTuple):
    """What a client reads, but for the mark."""

    path: PurePosixPath
    body: str


def certificates(pem: str) -> list[str]:
    """The certificates of a text, each with a line break at its end; during a rotation there are two."""
    return [f"{found}\n" for found in CERTIFICATE.findall(pem.replace("\r\n", "\n"))]


def folders(registry: Endpoint) -> list[str]:
    """What clients call the registry: 443 may be typed or not."""
    return [registry.endpoint, *([registry.host] if registry.port == HTTPS else [])]


def _docker(registry: Known, _: Machine) -> Iterator[File]:
    for name in folders(registry):
        yield File(PurePosixPath("/etc/docker/certs.d", name, "ca.crt"), "".join(certificates(registry.ca_pem)))


def _containers(registry: Known, machine: Machine) -> Iterator[File]:
    above = PurePosixPath("/etc") if machine.is_root else machine.home / ".config"
    for name in folders(registry):
        yield File(above / "containers/certs.d" / name / "ca.crt", "".join(certificates(registry.ca_pem)))


def _containerd(registry: Known, _: Machine) -> Iterator[File]:
    for name in folders(registry):
        folder = PurePosixPath("/etc/containerd/certs.d", name)
        yield File(folder / "ca.crt", "".join(certificates(registry.ca_pem)))
        yield File(folder / "hosts.toml", HOSTS_TOML.format(endpoint=registry.endpoint, ca=folder / "ca.crt"))


def _system(registry: Known, machine: Machine) -> Iterator[File]:
    store = system.store_of(machine)
    if not store:
        known = " or ".join(each.program for each in system.STORES)
        raise Refusal(f"this system has no {known}: name the clients with --for, and leave out `system` and `all`")
    for certificate in certificates(registry.ca_pem):
        digest = hashlib.sha256(certificate.encode()).hexdigest()[:8]
        yield File(store.anchors / f"{registry.host}-{registry.port}-{digest}.crt", certificate)


def _python(registry: Known, machine: Machine) -> Iterator[File]:
    lists = (machine.read(store.bundle) for store in system.STORES)
    roots = next((each for each in lists if each), None) or public_roots()
    yield File(python_bundle(registry, machine), f"{roots.rstrip()}\n{''.join(certificates(registry.ca_pem))}")


CLIENTS: dict[str, Callable[[Known, Machine], Iterator[File]]] = {
    "docker": _docker,
    "podman": _containers,
    "containerd": _containerd,
    "skopeo": _containers,
    "system": _system,
    "python": _python,
}

FOUND_BY = {
    "docker": (("docker", "dockerd"), "/etc/docker"),
    "podman": (("podman",), "/etc/containers"),
    "containerd": (("containerd", "ctr", "nerdctl"), "/etc/containerd"),
    "skopeo": (("skopeo",), "/etc/containers"),
}
"""Programs and the folder that tell of a client. The other two are asked for: there the CA vouches for every name."""


def found(machine: Machine) -> list[str]:
    """The clients that are on this machine."""
    return [
        client
        for client, (programs, folder) in FOUND_BY.items()
        if any(map(machine.which, programs)) or machine.at(PurePosixPath(folder)).is_dir()
    ]


def footprints(client: str, registry: Endpoint, machine: Machine) -> list[PurePosixPath]:
    """Where files of ours for that client may be, whatever CA they hold."""
    if client == "system":
        return [
            store.anchors / each.name
            for store in system.STORES
            for each in sorted(machine.at(store.anchors).glob("*.crt"))
        ]
    return [file.path for file in CLIENTS[client](Known(registry.endpoint, "", ()), machine)]


def everywhere(machine: Machine) -> Iterator[PurePosixPath]:
    """The files that may be ours, of whatever registry."""
    for folder, pattern in (
        *((PurePosixPath("/etc", of, "certs.d"), "*/ca.crt") for of in ("docker", "containers", "containerd")),
        (PurePosixPath("/etc/containerd/certs.d"), "*/hosts.toml"),
        (machine.home / ".config/containers/certs.d", "*/ca.crt"),
        *((store.anchors, "*.crt") for store in system.STORES),
        (machine.config / "private-registry", "*.pem"),
    ):
        for each in machine.at(folder).glob(pattern):
            if os.access(each, os.R_OK) and each.is_file():
                yield folder / each.relative_to(machine.at(folder))


def python_bundle(registry: Endpoint, machine: Machine) -> PurePosixPath:
    """The file that a person's variables name."""
    return machine.config / "private-registry" / f"{registry.host}-{registry.port}.pem"
