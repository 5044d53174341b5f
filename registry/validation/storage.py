"""Where the images lie, and how much room they may take."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from . import Described, InvalidInput, one_of, text
from .quantities import amount

KINDS = ("host-path", "local", "claim", "class", "s3")

ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany")

LONGEST_PATH, LONGEST_NAME = 4095, 255
"""Bytes that Linux takes of a path and of each name in it (limits.h, PATH_MAX with its NUL and NAME_MAX)."""

MOVE = "set it back; to move the images: `pulumi destroy` (it keeps them), move them, set the key, `pulumi up`"

SMALLEST = 2**20
"""Bytes below which no image fits: a `2` or `2m` is a forgotten or mistaken suffix."""

SYSTEM = ("bin", "boot", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr")
"""Top-level folders in which the registry would write among the node's own or short-lived files."""

TAKEN = ("/var/lib/kubelet", "/var/lib/containerd", "/var/lib/docker", "/var/lib/etcd", "/var/lib/dpkg", "/var/log")
TAKEN_TREES = ("/var/run", "/var/tmp", "/var/cache")


def storage(value: str) -> str:
    """The kind of storage, one of `KINDS`."""
    return one_of("storage", value, KINDS, "host-path is the guide's")


def storage_access(value: str) -> str:
    """How the claim may be mounted; the registry writes, so ReadOnlyMany is none of them."""
    return one_of("storage_access", value, ACCESS_MODES, "ReadWriteMany is what several replicas need")


def storage_size(value: str) -> str:
    """What the claim asks for, as a Kubernetes quantity such as `2Gi`."""
    size = amount("storage_size", value, "2Gi")
    if not SMALLEST <= size < 2**63 or size % 1:
        raise InvalidInput("storage_size", "whole bytes from 1Mi up to 8Ei", value, "for example '2Gi'")
    return value


def s3_bucket(value: str) -> str:
    """A bucket's name by the rules of S3 for general purpose buckets."""
    name = text("s3_bucket", value, "team-registry")
    is_address = re.fullmatch(r"(\d+\.){3}\d+", name, re.ASCII)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name, re.ASCII) or ".." in name or is_address:
        remedy = "for example 'team-registry'"
        raise InvalidInput("s3_bucket", "a bucket's name: 3 to 63 of a-z, 0-9, dots and dashes", name, remedy)
    return name


def s3_region(value: str) -> str:
    """The name of a region, whose spelling is the server's affair."""
    name = text("s3_region", value, "eu-west-3")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", name, re.ASCII):
        raise InvalidInput("s3_region", "a region in lower case", name, "for example 'eu-west-3'")
    return name


def s3_prefix(value: str) -> str:
    """A folder in the bucket, without slashes at its ends."""
    name = text("s3_prefix", value, "registries/team")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name, re.ASCII) or len(name) > 512 or ".." in name:
        raise InvalidInput("s3_prefix", "a folder such as a/b", name, "for example 'registries/team'")
    return name


def stays(lies: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """Refuse that the images shall lie elsewhere than they do: nothing moves them."""
    for key in lies.keys() & asked.keys():
        if lies[key] != asked[key] and not (key == "storage_size" and _same_size(lies[key], asked[key])):
            got = Described(f"{asked[key]!r}, which would need another volume")
            raise InvalidInput(key, f"{lies[key]!r} as long as the images lie there", got, MOVE)
    return True


def _same_size(lies: str, asked: str) -> bool:
    """1.5Ti and 1536Gi are one."""
    return amount("storage_size", lies, "2Gi") == amount("storage_size", asked, "2Gi")


def size_advice(value: str) -> str:
    """What to say of a suffix of powers of ten, which is easily a forgotten `i`."""
    if value[-1] not in "kMGTPE":
        return ""
    meant = f"{value.replace('k', 'K')}i"
    return f"`storage_size` {value} counts in powers of ten (2G is 1.86Gi): write {meant} if you mean powers of two"


def storage_path(value: str) -> str:
    """The folder on the node that holds the images: absolute, normal, and nobody else's."""
    remedy = "give the registry a folder of its own, for example '/var/lib/docker-registry/repository'"
    given = text("storage_path", value, "/var/lib/docker-registry/repository")
    if not given.isprintable() or ":" in given:
        raise InvalidInput("storage_path", "a path without control characters and ':'", given, remedy)
    if len(given.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in given.split("/")):
        raise InvalidInput("storage_path", f"folders of at most {LONGEST_NAME} bytes each", given, remedy)
    parts = given.split("/")[1:]
    if not given.startswith("/") or str(PurePosixPath(given)) != given or given.startswith("//") or ".." in parts:
        raise InvalidInput("storage_path", "absolute, without '..', '//' or a trailing '/'", given, remedy)
    if "tmp" in parts:
        raise InvalidInput("storage_path", "on lasting storage", given, f"what lies in tmp is cleared; {remedy}")
    is_system = parts[0] in SYSTEM or len(parts) < 2 or given == "/var/lib"
    if is_system or _within(given, TAKEN) or _within(given, TAKEN_TREES):
        got = Described(f"{given!r}, which belongs to the node")
        raise InvalidInput("storage_path", "a folder of the registry's own", got, remedy)
    return given


def _within(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
