"""A server certificate in a Secret that the user made, named by `tls_secret`, or that cert-manager wrote."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Self

import pulumi
import pulumi_kubernetes as kubernetes

from ..context import Context
from ..lookup import lookup_name
from ..validation.secrets import ExistingSecret, decode_secret_data
from .issuer import Hosts


class ExistingCertificate(pulumi.ComponentResource):
    """The certificate of an existing TLS Secret. Clients must accept it."""

    ca_pem: pulumi.Output[str]
    """The CAs that clients trust, PEM."""
    revision: pulumi.Output[str]
    """A text that changes with the certificate: the certificate itself, PEM."""
    chain: pulumi.Output[str]
    """The server certificate and those that follow it, PEM."""
    key: pulumi.Output[str]
    """The private key, PEM, a secret."""
    secret_name: pulumi.Output[str]
    """The name of the Secret, known once the certificate is checked."""

    def __init__(
        self,
        ctx: Context,
        tls_secret: pulumi.Input[str],
        host: pulumi.Output[str] | None,
        *,
        is_hostname: bool,
        key: str = "tls_secret",
    ) -> None:
        """Look up the Secret. Clients that type `host` must accept its certificate.

        `host` is None if cert-manager issues the certificate, which may still have the names before a change of them.
        `is_hostname` means that `host` is the input `hostname`, and not the name of the Service. `key` is the input
        that names the Secret or its issuer.
        """
        name = f"{ctx.name}-tls"
        super().__init__("private-registry:index:ExistingCertificate", name, {}, ctx.options())
        secret = kubernetes.core.v1.Secret.get(
            lookup_name(name, "secrets"),
            ctx.lookup_id(tls_secret),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Certificates are public, though the data of a Secret is secret.
        chain = pulumi.Output.unsecret(
            pulumi.Output.all(secret.data, host, ctx.namespace, tls_secret).apply(
                lambda values: _read_chain(key, *values, is_hostname=is_hostname)
            )
        )
        self.ca_pem, self.revision = chain.apply(lambda pair: pair[0]), chain.apply(lambda pair: pair[1])
        files = pulumi.Output.all(secret.data, chain).apply(lambda both: _read_files(both[0]))
        self.chain, self.key = files.apply(lambda pair: pair[0]), files.apply(lambda pair: pair[1])
        self.secret_name = pulumi.Output.all(chain, tls_secret).apply(lambda both: str(both[1]))
        self.register_outputs({"ca_pem": self.ca_pem, "pem": self.revision, "secret_name": self.secret_name})

    def issue(self, hosts: Hosts, after: Sequence[pulumi.Resource]) -> Self:
        """Return this certificate. The user has had it issued, so both arguments have no effect."""
        return self

    def complete_rotation_step(self, after: Sequence[pulumi.Resource]) -> None:
        """Do nothing: the user rotates the CA."""


def _read_files(data: Mapping[str, str]) -> tuple[str, str]:
    """Return the unchanged files tls.crt and tls.key of the checked Secret."""
    return b64decode(data["tls.crt"]).decode(), b64decode(data["tls.key"]).decode()


def _read_chain(
    key: str, data: Mapping[str, str], host: str | None, namespace: str, name: str, *, is_hostname: bool
) -> tuple[str, str]:
    """Return the CAs that clients trust, and the server certificate."""
    # Imported here, because `cryptography` takes longer to import than everything else.
    from ..validation.chains import TypedHost, validate_server_chain
    from ..validation.pem import to_pem
    from ..validation.system_roots import system_roots

    secret = ExistingSecret(key, namespace, name, ("tls.crt", "tls.key"), "kubernetes.io/tls")
    texts = decode_secret_data(secret, data, optional=("ca.crt",))
    typed = TypedHost(host, is_hostname) if host is not None else None
    chain = validate_server_chain(secret, texts, typed, system_roots)
    return to_pem(chain.trusted), to_pem(chain.certificates[:1])
