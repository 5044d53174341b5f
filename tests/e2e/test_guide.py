"""Check each step of the guide (docs/guide.md) on the live cluster after `make up`.

The guide describes the behaviour of a cluster, its nodes and a Docker engine, which no recording engine has. The number
in the name of a test is the step. Tests with the number 12 check what happens after the last step.
"""

import base64
import json
import subprocess
from datetime import timedelta
from ipaddress import ip_address

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from tests.e2e.lab import ADDRESS, NAMESPACE, STACK, STORAGE_PATH, Lab, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.together]

ENDPOINT = f"{NAMESPACE}:5000"


@pytest.fixture
def certificate(lab: Lab) -> x509.Certificate:
    """Return the server certificate in the TLS Secret."""
    return x509.load_pem_x509_certificates(secret_value(lab, "cert-secret", "tls.crt"))[0]


def secret_value(lab: Lab, name: str, key: str) -> bytes:
    """Return a decoded value of a Secret."""
    return base64.b64decode(lab.get("secret", name)["data"][key])


def test_up_prints_the_address_and_the_login_command(first_up: subprocess.CompletedProcess[str]) -> None:
    """Only a real `make up` prints these lines."""
    assert f"{ENDPOINT} is up at {ADDRESS}" in first_up.stdout
    assert f"docker login {ENDPOINT} --username centos --password-stdin" in first_up.stdout


def test_1_the_namespace_enforces_pod_security(lab: Lab) -> None:
    """Only the API server returns the labels that it enforces."""
    labels = lab.get("namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline", "root owns the guide's folder"


def test_2_the_certificate_has_the_guides_subject_and_every_name(lab: Lab, certificate: x509.Certificate) -> None:
    """Only the real provider issues a certificate with the subject and names of its inputs."""
    subject = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert subject == {
        NameOID.COUNTRY_NAME: "FR",
        NameOID.STATE_OR_PROVINCE_NAME: "Alpes Maritimes",
        NameOID.LOCALITY_NAME: "Nice",
        NameOID.ORGANIZATION_NAME: "SINGLETON",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "R&D",
        NameOID.COMMON_NAME: NAMESPACE,
    }
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    in_cluster = f"{NAMESPACE}.{NAMESPACE}"
    dns_names = [NAMESPACE, in_cluster, f"{in_cluster}.svc", f"{in_cluster}.svc.cluster.local"]
    assert names.get_values_for_type(x509.DNSName) == dns_names
    assert names.get_values_for_type(x509.IPAddress) == [ip_address(ADDRESS)]


def test_2_the_certificate_lasts_356_days_and_its_key_is_p256(certificate: x509.Certificate) -> None:
    """Only the real provider creates a key, and sets the end of a certificate."""
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=356)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_2_the_ca_in_the_outputs_issued_the_certificate(certificate: x509.Certificate, outputs: dict[str, str]) -> None:
    """Only the real provider signs a certificate and sets its extensions."""
    ca = x509.load_pem_x509_certificate(outputs["ca_pem"].encode())
    certificate.verify_directly_issued_by(ca)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert ca.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)  # raises ExtensionNotFound


def test_3_the_tls_secrets_key_and_chain_match(
    lab: Lab, certificate: x509.Certificate, outputs: dict[str, str]
) -> None:
    """Only the real provider creates a key that belongs to a certificate."""
    assert lab.get("secret", "cert-secret")["type"] == "kubernetes.io/tls"
    key = load_pem_private_key(secret_value(lab, "cert-secret", "tls.key"), password=None)
    assert key.public_key() == certificate.public_key()
    chain = x509.load_pem_x509_certificates(secret_value(lab, "cert-secret", "tls.crt"))
    assert chain == [certificate, x509.load_pem_x509_certificate(outputs["ca_pem"].encode())]


def test_4_the_htpasswd_line_is_the_generated_passwords_hash(lab: Lab, outputs: dict[str, str]) -> None:
    """Only the real provider generates a password and a salt."""
    (line,) = secret_value(lab, "auth-secret", "registry.password").decode().splitlines()
    name, password_hash = line.split(":")
    assert name == "centos"
    assert len(outputs["password"]) == 32, "32 letters and digits have 190 bits"
    assert password_hash.startswith("$2b$05$")
    assert bcrypt.checkpw(outputs["password"].encode(), password_hash.encode())


def test_5_the_claim_is_bound_to_the_guides_folder(lab: Lab) -> None:
    """Only the cluster binds a claim to a volume."""
    claim = lab.get("pvc", "repository")
    assert claim["status"]["phase"] == "Bound"
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    volume = lab.get("pv", claim["spec"]["volumeName"])
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["spec"]["hostPath"]["path"] == STORAGE_PATH


def test_6_the_node_is_labelled(lab: Lab) -> None:
    """Only the API server merges a patch into the labels of a node."""
    assert lab.get("node", "k8s-master")["metadata"]["labels"]["run-docker-registry"] == "true"


