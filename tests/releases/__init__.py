"""Resources that an upgrade must keep, as each release registers them. A file of this folder has those of a release.

`make release` writes the file of the new release with `python -m tests.releases`.
"""

import json
from pathlib import Path
from typing import Any

import registry
from registry import PrivateRegistry
from tests.conftest import Engine, attach, run

FOLDER = Path(__file__).parent

CONFIGS: dict[str, dict[str, Any]] = {
    "the guide": {"exposure": "external-ips", "external_ips": ["192.168.56.10"]},
    "a local volume and two users": {"storage": "local", "users": ["centos", "ci"], "port": 5001},
    "a class and two replicas": {
        "storage": "class",
        "storage_class": "shared",
        "storage_access": "ReadWriteMany",
        "workload": "deployment",
        "replicas": 2,
        "certificate_key": "RSA-2048",
    },
    "a bucket and access rules": {
        "storage": "s3",
        "s3_endpoint": "https://s3.example.com",
        "s3_bucket": "images",
        "workload": "deployment",
        "access": [{"users": ["centos"], "repositories": ["**"], "rights": ["push"]}],
        "robots": {"ci": {"repositories": ["team/*"], "rights": ["push"]}},
    },
    "a rotation": {"ca_generations": [2, 1], "password_generations": {"centos": [2, 1]}},
}
"""Inputs of the compared registries."""

KEPT = {
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:PersistentVolume",
    "kubernetes:core/v1:PersistentVolumeClaim",
    "pulumi:index:Stash",
    "random:index/randomPassword:RandomPassword",
    "random:index/randomString:RandomString",
    "tls:index/privateKey:PrivateKey",
    "tls:index/selfSignedCert:SelfSignedCert",
}
"""Types of the resources that hold images, passwords and CAs. If one is replaced, its content is lost."""

Resources = dict[str, dict[str, Any]]
"""The inputs of resources by URN."""


def file_of(version: str) -> Path:
    return FOLDER / f"{version}.json"


def record(config: dict[str, Any]) -> Resources:
    """Return the resources of a registry that an upgrade must keep."""
    engine = Engine()
    monitor = attach(engine)
    run(lambda: PrivateRegistry("registry", config))  # type: ignore[arg-type]
    urns = {(kind_of(urn), name_of(urn)): urn for urn in monitor.resources}
    return {urns[each.type, each.name]: without_metadata(each.inputs) for each in engine.resources if each.type in KEPT}


def kind_of(urn: str) -> str:
    """Return the type of the resource. A URN has the types of its parents too."""
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    return urn.split("::", 3)[3]


def without_metadata(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs without labels and annotations. A change of those does not replace a resource."""
    metadata = {key: value for key, value in inputs.get("metadata", {}).items() if key in ("name", "namespace")}
    return {**inputs, "metadata": metadata} if metadata else inputs


def write(version: str = registry.__version__) -> None:
    """Write the file of a release with the resources of this code."""
    recorded = {name: record(config) for name, config in CONFIGS.items()}
    file_of(version).write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
