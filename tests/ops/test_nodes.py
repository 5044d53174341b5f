"""`ops verify --from-nodes`: the outcomes of pulls, and the objects that are created on the cluster."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from ops.errors import CheckError, ClusterError
from ops.stack import Outputs
from ops.verify import CheckResult, PullOnNodes, node_pulls, print_results, print_results_json, run_checks
from ops.verify.node_pulls import NodePull, pull_on_every_node
from ops.verify.pull_manifests import LABEL
from ops.verify.pull_outcome import FAILURES, diagnose_pull, read_outcome
from tests.ops import test_verify
from tests.ops.test_verify import PASSWORD, Registry

outputs, registry = test_verify.outputs, test_verify.registry

Object = dict[str, Any]

DIGEST = "sha256:401" + "0" * 61
REFERENCE = f"docker-registry:5000/ops-verify@{DIGEST}"
OUTPUTS = Outputs("docker-registry:5000", "", "centos", PASSWORD, "team")
HEAD = (
    f'Failed to pull image "{REFERENCE}": failed to pull and unpack image "{REFERENCE}": failed to resolve reference '
    f'"{REFERENCE}": failed to do request: Head "https://docker-registry:5000/v2/ops-verify/manifests/{DIGEST}": '
)
UNKNOWN_CA = HEAD + "tls: failed to verify certificate: x509: certificate signed by unknown authority"


def pod(**state: Object) -> Object:
    statuses = [{"name": "pull", "state": state}] if state else []
    return {"spec": {"nodeName": "k8s-worker"}, "status": {"phase": "Pending", "containerStatuses": statuses}}


def event(reason: str, message: str) -> Object:
    return {"reason": reason, "message": message}


@pytest.mark.parametrize(
    ("message", "duration"),
    [
        (f'Successfully pulled image "{REFERENCE}" in 412ms (412ms including waiting). Image size: 9 b.', "0.4 s"),
        (f'Successfully pulled image "{REFERENCE}" in 1m2.25s (1m3s including waiting)', "62.2 s"),
        (f'Successfully pulled image "{REFERENCE}" in 950µs (950µs including waiting)', "0.0 s"),
    ],
)
def test_a_pull_is_reported_with_the_duration_that_the_kubelet_measured(message: str, duration: str) -> None:
    later_failure = event("Failed", "Error: no command specified")
    assert read_outcome(pod(), [event("Pulled", message), later_failure]) == f"pulled in {duration}"


@pytest.mark.parametrize(
    "state",
    [
        {"waiting": {"reason": "CreateContainerError"}},
        {"waiting": {"reason": "RunContainerError"}},
        {"waiting": {"reason": "CrashLoopBackOff"}},
        {"terminated": {"reason": "StartError", "exitCode": 128}},
        {"running": {"startedAt": "2026-11-24T12:00:00Z"}},
    ],
)
def test_an_image_was_pulled_if_its_container_was_created(state: Object) -> None:
    assert read_outcome(pod(**state), []) == "pulled"


@pytest.mark.parametrize("state", [{}, {"waiting": {"reason": "ContainerCreating"}}])
def test_a_pull_in_progress_has_no_outcome(state: Object) -> None:
    assert read_outcome(pod(**state), [event("Pulling", f'Pulling image "{REFERENCE}"')]) is None


def test_the_event_has_the_cause_if_the_message_of_a_back_off_lacks_it() -> None:
    waiting = pod(waiting={"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{REFERENCE}"'})
    outcome = read_outcome(waiting, [event("Failed", UNKNOWN_CA), event("Failed", "Error: ErrImagePull")])
    assert isinstance(outcome, CheckError)
    assert "x509" in outcome.cause
    assert "node_trust" in outcome.remedy


def test_a_pod_that_the_node_rejects_is_a_failure() -> None:
    status = {"phase": "Failed", "reason": "OutOfpods", "message": "Node didn't have enough resource: pods"}
    outcome = read_outcome({"spec": {"nodeName": "k8s-worker"}, "status": status}, [])
    assert isinstance(outcome, CheckError)
    assert "OutOfpods: Node didn't have enough resource: pods" in outcome.cause
    assert "k8s-worker" in outcome.remedy


@pytest.mark.parametrize(
    ("message", "pattern", "remedy"),
    [
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "unknown", "node_trust"),
        ("dial tcp: lookup docker-registry on 10.0.0.2:53: no such host", "no such host", "node_trust"),
        ("dial tcp: lookup docker-registry on [::1]:53: read: connection refused", "no such host", "node_trust"),
        ("dial tcp: lookup docker-registry: Temporary failure in name resolution", "no such host", "DNS"),
        ("x509: certificate is valid for docker-registry, not 10.0.0.9", "is valid for", "certificate_names"),
        ("x509: certificate has expired or is not yet valid: current time …", "has expired", "`date`"),
        ("unexpected status from HEAD request to https://…: 401 Unauthorized", "401", "pull_secrets"),
        ("pull access denied, repository does not exist or may require authorization", "401", "pull_secrets"),
        ("dial tcp 10.0.0.9:5000: connect: connection refused", "connection refused", "hosts.toml"),
        ("dial tcp 10.0.0.9:5000: i/o timeout", "i/o timeout", "client_cidrs"),
        ("http: server gave HTTP response to HTTPS client", "HTTP response", "hosts.toml"),
        (f"{REFERENCE}: not found", "not found", "hosts.toml"),
    ],
)
def test_the_runtimes_error_has_a_cause_and_a_remedy(message: str, pattern: str, remedy: str) -> None:
    error = diagnose_pull(HEAD + message)
    expected = next(cause for listed, cause, _ in FAILURES if pattern in listed)
    assert error.cause == expected
    assert remedy in error.remedy


def test_an_unknown_error_of_the_runtime_is_quoted() -> None:
    error = diagnose_pull(HEAD + "disk quota exceeded")
    assert "disk quota exceeded" in error.cause
    assert REFERENCE not in error.cause


class Cluster:
    """A fake of the API server and the kubelets, with the methods of the client that a pull session calls.

    `states` has the state of the container by node. Nodes in `unready` are not ready. Objects of the kind `forbidden`
    are refused.
    """

    def __init__(self, states: dict[str, Object], unready: tuple[str, ...] = (), forbidden: str = "") -> None:
        self.states, self.unready, self.forbidden = states, unready, forbidden
        self.created: list[Object] = []
        self.objects: list[Object] = []
        self.resources = SimpleNamespace(get=lambda api_version, kind: kind)

    def create(self, kind: str, body: Object, namespace: str, **_: Any) -> None:
        if kind == self.forbidden:
            error = ApiException(status=403)
            error.body = json.dumps({"message": f"{kind} is forbidden: quota"})
            raise error
        assert namespace == body["metadata"]["namespace"] == "team"
        self.created.append(body)
        self.add(body, age=0)

    def add(self, body: Object, age: float) -> None:
        """Add an object that was created `age` seconds ago."""
        created = (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="seconds")
        self.objects.append({**body, "metadata": {**body["metadata"], "creationTimestamp": created}})

    def get(self, kind: str, namespace: str | None, **selectors: Any) -> SimpleNamespace:
        secrets = [item for item in self.objects if item["kind"] == "Secret"]
        items = {"Node": self._nodes(), "Pod": self._pods(), "Event": [], "Secret": secrets}[kind]
        return SimpleNamespace(to_dict=lambda: {"items": items})

    def delete(self, kind: str, namespace: str, label_selector: str, **_: Any) -> None:
        self.objects = [
            item
            for item in self.objects
            if item["kind"] != kind or f"{LABEL}={item['metadata']['labels'][LABEL]}" != label_selector
        ]

    def _nodes(self) -> list[Object]:
        ready = {name: "False" if name in self.unready else "True" for name in self.states}
        return [
            {
                "metadata": {"name": name},
                "status": {"conditions": [{"type": "Ready", "status": status, "message": "kubelet is gone"}]},
            }
            for name, status in ready.items()
        ]

    def _pods(self) -> list[Object]:
        pods = [item for item in self.objects if item["kind"] == "Pod"]
        return [
            {
                "metadata": {**pod["metadata"], "uid": pod["metadata"]["name"]},
                "spec": pod["spec"],
                "status": {"containerStatuses": [{"state": self.states[pod["spec"]["nodeName"]]}]},
            }
            for pod in pods
        ]


PULLED: Object = {"terminated": {"reason": "StartError"}}
PULLING: Object = {"waiting": {"reason": "ContainerCreating"}}
"""States of a container on a node, after and before its image was pulled."""


def pulls(api: Cluster) -> dict[str, NodePull]:
    client: Any = api
    return {pull.node: pull for pull in pull_on_every_node(client, OUTPUTS, REFERENCE)}


def test_every_node_pulls_and_all_objects_are_deleted() -> None:
    api = Cluster({"k8s-master": PULLED, "k8s-worker": {"waiting": {"reason": "ErrImagePull", "message": UNKNOWN_CA}}})
    outcomes = pulls(api)
    assert outcomes["k8s-master"].outcome == "pulled"
    assert isinstance(outcomes["k8s-worker"].outcome, CheckError)
    assert api.objects == []


def test_the_pod_runs_on_its_node_and_meets_pod_security_restricted() -> None:
    api = Cluster({"k8s-master": PULLED})
    pulls(api)
    secret, pod = api.created
    spec = pod["spec"]
    assert spec["nodeName"] == "k8s-master"
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["imagePullSecrets"] == [{"name": secret["metadata"]["name"]}]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["image"] == REFERENCE
    assert container["imagePullPolicy"] == "Always"
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert PASSWORD not in json.dumps(pod, ensure_ascii=False)
    assert list(json.loads(secret["stringData"][".dockerconfigjson"])["auths"]) == ["docker-registry:5000"]


def test_a_node_that_is_not_ready_has_another_cause_than_a_pull_that_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_pulls, "PULL_TIMEOUT", 0.05)
    monkeypatch.setattr(node_pulls, "POLL_INTERVAL", 0.01)
    api = Cluster({"one": PULLING, "two": PULLING}, unready=("two",))
    outcomes = {node: pull.outcome for node, pull in pulls(api).items()}
    assert isinstance(outcomes["one"], CheckError)
    assert "within 0 seconds" in outcomes["one"].cause
    assert isinstance(outcomes["two"], CheckError)
    assert "kubelet is gone" in outcomes["two"].cause
    assert api.objects == []


def test_a_refused_pod_fails_its_node_and_a_refused_secret_ends_the_session() -> None:
    api = Cluster({"one": PULLED}, forbidden="Pod")
    outcome = pulls(api)["one"].outcome
    assert isinstance(outcome, CheckError)
    assert "Pod is forbidden: quota" in outcome.cause
    assert api.objects == []
    with pytest.raises(ClusterError, match="Secret is forbidden: quota"):
        pulls(Cluster({"one": PULLED}, forbidden="Secret"))


def test_all_objects_are_deleted_if_the_caller_stops_early() -> None:
    client: Any = Cluster({"one": PULLED, "two": PULLED})
    session: Iterator[NodePull] = pull_on_every_node(client, OUTPUTS, REFERENCE)
    next(session)
    assert client.objects != []
    session.close()  # type: ignore[attr-defined]
    assert client.objects == []


def test_a_session_deletes_the_objects_of_a_killed_session_but_not_of_a_running_one() -> None:
    api = Cluster({"one": PULLED})
    for session, age in {"ops-verify-killed": 605, "ops-verify-running": 60}.items():
        api.add({"kind": "Secret", "metadata": {"name": session, "labels": {LABEL: session}}}, age)
    pulls(api)
    assert [item["metadata"]["name"] for item in api.objects] == ["ops-verify-running"]


def check(outputs: Outputs, registry: Registry, pull_on_nodes: PullOnNodes) -> list[CheckResult]:
    return list(run_checks(outputs, ("127.0.0.1", registry.port), pull_on_nodes))


def test_every_node_has_a_row_and_the_image_is_deleted_after_the_last_pull(
    outputs: Outputs, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.deletes = True
    references = []

    def pull(_: Outputs, reference: str) -> Iterator[tuple[str, str | CheckError, float]]:
        references.append(reference)
        yield "one", diagnose_pull(UNKNOWN_CA), 1.0
        yield "two", "pulled in 0.4 s", 1.5

    results = check(outputs, registry, pull)
    assert references[0].startswith("docker-registry:5000/ops-verify@sha256:")
    assert [(result.title, result.passed) for result in results[-3:]] == [
        ("pull on one", False),
        ("pull on two", True),
        ("clean-up", True),
    ]
    assert not print_results(iter(results), "")
    assert not print_results_json(iter(results), "")
    assert capsys.readouterr().out.count("node_trust") == 2, "It is once below the table and once in the JSON."


def test_an_error_before_the_first_pull_has_a_row(outputs: Outputs, registry: Registry) -> None:
    def refuse(_: Outputs, reference: str) -> Iterator[tuple[str, str | CheckError, float]]:
        raise ClusterError("Secret is forbidden; quota: used up.", "Check KUBECONFIG.")

    results = check(outputs, registry, refuse)
    assert results[-2].title == "pull on every node"
    assert results[-2].summary == "Secret is forbidden; quota: used up.", "The whole message is the cause."
    assert results[-2].remedy == "Check KUBECONFIG."
    assert results[-1].title == "clean-up"


def test_no_node_pulls_if_nothing_was_pushed(outputs: Outputs, registry: Registry) -> None:
    registry.full = True
    results = check(outputs, registry, lambda *_: pytest.fail("A node pulled."))
    assert results[-1].title == "push"
