"""Rules for the images that Pods run."""

from collections.abc import Iterator
from typing import NamedTuple

from ..resource import Container
from ..rule import DISABLED, MEDIUM, Config, container_rule, strings


class Image(NamedTuple):
    """The parts of an image reference."""

    repository: str
    tag: str
    digest: str


def parse(reference: str) -> Image:
    """Return the parts of an image reference. A colon before the last slash belongs to a port."""
    name, _, digest = reference.partition("@")
    before, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return Image(name, "", digest)
    return Image(before, tag, digest)


@container_rule(
    "image-has-a-version",
    "Every image has a version.",
    "Write a tag with a version, or a digest.",
)
def image_has_a_version(container: Container, config: Config) -> Iterator[str]:
    if container.image is not None:
        image = parse(container.image)
        if not image.digest and image.tag in ("", "latest"):
            yield f"has the image {container.image}, without a version."


@container_rule(
    "image-is-pinned-by-digest",
    "Every image has a digest, so that a moved tag changes nothing.",
    "Add the digest that `docker buildx imagetools inspect` prints.",
    level=DISABLED,
    severity=MEDIUM,
)
def image_is_pinned_by_digest(container: Container, config: Config) -> Iterator[str]:
    if container.image is not None and not parse(container.image).digest:
        yield f"has the image {container.image}, without a digest."


@container_rule(
    "image-comes-from-an-allowed-registry",
    "Images come from the registries that the config allows.",
    "Use a copy of the image there, or add its registry to `registries` in the config of the policy pack.",
    config={"registries": strings("Prefixes of image names, such as `mirror.example.com/`. Empty allows all.")},
)
def image_comes_from_an_allowed_registry(container: Container, config: Config) -> Iterator[str]:
    allowed = tuple(config["registries"])
    if allowed and container.image is not None and not container.image.startswith(allowed):
        yield f"has the image {container.image} from another registry."


RULES = (image_has_a_version, image_is_pinned_by_digest, image_comes_from_an_allowed_registry)
