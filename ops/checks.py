"""What must be true of a registry before anybody relies on it, one small function each, in the order of a client.

Each returns what it saw, in words, or raises: a `Fault` when it saw something else, else whatever the network threw.
None of them knows how it is shown, and none reads the stack.
"""

import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

from . import image
from .causes import Fault
from .client import TIMEOUT, RegistryClient
from .stack import Outputs

DAY = 86_400

NO_REGISTRY = "something else than a registry answers there: see who has the port, or give --address"


@dataclass(frozen=True)
class Visit:
    """One visit to one registry: what the stack says, where to connect, and a folder for what is pushed and pulled."""

    outputs: Outputs
    address: tuple[str, int] | None
    client: RegistryClient
    folder: Path

    @property
    def where(self) -> str:
        """What is connected to, for people."""
        return self.outputs.where(self.address)

    @property
    def reference(self) -> str:
        """The tiny image's, as in `docker push`."""
        return f"{self.outputs.endpoint}/{image.REPOSITORY}:{image.TAG}"


def name_resolves(visit: Visit) -> str:
    """Clients find the host."""
    if visit.address:
        return f"{visit.where}, as given"
    found = socket.getaddrinfo(visit.outputs.host, visit.outputs.port, type=socket.SOCK_STREAM)
    return f"{visit.outputs.host} is {', '.join(dict.fromkeys(str(entry[4][0]) for entry in found))}"


def refused_without_ca(visit: Visit) -> str:
    """A client that was not given the CA gets an x509 error, not somebody's images."""
    try:
        handshake(visit.outputs, visit.address, ssl.create_default_context())
    except ssl.SSLCertVerificationError as refusal:
        return f"x509: {refusal.verify_message}"
    return "accepted: the CA is among those that this machine trusts already"


def accepted_with_ca(visit: Visit) -> str:
    """The certificate is one that the stack's CA signed, and in date."""
    context = ssl.create_default_context(cadata=visit.outputs.ca_pem)
    context.check_hostname = False  # whom it is for is the next check's
    return handshake(visit.outputs, visit.address, context).protocol


def names_and_expiry(visit: Visit) -> str:
    """The certificate is for the host that clients type, and will be for a while."""
    context = ssl.create_default_context(cadata=visit.outputs.ca_pem)
    certificate = handshake(visit.outputs, visit.address, context).certificate
    names = [name for _, name in certificate["subjectAltName"]]
    left = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / DAY
    return f"{', '.join(names)}; {left:.0f} days left"


def refused_without_password(visit: Visit) -> str:
    """Nobody gets in without credentials."""
    return _refused(visit.client.status_as("", ""), "a client without credentials")


def refused_with_wrong_password(visit: Visit) -> str:
    """Nobody gets in on the user's name alone."""
    guess = secrets.token_urlsafe()
    return _refused(visit.client.status_as(visit.outputs.username, guess), "a wrong password")


def login(visit: Visit) -> str:
    """The stack's user gets in with the stack's password."""
    response = visit.client.do_request(f"https://{visit.outputs.endpoint}/v2/")
    if response.status_code != 200:
        raise Fault(f"{response.status_code} to GET /v2/", NO_REGISTRY)
    return f"200 for {visit.outputs.username}"


def push(visit: Visit) -> str:
    """An image goes in."""
    layer, config = visit.folder / "layer.tar", visit.folder / "config.json"
    layer.write_bytes(image.layer())
    config.write_bytes(image.config())
    visit.client.push(
        visit.reference,
        files=[f"{layer}:{image.LAYER_TYPE}"],
        manifest_config=f"{config}:{image.CONFIG_TYPE}",
        disable_path_validation=True,
        quiet=True,
    )
    return f"{image.REPOSITORY}:{image.TAG}, {_size()} bytes"


def pull(visit: Visit) -> str:
    """The image comes back as it went in."""
    [pulled] = visit.client.pull(visit.reference, outdir=str(visit.folder / "pulled"))
    if Path(pulled).read_bytes() != image.layer():
        remedy = "the registry never heals a damaged blob: stop it, remove the blob's folder on the node, push again"
        raise Fault("other bytes came back than were pushed", remedy)
    return f"{len(image.layer())} bytes of layer, equal"


def catalog(visit: Visit) -> str:
    """The registry lists what was pushed."""
    repositories: list[str] = []
    page = f"https://{visit.outputs.endpoint}/v2/_catalog?n=1000"
    while page:
        response = visit.client.do_request(page)
        repositories += response.json()["repositories"]
        page = urljoin(page, response.links["next"]["url"]) if "next" in response.links else ""
    if image.REPOSITORY not in repositories:
        raise Fault(f"{image.REPOSITORY} is not listed", "another registry behind the same name? See --address")
    return f"{image.REPOSITORY} among {len(repositories)}"


def clean_up(visit: Visit) -> str:
    """The image is deleted where the registry allows it; else it stays, and the next visit pushes the same one."""
    response = visit.client.do_request(f"{_manifests(visit)}/{pushed_digest(visit)}", "DELETE")
    if response.status_code == 405:
        return f"deletion is off: {_size()} bytes stay in {image.REPOSITORY}, the same ones every time"
    if response.status_code != 202:
        raise Fault(f"{response.status_code} to DELETE of the image", f"delete {image.REPOSITORY} by hand")
    return "deleted"


def pushed_digest(visit: Visit) -> str:
    """Of the image, as the registry has it."""
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    pushed = visit.client.do_request(f"{_manifests(visit)}/{image.TAG}", "HEAD", headers=accept)
    return str(pushed.headers["Docker-Content-Digest"])


class Shown(NamedTuple):
    """What a server showed: its certificate as Python reads it, none if nobody verified it, and as it is (DER)."""

    certificate: dict[str, Any]
    der: bytes
    protocol: str


def handshake(outputs: Outputs, address: tuple[str, int] | None, context: ssl.SSLContext) -> Shown:
    """One connection, closed again."""
    with (
        socket.create_connection(address or (outputs.host, outputs.port), timeout=TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=outputs.host) as tls,
    ):
        return Shown(dict(tls.getpeercert() or {}), tls.getpeercert(binary_form=True) or b"", tls.version() or "")


Checks = Mapping[str, Callable[[Visit], str]]
"""By the title that people see. Each needs the ones before it."""

CHECKS: Checks = {
    "the name resolves": name_resolves,
    "TLS is refused without the CA": refused_without_ca,
    "TLS is accepted with the CA": accepted_with_ca,
    "the certificate covers the host": names_and_expiry,
    "no password, no entry": refused_without_password,
    "wrong password, no entry": refused_with_wrong_password,
    "login": login,
    "push": push,
    "pull": pull,
    "catalog": catalog,
}
"""In the order of a client."""

CLEAN_UP: Checks = {"clean-up": clean_up}
"""After them, once nobody needs the image any more."""


def _manifests(visit: Visit) -> str:
    return f"https://{visit.outputs.endpoint}/v2/{image.REPOSITORY}/manifests"


def _refused(status: int, who: str) -> str:
    if status == 200:
        raise Fault(f"{who} gets in", "anybody may push: `pulumi up --refresh` puts back the Pod's REGISTRY_AUTH")
    if status != 401:
        raise Fault(f"{who} gets {status} from GET /v2/, not 401", NO_REGISTRY)
    return "401"


def _size() -> int:
    return len(image.layer()) + len(image.config())
