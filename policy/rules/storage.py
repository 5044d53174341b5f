"""Rules that keep the images: the volume, the claim, the namespace and the storage location.

A policy sees the resources that stay, and not those that an update deletes. So these rules require the properties and
options without which a deletion or a replacement is possible, and compare the location with the first one. The check
of a plan (changes.py) sees deletions.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..resource import Resource
from ..rule import ADVISORY, CRITICAL, Config, Finding, kinds, kinds_of_registry, resource_rule, stack_rule
from ..values import Unknown, mapping, may_be

KEPT = ("Namespace", "PersistentVolume", "PersistentVolumeClaim")
"""Kinds of the objects that are lost with their images."""

STASH = "pulumi:index:Stash"
LOCATION_SUFFIX = "-data-location"
"""Type and end of the name of the resource that keeps the first storage location in the state."""

CONFIGURATION_SUFFIX = "-workload-configuration"
"""End of the name of the Secret with the registry's configuration."""

STORE_DRIVERS = ("s3", "azure", "gcs")
"""Names of the drivers of object stores in the registry's configuration."""

BUCKET = re.compile(r":(?:S3)?Bucket(?:V2)?$")
"""Types of buckets, of any provider."""

SOURCES = ("hostPath", "local")
"""Sources of a volume on the disk of a node."""

MAY_CHANGE = ("storage_class", "storage_access")
"""Parts of a location that may change before a claim is bound."""


def _is_location(resource: Resource) -> bool:
    return resource.type == STASH and resource.name.endswith(LOCATION_SUFFIX) and resource.is_of_registry


def _is_kept(resource: Resource) -> bool:
    return _is_location(resource) or kinds_of_registry(*KEPT)(resource)


def ignores(resource: Resource, path: str) -> bool:
    """Return whether the resource ignores changes of the property at `path`, or of an object around it."""
    parts = path.split(".")
    return any(".".join(parts[:length]) in resource.ignored for length in range(1, len(parts) + 1))


@resource_rule(
    "storage-is-protected",
    "The engine refuses to delete or replace volume, claim, namespace and storage location.",
    "Set the option `protect` on it, for example with the transform in examples/policy.",
    of=_is_kept,
    level=ADVISORY,
    severity=CRITICAL,
)
def storage_is_protected(resource: Resource, config: Config) -> Iterator[str]:
    if not resource.protect:
        yield f"{resource.kind or 'The storage location'} `{resource.name}` is not protected."


@resource_rule(
    "storage-is-not-deleted-first",
    "No volume, claim or namespace is deleted before its replacement exists.",
    "Remove the option `delete_before_replace`.",
    of=kinds_of_registry(*KEPT),
    severity=CRITICAL,
)
def storage_is_not_deleted_first(resource: Resource, config: Config) -> Iterator[str]:
    if resource.deletes_first:
        yield f"A replacement of {resource.kind} `{resource.name}` would delete the old one first."


@resource_rule(
    "volume-is-retained",
    "A volume keeps its files if its claim is deleted.",
    "Set `persistentVolumeReclaimPolicy` to Retain.",
    of=kinds("PersistentVolume"),
    severity=CRITICAL,
)
def volume_is_retained(resource: Resource, config: Config) -> Iterator[str]:
    policy = resource.spec.get("persistentVolumeReclaimPolicy")
    if not may_be(policy, None, "Retain"):
        yield f"The volume `{resource.name}` has the reclaim policy {policy}."


@resource_rule(
    "volume-keeps-its-source",
    "A changed path or node does not replace the volume of a registry.",
    "Add `spec.hostPath`, `spec.local` and `spec.nodeAffinity` to the option `ignore_changes`.",
    of=kinds_of_registry("PersistentVolume"),
    severity=CRITICAL,
)
def volume_keeps_its_source(resource: Resource, config: Config) -> Iterator[str]:
    paths = [f"spec.{key}" for key in (*SOURCES, "nodeAffinity") if key in resource.spec]
    if changing := [path for path in paths if not ignores(resource, path)]:
        yield f"The volume `{resource.name}` does not ignore changes of {', '.join(changing)}."


@resource_rule(
    "volume-is-bound-to-its-claim",
    "No other claim can take the volume of a registry.",
    "Set `claimRef` to the name and the namespace of the claim.",
    of=kinds_of_registry("PersistentVolume"),
)
def volume_is_bound_to_its_claim(resource: Resource, config: Config) -> Iterator[str]:
    reference = mapping(resource.spec.get("claimRef"))
    if not (reference.get("name") and reference.get("namespace")):
        yield f"The volume `{resource.name}` names no claim."


@resource_rule(
    "volume-is-on-one-node",
    "A volume on a node's disk is used on this node only.",
    "Set `nodeAffinity` to the node. On another node a Pod would start with an empty folder.",
    of=kinds("PersistentVolume"),
)
def volume_is_on_one_node(resource: Resource, config: Config) -> Iterator[str]:
    is_on_node = any(source in resource.spec for source in SOURCES)
    if is_on_node and not mapping(resource.spec.get("nodeAffinity")).get("required"):
        yield f"The volume `{resource.name}` has a folder of a node, and no affinity to the node."


