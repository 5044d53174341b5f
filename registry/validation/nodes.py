"""Rules for NodeTrust: registries by endpoint, CA and address, and the folders of the container runtimes."""

import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from .basics import refuse_unknown_keys, text
from .errors import InvalidInput, quoted
from .names import is_dns_name
from .network import ip_version

CONTAINERD_FOLDER, DOCKER_FOLDER = "/etc/containerd/certs.d", "/etc/docker/certs.d"
"""Default folders of the runtimes."""

REGISTRY_KEYS = ("endpoint", "ca_pem", "address")

REQUIRED_KEYS = ("endpoint", "ca_pem")

MOST_REGISTRIES = 20
"""Registries of one NodeTrust. With three files each they stay below the megabyte of a ConfigMap."""


EXAMPLE = "For example [{'endpoint': 'docker-registry:5000', 'ca_pem': '-----BEGIN ...'}]"


def registries(value: list[Any]) -> list[Any]:
    """Require a list of at least one registry. Other rules check its items."""
    if not isinstance(value, list):
        problem = f"must be a list of registries, not a value of type {type(value).__name__}"
        raise InvalidInput("registries", "not-a-list", problem, EXAMPLE)
    if not 0 < len(value) <= MOST_REGISTRIES:
        problem = f"must be 1 to {MOST_REGISTRIES} registries, not {len(value)}"
        raise InvalidInput("registries", "out-of-range", problem, EXAMPLE)
    return value


def registry(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Require the endpoint and the CA of a registry, and no unknown keys."""
    if not isinstance(value, Mapping):
        problem = f"must be a list of registries, but has a value of type {type(value).__name__}"
        raise InvalidInput("registries", "not-a-list", problem, EXAMPLE)
    refuse_unknown_keys(value, REGISTRY_KEYS)
    for key in REQUIRED_KEYS:
        if value.get(key) is None:
            raise InvalidInput("registries", "key-missing", f"has a registry without `{key}`", EXAMPLE)
    return value


def endpoint(value: str) -> str:
    """Require host:port, as image references begin. Refuse an IPv6 address, because runtimes write it differently."""
    host_port = text("endpoint", value, "docker-registry:5000")
    host, _, port = host_port.rpartition(":")
    if not (is_dns_name(host) or _is_ipv4(host)) or not _is_port(port):
        problem = f"must be host:port, in lower case, not {quoted(host_port)}"
        raise InvalidInput("endpoint", "not-an-endpoint", problem, "For example 'docker-registry:5000'")
    return host_port


def ca_pem(value: str) -> str:
    """Return the certificates in PEM, as `pulumi stack output ca_pem` of a registry prints them."""
    from .pem import origin_of, read_certificates, to_pem

    return to_pem(read_certificates(origin_of("ca_pem"), value))


def address(value: str) -> str:
    """Require IP:port with an IPv6 address in brackets, or "" for no address."""
    ip_port = text("address", value, "10.96.12.7:5000")
    host, _, port = ip_port.rpartition(":")
    if ip_port and not ((_is_ipv4(host) or _is_ipv6(host)) and _is_port(port)):
        problem = f"must be IP:port, not {quoted(ip_port)}"
        raise InvalidInput("address", "not-an-address", problem, "For example '10.96.12.7:5000'")
    return ip_port


def refuse_repeated_endpoints(endpoints: Collection[str]) -> None:
    """Refuse two registries with one endpoint, because they would share a folder."""
    if len(set(endpoints)) < len(endpoints):
        problem = f"has an endpoint twice: {quoted(sorted(endpoints))}"
        raise InvalidInput("registries", "repeated", problem, "Name each registry once")


def folder(key: str, value: str) -> str:
    """Require an absolute path to a folder called certs.d.

    Every runtime's folder has that name by default and by habit. Another name is probably a folder for other things.
    """
    path = text(key, value, CONTAINERD_FOLDER)
    parts = path.split("/")[1:]
    is_normal = path.startswith("/") and str(PurePosixPath(path)) == path and ".." not in parts
    if not is_normal or not path.isprintable() or ":" in path or len(path) > 4095:
        problem = f"must be an absolute path without '..', '//', ':' or a trailing '/', not {quoted(path)}"
        remedy = f"For example {CONTAINERD_FOLDER!r}, or '/var/lib/rancher/k3s/agent/etc/containerd/certs.d' for k3s"
        raise InvalidInput(key, "not-an-absolute-path", problem, remedy)
    if parts[-1] != "certs.d":
        problem = f"must be a folder called certs.d, not {quoted(path)}"
        raise InvalidInput(key, "not-certs.d", problem, "Use the folder that the configuration of the runtime names")
    return path


def _is_port(port: str) -> bool:
    return bool(re.fullmatch(r"[1-9][0-9]{0,4}", port, re.ASCII)) and int(port) <= 65535


def _is_ipv4(host: str) -> bool:
    return ip_version(host) == 4


def _is_ipv6(host: str) -> bool:
    return host.startswith("[") and host.endswith("]") and ip_version(host[1:-1]) == 6
