"""Deploy certificates of every origin, and verify them with strict clients.

Only real TLS clients and the real provider show that the served certificates are valid.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from tests.conftest import to_base64
from tests.e2e import cert_manager
from tests.e2e.lab import ADDRESS, Lab, Project, Registry, eventually, read_secret, unpack_package
from tests.e2e.load import all_failures, under_load
from tests.issuing import CertificateSpec, IssuedCertificate, issue, server_spec

pytestmark = pytest.mark.e2e

SETTINGS: dict[str, Any] = {
    "hostname": "registry.example.com",
    "namespace": "certified",
    "storage_path": "/var/lib/certified",
    "exposure": "node-port",
    "node_port": 30502,
}


def test_a_supplied_ca_issues_the_certificate_and_its_chain_is_served(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    """Only TLS clients show whether they accept the chain that the registry serves."""
    root = issue(CertificateSpec("Example root"))
    issuing_ca = issue(CertificateSpec("Example issuing CA"), root)
    registry = deploy_registry(
        "certified",
        {"ca_key": issuing_ca.key_pem},
        ca_certificate=issuing_ca.pem + root.pem,
        certificate_names=["*.example.com", "192.168.56.10"],
        certificate_key="RSA-2048",
        **SETTINGS,
    )
    assert registry.outputs["ca_pem"] == issuing_ca.pem + root.pem
    chain = x509.load_pem_x509_certificates(read_secret(lab, "certified", "cert-secret")["tls.crt"].encode())
    assert chain[1:] == [issuing_ca.certificate, root.certificate]
    assert registry.status("/v2/") == 200
    for host in ("registry.example.com", "mirror.example.com", "192.168.56.10"):
        verify_with_strict_clients(registry, root.pem, host)


KEY_KINDS = ("P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096")

PROGRAM = """
import json, pathlib, pulumi
from registry import PrivateRegistry

for name, args in json.loads(pathlib.Path("registries.json").read_text()).items():
    registry = PrivateRegistry(name, args)
    pulumi.export(name, {key: getattr(registry, key) for key in ("endpoint", "ca_pem", "username", "password")})
