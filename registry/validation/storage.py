"""Rules for the storage location and its size."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from ..choices import S3StorageClass, Storage, StorageAccess
from .basics import one_of, text
from .errors import InvalidInput, quoted
from .images import NEWEST, is_before_3
from .quantities import amount, quantity


class StorageKind(NamedTuple):
    """The properties of a kind of storage.

    Attributes:
        is_on_node: Whether the images are in a folder of one node. The Pods are pinned to it then.
        is_mounted: Whether the Pods mount a claim.
        pods_overlap: Whether a new Pod always reaches the images while the old one runs.
        several_nodes: Whether replicas on several nodes can share it. A class depends on its access mode.
        keeps_namespace: Whether `pulumi destroy` leaves the namespace, because the images would be deleted with it.
        fixed: Inputs that keep the values of the first deployment.
        secret: Input that names an existing Secret with the keys of an object store, or "".
        key: Another input that has such a key, or "". Without a Secret and a key the registry uses a role.
        jobs_read_it: Whether the program of the jobs and of the exporter can read it.
        oldest_version: Oldest major version of the registry that has the driver of the component.
    """

    is_on_node: bool = False
    is_mounted: bool = True
    pods_overlap: bool = False
    several_nodes: bool = False
    keeps_namespace: bool = False
    fixed: tuple[str, ...] = ()
    secret: str = ""
    key: str = ""
    jobs_read_it: bool = True
    oldest_version: int = 2


FOLDER = StorageKind(is_on_node=True, pods_overlap=True, fixed=("storage_path", "node", "storage_size"))
OBJECT_STORE = StorageKind(is_mounted=False, pods_overlap=True, several_nodes=True)

STORAGE_KINDS: dict[str, StorageKind] = {
    Storage.HOST_PATH: FOLDER,
    Storage.LOCAL: FOLDER,
    Storage.CLAIM: StorageKind(several_nodes=True),
    Storage.CLASS: StorageKind(keeps_namespace=True, fixed=("storage_class", "storage_access")),
    Storage.S3: OBJECT_STORE._replace(secret="s3_secret", key="s3_access_key"),
    Storage.AZURE: OBJECT_STORE._replace(secret="azure_secret", jobs_read_it=False, oldest_version=3),
    Storage.GCS: OBJECT_STORE._replace(secret="gcs_secret", jobs_read_it=False, oldest_version=3),
}
"""Kinds of storage. A `claim` counts as shared until its access modes are looked up."""

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
"""Annotation of the StorageClass for claims that name none."""

LONGEST_PATH, LONGEST_FILE_NAME = 4095, 255
"""Bytes that Linux allows for a path and for each name in it (limits.h: PATH_MAX without its NUL, and NAME_MAX)."""

OLD_CLASSES = (S3StorageClass.NONE, S3StorageClass.STANDARD)
"""Classes that the registry takes since 2.7."""

SMALLEST_SIZE = 2**20
"""Bytes below which no image fits. A `2` or `2m` is a forgotten or mistaken suffix."""

SYSTEM_FOLDERS = (
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
)
"""Top-level folders that hold the node's own or short-lived files."""

NODE_FOLDERS = (
    "/var/cache",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/log",
    "/var/run",
    "/var/tmp",
)
"""Folders below /var that programs of the node write to."""


def storage(value: str) -> str:
    """Require one of `Storage`."""
    return one_of("storage", value, Storage, "The guide uses host-path")


def storage_access(value: str) -> str:
    """Require one of `StorageAccess`."""
    return one_of("storage_access", value, StorageAccess, "Several replicas need ReadWriteMany")


def storage_size(value: str) -> str:
    """Require a Kubernetes quantity such as `2Gi`."""
    written = quantity(value)
    size = amount("storage_size", written, "2Gi")
    if not SMALLEST_SIZE <= size < 2**63 or size % 1:
        problem = f"must be whole bytes from 1Mi up to 8Ei, not {quoted(written)}"
        raise InvalidInput("storage_size", "out-of-range", problem, "For example '2Gi'")
    return str(written)


