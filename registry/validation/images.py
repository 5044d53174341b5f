"""Which registry runs: an image reference that means the same tomorrow."""

import re

from . import InvalidInput, text

REFERENCE = re.compile(
    r"(?P<repository>(?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::[0-9]+)?/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
"""repository[:tag][@digest] by the grammar of the distribution project (reference/regexp.go)."""

FIXED = (3, 1, 1)
"""First release without the tag-delete hole CVE-2026-41888."""


def image(value: str) -> str:
    """An image with a tag other than `latest`, or with a digest."""
    remedy = "name the version, for example 'registry:3.1.2'"
    given = text("image", value, "registry:3.1.2")
    match = REFERENCE.fullmatch(given)
    if not match:
        raise InvalidInput("image", "an image reference in lower case", given, remedy)
    if match["digest"] is None and match["tag"] in (None, "latest"):
        raise InvalidInput("image", "pinned to a version or a digest", given, remedy)
    return given


def image_advice(value: str) -> str:
    """What to say of a version with known holes; what a tag leaves open (`3`, `stable`) is believed."""
    match = REFERENCE.fullmatch(value)
    version = re.match(r"\d+(\.\d+)*", match["tag"] or "") if match else None
    numbers = tuple(int(number) for number in version[0].split(".")) if version else FIXED
    if numbers >= FIXED[: len(numbers)]:
        return ""
    return (
        f"`image` {value} has known holes (CVE-2026-41888: tags can be deleted though deletion is off; CVE-2026-35172,"
        " CVE-2026-33540) and 2.x can lose tags in a crash: use registry:3.1.2 or newer"
    )
