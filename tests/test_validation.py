"""Tables of refused and accepted values for every input."""

from typing import Any, cast

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import PrivateRegistry
from registry.inputs.resolve import is_structural
from registry.inputs.table import DEFAULTS, INPUTS, SECRETS
from registry.validation import InvalidInput, validate
from registry.validation.basics import refuse_unknown_keys
from registry.validation.images import image_advice
from registry.validation.storage import size_advice
from registry.validation.users import password_advice
from tests.conftest import Deploy, Engine

Inputs = dict[str, Any]

REFUSED: list[tuple[str, Any, str]] = [
    # key, value, code
    ("hostname", "", "not-a-dns-name"),
    ("hostname", "Docker-Registry", "not-a-dns-name"),
    ("hostname", "docker registry", "not-a-dns-name"),
    ("hostname", "docker_registry", "not-a-dns-name"),
    ("hostname", "https://docker-registry", "not-a-dns-name"),
    ("hostname", "docker-registry:5000", "not-a-dns-name"),
    ("hostname", "docker-registry/v2", "not-a-dns-name"),
    ("hostname", "docker-registry.", "not-a-dns-name"),
    ("hostname", "-docker-registry", "not-a-dns-name"),
    ("hostname", "*.example.com", "not-a-dns-name"),
    ("hostname", "a" * 64, "not-a-dns-name"),
    ("hostname", f"{'a' * 40}.{'b' * 40}.example.com", "not-a-dns-name"),
    ("hostname", "régistre.example.com", "not-ascii"),
    ("hostname", "docker-registry\n", "not-a-dns-name"),
    ("hostname", "192.168.56.10", "is-an-address"),
    ("hostname", "1.2.3", "is-an-address"),
    ("hostname", 7, "not-text"),
    ("hostname", "registry..example.com", "not-a-dns-name"),
    ("hostname", "docker\0registry", "not-a-dns-name"),
    ("hostname", "fe80::1%eth0", "not-a-dns-name"),
    ("hostname", "a" * 2**20, "not-a-dns-name"),
    ("hostname", None, "not-text"),
    ("port", 0, "out-of-range"),
    ("port", -1, "out-of-range"),
    ("port", 65536, "out-of-range"),
    ("port", 70000, "out-of-range"),
    ("port", 5000.5, "out-of-range"),
    ("port", float("nan"), "out-of-range"),
    ("port", True, "out-of-range"),
    ("port", "443/tcp", "out-of-range"),
    ("port", [5000], "out-of-range"),
    ("exposure", "External-IPs", "not-a-choice"),
    ("exposure", "", "not-a-choice"),
    ("exposure", ["cluster"], "not-a-choice"),
    ("external_ips", "192.168.56.10", "not-a-list"),
    ("external_ips", ["127.0.0.1"], "unreachable-address"),
    ("external_ips", ["0.0.0.0"], "unreachable-address"),
    ("external_ips", ["169.254.1.1"], "unreachable-address"),
    ("external_ips", ["224.0.0.1"], "unreachable-address"),
    ("external_ips", ["239.1.1.1"], "unreachable-address"),
    ("external_ips", ["240.0.0.1"], "unreachable-address"),
    ("external_ips", ["255.255.255.255"], "unreachable-address"),
    ("external_ips", ["::"], "unreachable-address"),
    ("external_ips", ["::1"], "unreachable-address"),
    ("external_ips", ["fe80::1"], "unreachable-address"),
    ("external_ips", ["fd00::1%eth0"], "unreachable-address"),
    ("external_ips", ["ff02::1"], "unreachable-address"),
    ("external_ips", ["::ffff:1.2.3.4"], "unreachable-address"),
    ("external_ips", ["010.0.0.1"], "not-an-address"),
    ("external_ips", ["1.2.3"], "not-an-address"),
    ("external_ips", ["1.2.3.4/24"], "not-an-address"),
    ("external_ips", ["256.1.1.1"], "not-an-address"),
    ("external_ips", [1], "not-an-address"),
    ("external_ips", ["192.168.56.10", "192.168.56.10"], "repeated"),
    ("external_ips", [f"10.0.0.{host}" for host in range(33)], "too-many"),
    ("external_ips", ["172.16.1.1", "2001:db8::1"], "mixed-families"),
    ("external_ips", ["2001:db8::1", "2001:db8::1"], "repeated"),
    ("external_ips", ["2001:DB8:0::1"], "address-form"),
    ("external_ips", ["fe80::1%eth0"], "unreachable-address"),
    ("node_port", 29999, "out-of-range"),
    ("node_port", 32768, "out-of-range"),
    ("node_port", 443, "out-of-range"),
    ("node_port", True, "out-of-range"),
    ("node_port", "30500", "out-of-range"),
    ("load_balancer_class", "", "not-a-qualified-name"),
    ("load_balancer_class", "example.com/", "not-a-qualified-name"),
    ("load_balancer_class", "/internal", "not-a-qualified-name"),
    ("load_balancer_class", "Example.com/internal", "not-a-qualified-name"),
    ("load_balancer_class", "a/b/c", "not-a-qualified-name"),
    ("load_balancer_class", 1, "not-text"),
    ("load_balancer_address", "127.0.0.1", "unreachable-address"),
    ("load_balancer_address", "::ffff:10.0.0.1", "unreachable-address"),
    ("load_balancer_address", "10.0.0.0/24", "not-an-address"),
    ("load_balancer_address", "lb.example.com", "not-an-address"),
    ("load_balancer_address", "2001:DB8::1", "address-form"),
    ("ingress_class", "Nginx", "not-an-object-name"),
    ("ingress_class", "", "not-an-object-name"),
    ("client_cidrs", "10.0.0.0/8", "not-a-list"),
    ("client_cidrs", ["10.0.0.1"], "not-a-cidr"),
    ("client_cidrs", ["10.0.0.1/8"], "cidr-host-bits"),
    ("client_cidrs", ["10.0.0.0/33"], "not-a-cidr"),
    ("client_cidrs", ["10.0.0.0/255.0.0.0"], "not-a-cidr"),
    ("client_cidrs", ["010.0.0.0/8"], "not-a-cidr"),
    ("client_cidrs", ["fe80::%eth0/64"], "not-a-cidr"),
    ("client_cidrs", ["10.0.0.0/08"], "cidr-form"),
    ("client_cidrs", ["2001:DB8::/32"], "cidr-form"),
    ("client_cidrs", ["::ffff:10.0.0.0/104"], "cidr-form"),
    ("client_cidrs", ["10.0.0.0/8", "10.0.0.0/8"], "repeated"),
    ("client_cidrs", [f"10.0.{third}.0/24" for third in range(101)], "too-many"),
    ("namespace", "Docker", "not-a-dns-label"),
    ("namespace", "a" * 64, "not-a-dns-label"),
    ("namespace", "a.b", "not-a-dns-label"),
    ("namespace", "default", "belongs-to-the-cluster"),
    ("namespace", "kube-system", "belongs-to-the-cluster"),
    ("namespace", "", "not-a-dns-label"),
    ("namespace", "-docker", "not-a-dns-label"),
    ("namespace", "docker_registry", "not-a-dns-label"),
    ("namespace", "docker\n", "not-a-dns-label"),
    ("namespace", "kube-public", "belongs-to-the-cluster"),
    ("namespace", "kube-node-lease", "belongs-to-the-cluster"),
    ("create_namespace", "on", "not-a-flag"),
    ("create_namespace", 1, "not-a-flag"),
    ("labels", ["team=red"], "not-a-map"),
    ("labels", {"": "red"}, "not-a-qualified-name"),
    ("labels", {"team red": "red"}, "not-a-qualified-name"),
    ("labels", {"Example.com/team": "red"}, "not-a-qualified-name"),
    ("labels", {f"{'a' * 64}": "red"}, "not-a-qualified-name"),
    ("labels", {f"{'a' * 254}/team": "red"}, "not-a-qualified-name"),
    ("labels", {1: "red"}, "not-a-qualified-name"),
    ("labels", {"team": "r" * 64}, "not-a-label-value"),
    ("labels", {"team": "-red"}, "not-a-label-value"),
    ("labels", {"team": "red=blue"}, "not-a-label-value"),
    ("labels", {"team": "red\n"}, "not-a-label-value"),
    ("labels", {"team": True}, "not-text"),
    ("labels", {"app.kubernetes.io/name": "x"}, "reserved-key"),
    ("labels", {"private-registry/namespace": "x"}, "reserved-key"),
    ("labels", {f"team-{number}": "" for number in range(101)}, "too-many"),
    ("annotations", "text", "not-a-map"),
    ("annotations", {"team/": "red"}, "not-a-qualified-name"),
    ("annotations", {"pulumi.com/skipAwait": "false"}, "reserved-key"),
    ("annotations", {"Pulumi.com/skipAwait": "false"}, "reserved-key"),
    ("annotations", {"team": 7}, "not-text"),
    ("annotations", {"team": "\ud800"}, "not-unicode"),
    ("annotations", {"team": "r" * 2**20}, "too-long"),
    ("certificate_names", "registry.example.com", "not-a-list"),
    ("certificate_names", [1], "not-a-list"),
    ("certificate_names", [""], "not-a-dns-name"),
    ("certificate_names", ["*"], "not-a-dns-name"),
    ("certificate_names", ["*."], "not-a-dns-name"),
    ("certificate_names", ["*.com"], "not-a-dns-name"),
    ("certificate_names", ["a.*.example.com"], "not-a-dns-name"),
    ("certificate_names", ["*.*.example.com"], "not-a-dns-name"),
    ("certificate_names", ["a*.example.com"], "not-a-dns-name"),
    ("certificate_names", ["Registry.example.com"], "not-a-dns-name"),
    ("certificate_names", ["a" * 64], "not-a-dns-name"),
    ("certificate_names", [f"{'a.' * 126}aa"], "not-a-dns-name"),
    ("certificate_names", ["*.1.2.3"], "incomplete-address"),
    ("certificate_names", ["256.1.1.1"], "incomplete-address"),
    ("certificate_names", ["::ffff:1.2.3.4"], "address-form"),
    ("certificate_names", ["fe80::1%eth0"], "address-form"),
    ("certificate_names", ["a.example.com", "A.example.com"], "repeated"),
    ("certificate_names", ["2001:db8::1", "2001:db8:0::1"], "repeated"),
    ("certificate_names", [f"a{number}.example.com" for number in range(101)], "too-many"),
    ("certificate_subject", ["FR"], "not-a-map"),
    ("certificate_subject", {"contry": "FR"}, "unknown-key"),
    ("certificate_subject", {"country": "France"}, "not-a-subject-field"),
    ("certificate_subject", {"country": "fr"}, "not-a-country"),
    ("certificate_subject", {"locality": ""}, "not-a-subject-field"),
    ("certificate_subject", {"organization": "o" * 65}, "not-a-subject-field"),
    ("certificate_subject", {"organization": "a\nb"}, "not-a-subject-field"),
    ("certificate_subject", {"country": "é1"}, "not-a-country"),
    ("certificate_subject", {"organizational_unit": 7}, "not-a-subject-field"),
    ("certificate_subject", {"province": "\ud800"}, "not-a-subject-field"),
    ("certificate_key", "RSA-1024", "not-a-choice"),
    ("certificate_key", "P-224", "not-a-choice"),
    ("certificate_key", "ed25519", "not-a-choice"),
    ("certificate_days", 0, "out-of-range"),
    ("certificate_days", -1, "out-of-range"),
    ("certificate_days", 1.5, "out-of-range"),
    ("certificate_days", 398, "out-of-range"),
    ("certificate_days", "356", "out-of-range"),
    ("renew_before_days", 397, "out-of-range"),
    ("renew_before_days", -1, "out-of-range"),
    ("renew_before_days", 0.5, "out-of-range"),
    ("ca_days", 397, "out-of-range"),
    ("ca_days", 7301, "out-of-range"),
    ("ca_days", float("inf"), "out-of-range"),
    ("ca_generations", 1, "not-generations"),
    ("ca_generations", [], "not-generations"),
    ("ca_generations", [1, 2, 3], "not-generations"),
    ("ca_generations", "[1, 2]", "not-generations"),
    ("ca_generations", ["1"], "out-of-range"),
    ("ca_generations", [0, 1], "out-of-range"),
    ("ca_generations", [50, 51], "out-of-range"),
    ("ca_generations", [1.5], "out-of-range"),
    ("ca_generations", [True, 2], "out-of-range"),
    ("ca_generations", [1, 1], "not-consecutive"),
    ("ca_generations", [3, 1], "not-consecutive"),
    ("ca_certificate", 7, "not-certificates"),
    ("ca_key", 7, "not-a-key"),
    ("ca_key", "hunter2", "unreadable-key"),
    ("upstream_ca", ["a CA"], "not-certificates"),
    ("tls_secret", "Certificate", "not-an-object-name"),
    ("tls_secret", "default/certificate", "not-an-object-name"),
    ("tls_secret", "a." * 126 + "aa", "not-an-object-name"),
    ("users_secret", "users_secret", "not-an-object-name"),
    ("users", [], "not-a-list"),
    ("users", "centos", "not-a-list"),
    ("users", ["centos", "centos"], "repeated"),
    ("users", [""], "name-length"),
    ("users", ["a" * 256], "name-length"),
    ("users", ["a:b"], "name-characters"),
    ("users", ["#centos"], "name-characters"),
    ("users", [" centos"], "name-characters"),
    ("users", ["cen\ntos"], "name-characters"),
    ("users", ["cen\0tos"], "name-characters"),
    ("users", None, "not-a-list"),
    ("users", [7], "not-text"),
    ("users", ["centos "], "name-characters"),
    ("users", ["cen\rtos"], "name-characters"),
    ("users", ["\ud800"], "name-characters"),
    ("users", [f"user-{number}" for number in range(101)], "too-many"),
    ("node_trust", "yes", "not-a-flag"),
    ("node_trust_image", "busybox", "not-pinned"),
    ("node_trust_image", "Busybox:1.37", "not-an-image"),
    ("containerd_folder", "certs.d", "not-an-absolute-path"),
    ("containerd_folder", "/etc/containerd/certs.d/", "not-an-absolute-path"),
    ("containerd_folder", "/etc/containerd/../certs.d", "not-an-absolute-path"),
    ("containerd_folder", "/etc//certs.d", "not-an-absolute-path"),
    ("containerd_folder", "/etc/a:b/certs.d", "not-an-absolute-path"),
    ("containerd_folder", "/etc/\n/certs.d", "not-an-absolute-path"),
    ("containerd_folder", 7, "not-text"),
    ("containerd_folder", "/etc/containerd", "not-certs.d"),
    ("docker_folder", "/", "not-certs.d"),
    ("docker_folder", "/etc", "not-certs.d"),
    ("docker_folder", "", "not-an-absolute-path"),
    ("passwords", {"centos": ""}, "password-length"),
    ("passwords", {"centos": "p" * 73}, "password-length"),
    ("passwords", {"centos": "é" * 37}, "password-length"),
    ("passwords", {"centos": "two\nlines"}, "not-one-line"),
    ("passwords", {"centos": "nul\0"}, "not-one-line"),
    ("passwords", {"centos": "\ud800"}, "not-unicode"),
    ("passwords", {"centos": 12345678}, "not-text"),
    ("passwords", "correct horse", "not-a-map"),
    ("passwords", {"centos": "cr\r"}, "not-one-line"),
    ("passwords", {"centos": "p" * 2**20}, "password-length"),
    ("passwords", {"centos": None}, "not-text"),
    ("storage", "hostPath", "not-a-choice"),
    ("storage", None, "not-a-choice"),
    ("storage_claim", "", "not-an-object-name"),
    ("storage_claim", "claim_1", "not-an-object-name"),
    ("storage_class", "Standard", "not-an-object-name"),
    ("storage_access", "ReadOnlyMany", "not-a-choice"),
    ("storage_access", "RWO", "not-a-choice"),
    ("s3_bucket", "", "not-a-bucket"),
    ("s3_bucket", "ab", "not-a-bucket"),
    ("s3_bucket", "a" * 64, "not-a-bucket"),
    ("s3_bucket", "Team-Registry", "not-a-bucket"),
    ("s3_bucket", "team_registry", "not-a-bucket"),
    ("s3_bucket", "team..registry", "not-a-bucket"),
    ("s3_bucket", "-team", "not-a-bucket"),
    ("s3_bucket", "10.1.2.3", "not-a-bucket"),
    ("s3_bucket", "s3://team", "not-a-bucket"),
    ("s3_region", "", "not-a-region"),
    ("s3_region", "EU-West-3", "not-a-region"),
    ("s3_region", "eu west 3", "not-a-region"),
    ("s3_endpoint", "s3.example.com", "not-a-server-url"),
    ("s3_endpoint", "ftp://s3.example.com", "not-a-server-url"),
    ("s3_endpoint", "https://s3.example.com/bucket", "not-a-server-url"),
    ("s3_endpoint", "https://s3.example.com?x=1", "not-a-server-url"),
    ("s3_endpoint", "https://s3..example.com", "not-a-server-url"),
    ("s3_endpoint", "https://256.1.1.1", "not-a-server-url"),
    ("s3_endpoint", "https://[::1", "not-a-server-url"),
    ("s3_endpoint", "https://s3.example.com:0", "not-a-server-url"),
    ("s3_endpoint", "https://s3.example.com:65536", "not-a-server-url"),
    ("s3_endpoint", "https://key:hunter2@s3.example.com", "url-credentials"),
    ("s3_prefix", "", "not-a-folder"),
    ("s3_prefix", "/a", "not-a-folder"),
    ("s3_prefix", "a/", "not-a-folder"),
    ("s3_prefix", "a//b", "not-a-folder"),
    ("s3_prefix", "a/../b", "not-a-folder"),
    ("s3_prefix", "a" * 513, "not-a-folder"),
    ("s3_access_key", "", "not-a-credential"),
    ("s3_access_key", 7, "not-text"),
    ("s3_secret_key", " hunter2", "not-a-credential"),
    ("s3_secret_key", "hunter2\n", "not-a-credential"),
    ("s3_secret_key", 7, "not-text"),
    ("s3_secret", "S3", "not-an-object-name"),
    ("workload", "Deployment", "not-a-choice"),
    ("workload", "statefulset", "not-a-choice"),
    ("replicas", 0, "out-of-range"),
    ("replicas", 33, "out-of-range"),
    ("replicas", 1.5, "out-of-range"),
    ("replicas", True, "out-of-range"),
    ("node", "", "not-a-node-name"),
    ("node", "K8s-Master", "not-a-node-name"),
    ("node", "a" * 64, "not-a-node-name"),
    ("node", "node_1", "not-a-node-name"),
    ("node", "a." * 32 + "a", "not-a-node-name"),
    ("node_label", "run docker registry=true", "not-a-qualified-name"),
    ("node_label", "run-docker-registry", "not-key=value"),
    ("node_label", "=true", "not-a-qualified-name"),
    ("node_label", "run=-true", "not-a-label-value"),
    ("node_label", "run=a=b", "not-a-label-value"),
    ("node_label", "run=a,b", "not-a-label-value"),
    ("node_label", f"run={'a' * 64}", "not-a-label-value"),
    ("node_label", f"{'a' * 254}/run=true", "not-a-qualified-name"),
    ("node_label", "kubernetes.io/hostname=k8s-worker", "reserved-key"),
    ("node_label", "node-role.kubernetes.io/control-plane=", "reserved-key"),
    ("node_label", "run=true\n", "not-a-label-value"),
    ("node_label", 7, "not-text"),
    ("storage_path", "", "not-an-absolute-path"),
    ("storage_path", "relative", "not-an-absolute-path"),
    ("storage_path", "/", "folder-of-the-node"),
    ("storage_path", "/etc", "folder-of-the-node"),
    ("storage_path", "/etc/registry", "folder-of-the-node"),
    ("storage_path", "/var", "folder-of-the-node"),
    ("storage_path", "/var/lib", "folder-of-the-node"),
    ("storage_path", "/var/lib/kubelet/x", "folder-of-the-node"),
    ("storage_path", "/proc/x", "folder-of-the-node"),
    ("storage_path", "/root/x", "folder-of-the-node"),
    ("storage_path", "/home/x", "folder-of-the-node"),
    ("storage_path", "/var/lib/../../etc", "not-an-absolute-path"),
    ("storage_path", "//srv/registry", "not-an-absolute-path"),
    ("storage_path", "/srv//registry", "not-an-absolute-path"),
    ("storage_path", "/srv/registry/", "not-an-absolute-path"),
    ("storage_path", "/srv/registry\n", "path-characters"),
    ("storage_path", "/srv/a:b", "path-characters"),
    ("storage_path", "/srv/tmp/registry", "temporary-folder"),
    ("storage_path", "/dev/x", "folder-of-the-node"),
    ("storage_path", "/sys/x", "folder-of-the-node"),
    ("storage_path", "/boot/x", "folder-of-the-node"),
    ("storage_path", "/var/lib/docker/x", "folder-of-the-node"),
    ("storage_path", "/var/log", "folder-of-the-node"),
    ("storage_path", "/var/run/x", "folder-of-the-node"),
    ("storage_path", "/srv/./registry", "not-an-absolute-path"),
    ("storage_path", "/srv/..", "not-an-absolute-path"),
    ("storage_path", "/tmp/registry", "temporary-folder"),
    ("storage_path", "/srv/a\0b", "path-characters"),
    ("storage_path", f"/srv/{'é' * 128}", "too-long"),
    ("storage_path", "/srv" * 1024, "too-long"),
    ("storage_path", 7, "not-text"),
    ("storage_size", "2GB", "not-a-quantity"),
    ("storage_size", "2 Gi", "not-a-quantity"),
    ("storage_size", "2gi", "not-a-quantity"),
    ("storage_size", "-1Gi", "not-a-quantity"),
    ("storage_size", "1e-3", "not-a-quantity"),
    ("storage_size", "1m", "not-a-quantity"),
    ("storage_size", "NaN", "not-a-quantity"),
    ("storage_size", "٢Gi", "not-a-quantity"),
    ("storage_size", "0", "out-of-range"),
    ("storage_size", "2", "out-of-range"),
    ("storage_size", "9Ei", "out-of-range"),
    ("storage_size", 2, "not-text"),
    ("storage_size", "", "not-a-quantity"),
    ("storage_size", "1e9", "not-a-quantity"),
    ("storage_size", "+2Gi", "not-a-quantity"),
    ("storage_size", "2Gi\n", "not-a-quantity"),
    ("storage_size", "1" * 33, "not-a-quantity"),
    ("storage_size", "2000000.5", "out-of-range"),
    ("storage_size", "1125899906842623.0000000000000001", "out-of-range"),
    ("requests", ["cpu"], "not-a-map"),
    ("requests", {"gpu": "1"}, "unknown-key"),
    ("requests", {"cpu": 1}, "not-text"),
    ("requests", {"cpu": "0"}, "not-an-amount"),
    ("requests", {"cpu": "0.5m"}, "not-an-amount"),
    ("requests", {"cpu": "5000"}, "not-an-amount"),
    ("requests", {"cpu": "100mm"}, "not-a-quantity"),
    ("requests", {"memory": "64"}, "not-an-amount"),
    ("requests", {"memory": "64m"}, "not-a-quantity"),
    ("requests", {"memory": "64MB"}, "not-a-quantity"),
    ("limits", "512Mi", "not-a-map"),
    ("limits", {"memory": "2Pi"}, "not-an-amount"),
    ("limits", {"memory": "-1Gi"}, "not-a-quantity"),
    ("limits", {"cpuu": "1"}, "unknown-key"),
    ("priority_class", "High", "not-an-object-name"),
    ("image", "registry", "not-pinned"),
    ("image", "registry:latest", "not-pinned"),
    ("image", "Registry:3.1.2", "not-an-image"),
    ("image", "registry@sha256:1234", "not-an-image"),
    ("image", "registry:3.1.2 ", "not-an-image"),
    ("image", "", "not-an-image"),
    ("image", "registry@sha512:" + "0" * 128, "not-an-image"),
    ("image", "https://example.com/registry:3.1.2", "not-an-image"),
    ("image", "a..b/registry:3.1.2", "not-an-image"),
    ("image", "-a.b/registry:3.1.2", "not-an-image"),
    ("image", "registry:", "not-an-image"),
    ("image", f"registry:{'a' * 129}", "not-an-image"),
    ("image", f"{'a' * 256}:1", "not-an-image"),
    ("image", 3, "not-text"),
    ("image_pull_policy", "always", "not-a-choice"),
    ("image_pull_policy", "", "not-a-choice"),
    ("image_pull_secret", "Pull", "not-an-object-name"),
    ("run_as_user", -1, "out-of-range"),
    ("run_as_user", True, "out-of-range"),
    ("run_as_user", 2**31, "out-of-range"),
    ("run_as_user", "nobody", "out-of-range"),
    ("mode", "readonly", "not-a-choice"),
    ("mode", True, "not-a-choice"),
    ("mirror_of", "registry-1.docker.io", "not-a-server-url"),
    ("mirror_of", "https://registry-1.docker.io/library", "not-a-server-url"),
    ("mirror_of", "https://jean:hunter2@example.com", "url-credentials"),
    ("mirror_username", "", "name-characters"),
    ("mirror_username", "a:b", "name-characters"),
    ("mirror_username", "a\nb", "name-characters"),
    ("mirror_username", "a" * 256, "name-characters"),
    ("mirror_password", "", "not-a-credential"),
    ("mirror_password", "p" * 4097, "not-a-credential"),
    ("mirror_password", ["hunter2"], "not-text"),
    ("allow_delete", "yes", "not-a-flag"),
    ("allow_delete", 0, "not-a-flag"),
    ("upload_hours", 0, "out-of-range"),
    ("upload_hours", 8761, "out-of-range"),
    ("upload_hours", "24h", "out-of-range"),
    ("metrics", "true", "not-a-flag"),
    ("service_monitor", "false", "not-a-flag"),
    ("password_generations", [1, 2], "not-a-map"),
    ("password_generations", {"centos": []}, "not-generations"),
    ("password_generations", {"centos": [1, 2, 3]}, "not-generations"),
    ("password_generations", {"centos": [0]}, "out-of-range"),
    ("password_generations", {"centos": [1.5]}, "out-of-range"),
    ("password_generations", {"centos": [True]}, "out-of-range"),
    ("password_generations", {"centos": [1, 1]}, "not-consecutive"),
    ("password_generations", {"centos": [1], "jean": [1, 3]}, "not-consecutive"),
    ("pull_secrets", "team-a", "not-a-list"),
    ("pull_secrets", ["Team"], "not-a-dns-label"),
    ("pull_secrets", ["team.a"], "not-a-dns-label"),
    ("pull_secrets", ["a" * 64], "not-a-dns-label"),
    ("pull_secrets", [""], "not-a-dns-label"),
    ("pull_secrets", ["team-a\n"], "not-a-dns-label"),
    ("pull_secrets", ["team-a", "team-a"], "repeated"),
    ("pull_secrets", [f"team-{number}" for number in range(101)], "too-many"),
    ("default_pull_secret", "yes", "not-a-flag"),
    ("discovery", 1, "not-a-flag"),
    ("log_level", "Info", "not-a-choice"),
    ("log_level", "trace", "not-a-choice"),
    ("log_format", "xml", "not-a-choice"),
]


