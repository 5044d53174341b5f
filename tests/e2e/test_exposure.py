"""Every way in and the hardening around it, on one registry whose inputs change from test to test."""

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dev.cluster.plan import MASTER, NODES, WORKER
from registry.validation.network import refuse_api_server_port
from tests.e2e import checkov, ingress
from tests.e2e.kube_api import Object
from tests.e2e.lab import Lab, Project, eventually, projects
from tests.e2e.refusals import message
from tests.e2e.s3 import S3

pytestmark = pytest.mark.e2e

PROGRAM = '''
"""A registry whose inputs lie beside it."""

import json
from pathlib import Path

import pulumi

from registry import PrivateRegistry
from registry.validation.network import refuse_api_server_port

registry = PrivateRegistry("registry", json.loads(Path(__file__).with_name("settings.json").read_text()))
for output in ("endpoint", "ca_pem", "password", "addresses"):
    pulumi.export(output, getattr(registry, output))
'''

HOST = "registry.example.com"
PORT = 5050
KINDS = (
    "Service",
    "NetworkPolicy",
    "Pod",
    "Deployment",
    "PodDisruptionBudget",
    "Ingress",
    "PersistentVolumeClaim",
    "Secret",
)
DEPRECATED = "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
NODE_PORT = {"exposure": "node-port", "node_port": 30501}
EXTERNAL = {"exposure": "external-ips", "external_ips": [WORKER.address]}
FOLDER = {"storage_path": "/var/lib/exposed"}
BALANCER = "lab.example.com/balancer"
VIRTUAL = "203.0.113.10"
"""The load balancer's address, on no link: it is routed to a node, as MetalLB would announce it."""


@dataclass
class Exposed:
    """A registry of a stack of its own, and who asks it."""

    project: Project
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def lab(self) -> Lab:
        return self.project.lab

    @property
    def name(self) -> str:
        return self.project.folder.name

    def configure(self, **settings: Any) -> None:
        given = {"hostname": HOST, "namespace": self.name, "port": PORT, **settings}
        given.setdefault("storage_path", None if "storage" in settings else f"/var/lib/{self.name}")
        (self.project.folder / "settings.json").write_text(json.dumps(given))

    def up(self, **settings: Any) -> str:
        """Deploy, and see that the API server has nothing against what came of it; what the engine said."""
        self.configure(**settings)
        said = self.project.pulumi("up", "--yes", "--skip-preview")
        self.lab.wait_for_proxies()
        self.outputs = self.project.outputs()
        self.ca.write_text(self.outputs["ca_pem"])
        assert self.warnings() == ([DEPRECATED] if settings.get("exposure") == "external-ips" else [])
        return said

    def refused(self, **settings: Any) -> str:
        """What an `up` says that fails."""
        self.configure(**settings)
        run = ("--cwd", str(self.project.folder), "up", "--yes", "--skip-preview", "--stack", self.name)
        done = self.lab.pulumi(*run, check=False)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    @property
    def ca(self) -> Path:
        return self.project.folder / "ca.pem"

    def objects(self) -> list[Object]:
        return [each for kind in KINDS for each in self.lab.api.objects(kind, self.name)]

    def warnings(self) -> list[str]:
        """What the API server warns of: the provider keeps it to itself, so the objects are put to it once more."""
        again = json.dumps({"apiVersion": "v1", "kind": "List", "items": self.objects()})
        done = self.lab.place.run("kubectl", "replace", "--dry-run=server", "-f", "-", check=False, stdin=again)
        assert done.returncode == 0, done.stderr
        return re.findall(r"^Warning: (.*)$", done.stderr, re.MULTILINE)

    def curl(self, path: str, *arguments: str, at: str, host: str = "laptop") -> str:
        """Ask under the name that clients type, at one address of the many; the answer, with its status first."""
        endpoint = self.outputs["endpoint"]
        url = path if path.startswith("https:") else f"https://{endpoint}{path}"
        ask = ("curl", "--silent", "--show-error", "--include", "--http1.1", "--max-time", "20")
        trust = ("--cacert", str(self.ca), "--user", f"centos:{self.outputs['password']}")
        to = ("--connect-to", f"{endpoint}:{at}:{endpoint.rpartition(':')[2]}")
        done = self.lab.cluster.run(
            host, [*ask, *trust, *to, *arguments, url], capture_output=True, text=True, check=False
        )
        return str(done.stdout or done.stderr)

    def upload(self, at: str, host: str = "laptop") -> str:
        """Where an upload goes on, as the registry says."""
        answer = self.curl("/v2/kept/blobs/uploads/", "--request", "POST", at=at, host=host)
        assert " 202 " in answer, answer
        found = re.search(r"^location: (\S+)", answer, re.MULTILINE | re.IGNORECASE)
        assert found, answer
        return found[1]

    def check(self, at: str, host: str = "laptop") -> None:
        """It answers at this address with its certificate, and tells clients to go on where they came to."""
        assert " 200 " in self.curl("/v2/_catalog", at=at, host=host)
        assert self.upload(at, host).startswith(f"https://{self.outputs['endpoint']}/v2/kept/blobs/uploads/")