def test_7_the_pod_runs_on_the_tainted_node(lab: Lab) -> None:
    """Only a scheduler and a kubelet show whether the Pod tolerates the taint and becomes ready."""
    taints = lab.get("node", "k8s-master")["spec"]["taints"]
    assert {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"} in taints
    pod = lab.get("pod", NAMESPACE)
    assert pod["spec"]["nodeName"] == "k8s-master"
    assert {condition["type"]: condition["status"] for condition in pod["status"]["conditions"]}["Ready"] == "True"
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry:3.1.2"
    request = container["readinessProbe"]["httpGet"]
    assert (request["path"], request["scheme"]) == ("/", "HTTPS")


def test_7_the_process_has_no_capability_and_cannot_gain_one(lab: Lab) -> None:
    """Only the kernel shows the capabilities of a process."""
    status = lab.kubectl("exec", "--namespace", NAMESPACE, NAMESPACE, "--", "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2", "a seccomp filter is active"


@pytest.mark.parametrize("folder", ["/", "/certs", "/auth", "/etc/distribution"])
def test_7_the_process_cannot_write_outside_of_the_images(lab: Lab, folder: str) -> None:
    """Only a container runtime mounts file systems."""
    touch = f"touch {folder}/probe 2>&1 || true"
    assert "Read-only file system" in lab.kubectl("exec", "--namespace", NAMESPACE, NAMESPACE, "--", "sh", "-c", touch)


def test_7_the_pod_has_no_service_account_token(lab: Lab) -> None:
    """Only a kubelet mounts a token."""
    listing = "ls /var/run/secrets/kubernetes.io 2>&1 || true"
    assert "No such file" in lab.kubectl("exec", "--namespace", NAMESPACE, NAMESPACE, "--", "sh", "-c", listing)


def test_7_the_registry_runs_with_the_projects_configuration(lab: Lab) -> None:
    """Only a running registry opens ports and writes logs."""
    listening = lab.kubectl("exec", "--namespace", NAMESPACE, NAMESPACE, "--", "netstat", "-lnt")
    assert ":5000 " in listening
    assert ":5001 " not in listening, "no debug port"
    assert "level=debug" not in lab.kubectl("logs", "--namespace", NAMESPACE, NAMESPACE)
    config = secret_value(lab, "configuration-secret", "config.yml").decode()
    http = json.loads(config)["http"]
    assert http["draintimeout"] == "5s"
    assert http["secret"]


def test_8_the_service_answers_outside_the_cluster(lab: Lab, ca_file: str) -> None:
    """Only kube-proxy forwards an external IP."""
    service = lab.get("service", NAMESPACE)["spec"]
    assert service["externalIPs"] == [ADDRESS]
    assert service["ports"][0]["port"] == 5000
    assert lab.curl("/", "--cacert", ca_file, "--output", "/dev/null", "--write-out", "%{http_code}").stdout == "200"


def test_9_a_client_without_the_ca_reports_an_unknown_authority(lab: Lab, outputs: dict[str, str]) -> None:
    """Only a Docker engine prints this error."""
    ca_path = lab.cluster.path("laptop", f"/etc/docker/certs.d/{ENDPOINT}/ca.crt")
    moved_path = ca_path.rename(ca_path.with_suffix(".moved"))
    try:
        refused = lab.log_in(outputs["password"])
    finally:
        moved_path.rename(ca_path)
    assert refused.returncode != 0
    assert "x509: certificate signed by unknown authority" in refused.stderr


def test_10_a_client_with_the_ca_logs_in_pushes_and_pulls(lab: Lab, outputs: dict[str, str]) -> None:
    """Only a Docker engine pushes and pulls as the guide does."""
    ca_path = lab.cluster.path("laptop", f"/etc/docker/certs.d/{ENDPOINT}/ca.crt")
    ca_path.write_text(lab.pulumi("stack", "output", "ca_pem", *STACK).stdout)
    login = lab.log_in(outputs["password"])
    assert "Login Succeeded" in login.stdout, login.stderr
    assert lab.push("guide/busybox:1") == lab.pull("guide/busybox:1")


def test_10_a_wrong_password_is_refused(lab: Lab) -> None:
    """Only a running registry compares passwords."""
    refused = lab.log_in("wrong")
    assert refused.returncode != 0
    assert "401" in refused.stderr or "unauthorized" in refused.stderr.lower()


def test_11_the_catalog_lists_the_pushed_image(lab: Lab, outputs: dict[str, str], ca_file: str) -> None:
    """Only a running registry stores images."""
    user = f"{outputs['username']}:{outputs['password']}"
    assert "guide/busybox" in lab.curl("/v2/_catalog", "--cacert", ca_file, "--user", user).stdout


def test_12_a_second_up_changes_nothing(lab: Lab) -> None:
    """Only the real providers compare their inputs with the state."""
    before = secret_value(lab, "auth-secret", "registry.password")
    lab.up("--expect-no-changes")
    lab.preview("--expect-no-changes")
    assert lab.planned_changes() == {}
    assert secret_value(lab, "auth-secret", "registry.password") == before, "the salt is unchanged"


def test_12_a_killed_registry_restarts_with_its_images(lab: Lab) -> None:
    """Only a kubelet restarts a container."""
    digest = lab.push("guide/busybox:1")
    # `kill` may fail with exit code 137, because it ends with process 1. The restart below shows the success.
    lab.kubectl("exec", "--namespace", NAMESPACE, NAMESPACE, "--", "kill", "1", check=False)

    def has_restarted() -> bool:
        (container,) = lab.get("pod", NAMESPACE)["status"]["containerStatuses"]
        answers = lab.curl("/", "--insecure").returncode == 0  # kube-proxy needs a moment for a ready Pod
        return container["restartCount"] > 0 and bool(container["ready"]) and answers

    eventually(60, "the kubelet restarts the registry", has_restarted)
    assert lab.pull("guide/busybox:1") == digest


def test_12_up_creates_a_deleted_pod_again_with_its_images(lab: Lab) -> None:
    """Only a node keeps the images of a deleted Pod."""
    digest = lab.push("guide/busybox:1")
    lab.kubectl("delete", "pod", "--namespace", NAMESPACE, NAMESPACE)
    lab.up("--refresh")
    assert lab.pull("guide/busybox:1") == digest
