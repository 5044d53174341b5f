"""`ops propose`: its choices for kinds of clusters, judged by the program itself, and what it writes to a stack."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import kubernetes, nodes, stack
from ops.errors import ClusterError, CommandError
from ops.propose import facts as facts_module
from ops.propose import stack_config
from ops.propose.choices import MOST_CHOICES, propose_config
from ops.propose.facts import Facts, read_facts
from ops.propose.proposal import Proposal
from ops.propose.stack_config import SUBJECTS, write_proposal
from ops.stack import Endpoint
from registry.inputs.table import INPUTS
from tests.conftest import PASSTHROUGH_LISTENER, Engine, storage_class
from tests.registry import test_program
from tests.serving import serving

run_program = test_program.run_program

Object = dict[str, Any]

CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
DEDICATED = {"key": "dedicated", "value": "infra", "effect": "NoSchedule"}
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
GPU = {"key": "nvidia.com/gpu", "effect": "NoExecute"}


def node(
    name: str,
    *taints: Object,
    address: str = "192.168.56.11",
    provider: str = "",
    is_ready: bool = True,
    is_control_plane: bool = False,
    hostname: str | None = None,
    system: str = "linux",
    **spec: Any,
) -> Object:
    labels = {"kubernetes.io/os": system, "kubernetes.io/hostname": name if hostname is None else hostname}
    if is_control_plane:
        labels[CONTROL_PLANE["key"]] = ""
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": list(taints), "providerID": provider, **spec},
        "status": {
            "conditions": [{"type": "Ready", "status": str(is_ready)}],
            "addresses": [{"type": "InternalIP", "address": address}] if address else [],
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
        },
    }


def service(name: str, kind: str = "ClusterIP", ingress: Object | None = None, node_port: int = 0) -> Object:
    return {
        "metadata": {"namespace": "apps", "name": name, "labels": {"app.kubernetes.io/name": name}},
        "spec": {"type": kind, "ports": [{"port": 80, **({"nodePort": node_port} if node_port else {})}]},
        "status": {"loadBalancer": {"ingress": [ingress]} if ingress else {}},
    }


def provisioned(name: str, *, is_default: bool = False, provisioner: str = "example.com/disks") -> Object:
    return {**storage_class(name, is_default=is_default), "provisioner": provisioner}


def ingress_class(name: str, controller: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"controller": controller}}


def gateway(name: str, *listeners: Object) -> Object:
    addresses = [{"type": "IPAddress", "value": "192.0.2.9"}]
    metadata = {"namespace": "gateways", "name": name}
    return {"metadata": metadata, "spec": {"listeners": list(listeners)}, "status": {"addresses": addresses}}


def cluster(*nodes: Object, version: str = "v1.36.3", **objects: Any) -> Facts:
    kinds: dict[str, Any] = {"storage_classes": [], "ingress_classes": [], "gateways": [], "services": []}
    return Facts(version=version, nodes=list(nodes), **{**kinds, "namespace": None, **objects})


SHARED = gateway("shared", PASSTHROUGH_LISTENER)

ALL_CORDONED = cluster(node("one", CORDONED, unschedulable=True), node("two", CORDONED, unschedulable=True))

CLUSTERS: dict[str, tuple[Facts, dict[str, str]]] = {
    # the facts, and the choices except the workload
    "kind": (
        cluster(
            node("kind-control-plane", address="172.18.0.2", provider="kind://docker/kind/kind-control-plane"),
            storage_classes=[provisioned("standard", is_default=True, provisioner="rancher.io/local-path")],
        ),
        {"exposure": "node-port", "node_port": "30500", "storage": "class"},
    ),
    "k3d": (
        cluster(
            node("k3d-server-0", is_control_plane=True, address="172.19.0.3", provider="k3s://k3d-server-0"),
            storage_classes=[provisioned("local-path", is_default=True, provisioner="rancher.io/local-path")],
            ingress_classes=[ingress_class("traefik", "traefik.io/ingress-controller")],
            services=[service("traefik", "LoadBalancer", {"ip": "172.19.0.3"}, node_port=30500)],
        ),
        {"exposure": "load-balancer", "storage": "class"},
    ),
    "minikube": (
        cluster(
            node("minikube", is_control_plane=True, address="192.168.49.2"),
            storage_classes=[provisioned("standard", is_default=True, provisioner="k8s.io/minikube-hostpath")],
            ingress_classes=[ingress_class("nginx", "k8s.io/ingress-nginx")],
        ),
        {"exposure": "node-port", "node_port": "30500", "storage": "class"},
    ),
    "kubeadm, the guide's": (
        cluster(node("k8s-master", CONTROL_PLANE, is_control_plane=True, address="192.168.56.10"), node("k8s-worker")),
        {"exposure": "node-port", "node_port": "30500", "node": "k8s-worker"},
    ),
    "kubeadm, one node": (
        cluster(node("master", CONTROL_PLANE, is_control_plane=True)),
        {"exposure": "node-port", "node_port": "30500", "node": "master"},
    ),
    "EKS": (
        cluster(
            node("ip-10-0-1-7.ec2.internal", provider="aws:///eu-west-3a/i-0abc"),
            storage_classes=[provisioned("gp3", is_default=True, provisioner="ebs.csi.aws.com")],
        ),
        {"exposure": "load-balancer", "storage": "class"},
    ),
    "EKS without a default class": (
        cluster(
            node("ip-10-0-1-7.ec2.internal", provider="aws:///eu-west-3a/i-0abc"),
            storage_classes=[provisioned("gp2"), provisioned("local", provisioner="kubernetes.io/no-provisioner")],
        ),
        {"exposure": "load-balancer", "storage": "class", "storage_class": "gp2"},
    ),
    "GKE": (
        cluster(
            node("gke-pool-1-a", provider="gce://project/europe-west9-a/gke-pool-1-a"),
            storage_classes=[provisioned("standard-rwo", is_default=True), provisioned("premium-rwo")],
            gateways=[gateway("public")],
        ),
        {"exposure": "load-balancer", "storage": "class"},
    ),
    "a Gateway that passes TLS through": (
        cluster(
            node("one"),
            gateways=[
                gateway("https", {"name": "web", "port": 443, "protocol": "HTTPS", "tls": {"mode": "Terminate"}}),
                gateway("of-others", {**PASSTHROUGH_LISTENER, "allowedRoutes": {"namespaces": {"from": "Same"}}}),
                SHARED,
            ],
        ),
        {
            **{"exposure": "gateway", "gateway": "shared", "gateway_namespace": "gateways"},
            **{"gateway_listener": "passthrough", "node": "one"},
        },
    ),
    "a Gateway that terminates TLS": (
        cluster(
            node("one"),
            gateways=[
                gateway("https", {"name": "web", "port": 443, "protocol": "HTTPS", "tls": {"mode": "Terminate"}}),
            ],
        ),
        {"exposure": "node-port", "node_port": "30500", "node": "one"},
    ),
    "several classes, none the default": (
        cluster(node("one"), storage_classes=[provisioned("fast"), provisioned("slow")]),
        {"exposure": "node-port", "node_port": "30500", "node": "one"},
    ),
    "a default class without a provisioner": (
        cluster(
            node("one"),
            storage_classes=[provisioned("local", is_default=True, provisioner="kubernetes.io/no-provisioner")],
        ),
        {"exposure": "node-port", "node_port": "30500", "node": "one"},
    ),
    "all nodes tainted": (
        cluster(
            node("gpu", GPU, DEDICATED),
            node("infra", DEDICATED),
            namespace={"metadata": {"name": "docker-registry"}},
            storage_classes=[provisioned("fast")],
        ),
        {
            **{"exposure": "node-port", "node_port": "30500", "storage": "class", "storage_class": "fast"},
            **{"namespace": "private-registry"},
            **{"tolerations[0].key": "dedicated", "tolerations[0].operator": "Exists"},
        },
    ),
    "unsuitable nodes": (
        cluster(
            node("a-down", is_ready=False),
            node("b-cordoned", CORDONED, unschedulable=True),
            node("c-windows", system="windows"),
            node("d-without-a-label", hostname=""),
            node("e-full", {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}),
            node("f-preferred-elsewhere", {"key": "spot", "effect": "PreferNoSchedule"}),
        ),
        {"exposure": "node-port", "node_port": "30500", "node": "f-preferred-elsewhere"},
    ),
    "a namespace of another program, and used node ports": (
        cluster(
            node("one"),
            namespace={"metadata": {"name": "docker-registry", "labels": {"app.kubernetes.io/name": "twuni"}}},
            services=[service("a", node_port=30500), service("b", "LoadBalancer", node_port=30501)],
        ),
        {"exposure": "node-port", "node_port": "30502", "node": "one", "namespace": "private-registry"},
    ),
    "a registry that is deployed": (
        cluster(
            node("one"),
            namespace={
                "metadata": {"name": "docker-registry", "labels": {"app.kubernetes.io/name": "docker-registry"}}
            },
            services=[service("docker-registry", "NodePort", node_port=30507)],
        ),
        {"exposure": "node-port", "node_port": "30507", "node": "one"},
    ),
    "addresses that are not known": (
        cluster(node("one", address="")),
        {"exposure": "cluster", "node": "one"},
    ),
    "Kubernetes 1.40": (
        cluster(node("one"), version="v1.40.1"),
        {"exposure": "node-port", "node_port": "30500", "node": "one"},
    ),
}


def set_values(proposal: Proposal) -> dict[str, Any]:
    """Return the config after the commands of the proposal."""
    values: dict[str, Any] = {choice.key: choice.value for choice in proposal.choices}
    parts = {key.rpartition(".")[2]: values.pop(key) for key in [*values] if key.startswith("tolerations[0].")}
    return {**values, **({"tolerations": [parts]} if parts else {})}


@pytest.mark.parametrize("kind", CLUSTERS)
def test_the_program_accepts_the_choices_for_each_kind_of_cluster(
    kind: str, run_program: Callable[..., dict[str, Any]], engine: Engine
) -> None:
    facts, expected = CLUSTERS[kind]
    proposal = propose_config(facts)
    assert {choice.key: choice.value for choice in proposal.choices} == {**expected, "workload": "deployment"}
    assert len(proposal.choices) <= MOST_CHOICES
    reasons = [*(choice.reason for choice in proposal.choices), *(omission.reason for omission in proposal.omissions)]
    assert all(reason.endswith(".") for reason in reasons)
    engine.found |= {("Node", "", each["metadata"]["name"]): each for each in facts.nodes}
    engine.found |= {("Gateway", "gateways", each["metadata"]["name"]): each for each in facts.gateways}
    engine.found["StorageClass", "", ""] = {"items": facts.storage_classes}
    engine.found["Namespace", "", "private-registry"] = {}
    run_program(**set_values(proposal))
    assert engine.one("Deployment").name == "registry-workload-deployment"


@pytest.mark.parametrize(
    "facts", [cluster(), cluster(node("down", is_ready=False)), cluster(node("gpu", GPU, DEDICATED)), ALL_CORDONED]
)
def test_a_cluster_without_a_usable_node_has_no_proposal(facts: Facts) -> None:
    with pytest.raises(CommandError) as error:
        propose_config(facts)
    assert "kubectl get nodes" in error.value.remedy


def omitted(facts: Facts) -> dict[str, str]:
    return {omission.subject: omission.reason for omission in propose_config(facts).omissions}


def test_what_was_not_chosen_has_a_reason() -> None:
    assert "default" in omitted(CLUSTERS["several classes, none the default"][0])["storage class"]
    assert "annotations" in omitted(CLUSTERS["k3d"][0])["exposure ingress with traefik"]
    assert "443" in omitted(CLUSTERS["minikube"][0])["exposure ingress with nginx"]
    assert "deprecates" in omitted(CLUSTERS["kind"][0])["exposure external-ips"]
    assert "ignores" in omitted(CLUSTERS["Kubernetes 1.40"][0])["exposure external-ips"]
    assert "listeners" in omitted(CLUSTERS["a Gateway that terminates TLS"][0])["exposure gateway with gateways/https"]
    assert (
        "more inputs"
        in omitted(cluster(node("infra", DEDICATED), gateways=[SHARED]))["exposure gateway with gateways/shared"]
    )
    assert "/etc/hosts" in omitted(CLUSTERS["kind"][0])["hostname"]
    assert "registry already" in omitted(CLUSTERS["a registry that is deployed"][0])["namespace"]


def test_clients_of_a_node_port_get_the_address_of_a_node() -> None:
    assert propose_config(CLUSTERS["kind"][0]).address == "172.18.0.2"
    assert propose_config(CLUSTERS["k3d"][0]).address == "", "The load balancer has its own."
    assert propose_config(CLUSTERS["a Gateway that passes TLS through"][0]).address == "192.0.2.9"
    public = node("one")
    public["status"]["addresses"].append({"type": "ExternalIP", "address": "192.0.2.1"})
    assert propose_config(cluster(public)).address == "192.0.2.1"


def test_a_load_balancer_may_have_a_name() -> None:
    facts = cluster(node("one"), services=[service("web", "LoadBalancer", {"hostname": "lb.example.com"})])
    (choice,) = [choice for choice in propose_config(facts).choices if choice.key == "exposure"]
    assert choice.value == "load-balancer"
    assert "lb.example.com" in choice.reason


def test_a_command_is_safe_for_a_shell() -> None:
    choices = propose_config(CLUSTERS["all nodes tainted"][0]).choices
    assert "pulumi config set --path 'tolerations[0].key' dedicated" in [choice.command for choice in choices]


def test_every_input_of_a_choice_belongs_to_a_subject() -> None:
    for subject in SUBJECTS[:2]:
        dependent = {
            key for key, row in INPUTS.items() for condition in row.only_with if condition.key == subject[0]
        } - {"storage_size", "upstream_ca", "outbound_proxy", "min_free", "node"}
        assert dependent <= {*subject}
    for _, expected in CLUSTERS.values():
        for key in (key.partition("[")[0] for key in expected):
            assert any(key in subject for subject in SUBJECTS)


@pytest.fixture
def stack_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace `pulumi` by a program that writes the plain values to the file of the stack `mine`."""
    file = tmp_path / "Pulumi.mine.yaml"
    (tmp_path / "Pulumi.yaml").write_text("name: private-registry\n")

    def pulumi(*arguments: str) -> str:
        if arguments[1] == "set-all":
            config = (yaml.safe_load(file.read_text()) if file.exists() else None) or {"config": {}}
            pairs = [after.partition("=") for before, after in pairwise(arguments) if before == "--plaintext"]
            config["config"] |= {f"private-registry:{key}": value for key, _, value in pairs}
            file.write_text(yaml.safe_dump(config))
        return "{}"

    monkeypatch.setattr(stack, "PROJECT", tmp_path)
    monkeypatch.setattr(stack, "pulumi", pulumi)
    monkeypatch.setattr(stack_config, "pulumi", pulumi)
    return file


