"""The CA that issues the server certificate, and the CAs that clients trust.

The CA is the user's own, or one or two generations of a CA made here. A CA cannot replace another one at once: a
client that trusts the old one alone would fail with the first certificate of the new one. So each generation is a CA
of its own, and clients trust both before the issuer changes (docs/adr/0014-rotation.md). The key of a generated CA
never leaves the Pulumi state.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import pulumi
import pulumi_tls as tls

from ..context import Context
from ..settings import TlsSettings
from ..validation.certificates import KEY_KINDS, ca_end_advice
from ..validation.limits import LONGEST_CERTIFICATE_DAYS
from ..validation.rotation import STEPS, generations_at, step_of
from .rotation import Rotation

HOURS_PER_DAY = 24
"""pulumi-tls counts in hours."""

LONGEST_COMMON_NAME = 64
"""Characters of a common name (X.520)."""

Hosts = pulumi.Output[list[str]]
"""Names and addresses of the registry. The first is the common name, and all of them become SANs."""


class Issuer(NamedTuple):
    """A CA and its private key. `ca_pem` is the CA's certificate, then those above it."""

    ca_pem: pulumi.Input[str]
    key_pem: pulumi.Input[str]


class CertificateAuthority(pulumi.ComponentResource):
    """The CAs that clients trust. Its children are the generated CAs."""

    ca_pem: pulumi.Output[str]
    """The CAs that clients trust, PEM."""
    issuer: Issuer
    """The CA that issues the server certificate."""

    def __init__(self, ctx: Context, settings: TlsSettings, hosts: Hosts) -> None:
        name = f"{ctx.name}-tls"
        super().__init__("private-registry:index:CertificateAuthority", name, {}, ctx.options())
        self._rotation: Rotation | None = None
        if settings.ca_certificate is not None and settings.ca_key is not None:
            self.issuer = Issuer(settings.ca_certificate, settings.ca_key)
            self.ca_pem = pulumi.Output.from_input(settings.ca_certificate)
        else:
            # A sibling of this component: as a child it would create a dependency cycle.
            self._rotation = Rotation(ctx, name, "ca_generations", settings.ca_generations)
            _log_rotation_hint(self._rotation, settings.ca_generations)
            opts = pulumi.ResourceOptions(parent=self, depends_on=[self._rotation.step_allowed])
            # In the order of the generations, so that a change of the issuer leaves the trusted CAs as they are.
            generated = {
                generation: _generate(name, generation, settings, hosts, opts)
                for generation in sorted(settings.ca_generations)
            }
            self.issuer = generated[settings.ca_generations[0]]
            self.ca_pem = pulumi.Output.concat(*(issuer.ca_pem for issuer in generated.values()))
        self.register_outputs({"ca_pem": self.ca_pem})

    def complete_rotation_step(self, after: Sequence[pulumi.Resource]) -> None:
        """Record that the rotation step is completed, once `after`, which serves the certificate, is deployed."""
        if self._rotation is not None:
            self._rotation.record_step(after)


class RotationHint(NamedTuple):
    """The step of a rotation, and what to do next."""

    state: str
    next_action: str


def rotation_hint(generations: Sequence[int]) -> RotationHint | None:
    """Describe the current rotation step and the next action; None if no rotation is in progress."""
    if len(generations) == 1:
        return None
    step, old, new = step_of(generations), min(generations), max(generations)
    state, action = {
        1: (f"clients trust CA {new} and CA {old}, which issues", "Give `ca_pem` to every client"),
        2: (f"CA {new} issues, and clients still trust CA {old}", "Check that every client connects"),
    }[step % STEPS]
    return RotationHint(
        f"CA rotation, step {step % STEPS} of {STEPS}: {state}",
        f"{action}, then set `ca_generations` to {generations_at(step + 1)}",
    )


def _log_rotation_hint(rotation: Rotation, generations: Sequence[int]) -> None:
    """Log the current step at preview already."""
    if hint := rotation_hint(generations):
        rotation.step_allowed.apply(lambda _: pulumi.log.info(f"{hint.state}. {hint.next_action}."))


def create_private_key(name: str, kind: str, parent: pulumi.Resource | None) -> tls.PrivateKey:
    """Create a private key. It has no dependencies, because a key alone changes nothing for clients."""
    algorithm, ecdsa_curve, rsa_bits = KEY_KINDS[kind]
    opts = pulumi.ResourceOptions(parent=parent)
    return tls.PrivateKey(name, algorithm=algorithm, ecdsa_curve=ecdsa_curve, rsa_bits=rsa_bits, opts=opts)


def _generate(name: str, generation: int, settings: TlsSettings, hosts: Hosts, opts: pulumi.ResourceOptions) -> Issuer:
    """Create a CA. Strict clients require its key usage and its subject key identifier."""
    suffix = "" if generation == 1 else f"-{generation}"
    title = f" CA{suffix.replace('-', ' ')}"
    key = create_private_key(f"{name}-ca{suffix}-key", settings.certificate_key, opts.parent)
    ca = tls.SelfSignedCert(
        f"{name}-ca{suffix}",
        private_key_pem=key.private_key_pem,
        subject=tls.SelfSignedCertSubjectArgs(
            common_name=hosts.apply(lambda names: names[0][: LONGEST_COMMON_NAME - len(title)] + title),
            **settings.certificate_subject,
        ),
        is_ca_certificate=True,
        set_subject_key_id=True,
        allowed_uses=["cert_signing", "crl_signing"],
        validity_period_hours=settings.ca_days * HOURS_PER_DAY,
        # A server certificate never outlives its CA.
        early_renewal_hours=LONGEST_CERTIFICATE_DAYS * HOURS_PER_DAY,
        opts=opts,
    )
    if generation == max(settings.ca_generations):
        ca.validity_end_time.apply(partial(_warn_of_end, generation))
    return Issuer(ca.cert_pem, key.private_key_pem)


def _warn_of_end(generation: int, end: str | None) -> None:
    """Warn that the CA ends soon. `end` is None in users' tests that run under Pulumi mocks."""
    if end and (advice := ca_end_advice(generation, end, datetime.now(UTC))):
        pulumi.log.warn(advice)
