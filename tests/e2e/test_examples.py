"""Every example that is a Python program of its own does on the lab what its README says."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

import pytest

from dev.cluster.plan import MASTER, SERVICES
from dev.environment import STATE
from tests.e2e import curl, dns
from tests.e2e.lab import ADDRESS, NAME, Lab, Project, eventually
from tests.e2e.s3 import S3

pytestmark = pytest.mark.e2e

Make = Callable[..., Project]

CURL = "curlimages/curl:8.16.0"

LAYERS = 5
SLOW, QUICK = 16 << 20, 16 << 10
"""Bytes of a layer of an image whose push takes seconds, and of one that takes none."""


@dataclass(frozen=True)
class Client:
    """The laptop's Docker engine, which knows one more registry by its name and its CA."""

    lab: Lab
    endpoint: str

    @classmethod
    def of(cls, lab: Lab, address: str, endpoint: str, ca_pem: str) -> "Client":
        certificates = lab.cluster.path("laptop", f"/etc/docker/certs.d/{endpoint}")
        certificates.mkdir(parents=True, exist_ok=True)
        (certificates / "ca.crt").write_text(ca_pem)
        lab.cluster.set_hosts_entry("laptop", address, endpoint.partition(":")[0])
        return cls(lab, endpoint)

    def log_in(self, user: str, password: str) -> None:
        done = self.lab.docker("login", self.endpoint, "--username", user, "--password-stdin", stdin=password)
        assert done.returncode == 0, done.stderr

    def push(self, local: str, tag: str) -> CompletedProcess[str]:
        self.lab.docker("tag", local, f"{self.endpoint}/{tag}")
        return self.lab.docker("push", f"{self.endpoint}/{tag}")

    def pull(self, tag: str) -> str:
        """Pull `tag`, layers and all; the digest that came."""
        pulled = self.lab.docker("pull", f"{self.endpoint}/{tag}")
        assert pulled.returncode == 0, pulled.stderr
        assert pulled.stdout.count("Pull complete") == LAYERS
        forget(self.lab, f"{self.endpoint}/{tag}")
        return pulled.stdout.partition("Digest: ")[2].split()[0]


def layered(lab: Lab, size: int) -> str:
    """An image of several layers that do not compress, in the laptop's engine."""
    context = STATE / NAME / "layers"
    context.mkdir(exist_ok=True)
    for layer in range(LAYERS):
        (context / str(layer)).write_bytes(os.urandom(size))
    steps = ["FROM busybox:1.35", *(f"COPY {layer} /{layer}" for layer in range(LAYERS))]
    (context / "Dockerfile").write_text("\n".join(steps))
    built = lab.docker("build", "--tag", "layers:1", str(context))
    assert built.returncode == 0, built.stderr
    return "layers:1"


