"""What is refused before anything is created: a table that reads as documentation."""

from contextlib import suppress
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import PrivateRegistry
from registry.settings import DEFAULTS, RULES
from registry.validation import InvalidInput, checked, known_keys
from registry.validation.credentials import password_advice, passwords
from registry.validation.images import image_advice
from registry.validation.storage import size_advice
from tests.conftest import Deploy, Engine

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
    ("port", 0, "a TCP port from 1 to 65535"),
    ("port", -1, "a TCP port"),
    ("port", 65536, "a TCP port"),
    ("port", 70000, "a TCP port"),
    ("port", 5000.5, "a TCP port"),
    ("port", float("nan"), "a TCP port"),
    ("port", True, "a TCP port"),
    ("port", "443/tcp", "a TCP port"),
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
    ("external_ips", ["2001:db8::1", "2001:DB8:0::1"], "distinct addresses"),
    ("external_ips", [f"10.0.0.{host}" for host in range(33)], "at most 32 addresses"),
    ("namespace", "Docker", "a DNS label"),
    ("namespace", "a" * 64, "a DNS label"),
    ("namespace", "a.b", "a DNS label"),
    ("namespace", "default", "one of the registry's own"),
    ("namespace", "kube-system", "one of the registry's own"),
    ("certificate_subject", ["FR"], "a map"),
    ("certificate_subject", {"contry": "FR"}, "did you mean `certificate_subject.country`?"),
    ("certificate_subject", {"country": "France"}, "1 to 2 printable characters"),
    ("certificate_subject", {"country": "fr"}, "two capital letters"),
    ("certificate_subject", {"locality": ""}, "1 to 128 printable characters"),
    ("certificate_subject", {"organization": "o" * 65}, "1 to 64 printable characters"),
    ("certificate_subject", {"organization": "a\nb"}, "1 to 64 printable characters"),
    ("certificate_key", "RSA-1024", "one of P-256, P-384, RSA-2048"),
    ("certificate_key", "P-224", "one of P-256"),
    ("certificate_key", "ed25519", "one of P-256"),
    ("certificate_days", 0, "from 1 to 397"),
    ("certificate_days", -1, "from 1 to 397"),
    ("certificate_days", 1.5, "a whole number"),
    ("certificate_days", 398, "from 1 to 397"),
    ("renew_before_days", 397, "from 0 to 396"),
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
    ("passwords", {"centos": ""}, "1 to 72 bytes, got 0 bytes"),
    ("passwords", {"centos": "p" * 73}, "1 to 72 bytes, got 73 bytes"),
    ("passwords", {"centos": "é" * 37}, "1 to 72 bytes, got 74 bytes"),
    ("passwords", {"centos": "two\nlines"}, "one line, got a line break or NUL"),
    ("passwords", {"centos": "nul\0"}, "one line, got a line break or NUL"),
    ("passwords", {"centos": "\ud800"}, "valid Unicode, got a lone surrogate"),
    ("passwords", {"centos": 12345678}, "text, got a value of type int"),
    ("passwords", "correct horse", "a map by user, got a value of type str"),
    ("node", "", "the name of a node"),
    ("node", "K8s-Master", "the name of a node"),
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
    ("image", "registry", "pinned to a version"),
    ("image", "registry:latest", "pinned to a version"),
    ("image", "Registry:3.1.2", "an image reference in lower case"),
    ("image", "registry@sha256:1234", "an image reference"),
    ("image", "registry:3.1.2 ", "an image reference"),
    ("run_as_user", -1, "a numeric user id"),
    ("run_as_user", True, "a numeric user id"),
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


ACCEPTED: list[tuple[str, Any]] = [
    ("hostname", "registry.example.com"),
    ("hostname", "xn--rgistre-bya.example.com"),
    ("port", 443),
    ("port", 5000.0),
    ("external_ips", ["192.168.56.10", "192.168.56.11"]),
    ("external_ips", ["2001:db8::1"]),
    ("certificate_subject", {"country": "FR", "province": "Alpes Maritimes", "organizational_unit": "R&D"}),
    ("certificate_key", "RSA-4096"),
    ("users", ["jean.dupont@example.com"]),
    ("passwords", {"centos": "é" * 36}),
    ("node_label", "example.com/run-docker-registry="),
    ("storage_path", "/srv/registry..old"[:13]),
    ("storage_path", "/mnt/disk1/registry"),
    ("storage_size", "1.5Ti"),
    ("storage_size", "500M"),
    ("image", "registry:2.7"),
    ("image", "mirror.example.com:5000/library/registry:3.1.2"),
    ("image", f"registry@sha256:{'0' * 64}"),
    ("run_as_user", 65532),
    *DEFAULTS.items(),
]


@pytest.mark.parametrize(("key", "value"), ACCEPTED, ids=[f"{key}={value!r}"[:60] for key, value in ACCEPTED])
def test_it_is_accepted_as_it_is(key: str, value: Any) -> None:
    assert RULES[key](value) == value


@given(st.text(alphabet=st.characters(categories=["Lu", "Nd", "Cc", "Cs"]), min_size=4, max_size=100))
def test_no_message_holds_a_password(value: str) -> None:
    with suppress(InvalidInput):
        assert passwords({"centos": value}) == {"centos": value}
        return
    with pytest.raises(InvalidInput) as refusal:
        passwords({"centos": value})
    assert value not in str(refusal.value)
    assert refusal.value.__cause__ is None, "the original error holds the password"


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
    assert not password_advice({"centos": "correct horse"})


def test_an_output_is_checked_when_its_value_is_known(deploy: Deploy) -> None:
    with pytest.raises(InvalidInput, match="`storage_size` must be a Kubernetes quantity, got '2GB'"):
        deploy(lambda: PrivateRegistry("registry", {"storage_size": pulumi.Output.from_input("2GB")}))


def test_a_plain_value_is_checked_at_once(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="`storage_size`"):
        checked("2GB", RULES["storage_size"])
    assert engine.registered == []
