"""Who signs the leaf, and whom clients trust: the caller's CA, or one or two generations of a CA made here.

A CA cannot follow another one at once: a client that trusts the old one alone would fail with the first leaf of the
new one. So each generation is a CA of its own, and two of them are trusted before the signer changes
(docs/adr/0014-rotation.md). The key of a generated CA never leaves the Pulumi state.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import pulumi
import pulumi_tls as tls

from ..args import PrivateRegistryArgs
from ..validation.certificates import KEYS, LONGEST_DAYS, end_advice
from ..validation.generations import STEPS, at_step, step_of

DAY = 24
"""Hours; pulumi-tls counts in hours."""

LONGEST_NAME = 64
"""Characters of a common name (X.520)."""

Hosts = pulumi.Output[Sequence[str]]
"""Names and addresses of the registry. The first is the common name; all of them become SANs."""


class Authority(NamedTuple):
    """Who signs. `ca_pem` is the signer's certificate, then those above it."""

    ca_pem: pulumi.Input[str]
    key_pem: pulumi.Input[str]


class Authorities(NamedTuple):
    """Who signs, and everyone whom clients trust, in PEM."""

    signer: Authority
    trusted_pem: pulumi.Output[str]


def given_authority(given: PrivateRegistryArgs) -> Authorities:
    """The caller's."""
    signer = Authority(given["ca_certificate"], given["ca_key"])
    return Authorities(signer, pulumi.Output.from_input(signer.ca_pem))


def generated_authorities(
    name: str, given: PrivateRegistryArgs, hosts: Hosts, opts: pulumi.ResourceOptions
) -> Authorities:
    """The registry's own. In the order of their generations, so a new signer leaves what is trusted to the letter."""
    generations = given["ca_generations"]
    made = {each: _generated(name, each, given, hosts, opts) for each in sorted(generations)}
    trusted = pulumi.Output.concat(*(each.ca_pem for each in made.values()))
    return Authorities(made[generations[0]], trusted)


def said_of(generations: Sequence[int]) -> str:
    """What to do next in the midst of a rotation; nothing outside of one."""
    if len(generations) == 1:
        return ""
    step, old, new = step_of(generations), min(generations), max(generations)
    so_far, then = {
        1: (f"CA {new} is trusted beside CA {old}, which signs", "hand out `ca_pem` to every client"),
        2: (f"CA {new} signs, CA {old} is still trusted", "see that every client gets on"),
    }[step % STEPS]
    after = f"then set ca_generations to {at_step(step + 1)}"
    return f"CA rotation, step {step % STEPS} of {STEPS}: {so_far}; {then}, {after}"


def private_key(name: str, kind: str, opts: pulumi.ResourceOptions) -> tls.PrivateKey:
    """Of one of the kinds that `certificate_key` knows. By itself a key changes nothing, so it waits for nothing."""
    key, at_once = KEYS[kind], pulumi.ResourceOptions(parent=opts.parent)
    return tls.PrivateKey(
        name, algorithm=key.algorithm, ecdsa_curve=key.ecdsa_curve, rsa_bits=key.rsa_bits, opts=at_once
    )


def _generated(
    name: str, generation: int, given: PrivateRegistryArgs, hosts: Hosts, opts: pulumi.ResourceOptions
) -> Authority:
    """Strict clients want its key usage and subject key identifier."""
    of = "" if generation == 1 else f"-{generation}"
    title = f" CA{of.replace('-', ' ')}"
    key = private_key(f"{name}-ca{of}-key", given["certificate_key"], opts)
    ca = tls.SelfSignedCert(
        f"{name}-ca{of}",
        private_key_pem=key.private_key_pem,
        subject=tls.SelfSignedCertSubjectArgs(
            common_name=hosts.apply(lambda known: known[0][: LONGEST_NAME - len(title)] + title),
            **given["certificate_subject"],
        ),
        is_ca_certificate=True,
        set_subject_key_id=True,
        allowed_uses=["cert_signing", "crl_signing"],
        validity_period_hours=given["ca_days"] * DAY,
        early_renewal_hours=LONGEST_DAYS * DAY,  # a leaf never outlives its CA
        opts=opts,
    )
    if generation == max(given["ca_generations"]):
        ca.validity_end_time.apply(partial(_say, generation))
    return Authority(ca.cert_pem, key.private_key_pem)


def _say(generation: int, end: str | None) -> None:
    """Nothing under the mocks of somebody's own tests, which answer no end."""
    if end and (said := end_advice(generation, end, datetime.now(UTC))):
        pulumi.log.warn(said)