def size_advice(value: str) -> str:
    """Return a warning if the suffix is a power of ten, which is often a forgotten `i`, else ""."""
    if value[-1] not in "kMGTPE":
        return ""
    binary = f"{value.replace('k', 'K')}i"
    return f"`storage_size` {value} counts in powers of ten (2G is 1.86Gi). Write {binary} if you mean powers of two."


def storage_path(value: str) -> str:
    """Require an absolute path that is the registry's alone and that no program clears."""
    remedy = "Give the registry a folder of its own, for example '/var/lib/docker-registry/repository'"
    path = text("storage_path", value, "/var/lib/docker-registry/repository")
    if not path.isprintable() or ":" in path:
        problem = f"must be a path without control characters and ':', not {quoted(path)}"
        raise InvalidInput("storage_path", "path-characters", problem, remedy)
    if len(path.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_FILE_NAME for part in path.split("/")):
        problem = f"must have at most {LONGEST_PATH} bytes, and {LONGEST_FILE_NAME} in each name, unlike {quoted(path)}"
        raise InvalidInput("storage_path", "too-long", problem, remedy)
    parts = path.split("/")[1:]
    if not path.startswith("/") or str(PurePosixPath(path)) != path or path.startswith("//") or ".." in parts:
        problem = f"must be an absolute path without '..', '//' or a trailing '/', not {quoted(path)}"
        raise InvalidInput("storage_path", "not-an-absolute-path", problem, remedy)
    if "tmp" in parts:
        problem = f"must not be {quoted(path)}, because folders called tmp are cleared"
        raise InvalidInput("storage_path", "temporary-folder", problem, remedy)
    is_system = parts[0] in SYSTEM_FOLDERS or len(parts) < 2 or path == "/var/lib"
    if is_system or any(path == folder or path.startswith(f"{folder}/") for folder in NODE_FOLDERS):
        problem = f"must not be {quoted(path)}, which belongs to the node"
        raise InvalidInput("storage_path", "folder-of-the-node", problem, remedy)
    return path


def s3_bucket(value: str, *, key: str = "s3_bucket") -> str:
    """Require a name by the rules of S3 for general purpose buckets."""
    name = text(key, value, "team-registry")
    is_address = re.fullmatch(r"(\d+\.){3}\d+", name, re.ASCII)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name, re.ASCII) or ".." in name or is_address:
        problem = f"must be the name of a bucket, 3 to 63 of a-z, 0-9, dots and dashes, not {quoted(name)}"
        raise InvalidInput(key, "not-a-bucket", problem, "For example 'team-registry'")
    return name


def s3_region(value: str, *, key: str = "s3_region") -> str:
    """Require the form of a region's name. The S3 server decides which regions exist."""
    name = text(key, value, "eu-west-3")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", name, re.ASCII):
        problem = f"must be a region in lower case, not {quoted(name)}"
        raise InvalidInput(key, "not-a-region", problem, "For example 'eu-west-3'")
    return name


def s3_prefix(value: str, *, key: str = "s3_prefix") -> str:
    """Require a folder in the bucket, without slashes at its ends."""
    name = text(key, value, "registries/team")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name, re.ASCII) or len(name) > 512 or ".." in name:
        problem = f"must be a folder such as a/b, not {quoted(name)}"
        raise InvalidInput(key, "not-a-folder", problem, "For example 'registries/team'")
    return name


