"""The checks of `ops verify` for each `mode`.

The answer to a push shows the mode. A registry that refuses pushes is checked with an image that it holds.
"""

import hashlib
import json
from typing import Any

import requests

from ..errors import CheckError
from ..mode import MIRROR, READ_ONLY, READ_WRITE, push_blob
from ..registry_client import MANIFEST_TYPES
from ..server_errors import UPSTREAM, explain
from ..upstream import TIMEOUT_ERROR, check_upstream
from . import sample_image
from .checks import DAMAGED, CheckContext, Checks, check_catalog, check_pull, check_push

MOST_REPOSITORIES = 20
"""Number of repositories to search for an image. A repository whose tags were deleted holds no image."""


def detect_mode(context: CheckContext) -> str:
    """Push the configuration of the test image, and return the mode that the answer shows."""
    return push_blob(context.client, context.outputs.endpoint, sample_image.REPOSITORY, sample_image.build_config())


def check_refused_push(context: CheckContext) -> str:
    """Check that the registry refuses a push, as its mode promises."""
    return f"405, because `mode` is {detect_mode(context)}"


def check_readable_catalog(context: CheckContext) -> str:
    """Check that the catalog can be read."""
    number = len(_first_repositories(context))
    return f"{number} repositories" if number < MOST_REPOSITORIES else f"{number} repositories or more"


def check_stored_image(context: CheckContext) -> str:
    """Pull manifest and configuration of an image that the registry holds, and compare their digests."""
    repositories = _first_repositories(context)
    for repository in repositories:
        tags = context.client.do_request(f"https://{context.outputs.endpoint}/v2/{repository}/tags/list").json()
        names = tags.get("tags") or []
        if names:
            tag = "latest" if "latest" in names else names[0]
            return f"{repository}:{tag}, {_pull(context, repository, tag)} bytes, identical"
    return (
        f"not checked, because the first {len(repositories)} repositories hold no tag"
        if repositories
        else "not checked, because the registry holds no image yet"
    )


def check_cached_image(context: CheckContext) -> str:
    """Pull an image from a mirror. It asks its upstream for parts that it lacks, so the upstream causes an error."""
    try:
        return check_stored_image(context)
    except requests.HTTPError as error:
        raise explain(UPSTREAM, error.response.text) from None
    except requests.ReadTimeout:
        raise explain(UPSTREAM, TIMEOUT_ERROR) from None


def check_upstream_answers(context: CheckContext) -> str:
    """Check that the upstream of the mirror answers, so that the mirror can serve more than it holds."""
    repository = next(iter(_first_repositories(context)), "")
    return check_upstream(context.client.send, context.outputs.endpoint, repository)


def _first_repositories(context: CheckContext) -> list[str]:
    page = context.client.read_catalog(f"https://{context.outputs.endpoint}/v2/_catalog?n={MOST_REPOSITORIES}")
    return page.json()["repositories"] or []


def _pull(context: CheckContext, repository: str, reference: str) -> int:
    """Return the size of manifest and configuration in bytes. If the manifest is an index, pull its first manifest."""
    body = _get(context, f"{repository}/manifests/{reference}", reference)
    manifest: dict[str, Any] = json.loads(body)
    if manifest.get("manifests"):
        return len(body) + _pull(context, repository, manifest["manifests"][0]["digest"])
    if digest := manifest.get("config", {}).get("digest"):
        return len(body) + len(_get(context, f"{repository}/blobs/{digest}", digest))
    return len(body)


def _get(context: CheckContext, path: str, reference: str) -> bytes:
    """Return the content at `path`. Raise if it is missing, or if its digest differs."""
    url = f"https://{context.outputs.endpoint}/v2/{path}"
    response = context.client.do_request(url, headers={"Accept": ", ".join(MANIFEST_TYPES)})
    if response.status_code != 200:
        raise CheckError(f"The registry answered {response.status_code} to GET /v2/{path}, not 200.", DAMAGED)
    digest = reference if ":" in reference else response.headers.get("Docker-Content-Digest", "")
    if digest != f"sha256:{hashlib.sha256(response.content).hexdigest()}":
        raise CheckError(f"The content of /v2/{path} does not have its digest.", DAMAGED)
    return response.content


REFUSED_PUSH: Checks = {"push is refused": check_refused_push}

CHECKS_BY_MODE: dict[str, Checks] = {
    READ_WRITE: {"push": check_push, "pull": check_pull, "catalog": check_catalog},
    READ_ONLY: {**REFUSED_PUSH, "catalog": check_readable_catalog, "pull": check_stored_image},
    MIRROR: {
        **REFUSED_PUSH,
        "catalog": check_readable_catalog,
        "pull": check_cached_image,
        "upstream": check_upstream_answers,
    },
}
"""Checks after the login, by mode. The upstream is checked last, because a mirror serves cached images without it."""