def config_of(file: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(file.read_text())["config"]
    return {key.partition(":")[2]: value for key, value in config.items()}


def test_a_second_write_changes_nothing(stack_file: Path) -> None:
    proposal = propose_config(CLUSTERS["kubeadm, the guide's"][0])
    written = write_proposal("mine", proposal)
    assert config_of(stack_file) == {choice.key: choice.value for choice in proposal.choices}
    assert (written.keys, written.kept) == (["exposure", "node_port", "node", "workload"], {})
    again = write_proposal("organization/private-registry/mine", proposal)
    assert again.keys == []
    assert again.kept == config_of(stack_file)


def test_what_the_user_has_set_is_kept_with_all_of_its_subject_and_named(stack_file: Path) -> None:
    own = {"exposure": "cluster", "s3_secret_key": {"secure": "v1:abc"}, "port": 5001}
    stack_file.write_text(yaml.safe_dump({"config": {f"private-registry:{key}": value for key, value in own.items()}}))
    written = write_proposal("mine", propose_config(CLUSTERS["kubeadm, the guide's"][0]))
    assert written.keys == ["workload"]
    assert written.kept == {"exposure": "cluster", "s3_secret_key": "[secret]"}
    assert config_of(stack_file) == {**own, "workload": "deployment"}


@pytest.mark.parametrize("options", [[], ["--write", "mine"]])
def test_the_command_prints_reasons_commands_and_what_it_wrote(
    options: list[str], stack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts_module, "read_facts", lambda: CLUSTERS["kind"][0])
    output = CliRunner().invoke(command_line.app, ["propose", *options]).output
    lines = output.splitlines()
    for command in ("pulumi config set exposure node-port", "pulumi config set storage class"):
        assert lines[lines.index(command) - 1].startswith("# ")
    assert stack_file.exists() == bool(options)
    assert ("--write STACK" in output) != bool(options)
    result = json.loads(CliRunner().invoke(command_line.app, ["propose", *options, "--json"]).output)
    assert [choice["command"] for choice in result["choices"]] == [line for line in lines if "config set" in line]
    assert result["address"] == "172.18.0.2"
    assert (result["written"] is None) != bool(options)


class FakeResources:
    def get(self, api_version: str, kind: str) -> str:
        if api_version.startswith("gateway."):
            raise ResourceNotFoundError(kind)
        return kind


class FakeAnswer(dict[str, Any]):
    def to_dict(self) -> dict[str, Any]:
        return self


class FakeClient:
    """A client of a cluster without the Gateway API."""

    resources = FakeResources()
    version = {"kubernetes": {"gitVersion": "v1.36.3"}}  # noqa: RUF012

    def get(self, kind: str, name: str = "", **_: Any) -> FakeAnswer:
        return FakeAnswer(metadata={"name": name}) if name else FakeAnswer(items=[{"metadata": {"name": kind}}])


def test_the_facts_are_read_also_without_the_gateway_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_module, "connect", FakeClient)
    facts = read_facts()
    assert facts.version == "v1.36.3"
    assert facts.gateways == []
    kinds = [facts.nodes, facts.storage_classes, facts.ingress_classes, facts.services]
    assert [kind[0]["metadata"]["name"] for kind in kinds] == ["Node", "StorageClass", "IngressClass", "Service"]
    assert facts.namespace == {"metadata": {"name": "docker-registry"}}


