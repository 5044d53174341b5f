"""The files that each client reads the CA of a registry from. This module changes no file.

    docker      docs.docker.com/engine/security/certificates: the daemon reads certs.d/HOST:PORT/*.crt at every request
    podman,     containers-certs.d(5): the same below /etc/containers for root, ~/.config/containers for other users.
    skopeo      The folder is called like the host in the image reference, with or without its port
    containerd  docs/hosts.md of containerd: hosts.toml in certs.d/HOST:PORT, read at every pull
    system      `system_store.py`
    python      requests and pip read the file in REQUESTS_CA_BUNDLE, the ssl module reads the file in SSL_CERT_FILE

Port 443 may be left out in image references, so such a registry has two folders.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from ..errors import CommandError
from ..stack import Endpoint, PublicOutputs
from . import system_store
from .machine import Machine, read_public_cas

CONTAINERS_FOLDER = "containers/certs.d"
"""Folder of podman and skopeo, below /etc for root and below ~/.config for other users."""

PYTHON_FOLDER = "private-registry"
"""Folder of the bundles for Python, below the user's configuration."""

PEM_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?-----END CERTIFICATE-----", re.DOTALL)

# Unlike hosts.toml of `node_trust`, this one allows pushes and has no address: a user's machine resolves the name.
HOSTS_TOML = """\
# containerd reads this file if its own config.toml names the folder: config_path = "{folder}", below
# [plugins."io.containerd.cri.v1.images".registry], or [plugins."io.containerd.grpc.v1.cri".registry] before 2.0.
server = "https://{endpoint}"
capabilities = ["pull", "resolve", "push"]
ca = "{ca}"
"""
"""Template of hosts.toml for an endpoint and its CA.

It has no table `host`: after a 404 of such a host, containerd asks the server again without its CA, and reports x509.
"""


class ClientFile(NamedTuple):
    """A file that a client reads. `body` is its text without the marker."""

    path: PurePosixPath
    body: str


def split_certificates(pem: str) -> list[str]:
    """Return the certificates of a PEM text, each with a final line break. During a rotation there are two."""
    return [f"{certificate}\n" for certificate in PEM_CERTIFICATE.findall(pem.replace("\r\n", "\n"))]


def join_certificates(pem: str) -> str:
    """Return the certificates of a PEM text without the text between them."""
    return "".join(split_certificates(pem))


# The import of `registry` takes one to two seconds. The functions import it, so a wrong command line fails before that.
def _usual_folders() -> dict[str, PurePosixPath]:
    """Return the usual folders `certs.d` of containerd and Docker, by client."""
    from registry.validation.nodes import CONTAINERD_FOLDER, DOCKER_FOLDER

    return {"containerd": PurePosixPath(CONTAINERD_FOLDER), "docker": PurePosixPath(DOCKER_FOLDER)}


def _registry_folders(parent: PurePosixPath, registry: Endpoint) -> list[PurePosixPath]:
    """Return the folders of the registry below `parent`: one, or two if image references may omit the port."""
    from registry.validation.network import image_reference_hosts

    return [parent / host for host in image_reference_hosts(registry.endpoint)]


def _docker_files(registry: PublicOutputs, _: Machine) -> Iterator[ClientFile]:
    for folder in _registry_folders(_usual_folders()["docker"], registry):
        yield ClientFile(folder / "ca.crt", join_certificates(registry.ca_pem))


def _containers_files(registry: PublicOutputs, machine: Machine) -> Iterator[ClientFile]:
    parent = PurePosixPath("/etc") if machine.is_root else machine.home / ".config"
    for folder in _registry_folders(parent / CONTAINERS_FOLDER, registry):
        yield ClientFile(folder / "ca.crt", join_certificates(registry.ca_pem))


