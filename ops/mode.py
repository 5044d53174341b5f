"""Find the `mode` of a registry by its answer to a push."""

from urllib.parse import urljoin

from .errors import CheckError
from .registry_client import RegistryClient

READ_WRITE, READ_ONLY, MIRROR = "read-write", "read-only", "mirror"


def detect_mode(client: RegistryClient, endpoint: str, repository: str) -> str:
    """Begin a push, and return the mode that the answer shows. An accepted push is cancelled."""
    uploads = f"https://{endpoint}/v2/{repository}/blobs/uploads/"
    response = client.do_request(uploads, "POST")
    if response.status_code == 405:
        # A mirror answers with the code UNSUPPORTED of the API, a read-only registry without one.
        return MIRROR if "UNSUPPORTED" in response.text else READ_ONLY
    if response.status_code == 202 and "Location" in response.headers:
        client.do_request(urljoin(uploads, response.headers["Location"]), "DELETE")
    return READ_WRITE


def require_mode(actual: str, configured: str | None) -> None:
    """Raise `CheckError` if the actual mode differs from that of the stack's config. None is an unknown config."""
    if configured is not None and actual != configured:
        raise CheckError(
            f"The registry runs in `mode` {actual}, but the config sets {configured}.",
            "Run `pulumi up --refresh`. If that does not help, another registry answers at this address.",
        )
