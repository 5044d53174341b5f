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
from ..validation.certificates import ca_end_advice
from ..validation.commands import set_numbers
from ..validation.limits import LONGEST_CERTIFICATE_DAYS
from ..validation.rotation import STEPS, generations_at, step_of
from .issuer import HOURS_PER_DAY, Hosts, Issuer, create_private_key
from .rotation import Rotation
from .server_certificate import ServerCertificate

LONGEST_COMMON_NAME = 64
"""Characters of a common name (X.520)."""


class CertificateAuthority(pulumi.ComponentResource):
    """The CAs that clients trust. Its children are the generated CAs."""

    ca_pem: pulumi.Output[str]
    """The CAs that clients trust, PEM."""

    def __init__(self, ctx: Context, settings: TlsSettings, hosts: Hosts) -> None:
        name = f"{ctx.name}-tls"
        super().__init__("private-registry:index:CertificateAuthority", name, {}, ctx.options())
        self._ctx, self._settings = ctx, settings
        self._rotation: Rotation | None = None
        if settings.ca_certificate is not None and settings.ca_key is not None:
            self._issuer = Issuer(settings.ca_certificate, settings.ca_key, [])
            self.ca_pem = pulumi.Output.from_input(settings.ca_certificate)
        else:
            # A sibling of this component: as a child it would create a dependency cycle.
            self._rotation = Rotation(ctx, name, "ca_generations", settings.ca_generations)
            _log_rotation_hint(self._rotation, settings.ca_generations)
            after = [self._rotation.step_allowed]
            opts = pulumi.ResourceOptions(parent=self, depends_on=after)
            # In the order of the generations, so that a change of the issuer does not change the trusted CAs.
            generated = {
                generation: Issuer(*_generate(name, generation, settings, hosts, opts), after)
                for generation in sorted(settings.ca_generations)
            }
            self._issuer = generated[settings.ca_generations[0]]
            self.ca_pem = pulumi.Output.concat(*(issuer.ca_pem for issuer in generated.values()))
        self.register_outputs({"ca_pem": self.ca_pem})

    def issue(self, hosts: Hosts, after: Sequence[pulumi.Resource]) -> ServerCertificate:
        """Issue the server certificate for `hosts` once `after` is deployed."""
        return ServerCertificate(self._ctx, self._settings, self._issuer, hosts, after)

    def complete_rotation_step(self, after: Sequence[pulumi.Resource]) -> None:
        """Record that the rotation step is completed, once `after`, which serves the certificate, is deployed."""
        if self._rotation is not None:
            self._rotation.record_step(after)


class RotationHint(NamedTuple):
    """The step of a rotation and the next action."""

    state: str
    next_action: str


def rotation_hint(generations: Sequence[int]) -> RotationHint | None:
    """Describe the current rotation step and the next action. Return None if no rotation is in progress."""
    if len(generations) == 1:
        return None
    step, old, new = step_of(generations), min(generations), max(generations)
    state, action = {
        1: (f"clients trust CA {new} and CA {old}, which issues", "Give `ca_pem` to every client"),
        2: (f"CA {new} issues, and clients still trust CA {old}", "Check that every client connects"),
    }[step % STEPS]
    target = generations_at(step + 1)
    return RotationHint(
        f"CA rotation, step {step % STEPS} of {STEPS}: {state}",
        f"{action}, then set `ca_generations` to {target}: `{set_numbers('ca_generations', target)}`",
    )


def _log_rotation_hint(rotation: Rotation, generations: Sequence[int]) -> None:
    """Log the current step at preview already."""
    if hint := rotation_hint(generations):
        rotation.step_allowed.apply(lambda _: pulumi.log.info(f"{hint.state}. {hint.next_action}."))


def _generate(
    name: str, generation: int, settings: TlsSettings, hosts: Hosts, opts: pulumi.ResourceOptions
) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """Create a CA. Strict clients require the key usage and the subject key identifier. Return certificate and key."""
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
    return ca.cert_pem, key.private_key_pem


def _warn_of_end(generation: int, end: str | None) -> None:
    """Warn that the CA ends soon. `end` is None in users' tests that run under Pulumi mocks."""
    if end and (advice := ca_end_advice(generation, end, datetime.now(UTC))):
        pulumi.log.warn(advice)
