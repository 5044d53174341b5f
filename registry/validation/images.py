"""Which registry runs: an image reference that means the same tomorrow."""

import re

from . import InvalidInput, one_of, text

REFERENCE = re.compile(
    r"(?P<repository>(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"(?::[0-9]+)?/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
"""repository[:tag][@digest] by the grammar of the distribution project (reference/regexp.go)."""

LONGEST_REPOSITORY = 255
"""Characters (reference.RepositoryNameTotalLengthMax)."""

ADVISORIES = (
    ((3, 1, 0), "CVE-2026-35172, CVE-2026-33540"),
    ((3, 1, 1), "CVE-2026-41888: tags can be deleted though deletion is off"),
    ((3, 1, 2), "CVE-2026-85747"),
)
"""By the release that mended them: the advisories of CNCF Distribution."""

NEWEST = "registry:3.1.2"


def image(value: str, *, key: str = "image") -> str:
    """An image with a tag other than `latest`, or with a digest."""
    remedy = f"name the version, for example {NEWEST!r}"
    given = text(key, value, NEWEST)
    match = REFERENCE.fullmatch(given)
    if not match or len(match["repository"]) > LONGEST_REPOSITORY:
        raise InvalidInput(key, "an image reference in lower case", given, remedy)
    if match["digest"] is None and match["tag"] in (None, "latest"):
        raise InvalidInput(key, "pinned to a version or a digest", given, remedy)
    return given


def image_pull_policy(value: str) -> str:
    """When the kubelet asks the image's registry again."""
    choices = ("Always", "IfNotPresent", "Never")
    return one_of("image_pull_policy", value, choices, "IfNotPresent is right for a pinned version")


def image_advice(value: str) -> str:
    """What to say of a version with known holes; what a tag leaves open (`3`, `stable`) is believed."""
    match = REFERENCE.fullmatch(value)
    version = re.match(r"v?(\d+(\.\d+)*)", match["tag"] or "") if match else None
    if not version:
        return ""
    numbers = tuple(int(number) for number in version[1].split("."))
    holes = [advisory for fixed, advisory in ADVISORIES if numbers < fixed[: len(numbers)]]
    if not holes:
        return ""
    loss = ", and 2.x can lose tags in a crash" if numbers < (3,) else ""
    return f"`image` {value} has known holes ({'; '.join(holes)}){loss}: use {NEWEST} or newer"
