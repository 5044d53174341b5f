"""The server certificate, with its key, in the TLS Secret that the Pod mounts."""

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_tls as tls

from ..context import Context
from ..pods import uid_of
from ..settings import TlsSettings
from ..validation.network import ip_version
from .issuer import HOURS_PER_DAY, Hosts, Issuer, create_private_key

SECRET_NAME = "cert-secret"


class ServerCertificate(pulumi.ComponentResource):
    """The key, the request, the certificate and the Secret."""

    revision: pulumi.Output[str]
    """A text that changes with the certificate, and with the UID of its Secret. An edited Secret is replaced.

    The registry reads the certificate only at its start, so a new revision needs a new Pod."""
    chain: pulumi.Output[str]
    """The server certificate and the CA that issued it, PEM."""
    key: pulumi.Output[str]
    """The private key, PEM, a secret."""
    secret_name: pulumi.Output[str]
    """A plain name, not an output of the Secret: replacing the Secret would otherwise replace the Pod as well."""

    def __init__(
        self,
        ctx: Context,
        settings: TlsSettings,
        issuer: Issuer,
        hosts: Hosts,
        after: Sequence[pulumi.Resource],
    ) -> None:
        """Issue the certificate once `after` is deployed."""
        name = f"{ctx.name}-tls"
        super().__init__("private-registry:index:ServerCertificate", name, {}, ctx.options())
        child = pulumi.ResourceOptions(parent=self, depends_on=[*issuer.after])
        key = create_private_key(f"{name}-key", settings.certificate_key, self)
        request = _request(f"{name}-request", settings, key, hosts, child)
        issued = _issue(
            f"{name}-leaf",
            settings,
            request,
            issuer,
            pulumi.ResourceOptions(parent=self, depends_on=[*issuer.after, *after]),
        )
        self.chain, self.key = pulumi.Output.concat(issued.cert_pem, issuer.ca_pem), key.private_key_pem_pkcs8
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata=ctx.metadata(SECRET_NAME),
            type="kubernetes.io/tls",
            string_data={"tls.crt": self.chain, "tls.key": self.key},
            opts=child,
        )
        self.secret_name = pulumi.Output.from_input(SECRET_NAME)
        self.revision = pulumi.Output.format("{}{}", issued.cert_pem, uid_of(secret))
        self.register_outputs({"pem": issued.cert_pem, "secret_name": self.secret_name})


def _request(
    name: str, settings: TlsSettings, key: tls.PrivateKey, hosts: Hosts, opts: pulumi.ResourceOptions
) -> tls.CertRequest:
    return tls.CertRequest(
        name,
        private_key_pem=key.private_key_pem,
        subject=tls.CertRequestSubjectArgs(
            common_name=hosts.apply(lambda names: names[0]), **settings.certificate_subject
        ),
        dns_names=hosts.apply(lambda names: [host for host in names if not ip_version(host)]),
        ip_addresses=hosts.apply(lambda names: [host for host in names if ip_version(host)]),
        opts=opts,
    )


def _issue(
    name: str, settings: TlsSettings, request: tls.CertRequest, issuer: Issuer, opts: pulumi.ResourceOptions
) -> tls.LocallySignedCert:
    """Issue the certificate. It has the usage `key_encipherment` for RSA only, because ECDSA keys cannot encipher."""
    is_rsa = settings.certificate_key.startswith("RSA")
    return tls.LocallySignedCert(
        name,
        cert_request_pem=request.cert_request_pem,
        ca_private_key_pem=issuer.key_pem,
        ca_cert_pem=issuer.ca_pem,
        set_subject_key_id=True,
        allowed_uses=["digital_signature", "server_auth"] + (["key_encipherment"] if is_rsa else []),
        validity_period_hours=settings.certificate_days * HOURS_PER_DAY,
        early_renewal_hours=settings.renew_before_days * HOURS_PER_DAY,
        opts=opts,
    )
