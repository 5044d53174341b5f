"""Run a real cert-manager outside the cluster, with a ClusterIssuer whose CA the test knows.

The CRDs are those of the Go module that the program is built with. The daemon ends with the lab.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dev.cluster import process
from dev.cluster.plan import LAPTOP
from dev.cluster.process import Daemon
from dev.toolchain.build import build_program
from registry.tls.issued import ISSUED_SECRET
from registry.validation.issuers import CERT_MANAGER_API
from tests.conftest import to_base64
from tests.e2e.crds import module_folder
from tests.e2e.kube_api import Object
from tests.e2e.lab import Lab, eventually, read_secret
from tests.issuing import CertificateSpec, IssuedCertificate, issue

NAME = "cert-manager"
ISSUER = {"name": "lab", "kind": "ClusterIssuer"}


@contextmanager
def serve(lab: Lab) -> Iterator[IssuedCertificate]:
    """Run the controller until the block ends. Yield the CA of the issuer."""
    folder = module_folder("cert-manager", "github.com/cert-manager/cert-manager") / "deploy/crds"
    crds = ",".join(str(file) for file in folder.glob("*.yaml"))
    controller = Daemon(LAPTOP, NAME, (str(build_program(NAME) / NAME), f"--kubeconfig={lab.cluster.kubeconfig}"))
    ca = issue(CertificateSpec("cert-manager's CA"))
    try:
        lab.kubectl("create", "--filename", crds)
        lab.kubectl("wait", "--for=condition=Established", "--filename", crds, "--timeout=30s")
        documents = "\n---\n".join(json.dumps(item) for item in _objects(ca))
        lab.environment.run("kubectl", "create", "--filename", "-", stdin=documents)
        process.start(lab.cluster.plan, controller, {"PATH": os.environ["PATH"]})
        lab.kubectl("wait", "--for=condition=Ready", f"clusterissuer/{ISSUER['name']}", "--timeout=60s")
        yield ca
    finally:
        process.stop(lab.cluster.plan, LAPTOP, NAME)
        lab.kubectl("delete", "--wait=false", "--filename", crds)
        lab.kubectl("delete", "--wait=false", "namespace", NAME)


def _objects(ca: IssuedCertificate) -> list[Object]:
    data = {"tls.crt": to_base64(ca.pem), "tls.key": to_base64(ca.key_pem)}
    metadata = {"name": "lab-ca", "namespace": NAME}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data},
        {
            "apiVersion": CERT_MANAGER_API,
            "kind": ISSUER["kind"],
            "metadata": {"name": ISSUER["name"]},
            "spec": {"ca": {"secretName": "lab-ca"}},
        },
    ]


def renew(lab: Lab, namespace: str) -> str:
    """Let cert-manager issue the certificate again, as `cmctl renew` does. Return the new certificate, PEM."""
    before = read_secret(lab, namespace, ISSUED_SECRET)["tls.crt"]
    status = lab.get("certificate", "docker-registry", namespace)["status"]
    (ready,) = [condition for condition in status["conditions"] if condition["type"] == "Ready"]
    issuing = {**ready, "type": "Issuing", "reason": "ManuallyTriggered", "message": "A test renews the certificate"}
    patch = json.dumps({"status": {"conditions": [ready, issuing]}})
    target = ("certificate", "docker-registry", "--namespace", namespace)
    lab.kubectl("patch", *target, "--subresource=status", "--type=merge", "--patch", patch)
    eventually(60, "the Secret has a new certificate", lambda: _certificate(lab, namespace) != before)
    return _certificate(lab, namespace)


def _certificate(lab: Lab, namespace: str) -> str:
    return read_secret(lab, namespace, ISSUED_SECRET)["tls.crt"]
