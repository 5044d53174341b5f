"""`ops verify --from-nodes`: what a kubelet says of a pull, and what is made on the cluster for one."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from ops import nodes
from ops.causes import Fault
from ops.nodes import Pull, pull_on_every_node
from ops.pulls import cause_of, outcome
from ops.stack import Outputs, Refusal
from ops.verify import Check, Pulls, show, show_json
from ops.visitors import LABEL
from tests import test_verify
from tests.test_verify import PASSWORD, Registry

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
    ("message", "seen"),
    [
        (f'Successfully pulled image "{REFERENCE}" in 412ms (412ms including waiting). Image size: 9 b.', "0.4 s"),
        (f'Successfully pulled image "{REFERENCE}" in 1m2.25s (1m3s including waiting)', "62.2 s"),
        (f'Successfully pulled image "{REFERENCE}" in 950µs (950µs including waiting)', "0.0 s"),
    ],
)
def test_a_pull_is_told_with_the_time_that_the_kubelet_tells(message: str, seen: str) -> None:
    failed_afterwards = event("Failed", "Error: no command specified")
    assert outcome(pod(), [event("Pulled", message), failed_afterwards]) == f"pulled in {seen}"


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
def test_an_image_that_is_there_was_pulled_whatever_became_of_its_container(state: Object) -> None:
    assert outcome(pod(**state), []) == "pulled"


@pytest.mark.parametrize("state", [{}, {"waiting": {"reason": "ContainerCreating"}}])
def test_what_is_open_is_waited_for(state: Object) -> None:
    assert outcome(pod(**state), [event("Pulling", f'Pulling image "{REFERENCE}"')]) is None


def test_the_cause_stands_in_the_event_where_the_container_only_backs_off() -> None:
    waiting = pod(waiting={"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{REFERENCE}"'})
    found = outcome(waiting, [event("Failed", UNKNOWN_CA), event("Failed", "Error: ErrImagePull")])
    assert isinstance(found, Fault)
    assert found.cause == "x509: the node does not trust the registry's CA"
    assert "node_trust" in found.remedy


def test_a_pod_that_the_node_refuses_is_not_waited_for() -> None:
    status = {"phase": "Failed", "reason": "OutOfpods", "message": "Node didn't have enough resource: pods"}
    found = outcome({"spec": {"nodeName": "k8s-worker"}, "status": status}, [])
    assert isinstance(found, Fault)
    assert found.cause == "the node takes no Pod: OutOfpods: Node didn't have enough resource: pods"


@pytest.mark.parametrize(
    ("said", "cause", "remedy"),
    [
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "x509", "node_trust"),
        ("dial tcp: lookup docker-registry on 10.0.0.2:53: no such host", "no such host", "node_trust"),
        ("dial tcp: lookup docker-registry on [::1]:53: read: connection refused", "no such host", "node_trust"),
        ("dial tcp: lookup docker-registry: Temporary failure in name resolution", "no such host", "DNS"),
        ("x509: certificate is valid for docker-registry, not 10.0.0.9", "x509: the certificate is not", "names"),
        ("x509: certificate has expired or is not yet valid: current time …", "x509: the certificate is out", "date"),
        ("unexpected status from HEAD request to https://…: 401 Unauthorized", "401", "pull_secrets"),
        ("pull access denied, repository does not exist or may require authorization", "401", "pull_secrets"),
        ("dial tcp 10.0.0.9:5000: connect: connection refused", "connection refused", "hosts.toml"),
        ("dial tcp 10.0.0.9:5000: i/o timeout", "no answer", "client_cidrs"),
        ("http: server gave HTTP response to HTTPS client", "no TLS", "hosts.toml"),
        (f"{REFERENCE}: not found", "not found: another registry", "hosts.toml"),
        ("disk quota exceeded", "not pulled: disk quota exceeded", "log of the node's container runtime"),
    ],
)
def test_what_the_runtime_says_is_put_as_cause_and_remedy(said: str, cause: str, remedy: str) -> None:
    fault = cause_of(HEAD + said)
    assert fault.cause.startswith(cause)
    assert remedy in fault.remedy


class Cluster:
    """As much of an API server, and of its kubelets, as a visit needs."""

    def __init__(self, states: dict[str, Object], unready: tuple[str, ...] = (), forbidden: str = "") -> None:
        self.states, self.unready, self.forbidden = states, unready, forbidden
        self.made: list[Object] = []
        self.kept: list[Object] = []
        self.resources = SimpleNamespace(get=lambda api_version, kind: kind)

    def create(self, kind: str, body: Object, namespace: str, **_: Any) -> None:
        if kind == self.forbidden:
            refusal = ApiException(status=403)
            refusal.body = json.dumps({"message": f"{kind} is forbidden: quota"})
            raise refusal
        assert namespace == body["metadata"]["namespace"] == "team"
        self.made.append(body)
        self.keep(body, age=0)

    def keep(self, body: Object, age: float) -> None:
        """As if it had been made that many seconds ago."""
        created = (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="seconds")
        self.kept.append({**body, "metadata": {**body["metadata"], "creationTimestamp": created}})

    def get(self, kind: str, namespace: str | None, **selectors: Any) -> SimpleNamespace:
        kept = [each for each in self.kept if each["kind"] == "Secret"]
        items = {"Node": self._nodes(), "Pod": self._pods(), "Event": [], "Secret": kept}[kind]
        return SimpleNamespace(to_dict=lambda: {"items": items})

    def delete(self, kind: str, namespace: str, label_selector: str, **_: Any) -> None:
        self.kept = [
            each
            for each in self.kept
            if each["kind"] != kind or f"{LABEL}={each['metadata']['labels'][LABEL]}" != label_selector
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
        pods = [each for each in self.kept if each["kind"] == "Pod"]
        return [
            {
                "metadata": {**each["metadata"], "uid": each["metadata"]["name"]},
                "spec": each["spec"],
                "status": {"containerStatuses": [{"state": self.states[each["spec"]["nodeName"]]}]},
            }
            for each in pods
        ]


PULLED: Object = {"terminated": {"reason": "StartError"}}
OPEN: Object = {"waiting": {"reason": "ContainerCreating"}}


def pulls(api: Cluster) -> dict[str, Pull]:
    client: Any = api
    return {each.node: each for each in pull_on_every_node(client, OUTPUTS, REFERENCE)}


def test_every_node_pulls_and_nothing_is_left_on_the_cluster() -> None:
    api = Cluster({"k8s-master": PULLED, "k8s-worker": {"waiting": {"reason": "ErrImagePull", "message": UNKNOWN_CA}}})
    found = pulls(api)
    assert found["k8s-master"].found == "pulled"
    assert isinstance(found["k8s-worker"].found, Fault)
    assert api.kept == []


def test_the_pod_is_pinned_and_meets_the_strictest_level_of_pod_security() -> None:
    api = Cluster({"k8s-master": PULLED})
    pulls(api)
    secret, made = api.made
    spec = made["spec"]
    assert spec["nodeName"] == "k8s-master"
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["imagePullSecrets"] == [{"name": secret["metadata"]["name"]}]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["image"] == REFERENCE
    assert container["imagePullPolicy"] == "Always"
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert PASSWORD not in json.dumps(made, ensure_ascii=False)
    assert list(json.loads(secret["stringData"][".dockerconfigjson"])["auths"]) == ["docker-registry:5000"]


def test_a_node_that_is_not_ready_and_one_that_never_answers_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "PATIENCE", 0.05)
    monkeypatch.setattr(nodes, "PAUSE", 0.01)
    api = Cluster({"one": OPEN, "two": OPEN}, unready=("two",))
    found = pulls(api)
    assert [str(found[node].found) for node in ("one", "two")] == [
        "no answer within 0 s",
        "the node is not ready: kubelet is gone",
    ]
    assert api.kept == []


def test_a_pod_that_may_not_be_made_is_the_nodes_row_and_a_secret_that_may_not_ends_it() -> None:
    api = Cluster({"one": PULLED}, forbidden="Pod")
    assert str(pulls(api)["one"].found) == "no Pod may be made: Pod is forbidden: quota"
    assert api.kept == []
    with pytest.raises(Refusal, match="Secret is forbidden: quota"):
        pulls(Cluster({"one": PULLED}, forbidden="Secret"))


def test_whoever_stops_listening_leaves_nothing_behind() -> None:
    client: Any = Cluster({"one": PULLED, "two": PULLED})
    visit: Iterator[Pull] = pull_on_every_node(client, OUTPUTS, REFERENCE)
    next(visit)
    assert client.kept != []
    visit.close()  # type: ignore[attr-defined]
    assert client.kept == []


def test_what_a_killed_visit_left_behind_goes_with_the_next_and_one_under_way_goes_on() -> None:
    api = Cluster({"one": PULLED})
    for visit, age in {"ops-verify-killed": 605, "ops-verify-under-way": 60}.items():
        api.keep({"kind": "Secret", "metadata": {"name": visit, "labels": {LABEL: visit}}}, age)
    pulls(api)
    assert [each["metadata"]["name"] for each in api.kept] == ["ops-verify-under-way"]


def rows(outputs: Outputs, registry: Registry, pulls: Pulls) -> list[Check]:
    from ops.verify import verify

    return list(verify(outputs, ("127.0.0.1", registry.port), pulls))


def test_every_node_has_its_row_and_the_image_goes_after_the_last(
    outputs: Outputs, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.deletes = True
    asked = []

    def pulled(_: Outputs, reference: str) -> Iterator[tuple[str, str | Fault, float]]:
        asked.append(reference)
        yield "one", cause_of(UNKNOWN_CA), 1.0
        yield "two", "pulled in 0.4 s", 1.5

    checks = rows(outputs, registry, pulled)
    assert asked[0].startswith("docker-registry:5000/ops-verify@sha256:")
    assert [(check.title, check.passed) for check in checks[-3:]] == [
        ("pull on one", False),
        ("pull on two", True),
        ("clean-up", True),
    ]
    assert not show(iter(checks), "")
    assert not show_json(iter(checks), "")
    assert capsys.readouterr().out.count("node_trust") == 2, "once below the table, once in the JSON"


def test_what_keeps_the_nodes_from_being_asked_is_a_row_too(outputs: Outputs, registry: Registry) -> None:
    def refuses(_: Outputs, reference: str) -> Iterator[tuple[str, str | Fault, float]]:
        raise Refusal("cannot see what lives on the cluster: Secret is forbidden; check KUBECONFIG, then again")

    checks = rows(outputs, registry, refuses)
    assert checks[-2].title == "pull on every node"
    assert checks[-2].seen == "cannot see what lives on the cluster: Secret is forbidden"
    assert checks[-2].remedy == "check KUBECONFIG, then again"
    assert checks[-1].title == "clean-up"


def test_no_node_is_asked_where_nothing_was_pushed(outputs: Outputs, registry: Registry) -> None:
    registry.full = True
    checks = rows(outputs, registry, lambda *_: pytest.fail("a node was asked"))
    assert checks[-1].title == "push"
