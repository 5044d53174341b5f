"""The checks of `ops verify`, in the order of a client's requests.

A check returns a short summary. If it fails, it raises `CheckError` or the error of the network library.
"""

import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckError
from ..registry_client import RegistryClient
from ..stack import Outputs
from ..tls import SECONDS_PER_DAY, perform_handshake
from . import sample_image

NOT_A_REGISTRY = "Another program answers there. Find out which program uses the port, or pass --address."
"""Remedy if the status of an answer is not that of a registry."""

DAMAGED = (
    "Run `python -m ops scrub --all`. With `scrub.heal` it moves damaged blobs aside, so that the next push puts them "
    "right. For a mirror, delete the blob's folder from its storage. It pulls the blob again."
)
"""Remedy for content that differs from its digest."""


@dataclass(frozen=True)
class CheckContext:
    """Context of all checks. `address` is None for the endpoint. `folder` is for the files of the test image."""

    outputs: Outputs
    address: tuple[str, int] | None
    client: RegistryClient
    folder: Path

    @property
    def server(self) -> str:
        """Return the address or endpoint of the connections, for messages."""
        return self.outputs.describe_connection(self.address)

    @property
    def reference(self) -> str:
        """Return the reference of the test image, as in `docker push`."""
        return f"{self.outputs.endpoint}/{sample_image.REPOSITORY}:{sample_image.TAG}"

    @property
    def manifests_url(self) -> str:
        """Return the base URL of the test image's manifests."""
        return f"https://{self.outputs.endpoint}/v2/{sample_image.REPOSITORY}/manifests"


def check_name(context: CheckContext) -> str:
    """Check that the host resolves, unless an address is set."""
    if context.address:
        return f"{context.server}, set by --address"
    host, port = context.outputs.host, context.outputs.port
    addresses = dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return f"{host} resolves to {', '.join(addresses)}"


def check_tls_without_ca(context: CheckContext) -> str:
    """Report how a client without the CA rejects the certificate, or that this machine already trusts the CA."""
    try:
        perform_handshake(context.outputs, context.address, ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        return f"x509: {error.verify_message}"
    return "accepted, because this machine already trusts the CA"


def check_tls_with_ca(context: CheckContext) -> str:
    """Check that the stack's CA issued the certificate and that it has not expired."""
    tls = ssl.create_default_context(cadata=context.outputs.ca_pem)
    tls.check_hostname = False  # the next check covers the name
    return perform_handshake(context.outputs, context.address, tls).protocol


def check_certificate_names(context: CheckContext) -> str:
    """Check that the certificate is valid for the host that clients type."""
    tls = ssl.create_default_context(cadata=context.outputs.ca_pem)
    certificate = perform_handshake(context.outputs, context.address, tls).certificate
    names = [name for _, name in certificate["subjectAltName"]]
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / SECONDS_PER_DAY
    return f"{', '.join(names)} ({days:.0f} days left)"


def check_access_without_password(context: CheckContext) -> str:
    """Check that a client without credentials is rejected."""
    return _require_rejection(context.client.status_as("", ""), "without credentials")


def check_access_with_wrong_password(context: CheckContext) -> str:
    """Check that the user is rejected with a wrong password."""
    guess = secrets.token_urlsafe()
    return _require_rejection(context.client.status_as(context.outputs.username, guess), "with a wrong password")


def check_login(context: CheckContext) -> str:
    """Check that the stack's user can log in with the stack's password."""
    response = context.client.do_request(f"https://{context.outputs.endpoint}/v2/")
    if response.status_code != 200:
        raise CheckError(f"The server answered {response.status_code} to GET /v2/, not 200.", NOT_A_REGISTRY)
    return f"200 for {context.outputs.username}"


def check_push(context: CheckContext) -> str:
    """Push the test image."""
    layer, config = context.folder / "layer.tar", context.folder / "config.json"
    layer.write_bytes(sample_image.build_layer())
    config.write_bytes(sample_image.build_config())
    context.client.push(
        context.reference,
        files=[f"{layer}:{sample_image.LAYER_TYPE}"],
        manifest_config=f"{config}:{sample_image.CONFIG_TYPE}",
        disable_path_validation=True,
        quiet=True,
    )
    return f"{sample_image.REPOSITORY}:{sample_image.TAG}, {sample_image.image_size()} bytes"


def check_pull(context: CheckContext) -> str:
    """Pull the test image and compare its bytes."""
    [pulled] = context.client.pull(context.reference, outdir=str(context.folder / "pulled"))
    if Path(pulled).read_bytes() != sample_image.build_layer():
        raise CheckError(
            "The pulled layer differs from the pushed one.",
            DAMAGED,
        )
    return f"{len(sample_image.build_layer())} bytes, identical"


def check_catalog(context: CheckContext) -> str:
    """Check that the catalog lists the test image."""
    repositories = context.client.list_repositories()
    if sample_image.REPOSITORY not in repositories:
        raise CheckError(
            f"The catalog does not list {sample_image.REPOSITORY}.",
            "Another registry may have the same name. Pass --address to choose the right one.",
        )
    return f"{sample_image.REPOSITORY}, one of {len(repositories)} repositories"


def delete_test_image(context: CheckContext) -> str:
    """Delete the test image if the registry allows deletion. Otherwise it stays, and the next run pushes it again."""
    response = context.client.do_request(f"{context.manifests_url}/{find_pushed_digest(context)}", "DELETE")
    if response.status_code == 405:
        return f"deletion is disabled: {sample_image.REPOSITORY} keeps {sample_image.image_size()} bytes"
    if response.status_code != 202:
        raise CheckError(
            f"The registry answered {response.status_code} to DELETE of the test image, not 202.",
            f"Delete the repository {sample_image.REPOSITORY} by hand.",
        )
    return "deleted"


def find_pushed_digest(context: CheckContext) -> str:
    """Return the digest of the test image in the registry."""
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    response = context.client.do_request(f"{context.manifests_url}/{sample_image.TAG}", "HEAD", headers=accept)
    return str(response.headers["Docker-Content-Digest"])


Check = Callable[[CheckContext], str]
Checks = Mapping[str, Check]
"""Checks by title. Each needs the ones before it."""

CHECKS: Checks = {
    "the name resolves": check_name,
    "TLS is refused without the CA": check_tls_without_ca,
    "TLS is accepted with the CA": check_tls_with_ca,
    "the certificate covers the host": check_certificate_names,
    "access without a password is refused": check_access_without_password,
    "access with a wrong password is refused": check_access_with_wrong_password,
    "login": check_login,
}
"""Checks of every registry. The checks of its mode follow (modes.py)."""

CLEAN_UP: Checks = {"clean-up": delete_test_image}
"""The last step. It is separate, because nodes pull the image before it is deleted."""


def _require_rejection(status: int, credentials: str) -> str:
    """Return "401" if that is the status of a request with the `credentials`. Raise `CheckError` otherwise."""
    if status == 200:
        raise CheckError(
            f"A client {credentials} has access, so anyone can use the registry.",
            "Run `pulumi up --refresh` to restore the Pod, which has lost its variable REGISTRY_AUTH or its container "
            "`proxy`.",
        )
    if status != 401:
        raise CheckError(f"The server answered {status} to GET /v2/ {credentials}, not 401.", NOT_A_REGISTRY)
    return "401"
