"""docs/rights.yaml has a rule for every object that the component creates or looks up.

tests/e2e/test_rights.py deploys with these rights.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from dev.environment import PROJECT
from registry import PrivateRegistry
from tests.conftest import Engine, attach, run, to_base64
from tests.examples import CA, compatible_groups, example_inputs
from tests.issuing import issue, server_spec

NAMESPACE_ROLE, CLUSTER_ROLE = yaml.safe_load_all((PROJECT / "docs/rights.yaml").read_text())
SERVER = issue(server_spec("docker-registry"), CA)
CHANGE = {"get", "list", "watch", "create", "patch", "delete"}
PATCH = {"get", "patch"}
OUTSIDE = {
    *("namespaces", "nodes", "persistentvolumes", "ingressclasses", "priorityclasses", "storageclasses", "leases"),
    *("validatingadmissionpolicies", "validatingadmissionpolicybindings", "apiservices", "gateways", "clusterissuers"),
    "servicecidrs",
}
"""Resources without a namespace, and the Leases, which are in the namespace `default`."""

EXISTING_SECRETS = {
    "tls_secret",
    "certificate_reload",
    "users_secret",
    "s3_secret",
    "azure_secret",
    "gcs_secret",
    "backup_secret",
}
"""Inputs with an existing Secret."""

GROUPS = [
    tuple(key for key in group if key not in EXISTING_SECRETS)
    for group in compatible_groups()
    if {*group} - EXISTING_SECRETS
]
"""Inputs that can be set together. Existing Secrets are left out, because the engine has no data for them."""

DEFAULT_CLASS = ("storage",)
"""The input whose value `class` lists the StorageClasses."""

Resource = tuple[str, str]
"""API group and plural."""


def allowed_verbs(*roles: dict[str, Any]) -> dict[Resource, set[str]]:
    """Return the verbs that the roles allow for each resource."""
    verbs: dict[Resource, set[str]] = defaultdict(set)
    for rule in (rule for role in roles for rule in role["rules"]):
        for group in rule["apiGroups"]:
            for plural in rule["resources"]:
                verbs[group, plural] |= {*rule["verbs"]}
    return verbs


def plural(kind: str) -> str:
    """Return the resource of a kind. The API server and the authors of CRDs derive it in the same way."""
    name = kind.lower()
    if name.endswith("y") and not name.endswith("ay"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x")) else f"{name}s"


def used_resources(engine: Engine) -> Iterator[tuple[bool, Resource, set[str]]]:
    """Yield whether a used resource is outside of the registry's own namespaces, the resource, and the verbs."""
    for resource in engine.resources:
        package, _, path = resource.type.partition(":")
        group, _, kind = path.partition(":")
        if path == "helm.sh/v4:Chart":
            for reference in resource.inputs["values"]["references"]:
                group = reference["apiVersion"].rpartition("/")[0]
                name, is_list = plural(reference["kind"]), not reference["name"]
                is_own = name == "namespaces" or reference["namespace"] not in ("", "default", "gateways")
                yield not is_own, (group, name), {"list" if is_list else "get"}
        elif package == "kubernetes":
            name = plural(kind.removesuffix("Patch"))
            verbs = PATCH if kind.endswith("Patch") else CHANGE
            yield name in OUTSIDE, (group.rpartition("/")[0].removeprefix("core"), name), verbs


@cache
def deploy_group(keys: tuple[str, ...]) -> Engine:
    """Deploy a registry with the example of each input. cert-manager has written its Secret."""
    data = {"tls.crt": to_base64(SERVER.pem), "tls.key": to_base64(SERVER.key_pem), "ca.crt": to_base64(CA.pem)}
    attach(engine := Engine(live={"registry-tls-from-kubectl-get-secrets": {"data": data}}))
    inputs: Any = {name: value for key in keys for name, value in example_inputs(key).items()}
    if keys == DEFAULT_CLASS:
        inputs = {"storage": "class"}
    run(lambda: PrivateRegistry("registry", inputs))
    return engine


@pytest.mark.parametrize("keys", [*GROUPS, DEFAULT_CLASS], ids=" ".join)
def test_the_roles_allow_every_object(keys: tuple[str, ...]) -> None:
    rights = {True: allowed_verbs(CLUSTER_ROLE), False: allowed_verbs(NAMESPACE_ROLE)}
    missing = [
        (resource, verbs)
        for is_outside, resource, verbs in used_resources(deploy_group(keys))
        if not verbs <= rights[is_outside][resource]
    ]
    assert missing == []


def test_the_roles_allow_no_other_resource() -> None:
    # The example of `certificate_issuer` is a ClusterIssuer. An Issuer is looked up in the same way.
    watched_by_provider = {("apps", "replicasets"), ("cert-manager.io", "issuers")}
    needed = {
        resource for keys in GROUPS for _, resource, _ in used_resources(deploy_group(keys))
    } | watched_by_provider
    groups, names = {group for group, _ in needed}, {name for _, name in needed}
    for rule in NAMESPACE_ROLE["rules"] + CLUSTER_ROLE["rules"]:
        assert {*rule["apiGroups"]} <= groups
        assert {*rule["resources"]} <= names
