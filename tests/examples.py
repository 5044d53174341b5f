"""Example values for every input, with the other inputs that they need."""

from typing import Any

from registry.inputs.table import DEFAULTS, INPUTS, Condition
from tests.issuing import CertificateSpec, issue

CA = issue(CertificateSpec())
SHARED_STORAGE: dict[str, Any] = {"storage": "s3", "s3_bucket": "images"}

EXAMPLES: dict[str, Any] = {
    "hostname": "registry.example.com",
    "port": 5001,
    "exposure": "load-balancer",
    "external_ips": ["192.168.56.11", "192.168.56.12"],
    "node_port": 30500,
    "load_balancer_class": "example.com/internal",
    "load_balancer_address": "10.0.0.7",
    "ingress_class": "nginx",
    "client_cidrs": ["10.0.0.0/8"],
    "namespace": "team-registry",
    "create_namespace": False,
    "labels": {"example.com/team": "red"},
    "annotations": {"example.com/team": "red and blue"},
    "certificate_names": ["*.example.com", "10.0.0.8"],
    "certificate_subject": {"country": "FR", "organizational_unit": "R&D"},
    "certificate_key": "RSA-3072",
    "certificate_days": 90,
    "renew_before_days": 10,
    "ca_days": 800,
    "ca_generations": [1, 2],
    "ca_certificate": CA.pem,
    "ca_key": CA.key_pem,
    "tls_secret": "my-certificate",
    "users": ["jean", "marie"],
    "passwords": {"centos": "correct horse battery"},
    "password_generations": {"centos": [2, 1]},
    "users_secret": "my-users",
    "node_trust": True,
    "node_trust_image": "busybox:1.37",
    "containerd_folder": "/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
    "docker_folder": "/etc/containers/certs.d",
    "pull_secrets": ["builds", "kube-system"],
    "default_pull_secret": True,
    "discovery": True,
    "storage": "local",
    "storage_path": "/srv/registry",
    "storage_size": "9Gi",
    "storage_claim": "my-claim",
    "storage_class": "fast",
    "storage_access": "ReadWriteMany",
    "s3_bucket": "images",
    "s3_region": "eu-west-3",
    "s3_endpoint": "https://s3.example.com:9000",
    "s3_prefix": "registries/team",
    "s3_access_key": "AKIA1",
    "s3_secret_key": "hunter23",
    "s3_secret": "my-keys",
    "upstream_ca": CA.pem,
    "workload": "deployment",
    "replicas": 2,
    "node": "k8s-worker",
    "node_label": "registry=here",
    "run_as_user": 65532,
    "requests": {"cpu": "200m"},
    "limits": {"memory": "1Gi"},
    "priority_class": "important",
    "image": "registry:3.1.1",
    "image_pull_policy": "Always",
    "image_pull_secret": "my-login",
    "mode": "read-only",
    "mirror_of": "https://other.example.com",
    "mirror_username": "jean",
    "mirror_password": "hunter23",
    "allow_delete": True,
    "upload_hours": 48,
    "metrics": True,
    "service_monitor": True,
    "log_level": "debug",
    "log_format": "json",
}
"""An accepted value of every input that is not its default."""


def companions(key: str) -> dict[str, Any]:
    """Return the other inputs without which `key` would be refused."""
    row = INPUTS[key]
    inputs: dict[str, Any] = dict(SHARED_STORAGE) if key == "replicas" else {}
    for condition in row.only_with[:1]:
        inputs |= choice(condition)
    if row.both_or_neither:
        inputs[row.both_or_neither] = EXAMPLES[row.both_or_neither]
    if row.existing:
        inputs["create_namespace"] = False
    inputs.pop(key, None)
    return {name: value for name, value in inputs.items() if value != DEFAULTS.get(name)}


def choice(condition: Condition) -> dict[str, Any]:
    """Return inputs that fulfil the condition, with those that it requires."""
    value = condition.values[0] if condition.values else EXAMPLES[condition.key]
    inputs = {condition.key: value}
    for key, row in INPUTS.items():
        if row.required and any(rule.key == condition.key and value in rule.values for rule in row.only_with):
            inputs[key] = EXAMPLES[key]
            if row.existing:
                inputs["create_namespace"] = False
    return inputs
