"""What is refused before anything is created: a table that reads as documentation."""

from typing import Any, cast

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import PrivateRegistry
from registry.settings import DEFAULTS, RULES, SECRET, is_structural
from registry.validation import InvalidInput, checked, known_keys
from registry.validation.credentials import password_advice
from registry.validation.images import image_advice
from registry.validation.storage import size_advice
from tests.conftest import Deploy, Engine

Given = dict[str, Any]

REFUSED: list[tuple[str, Any, str]] = [
    # key, value, what the message says
    ("hostname", "", "a DNS name in lower case"),
    ("hostname", "Docker-Registry", "a DNS name in lower case"),
    ("hostname", "docker registry", "a DNS name in lower case"),
    ("hostname", "docker_registry", "a DNS name in lower case"),
    ("hostname", "https://docker-registry", "a DNS name in lower case"),
    ("hostname", "docker-registry:5000", "a DNS name in lower case"),
    ("hostname", "docker-registry/v2", "a DNS name in lower case"),
    ("hostname", "docker-registry.", "a DNS name in lower case"),
    ("hostname", "-docker-registry", "a DNS name in lower case"),
    ("hostname", "*.example.com", "a DNS name in lower case"),
    ("hostname", "a" * 64, "a DNS name in lower case"),
    ("hostname", f"{'a' * 40}.{'b' * 40}.example.com", "at most 64 characters"),
    ("hostname", "régistre.example.com", "plain ASCII"),
    ("hostname", "docker-registry\n", "a DNS name in lower case"),
    ("hostname", "192.168.56.10", "a name, not an address"),
    ("hostname", "1.2.3", "a name, not an address"),
    ("hostname", 7, "text"),
    ("hostname", "registry..example.com", "a DNS name in lower case"),
    ("hostname", "docker\0registry", "a DNS name in lower case"),
    ("hostname", "fe80::1%eth0", "a DNS name in lower case"),
    ("hostname", "a" * 2**20, "a DNS name in lower case"),
    ("hostname", None, "text"),
    ("port", 0, "a TCP port from 1 to 65535"),
    ("port", -1, "a TCP port"),
    ("port", 65536, "a TCP port"),
    ("port", 70000, "a TCP port"),
    ("port", 5000.5, "a TCP port"),
    ("port", float("nan"), "a TCP port"),
    ("port", True, "a TCP port"),
    ("port", "443/tcp", "a TCP port"),
    ("port", [5000], "a TCP port"),
    ("exposure", "External-IPs", "one of cluster, external-ips, node-port"),
    ("exposure", "", "one of cluster"),
    ("exposure", ["cluster"], "one of cluster"),
    ("external_ips", "192.168.56.10", "a list of addresses"),
    ("external_ips", ["127.0.0.1"], "addresses that other hosts can reach"),
    ("external_ips", ["0.0.0.0"], "addresses that other hosts can reach"),
    ("external_ips", ["169.254.1.1"], "addresses that other hosts can reach"),
    ("external_ips", ["224.0.0.1"], "addresses that other hosts can reach"),
    ("external_ips", ["239.1.1.1"], "addresses that other hosts can reach"),
    ("external_ips", ["240.0.0.1"], "addresses that other hosts can reach"),
    ("external_ips", ["255.255.255.255"], "addresses that other hosts can reach"),
    ("external_ips", ["::"], "addresses that other hosts can reach"),
    ("external_ips", ["::1"], "addresses that other hosts can reach"),
    ("external_ips", ["fe80::1"], "addresses that other hosts can reach"),
    ("external_ips", ["fd00::1%eth0"], "addresses that other hosts can reach"),
    ("external_ips", ["ff02::1"], "addresses that other hosts can reach"),
    ("external_ips", ["::ffff:1.2.3.4"], "addresses that other hosts can reach"),
    ("external_ips", ["010.0.0.1"], "IP addresses in full"),
    ("external_ips", ["1.2.3"], "IP addresses in full"),
    ("external_ips", ["1.2.3.4/24"], "IP addresses in full"),
    ("external_ips", ["256.1.1.1"], "IP addresses in full"),
    ("external_ips", [1], "IP addresses in full"),
    ("external_ips", ["192.168.56.10", "192.168.56.10"], "distinct addresses"),
    ("external_ips", [f"10.0.0.{host}" for host in range(33)], "at most 32 addresses"),
    ("external_ips", ["172.16.1.1", "2001:db8::1"], "addresses of one family"),
    ("external_ips", ["2001:db8::1", "2001:db8::1"], "distinct addresses"),
    ("external_ips", ["2001:DB8:0::1"], "addresses in their usual form, got '2001:DB8:0::1': write '2001:db8::1'"),
    ("external_ips", ["fe80::1%eth0"], "addresses that other hosts can reach"),
    ("node_port", 29999, "a port from 30000 to 32767"),
    ("node_port", 32768, "a port from 30000 to 32767"),
    ("node_port", 443, "a port from 30000 to 32767"),
    ("node_port", True, "a port from 30000 to 32767"),
    ("node_port", "30500", "a port from 30000 to 32767"),
    ("load_balancer_class", "", "a name with an optional DNS prefix"),
    ("load_balancer_class", "example.com/", "a name with an optional DNS prefix"),
    ("load_balancer_class", "/internal", "a name with an optional DNS prefix"),
    ("load_balancer_class", "Example.com/internal", "a name with an optional DNS prefix"),
    ("load_balancer_class", "a/b/c", "a name with an optional DNS prefix"),
    ("load_balancer_class", 1, "text"),
    ("load_balancer_address", "127.0.0.1", "addresses that other hosts can reach"),
    ("load_balancer_address", "::ffff:10.0.0.1", "addresses that other hosts can reach"),
    ("load_balancer_address", "10.0.0.0/24", "IP addresses in full"),
    ("load_balancer_address", "lb.example.com", "IP addresses in full"),
    ("load_balancer_address", "2001:DB8::1", "addresses in their usual form"),
    ("ingress_class", "Nginx", "the name of an object in lower case"),
    ("ingress_class", "", "the name of an object in lower case"),
    ("client_cidrs", "10.0.0.0/8", "a list of texts"),
    ("client_cidrs", ["10.0.0.1"], "networks in CIDR notation"),
    ("client_cidrs", ["10.0.0.1/8"], "networks in CIDR notation, host bits zero"),
    ("client_cidrs", ["10.0.0.0/33"], "networks in CIDR notation"),
    ("client_cidrs", ["10.0.0.0/255.0.0.0"], "networks in CIDR notation"),
    ("client_cidrs", ["010.0.0.0/8"], "networks in CIDR notation"),
    ("client_cidrs", ["fe80::%eth0/64"], "networks in CIDR notation"),
    ("client_cidrs", ["10.0.0.0/08"], "networks in their usual form, got '10.0.0.0/08': write '10.0.0.0/8'"),
    ("client_cidrs", ["2001:DB8::/32"], "networks in their usual form"),
    ("client_cidrs", ["::ffff:10.0.0.0/104"], "networks in their usual form"),
    ("client_cidrs", ["10.0.0.0/8", "10.0.0.0/8"], "a list without repetition"),
    ("client_cidrs", [f"10.0.{third}.0/24" for third in range(101)], "at most 100 entries"),
    ("namespace", "Docker", "a DNS label"),
    ("namespace", "a" * 64, "a DNS label"),
    ("namespace", "a.b", "a DNS label"),
    ("namespace", "default", "one of the registry's own"),
    ("namespace", "kube-system", "one of the registry's own"),
    ("namespace", "", "a DNS label"),
    ("namespace", "-docker", "a DNS label"),
    ("namespace", "docker_registry", "a DNS label"),
    ("namespace", "docker\n", "a DNS label"),
    ("namespace", "kube-public", "one of the registry's own"),
    ("namespace", "kube-node-lease", "one of the registry's own"),
    ("create_namespace", "on", "true or false"),
    ("create_namespace", 1, "true or false"),
    ("labels", ["team=red"], "a map"),
    ("labels", {"": "red"}, "keyed by a name with an optional DNS prefix"),
    ("labels", {"team red": "red"}, "keyed by a name with an optional DNS prefix"),
    ("labels", {"Example.com/team": "red"}, "keyed by a name with an optional DNS prefix"),
    ("labels", {f"{'a' * 64}": "red"}, "keyed by a name with an optional DNS prefix"),
    ("labels", {f"{'a' * 254}/team": "red"}, "keyed by a name with an optional DNS prefix"),
    ("labels", {1: "red"}, "keyed by a name with an optional DNS prefix"),
    ("labels", {"team": "r" * 64}, "at most 63 letters"),
    ("labels", {"team": "-red"}, "at most 63 letters"),
    ("labels", {"team": "red=blue"}, "at most 63 letters"),
    ("labels", {"team": "red\n"}, "at most 63 letters"),
    ("labels", {"team": True}, "text, got True"),
    ("labels", {"app.kubernetes.io/name": "x"}, "keys of your own"),
    ("labels", {"private-registry/namespace": "x"}, "keys of your own"),
    ("labels", {f"team-{number}": "" for number in range(101)}, "at most 100 labels"),
    ("annotations", "text", "a map"),
    ("annotations", {"team/": "red"}, "keyed by a name with an optional DNS prefix"),
    ("annotations", {"pulumi.com/skipAwait": "false"}, "keys of your own"),
    ("annotations", {"Pulumi.com/skipAwait": "false"}, "keys of your own"),
    ("annotations", {"team": 7}, "text, got 7"),
    ("annotations", {"team": "\ud800"}, "valid Unicode, got a lone surrogate"),
    ("annotations", {"team": "r" * 2**20}, "at most 245760 bytes in all"),
    ("certificate_names", "registry.example.com", "a list of texts"),
    ("certificate_names", [1], "a list of texts"),
    ("certificate_names", [""], "DNS names in lower case or addresses"),
    ("certificate_names", ["*"], "DNS names in lower case or addresses"),
    ("certificate_names", ["*."], "DNS names in lower case or addresses"),
    ("certificate_names", ["*.com"], "DNS names in lower case or addresses"),
    ("certificate_names", ["a.*.example.com"], "DNS names in lower case or addresses"),
    ("certificate_names", ["*.*.example.com"], "DNS names in lower case or addresses"),
    ("certificate_names", ["a*.example.com"], "DNS names in lower case or addresses"),
    ("certificate_names", ["Registry.example.com"], "DNS names in lower case or addresses"),
    ("certificate_names", ["a" * 64], "DNS names in lower case or addresses"),
    ("certificate_names", [f"{'a.' * 126}aa"], "DNS names in lower case or addresses"),
    ("certificate_names", ["*.1.2.3"], "addresses of four numbers, or names"),
    ("certificate_names", ["256.1.1.1"], "addresses of four numbers, or names"),
    ("certificate_names", ["::ffff:1.2.3.4"], "addresses as a certificate holds them"),
    ("certificate_names", ["fe80::1%eth0"], "addresses as a certificate holds them"),
    ("certificate_names", ["a.example.com", "A.example.com"], "a list without repetition"),
    ("certificate_names", ["2001:db8::1", "2001:db8:0::1"], "distinct addresses"),
    ("certificate_names", [f"a{number}.example.com" for number in range(101)], "at most 100 entries"),
    ("certificate_subject", ["FR"], "a map"),
    ("certificate_subject", {"contry": "FR"}, "did you mean `certificate_subject.country`?"),
    ("certificate_subject", {"country": "France"}, "1 to 2 printable characters"),
    ("certificate_subject", {"country": "fr"}, "two capital letters"),
    ("certificate_subject", {"locality": ""}, "1 to 128 printable characters"),
    ("certificate_subject", {"organization": "o" * 65}, "1 to 64 printable characters"),
    ("certificate_subject", {"organization": "a\nb"}, "1 to 64 printable characters"),
    ("certificate_subject", {"country": "é1"}, "two capital letters"),
    ("certificate_subject", {"organizational_unit": 7}, "1 to 64 printable characters"),
    ("certificate_subject", {"province": "\ud800"}, "1 to 128 printable characters"),
    ("certificate_key", "RSA-1024", "one of P-256, P-384, RSA-2048"),
    ("certificate_key", "P-224", "one of P-256"),
    ("certificate_key", "ed25519", "one of P-256"),
    ("certificate_days", 0, "from 1 to 397"),
    ("certificate_days", -1, "from 1 to 397"),
    ("certificate_days", 1.5, "a whole number"),
    ("certificate_days", 398, "from 1 to 397"),
    ("certificate_days", "356", "a whole number"),
    ("renew_before_days", 397, "from 0 to 396"),
    ("renew_before_days", -1, "from 0 to 396"),
    ("renew_before_days", 0.5, "from 0 to 396"),
    ("ca_days", 397, "from 794 to 7300"),
    ("ca_days", 7301, "from 794 to 7300"),
    ("ca_days", float("inf"), "from 794 to 7300"),
    ("ca_generations", 1, "a list of one generation or two"),
    ("ca_generations", [], "a list of one generation or two"),
    ("ca_generations", [1, 2, 3], "a list of one generation or two"),
    ("ca_generations", "[1, 2]", "a list of one generation or two"),
    ("ca_generations", ["1"], "a list of whole numbers from 1 to 50"),
    ("ca_generations", [0, 1], "a list of whole numbers from 1 to 50"),
    ("ca_generations", [50, 51], "a list of whole numbers from 1 to 50"),
    ("ca_generations", [1.5], "a list of whole numbers from 1 to 50"),
    ("ca_generations", [True, 2], "a list of whole numbers from 1 to 50"),
    ("ca_generations", [1, 1], "consecutive generations"),
    ("ca_generations", [3, 1], "consecutive generations"),
    ("ca_certificate", 7, "certificates in PEM"),
    ("ca_key", 7, "a private key in PEM, got a value of type int"),
    ("ca_key", "hunter2", "a private key in PEM, got what cannot be read as that"),
    ("upstream_ca", ["a CA"], "certificates in PEM"),
    ("tls_secret", "Certificate", "the name of an object in lower case"),
    ("tls_secret", "default/certificate", "the name of an object in lower case"),
    ("tls_secret", "a." * 126 + "aa", "the name of an object in lower case"),
    ("users_secret", "users_secret", "the name of an object in lower case"),
    ("users", [], "a list with a name or more"),
    ("users", "centos", "a list with a name or more"),
    ("users", ["centos", "centos"], "a list without repetition"),
    ("users", [""], "names of 1 to 255 bytes"),
    ("users", ["a" * 256], "names of 1 to 255 bytes"),
    ("users", ["a:b"], "free of ':'"),
    ("users", ["#centos"], "free of ':'"),
    ("users", [" centos"], "free of ':'"),
    ("users", ["cen\ntos"], "free of ':'"),
    ("users", ["cen\0tos"], "free of ':'"),
    ("users", None, "a list with a name or more"),
    ("users", [7], "text"),
    ("users", ["centos "], "free of ':'"),
    ("users", ["cen\rtos"], "free of ':'"),
    ("users", ["\ud800"], "free of ':'"),
    ("users", [f"user-{number}" for number in range(101)], "at most 100 users"),
    ("node_trust", "yes", "true or false"),
    ("node_trust_image", "busybox", "pinned to a version or a digest"),
    ("node_trust_image", "Busybox:1.37", "an image reference in lower case"),
    ("containerd_folder", "certs.d", "an absolute path"),
    ("containerd_folder", "/etc/containerd/certs.d/", "an absolute path"),
    ("containerd_folder", "/etc/containerd/../certs.d", "an absolute path"),
    ("containerd_folder", "/etc//certs.d", "an absolute path"),
    ("containerd_folder", "/etc/a:b/certs.d", "an absolute path"),
    ("containerd_folder", "/etc/\n/certs.d", "an absolute path"),
    ("containerd_folder", 7, "text"),
    ("containerd_folder", "/etc/containerd", "a folder called certs.d"),
    ("docker_folder", "/", "a folder called certs.d"),
    ("docker_folder", "/etc", "a folder called certs.d"),
    ("docker_folder", "", "an absolute path"),
    ("passwords", {"centos": ""}, "1 to 72 bytes, got 0 bytes"),
    ("passwords", {"centos": "p" * 73}, "1 to 72 bytes, got 73 bytes"),
    ("passwords", {"centos": "é" * 37}, "1 to 72 bytes, got 74 bytes"),
    ("passwords", {"centos": "two\nlines"}, "one line, got a line break or NUL"),
    ("passwords", {"centos": "nul\0"}, "one line, got a line break or NUL"),
    ("passwords", {"centos": "\ud800"}, "valid Unicode, got a lone surrogate"),
    ("passwords", {"centos": 12345678}, "text, got a value of type int"),
    ("passwords", "correct horse", "a map by user, got a value of type str"),
    ("passwords", {"centos": "cr\r"}, "one line, got a line break or NUL"),
    ("passwords", {"centos": "p" * 2**20}, "1 to 72 bytes, got 1048576 bytes"),
    ("passwords", {"centos": None}, "text, got a value of type NoneType"),
    ("storage", "hostPath", "one of host-path, local, claim, class, s3"),
    ("storage", None, "one of host-path"),
    ("storage_claim", "", "the name of an object in lower case"),
    ("storage_claim", "claim_1", "the name of an object in lower case"),
    ("storage_class", "Standard", "the name of an object in lower case"),
    ("storage_access", "ReadOnlyMany", "one of ReadWriteOnce, ReadWriteOncePod, ReadWriteMany"),
    ("storage_access", "RWO", "one of ReadWriteOnce"),
    ("s3_bucket", "", "a bucket's name"),
    ("s3_bucket", "ab", "a bucket's name"),
    ("s3_bucket", "a" * 64, "a bucket's name"),
    ("s3_bucket", "Team-Registry", "a bucket's name"),
    ("s3_bucket", "team_registry", "a bucket's name"),
    ("s3_bucket", "team..registry", "a bucket's name"),
    ("s3_bucket", "-team", "a bucket's name"),
    ("s3_bucket", "10.1.2.3", "a bucket's name"),
    ("s3_bucket", "s3://team", "a bucket's name"),
    ("s3_region", "", "a region in lower case"),
    ("s3_region", "EU-West-3", "a region in lower case"),
    ("s3_region", "eu west 3", "a region in lower case"),
    ("s3_endpoint", "s3.example.com", "the http or https URL of a server"),
    ("s3_endpoint", "ftp://s3.example.com", "the http or https URL of a server"),
    ("s3_endpoint", "https://s3.example.com/bucket", "the http or https URL of a server, without a path"),
    ("s3_endpoint", "https://s3.example.com?x=1", "the http or https URL of a server"),
    ("s3_endpoint", "https://s3..example.com", "the http or https URL of a server"),
    ("s3_endpoint", "https://256.1.1.1", "the http or https URL of a server"),
    ("s3_endpoint", "https://[::1", "the http or https URL of a server"),
    ("s3_endpoint", "https://s3.example.com:0", "the http or https URL of a server"),
    ("s3_endpoint", "https://s3.example.com:65536", "the http or https URL of a server"),
    ("s3_endpoint", "https://key:hunter2@s3.example.com", "a URL without credentials, got one with some"),
    ("s3_prefix", "", "a folder such as a/b"),
    ("s3_prefix", "/a", "a folder such as a/b"),
    ("s3_prefix", "a/", "a folder such as a/b"),
    ("s3_prefix", "a//b", "a folder such as a/b"),
    ("s3_prefix", "a/../b", "a folder such as a/b"),
    ("s3_prefix", "a" * 513, "a folder such as a/b"),
    ("s3_access_key", "", "1 to 4096 printable characters without outer spaces, got 0 characters"),
    ("s3_access_key", 7, "text, got a value of type int"),
    ("s3_secret_key", " hunter2", "1 to 4096 printable characters without outer spaces, got 8 characters"),
    ("s3_secret_key", "hunter2\n", "1 to 4096 printable characters without outer spaces, got 8 characters"),
    ("s3_secret_key", 7, "text, got a value of type int"),
    ("s3_secret", "S3", "the name of an object in lower case"),
    ("workload", "Deployment", "one of pod, deployment"),
    ("workload", "statefulset", "one of pod, deployment"),
    ("replicas", 0, "a whole number from 1 to 32"),
    ("replicas", 33, "a whole number from 1 to 32"),
    ("replicas", 1.5, "a whole number from 1 to 32"),
    ("replicas", True, "a whole number from 1 to 32"),
    ("node", "", "the name of a node"),
    ("node", "K8s-Master", "the name of a node"),
    ("node", "a" * 64, "the name of a node"),
    ("node", "node_1", "the name of a node"),
    ("node", "a." * 32 + "a", "the name of a node"),
    ("node_label", "run docker registry=true", "a label with a valid key"),
    ("node_label", "run-docker-registry", "key=value"),
    ("node_label", "=true", "a label with a valid key"),
    ("node_label", "run=-true", "a label with a value"),
    ("node_label", "run=a=b", "a label with a value"),
    ("node_label", "run=a,b", "a label with a value"),
    ("node_label", f"run={'a' * 64}", "a label with a value"),
    ("node_label", f"{'a' * 254}/run=true", "a label with a valid key"),
    ("node_label", "kubernetes.io/hostname=k8s-worker", "a label of your own"),
    ("node_label", "node-role.kubernetes.io/control-plane=", "a label of your own"),
    ("node_label", "run=true\n", "a label with a value"),
    ("node_label", 7, "text"),
    ("storage_path", "", "absolute"),
    ("storage_path", "relative", "absolute"),
    ("storage_path", "/", "a folder of the registry's own"),
    ("storage_path", "/etc", "a folder of the registry's own"),
    ("storage_path", "/etc/registry", "a folder of the registry's own"),
    ("storage_path", "/var", "a folder of the registry's own"),
    ("storage_path", "/var/lib", "a folder of the registry's own"),
    ("storage_path", "/var/lib/kubelet/x", "a folder of the registry's own"),
    ("storage_path", "/proc/x", "a folder of the registry's own"),
    ("storage_path", "/root/x", "a folder of the registry's own"),
    ("storage_path", "/home/x", "a folder of the registry's own"),
    ("storage_path", "/var/lib/../../etc", "absolute, without '..'"),
    ("storage_path", "//srv/registry", "absolute, without '..', '//'"),
    ("storage_path", "/srv//registry", "absolute, without '..', '//'"),
    ("storage_path", "/srv/registry/", "absolute, without '..', '//' or a trailing '/'"),
    ("storage_path", "/srv/registry\n", "a path without control characters"),
    ("storage_path", "/srv/a:b", "a path without control characters and ':'"),
    ("storage_path", "/srv/tmp/registry", "on lasting storage"),
    ("storage_path", "/dev/x", "a folder of the registry's own"),
    ("storage_path", "/sys/x", "a folder of the registry's own"),
    ("storage_path", "/boot/x", "a folder of the registry's own"),
    ("storage_path", "/var/lib/docker/x", "a folder of the registry's own"),
    ("storage_path", "/var/log", "a folder of the registry's own"),
    ("storage_path", "/var/run/x", "a folder of the registry's own"),
    ("storage_path", "/srv/./registry", "absolute, without '..'"),
    ("storage_path", "/srv/..", "absolute, without '..'"),
    ("storage_path", "/tmp/registry", "on lasting storage"),
    ("storage_path", "/srv/a\0b", "a path without control characters"),
    ("storage_path", f"/srv/{'é' * 128}", "folders of at most 255 bytes each"),
    ("storage_path", "/srv" * 1024, "folders of at most 255 bytes each"),
    ("storage_path", 7, "text"),
    ("storage_size", "2GB", "a Kubernetes quantity"),
    ("storage_size", "2 Gi", "a Kubernetes quantity"),
    ("storage_size", "2gi", "a Kubernetes quantity"),
    ("storage_size", "-1Gi", "a Kubernetes quantity"),
    ("storage_size", "1e-3", "a Kubernetes quantity"),
    ("storage_size", "1m", "a Kubernetes quantity"),
    ("storage_size", "NaN", "a Kubernetes quantity"),
    ("storage_size", "٢Gi", "a Kubernetes quantity"),
    ("storage_size", "0", "whole bytes from 1Mi up to 8Ei"),
    ("storage_size", "2", "whole bytes from 1Mi up to 8Ei"),
    ("storage_size", "9Ei", "whole bytes from 1Mi up to 8Ei"),
    ("storage_size", 2, "text"),
    ("storage_size", "", "a Kubernetes quantity"),
    ("storage_size", "1e9", "a Kubernetes quantity"),
    ("storage_size", "+2Gi", "a Kubernetes quantity"),
    ("storage_size", "2Gi\n", "a Kubernetes quantity"),
    ("storage_size", "1" * 33, "a Kubernetes quantity"),
    ("storage_size", "2000000.5", "whole bytes from 1Mi up to 8Ei"),
    ("storage_size", "1125899906842623.0000000000000001", "whole bytes from 1Mi up to 8Ei"),
    ("requests", ["cpu"], "a map"),
    ("requests", {"gpu": "1"}, "a setting of the registry"),
    ("requests", {"cpu": 1}, "text"),
    ("requests", {"cpu": "0"}, "an amount that a registry can run with"),
    ("requests", {"cpu": "0.5m"}, "an amount that a registry can run with"),
    ("requests", {"cpu": "5000"}, "an amount that a registry can run with"),
    ("requests", {"cpu": "100mm"}, "a Kubernetes quantity"),
    ("requests", {"memory": "64"}, "an amount that a registry can run with"),
    ("requests", {"memory": "64m"}, "a Kubernetes quantity"),
    ("requests", {"memory": "64MB"}, "a Kubernetes quantity"),
    ("limits", "512Mi", "a map"),
    ("limits", {"memory": "2Pi"}, "an amount that a registry can run with"),
    ("limits", {"memory": "-1Gi"}, "a Kubernetes quantity"),
    ("limits", {"cpuu": "1"}, "did you mean `limits.cpu`?"),
    ("priority_class", "High", "the name of an object in lower case"),
    ("image", "registry", "pinned to a version"),
    ("image", "registry:latest", "pinned to a version"),
    ("image", "Registry:3.1.2", "an image reference in lower case"),
    ("image", "registry@sha256:1234", "an image reference"),
    ("image", "registry:3.1.2 ", "an image reference"),
    ("image", "", "an image reference"),
    ("image", "registry@sha512:" + "0" * 128, "an image reference"),
    ("image", "https://example.com/registry:3.1.2", "an image reference"),
    ("image", "a..b/registry:3.1.2", "an image reference"),
    ("image", "-a.b/registry:3.1.2", "an image reference"),
    ("image", "registry:", "an image reference"),
    ("image", f"registry:{'a' * 129}", "an image reference"),
    ("image", f"{'a' * 256}:1", "an image reference"),
    ("image", 3, "text"),
    ("image_pull_policy", "always", "one of Always, IfNotPresent, Never"),
    ("image_pull_policy", "", "one of Always"),
    ("image_pull_secret", "Pull", "the name of an object in lower case"),
    ("run_as_user", -1, "a numeric user id"),
    ("run_as_user", True, "a numeric user id"),
    ("run_as_user", 2**31, "a numeric user id"),
    ("run_as_user", "nobody", "a numeric user id"),
    ("mode", "readonly", "one of read-write, read-only, mirror"),
    ("mode", True, "one of read-write"),
    ("mirror_of", "registry-1.docker.io", "the http or https URL of a server"),
    ("mirror_of", "https://registry-1.docker.io/library", "the http or https URL of a server, without a path"),
    ("mirror_of", "https://jean:hunter2@example.com", "a URL without credentials, got one with some"),
    ("mirror_username", "", "1 to 255 printable characters without ':'"),
    ("mirror_username", "a:b", "1 to 255 printable characters without ':'"),
    ("mirror_username", "a\nb", "1 to 255 printable characters without ':'"),
    ("mirror_username", "a" * 256, "1 to 255 printable characters without ':'"),
    ("mirror_password", "", "1 to 4096 printable characters without outer spaces, got 0 characters"),
    ("mirror_password", "p" * 4097, "1 to 4096 printable characters without outer spaces, got 4097 characters"),
    ("mirror_password", ["hunter2"], "text, got a value of type list"),
    ("allow_delete", "yes", "true or false"),
    ("allow_delete", 0, "true or false"),
    ("upload_hours", 0, "a whole number of hours from 1 to 8760"),
    ("upload_hours", 8761, "a whole number of hours from 1 to 8760"),
    ("upload_hours", "24h", "a whole number of hours from 1 to 8760"),
    ("metrics", "true", "true or false"),
    ("service_monitor", "false", "true or false"),
    ("password_generations", [1, 2], "a map by user"),
    ("password_generations", {"centos": []}, "a list of one generation or two"),
    ("password_generations", {"centos": [1, 2, 3]}, "a list of one generation or two"),
    ("password_generations", {"centos": [0]}, "a list of whole numbers from 1 to"),
    ("password_generations", {"centos": [1.5]}, "a list of whole numbers from 1 to"),
    ("password_generations", {"centos": [True]}, "a list of whole numbers from 1 to"),
    ("password_generations", {"centos": [1, 1]}, "consecutive generations"),
    ("password_generations", {"centos": [1], "jean": [1, 3]}, "consecutive generations"),
    ("pull_secrets", "team-a", "a list of texts"),
    ("pull_secrets", ["Team"], "names of namespaces, DNS labels"),
    ("pull_secrets", ["team.a"], "names of namespaces, DNS labels"),
    ("pull_secrets", ["a" * 64], "names of namespaces, DNS labels"),
    ("pull_secrets", [""], "names of namespaces, DNS labels"),
    ("pull_secrets", ["team-a\n"], "names of namespaces, DNS labels"),
    ("pull_secrets", ["team-a", "team-a"], "a list without repetition"),
    ("pull_secrets", [f"team-{number}" for number in range(101)], "at most 100 entries"),
    ("default_pull_secret", "yes", "true or false"),
    ("discovery", 1, "true or false"),
    ("log_level", "Info", "one of error, warn, info, debug"),
    ("log_level", "trace", "one of error, warn, info, debug"),
    ("log_format", "xml", "one of text, json, logstash"),
]


