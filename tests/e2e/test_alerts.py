"""Alerts on a cluster: make each cause, see a real Prometheus fire the alert, mend it, and see the alert resolve.

Only a real registry, kubelet, kube-state-metrics and Prometheus show that the metrics of the rules exist.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import pytest

from registry.maintenance.job.layout import data_path
from registry.monitoring.alerts import RESTARTS
from tests.e2e import prometheus as prometheus_server
from tests.e2e import s3 as s3_server
from tests.e2e.faults import (
    fill_disk,
    kill_container,
    quick_jobs,
    remove_ballast,
    run_on_node,
    serve_certificate_of_another_ca,
    small_disk,
    unfinished_manifests,
    use_inodes,
)
from tests.e2e.kube_api import Object
from tests.e2e.lab import ADDRESS, NAMESPACE, Lab, Registry, eventually
from tests.e2e.prometheus import Prometheus, load_rules, operator_crds
from tests.e2e.s3 import S3
from tests.issuing import CertificateSpec, issue, server_spec

pytestmark = [pytest.mark.e2e, pytest.mark.together]

NAME, STORED = "watched", "watched-in-s3"
NAMESPACES = (NAME, STORED)

FOLDER = f"/var/lib/{NAME}"

SIZE, INODES = "40m", 1000
"""Size of the disk, and its number of inodes."""

NIGHTLY = {"schedule": "30 2 * * *"}

MONITORING: dict[str, Any] = {"metrics": True, "service_monitor": True, "alerts": True, "dashboard": True}

SETTINGS: dict[str, Any] = {
    **{"namespace": NAME, "create_namespace": False},
    **{"port": 5067, "exposure": "external-ips", "external_ips": [ADDRESS]},
    **{"storage": "host-path", "storage_path": FOLDER, "workload": "deployment"},
    **{"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}},
    **{"collect": NIGHTLY, "scrub": {**NIGHTLY, "heal": True}, **MONITORING},
}

ENDING = "ending-tls"
"""Name of the Secret with the first certificate. It ends within two days, and so does its CA."""

KEPT = ("kept/image", "a layer that stays")

FAILED_PUSHES = 12
"""Pushes to a full disk. Five that fail are enough for the alert."""

LATE = {"ended": 1, "succeeded": 1, "failed": False, "seconds": 1, "bytes_freed": 0, "damaged": 0}
"""Result of a collection of 1970."""


@dataclass
class Watched:
    """A registry on a small disk, and the Prometheus that watches it. `registry` has the outputs of the last `up`."""

    registry: Registry
    prometheus: Prometheus
    deploy: Callable[..., Registry]

    @property
    def lab(self) -> Lab:
        return self.registry.project.lab


class Cause(NamedTuple):
    """A cause until the block ends, and the alerts that fire meanwhile."""

    make: Callable[[Watched], AbstractContextManager[None]]
    alerts: tuple[str, ...]


@pytest.fixture(scope="module")
def watched(lab: Lab, deploy_for_module: Callable[..., Registry]) -> Iterator[Watched]:
    """Yield a registry whose certificate and CA will soon end."""
    with (
        operator_crds(lab),
        small_disk(lab, FOLDER, SIZE, INODES),
        prometheus_server.serve(lab, NAMESPACES) as prometheus,
    ):
        create_ending_secret(lab)
        registry = deploy_for_module(NAME, **SETTINGS, tls_secret=ENDING)
        load_rules(lab, prometheus, [NAME])
        registry.push(*KEPT)
        yield Watched(registry, prometheus, deploy_for_module)
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        lab.kubectl("delete", "namespace", NAME, "--wait=false")


def create_ending_secret(lab: Lab) -> None:
    """Create the namespace, and in it a TLS Secret that an own CA has issued."""
    ca = issue(CertificateSpec("Ending CA", days=3))
    pair = issue(server_spec(NAMESPACE, days=3), ca)
    data = {"tls.crt": pair.pem + ca.pem, "tls.key": pair.key_pem}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": ENDING}, "type": "kubernetes.io/tls"}
    lab.kubectl("create", "namespace", NAME)
    apply = ("kubectl", "--namespace", NAME, "apply", "--filename=-")
    lab.environment.run(*apply, stdin=json.dumps(secret | {"stringData": data}))


@contextmanager
def ending_certificate(watched: Watched) -> Iterator[None]:
    """End the fault of the fixture by a generated certificate."""
    yield
    watched.registry = watched.deploy(NAME, **SETTINGS)
    load_rules(watched.lab, watched.prometheus, [NAME])


@contextmanager
def certificate_of_another_ca(watched: Watched) -> Iterator[None]:
    serve_certificate_of_another_ca(watched.lab, NAME)
    yield
    watched.registry.project.up("--refresh")


@contextmanager
def stopped(watched: Watched, deployment: str) -> Iterator[None]:
    scale = ("--namespace", NAME, "scale", f"deployment/{deployment}")
    watched.lab.kubectl(*scale, "--replicas=0")
    yield
    watched.lab.kubectl(*scale, "--replicas=1")
    watched.lab.kubectl("--namespace", NAME, "rollout", "status", f"deployment/{deployment}")
    watched.lab.wait_for_kube_proxies()


def stopped_registry(watched: Watched) -> AbstractContextManager[None]:
    return stopped(watched, "docker-registry")


def stopped_exporter(watched: Watched) -> AbstractContextManager[None]:
    return stopped(watched, "docker-registry-exporter")


@contextmanager
def full_disk(watched: Watched) -> Iterator[None]:
    """Fill the disk, and let pushes fail."""
    fill_disk(watched.lab, FOLDER)
    for _ in range(FAILED_PUSHES):
        assert watched.registry.status(f"/v2/{KEPT[0]}/blobs/uploads/", "--request", "POST", "--data", "") >= 500
        time.sleep(0.2)
    yield
    remove_ballast(watched.lab, FOLDER)


@contextmanager
def no_inodes(watched: Watched) -> Iterator[None]:
    use_inodes(watched.lab, FOLDER)
    yield
    remove_ballast(watched.lab, FOLDER)


@contextmanager
def damage(watched: Watched) -> Iterator[None]:
    """Damage a blob, which a scrub moves aside and the next push sends again."""
    digest = watched.registry.push(*KEPT)
    run_on_node(watched.lab, f"printf x >> {FOLDER}/{data_path(digest)}")
    assert watched.registry.ops("scrub", "--all", connects=False).returncode == 1
    yield
    watched.registry.push(*KEPT)
    done = watched.registry.ops("scrub", connects=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def failed_and_late_job(watched: Watched) -> Iterator[None]:
    """Let a collection fail, whose last success was long ago: a folder has the place of a file that it writes."""
    state, clock = f"{FOLDER}/private-registry/state", f"{FOLDER}/private-registry/clock"
    run_on_node(watched.lab, f"mkdir -p {state}; echo '{json.dumps(LATE)}' > {state}/collect.json")
    run_on_node(watched.lab, f"rm -f {clock}; mkdir {clock}")
    run_once(watched.lab)
    yield
    run_on_node(watched.lab, f"rmdir {clock}")
    with quick_jobs(watched.lab, NAME):
        done = watched.registry.ops("collect", connects=False)
    assert done.returncode == 0, done.stdout + done.stderr


def run_once(lab: Lab) -> None:
    """Run a collection with one attempt, and wait until it fails."""
    template = lab.get("cronjob", "docker-registry-collect", NAME)["spec"]["jobTemplate"]
    spec = {**template["spec"], "backoffLimit": 0}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": spec}
    lab.environment.run("kubectl", "--namespace", NAME, "apply", "--filename=-", stdin=json.dumps(job))
    eventually(60, "the job fails", lambda: lab.get("job", "once", NAME)["status"].get("failed"))
    lab.kubectl("--namespace", NAME, "delete", "job", "once", "--wait=false")


@contextmanager
def out_of_memory(watched: Watched) -> Iterator[None]:
    with unfinished_manifests(watched.registry):
        eventually(60, "the container is started again", lambda: restarts(watched.lab) > 0)
    yield
    watched.lab.kubectl("--namespace", NAME, "rollout", "status", "deployment/docker-registry")


@contextmanager
def crash_loop(watched: Watched) -> Iterator[None]:
    """Kill the registry each time that it runs, until it has been started once more than without an alert."""
    wanted = restarts(watched.lab) + RESTARTS + 1

    def kill() -> bool:
        for pod in registry_pods(watched.lab):
            if all("running" in status["state"] for status in pod["status"]["containerStatuses"]):
                with suppress(CalledProcessError):  # the API server may not know yet that it has ended
                    kill_container(watched.lab, pod)
        return restarts(watched.lab) >= wanted

    eventually(90, "the container is started again and again", kill)
    yield
    watched.lab.kubectl("--namespace", NAME, "rollout", "status", "deployment/docker-registry")


def restarts(lab: Lab) -> int:
    pods = registry_pods(lab)
    return sum(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", []))


def registry_pods(lab: Lab) -> list[Object]:
    return lab.api.objects("pods", NAME, labels="app.kubernetes.io/name=docker-registry")


CAUSES = {
    "certificate": Cause(
        ending_certificate, ("RegistryCertificateExpires", "RegistryCertificateExpiresSoon", "RegistryCaExpires")
    ),
    "another CA": Cause(certificate_of_another_ca, ("RegistryCertificateUntrusted",)),
    "Pod": Cause(stopped_registry, ("RegistryDown",)),
    "exporter": Cause(stopped_exporter, ("RegistryExporterDown",)),
    "disk": Cause(full_disk, ("RegistryDiskFull", "RegistryDiskLow", "RegistryDiskFillUp", "RegistryErrors")),
    "inodes": Cause(no_inodes, ("RegistryInodesFull", "RegistryInodesLow", "RegistryInodesFillUp")),
    "damage": Cause(damage, ("RegistryDamaged",)),
    "job": Cause(failed_and_late_job, ("RegistryJobFailed", "RegistryJobLate")),
    "memory": Cause(out_of_memory, ("RegistryOutOfMemory",)),
    "restarts": Cause(crash_loop, ("RegistryRestarts",)),
}
"""Causes by name. The first one ends the fault that the fixture has made."""

STORE_ALERTS = ("RegistryStorageDown", "RegistryDown")
"""Alerts of a stopped object store."""


class Observer:
    """The alerts that have fired since its creation, with their annotations."""

    def __init__(self, prometheus: Prometheus, namespace: str) -> None:
        self._prometheus = prometheus
        self._namespace = namespace
        self.seen: dict[str, dict[str, str]] = {}

    def look(self) -> set[str]:
        """Return the alerts that fire now."""
        now = {
            name: alert["annotations"]
            for name, alerts in self._prometheus.firing().items()
            for alert in alerts
            if alert["labels"]["namespace"] == self._namespace
        }
        self.seen |= now
        return {*now}

    def has_seen(self, alerts: tuple[str, ...]) -> bool:
        self.look()
        return self.seen.keys() >= {*alerts}


def assert_told_and_resolved(
    observer: Observer, cause: AbstractContextManager[None], alerts: tuple[str, ...], figures: Callable[[str], None]
) -> None:
    """Check that the alerts fire with a value and a remedy, and that no alert fires after the block of the cause."""
    start = time.monotonic()
    with ThreadPoolExecutor(1) as executor:
        # An alert that looks at a range may end before the cause is complete.
        watching = executor.submit(eventually, 90, f"{alerts} fire", lambda: observer.has_seen(alerts))
        with cause:
            watching.result()
            fired = time.monotonic()
    mended = time.monotonic()
    eventually(60, "no alert fires", lambda: not observer.look())
    seconds = (fired - start, mended - fired, time.monotonic() - mended)
    figures("{}: fired after {:.0f} s, mended in {:.0f} s, resolved after {:.0f} s".format(", ".join(alerts), *seconds))
    for name in alerts:
        annotations = observer.seen[name]
        text = " ".join(annotations.values())
        assert "python -m ops" in annotations["runbook"]
        assert not any(mark in text for mark in ("<error", "%!", "{{", "NaN", "<no value>")), text


@pytest.mark.parametrize("name", CAUSES)
def test_an_alert_fires_and_resolves(watched: Watched, name: str, figures: Callable[[str], None]) -> None:
    cause = CAUSES[name]
    assert_told_and_resolved(Observer(watched.prometheus, NAME), cause.make(watched), cause.alerts, figures)


def test_every_alert_has_a_cause_here(watched: Watched) -> None:
    (rules,) = watched.lab.api.objects("prometheusrules", NAME)
    names = {rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"]}
    assert names <= {name for cause in CAUSES.values() for name in cause.alerts} | {*STORE_ALERTS}


def test_every_query_of_the_dashboard_returns_data(watched: Watched) -> None:
    board = watched.lab.get("configmap", "docker-registry-dashboard", NAME)
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    (content,) = board["data"].values()
    queries = {
        target["expr"].replace("$__rate_interval", "1m"): panel["title"]
        for panel in json.loads(content)["panels"]
        for target in panel["targets"]
    }
    empty = [title for query, title in queries.items() if not watched.prometheus.query(query)]
    assert empty == []
    assert len(queries) > 25


def test_the_exporter_runs_under_the_strictest_level(watched: Watched) -> None:
    """The namespace of a folder of root enforces only `baseline`, so ask the API server about `restricted`."""
    (pod,) = watched.lab.api.objects("pods", NAME, labels="app.kubernetes.io/name=docker-registry-exporter")
    review = {
        **{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "copy", "namespace": "strict"}},
        "spec": {key: pod["spec"][key] for key in ("containers", "securityContext", "volumes")},
    }
    level = "pod-security.kubernetes.io/enforce=restricted"
    watched.lab.kubectl("create", "namespace", "strict")
    try:
        watched.lab.kubectl("label", "namespace", "strict", level)
        create = ("kubectl", "create", "--dry-run=server", "--filename=-")
        watched.lab.environment.run(*create, stdin=json.dumps(review))
    finally:
        watched.lab.kubectl("delete", "namespace", "strict", "--wait=false")


def test_a_bucket_that_does_not_answer_is_an_alert(watched: Watched, s3: S3, figures: Callable[[str], None]) -> None:
    inputs = {"storage": "s3", "s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "s3_prefix": STORED}
    inputs |= {"s3_access_key": s3.access_key, "upstream_ca": s3.ca_pem, "workload": "deployment"}
    settings = {"namespace": STORED, "port": 5068, "exposure": "external-ips", "external_ips": [ADDRESS], **inputs}
    registry = watched.deploy(STORED, {"s3_secret_key": s3.secret_key}, **settings, **MONITORING)
    load_rules(watched.lab, watched.prometheus, NAMESPACES)
    observer = Observer(watched.prometheus, STORED)

    @contextmanager
    def stopped_store() -> Iterator[None]:
        s3_server.stop(watched.lab.cluster)
        try:
            yield
        finally:
            s3_server.start(watched.lab.cluster, s3)

    eventually(60, "no alert fires", lambda: not observer.look())
    assert_told_and_resolved(observer, stopped_store(), STORE_ALERTS, figures)
    registry.project.pulumi("destroy", "--yes", "--skip-preview")
