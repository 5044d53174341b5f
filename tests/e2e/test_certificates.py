"""Certificates of every origin, verified by the clients that are strictest."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from tests.e2e.lab import ADDRESS, Lab, Project, Registry, of_secret, unpacked
from tests.issuing import Wanted, issue, leaf

pytestmark = pytest.mark.e2e

WHERE: dict[str, Any] = {
    **{"hostname": "registry.example.com", "namespace": "certified", "storage_path": "/var/lib/certified"},
    **{"exposure": "node-port", "node_port": 30502},
}


def test_a_ca_of_ones_own_signs_and_its_chain_is_served(lab: Lab, registry: Callable[..., Registry]) -> None:
    root = issue(Wanted("Example root"))
    issuing = issue(Wanted("Example issuing CA"), root)
    served = registry(
        "certified",
        {"ca_key": issuing.key_pem},
        ca_certificate=issuing.pem + root.pem,
        certificate_names=["*.example.com", "192.168.56.10"],
        certificate_key="RSA-2048",
        **WHERE,
    )
    assert served.outputs["ca_pem"] == issuing.pem + root.pem
    chain = x509.load_pem_x509_certificates(of_secret(lab, "certified", "cert-secret")["tls.crt"].encode())
    assert chain[1:] == [issuing.certificate, root.certificate]
    assert served.status("/v2/") == 200
    for host in ("registry.example.com", "mirror.example.com", "192.168.56.10"):
        verified(served, root.pem, host)


KINDS = ("P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096")

PROGRAM = """
import json, pathlib, pulumi
from registry import PrivateRegistry

for name, args in json.loads(pathlib.Path("registries.json").read_text()).items():
    made = PrivateRegistry(name, args)
    pulumi.export(name, {key: getattr(made, key) for key in ("endpoint", "ca_pem", "username", "password")})
"""
"""One `up` for all kinds: most of its time it spends on starting."""


def test_every_kind_of_key_is_accepted_by_strict_clients(project: Callable[..., Project]) -> None:
    made = project("kinds", PROGRAM)
    wanted = {
        f"key-{kind.lower()}": {
            **{"hostname": WHERE["hostname"], "namespace": f"key-{kind.lower()}", "certificate_key": kind},
            **{"storage_path": f"/var/lib/key-{kind}", "exposure": "node-port", "node_port": 30610 + number},
        }
        for number, kind in enumerate(KINDS)
    }
    (made.folder / "registries.json").write_text(json.dumps(wanted))
    for name, outputs in made.up().items():
        served = Registry(made, outputs, f"{ADDRESS}:{wanted[name]['node_port']}")
        assert served.status("/v2/") == 200, name
        verified(served, outputs["ca_pem"], WHERE["hostname"])


def test_an_existing_tls_secret_is_served_and_a_wrong_one_is_refused(
    lab: Lab, registry: Callable[..., Registry]
) -> None:
    lab.kubectl("create", "namespace", "certified")
    try:
        ca = issue(Wanted("Another CA"))
        right, wrong = issue(leaf("registry.example.com"), ca), issue(leaf("other.example.com"), ca)
        for name, pair in (("right", right), ("wrong", wrong)):
            for part, text in (("crt", pair.pem + ca.pem), ("key", pair.key_pem)):
                lab.cluster.path("laptop", f"/var/{name}.{part}").write_text(text)
            files = (f"--cert=/var/{name}.crt", f"--key=/var/{name}.key")
            lab.kubectl("create", "secret", "tls", name, "--namespace", "certified", *files)
        served = registry("certified", tls_secret="right", create_namespace=False, **WHERE)
        assert served.outputs["ca_pem"] == ca.pem
        assert served.status("/v2/") == 200
        served.project.configure(tls_secret="wrong", create_namespace=False, **WHERE)
        assert "without the subject alternative name registry.example.com," in served.project.refused()
        assert served.status("/v2/") == 200, "the running registry does not notice"
        served.project.pulumi("destroy", "--yes", "--skip-preview")
    finally:
        lab.kubectl("delete", "namespace", "certified")


STRICT = """
import socket, ssl, sys
host, port, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
raw = socket.create_connection(("192.168.56.10", int(port)))
with context.wrap_socket(raw, server_hostname=host) as tls:
    print(tls.version())
"""
"""What Python does by default from 3.13 on."""


def verified(served: Registry, anchor: str, host: str) -> None:
    """By OpenSSL in strict mode, Python's and GnuTLS, each on the laptop and against the running registry."""
    file = served.project.folder / "anchor.pem"
    file.write_text(anchor)
    port = served.at.rpartition(":")[2]
    is_address = host[0].isdigit()
    run = served.project.lab.place.run
    shown = run(
        *["openssl", "s_client", "-connect", served.at, "-CAfile", str(file), "-x509_strict", "-verify_return_error"],
        *(["-verify_ip", host] if is_address else ["-servername", host, "-verify_hostname", host]),
        stdin="",
        check=False,
    )
    assert "Verify return code: 0 (ok)" in shown.stdout, shown.stdout + shown.stderr
    assert run(sys.executable, "-c", STRICT, host, port, str(file)).stdout.startswith("TLSv1.")
    gnutls = unpacked("gnutls-cli", "gnutls-bin")
    environment = [f"{name}={gnutls.env[name]}" for name in ("PATH", "LD_LIBRARY_PATH") if name in gnutls.env]
    checks = ("--x509cafile", str(file), "--port", port, "--verify-hostname", host)
    told = run("env", *environment, str(gnutls.find("gnutls-cli")), *checks, ADDRESS, stdin="", check=False)
    assert "The certificate is trusted" in told.stdout, told.stdout + told.stderr
