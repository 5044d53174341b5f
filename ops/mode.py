"""Push a blob. The answer shows the `mode` of the registry."""

from hashlib import sha256
from urllib.parse import urljoin

from .errors import CheckError
from .registry_client import RegistryClient

READ_WRITE, READ_ONLY, MIRROR = "read-write", "read-only", "mirror"


def push_blob(client: RegistryClient, endpoint: str, repository: str, content: bytes) -> str:
    """Push a blob, and return the mode that the answer shows. The same blob is stored once, however often it is pushed.

    An upload that is cancelled instead would leave a file (CNCF Distribution 3, blobWriter.Close stores its state).
    """
    uploads = f"https://{endpoint}/v2/{repository}/blobs/uploads/"
    response = client.do_request(uploads, "POST")
    if response.status_code == 405:
        # A mirror answers with the code UNSUPPORTED of the API, a read-only registry without one.
        return MIRROR if "UNSUPPORTED" in response.text else READ_ONLY
    if response.status_code == 202 and "Location" in response.headers:
        url = urljoin(uploads, response.headers["Location"])
        digest = f"digest=sha256:{sha256(content).hexdigest()}"
        headers = {"Content-Type": "application/octet-stream"}
        client.do_request(f"{url}{'&' if '?' in url else '?'}{digest}", "PUT", data=content, headers=headers)
    return READ_WRITE


def require_mode(actual: str, configured: str | None) -> None:
    """Raise `CheckError` if the actual mode differs from that of the stack's config. None is an unknown config."""
    if configured is not None and actual != configured:
        raise CheckError(
            f"The registry runs in `mode` {actual}, but the config sets {configured}.",
            "Run `pulumi up --refresh`. If that does not help, another registry answers at this address.",
        )