def forget(lab: Lab, image: str) -> None:
    """Under all its names, so that the next pull of any of them is one."""
    identity = lab.docker("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()
    assert lab.docker("image", "rm", "--force", identity).returncode == 0


def digest_of(push: CompletedProcess[str]) -> str:
    assert push.returncode == 0, push.stderr
    return push.stdout.rpartition("digest: ")[2].split()[0]


@pytest.fixture
def resolved(lab: Lab) -> Iterator[None]:
    """Pods find Services by name, as in every cluster but the lab."""
    with dns.serve(lab.cluster, lab.place):
        yield


def test_two_registries_live_side_by_side(lab: Lab, project: Make) -> None:
    blue = lab.cluster.path("k8s-master", "/var/lib/blue-registry")
    blue.mkdir(exist_ok=True)
    shutil.chown(blue, 65532, 65532)
    two = project("two-registries")
    for team, outputs in two.up().items():
        ca = two.folder / f"{team}.pem"
        ca.write_text(outputs["ca_pem"])
        catalog = lab.place.run(
            *["curl", "--silent", "--fail", "--cacert", str(ca), "--user", f"{team}:{outputs['password']}"],
            *["--connect-to", f"{outputs['endpoint']}:192.168.56.10:", f"https://{outputs['endpoint']}/v2/_catalog"],
        )
        assert catalog.stdout.strip() == '{"repositories":[]}'
    level = lab.get("namespace", "blue-registry")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted", "it runs as 65532"
    status = lab.kubectl("exec", "--namespace", "blue-registry", "docker-registry", "--", "id", "-u")
    assert status.strip() == "65532"
    two.up("--expect-no-changes")


@pytest.mark.usefixtures("resolved")
def test_a_team_gets_a_registry_as_a_part_of_its_platforms_component(lab: Lab, project: Make) -> None:
    curl.load(lab.cluster, CURL)
    platform = project("embedded-in-a-platform-stack")
    platform.configure(curl_image=CURL)
    outputs = platform.up()
    assert outputs["endpoint"] == "docker-registry.payments-registry.svc:5000", "the name of the Service"
    said = lab.kubectl("logs", "--namespace", outputs["apps"], "job/registry-login")
    assert said.split() == ['{"repositories":[]}', "200"]
    platform.up("--expect-no-changes")
    pull = lab.get("secret", "registry-pull", outputs["apps"])
    assert pull["type"] == "kubernetes.io/dockerconfigjson"
    refused = platform.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert "protect" in refused
    assert lab.get("pod", "docker-registry", "payments-registry")["status"]["phase"] == "Running"
    platform.configure(curl_image=CURL, protect=False)
    platform.up()
    platform.pulumi("destroy", "--yes", "--skip-preview")
    assert "payments" not in lab.kubectl("get", "namespaces", "--output", "name")


def test_two_replicas_share_a_bucket_and_either_may_go(lab: Lab, project: Make, s3: S3) -> None:
    scaled = project("s3-scale-out")
    keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
    store = {"s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "upstream_ca": s3.ca_pem}
    scaled.configure(keys, **store)
    outputs = scaled.up()
    assert set(replicas(lab).values()) == {"k8s-master", "k8s-worker"}
    assert lab.get("pdb", "docker-registry", "s3-registry")["status"]["disruptionsAllowed"] == 1
    client = outside(lab, outputs)
    client.log_in(outputs["username"], outputs["password"])
    digest = pushed_in_spite_of_a_lost_replica(client, s3)
    assert client.pull("scaled/slow:1") == digest
    assert [*s3.folder.glob(f"docker/registry/v2/blobs/sha256/*/{digest.removeprefix('sha256:')}/data")]
    quick = digest_of(client.push(layered(lab, QUICK), "scaled/quick:1"))
    forget(lab, "layers:1")
    before = replicas(lab)
    scaled.configure(keys, **store, log_level="warn")
    with ThreadPoolExecutor() as pool:
        rolled = pool.submit(scaled.up)
        pulls = pulls_during(rolled, client, "scaled/quick:1")
    rolled.result()
    print(f"{len(pulls)} pulls while the replicas were replaced")
    assert set(pulls) == {quick}
    assert not set(before) & set(replicas(lab)), "both are new"
    assert set(replicas(lab).values()) == {"k8s-master", "k8s-worker"}, "and on two nodes again"
    scaled.up("--expect-no-changes")


def replicas(lab: Lab) -> dict[str, str]:
    """The node of each that stays, by its name."""
    staying = [each for each in lab.api.objects("pods", "s3-registry") if "deletionTimestamp" not in each["metadata"]]
    return {each["metadata"]["name"]: each["spec"]["nodeName"] for each in staying}


def pushed_in_spite_of_a_lost_replica(client: Client, s3: S3) -> str:
    """The digest. The engine tries again by itself; a push that ends in an error may be typed once more."""
    local = layered(client.lab, SLOW)
    with ThreadPoolExecutor() as pool:
        push = pool.submit(client.push, local, "scaled/slow:1")
        eventually(30, "the push has begun", lambda: any(s3.folder.rglob("_uploads/*/startedat")))
        lose_a_replica(client.lab)
        assert not push.done(), "it was lost during the push"
    done = push.result()
    again = {line.partition(":")[0] for line in done.stdout.splitlines() if "Retrying in" in line}
    print(f"push: exit code {done.returncode}, {len(again)} layers tried again, {done.stderr}")
    if done.returncode != 0:
        done = client.push(local, "scaled/slow:1")
    forget(client.lab, local)
    return digest_of(done)


def lose_a_replica(lab: Lab) -> None:
    """Its process dies in the midst of what it does; the Pod is gone too, before anybody was told that it would be."""
    name, node = next(iter(replicas(lab).items()))
    (container,) = lab.get("pod", name, "s3-registry")["status"]["containerStatuses"]
    task = container["containerID"].removeprefix("containerd://")
    lab.cluster.run(node, ["ctr", "--namespace=k8s.io", "task", "kill", "--signal", "SIGKILL", task], check=True)
    lab.kubectl("delete", "pod", name, "--namespace", "s3-registry", "--grace-period=0", "--force")


def pulls_during(change: Future[Any], client: Client, tag: str) -> list[str]:
    """Pull until `change` is over; the digests that came."""
    pulled = []
    while not change.done():
        pulled.append(client.pull(tag))
    return pulled


@pytest.mark.usefixtures("resolved")
def test_a_mirror_serves_what_it_has_seen_when_its_upstream_is_gone(lab: Lab, project: Make) -> None:
    both = project("mirror")
    outputs = both.up()
    upstream, mirror = inside(lab, outputs["upstream"]), outside(lab, outputs["mirror"])
    upstream.log_in("ci", outputs["upstream"]["passwords"]["ci"])
    mirror.log_in("centos", outputs["mirror"]["passwords"]["centos"])
    digest = digest_of(upstream.push(layered(lab, QUICK), "team/app:1"))
    refused = mirror.push("layers:1", "team/app:2")
    assert refused.returncode != 0
    assert "unsupported" in refused.stderr
    forget(lab, "layers:1")
    assert mirror.pull("team/app:1") == digest
    lab.kubectl("delete", "pod", "docker-registry", "--namespace", "upstream-registry")
    assert upstream.lab.docker("pull", f"{upstream.endpoint}/team/app:1").returncode != 0, "it is gone"
    assert mirror.pull("team/app:1") == digest
    both.up("--refresh")
    anew = digest_of(upstream.push(layered(lab, QUICK), "team/app:1"))
    forget(lab, "layers:1")
    assert mirror.pull("team/app:1") == anew, "a tag that moved is noticed"
    both.up("--expect-no-changes")


def outside(lab: Lab, registry: Mapping[str, Any]) -> Client:
    return Client.of(lab, ADDRESS, registry["endpoint"], registry["ca_pem"])


def inside(lab: Lab, registry: Mapping[str, Any]) -> Client:
    """A client inside the cluster: the laptop, as soon as a node leads it to the addresses of Services."""
    lab.cluster.run("laptop", ["ip", "route", "replace", SERVICES, "via", MASTER.address], check=True)
    address = lab.get("service", "docker-registry", registry["namespace"])["spec"]["clusterIP"]
    return Client.of(lab, address, registry["endpoint"], registry["ca_pem"])