def default_class(classes: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the cluster's default StorageClass. Refuse a cluster without one.

    If several classes are the default, the API server uses the newest, and the first by name of two equally old ones.
    """
    metadata = [item["metadata"] for item in classes]
    defaults = [item for item in metadata if (item.get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
    problem = "is missing, and the cluster has no"
    if not metadata:
        remedy = "Install a provisioner of volumes, or run `pulumi config set storage host-path`"
        raise InvalidInput("storage_class", "no-default-class", f"{problem} StorageClass", remedy)
    if not defaults:
        remedy = "Run `pulumi config set storage_class` with a name from `kubectl get storageclass`"
        raise InvalidInput("storage_class", "no-default-class", f"{problem} default StorageClass", remedy)
    by_name = sorted(defaults, key=lambda item: item["name"])
    return str(max(by_name, key=lambda item: item.get("creationTimestamp") or "")["name"])


def s3_kms_key(value: str) -> str:
    """Require the form of a key's ID, alias or ARN. The S3 server decides which keys exist."""
    name = text("s3_kms_key", value, "1234abcd-12ab-34cd-56ef-1234567890ab")
    if not re.fullmatch(r"[A-Za-z0-9:/_-]{1,2048}", name, re.ASCII):
        problem = f"must be the ID, the alias or the ARN of a key, not {quoted(name)}"
        raise InvalidInput("s3_kms_key", "not-a-key", problem, "For example '1234abcd-12ab-34cd-56ef-1234567890ab'")
    return name


def s3_storage_class(value: str) -> str:
    """Require a class that the registry takes (CNCF Distribution, s3StorageClasses)."""
    return one_of("s3_storage_class", value, S3StorageClass, "STANDARD is the class of S3 itself")


def class_is_read(image: str, s3_storage_class: str) -> None:
    """Refuse a class that older versions do not take (CNCF Distribution 2.7, s3-aws)."""
    if s3_storage_class not in OLD_CLASSES and is_before_3(image):
        problem = f"must be version 3 or newer with `s3_storage_class` {s3_storage_class}, not {quoted(image)}"
        raise InvalidInput("image", "unknown-storage-class", problem, f"Run `pulumi config set image {NEWEST}`")


def version_has_storage(image: str, storage: str) -> None:
    """Refuse a version of the registry whose driver has no folder, no URL or no role (CNCF Distribution 2, azure).

    The driver of Google Cloud Storage reads no key in the configuration there.
    """
    if STORAGE_KINDS[storage].oldest_version > 2 and is_before_3(image):
        problem = f"must be version 3 or newer with `storage` {storage}, not {quoted(image)}"
        raise InvalidInput("image", "unknown-storage", problem, f"Run `pulumi config set image {NEWEST}`")


def refuse_relocation(current: Mapping[str, str], requested: Mapping[str, str]) -> bool:
    """Refuse a changed storage location: the component does not move images. Refuse a changed size of a folder, too."""
    for key in current.keys() & requested.keys():
        keep = f"To keep it, run `pulumi config set {key} {shlex.quote(current[key])}`. "
        change = "To change it, run `pulumi destroy`, which keeps the images,"
        if current[key] == requested[key]:
            continue
        if key == "storage_size":
            if not _is_same_size(current[key], requested[key]):
                problem = f"was {current[key]!r} and cannot become {requested[key]!r}, because the claim keeps its size"
                raise InvalidInput(key, "relocation", problem, f"{keep}{change} and run `pulumi up`")
            continue
        problem = f"was {current[key]!r} and cannot become {requested[key]!r}, because the images would stay behind"
        remedy = f"{keep}{change} move them if there are any, and run `pulumi up`"
        raise InvalidInput(key, "relocation", problem, remedy)
    return True


def _is_same_size(current: str, requested: str) -> bool:
    """Return whether two quantities are equal, such as 1.5Ti and 1536Gi."""
    return amount("storage_size", current, "2Gi") == amount("storage_size", requested, "2Gi")


def refuse_unshared_claim(replicas: int, access_modes: Sequence[str]) -> None:
    """Refuse several replicas on an existing claim that only one node can mount."""
    if replicas > 1 and "ReadWriteMany" not in access_modes:
        problem = f"must be 1, not {replicas}, because the claim is {', '.join(access_modes)}"
        remedy = "Use a ReadWriteMany claim, or an object store"
        raise InvalidInput("replicas", "storage-not-shared", problem, remedy)
