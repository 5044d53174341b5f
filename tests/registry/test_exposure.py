"""Leases and addresses of an exposure, and the metadata and resources that all objects have."""

from typing import Any, cast

import pulumi
import pytest

from registry import Exposure, PrivateRegistry, PrivateRegistryArgs, Storage, Workload
from registry.preflight.leases import lease_name
from registry.validation import InvalidInput
from tests.conftest import Deploy, Engine, RegisteredResource, unwrap_secret
from tests.parts import preconditions
from tests.registry.test_access import proxy_files

EXTERNAL = PrivateRegistryArgs(exposure=Exposure.EXTERNAL_IPS, external_ips=["192.168.56.10"])


def test_a_lease_is_named_after_what_it_reserves(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: preconditions(dict(EXTERNAL)))
    leases = {each.name: each.inputs["metadata"]["name"] for each in engine.resources if each.type.endswith(":Lease")}
    assert [(name, lease.rpartition("-")[0]) for name, lease in sorted(leases.items())] == [
        ("registry-folder-lease", "taken-var-lib-docker-registry-repository-on-k8s-master"),
        ("registry-lease-of-192.168.56.10-5000", "taken-port-5000-of-192-168-56-10"),
    ]


@pytest.mark.parametrize(
    ("key", "value"), [("storage_path", "/var/lib/another-stack"), ("node", "k8s-worker")], ids=["folder", "node"]
)
def test_a_storage_location_does_not_change_while_its_lease_is_held(
    deploy: Deploy, engine: Engine, key: str, value: str
) -> None:
    """The first `up` ended before it created the volume, which would refuse the change too."""
    annotations = {"private-registry/of": "/var/lib/docker-registry/repository on k8s-master"}
    engine.live["registry-folder-lease"] = {"metadata": {"annotations": annotations}}
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: preconditions({key: value}))
    assert (refusal.value.key, refusal.value.code) == (key, "relocation")


@pytest.mark.parametrize(
    ("status", "addresses"),
    [
        ({"ip": "203.0.113.10"}, ["203.0.113.10"]),
        ({"hostname": "balancer.cloud.example.com"}, ["203.0.113.9"]),
        (None, ["203.0.113.9"]),
    ],
    ids=["an address", "a name", "no status"],
)
def test_a_load_balancer_has_the_addresses_of_its_status_or_the_requested_one(
    deploy: Deploy, engine: Engine, status: dict[str, str] | None, addresses: list[str]
) -> None:
    engine.live["registry-service"] = {"status": {"loadBalancer": {"ingress": [status]} if status else {}}}
    args: PrivateRegistryArgs = {"exposure": Exposure.LOAD_BALANCER, "load_balancer_address": "203.0.113.9"}
    assert deploy(lambda: PrivateRegistry("registry", args))["addresses"] == addresses


def test_a_node_port_has_no_addresses(deploy: Deploy) -> None:
    args: PrivateRegistryArgs = {"exposure": Exposure.NODE_PORT, "node_port": 30500}
    assert deploy(lambda: PrivateRegistry("registry", args))["addresses"] == []


def test_the_name_of_a_lease_is_a_unique_dns_label() -> None:
    long = lease_name("/srv/" + "x" * 300 + " on k8s-master")
    assert len(long) == 63
    assert lease_name("/srv/a.b on n") != lease_name("/srv/a-b on n"), "They differ by a digest."


ALL_OBJECTS: list[PrivateRegistryArgs] = [
    {**EXTERNAL, "metrics": True, "service_monitor": True, "storage": Storage.LOCAL},
    {"exposure": Exposure.INGRESS, "ingress_class": "nginx", "client_cidrs": ["10.0.0.0/8"]},
    {
        "exposure": Exposure.LOAD_BALANCER,
        "storage": Storage.CLASS,
        "storage_class": "fast",
        "workload": Workload.DEPLOYMENT,
    },
    {"storage": Storage.S3, "s3_bucket": "images", "workload": Workload.DEPLOYMENT, "replicas": 2},
]
"""Inputs that together create every kind of object."""


RECOMMENDED = ("name", "instance", "version", "component", "part-of", "managed-by")
"""Labels that Kubernetes recommends for every object."""


@pytest.mark.parametrize("args", ALL_OBJECTS)
def test_every_object_has_the_labels_and_annotations(deploy: Deploy, engine: Engine, args: PrivateRegistryArgs) -> None:
    labels, annotations = {"example.com/team": "red"}, {"example.com/ticket": "42"}
    deploy(lambda: PrivateRegistry("registry", {**args, "labels": labels, "annotations": annotations}))
    metadata_by_name = {each.name: unwrap_secret(each.inputs["metadata"]) for each in objects(engine)}
    assert len(metadata_by_name) >= 8
    for name, metadata in metadata_by_name.items():
        assert labels.items() <= metadata["labels"].items(), name
        assert annotations.items() <= metadata["annotations"].items(), name
        assert metadata["labels"]["app.kubernetes.io/instance"] == "docker-registry", name
        assert {f"app.kubernetes.io/{key}" for key in RECOMMENDED} <= metadata["labels"].keys(), name
    for resource in engine.resources:
        if resource.type.endswith(":Deployment"):
            template = resource.inputs["spec"]["template"]["metadata"]
            assert labels.items() <= template["labels"].items()
            assert annotations.items() <= template["annotations"].items()