@resource_rule(
    "namespace-keeps-its-name",
    "A changed name does not replace the namespace of a registry.",
    "Add `metadata.name` to the option `ignore_changes`.",
    of=kinds_of_registry("Namespace"),
    severity=CRITICAL,
)
def namespace_keeps_its_name(resource: Resource, config: Config) -> Iterator[str]:
    if not ignores(resource, "metadata.name"):
        yield f"The Namespace `{resource.name}` would be replaced with everything in it."


@resource_rule(
    "claim-names-its-class",
    "A claim does not depend on the default StorageClass, which may change.",
    'Set `storageClassName`, or "" for a volume without a class.',
    of=kinds("PersistentVolumeClaim"),
)
def claim_names_its_class(resource: Resource, config: Config) -> Iterator[str]:
    if "spec" in resource.props and resource.spec.get("storageClassName") is None:
        yield f"The claim `{resource.name}` has no `storageClassName`."


@resource_rule(
    "claim-keeps-its-volume",
    "A changed size or selector does not replace the claim of a volume without a class.",
    "Add `spec` to the option `ignore_changes`.",
    of=kinds_of_registry("PersistentVolumeClaim"),
    severity=CRITICAL,
)
def claim_keeps_its_volume(resource: Resource, config: Config) -> Iterator[str]:
    if resource.spec.get("storageClassName") == "" and not ignores(resource, "spec"):
        yield f"The claim `{resource.name}` does not ignore changes of its spec."


@resource_rule(
    "bucket-is-not-emptied",
    "A bucket with objects cannot be deleted.",
    "Remove `forceDestroy`.",
    of=lambda resource: BUCKET.search(resource.type) is not None,
    severity=CRITICAL,
)
def bucket_is_not_emptied(resource: Resource, config: Config) -> Iterator[str]:
    if not may_be(resource.props.get("forceDestroy"), None, False):
        yield f"`pulumi destroy` would delete the bucket `{resource.name}` with all objects."


@stack_rule(
    "storage-location-is-kept",
    "The storage location is that of the first deployment.",
    "Set it back. To move the images, follow docs/operating.md.",
    severity=CRITICAL,
)
def storage_location_is_kept(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    for resource in filter(_is_location, resources):
        first, current = mapping(resource.props.get("output")), mapping(resource.props.get("input"))
        fixed = [key for key in first if key in current and not _may_change(first, key)]
        for key in fixed:
            if _differ(first[key], current[key]):
                yield Finding(f"`{key}` was {first[key]} at first, and would become {current[key]}.", resource.urn)


def _may_change(location: Mapping[str, Any], key: str) -> bool:
    return may_be(location.get("storage"), "class") and key in MAY_CHANGE


def _differ(first: Any, second: Any) -> bool:
    return not (isinstance(first, Unknown) or isinstance(second, Unknown)) and first != second


@stack_rule(
    "storage-location-is-pinned",
    "Each registry that the config of the pack names is in the program, at its storage location.",
    "Restore the program, or change `locations` in the config of the policy pack if the images have moved.",
    severity=CRITICAL,
    config={
        "locations": {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "default": {},
            "description": "By the name of a registry in the program: storage, node, storage_path, storage_size, "
            "storage_class, storage_access, namespace; for S3 also bucket, region, regionendpoint, rootdirectory; "
            "for Azure accountname, container, serviceurl, rootdirectory; for Google bucket, rootdirectory",
        }
    },
)
def storage_location_is_pinned(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    found = {resource.name.removesuffix(LOCATION_SUFFIX): resource for resource in filter(_is_location, resources)}
    drivers = {
        resource.name.removesuffix(CONFIGURATION_SUFFIX): mapping(
            next(filter(None, map(resource.driver.get, STORE_DRIVERS)), None)
        )
        for resource in resources
        if resource.kind == "Secret" and resource.name.endswith(CONFIGURATION_SUFFIX)
    }
    for name, pinned in config["locations"].items():
        if name not in found:
            yield Finding(f"The registry `{name}` is not in the program any more.")
            continue
        location, driver = mapping(found[name].props.get("input")), mapping(drivers.get(name))
        for key, value in pinned.items():
            current = driver.get(key) if location.get(key) is None else location.get(key)
            if _differ(current, value):
                yield Finding(f"`{key}` of `{name}` is {current}, but {value} is pinned.", found[name].urn)


RULES = (
    storage_is_protected,
    storage_is_not_deleted_first,
    volume_is_retained,
    volume_keeps_its_source,
    volume_is_bound_to_its_claim,
    volume_is_on_one_node,
    namespace_keeps_its_name,
    claim_names_its_class,
    claim_keeps_its_volume,
    bucket_is_not_emptied,
    storage_location_is_kept,
    storage_location_is_pinned,
)
