"""Create the issuer of the server certificate, and private keys of the configured kind."""

from collections.abc import Sequence
from typing import NamedTuple

import pulumi
import pulumi_tls as tls

from ..validation.certificates import KEY_KINDS

HOURS_PER_DAY = 24
"""pulumi-tls counts in hours."""

Hosts = pulumi.Output[list[str]]
"""Names and addresses of the registry. The first is the common name, and all of them become SANs."""


class Issuer(NamedTuple):
    """A CA and its private key.

    Attributes:
        ca_pem: The certificate of the CA, then those of the CAs above it, PEM.
        key_pem: The private key.
        after: Resources to deploy before anything is issued. They fail if a rotation step is refused.
    """

    ca_pem: pulumi.Input[str]
    key_pem: pulumi.Input[str]
    after: Sequence[pulumi.Input[pulumi.Resource]]


def create_private_key(name: str, kind: str, parent: pulumi.Resource | None) -> tls.PrivateKey:
    """Create a private key. It has no dependencies, because a key alone changes nothing for clients."""
    algorithm, ecdsa_curve, rsa_bits = KEY_KINDS[kind]
    opts = pulumi.ResourceOptions(parent=parent)
    return tls.PrivateKey(name, algorithm=algorithm, ecdsa_curve=ecdsa_curve, rsa_bits=rsa_bits, opts=opts)
