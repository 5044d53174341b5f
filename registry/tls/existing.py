"""A server certificate that the user made: the existing Secret that `tls_secret` names."""

from collections.abc import Mapping, Sequence
from typing import Self

import pulumi
import pulumi_kubernetes as kubernetes

from ..context import Context
from ..lookup import lookup_name
from ..validation.secrets import decode_secret_data
from .issuer import Hosts


class ExistingCertificate(pulumi.ComponentResource):
    """The certificate of an existing TLS Secret. Clients must accept it."""

    ca_pem: pulumi.Output[str]
    """The CAs that clients trust, PEM."""
    pem: pulumi.Output[str]
    """The server certificate, PEM."""
    secret_name: pulumi.Output[str]
    """The name of the Secret, known once the certificate is checked."""

    def __init__(self, ctx: Context, tls_secret: pulumi.Input[str], host: pulumi.Output[str]) -> None:
        """Look up the Secret. Clients that type `host` must accept its certificate."""
        name = f"{ctx.name}-tls"
        super().__init__("private-registry:index:ExistingCertificate", name, {}, ctx.options())
        secret = kubernetes.core.v1.Secret.get(
            lookup_name(name, "secrets"),
            ctx.lookup_id(tls_secret),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Certificates are public, though the data of a Secret is secret.
        chain = pulumi.Output.unsecret(pulumi.Output.all(secret.data, host).apply(lambda both: _read_chain(*both)))
        self.ca_pem, self.pem = chain.apply(lambda pair: pair[0]), chain.apply(lambda pair: pair[1])
        self.secret_name = pulumi.Output.all(chain, tls_secret).apply(lambda both: str(both[1]))
        self.register_outputs({"ca_pem": self.ca_pem, "pem": self.pem, "secret_name": self.secret_name})

    def issue(self, hosts: Hosts, after: Sequence[pulumi.Resource]) -> Self:
        """Return this certificate, which the user had issued."""
        return self

    def complete_rotation_step(self, after: Sequence[pulumi.Resource]) -> None:
        """Do nothing: the user rotates the CA."""


def _read_chain(data: Mapping[str, str], host: str) -> tuple[str, str]:
    """Return the CAs that clients trust, and the server certificate. The CAs are `ca.crt`, or the end of the chain."""
    # Imported here, because `cryptography` takes longer to import than everything else.
    from ..validation.pem import read_certificates, to_pem, validate_server_chain

    remedy = "Make it with `kubectl create secret tls`"
    texts = decode_secret_data("tls_secret", data, ("tls.crt", "tls.key"), remedy)
    leaf, *above = validate_server_chain(texts["tls.crt"], texts["tls.key"], [host])
    ca = read_certificates("tls_secret", texts["ca.crt"]) if "ca.crt" in texts else above or [leaf]
    return to_pem(ca), to_pem([leaf])