@pytest.fixture(scope="module")
def exposed(lab: Lab) -> Iterator[Exposed]:
    with projects(lab) as make:
        yield Exposed(make("exposed", PROGRAM))


@pytest.fixture
def rival(project: Callable[[str, str], Project]) -> Exposed:
    """Another stack, which wants what the first one has."""
    return Exposed(project("rival", PROGRAM))


def test_a_node_port_answers_on_every_node(exposed: Exposed) -> None:
    exposed.up(**NODE_PORT)
    assert exposed.outputs["endpoint"] == f"{HOST}:30501"
    for node in NODES:
        exposed.check(node.address)


def test_only_the_registrys_node_answers_when_clients_are_told_apart(exposed: Exposed) -> None:
    exposed.up(**NODE_PORT, client_cidrs=["192.168.56.0/24"])
    exposed.check(MASTER.address)
    assert "curl: (28)" in exposed.curl("/", "--connect-timeout", "2", at=WORKER.address)


def test_a_load_balancer_is_waited_for_and_answers_at_its_address(exposed: Exposed) -> None:
    with balancer(exposed, {"ip": VIRTUAL}):
        exposed.up(exposure="load-balancer", load_balancer_class=BALANCER, load_balancer_address=VIRTUAL)
    service = exposed.lab.get("service", "docker-registry", exposed.name)
    assert service["status"]["loadBalancer"]["ingress"] == [{"ip": VIRTUAL, "ipMode": "VIP"}]
    assert service["spec"]["loadBalancerClass"] == BALANCER
    assert exposed.outputs["addresses"] == [VIRTUAL]
    for node in NODES:
        exposed.lab.cluster.run("laptop", ["ip", "route", "replace", VIRTUAL, "via", node.address], check=True)
        exposed.check(VIRTUAL)


def test_a_load_balancer_that_has_only_a_name_is_one(exposed: Exposed) -> None:
    with balancer(exposed, {"hostname": "balancer.cloud.example.com"}):
        exposed.up(exposure="load-balancer", load_balancer_class=BALANCER, port=PORT + 1)
    assert exposed.outputs["endpoint"] == f"{HOST}:{PORT + 1}"
    assert exposed.outputs["addresses"] == [], "the name resolves by itself"


def test_inside_the_cluster_the_services_name_is_the_endpoint(exposed: Exposed) -> None:
    exposed.up()
    name = f"docker-registry.{exposed.name}.svc"
    assert exposed.outputs["endpoint"] == f"{name}:{PORT}"
    address = exposed.lab.get("service", "docker-registry", exposed.name)["spec"]["clusterIP"]
    exposed.check(address, host=WORKER.name)
    known = {"nodeName": WORKER.name, "hostAliases": [{"ip": address, "hostnames": [name]}]}  # the lab has no DNS
    run(exposed.lab, "asks-by-name", {"spec": known}, "nc", "-w", "5", name, str(PORT))


def test_the_api_servers_own_port_is_refused(exposed: Exposed) -> None:
    assert message(refuse_api_server_port, 6443, 6443) in exposed.refused(**EXTERNAL, port=6443)


def test_another_stack_cannot_have_what_is_taken(exposed: Exposed, rival: Exposed) -> None:
    said = exposed.up(**EXTERNAL)
    assert "warning: `exposure: external-ips` is deprecated since Kubernetes 1.36" in said
    before = exposed.objects()
    for wanted, taken in ((FOLDER, "var-lib-exposed-on-k8s-master"), (EXTERNAL, f"port-{PORT}-of-192-168-56-11")):
        said = rival.refused(**wanted)
        assert re.search(rf'"taken-{taken}-\w+" already exists', said), said
        assert "error: Another stack " in said
        assert "`kubectl get leases` shows the stack" in said
        assert "exposed/exposed" in exposed.lab.kubectl("get", "leases")
        assert not exposed.lab.kubectl("get", "namespace", rival.name, check=False), "nothing is made before that"
    assert 'namespaces "exposed" already exists' in rival.refused(namespace="exposed")
    assert exposed.objects() == before
    exposed.check(WORKER.address)