@pytest.mark.parametrize(("key", "value", "says"), REFUSED, ids=[f"{key}={value!r}"[:60] for key, value, _ in REFUSED])
def test_it_is_refused_with_the_key_the_rule_and_a_remedy(key: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        RULES[key](value)
    message = str(refusal.value)
    assert message.startswith(f"`{key}")
    assert says in message
    assert message.partition(", got ")[2].partition(": ")[2], "a remedy"
    assert "\n" not in message
    assert len(message) < 400


def test_every_input_has_a_row() -> None:
    assert {key for key, _, _ in REFUSED} == RULES.keys()


def test_the_table_tells_at_least_eighty_kinds_apart() -> None:
    """A kind is a key and the rule that a value breaks."""
    kinds = {(key, says.partition(", got ")[0]) for key, _, says in REFUSED}
    assert len(kinds) >= 80, len(kinds)


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
def test_it_is_accepted_as_it_is(key: str, value: Any) -> None:
    assert RULES[key](value) == value


SECRETS = st.text(alphabet=st.characters(categories=["Lu", "Nd", "Cc", "Cs"]), min_size=4, max_size=100)
LINES = st.lists(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=", min_size=16, max_size=64), min_size=1)


@pytest.mark.parametrize("key", SECRET)
@given(data=st.data())
def test_no_message_holds_a_secret(key: str, data: st.DataObject) -> None:
    """Of a key in PEM, no line; of the others, not the whole, which at four characters may not be an accident."""
    secrets = data.draw(LINES) if key == "ca_key" else [data.draw(SECRETS)]
    value: Any = {
        "ca_key": "\n".join(["-----BEGIN PRIVATE KEY-----", *secrets, "-----END PRIVATE KEY-----"]),
        "passwords": {"centos": secrets[0]},
    }.get(key, secrets[0])
    refusal: InvalidInput | None = None
    try:
        RULES[key](value)
    except InvalidInput as raised:
        refusal = raised
    assert not any(secret in str(refusal) for secret in secrets)
    assert refusal is None or refusal.__cause__ is None, "the original error holds the secret"


@pytest.mark.parametrize("key", SECRET)
@pytest.mark.parametrize("value", [b"hunter2", ["hunter2"], {"hunter": ["hunter2"]}, {"centos": b"hunter2"}])
def test_nor_does_that_of_a_value_of_another_type(key: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        RULES[key](value)
    assert "hunter2" not in str(refusal.value)


def test_a_key_with_control_characters_is_shown_on_one_line_and_a_long_one_in_short() -> None:
    with pytest.raises(InvalidInput, match=r"`host\\nname` must be a setting of the registry"):
        known_keys(["host\nname"], RULES)
    with pytest.raises(InvalidInput) as refusal:
        known_keys(["k" * 2**20], RULES)
    assert len(str(refusal.value)) < 1500


def test_an_unknown_key_is_answered_with_the_likely_one() -> None:
    with pytest.raises(InvalidInput, match="did you mean `hostname`"):
        known_keys(["hostnam"], RULES)


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
def test_a_version_with_known_holes_is_told_by_its_tag(image: str, outdated: bool) -> None:
    assert bool(image_advice(image)) is outdated


@pytest.mark.parametrize(("size", "decimal"), [("2G", True), ("500k", True), ("2Gi", False), ("3000000000", False)])
def test_a_size_in_powers_of_ten_is_told_from_one_in_powers_of_two(size: str, decimal: bool) -> None:
    assert bool(size_advice(size)) is decimal


def test_the_guides_own_password_is_weak() -> None:
    assert "of centos is easily guessed" in password_advice({"centos": "centos"})
    assert password_advice({"longer-name": "Longer-Name"})
    assert password_advice({"centos": "Passw0rd"}), "of eight characters, and on every list"
    assert not password_advice({"centos": "correct horse"})


DYNAMIC: list[tuple[str, Any, Given, str]] = [
    # key, value, what it means something beside, the resource that must not be made of it
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


def test_the_table_has_every_input_that_may_come_from_another_resource() -> None:
    assert {key for key, *_ in DYNAMIC} == {key for key in RULES if not is_structural(key)}


@pytest.mark.parametrize(("key", "value", "beside", "made"), DYNAMIC, ids=[each[0] for each in DYNAMIC])
def test_an_output_is_checked_when_its_value_is_known_and_nothing_is_made_of_it(
    deploy: Deploy, engine: Engine, key: str, value: Any, beside: Given, made: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", cast(Any, {**beside, key: pulumi.Output.from_input(value)})))
    assert str(refusal.value).startswith(("`ca_certificate", "`ca_key") if key.startswith("ca_") else f"`{key}")
    registered = [each.name for each in engine.registered]
    assert made not in registered
    assert "registry-workload-pod" not in registered or made in ("registry-policy", "registry-service-ingress")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("key", [key for key in RULES if is_structural(key)])
def test_what_shapes_the_graph_cannot_be_an_output(deploy: Deploy, engine: Engine, key: str) -> None:
    late = cast(Any, {key: pulumi.Output.from_input("later")})
    with pytest.raises(InvalidInput, match=f"`{key}` must be known before deployment, got an Output: take it from"):
        deploy(lambda: PrivateRegistry("registry", late))
    assert [each.name for each in engine.registered if each.name != "registry"] == []


def test_a_plain_value_is_checked_at_once(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="`storage_size`"):
        checked("2GB", RULES["storage_size"])
    assert engine.registered == []
