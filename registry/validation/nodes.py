"""What nodes shall trust: registries by endpoint, CA and address, and the folders where the runtimes look."""

import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from . import Described, InvalidInput, known_keys, text
from .names import dns_name
from .network import family

CONTAINERD_FOLDER, DOCKER_FOLDER = "/etc/containerd/certs.d", "/etc/docker/certs.d"
"""Where the runtimes look unless they are told otherwise."""

KEYS = ("endpoint", "ca_pem", "address")

NEEDED = ("endpoint", "ca_pem")

MOST = 20
"""Registries: with three files each they stay below the megabyte of a ConfigMap."""


def registries(value: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One at least, each with endpoint and CA; their values have rules of their own, for when they are known."""
    example = "for example [{'endpoint': 'docker-registry:5000', 'ca_pem': '-----BEGIN ...'}]"
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise InvalidInput("registries", "a list of registries", Described(type(value).__name__), example)
    if not 0 < len(value) <= MOST:
        raise InvalidInput("registries", f"1 to {MOST} registries", Described(str(len(value))), example)
    for each in value:
        known_keys(each, KEYS)
        for key in NEEDED:
            if each.get(key) is None:
                raise InvalidInput("registries", f"registries with `{key}` each", Described("one without"), example)
    return value


def endpoint(value: str) -> str:
    """host:port, as image references begin; an IPv6 address has spellings that each runtime takes its own way."""
    given = text("endpoint", value, "docker-registry:5000")
    host, _, port = given.rpartition(":")
    if not (dns_name(host) or _is_ipv4(host)) or not _is_port(port):
        raise InvalidInput("endpoint", "host:port, in lower case", given, "for example 'docker-registry:5000'")
    return given


def ca_pem(value: str) -> str:
    """Certificates, PEM, as `pulumi stack output ca_pem` of a registry prints them."""
    from .pem import as_pem, bundle

    return as_pem(bundle("ca_pem", value))


def address(value: str) -> str:
    """IP:port, an IPv6 address in brackets; empty for none."""
    given = text("address", value, "10.96.12.7:5000")
    host, _, port = given.rpartition(":")
    if given and not ((_is_ipv4(host) or _is_ipv6(host)) and _is_port(port)):
        raise InvalidInput("address", "IP:port", given, "for example '10.96.12.7:5000'")
    return given


def distinct(endpoints: Collection[str]) -> None:
    """Each registry has one folder."""
    if len(set(endpoints)) < len(endpoints):
        raise InvalidInput("registries", "distinct endpoints", sorted(endpoints), "name each registry once")


def folder(key: str, value: str) -> str:
    """A folder of the nodes in which there is one for each registry: absolute, and called certs.d.

    Every runtime's is, by default and by habit. Another name is more likely a folder of something else.
    """
    given = text(key, value, CONTAINERD_FOLDER)
    parts = given.split("/")[1:]
    is_normal = given.startswith("/") and str(PurePosixPath(given)) == given and ".." not in parts
    if not is_normal or not given.isprintable() or ":" in given or len(given) > 4095:
        remedy = f"for example {CONTAINERD_FOLDER!r}, or '/var/lib/rancher/k3s/agent/etc/containerd/certs.d' of k3s"
        raise InvalidInput(key, "an absolute path without '..', '//', ':' or a trailing '/'", given, remedy)
    if parts[-1] != "certs.d":
        got = Described(f"{given!r}, in which files of others lie")
        raise InvalidInput(key, "a folder called certs.d", got, "name the folder that the runtime's config names")
    return given


def _is_port(port: str) -> bool:
    return bool(re.fullmatch(r"[1-9][0-9]{0,4}", port, re.ASCII)) and int(port) <= 65535


def _is_ipv4(host: str) -> bool:
    return family(host) == 4


def _is_ipv6(host: str) -> bool:
    return host.startswith("[") and host.endswith("]") and family(host[1:-1]) == 6