"""
"""Program of several registries. One `up` is faster than several, because it starts the engine only once."""


def test_strict_clients_accept_every_kind_of_key(create_project: Callable[..., Project]) -> None:
    """Only TLS clients show whether they accept a key of the real provider."""
    project = create_project("kinds", PROGRAM)
    registries = {
        f"key-{kind.lower()}": {
            "hostname": SETTINGS["hostname"],
            "namespace": f"key-{kind.lower()}",
            "certificate_key": kind,
            "storage_path": f"/var/lib/key-{kind}",
            "exposure": "node-port",
            "node_port": 30610 + number,
        }
        for number, kind in enumerate(KEY_KINDS)
    }
    (project.folder / "registries.json").write_text(json.dumps(registries))
    for name, outputs in project.up().items():
        registry = Registry(project, outputs, f"{ADDRESS}:{registries[name]['node_port']}")
        assert registry.status("/v2/") == 200, name
        verify_with_strict_clients(registry, outputs["ca_pem"], SETTINGS["hostname"])


def test_an_existing_tls_secret_is_served_and_a_wrong_one_is_refused(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    """Only the API server returns an existing Secret, and only real kubectl runs the commands of the remedy."""
    lab.kubectl("create", "namespace", "certified")
    try:
        ca = issue(CertificateSpec("Another CA"))
        matching, other = issue(server_spec("registry.example.com"), ca), issue(server_spec("other.example.com"), ca)
        for name, pair in (("matching", matching), ("other", other)):
            for part, text in (("crt", pair.pem + ca.pem), ("key", pair.key_pem)):
                lab.cluster.path("laptop", f"/var/{name}.{part}").write_text(text)
            files = (f"--cert=/var/{name}.crt", f"--key=/var/{name}.key")
            lab.kubectl("create", "secret", "tls", name, "--namespace", "certified", *files)
        registry = deploy_registry("certified", tls_secret="matching", create_namespace=False, **SETTINGS)
        assert registry.outputs["ca_pem"] == ca.pem
        assert registry.status("/v2/") == 200
        renew_and_expect_no_gap(registry, lambda: replace_certificate(lab, "matching", ca))
        registry.project.configure(tls_secret="other", create_namespace=False, **SETTINGS)
        assert "without the subject alternative name registry.example.com," in registry.project.expect_refusal()
        type_remedy_for_missing_root(lab, registry, ca, issue(CertificateSpec("Issuing CA"), ca))
        assert registry.status("/v2/") == 200, "the running registry is unchanged"
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
    finally:
        lab.kubectl("delete", "namespace", "certified")


def replace_certificate(lab: Lab, secret: str, ca: IssuedCertificate) -> str:
    """Put another certificate of the CA into the Secret. Return it, PEM."""
    renewed = issue(server_spec("registry.example.com"), ca)
    data = {"tls.crt": to_base64(renewed.pem + ca.pem), "tls.key": to_base64(renewed.key_pem)}
    lab.kubectl("patch", "secret", secret, "--namespace", "certified", "--patch", json.dumps({"data": data}))
    return renewed.pem


def test_cert_manager_issues_the_certificate_and_renews_it_without_a_gap(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    """Only a real cert-manager issues, and only a kubelet, HAProxy and clients show a renewal without a gap."""
    with cert_manager.serve(lab) as ca:
        names = ["mirror.example.com", "192.168.56.10"]
        registry = deploy_registry(
            "certified", certificate_issuer=cert_manager.ISSUER, certificate_names=names, **SETTINGS
        )
        assert registry.outputs["ca_pem"] == ca.pem
        for host in names:
            verify_with_strict_clients(registry, ca.pem, host)
        renew_and_expect_no_gap(registry, lambda: cert_manager.renew(lab, "certified"))
        report = json.loads(registry.ops("status", "--json").stdout)
        assert re.fullmatch(r"35[56] days left, issued by cert-manager's CA", report["leaf"]["seen"])
        assert report["leaf"]["remedy"] == report["secrets"]["remedy"] == ""
        registry.project.pulumi("destroy", "--yes", "--skip-preview")


def renew_and_expect_no_gap(registry: Registry, renew: Callable[[], str]) -> None:
    """Renew the certificate in its Secret under load. The same Pod must serve it, and `up` must not change anything.

    `renew` returns the new certificate, PEM.
    """
    lab = registry.project.lab
    uid = lab.get("pod", "docker-registry", "certified")["metadata"]["uid"]
    path = f"/v2/busybox/blobs/{registry.push('busybox')}"
    with under_load(registry, path, {"persistent": 1, "reconnecting": 1, "pushing": 1}) as results:
        renewed = x509.load_pem_x509_certificates(renew().encode())[0]
        eventually(90, "the renewed certificate is served", lambda: served_certificate(registry) == renewed)
    assert all_failures(results) == []
    assert len(results["reconnecting"]["certificates"]) == 2
    assert results["pushing"]["pushes"] > 0
    assert lab.get("pod", "docker-registry", "certified")["metadata"]["uid"] == uid
    registry.project.pulumi("preview", "--expect-no-changes")


def served_certificate(registry: Registry) -> x509.Certificate:
    """Return the certificate that a new connection gets."""
    shown = registry.project.lab.environment.run(
        "openssl", "s_client", "-connect", registry.address, "-servername", "registry.example.com", stdin=""
    )
    return x509.load_pem_x509_certificates(shown.stdout.encode())[0]


def type_remedy_for_missing_root(
    lab: Lab, registry: Registry, root: IssuedCertificate, issuing_ca: IssuedCertificate
) -> None:
    """Deploy a TLS Secret without a root, type the commands of the refusal, and check that the Secret is accepted."""
    server = issue(server_spec("registry.example.com"), issuing_ca)
    folder = lab.cluster.path("laptop", "/var/no-root")
    folder.mkdir()
    files = {"tls.crt": server.pem + issuing_ca.pem, "tls.key": server.key_pem, "ca.crt": "", "root.pem": root.pem}
    for name, text in files.items():
        (folder / name).write_text(text)
    data = [f"--from-file=/var/no-root/{name}" for name in ("tls.crt", "tls.key", "ca.crt")]
    lab.kubectl("create", "secret", "generic", "no-root", "--namespace", "certified", *data)
    registry.project.configure(tls_secret="no-root", create_namespace=False, **SETTINGS)
    refusal = " ".join(registry.project.expect_refusal().split())
    assert "lacks the certificate of 'CN=Another CA', which issued 'CN=Issuing CA'" in refusal
    for command in re.findall(r"`((?:cat|kubectl) [^`]*)`", refusal):
        lab.environment.run("sh", "-c", f"cd /var/no-root && {command}")
    registry.project.pulumi("preview")
    shutil.rmtree(folder)


PYTHON_CLIENT = """
import socket, ssl, sys
host, port, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
for flags in (0, ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN):
    context.verify_flags |= flags
    tcp_socket = socket.create_connection(("192.168.56.10", int(port)))
    with context.wrap_socket(tcp_socket, server_hostname=host) as tls:
        print(tls.version())
"""
"""Program that connects with the default flags of Python 3.11, then with those of Python 3.13."""


def verify_with_strict_clients(registry: Registry, ca_pem: str, host: str) -> None:
    """Verify the running registry on the laptop with OpenSSL in strict mode, Python and GnuTLS.

    The clients trust only `ca_pem`, and expect a certificate for `host`.
    """
    ca_file = registry.project.folder / "anchor.pem"
    ca_file.write_text(ca_pem)
    port = registry.address.rpartition(":")[2]
    is_address = host[0].isdigit()
    run = registry.project.lab.environment.run
    openssl = run(
        *["openssl", "s_client", "-connect", registry.address, "-CAfile", str(ca_file)],
        *["-x509_strict", "-verify_return_error"],
        *(["-verify_ip", host] if is_address else ["-servername", host, "-verify_hostname", host]),
        stdin="",
        check=False,
    )
    assert "Verify return code: 0 (ok)" in openssl.stdout, openssl.stdout + openssl.stderr
    assert run(sys.executable, "-c", PYTHON_CLIENT, host, port, str(ca_file)).stdout.startswith("TLSv1.")
    package = unpack_package("gnutls-cli", "gnutls-bin")
    variables = [f"{name}={package.env[name]}" for name in ("PATH", "LD_LIBRARY_PATH") if name in package.env]
    options = ("--x509cafile", str(ca_file), "--port", port, "--verify-hostname", host)
    gnutls = run("env", *variables, str(package.find("gnutls-cli")), *options, ADDRESS, stdin="", check=False)
    assert "The certificate is trusted" in gnutls.stdout, gnutls.stdout + gnutls.stderr
