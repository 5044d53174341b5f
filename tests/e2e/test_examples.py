"""Deploy each example that is a Python program, and check the behaviour that its README describes.

Only a cluster shows that the objects of an example work together.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

import pytest

from dev.cluster.plan import LAPTOP, MASTER, SERVICES
from dev.environment import STATE
from tests.e2e import curl_image, dns, faults
from tests.e2e import s3 as s3_server
from tests.e2e.lab import ADDRESS, NAME, Lab, Project, eventually, is_ready
from tests.e2e.s3 import S3

pytestmark = pytest.mark.e2e

CreateProject = Callable[..., Project]

CURL_IMAGE = "curlimages/curl:8.16.0"
"""Name of the official image. The tests build an image with this name."""

LAYERS = 5
"""Number of random layers of a test image."""

LARGE_LAYER, SMALL_LAYER = 16 << 20, 16 << 10
"""Bytes of a layer whose push takes seconds, and of one whose push takes almost no time."""


@dataclass(frozen=True)
class Client:
    """The laptop's Docker engine, with the name and the CA of one registry."""

    lab: Lab
    endpoint: str

    @classmethod
    def create(cls, lab: Lab, address: str, endpoint: str, ca_pem: str) -> "Client":
        """Make the laptop trust the CA, and resolve the name of the endpoint to the address."""
        certificates = lab.cluster.path("laptop", f"/etc/docker/certs.d/{endpoint}")
        certificates.mkdir(parents=True, exist_ok=True)
        (certificates / "ca.crt").write_text(ca_pem)
        lab.cluster.set_hosts_entry("laptop", address, endpoint.partition(":")[0])
        return cls(lab, endpoint)

    def log_in(self, user: str, password: str) -> None:
        done = self.lab.docker("login", self.endpoint, "--username", user, "--password-stdin", stdin=password)
        assert done.returncode == 0, done.stderr

    def log_out(self) -> None:
        self.lab.docker("logout", self.endpoint)

    def push(self, local: str, tag: str) -> CompletedProcess[str]:
        """Push a local image as `tag`, and return the finished command, which may have failed."""
        self.lab.docker("tag", local, f"{self.endpoint}/{tag}")
        return self.lab.docker("push", f"{self.endpoint}/{tag}")

    def pull(self, tag: str) -> str:
        """Pull `tag` with all its layers, and return the digest."""
        pulled = self.lab.docker("pull", f"{self.endpoint}/{tag}")
        assert pulled.returncode == 0, pulled.stderr
        assert pulled.stdout.count("Pull complete") == LAYERS
        delete_image(self.lab, f"{self.endpoint}/{tag}")
        return pulled.stdout.partition("Digest: ")[2].split()[0]


def build_layered_image(lab: Lab, size: int) -> str:
    """Build an image with several random layers in the laptop's engine, and return its name."""
    context = STATE / NAME / "layers"
    context.mkdir(exist_ok=True)
    for layer in range(LAYERS):
        (context / str(layer)).write_bytes(os.urandom(size))
    steps = ["FROM busybox:1.35", *(f"COPY {layer} /{layer}" for layer in range(LAYERS))]
    (context / "Dockerfile").write_text("\n".join(steps))
    built = lab.docker("build", "--tag", "layers:1", str(context))
    assert built.returncode == 0, built.stderr
    return "layers:1"


