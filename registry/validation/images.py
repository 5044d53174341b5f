"""Rules for images: a pinned reference, and warnings about versions with known vulnerabilities."""

import re

from ..choices import ImagePullPolicy
from .basics import one_of, text
from .errors import InvalidInput, quoted
from .names import QUALIFIED

REFERENCE = re.compile(
    r"(?P<repository>(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"(?::[0-9]+)?/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
"""An image reference, repository[:tag][@digest] (CNCF Distribution, reference/regexp.go)."""

LONGEST_REPOSITORY = 255
"""Characters of a repository (CNCF Distribution, reference.RepositoryNameTotalLengthMax)."""

ADVISORIES = (
    ((3, 1, 0), "CVE-2026-35172, CVE-2026-33540"),
    ((3, 1, 1), "CVE-2026-41888: tags can be deleted though deletion is off"),
    ((3, 1, 2), "CVE-2026-85747"),
)
"""Advisories of CNCF Distribution, each with the release that fixed it."""

NEWEST = "registry:3.1.2"


def image(value: str, *, key: str = "image") -> str:
    """Require an image reference with a digest, or with a tag other than `latest`."""
    remedy = f"Name the version, for example {NEWEST!r}"
    reference = text(key, value, NEWEST)
    match = REFERENCE.fullmatch(reference)
    if not match or len(match["repository"]) > LONGEST_REPOSITORY:
        problem = f"must be an image reference in lower case, not {quoted(reference)}"
        raise InvalidInput(key, "not-an-image", problem, remedy)
    if match["digest"] is None and match["tag"] in (None, "latest"):
        problem = f"must be pinned to a version or a digest, not {quoted(reference)}"
        raise InvalidInput(key, "not-pinned", problem, remedy)
    return reference


def version_of(reference: str) -> str:
    """Return the tag of an image as a label value, or "" without a tag that a label can hold."""
    match = REFERENCE.fullmatch(reference)
    tag = match["tag"] if match else None
    return tag if tag and QUALIFIED.fullmatch(tag) else ""


def is_before_3(reference: str) -> bool:
    """Return whether the tag is a version of CNCF Distribution before 3. A digest alone has no version."""
    version = re.match(r"v?(\d+)", version_of(reference))
    return version is not None and int(version[1]) < 3


def image_pull_policy(value: str) -> str:
    """Require one of the pull policies of Kubernetes."""
    return one_of("image_pull_policy", value, ImagePullPolicy, "IfNotPresent suits a pinned version")


def image_advice(value: str) -> str:
    """Return a warning if the version has known vulnerabilities. Floating tags such as `3` are not checked."""
    match = REFERENCE.fullmatch(value)
    version = re.match(r"v?(\d+(\.\d+)*)", match["tag"] or "") if match else None
    if not version:
        return ""
    numbers = tuple(int(number) for number in version[1].split("."))
    advisories = [advisory for fixed, advisory in ADVISORIES if numbers < fixed[: len(numbers)]]
    if not advisories:
        return ""
    loss = ", and version 2 can lose tags in a crash" if numbers < (3,) else ""
    return f"`image` {value} has known vulnerabilities ({'; '.join(advisories)}){loss}. Use {NEWEST} or newer."
