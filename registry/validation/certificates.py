"""Rules for certificates: lifetimes, kinds of keys and the subject.

The functions for PEM are imported inside the rules, because `cryptography` takes longer to import than all other rules.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from ..choices import CertificateKey, IssuerKind
from .basics import one_of, refuse_unknown_keys, typed_text, whole_number
from .commands import set_numbers
from .errors import InvalidInput, quoted
from .limits import CA_NOTICE_DAYS, LONGEST_CERTIFICATE_DAYS


class KeyKind(NamedTuple):
    """A kind of private key, with the names of pulumi-tls."""

    algorithm: str
    ecdsa_curve: str | None = None
    rsa_bits: int | None = None


KEY_KINDS: dict[str, KeyKind] = {
    CertificateKey.P256: KeyKind("ECDSA", ecdsa_curve="P256"),
    CertificateKey.P384: KeyKind("ECDSA", ecdsa_curve="P384"),
    CertificateKey.RSA2048: KeyKind("RSA", rsa_bits=2048),
    CertificateKey.RSA3072: KeyKind("RSA", rsa_bits=3072),
    CertificateKey.RSA4096: KeyKind("RSA", rsa_bits=4096),
}
"""Kinds of keys that all clients accept: no P-224 and no Ed25519."""

SUBJECT_LENGTHS = {
    "country": 2,
    "province": 128,
    "locality": 128,
    "organization": 64,
    "organizational_unit": 64,
}
"""Characters of each subject field at most (RFC 5280, appendix A.1). The common name is the hostname."""


def certificate_key(value: str) -> str:
    """Require one of `CertificateKey`."""
    return one_of("certificate_key", value, CertificateKey, "Use P-256 unless a client needs RSA")


def certificate_subject(value: Mapping[str, str]) -> Mapping[str, str]:
    """Require subject fields within their lengths."""
    key = "certificate_subject"
    if not isinstance(value, Mapping):
        problem = f"must be a map, not {quoted(value)}"
        raise InvalidInput(key, "not-a-map", problem, f"Run `pulumi config set --path {key}.locality Nice`")
    refuse_unknown_keys([f"{key}.{field}" for field in value], [f"{key}.{field}" for field in SUBJECT_LENGTHS])
    subject = {field: typed_text(content) for field, content in value.items()}
    for field, content in subject.items():
        longest = SUBJECT_LENGTHS[field]
        if not isinstance(content, str) or not 0 < len(content) <= longest or not content.isprintable():
            problem = f"must be 1 to {longest} printable characters, not {quoted(content)}"
            raise InvalidInput(f"{key}.{field}", "not-a-subject-field", problem, "Shorten it, or leave it out")
    if "country" in subject:
        _country(str(subject["country"]))
    return subject  # type: ignore[return-value]  # only texts are left


def _country(value: str) -> None:
    if not (len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()):
        problem = f"must be two capital letters (ISO 3166), not {quoted(value)}"
        raise InvalidInput("certificate_subject.country", "not-a-country", problem, "For example 'FR'")


def certificate_days(value: int) -> int:
    """Require a lifetime of the server certificate that every client accepts."""
    return whole_number(
        "certificate_days", value, 1, LONGEST_CERTIFICATE_DAYS, "a whole number of days", "Use for example 356"
    )


def ca_days(value: int) -> int:
    """Require a lifetime of the generated CA: at least that of two server certificates.

    The CA is renewed when it would end before a new server certificate.
    """
    remedy = "Use for example 3650, ten years, because every client must trust another CA after it"
    return whole_number("ca_days", value, 2 * LONGEST_CERTIFICATE_DAYS, 7300, "a whole number of days", remedy)


def renew_before_days(value: int) -> int:
    """Require how many days before its end the next `pulumi up` renews the server certificate."""
    highest = LONGEST_CERTIFICATE_DAYS - 1
    return whole_number("renew_before_days", value, 0, highest, "a whole number of days", "Use for example 30")


def refuse_endless_renewal(renew_before_days: int, certificate_days: int) -> None:
    """Refuse a renewal window as long as the lifetime, because every `pulumi up` would renew the certificate."""
    if renew_before_days >= certificate_days:
        problem = f"is {renew_before_days}, but must be less than `certificate_days`, which is {certificate_days}"
        raise InvalidInput("renew_before_days", "longer-than-lifetime", problem, "Use for example 30 of 356 days")


def certificate_issuer(value: Mapping[str, str]) -> Mapping[str, str]:
    """Return the name and the kind of an issuer of cert-manager."""
    from .names import object_name

    key = "certificate_issuer"
    if not isinstance(value, Mapping):
        problem = f"must be a map, not {quoted(value)}"
        raise InvalidInput(key, "not-a-map", problem, f"Run `pulumi config set --path {key}.name my-ca`")
    refuse_unknown_keys([f"{key}.{field}" for field in value], [f"{key}.name", f"{key}.kind"])
    if value.get("name") is None:
        problem = "is missing, but `certificate_issuer` is set"
        remedy = f"For example `pulumi config set --path {key}.name my-ca`"
        raise InvalidInput(f"{key}.name", "missing", problem, remedy)
    kind = one_of(f"{key}.kind", value.get("kind") or IssuerKind.ISSUER, IssuerKind, "Use the kind of the issuer")
    return {"name": object_name(f"{key}.name", value["name"]), "kind": kind}


def ca_certificate(value: str) -> str:
    """Return the PEM of a CA that can sign, followed by the CAs above it up to the root."""
    from .chains import validate_authority

    return validate_authority(value)


def ca_key(value: str) -> str:
    """Return an unencrypted private key as PKCS#8 in PEM."""
    from .pem import key_to_pem, origin_of, private_key

    return key_to_pem(private_key(origin_of("ca_key"), value))


def upstream_ca(value: str, *, key: str = "upstream_ca") -> str:
    """Return the PEM of the CAs of a server behind the registry."""
    from .chains import validate_trusted

    return validate_trusted(key, value)


def ca_and_key_match(ca_certificate: str, ca_key: str) -> None:
    """Refuse a CA and a key that do not belong together."""
    from .chains import require_key_of_authority

    require_key_of_authority(ca_certificate, ca_key)


def ca_advice(ca_certificate: str, certificate_days: int) -> str:
    """Return a warning if the CA ends before a new server certificate would, else ""."""
    from .chains import short_authority_warning

    return short_authority_warning(ca_certificate, certificate_days)


def ca_end_advice(generation: int, end: str, now: datetime) -> str:
    """Return a warning if the generated CA that ends on `end` (ISO 8601) has to be rotated soon, else ""."""
    ends = datetime.fromisoformat(end)
    if (ends - now).days > LONGEST_CERTIFICATE_DAYS + CA_NOTICE_DAYS:
        return ""
    command = set_numbers("ca_generations", [generation, generation + 1])
    return (
        f"CA {generation} ends on {ends:%Y-%m-%d}. In its last {LONGEST_CERTIFICATE_DAYS} days `pulumi up` replaces it "
        "by a CA that no client trusts. "
        f"Rotate it before: set `ca_generations` to [{generation}, {generation + 1}] with `{command}`."
    )