def test_another_stack_cannot_have_a_node_port_and_leaves_whole_what_it_does_not_get(
    exposed: Exposed, rival: Exposed
) -> None:
    exposed.up(**NODE_PORT)
    before = exposed.objects()
    assert "30501: provided port is already allocated" in rival.refused(**NODE_PORT)
    rival.project.pulumi("destroy", "--yes", "--skip-preview")
    assert exposed.objects() == before
    assert exposed.lab.get("node", MASTER.name)["metadata"]["labels"]["run-docker-registry"] == "true"
    exposed.check(WORKER.address)


@pytest.fixture(scope="module")
def controller(lab: Lab) -> Iterator[str]:
    with ingress.serve(lab.cluster) as name:
        yield name


def test_docker_pushes_and_pulls_through_an_ingress(exposed: Exposed, controller: str) -> None:
    exposed.up(exposure="ingress", ingress_class=controller)
    assert exposed.outputs["endpoint"] == f"{HOST}:443"
    lab = exposed.lab
    lab.cluster.set_hosts_entry("laptop", ingress.ADDRESS, HOST)
    certificates = lab.cluster.path("laptop", f"/etc/docker/certs.d/{HOST}")
    certificates.mkdir(parents=True, exist_ok=True)
    (certificates / "ca.crt").write_text(exposed.outputs["ca_pem"])
    eventually(10, "the controller has seen the Ingress", lambda: " 200 " in exposed.curl("/", at=ingress.ADDRESS))
    exposed.check(ingress.ADDRESS)
    docker(lab, "login", HOST, "--username", "centos", "--password-stdin", stdin=exposed.outputs["password"])
    docker(lab, "tag", "busybox:1.35", f"{HOST}/busybox:1.35")
    docker(lab, "push", f"{HOST}/busybox:1.35")
    docker(lab, "image", "rm", f"{HOST}/busybox:1.35")
    docker(lab, "pull", f"{HOST}/busybox:1.35")


def test_a_large_layer_passes_an_ingress_as_it_comes(exposed: Exposed, controller: str) -> None:
    """Neither limited nor laid down at the controller first: the registry has its first bytes while the rest comes."""
    exposed.up(exposure="ingress", ingress_class=controller)
    layer = exposed.project.folder / "layer"
    layer.write_bytes(os.urandom(64 * 2**20))
    uploads = exposed.lab.cluster.path(MASTER.name, "/var/lib/exposed/docker/registry/v2/repositories/kept/_uploads")
    where = exposed.upload(ingress.ADDRESS)
    parts = uploads / where.partition("/uploads/")[2].partition("?")[0] / "data"
    seen: list[int] = []
    sending = threading.Thread(target=lambda: seen.append(send(exposed, layer, where)))
    sending.start()
    eventually(10, "the registry has a part", lambda: parts.exists() and parts.stat().st_size > 0)
    assert sending.is_alive(), "not all of it has come"
    sending.join()
    assert seen == [201]
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    pulled = exposed.project.folder / "pulled"
    exposed.curl(f"/v2/kept/blobs/sha256:{digest}", "--no-include", "--output", str(pulled), at=ingress.ADDRESS)
    assert hashlib.sha256(pulled.read_bytes()).hexdigest() == digest


def test_an_ingress_lets_in_only_the_networks_of_its_clients(exposed: Exposed, controller: str) -> None:
    for networks, status in ((["10.9.0.0/16"], " 403 "), (["10.9.0.0/16", "192.168.56.0/24"], " 200 ")):
        exposed.up(exposure="ingress", ingress_class=controller, client_cidrs=networks)
        asked = lambda status=status: status in exposed.curl("/", at=ingress.ADDRESS)  # noqa: E731
        eventually(10, f"{status} for {networks}", asked)


def test_metrics_are_on_a_service_of_their_own(exposed: Exposed) -> None:
    exposed.up(**NODE_PORT, metrics=True)
    exposed.check(MASTER.address)
    service = exposed.lab.get("service", "docker-registry-metrics", exposed.name)["spec"]
    assert service["type"] == "ClusterIP"
    url = f"http://{service['clusterIP']}:5001/metrics"
    scraped = exposed.lab.cluster.run(
        WORKER.name, ["curl", "--silent", "--max-time", "5", url], capture_output=True, text=True, check=True
    )
    assert "registry_http_requests_total" in scraped.stdout
    for hidden in ("/metrics", "/debug/pprof/", "/debug/health"):
        assert " 404 " in exposed.curl(hidden, at=MASTER.address)


