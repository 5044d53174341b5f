"""What the registry shows: a leaf that the CA signs, with its key, in the TLS Secret that the Pod mounts."""

from collections.abc import Sequence
from typing import NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_tls as tls

from ..args import PrivateRegistryArgs
from ..metadata import Metadata
from ..validation.network import family
from .authority import DAY, Authority, Hosts, private_key

SECRET_NAME = "cert-secret"


class Leaf(NamedTuple):
    """What the registry shows, PEM: it reads the file once, so a new one needs a new Pod. And the Secret that has it.

    The name is without the Secret as a dependency: it is deleted to be replaced, and what depends on it would be too.
    """

    pem: pulumi.Output[str]
    secret_name: pulumi.Output[str]


def made_leaf(
    name: str,
    given: PrivateRegistryArgs,
    hosts: Hosts,
    signer: Authority,
    metadata: Metadata,
    opts: pulumi.ResourceOptions,
    after: Sequence[pulumi.Resource],
) -> Leaf:
    """Key, request and Secret; signed once `after` is there. The chain is the leaf and its signer's."""
    key = private_key(f"{name}-key", given["certificate_key"], opts)
    request = _request(f"{name}-request", key, given, hosts, opts)
    waiting = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[*after]))
    leaf = _signed(f"{name}-leaf", given, request, signer, waiting)
    kubernetes.core.v1.Secret(
        f"{name}-secret",
        metadata=metadata.of(SECRET_NAME),
        type="kubernetes.io/tls",
        string_data={
            "tls.crt": pulumi.Output.concat(leaf.cert_pem, signer.ca_pem),
            "tls.key": key.private_key_pem_pkcs8,
        },
        opts=opts,
    )
    return Leaf(leaf.cert_pem, pulumi.Output.from_input(SECRET_NAME))


def _request(
    name: str, key: tls.PrivateKey, given: PrivateRegistryArgs, hosts: Hosts, opts: pulumi.ResourceOptions
) -> tls.CertRequest:
    return tls.CertRequest(
        name,
        private_key_pem=key.private_key_pem,
        subject=tls.CertRequestSubjectArgs(
            common_name=hosts.apply(lambda known: known[0]), **given["certificate_subject"]
        ),
        dns_names=hosts.apply(lambda known: [host for host in known if not family(host)]),
        ip_addresses=hosts.apply(lambda known: [host for host in known if family(host)]),
        opts=opts,
    )


def _signed(
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