def _containerd_files(registry: PublicOutputs, _: Machine) -> Iterator[ClientFile]:
    containerd_folder = _usual_folders()["containerd"]
    for folder in _registry_folders(containerd_folder, registry):
        ca = folder / "ca.crt"
        yield ClientFile(ca, join_certificates(registry.ca_pem))
        hosts_toml = HOSTS_TOML.format(folder=containerd_folder, endpoint=registry.endpoint, ca=ca)
        yield ClientFile(folder / "hosts.toml", hosts_toml)


def _system_files(registry: PublicOutputs, machine: Machine) -> Iterator[ClientFile]:
    store = system_store.find_store(machine)
    if not store:
        programs = " or ".join(store.program for store in system_store.STORES)
        raise CommandError(
            f"The CA store of this system is not supported, because it has no {programs}.",
            "Name the other clients with --for, without `system` and `all`.",
        )
    for certificate in split_certificates(registry.ca_pem):
        digest = hashlib.sha256(certificate.encode()).hexdigest()[:8]
        yield ClientFile(store.anchors / f"{registry.host}-{registry.port}-{digest}.crt", certificate)


def _python_files(registry: PublicOutputs, machine: Machine) -> Iterator[ClientFile]:
    bundles = (machine.read(store.bundle) for store in system_store.STORES)
    base_cas = next((bundle for bundle in bundles if bundle), None) or read_public_cas()
    body = f"{base_cas.rstrip()}\n{join_certificates(registry.ca_pem)}"
    yield ClientFile(python_bundle(registry, machine), body)


CLIENTS: dict[str, Callable[[PublicOutputs, Machine], Iterator[ClientFile]]] = {
    "docker": _docker_files,
    "podman": _containers_files,
    "containerd": _containerd_files,
    "skopeo": _containers_files,
    "system": _system_files,
    "python": _python_files,
}
"""Functions that return the files of a client, by its name."""

DETECTED_BY = {
    "docker": (("docker", "dockerd"), "/etc/docker"),
    "podman": (("podman",), "/etc/containers"),
    "containerd": (("containerd", "ctr", "nerdctl"), "/etc/containerd"),
    "skopeo": (("skopeo",), "/etc/containers"),
}
"""Programs and folder that show that a client is installed. `system` and `python` would trust the CA for every name, so
they are configured only on request."""


def detect_clients(machine: Machine) -> list[str]:
    """Return the container clients that are installed on the machine."""
    return [
        client
        for client, (programs, folder) in DETECTED_BY.items()
        if any(map(machine.which, programs)) or machine.locate(PurePosixPath(folder)).is_dir()
    ]


def installed_paths(client: str, registry: Endpoint, machine: Machine) -> list[PurePosixPath]:
    """Return the paths where this command, or another program, may have installed a CA for the client."""
    if client == "system":
        return [
            store.anchors / path.name
            for store in system_store.STORES
            for path in sorted(machine.locate(store.anchors).glob("*.crt"))
        ]
    return [file.path for file in CLIENTS[client](PublicOutputs(registry.endpoint, "", ()), machine)]


def find_candidate_files(machine: Machine) -> Iterator[PurePosixPath]:
    """Yield the readable files that this command may have written, for whatever registry. The marker decides."""
    folders = _usual_folders()
    for folder, pattern in (
        (folders["docker"], "*/ca.crt"),
        (PurePosixPath("/etc") / CONTAINERS_FOLDER, "*/ca.crt"),
        (folders["containerd"], "*/ca.crt"),
        (folders["containerd"], "*/hosts.toml"),
        (machine.home / ".config" / CONTAINERS_FOLDER, "*/ca.crt"),
        *((store.anchors, "*.crt") for store in system_store.STORES),
        (machine.config / PYTHON_FOLDER, "*.pem"),
    ):
        for path in machine.locate(folder).glob(pattern):
            if os.access(path, os.R_OK) and path.is_file():
                yield folder / path.relative_to(machine.locate(folder))


def python_bundle(registry: Endpoint, machine: Machine) -> PurePosixPath:
    """Return the file for REQUESTS_CA_BUNDLE and SSL_CERT_FILE."""
    return machine.config / PYTHON_FOLDER / f"{registry.host}-{registry.port}.pem"
