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

from tests.e2e.lab import ADDRESS, Lab, Project, Registry, read_secret, unpack_package
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
        registry.project.configure(tls_secret="other", create_namespace=False, **SETTINGS)
        assert "without the subject alternative name registry.example.com," in registry.project.expect_refusal()
        type_remedy_for_missing_root(lab, registry, ca, issue(CertificateSpec("Issuing CA"), ca))
        assert registry.status("/v2/") == 200, "the running registry is unchanged"
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
    finally:
        lab.kubectl("delete", "namespace", "certified")


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