def test_a_service_monitor_needs_the_operator_and_selects_the_metrics_alone(exposed: Exposed, rival: Exposed) -> None:
    monitored = {"metrics": True, "service_monitor": True}
    said = rival.refused(**monitored)
    assert "registry-metrics-needs-the-crds-of-the-prometheus-operator" in said
    assert "'v1.monitoring.coreos.com' does not exist" in said
    assert not rival.lab.kubectl("get", "namespace", "rival", check=False), "nothing is made before that"
    with operator(exposed.lab):
        exposed.up(**monitored)
        monitor = exposed.lab.get("servicemonitor", "docker-registry", exposed.name)["spec"]
        selector = ",".join("=".join(each) for each in monitor["selector"]["matchLabels"].items())
        select = ("get", "services", "--all-namespaces", "--selector", selector, "--output", "name")
        assert exposed.lab.kubectl(*select).split() == ["service/docker-registry-metrics"]
        (port,) = exposed.lab.get("service", "docker-registry-metrics", exposed.name)["spec"]["ports"]
        assert monitor["endpoints"] == [{"path": "/metrics", "port": port["name"]}]


TAKEN = {
    "CKV_K8S_11": "a CPU limit would throttle a push while the CPU is idle; a request is set, and memory is limited",
    "CKV_K8S_43": "the guide's image has a tag, and a digest would change with every platform; `image` takes one",
    "CKV_K8S_15": "a version's tag stays what it is, and a node that has the image must start it without a network",
}
"""What checkov finds and stays, with the reason."""

GUIDES = {
    "CKV_K8S_23": "the guide's folder belongs to root, as the kubelet makes it; `run_as_user` is the way out",
    "CKV_K8S_40": "the same",
}
"""Beside that, where the images are on the guide's folder."""


def test_checkov_finds_nothing_in_the_guides_registry_that_is_not_explained(lab: Lab) -> None:
    objects = [each for kind in KINDS for each in lab.api.objects(kind, "docker-registry")]
    assert checkov.failed(objects).keys() == TAKEN.keys() | GUIDES.keys()


def test_checkov_finds_nothing_in_a_deployment_on_s3_that_is_not_explained(
    exposed: Exposed, rival: Exposed, s3: S3
) -> None:
    keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key, "upstream_ca": s3.ca_pem}
    store = {"storage": "s3", "s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, **keys}
    rival.up(**store, workload="deployment", replicas=2, client_cidrs=["192.168.56.0/24"], metrics=True)
    assert checkov.failed(rival.objects()).keys() == TAKEN.keys()


@contextmanager
def balancer(exposed: Exposed, answer: Mapping[str, str]) -> Iterator[None]:
    """A controller for the lab's load balancers: gives a Service of its class that has no address one, `answer`."""
    ended = threading.Event()
    at = ("service", "docker-registry", "--namespace", exposed.name)
    status = json.dumps({"status": {"loadBalancer": {"ingress": [answer]}}})

    def serve() -> None:
        # An `up` replaces the Service, so it may be gone at any moment.
        while not ended.wait(0.3):
            for service in exposed.lab.api.objects("service", exposed.name):
                if service["spec"].get("loadBalancerClass") == BALANCER and not service["status"]["loadBalancer"]:
                    patch = ("patch", *at, "--subresource=status", "--type=merge", "--patch", status)
                    exposed.lab.kubectl(*patch, check=False)

    controller = threading.Thread(target=serve)
    controller.start()
    try:
        yield
    finally:
        ended.set()
        controller.join()


@contextmanager
def operator(lab: Lab) -> Iterator[None]:
    """The least of a Prometheus operator: its CRD for ServiceMonitors."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    name = "servicemonitors.monitoring.coreos.com"
    names = {"kind": "ServiceMonitor", "listKind": "ServiceMonitorList"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    crd: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {**names, "plural": "servicemonitors", "singular": "servicemonitor"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    lab.place.run("kubectl", "apply", "--filename", "-", stdin=json.dumps(crd))
    lab.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    try:
        yield
    finally:
        lab.kubectl("delete", "--wait=false", "crd", name)


def run(lab: Lab, pod: str, overrides: Object, *argv: str) -> None:
    """Run in a Pod of the namespace default until it ends well."""
    placed = f"--overrides={json.dumps(overrides)}"
    lab.kubectl("run", pod, "--image=busybox:1.35", "--restart=Never", placed, "--", *argv)
    lab.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=20s")
    lab.kubectl("delete", "pod", pod)


def docker(lab: Lab, *arguments: str, stdin: str | None = None) -> None:
    done = lab.docker(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr


def send(exposed: Exposed, layer: Path, where: str) -> int:
    """Send a layer in chunks, slowly enough to be watched; the status of the whole upload."""
    chunked = ("--request", "PATCH", "--header", "Transfer-Encoding: chunked", "--limit-rate", "32M")
    answer = exposed.curl(where, *chunked, "--upload-file", str(layer), at=ingress.ADDRESS)
    found = re.search(r"^location: (\S+)", answer, re.MULTILINE | re.IGNORECASE)
    assert found, answer
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    done = exposed.curl(f"{found[1]}&digest=sha256:{digest}", "--request", "PUT", at=ingress.ADDRESS)
    return int(done.split()[1])
