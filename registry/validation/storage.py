"""Where the images lie on the node, and how much room the claim asks for."""

import re
from decimal import Decimal
from pathlib import PurePosixPath

from . import Described, InvalidInput, text

SUFFIXES = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY_SUFFIXES = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
"""Powers of ten and of two of a Kubernetes quantity (apimachinery, pkg/api/resource)."""

SMALLEST = 2**20
"""Bytes below which no image fits: a `2` or `2m` is a forgotten or mistaken suffix."""

SYSTEM = ("bin", "boot", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr")
"""Top-level folders in which the registry would write among the node's own or short-lived files."""

TAKEN = ("/var/lib/kubelet", "/var/lib/containerd", "/var/lib/docker", "/var/lib/etcd", "/var/lib/dpkg", "/var/log")
TAKEN_TREES = ("/var/run", "/var/tmp", "/var/cache")


def storage_size(value: str) -> str:
    """What the claim asks for, as a Kubernetes quantity such as `2Gi`."""
    remedy = "for example '2Gi'; the suffixes are k M G T P E (powers of ten) and Ki Mi Gi Ti Pi Ei (powers of two)"
    given = text("storage_size", value, "2Gi")
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", given, re.ASCII)
    if not match or match[2] not in SUFFIXES | BINARY_SUFFIXES:
        raise InvalidInput("storage_size", "a Kubernetes quantity", given, remedy)
    unit = 2 ** BINARY_SUFFIXES[match[2]] if match[2] in BINARY_SUFFIXES else 10 ** SUFFIXES[match[2]]
    if not SMALLEST <= Decimal(match[1]) * unit < 2**63:
        raise InvalidInput("storage_size", "from 1Mi up to 8Ei", given, remedy)
    return given


def size_advice(value: str) -> str:
    """What to say of a suffix of powers of ten, which is easily a forgotten `i`."""
    if value[-1] not in SUFFIXES:
        return ""
    meant = f"{value.replace('k', 'K')}i"
    return f"`storage_size` {value} counts in powers of ten (2G is 1.86Gi): write {meant} if you mean powers of two"


def storage_path(value: str) -> str:
    """The folder on the node that holds the images: absolute, normal, and nobody else's."""
    remedy = "give the registry a folder of its own, for example '/var/lib/docker-registry/repository'"
    given = text("storage_path", value, "/var/lib/docker-registry/repository")
    if not given.isprintable() or ":" in given or len(given) > 4096:
        raise InvalidInput("storage_path", "a path without control characters and ':'", given, remedy)
    if not given.startswith("/") or str(PurePosixPath(given)) != given or given.startswith("//") or ".." in given:
        raise InvalidInput("storage_path", "absolute, without '..', '//' or a trailing '/'", given, remedy)
    parts = given.split("/")[1:]
    if "tmp" in parts:
        raise InvalidInput("storage_path", "on lasting storage", given, f"what lies in tmp is cleared; {remedy}")
    is_system = parts[0] in SYSTEM or len(parts) < 2 or given == "/var/lib"
    if is_system or _within(given, TAKEN) or _within(given, TAKEN_TREES):
        got = Described(f"{given!r}, which belongs to the node")
        raise InvalidInput("storage_path", "a folder of the registry's own", got, remedy)
    return given


def _within(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
