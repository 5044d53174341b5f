"""Find Secrets with content that the Pods do not use.

The kubelet writes a changed Secret to the files of a Pod within two minutes. The registry reads its certificate and its
configuration only when it starts.
"""

import ssl
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from registry.workload.container import SECRET_FOLDERS

from ..errors import CheckError
from ..kubernetes import Object, container_statuses, exec_in_pod, get_object, list_running_pods, start_of
from ..servers import PROBED_CONTAINERS
from .facts import SecretState
from .target import Target

READ_AT_START = (SECRET_FOLDERS["certificate"], SECRET_FOLDERS["configuration"])
"""Mount paths of the Secrets that the registry reads only when it starts."""

CERTIFICATE_KEYS = ("tls.crt", "certificate.pem")
"""Keys of the server certificate: in the Secret of the registry, and in that of the proxy."""

SCRIPT = 'cd "$1" && readlink ..data && sha256sum *'
"""Script that prints the folder that the kubelet wrote last, and the checksums of its files."""

WRITTEN = "..%Y_%m_%d_%H_%M_%S"
"""Name of such a folder: the time of its creation, with a random ending (Kubernetes, atomic_writer.go)."""


class Mount(NamedTuple):
    """A Secret that a container mounts."""

    secret: str
    path: str
    container: str


def read_secrets(target: Target) -> list[SecretState]:
    """Return the Secrets of the Pods, and how each differs from the content that its container uses."""
    states: dict[str, SecretState] = {}
    for pod in list_running_pods(target.client, target.outputs.namespace):
        for mount in _mounts(pod):
            secret = get_object(target.client, "Secret", mount.secret, target.outputs.namespace)
            state = SecretState(mount.secret, _difference(target, pod, mount, secret))
            if state.difference or mount.secret not in states:
                states[mount.secret] = state
    return [states[name] for name in sorted(states)]


def _mounts(pod: Object) -> Iterator[Mount]:
    """Yield the Secrets that the containers of the component mount. Injected sidecars are ignored."""
    names = {volume["name"]: volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    for container in pod["spec"]["containers"]:
        for mount in container.get("volumeMounts") or []:
            if container["name"] in PROBED_CONTAINERS and mount["name"] in names:
                yield Mount(names[mount["name"]], mount["mountPath"], container["name"])


def _difference(target: Target, pod: Object, mount: Mount, secret: Object | None) -> str:
    """Return how the Secret differs from the files, or from the content that the process uses. "" is no difference."""
    if secret is None:
        return "does not exist any more"
    data = {key: b64decode(value) for key, value in (secret.get("data") or {}).items()}
    written, checksums = _read_files(pod, mount)
    if any(checksums.get(key) != sha256(value).hexdigest() for key, value in data.items()):
        return "has changed, and the Pod does not have the new content yet"
    if mount.path in READ_AT_START and written > _start_of(pod, mount.container):
        return "has changed since the registry read it at its start"
    if _serves_another_certificate(target, data):
        return "has another certificate than the one that the registry serves"
    return ""


def _read_files(pod: Object, mount: Mount) -> tuple[datetime, dict[str, str]]:
    """Return the creation time of the files, and their checksums by name."""
    output = exec_in_pod(pod, ("sh", "-c", SCRIPT, "sh", mount.path), mount.container)
    try:
        folder, *lines = output.splitlines()
        written = datetime.strptime(folder.rpartition(".")[0], WRITTEN).replace(tzinfo=UTC)
        return written, {name: checksum for checksum, name in (line.split(maxsplit=1) for line in lines)}
    except ValueError:
        text = " ".join(output.split()).rstrip(".") or "no output"
        raise CheckError(
            f"The files of {mount.secret} cannot be read in the Pod: {text}.",
            "The image may lack `readlink` or `sha256sum`. Then this row cannot be checked.",
        ) from None


def _start_of(pod: Object, container: str) -> datetime:
    """Return the start time of the container, or the latest possible time if it does not run."""
    return start_of(container_statuses(pod).get(container, {})) or datetime.max.replace(tzinfo=UTC)


def _serves_another_certificate(target: Target, data: dict[str, bytes]) -> bool:
    """Return whether the Secret has a certificate that is not served. The row of the certificate has other errors."""
    chain = next((data[key] for key in CERTIFICATE_KEYS if key in data), None)
    if chain is None:
        return False
    with suppress(OSError, ssl.SSLError, ValueError):
        (leaf, *_) = x509.load_pem_x509_certificates(chain)
        return target.server_certificate.fingerprint != leaf.fingerprint(hashes.SHA256()).hex()
    return False
