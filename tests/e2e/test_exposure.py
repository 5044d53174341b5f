"""Expose one registry with each kind of exposure, metrics and network policies. Each test changes its inputs.

Only a cluster with kube-proxy, an Ingress controller and load balancers shows that clients reach the registry.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dev.cluster.plan import MASTER, NODES, WORKER
from registry.validation.external_ips import refuse_api_server_port
from tests.e2e import checkov, gateways, ingress
from tests.e2e.kube_api import Object
from tests.e2e.lab import Lab, Project, eventually, projects, read_location
from tests.e2e.messages import message
from tests.e2e.prometheus import operator_crds
from tests.e2e.s3 import S3

pytestmark = pytest.mark.e2e

PROGRAM = '''
"""A registry with the inputs in settings.json."""

import json
from pathlib import Path

import pulumi

from registry import PrivateRegistry

registry = PrivateRegistry("registry", json.loads(Path(__file__).with_name("settings.json").read_text()))
for output in ("endpoint", "ca_pem", "password", "addresses"):
    pulumi.export(output, getattr(registry, output))
'''

HOST, OTHER_HOST = "registry.example.com", "images.example.com"
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
"""Kinds of the objects that the tests compare, send in a dry run, and check with checkov."""

DEPRECATION_WARNING = "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
"""Warning of the API server."""

NODE_PORT = {"exposure": "node-port", "node_port": 30501}
EXTERNAL_IPS = {"exposure": "external-ips", "external_ips": [WORKER.address]}
FOLDER = {"storage_path": "/var/lib/exposed"}
"""Inputs that only one stack can have: a node port, an external IP with its port, and the folder of `exposed`."""

BALANCER_CLASS = "lab.example.com/balancer"
BALANCER_ADDRESS = "203.0.113.10"
"""Address of the load balancer. No link has it: the laptop routes it to a node, as with MetalLB."""


@dataclass
class ExposedRegistry:
    """A registry in its own stack, and clients of it on all hosts."""

    project: Project
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def lab(self) -> Lab:
        return self.project.lab

    @property
    def name(self) -> str:
        return self.project.folder.name

    def configure(self, **settings: Any) -> None:
        """Replace the inputs of the program. By default the images are in the node's folder /var/lib/NAME."""
        inputs = {"hostname": HOST, "namespace": self.name, "port": PORT, **settings}
        inputs.setdefault("storage_path", None if "storage" in settings else f"/var/lib/{self.name}")
        (self.project.folder / "settings.json").write_text(json.dumps(inputs))

    def up(self, **settings: Any) -> str:
        """Deploy, check the API server's warnings about the objects, and return the engine's output."""
        self.configure(**settings)
        output = self.project.pulumi("up", "--yes", "--skip-preview")
        self.lab.wait_for_kube_proxies()
        self.outputs = self.project.outputs()
        self.ca.write_text(self.outputs["ca_pem"])
        assert self.warnings() == ([DEPRECATION_WARNING] if settings.get("exposure") == "external-ips" else [])
        return output

    def expect_refusal(self, **settings: Any) -> str:
        """Return the output of an `up` that must fail."""
        self.configure(**settings)
        done = self.project.run("up", "--yes", "--skip-preview", check=False)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    @property
    def ca(self) -> Path:
        return self.project.folder / "ca.pem"

    def trust_on_laptop(self, address: str) -> None:
        """Let the Docker engine of the laptop trust the registry at the address."""
        cluster = self.lab.cluster
        cluster.set_hosts_entry("laptop", address, HOST)
        folder = cluster.path("laptop", f"/etc/docker/certs.d/{self.outputs['endpoint'].removesuffix(':443')}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_text(self.outputs["ca_pem"])

    def objects(self) -> list[Object]:
        """Return all objects in the namespace of the registry."""
        return [item for kind in KINDS for item in self.lab.api.objects(kind, self.name)]

    def warnings(self) -> list[str]:
        """Return the API server's warnings from a dry run, because the provider hides those of the deployment."""
        objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": self.objects()})
        done = self.lab.environment.run("kubectl", "replace", "--dry-run=server", "-f", "-", check=False, stdin=objects)
        assert done.returncode == 0, done.stderr
        return re.findall(r"^Warning: (.*)$", done.stderr, re.MULTILINE)

    def curl(self, path: str, *arguments: str, address: str, host: str = "laptop") -> str:
        """Send a request for the endpoint to one address, and return the response with its status line."""
        endpoint = self.outputs["endpoint"]
        url = path if path.startswith("https:") else f"https://{endpoint}{path}"
        request = ("curl", "--silent", "--show-error", "--include", "--http1.1", "--max-time", "20")
        credentials = ("--cacert", str(self.ca), "--user", f"centos:{self.outputs['password']}")
        connect_to = ("--connect-to", f"{endpoint}:{address}:{endpoint.rpartition(':')[2]}")
        done = self.lab.cluster.run(
            host, [*request, *credentials, *connect_to, *arguments, url], capture_output=True, text=True, check=False
        )
        return str(done.stdout or done.stderr)

    def upload(self, address: str, host: str = "laptop") -> str:
        """Start an upload, and return its location."""
        response = self.curl("/v2/kept/blobs/uploads/", "--request", "POST", address=address, host=host)
        assert " 202 " in response, response
        return read_location(response)

    def check(self, address: str, host: str = "laptop") -> None:
        """Check that the registry serves its certificate at the address, and that its locations have the endpoint."""
        assert " 200 " in self.curl("/v2/_catalog", address=address, host=host)
        assert self.upload(address, host).startswith(f"https://{self.outputs['endpoint']}/v2/kept/blobs/uploads/")


@pytest.fixture(scope="module")
def registry(lab: Lab) -> Iterator[ExposedRegistry]:
    with projects(lab) as create:
        yield ExposedRegistry(create("exposed", PROGRAM))


@pytest.fixture
def rival(create_project: Callable[[str, str], Project]) -> ExposedRegistry:
    """Create another stack, whose inputs conflict with those of the first one."""
    return ExposedRegistry(create_project("rival", PROGRAM))


def test_a_node_port_answers_on_every_node(registry: ExposedRegistry) -> None:
    """Only kube-proxy opens a port on each node."""
    registry.up(**NODE_PORT)
    assert registry.outputs["endpoint"] == f"{HOST}:30501"
    for node in NODES:
        registry.check(node.address)


def test_with_client_cidrs_only_the_registrys_node_answers(registry: ExposedRegistry) -> None:
    """Only kube-proxy decides which node forwards a request."""
    registry.up(**NODE_PORT, client_cidrs=["192.168.56.0/24"])
    registry.check(MASTER.address)
    assert "curl: (28)" in registry.curl("/", "--connect-timeout", "2", address=WORKER.address)


def test_up_waits_for_a_load_balancer_that_answers_at_its_address(registry: ExposedRegistry) -> None:
    """Only a controller sets the status of a Service, and only kube-proxy forwards its address."""
    with load_balancer_controller(registry, {"ip": BALANCER_ADDRESS}):
        registry.up(
            exposure="load-balancer",
            load_balancer_class=BALANCER_CLASS,
            load_balancer_address=BALANCER_ADDRESS,
        )
    service = registry.lab.get("service", "docker-registry", registry.name)
    assert service["status"]["loadBalancer"]["ingress"] == [{"ip": BALANCER_ADDRESS, "ipMode": "VIP"}]
    assert service["spec"]["loadBalancerClass"] == BALANCER_CLASS
    assert registry.outputs["addresses"] == [BALANCER_ADDRESS]
    for node in NODES:
        route = ["ip", "route", "replace", BALANCER_ADDRESS, "via", node.address]
        registry.lab.cluster.run("laptop", route, check=True)
        registry.check(BALANCER_ADDRESS)


def test_a_load_balancer_may_have_a_hostname_without_an_address(registry: ExposedRegistry) -> None:
    """Only a controller sets the status of a Service, which the provider waits for."""
    with load_balancer_controller(registry, {"hostname": "balancer.cloud.example.com"}):
        registry.up(exposure="load-balancer", load_balancer_class=BALANCER_CLASS, port=PORT + 1)
    assert registry.outputs["endpoint"] == f"{HOST}:{PORT + 1}"
    assert registry.outputs["addresses"] == [], "DNS resolves the hostname"


def test_without_an_exposure_the_services_name_is_the_endpoint(registry: ExposedRegistry) -> None:
    """Only a Pod connects to the name of a Service."""
    registry.up()
    name = f"docker-registry.{registry.name}.svc"
    assert registry.outputs["endpoint"] == f"{name}:{PORT}"
    address = registry.lab.get("service", "docker-registry", registry.name)["spec"]["clusterIP"]
    registry.check(address, host=WORKER.name)
    spec = {"nodeName": WORKER.name, "hostAliases": [{"ip": address, "hostnames": [name]}]}  # the lab has no DNS server
    run_pod(registry.lab, "client-by-name", {"spec": spec}, "nc", "-w", "5", name, str(PORT))


def test_the_port_of_the_api_server_is_refused(registry: ExposedRegistry) -> None:
    """Only a real cluster has an API server whose port the component reads."""
    assert message(refuse_api_server_port, 6443, 6443) in registry.expect_refusal(**EXTERNAL_IPS, port=6443)


def test_another_stack_cannot_use_the_same_folder_address_or_namespace(
    registry: ExposedRegistry, rival: ExposedRegistry
) -> None:
    """Only the API server refuses a Lease or a namespace that exists."""
    output = registry.up(**EXTERNAL_IPS)
    assert "warning: `exposure: external-ips` is deprecated since Kubernetes 1.36" in output
    before = registry.objects()
    for conflict, lease in ((FOLDER, "var-lib-exposed-on-k8s-master"), (EXTERNAL_IPS, f"port-{PORT}-of-192-168-56-11")):
        output = rival.expect_refusal(**conflict)
        assert re.search(rf'"taken-{lease}-\w+" already exists', output), output
        assert "error: Another stack " in output
        assert "`kubectl get leases` shows the stack" in output
        assert "exposed/exposed" in registry.lab.kubectl("get", "leases")
        assert not registry.lab.kubectl("get", "namespace", rival.name, check=False), "no namespace was created"
    assert 'namespaces "exposed" already exists' in rival.expect_refusal(namespace="exposed")
    assert registry.objects() == before
    registry.check(WORKER.address)


def test_a_stack_without_the_node_port_does_not_change_its_owner(
    registry: ExposedRegistry, rival: ExposedRegistry
) -> None:
    """Only the API server refuses a node port that another Service has."""
    registry.up(**NODE_PORT)
    before = registry.objects()
    assert "30501: provided port is already allocated" in rival.expect_refusal(**NODE_PORT)
    rival.project.pulumi("destroy", "--yes", "--skip-preview")
    assert registry.objects() == before
    assert registry.lab.get("node", MASTER.name)["metadata"]["labels"]["run-docker-registry"] == "true"
    registry.check(WORKER.address)


@pytest.fixture(scope="module")
def controller(lab: Lab) -> Iterator[str]:
    """Run an Ingress controller, and yield the name of its class."""
    with ingress.serve(lab.cluster) as name:
        yield name


def test_docker_pushes_and_pulls_through_an_ingress(registry: ExposedRegistry, controller: str) -> None:
    """Only a Docker engine and a controller show whether an image passes the controller."""
    registry.up(exposure="ingress", ingress_class=controller)
    assert registry.outputs["endpoint"] == f"{HOST}:443"
    registry.trust_on_laptop(ingress.ADDRESS)
    eventually(10, "the controller serves the Ingress", lambda: " 200 " in registry.curl("/", address=ingress.ADDRESS))
    registry.check(ingress.ADDRESS)
    push_and_pull(registry, f"{HOST}/busybox:1.35")


def test_the_proxy_behind_an_ingress_names_the_host_of_the_ingress(registry: ExposedRegistry, controller: str) -> None:
    """Only a real controller shows which host and scheme the Pod gets."""
    lab = registry.lab
    lab.cluster.load_haproxy()
    registry.up(exposure="ingress", ingress_class=controller, anonymous_pull=["public/**"])
    challenge = f'Bearer realm="https://{HOST}/token"'

    def proxy_answers() -> bool:
        return challenge in registry.curl("/v2/", "--user", "unknown:x", address=ingress.ADDRESS)

    eventually(30, "the proxy answers", proxy_answers)
    registry.check(ingress.ADDRESS)
    push_and_pull(registry, f"{HOST}/public/busybox:1.35", pulls_without_login=True)


def test_an_ingress_streams_a_large_layer_without_a_buffer(registry: ExposedRegistry, controller: str) -> None:
    """Only a controller buffers a request: the registry must store a part while the client still sends the rest."""
    registry.up(exposure="ingress", ingress_class=controller)
    layer = registry.project.folder / "layer"
    layer.write_bytes(os.urandom(64 * 2**20))
    eventually(20, "the controller forwards", lambda: " 200 " in registry.curl("/", address=ingress.ADDRESS))
    uploads = registry.lab.cluster.path(MASTER.name, "/var/lib/exposed/docker/registry/v2/repositories/kept/_uploads")
    location = registry.upload(ingress.ADDRESS)
    stored_part = uploads / location.partition("/uploads/")[2].partition("?")[0] / "data"
    statuses: list[int] = []
    upload = threading.Thread(target=lambda: statuses.append(send_slowly(registry, layer, location)))
    upload.start()
    eventually(10, "a part of the layer is stored", lambda: stored_part.exists() and stored_part.stat().st_size > 0)
    assert upload.is_alive(), "the client still sends"
    upload.join()
    assert statuses == [201]
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    pulled = registry.project.folder / "pulled"
    registry.curl(f"/v2/kept/blobs/sha256:{digest}", "--no-include", "--output", str(pulled), address=ingress.ADDRESS)
    assert hashlib.sha256(pulled.read_bytes()).hexdigest() == digest


def test_an_ingress_accepts_only_the_networks_in_client_cidrs(registry: ExposedRegistry, controller: str) -> None:
    """Only a controller checks the address of a client."""

    def has_status(status: str) -> bool:
        return status in registry.curl("/", address=ingress.ADDRESS)

    for networks, status in ((["10.9.0.0/16"], " 403 "), (["10.9.0.0/16", "192.168.56.0/24"], " 200 ")):
        registry.up(exposure="ingress", ingress_class=controller, client_cidrs=networks)
        eventually(10, f"the status is {status} for {networks}", partial(has_status, status))


def test_a_gateway_needs_the_gateway_api(registry: ExposedRegistry) -> None:
    """Only a real cluster lacks an API, which the provider would ask for in vain."""
    output = registry.expect_refusal(**gateways.INPUTS)
    assert "`exposure` names the API 'TLSRoute of gateway.networking.k8s.io/v1', which does not exist." in output


@pytest.fixture(scope="module")
def gateway(lab: Lab) -> Iterator[str]:
    """Run a controller with a Gateway, and yield host:port of its listener as clients type it."""
    with gateways.serve(lab):
        yield f"{HOST}:{gateways.PORT}"


def test_docker_pushes_and_pulls_through_a_gateway(registry: ExposedRegistry, gateway: str) -> None:
    """Only a Docker engine and a controller show that TLS passes the Gateway, and that the route has each name."""
    registry.up(**gateways.INPUTS, certificate_names=[OTHER_HOST])
    assert registry.outputs["endpoint"] == gateway
    registry.trust_on_laptop(gateways.ADDRESS)
    # Traefik accepts a route some seconds before it serves the route.
    eventually(30, "the Gateway serves the route", lambda: " 200 " in registry.curl("/", address=gateways.ADDRESS))
    registry.check(gateways.ADDRESS)
    push_and_pull(registry, f"{gateway}/busybox:1.35")
    connect_to = ("--connect-to", f"{OTHER_HOST}:{gateways.PORT}:{gateways.ADDRESS}:{gateways.PORT}")
    url = f"https://{OTHER_HOST}:{gateways.PORT}/v2/kept/blobs/uploads/"
    response = registry.curl(url, "--request", "POST", *connect_to, address=gateways.ADDRESS)
    assert read_location(response).startswith(url), "the upload goes on by the name that the client typed"


def test_metrics_have_a_service_of_their_own(registry: ExposedRegistry) -> None:
    """Only a running registry serves metrics."""
    registry.up(**NODE_PORT, metrics=True)
    registry.check(MASTER.address)
    service = registry.lab.get("service", "docker-registry-metrics", registry.name)["spec"]
    assert service["type"] == "ClusterIP"
    url = f"http://{service['clusterIP']}:5001/metrics"
    metrics = registry.lab.cluster.run(
        WORKER.name, ["curl", "--silent", "--max-time", "5", url], capture_output=True, text=True, check=True
    )
    assert "registry_http_requests_total" in metrics.stdout
    for path in ("/metrics", "/debug/pprof/", "/debug/health"):
        assert " 404 " in registry.curl(path, address=MASTER.address)


def test_a_service_monitor_needs_the_operator_and_selects_only_the_metrics(
    registry: ExposedRegistry, rival: ExposedRegistry
) -> None:
    """Only the API server knows its CRDs, and selects Services by their labels."""
    inputs = {"metrics": True, "service_monitor": True}
    output = rival.expect_refusal(**inputs)
    assert "`service_monitor` names the API 'v1.monitoring.coreos.com', which does not exist." in output
    assert not rival.lab.kubectl("get", "namespace", "rival", check=False), "no namespace was created"
    with operator_crds(registry.lab):
        registry.up(**inputs)
        monitor = registry.lab.get("servicemonitor", "docker-registry", registry.name)["spec"]
        selector = ",".join("=".join(label) for label in monitor["selector"]["matchLabels"].items())
        select = ("get", "services", "--all-namespaces", "--selector", selector, "--output", "name")
        assert registry.lab.kubectl(*select).split() == ["service/docker-registry-metrics"]
        (port,) = registry.lab.get("service", "docker-registry-metrics", registry.name)["spec"]["ports"]
        assert monitor["endpoints"] == [{"path": "/metrics", "port": port["name"]}]


ACCEPTED_FINDINGS = {
    "CKV_K8S_11": "a CPU limit would throttle pushes on an idle node. A CPU request and a memory limit are set",
    "CKV_K8S_43": "the guide's image has a tag, and digests differ between platforms. Users may set a digest",
    "CKV_K8S_15": "tags of versions do not move, and a node with the image must start it without a network",
}
"""Findings of checkov that are accepted, with the reason."""

FINDINGS_OF_GUIDE = {
    "CKV_K8S_23": "the kubelet creates the guide's folder for root. Users may set `run_as_user`",
    "CKV_K8S_40": "the registry runs as root for the same reason",
}
"""Accepted findings of a registry whose images are in the guide's folder."""


def test_checkov_reports_only_explained_findings_for_the_guides_registry(lab: Lab) -> None:
    """Only the API server returns objects with all defaults, which checkov checks too."""
    objects = [item for kind in KINDS for item in lab.api.objects(kind, "docker-registry")]
    assert checkov.failed_checks(objects).keys() == ACCEPTED_FINDINGS.keys() | FINDINGS_OF_GUIDE.keys()


def test_checkov_reports_only_explained_findings_for_a_deployment_on_s3(
    registry: ExposedRegistry, rival: ExposedRegistry, s3: S3
) -> None:
    """Only the API server returns objects with all defaults, which checkov checks too."""
    keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key, "upstream_ca": s3.ca_pem}
    storage = {"storage": "s3", "s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, **keys}
    rival.up(**storage, workload="deployment", replicas=2, client_cidrs=["192.168.56.0/24"], metrics=True)
    assert checkov.failed_checks(rival.objects()).keys() == ACCEPTED_FINDINGS.keys()


@contextmanager
def load_balancer_controller(registry: ExposedRegistry, response: Mapping[str, str]) -> Iterator[None]:
    """Run a load balancer controller. It writes `response` to the status of Services of its class without a status."""
    stop = threading.Event()
    service_name = ("service", "docker-registry", "--namespace", registry.name)
    status = json.dumps({"status": {"loadBalancer": {"ingress": [response]}}})

    def serve() -> None:
        # The Service may be missing, because an `up` replaces it.
        while not stop.wait(0.3):
            for service in registry.lab.api.objects("service", registry.name):
                if service["spec"].get("loadBalancerClass") == BALANCER_CLASS and not service["status"]["loadBalancer"]:
                    patch = ("patch", *service_name, "--subresource=status", "--type=merge", "--patch", status)
                    registry.lab.kubectl(*patch, check=False)

    controller = threading.Thread(target=serve)
    controller.start()
    try:
        yield
    finally:
        stop.set()
        controller.join()


def run_pod(lab: Lab, pod: str, overrides: Object, *argv: str) -> None:
    """Run a command in a Pod of the namespace `default`, and wait until it succeeds."""
    overrides_flag = f"--overrides={json.dumps(overrides)}"
    lab.kubectl("run", pod, "--image=busybox:1.35", "--restart=Never", overrides_flag, "--", *argv)
    lab.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{pod}", "--timeout=20s")
    lab.kubectl("delete", "pod", pod)


def push_and_pull(registry: ExposedRegistry, image: str, *, pulls_without_login: bool = False) -> None:
    """Log in on the laptop, push busybox:1.35 as `image`, and pull it."""
    lab, host = registry.lab, image.partition("/")[0]
    run_docker(lab, "login", host, "--username", "centos", "--password-stdin", stdin=registry.outputs["password"])
    run_docker(lab, "tag", "busybox:1.35", image)
    run_docker(lab, "push", image)
    if pulls_without_login:
        run_docker(lab, "logout", host)
    run_docker(lab, "image", "rm", image)
    run_docker(lab, "pull", image)


def run_docker(lab: Lab, *arguments: str, stdin: str | None = None) -> None:
    done = lab.docker(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr


def send_slowly(registry: ExposedRegistry, layer: Path, location: str) -> int:
    """Send a layer in chunks at a limited rate, and return the status of the upload."""
    chunked = ("--request", "PATCH", "--header", "Transfer-Encoding: chunked", "--limit-rate", "32M")
    response = registry.curl(location, *chunked, "--upload-file", str(layer), address=ingress.ADDRESS)
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    url = f"{read_location(response)}&digest=sha256:{digest}"
    response = registry.curl(url, "--request", "PUT", address=ingress.ADDRESS)
    return int(response.split()[1])