VERSION = {
    **{"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "a", "gitTreeState": "clean"},
    **{"buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64"},
}


class Forbidden(BaseHTTPRequestHandler):
    """An API server that lets everybody read its version alone."""

    def do_GET(self) -> None:
        is_version = self.path == "/version/"
        body = json.dumps(VERSION if is_version else {"message": "nodes is forbidden"}).encode()
        self.send_response(200 if is_version else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def forbidden_server() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Forbidden)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


def use_server(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set KUBECONFIG to a file with this server."""
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "kubeconfig"))
    contexts = [{"name": "it", "context": {"cluster": "it", "user": "it"}}]
    clusters = [{"name": "it", "cluster": {"server": url}}]
    users = [{"name": "it", "user": {"token": "hunter2"}}]
    text = yaml.safe_dump({"current-context": "it", "contexts": contexts, "clusters": clusters, "users": users})
    (folder / "kubeconfig").write_text(text)


def test_a_missing_kubeconfig_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "missing"))
    with pytest.raises(ClusterError) as error:
        read_facts()
    assert "Set KUBECONFIG" in error.value.remedy


def test_a_server_that_does_not_answer_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_server("http://127.0.0.1:1", tmp_path, monkeypatch)
    with pytest.raises(ClusterError) as error:
        read_facts()
    assert "does not answer" in error.value.cause
    assert "Start the cluster" in error.value.remedy


def test_a_user_without_rights_gets_a_remedy(
    forbidden_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_server(forbidden_server, tmp_path, monkeypatch)
    with pytest.raises(ClusterError) as error:
        read_facts()
    assert "nodes is forbidden" in error.value.cause
    assert "permissions" in error.value.remedy
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("docker-registry:30500", "192.168.56.11"),
        ("docker-registry:5000", ""),
        ("docker-registry.docker-registry.svc:30500", ""),
    ],
)
def test_trust_finds_the_address_of_a_node_port(endpoint: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "connect", lambda: None)
    monkeypatch.setattr(kubernetes, "list_objects", lambda *_: [node("no-address", address=""), node("one")])
    assert nodes.find_address(Endpoint(endpoint)) == address


def test_without_a_cluster_trust_finds_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_server("http://127.0.0.1:1", tmp_path, monkeypatch)
    assert nodes.find_address(Endpoint("docker-registry:30500")) == ""


def test_the_default_namespace_is_that_of_the_input() -> None:
    assert INPUTS["namespace"].default == stack.DEFAULT_NAMESPACE