@pytest.mark.parametrize(("key", "value", "code"), REFUSED, ids=[f"{key}={value!r}"[:60] for key, value, _ in REFUSED])
def test_an_invalid_value_is_refused_with_a_code_and_a_remedy(key: str, value: Any, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS[key].rule(value)
    error = refusal.value
    assert error.key.partition(".")[0] == key
    assert error.code == code
    assert error.remedy
    assert "\n" not in str(error)
    assert len(str(error)) < 400


def test_every_input_has_a_refused_value() -> None:
    assert {key for key, _, _ in REFUSED} == INPUTS.keys()


ACCEPTED: list[tuple[str, Any]] = [
    ("hostname", "registry.example.com"),
    ("hostname", "xn--rgistre-bya.example.com"),
    ("port", 443),
    ("port", 5000.0),
    ("containerd_folder", "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"),
    ("docker_folder", "/etc/containers/certs.d"),
    ("external_ips", ["192.168.56.10", "192.168.56.11"]),
    ("external_ips", ["2001:db8::1"]),
    ("certificate_subject", {"country": "FR", "province": "Alpes Maritimes", "organizational_unit": "R&D"}),
    ("certificate_key", "RSA-4096"),
    ("ca_generations", [1.0, 2.0]),
    ("ca_generations", [50, 49]),
    ("users", ["jean.dupont@example.com"]),
    ("passwords", {"centos": "é" * 36}),
    ("node_label", "example.com/run-docker-registry="),
    ("storage_path", "/srv/registry..old"),
    ("storage_path", "/mnt/disk1/registry"),
    ("storage_size", "1.5Ti"),
    ("storage_size", "500M"),
    ("image", "registry:2.7"),
    ("image", "mirror.example.com:5000/library/registry:3.1.2"),
    ("image", f"registry@sha256:{'0' * 64}"),
    ("image", "a--b.example.com/team__x/registry:3.1.2"),
    ("run_as_user", 65532),
    ("node_port", 30000),
    ("load_balancer_class", "example.com/internal"),
    ("load_balancer_class", "Internal_1"),
    ("load_balancer_address", "2001:db8::7"),
    ("client_cidrs", ["0.0.0.0/0", "::/0", "10.1.2.3/32"]),
    ("labels", {"example.com/Team_1": "", "cost-centre": "R.D-1"}),
    ("labels", {f"{'a' * 253}/team": "red"}),
    ("priority_class", f"{'a' * 64}.{'b' * 188}"),
    ("annotations", {"Example.com/owner": "Jean Dupont <jean@example.com>\n"}),
    ("certificate_names", ["*.example.com", "xn--rgistre-bya.example.com", "10.0.0.7", "2001:db8::7"]),
    ("tls_secret", "registry.example.com-tls"),
    ("s3_bucket", "team.registry"),
    ("s3_endpoint", "http://[2001:db8::7]:9000"),
    ("s3_endpoint", "https://10.1.2.3"),
    ("s3_prefix", "registries/team_1"),
    ("s3_secret_key", "hunter2+/="),
    ("requests", {"cpu": "0.25"}),
    ("limits", {"cpu": "2", "memory": "1.5Gi"}),
    ("mirror_of", "https://registry-1.docker.io"),
    ("mirror_username", "jean@example.com"),
    ("storage_access", "ReadWriteOncePod"),
    ("password_generations", {"centos": [1, 2], "jean": [3, 2], "marie": [2]}),
    ("pull_secrets", ["team-a", "kube-system", "default", "7"]),
    *DEFAULTS.items(),
]


@pytest.mark.parametrize(("key", "value"), ACCEPTED, ids=[f"{key}={value!r}"[:60] for key, value in ACCEPTED])
def test_a_valid_value_is_accepted_unchanged(key: str, value: Any) -> None:
    assert INPUTS[key].rule(value) == value


SECRET_TEXTS = st.text(alphabet=st.characters(categories=["Lu", "Nd", "Cc", "Cs"]), min_size=4, max_size=100)
LINES = st.lists(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=", min_size=16, max_size=64), min_size=1)


@pytest.mark.parametrize("key", SECRETS)
@given(data=st.data())
def test_no_message_contains_a_secret(key: str, data: st.DataObject) -> None:
    """Search for the lines of a PEM key, and for whole secrets of at least four characters."""
    secrets = data.draw(LINES) if key == "ca_key" else [data.draw(SECRET_TEXTS)]
    value: Any = {
        "ca_key": "\n".join(["-----BEGIN PRIVATE KEY-----", *secrets, "-----END PRIVATE KEY-----"]),
        "passwords": {"centos": secrets[0]},
    }.get(key, secrets[0])
    refusal: InvalidInput | None = None
    try:
        INPUTS[key].rule(value)
    except InvalidInput as raised:
        refusal = raised
    assert not any(secret in str(refusal) for secret in secrets)
    assert refusal is None or refusal.__cause__ is None, "The original error contains the secret."


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("value", [b"hunter2", ["hunter2"], {"hunter": ["hunter2"]}, {"centos": b"hunter2"}])
def test_the_message_for_a_secret_of_a_wrong_type_does_not_contain_it(key: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS[key].rule(value)
    assert "hunter2" not in str(refusal.value)


def test_a_message_is_short_and_one_line_whatever_the_unknown_key() -> None:
    with pytest.raises(InvalidInput, match=r"`host\\nname` "):
        refuse_unknown_keys(["host\nname"], INPUTS)
    with pytest.raises(InvalidInput) as refusal:
        refuse_unknown_keys(["k" * 2**20], INPUTS)
    assert len(str(refusal.value)) < 1500


def test_the_remedy_for_an_unknown_key_is_the_closest_key() -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_unknown_keys(["hostnam"], INPUTS)
    assert "`hostname`" in refusal.value.remedy


@pytest.mark.parametrize(
    ("image", "outdated"),
    [
        ("registry:2.7", True),
        ("registry:2", True),
        ("registry:3.0.0", True),
        ("registry:3.1.0", True),
        ("registry:3.1.1", True),
        ("registry:3.1.2", False),
        ("registry:3.1", False),
        ("registry:3", False),
        ("registry:3.10-alpine", False),
        ("registry:stable", False),
        (f"registry@sha256:{'0' * 64}", False),
    ],
)
def test_a_tag_with_known_vulnerabilities_has_advice(image: str, outdated: bool) -> None:
    assert bool(image_advice(image)) is outdated


@pytest.mark.parametrize(("size", "decimal"), [("2G", True), ("500k", True), ("2Gi", False), ("3000000000", False)])
def test_a_size_in_powers_of_ten_has_advice(size: str, decimal: bool) -> None:
    assert bool(size_advice(size)) is decimal


def test_the_password_of_the_guide_is_weak() -> None:
    assert "centos" in password_advice({"centos": "centos"})
    assert password_advice({"longer-name": "Longer-Name"})
    assert password_advice({"centos": "Passw0rd"}), "It has eight characters and is a common password."
    assert not password_advice({"centos": "correct horse"})


OUTPUTS: list[tuple[str, Any, Inputs, str]] = [
    # key, value, other inputs that it needs, the resource that must not be created
    ("hostname", "docker_registry", {}, "registry-tls-request"),
    ("load_balancer_class", "a/b/c", {"exposure": "load-balancer"}, "registry-service"),
    ("load_balancer_address", "127.0.0.1", {"exposure": "load-balancer"}, "registry-service"),
    ("ingress_class", "Nginx", {"exposure": "ingress"}, "registry-service-ingress"),
    ("client_cidrs", ["10.0.0.1/8"], {}, "registry-policy"),
    ("certificate_names", ["*"], {}, "registry-tls-request"),
    ("ca_certificate", "no CA", {"ca_key": "no key"}, "registry-tls-leaf"),
    ("ca_key", "no key", {"ca_certificate": "no CA"}, "registry-tls-leaf"),
    ("tls_secret", "Certificate", {"create_namespace": False}, "registry-workload-pod"),
    ("passwords", {"centos": ""}, {}, "registry-auth-secret"),
    ("users_secret", "Users", {"create_namespace": False}, "registry-workload-pod"),
    ("node_trust_image", "registry:latest", {"node_trust": True}, "registry-nodes-agent"),
    ("containerd_folder", "/etc", {"node_trust": True}, "registry-nodes-agent"),
    ("docker_folder", "/etc", {"node_trust": True}, "registry-nodes-agent"),
    ("storage_path", "/etc", {}, "registry-data-volume"),
    ("storage_size", "2GB", {}, "registry-data-claim"),
    ("storage_claim", "Claim", {"storage": "claim", "create_namespace": False}, "registry-workload-pod"),
    ("storage_class", "Fast", {"storage": "class"}, "registry-data-claim"),
    ("s3_bucket", "Team", {"storage": "s3"}, "registry-workload-configuration"),
    ("s3_region", "EU", {"storage": "s3", "s3_bucket": "team"}, "registry-workload-configuration"),
    ("s3_endpoint", "s3", {"storage": "s3", "s3_bucket": "team"}, "registry-workload-configuration"),
    ("s3_prefix", "/", {"storage": "s3", "s3_bucket": "team"}, "registry-workload-configuration"),
    (
        *("s3_access_key", ""),
        *({"storage": "s3", "s3_bucket": "team", "s3_secret_key": "hunter2"}, "registry-workload-configuration"),
    ),
    (
        *("s3_secret_key", ""),
        *({"storage": "s3", "s3_bucket": "team", "s3_access_key": "id"}, "registry-workload-configuration"),
    ),
    (
        *("s3_secret", "S3"),
        *({"storage": "s3", "s3_bucket": "team", "create_namespace": False}, "registry-workload-configuration"),
    ),
    ("upstream_ca", "no CA", {"storage": "s3", "s3_bucket": "team"}, "registry-workload-configuration"),
    ("node", "Master", {}, "registry-label"),
    ("node_label", "true", {}, "registry-label"),
    ("requests", {"cpu": "0"}, {}, "registry-workload-pod"),
    ("limits", {"memory": "0"}, {}, "registry-workload-pod"),
    ("priority_class", "High", {}, "registry-workload-pod"),
    ("image", "registry:latest", {}, "registry-workload-pod"),
    ("image_pull_secret", "Pull", {"create_namespace": False}, "registry-workload-pod"),
    ("mirror_of", "registry-1.docker.io", {"mode": "mirror"}, "registry-workload-configuration"),
    (
        *("mirror_username", "a:b"),
        {"mode": "mirror", "mirror_of": "https://registry-1.docker.io", "mirror_password": "hunter2"},
        "registry-workload-configuration",
    ),
    (
        *("mirror_password", ""),
        {"mode": "mirror", "mirror_of": "https://registry-1.docker.io", "mirror_username": "jean"},
        "registry-workload-configuration",
    ),
]


def test_the_table_has_every_input_that_may_be_an_output() -> None:
    assert {key for key, *_ in OUTPUTS} == {key for key in INPUTS if not is_structural(key)}


@pytest.mark.parametrize(("key", "value", "other_inputs", "resource"), OUTPUTS, ids=[key for key, *_ in OUTPUTS])
def test_an_invalid_output_is_refused_before_its_resource_is_created(
    deploy: Deploy, engine: Engine, key: str, value: Any, other_inputs: Inputs, resource: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", cast(Any, {**other_inputs, key: pulumi.Output.from_input(value)})))
    assert refusal.value.key.partition(".")[0] in (("ca_certificate", "ca_key") if key.startswith("ca_") else (key,))
    names = [each.name for each in engine.resources]
    assert resource not in names
    assert "registry-workload-pod" not in names or resource in ("registry-policy", "registry-service-ingress")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("key", [key for key in INPUTS if is_structural(key)])
def test_an_input_that_decides_the_resources_cannot_be_an_output(deploy: Deploy, engine: Engine, key: str) -> None:
    args = cast(Any, {key: pulumi.Output.from_input("later")})
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", args))
    assert (refusal.value.key, refusal.value.code) == (key, "output-not-allowed")
    assert [each.name for each in engine.resources if each.name != "registry"] == []


def test_a_plain_value_is_checked_at_once(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="`storage_size` "):
        validate("2GB", INPUTS["storage_size"].rule)
    assert engine.resources == []