@pytest.mark.parametrize("workload", ["pod", "deployment"])
def test_the_pods_have_the_resources_and_the_priority_of_the_inputs(
    deploy: Deploy, engine: Engine, workload: str
) -> None:
    resources = {"requests": {"cpu": "200m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    args: Any = {**resources, "workload": workload, "priority_class": "important"}
    deploy(lambda: PrivateRegistry("registry", args))
    inputs = next(each.inputs for each in engine.resources if each.type.rpartition(":")[2].lower() == workload)
    spec = unwrap_secret(inputs["spec"] if workload == "pod" else inputs["spec"]["template"]["spec"])
    assert spec["priorityClassName"] == "important"
    assert spec["containers"][0]["resources"] == resources


def test_only_the_service_has_the_annotations_for_services(deploy: Deploy, engine: Engine) -> None:
    scheme = {"example.com/scheme": "internal"}
    args: Any = {"service_annotations": {"example.com/scheme": pulumi.Output.from_input("internal")}, "metrics": True}
    deploy(lambda: PrivateRegistry("registry", args))
    annotated = [
        each.name
        for each in objects(engine)
        if scheme.items() <= unwrap_secret(each.inputs["metadata"]).get("annotations", {}).items()
    ]
    assert annotated == ["registry-service"]
    assert "pulumi.com/skipAwait" in engine.by_name("registry-service").inputs["metadata"]["annotations"]


def test_the_service_has_the_families_of_the_inputs_and_the_proxy_binds_both(deploy: Deploy, engine: Engine) -> None:
    families = {"ip_families": ["IPv6", "IPv4"], "ip_family_policy": "PreferDualStack"}
    deploy(lambda: PrivateRegistry("registry", cast(Any, {**families, "anonymous_pull": ["public/*"]})))
    spec = engine.by_name("registry-service").inputs["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv6", "IPv4"], "PreferDualStack")
    proxy = proxy_files(engine)["haproxy.cfg"]
    assert "bind :5000,[::]:5000 v6only ssl crt" in proxy


ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/registry"}


@pytest.mark.parametrize(
    ("account", "name"),
    [
        pytest.param({"service_account_annotations": ROLE}, "docker-registry", id="own"),
        pytest.param({"service_account": "mine", "create_namespace": False}, "mine", id="existing"),
    ],
)
def test_every_pod_has_the_service_account_and_the_nodes_of_the_inputs_and_no_token(
    deploy: Deploy, engine: Engine, account: Any, name: str
) -> None:
    keys = {"storage": "s3", "s3_bucket": "images", "s3_access_key": "AKIA1", "s3_secret_key": "hunter23"}
    pods = {"workload": "deployment", "metrics": True, "dashboard": True, "collect": {"schedule": "0 2 * * *"}}
    selector = {"example.com/pool": "infra"}
    args: Any = {**keys, **pods, **account, "node_selector": selector}
    deploy(lambda: PrivateRegistry("registry", args))
    job = engine.by_name("registry-collect").inputs["spec"]["jobTemplate"]
    templates = [engine.by_name(f"registry-{each}").inputs for each in ("workload-deployment", "exporter")] + [job]
    for spec in (unwrap_secret(template["spec"])["template"]["spec"] for template in templates):
        assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == (name, False)
        assert spec["nodeSelector"] == selector
    created = [each.inputs for each in engine.resources if each.type.endswith(":ServiceAccount")]
    assert len(created) == ("service_account" not in account)
    for created_account in created:
        assert created_account["metadata"]["annotations"] == ROLE
        assert not created_account["automountServiceAccountToken"]


def objects(engine: Engine) -> list[RegisteredResource]:
    """Return the Kubernetes objects without the patches of existing objects, such as the node's label."""
    return [
        resource
        for resource in engine.resources
        if resource.type.startswith("kubernetes:")
        and "metadata" in resource.inputs
        and not resource.type.endswith("Patch")
    ]


@pytest.mark.parametrize(
    ("image", "version"),
    [("registry:3.1.2", "3.1.2"), (f"registry:2@sha256:{'0' * 64}", "2"), (f"registry@sha256:{'0' * 64}", "")],
)
def test_the_version_label_is_the_tag_of_the_image(deploy: Deploy, engine: Engine, image: str, version: str) -> None:
    deploy(lambda: PrivateRegistry("registry", {"image": image}))
    assert engine.one("Service").inputs["metadata"]["labels"]["app.kubernetes.io/version"] == version


def test_a_label_of_the_user_replaces_a_recommended_one(deploy: Deploy, engine: Engine) -> None:
    labels = {"app.kubernetes.io/part-of": "platform"}
    deploy(lambda: PrivateRegistry("registry", {"labels": labels}))
    assert labels.items() <= engine.one("Service").inputs["metadata"]["labels"].items()
