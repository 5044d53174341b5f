"""A server certificate of cert-manager: a Certificate, whose issuer the user names (docs/adr/0034-cert-manager.md).

cert-manager writes the certificate to a Secret, and renews it there. From then on it is like one that the user made.
"""

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..conflicts import explain_failure
from ..context import Context
from ..settings import TlsSettings
from ..validation.certificates import KEY_KINDS
from ..validation.issuers import CERT_MANAGER_API
from ..validation.network import ip_version
from .issuer import HOURS_PER_DAY

ISSUED_SECRET = "issued-cert-secret"
"""Name of the Secret that cert-manager writes. A certificate that the component issues is in another Secret."""

LONGEST_COMMON_NAME = 64
"""Characters of a common name (X.520)."""

WAIT_FOR_READY = {"pulumi.com/waitFor": "condition=Ready"}
"""Annotation that waits until cert-manager has written the Secret."""

TIMEOUT = pulumi.CustomTimeouts(create="3m", update="3m")

SUBJECT_FIELDS = {
    "country": "countries",
    "province": "provinces",
    "locality": "localities",
    "organization": "organizations",
    "organizational_unit": "organizationalUnits",
}
"""Field of cert-manager for each field of the subject."""


def request_certificate(
    ctx: Context, settings: TlsSettings, host: pulumi.Output[str], names: pulumi.Input[list[str]]
) -> pulumi.Output[str]:
    """Create the Certificate for the host that clients type and for more names. Return the name of its Secret.

    The name is known once the certificate is issued. Names of the Service are left out, because public issuers refuse
    them.
    """
    hosts = pulumi.Output.all(host, names).apply(lambda both: list(dict.fromkeys([both[0], *both[1]])))
    explanation = (
        "cert-manager has not issued the server certificate. `kubectl describe certificate,certificaterequest "
        "--namespace {namespace}` shows the reason. Correct the issuer or the names, and run `pulumi up` again."
    )
    certificate = kubernetes.apiextensions.CustomResource(
        f"{ctx.name}-tls-certificate",
        api_version=CERT_MANAGER_API,
        kind="Certificate",
        metadata=ctx.metadata(ctx.app, annotations=WAIT_FOR_READY),
        spec=hosts.apply(lambda resolved: _spec(ctx, settings, resolved)),
        opts=ctx.options(
            custom_timeouts=TIMEOUT,
            hooks=explain_failure(
                f"{ctx.name}-tls-certificate-reason",
                lambda inputs: explanation.format(namespace=inputs["metadata"]["namespace"]),
                cause="",
            ),
        ),
    )
    return certificate.id.apply(lambda _: ISSUED_SECRET)


def _spec(ctx: Context, settings: TlsSettings, hosts: Sequence[str]) -> dict[str, Any]:
    assert settings.certificate_issuer is not None, "the certificate requires an issuer"
    algorithm, curve, bits = KEY_KINDS[settings.certificate_key]
    is_rsa = algorithm == "RSA"
    spec: dict[str, Any] = {
        "secretName": ISSUED_SECRET,
        "secretTemplate": {"labels": {**ctx.labels, **ctx.selector}},
        "issuerRef": {"group": "cert-manager.io", **settings.certificate_issuer},
        "dnsNames": [host for host in hosts if not ip_version(host)],
        "ipAddresses": [host for host in hosts if ip_version(host)],
        "subject": {SUBJECT_FIELDS[field]: [text] for field, text in settings.certificate_subject.items()},
        "duration": f"{settings.certificate_days * HOURS_PER_DAY}h0m0s",
        "renewBefore": f"{settings.renew_before_days * HOURS_PER_DAY}h0m0s",
        "privateKey": {
            "algorithm": algorithm,
            "size": bits if is_rsa else int((curve or "").removeprefix("P")),
            "encoding": "PKCS8",
            "rotationPolicy": "Always",
        },
        "usages": ["digital signature", "server auth", *(["key encipherment"] if is_rsa else [])],
    }
    if len(hosts[0]) <= LONGEST_COMMON_NAME:
        spec["commonName"] = hosts[0]
    return {key: value for key, value in spec.items() if value not in ([], {})}
