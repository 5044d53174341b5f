"""The rules of the policy pack accept the same Pods as the API server at the Pod Security level `restricted`.

Only the API server shows which Pods it accepts.
"""

from collections.abc import Iterator

import pytest

from policy.rules.pod_security import RESTRICTED
from tests.e2e.lab import Lab
from tests.e2e.oracles import ApiServer, resource
from tests.policies import Fields, container, judge, kubernetes, pod_spec

pytestmark = pytest.mark.e2e

NAMESPACE = "restricted-pods"

REFUSALS = ("violates PodSecurity", "disallowed by cluster policy")
"""Texts of refusals. The cluster allows no privileged containers in any namespace."""

VOLUMES: tuple[Fields, ...] = (
    {"emptyDir": {}},
    {"configMap": {"name": "a"}},
    {"secret": {"secretName": "a"}},
    {"downwardAPI": {}},
    {"projected": {"sources": []}},
    {"persistentVolumeClaim": {"claimName": "a"}},
    {"csi": {"driver": "example.com"}},
    {"hostPath": {"path": "/etc"}},
    {"nfs": {"server": "a", "path": "/"}},
    {"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2026-01.com.example:a", "lun": 0}},
)

CONTEXTS_OF_CONTAINERS: tuple[Fields, ...] = (
    {"privileged": True, "allowPrivilegeEscalation": None},
    {"privileged": False},
    {"allowPrivilegeEscalation": None},
    {"allowPrivilegeEscalation": True},
    {"capabilities": None},
    {"capabilities": {"drop": ["CHOWN"]}},
    {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
    {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}},
    {"runAsUser": 0},
    {"runAsUser": 1000},
    {"runAsNonRoot": False},
    {"runAsNonRoot": True},
    {"seccompProfile": {"type": "Unconfined"}},
    {"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}},
    {"appArmorProfile": {"type": "Unconfined"}},
    {"appArmorProfile": {"type": "RuntimeDefault"}},
    {"seLinuxOptions": {"type": "container_t"}},
    {"seLinuxOptions": {"type": "spc_t"}},
    {"seLinuxOptions": {"level": "s0:c123,c456"}},
    {"procMount": "Default"},
)

CONTEXTS_OF_PODS: tuple[Fields, ...] = (
    {"runAsNonRoot": None},
    {"runAsNonRoot": False},
    {"runAsUser": None},
    {"runAsUser": 0},
    {"seccompProfile": None},
    {"seccompProfile": {"type": "Unconfined"}},
    {"seLinuxOptions": {"user": "a"}},
    {"seLinuxOptions": {"role": "a"}},
    {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]},
    {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "4096 87380 6291456"}]},
    {"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]},
)

FIELDS_OF_PODS: tuple[Fields, ...] = (
    {"hostNetwork": True},
    {"hostPID": True},
    {"hostIPC": True},
    {"hostIPC": False},
)

FIELDS_OF_CONTAINERS: tuple[Fields, ...] = (
    {"ports": [{"containerPort": 5000, "hostPort": 5000}]},
    {"ports": [{"containerPort": 5000}]},
    {"livenessProbe": {"httpGet": {"path": "/", "port": 80, "host": "10.0.0.1"}}},
    {"lifecycle": {"preStop": {"tcpSocket": {"port": 80, "host": "10.0.0.1"}}}},
    {"lifecycle": {"preStop": {"exec": {"command": ["true"]}}}},
)


def specs() -> Iterator[Fields]:
    """Yield a Pod that obeys the level, and Pods that differ from it in one place."""
    probe = {"httpGet": {"path": "/", "port": 80}}
    probes: Fields = {"readinessProbe": probe, "livenessProbe": probe}
    yield pod_spec(container(**probes))
    for volume in VOLUMES:
        yield pod_spec(container(**probes), volumes=[{"name": "a", **volume}])
    for context in CONTEXTS_OF_CONTAINERS:
        yield pod_spec(container(**probes, securityContext=context))
        yield pod_spec(container(**probes), initContainers=[init_container(context)])
    for context in CONTEXTS_OF_PODS:
        yield pod_spec(container(**probes), securityContext=context)
    for fields in FIELDS_OF_PODS:
        yield pod_spec(container(**probes), **fields)
    for fields in FIELDS_OF_CONTAINERS:
        yield pod_spec(container(**(probes | fields)))


def init_container(context: Fields) -> Fields:
    """Return a container with this security context and without probes, which an init container cannot have."""
    fields = container(name="init", securityContext=context)
    return {key: value for key, value in fields.items() if not key.endswith("Probe")}


@pytest.fixture
def restricted_namespace(lab: Lab) -> Iterator[str]:
    lab.kubectl("create", "namespace", NAMESPACE)
    lab.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    yield NAMESPACE
    lab.delete_namespace(NAMESPACE)


def test_the_rules_and_the_api_server_agree(lab: Lab, restricted_namespace: str) -> None:
    api = ApiServer(lab.api, restricted_namespace)
    questions = {
        api.question(resource("v1", "Pod", f"pod-{number}", spec)): spec for number, spec in enumerate(specs())
    }
    different = []
    for question, objection in api.objections(questions).items():
        is_refused = any(text in objection for text in REFUSALS)
        assert is_refused or not objection, objection
        fixture = kubernetes("Pod", {"spec": questions[question]})
        violations = [violation for rule in RESTRICTED for violation in judge(rule.name, [fixture])]
        if is_refused != bool(violations):
            different.append((question, objection, violations))
    assert different == []
