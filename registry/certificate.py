"""The certificate: a CA, the leaf it signs, and the TLS Secret that the Pod mounts; or one that is there already.

A CA and a leaf rather than one self-signed certificate: clients trust the CA once, and the leaf is renewed under it
without any client noticing (docs/adr/0002-ca-and-leaf.md). A generated CA's key never leaves the Pulumi state.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_tls as tls

from .args import PrivateRegistryArgs
from .metadata import Metadata
from .validation.certificates import KEYS, LONGEST_DAYS
from .validation.secrets import opened

SECRET_NAME = "cert-secret"

DAY = 24
"""Hours; pulumi-tls counts in hours."""

Hosts = pulumi.Output[Sequence[str]]
"""Names and addresses of the registry. The first is the common name; all of them become SANs."""


class Authority(NamedTuple):
    """Who signs the leaf. `ca_pem` is the signer's certificate, then those above it."""

    ca_pem: pulumi.Input[str]
    key_pem: pulumi.Input[str]


class Certificate(pulumi.ComponentResource):
    """CA, leaf and Secret."""

    ca_pem: pulumi.Output[str]
    """What clients trust, PEM."""
    leaf_pem: pulumi.Output[str]
    """What the registry shows, PEM: it reads the file once, so a new one needs a new Pod."""
    secret_name: pulumi.Output[str]
    """Without the Secret as a dependency: it is deleted to be replaced, and what depends on it would be too."""

    def __init__(
        self,
        name: str,
        given: PrivateRegistryArgs,
        host: pulumi.Output[str],
        hosts: Hosts,
        metadata: Metadata,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("private-registry:index:Certificate", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        if given.get("tls_secret") is not None:
            self.ca_pem, self.leaf_pem, self.secret_name = _existing(name, given, host, metadata, child)
        else:
            self.ca_pem, self.leaf_pem, self.secret_name = _made(name, given, hosts, metadata, child)
        self.register_outputs({"ca_pem": self.ca_pem, "leaf_pem": self.leaf_pem, "secret_name": self.secret_name})


Served = tuple[pulumi.Output[str], pulumi.Output[str], pulumi.Output[str]]
"""CA, leaf, and the name of the Secret."""


def _made(
    name: str, given: PrivateRegistryArgs, hosts: Hosts, metadata: Metadata, opts: pulumi.ResourceOptions
) -> Served:
    authority = _authority(name, given, hosts, opts)
    key = _private_key(f"{name}-key", given["certificate_key"], opts)
    leaf = _leaf(f"{name}-leaf", given, _request(f"{name}-request", key, given, hosts, opts), authority, opts)
    kubernetes.core.v1.Secret(
        f"{name}-secret",
        metadata=metadata.of(SECRET_NAME),
        type="kubernetes.io/tls",
        string_data={
            "tls.crt": pulumi.Output.concat(leaf.cert_pem, authority.ca_pem),
            "tls.key": key.private_key_pem_pkcs8,
        },
        opts=opts,
    )
    return pulumi.Output.from_input(authority.ca_pem), leaf.cert_pem, pulumi.Output.from_input(SECRET_NAME)


def _existing(
    name: str, given: PrivateRegistryArgs, host: pulumi.Output[str], metadata: Metadata, opts: pulumi.ResourceOptions
) -> Served:
    """The Secret of somebody else, if it holds what clients that type `host` accept."""
    found = kubernetes.core.v1.Secret.get(
        f"{name}-from-kubectl-get-secrets", metadata.id_of(given["tls_secret"]), opts=opts
    )
    known = pulumi.Output.unsecret(pulumi.Output.all(found.data, host).apply(lambda both: _chain(*both)))
    secret_name = pulumi.Output.all(known, given["tls_secret"]).apply(lambda both: str(both[1]))
    return known.apply(lambda pair: pair[0]), known.apply(lambda pair: pair[1]), secret_name


def _chain(data: dict[str, str], host: str) -> tuple[str, str]:
    """What clients trust, and the leaf: `ca.crt` of the Secret, or else the end of its chain."""
    from .validation.pem import as_pem, bundle, served  # imported where it is needed: it takes as long as all the rest

    texts = opened("tls_secret", data, ("tls.crt", "tls.key"), "make it with `kubectl create secret tls`")
    leaf, *above = served(texts["tls.crt"], texts["tls.key"], [host])
    ca = bundle("tls_secret", texts["ca.crt"]) if "ca.crt" in texts else above or [leaf]
    return as_pem(ca), as_pem([leaf])


def _authority(name: str, given: PrivateRegistryArgs, hosts: Hosts, opts: pulumi.ResourceOptions) -> Authority:
    """The caller's CA, or one of the registry's own. Strict clients want its key usage and subject key identifier."""
    if given.get("ca_certificate") is not None:
        return Authority(given["ca_certificate"], given["ca_key"])
    key = _private_key(f"{name}-ca-key", given["certificate_key"], opts)
    ca = tls.SelfSignedCert(
        f"{name}-ca",
        private_key_pem=key.private_key_pem,
        subject=tls.SelfSignedCertSubjectArgs(
            common_name=hosts.apply(lambda known: f"{known[0]:.61} CA"), **given["certificate_subject"]
        ),
        is_ca_certificate=True,
        set_subject_key_id=True,
        allowed_uses=["cert_signing", "crl_signing"],
        validity_period_hours=given["ca_days"] * DAY,
        early_renewal_hours=LONGEST_DAYS * DAY,  # a leaf never outlives its CA
        opts=opts,
    )
    return Authority(ca.cert_pem, key.private_key_pem)


def _private_key(name: str, kind: str, opts: pulumi.ResourceOptions) -> tls.PrivateKey:
    key = KEYS[kind]
    return tls.PrivateKey(name, algorithm=key.algorithm, ecdsa_curve=key.ecdsa_curve, rsa_bits=key.rsa_bits, opts=opts)


def _request(
    name: str, key: tls.PrivateKey, given: PrivateRegistryArgs, hosts: Hosts, opts: pulumi.ResourceOptions
) -> tls.CertRequest:
    return tls.CertRequest(
        name,
        private_key_pem=key.private_key_pem,
        subject=tls.CertRequestSubjectArgs(
            common_name=hosts.apply(lambda known: known[0]), **given["certificate_subject"]
        ),
        dns_names=hosts.apply(lambda known: [host for host in known if not _is_address(host)]),
        ip_addresses=hosts.apply(lambda known: [host for host in known if _is_address(host)]),
        opts=opts,
    )


def _leaf(
    name: str, given: PrivateRegistryArgs, request: tls.CertRequest, signer: Authority, opts: pulumi.ResourceOptions
) -> tls.LocallySignedCert:
    """The server's certificate. Only RSA key exchange enciphers keys; for ECDSA that usage would be a lie."""
    is_rsa = given["certificate_key"].startswith("RSA")
    return tls.LocallySignedCert(
        name,
        cert_request_pem=request.cert_request_pem,
        ca_private_key_pem=signer.key_pem,
        ca_cert_pem=signer.ca_pem,
        set_subject_key_id=True,
        allowed_uses=["digital_signature", "server_auth"] + (["key_encipherment"] if is_rsa else []),
        validity_period_hours=given["certificate_days"] * DAY,
        early_renewal_hours=given["renew_before_days"] * DAY,
        opts=opts,
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
