"""The certificate: a CA of the registry's own, the leaf it signs, and the TLS Secret that the Pod mounts.

A CA and a leaf rather than one self-signed certificate: clients trust the CA once, and the leaf is renewed under it
without any client noticing (docs/adr/0002-ca-and-leaf.md). The CA's key never leaves the Pulumi state.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_tls as tls

from .validation.certificates import KEYS, LONGEST_DAYS

CA_DAYS = 3650
"""Ten years: replacing the CA means visiting every client."""

DAY = 24
"""Hours; pulumi-tls counts in hours."""


class CertificateSpec(NamedTuple):
    """What the leaf says and how long it lasts. `hosts[0]` is the common name; all of them become SANs."""

    hosts: Sequence[str]
    subject: Mapping[str, str]
    key: str
    days: int
    renew_before_days: int


class Certificate(pulumi.ComponentResource):
    """CA, leaf and Secret."""

    ca_pem: pulumi.Output[str]
    """What clients trust, PEM."""
    leaf_pem: pulumi.Output[str]
    """What the registry shows, PEM: it reads the file once, so a new one needs a new Pod."""
    secret_name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        spec: CertificateSpec,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("private-registry:index:Certificate", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        ca_key = _private_key(f"{name}-ca-key", spec.key, child)
        ca = _authority(f"{name}-ca", ca_key, spec, child)
        leaf_key = _private_key(f"{name}-key", spec.key, child)
        request = _request(f"{name}-request", leaf_key, spec, child)
        leaf = _leaf(f"{name}-leaf", request, ca_key, ca, spec, child)
        chain = pulumi.Output.concat(leaf.cert_pem, ca.cert_pem)
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": "cert-secret", "namespace": namespace},
            type="kubernetes.io/tls",
            string_data={"tls.crt": chain, "tls.key": leaf_key.private_key_pem_pkcs8},
            opts=child,
        )
        self.ca_pem = ca.cert_pem
        self.leaf_pem = leaf.cert_pem
        self.secret_name = secret.metadata.name
        self.register_outputs({"ca_pem": self.ca_pem, "leaf_pem": self.leaf_pem, "secret_name": self.secret_name})


def _private_key(name: str, kind: str, opts: pulumi.ResourceOptions) -> tls.PrivateKey:
    key = KEYS[kind]
    return tls.PrivateKey(name, algorithm=key.algorithm, ecdsa_curve=key.ecdsa_curve, rsa_bits=key.rsa_bits, opts=opts)


def _authority(
    name: str, key: tls.PrivateKey, spec: CertificateSpec, opts: pulumi.ResourceOptions
) -> tls.SelfSignedCert:
    """The CA. Python 3.13 and OpenSSL's strict mode want its key usage and its subject key identifier."""
    return tls.SelfSignedCert(
        name,
        private_key_pem=key.private_key_pem,
        subject=tls.SelfSignedCertSubjectArgs(common_name=f"{spec.hosts[0]} CA", **spec.subject),
        is_ca_certificate=True,
        set_subject_key_id=True,
        allowed_uses=["cert_signing", "crl_signing"],
        validity_period_hours=CA_DAYS * DAY,
        early_renewal_hours=LONGEST_DAYS * DAY,  # a leaf never outlives its CA
        opts=opts,
    )


def _request(name: str, key: tls.PrivateKey, spec: CertificateSpec, opts: pulumi.ResourceOptions) -> tls.CertRequest:
    return tls.CertRequest(
        name,
        private_key_pem=key.private_key_pem,
        subject=tls.CertRequestSubjectArgs(common_name=spec.hosts[0], **spec.subject),
        dns_names=[host for host in spec.hosts if not _is_address(host)],
        ip_addresses=[host for host in spec.hosts if _is_address(host)],
        opts=opts,
    )


def _leaf(
    name: str,
    request: tls.CertRequest,
    ca_key: tls.PrivateKey,
    ca: tls.SelfSignedCert,
    spec: CertificateSpec,
    opts: pulumi.ResourceOptions,
) -> tls.LocallySignedCert:
    """The server's certificate. Only RSA key exchange enciphers keys; for ECDSA that usage would be a lie."""
    uses = ["digital_signature", "server_auth"] + (["key_encipherment"] if spec.key.startswith("RSA") else [])
    return tls.LocallySignedCert(
        name,
        cert_request_pem=request.cert_request_pem,
        ca_private_key_pem=ca_key.private_key_pem,
        ca_cert_pem=ca.cert_pem,
        set_subject_key_id=True,
        allowed_uses=uses,
        validity_period_hours=spec.days * DAY,
        early_renewal_hours=spec.renew_before_days * DAY,
        opts=opts,
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
