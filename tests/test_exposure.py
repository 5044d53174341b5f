"""The ways in: what is refused because of the cluster that answers, and who has what to itself."""

from typing import Any

import pytest

from registry import PrivateRegistry, PrivateRegistryArgs
from registry.preflight.leases import lease_name
from registry.validation import InvalidInput
from tests.conftest import Deploy, Engine, RegisteredResource, unwrap

EXTERNAL = PrivateRegistryArgs(exposure="external-ips", external_ips=["192.168.56.10"])


def test_the_api_servers_own_port_is_refused(deploy: Deploy) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", {**EXTERNAL, "port": 6443}))
    assert (refusal.value.key, refusal.value.code) == ("port", "port-of-api-server")


def test_a_lease_is_named_after_what_it_reserves(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", EXTERNAL))
    taken = {each.name: each.inputs["metadata"]["name"] for each in engine.resources if each.type.endswith(":Lease")}
    assert [(name, lease.rpartition("-")[0]) for name, lease in sorted(taken.items())] == [
        ("registry-folder-lease", "taken-var-lib-docker-registry-repository-on-k8s-master"),
        ("registry-lease-of-192.168.56.10-5000", "taken-port-5000-of-192-168-56-10"),
    ]


@pytest.mark.parametrize(
    ("key", "moved"), [("storage_path", "/var/lib/of-another-stack"), ("node", "k8s-worker")], ids=["folder", "node"]
)
def test_a_folder_is_not_changed_for_one_that_nobody_holds_a_lease_of(
    deploy: Deploy, engine: Engine, key: str, moved: str
) -> None:
    """After an `up` that ended before there was a volume, which would refuse it as well."""
    first = {"private-registry/of": "/var/lib/docker-registry/repository on k8s-master"}
    engine.live["registry-folder-lease"] = {"metadata": {"annotations": first}}
    args: Any = {key: moved}
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", args))
    assert (refusal.value.key, refusal.value.code) == (key, "relocation")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"ip": "203.0.113.10"}, ["203.0.113.10"]),
        ({"hostname": "balancer.cloud.example.com"}, ["203.0.113.9"]),
        (None, ["203.0.113.9"]),
    ],
    ids=["an address", "a name", "nothing yet"],
)
def test_a_balancer_tells_its_addresses_else_the_one_asked_for_counts(
    deploy: Deploy, engine: Engine, status: dict[str, str] | None, told: list[str]
) -> None:
    engine.live["registry-service"] = {"status": {"loadBalancer": {"ingress": [status]} if status else {}}}
    balanced: PrivateRegistryArgs = {"exposure": "load-balancer", "load_balancer_address": "203.0.113.9"}
    assert deploy(lambda: PrivateRegistry("registry", balanced))["addresses"] == told


def test_where_no_address_is_known_none_is_told(deploy: Deploy) -> None:
    assert deploy(lambda: PrivateRegistry("registry", {"exposure": "node-port", "node_port": 30500}))["addresses"] == []


def test_the_name_of_a_lease_is_a_dns_label_whatever_it_is_about() -> None:
    long = lease_name("/srv/" + "x" * 300 + " on k8s-master")
    assert len(long) == 63
    assert lease_name("/srv/a.b on n") != lease_name("/srv/a-b on n"), "a digest tells them apart"


def test_a_service_monitor_waits_for_nothing_that_is_not_there(deploy: Deploy, engine: Engine) -> None:
    """The provider asks a minute for an unknown kind, with everything else made; a read fails at preview."""
    deploy(lambda: PrivateRegistry("registry", {"metrics": True, "service_monitor": True}))
    before = engine.one("Namespace").request.dependencies
    assert any(urn.endswith("::registry-metrics-needs-the-crds-of-the-prometheus-operator") for urn in before)


EVERYTHING: list[PrivateRegistryArgs] = [
    {**EXTERNAL, "metrics": True, "service_monitor": True, "storage": "local"},
    {"exposure": "ingress", "ingress_class": "nginx", "client_cidrs": ["10.0.0.0/8"]},
    {"exposure": "load-balancer", "storage": "class", "storage_class": "fast", "workload": "deployment"},
    {"storage": "s3", "s3_bucket": "images", "workload": "deployment", "replicas": 2},
]
"""Between them, every object that there can be."""


RECOMMENDED = ("name", "instance", "version", "component", "part-of", "managed-by")
"""Labels that Kubernetes recommends for every object."""


@pytest.mark.parametrize("args", EVERYTHING)
def test_every_object_bears_the_labels_and_annotations(
    deploy: Deploy, engine: Engine, args: PrivateRegistryArgs
) -> None:
    label, note = {"example.com/team": "red"}, {"example.com/ticket": "42"}
    deploy(lambda: PrivateRegistry("registry", {**args, "labels": label, "annotations": note}))
    metadata = {each.name: unwrap(each.inputs["metadata"]) for each in objects(engine)}
    assert len(metadata) >= 8
    for name, of in metadata.items():
        assert label.items() <= of["labels"].items(), name
        assert note.items() <= of["annotations"].items(), name
        assert of["labels"]["app.kubernetes.io/instance"] == "docker-registry", name
        assert {f"app.kubernetes.io/{key}" for key in RECOMMENDED} <= of["labels"].keys(), name
    for each in engine.resources:
        if each.type.endswith(":Deployment"):
            assert label.items() <= each.inputs["spec"]["template"]["metadata"]["labels"].items()
            assert note.items() <= each.inputs["spec"]["template"]["metadata"]["annotations"].items()


@pytest.mark.parametrize("workload", ["pod", "deployment"])
def test_what_the_workload_may_use_and_how_important_it_is_reaches_its_pods(
    deploy: Deploy, engine: Engine, workload: str
) -> None:
    sizes = {"requests": {"cpu": "200m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    args: Any = {**sizes, "workload": workload, "priority_class": "important"}
    deploy(lambda: PrivateRegistry("registry", args))
    runs = next(each for each in engine.resources if each.type.rpartition(":")[2].lower() == workload)
    spec = unwrap(runs.inputs["spec"] if workload == "pod" else runs.inputs["spec"]["template"]["spec"])
    assert spec["priorityClassName"] == "important"
    assert spec["containers"][0]["resources"] == sizes


def objects(engine: Engine) -> list[RegisteredResource]:
    """Of Kubernetes, but for the label that is put on a node, which is not the registry's."""
    return [
        each
        for each in engine.resources
        if each.type.startswith("kubernetes:") and "metadata" in each.inputs and not each.type.endswith("Patch")
    ]


@pytest.mark.parametrize(
    ("image", "version"),
    [("registry:3.1.2", "3.1.2"), (f"registry:2@sha256:{'0' * 64}", "2"), (f"registry@sha256:{'0' * 64}", "")],
)
def test_the_version_label_is_the_tag_of_the_image(deploy: Deploy, engine: Engine, image: str, version: str) -> None:
    deploy(lambda: PrivateRegistry("registry", {"image": image}))
    assert engine.one("Service").inputs["metadata"]["labels"]["app.kubernetes.io/version"] == version


def test_the_users_labels_replace_recommended_ones(deploy: Deploy, engine: Engine) -> None:
    labels = {"app.kubernetes.io/part-of": "platform"}
    deploy(lambda: PrivateRegistry("registry", {"labels": labels}))
    assert labels.items() <= engine.one("Service").inputs["metadata"]["labels"].items()