def delete_image(lab: Lab, image: str) -> None:
    """Delete the image under all its names, so that the next pull downloads its layers."""
    image_id = lab.docker("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()
    assert lab.docker("image", "rm", "--force", image_id).returncode == 0


def find_pushed_digest(push: CompletedProcess[str]) -> str:
    """Return the digest that a successful push has printed."""
    assert push.returncode == 0, push.stderr
    return push.stdout.rpartition("digest: ")[2].split()[0]


@pytest.fixture
def service_dns(lab: Lab) -> Iterator[None]:
    """Run a DNS server for Pods, because a lab has no DNS server by default."""
    with dns.serve(lab.cluster, lab.environment):
        yield


def test_two_registries_run_side_by_side(lab: Lab, create_project: CreateProject) -> None:
    """Only a kubelet runs a Pod as another user, and only kube-proxy forwards to both registries."""
    images = lab.cluster.path("k8s-master", "/var/lib/blue-registry")
    images.mkdir(exist_ok=True)
    shutil.chown(images, 65532, 65532)
    project = create_project("two-registries")
    for team, outputs in project.up().items():
        ca_file = project.folder / f"{team}.pem"
        ca_file.write_text(outputs["ca_pem"])
        catalog = lab.environment.run(
            *["curl", "--silent", "--fail", "--cacert", str(ca_file), "--user", f"{team}:{outputs['password']}"],
            *["--connect-to", f"{outputs['endpoint']}:192.168.56.10:", f"https://{outputs['endpoint']}/v2/_catalog"],
        )
        assert catalog.stdout.strip() == '{"repositories":[]}'
    level = lab.get("namespace", "blue-registry")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted", "the blue registry runs as user 65532"
    user_id = lab.kubectl("exec", "--namespace", "blue-registry", "docker-registry", "--", "id", "-u")
    assert user_id.strip() == "65532"
    project.up("--expect-no-changes")


@pytest.mark.usefixtures("service_dns")
def test_a_platform_component_includes_the_registry_of_a_team(lab: Lab, create_project: CreateProject) -> None:
    """Only a Job in the cluster shows whether a team's Pod resolves the registry and logs in."""
    curl_image.load_image(lab.cluster, CURL_IMAGE)
    platform = create_project("embedded-in-a-platform-stack")
    platform.configure(curl_image=CURL_IMAGE)
    outputs = platform.up()
    assert outputs["endpoint"] == "docker-registry.payments-registry.svc:5000", "the Service's name"
    log = lab.kubectl("logs", "--namespace", outputs["apps"], "job/registry-login")
    assert log.splitlines()[-2:] == ['{"repositories":[]}', "200"], "after attempts at an address that is not yet known"
    platform.up("--expect-no-changes")
    pull_secret = lab.get("secret", "registry-pull", outputs["apps"])
    assert pull_secret["type"] == "kubernetes.io/dockerconfigjson"
    refusal = platform.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert "protect" in refusal
    assert lab.get("pod", "docker-registry", "payments-registry")["status"]["phase"] == "Running"
    platform.configure(curl_image=CURL_IMAGE, protect=False)
    platform.up()
    platform.pulumi("destroy", "--yes", "--skip-preview")
    assert "payments" not in lab.kubectl("get", "namespaces", "--output", "name")


def test_two_replicas_share_a_bucket_and_tolerate_the_loss_of_one(
    lab: Lab, create_project: CreateProject, s3: S3
) -> None:
    """Only real replicas and a real client show whether an image survives the loss of a replica."""
    project = create_project("s3-scale-out")
    keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
    storage = {"s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "upstream_ca": s3.ca_pem}
    project.configure(keys, **storage)
    outputs = project.up()
    assert set(replicas(lab).values()) == {"k8s-master", "k8s-worker"}
    assert lab.get("pdb", "docker-registry", "s3-registry")["status"]["disruptionsAllowed"] == 1
    client = client_outside(lab, outputs)
    client.log_in(outputs["username"], outputs["password"])
    digest = push_while_a_replica_is_lost(client, s3)
    assert client.pull("scaled/slow:1") == digest
    assert [*s3.folder.glob(f"docker/registry/v2/blobs/sha256/*/{digest.removeprefix('sha256:')}/data")]
    small_digest = find_pushed_digest(client.push(build_layered_image(lab, SMALL_LAYER), "scaled/quick:1"))
    delete_image(lab, "layers:1")
    before = replicas(lab)
    project.configure(keys, **storage, log_level="warn")
    with ThreadPoolExecutor() as pool:
        update = pool.submit(project.up)
        digests = pull_during(update, client, "scaled/quick:1")
    update.result()
    print(f"{len(digests)} pulls while the replicas were replaced")
    assert set(digests) == {small_digest}
    assert not set(before) & set(replicas(lab)), "both replicas are new"
    assert set(replicas(lab).values()) == {"k8s-master", "k8s-worker"}, "the replicas run on two nodes"
    project.up("--expect-no-changes")


def replicas(lab: Lab) -> dict[str, str]:
    """Return the nodes of the replicas that are not being deleted, by name of the Pod."""
    pods = [pod for pod in lab.api.objects("pods", "s3-registry") if "deletionTimestamp" not in pod["metadata"]]
    return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods}


def push_while_a_replica_is_lost(client: Client, s3: S3) -> str:
    """Push an image, kill a replica during the push, and return the digest.

    Meanwhile the store is frozen, so the push cannot end before. The Docker engine repeats single requests. If the push
    fails nevertheless, it is repeated once.
    """
    local = build_layered_image(client.lab, LARGE_LAYER)
    with ThreadPoolExecutor() as pool:
        push = pool.submit(client.push, local, "scaled/slow:1")
        eventually(30, "the push has started", lambda: any(s3.folder.rglob("_uploads/*/startedat")), pause=0.01)
        with s3_server.frozen(client.lab.cluster):
            kill_a_replica(client.lab)
            assert not push.done(), "the replica was lost during the push"
    done = push.result()
    retried_layers = {line.partition(":")[0] for line in done.stdout.splitlines() if "Retrying in" in line}
    print(f"push: exit code {done.returncode}, {len(retried_layers)} layers repeated, {done.stderr}")
    if done.returncode != 0:
        done = client.push(local, "scaled/slow:1")
    delete_image(client.lab, local)
    return find_pushed_digest(done)


def kill_a_replica(lab: Lab) -> None:
    """Kill the process of a replica, and delete its Pod without a grace period."""
    name = next(iter(replicas(lab)))
    faults.kill_container(lab, lab.get("pod", name, "s3-registry"))
    lab.kubectl("delete", "pod", name, "--namespace", "s3-registry", "--grace-period=0", "--force")


def pull_during(change: Future[Any], client: Client, tag: str) -> list[str]:
    """Pull until `change` ends, and return the digests."""
    digests = []
    while not change.done():
        digests.append(client.pull(tag))
    return digests


@pytest.mark.usefixtures("service_dns")
def test_a_mirror_serves_cached_images_without_its_upstream(lab: Lab, create_project: CreateProject) -> None:
    """Only a real registry caches images, and only a Docker engine uses a mirror of Docker Hub."""
    project = create_project("mirror")
    lab.cluster.load_haproxy()
    outputs = project.up()
    upstream, mirror = client_inside(lab, outputs["upstream"]), client_outside(lab, outputs["mirror"])
    upstream.log_in("ci", outputs["upstream"]["passwords"]["ci"])
    digest = find_pushed_digest(upstream.push(build_layered_image(lab, SMALL_LAYER), "team/app:1"))
    assert "unauthorized" in mirror.push("layers:1", "team/app:2").stderr, "clients without a login may only pull"
    mirror.log_in("centos", outputs["mirror"]["passwords"]["centos"])
    refused = mirror.push("layers:1", "team/app:2")
    mirror.log_out()
    upstream.push("layers:1", "library/layers:2")
    with registry_mirror(lab, mirror.endpoint):
        assert lab.docker("pull", "layers:2").returncode == 0, "the engine asks the mirror instead of Docker Hub"
    assert refused.returncode != 0
    assert "unsupported" in refused.stderr
    delete_image(lab, "layers:1")
    assert mirror.pull("team/app:1") == digest
    lab.kubectl("delete", "pod", "docker-registry", "--namespace", "upstream-registry")
    assert upstream.lab.docker("pull", f"{upstream.endpoint}/team/app:1").returncode != 0, "the upstream is down"
    assert mirror.pull("team/app:1") == digest
    lab.kubectl("exec", "docker-registry", "--namespace", "mirror-registry", "--", "kill", "1")
    eventually(
        30, "the mirror has restarted", lambda: is_ready_again(lab.get("pod", "docker-registry", "mirror-registry"))
    )
    assert mirror.pull("team/app:1") == digest, "a mirror starts without its upstream"
    project.up("--refresh")
    new_digest = find_pushed_digest(upstream.push(build_layered_image(lab, SMALL_LAYER), "team/app:1"))
    delete_image(lab, "layers:1")
    assert mirror.pull("team/app:1") == new_digest, "the mirror pulls a moved tag again"
    project.up("--expect-no-changes")


@contextmanager
def registry_mirror(lab: Lab, endpoint: str) -> Iterator[None]:
    """Have the laptop's Docker engine pull images of Docker Hub from a mirror until the block ends."""
    try:
        set_mirrors(lab, [f"https://{endpoint}/"])
        yield
    finally:
        set_mirrors(lab, [])
        lab.cluster.path("laptop", "/etc/docker/daemon.json").unlink()


def set_mirrors(lab: Lab, mirrors: list[str]) -> None:
    """Write these mirrors to the configuration of the Docker engine, and wait until the engine has read it."""

    def has_read_file() -> bool:
        return (json.loads(lab.docker("info", "--format", "{{json .RegistryConfig.Mirrors}}").stdout) or []) == mirrors

    lab.cluster.path("laptop", "/etc/docker/daemon.json").write_text(json.dumps({"registry-mirrors": mirrors}))
    pid, _ = lab.cluster.plan.record(LAPTOP, "dockerd").read_text().split()
    os.kill(int(pid), signal.SIGHUP)  # dockerd reads its configuration again
    eventually(10, "the engine has read its configuration", has_read_file)


def is_ready_again(pod: dict[str, Any]) -> bool:
    """Return whether the registry's container has restarted once, and the Pod is ready."""
    restarts = {status["name"]: status["restartCount"] for status in pod["status"]["containerStatuses"]}
    return is_ready(pod) and restarts["registry"] == 1


def client_outside(lab: Lab, registry: Mapping[str, Any]) -> Client:
    """Return a client of a registry that is exposed at ADDRESS. `registry` has its outputs."""
    return Client.create(lab, ADDRESS, registry["endpoint"], registry["ca_pem"])


def client_inside(lab: Lab, registry: Mapping[str, Any]) -> Client:
    """Return a client of a registry without an exposure. The laptop gets a route to Services through a node."""
    lab.cluster.run("laptop", ["ip", "route", "replace", SERVICES, "via", MASTER.address], check=True)
    address = lab.get("service", "docker-registry", registry["namespace"])["spec"]["clusterIP"]
    return Client.create(lab, address, registry["endpoint"], registry["ca_pem"])
