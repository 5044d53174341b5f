"""Ask a mirror whether its upstream answers. This needs no access to the cluster."""

from collections.abc import Callable

import requests

from .server_errors import UPSTREAM, explain

UNKNOWN_DIGEST = f"sha256:{'0' * 63}1"
"""A digest that no manifest has. A mirror asks its upstream for it."""

TIMEOUT_ERROR = "i/o timeout"
"""Error to explain if a mirror does not answer in time, because it waits for its upstream or for DNS."""

PUBLIC_REPOSITORY = "library/busybox"
"""Repository to ask an upstream for if the mirror holds no repository. It need not exist there."""


def check_upstream(request: Callable[[str, str], requests.Response], endpoint: str, repository: str) -> str:
    """Check that the upstream of a mirror answers, and accepts the mirror's login. Return a summary.

    `request` sends a request with a method and a URL to the mirror. `repository` is one that the mirror holds, or "".
    Raise `CheckError` with the cause that the mirror reports.
    """
    url = f"https://{endpoint}/v2/{repository or PUBLIC_REPOSITORY}/manifests/{UNKNOWN_DIGEST}"
    try:
        response = request("GET", url)
    except requests.ReadTimeout:
        raise explain(UPSTREAM, TIMEOUT_ERROR) from None
    codes = _error_codes(response)
    if response.status_code == 404:
        return "the upstream answers"
    if "DENIED" in codes and not repository:
        return f"the upstream answers, and denies access to {PUBLIC_REPOSITORY}"
    raise explain(UPSTREAM, response.text if codes else f"status code: {response.status_code}")


def _error_codes(response: requests.Response) -> set[str]:
    try:
        return {str(error["code"]) for error in response.json()["errors"]}
    except (ValueError, KeyError, TypeError):
        return set()
