"""The certificate's own settings: lifetimes, keys and the subject.

What reads PEM is imported where some is given only: `cryptography` takes longer to import than all other rules.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from . import InvalidInput, known_keys, whole_number


class Key(NamedTuple):
    """A kind of private key, in the words of pulumi-tls."""

    algorithm: str
    ecdsa_curve: str | None = None
    rsa_bits: int | None = None


KEYS = {
    "P-256": Key("ECDSA", ecdsa_curve="P256"),
    "P-384": Key("ECDSA", ecdsa_curve="P384"),
    "RSA-2048": Key("RSA", rsa_bits=2048),
    "RSA-3072": Key("RSA", rsa_bits=3072),
    "RSA-4096": Key("RSA", rsa_bits=4096),
}
"""Keys that Docker, containerd, podman, OpenSSL and Apple's clients all take; hence no P-224 and no Ed25519."""

SUBJECT_LENGTHS = {
    "country": 2,
    "province": 128,
    "locality": 128,
    "organization": 64,
    "organizational_unit": 64,
}
"""Fields of the subject beside the common name, and their upper bounds (RFC 5280, appendix A.1)."""

LONGEST_DAYS = 397
"""Browsers, and Go and Apple's clients on macOS, refuse a server's certificate that lasts longer."""

NOTICE_DAYS = 180
"""Between the first word of the end of a generated CA and the day from which it is replaced, to rotate it in."""


def certificate_key(value: str) -> str:
    """The kind of both private keys, one of `KEYS`."""
    if not isinstance(value, str) or value not in KEYS:
        raise InvalidInput("certificate_key", f"one of {', '.join(KEYS)}", value, "P-256 is right unless you know why")
    return value


def certificate_subject(value: Mapping[str, str]) -> Mapping[str, str]:
    """Fields of the subject beside the common name, which is the hostname."""
    if not isinstance(value, Mapping):
        raise InvalidInput("certificate_subject", "a map", value, "for example {country: FR, locality: Nice}")
    known_keys([f"certificate_subject.{key}" for key in value], [f"certificate_subject.{k}" for k in SUBJECT_LENGTHS])
    for field, given in value.items():
        key, longest = f"certificate_subject.{field}", SUBJECT_LENGTHS[field]
        if not isinstance(given, str) or not 0 < len(given) <= longest or not given.isprintable():
            raise InvalidInput(key, f"1 to {longest} printable characters", given, "or leave it out")
    country = value.get("country", "FR")
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        raise InvalidInput("certificate_subject.country", "two capital letters (ISO 3166)", country, "for example 'FR'")
    return value


def certificate_days(value: int) -> int:
    """Lifetime of the server's certificate."""
    return whole_number("certificate_days", value, 1, LONGEST_DAYS, "a whole number of days", "the guide uses 356")


def ca_days(value: int) -> int:
    """Lifetime of the generated CA. It is renewed when less than the longest leaf's is left: two of those at least."""
    remedy = "3650 is ten years: replacing the CA means visiting every client"
    return whole_number("ca_days", value, 2 * LONGEST_DAYS, 7300, "a whole number of days", remedy)


def renew_before_days(value: int) -> int:
    """Length of the window before the end in which the next `pulumi up` renews the certificate."""
    return whole_number(
        "renew_before_days", value, 0, LONGEST_DAYS - 1, "a whole number of days", "30 gives you a month of notice"
    )


def ca_certificate(value: str) -> str:
    """A CA of the user's own in PEM, followed by those above it."""
    from .pem import certificate_authority

    return certificate_authority(value)


def ca_key(value: str) -> str:
    """That CA's private key."""
    from .pem import private_key

    private_key("ca_key", value)
    return value


def upstream_ca(value: str) -> str:
    """The CA of the S3 server or of the mirrored registry, in PEM."""
    from .pem import trusted

    return trusted(value)


def of_one_authority(ca_certificate: str, ca_key: str) -> None:
    """The CA's certificate and key belong together."""
    from .pem import authority

    authority(ca_certificate, ca_key)


def ca_advice(ca_certificate: str, certificate_days: int) -> str:
    """What to say of a CA that its leaf would outlive."""
    from .pem import outlived

    return outlived(ca_certificate, certificate_days)


def end_advice(generation: int, end: str, now: datetime) -> str:
    """What to say of a generated CA that ends on `end` (ISO 8601) and has no successor, once it is time to rotate."""
    ends = datetime.fromisoformat(end)
    if (ends - now).days > LONGEST_DAYS + NOTICE_DAYS:
        return ""
    return (
        f"CA {generation} ends on {ends:%Y-%m-%d}: the first `pulumi up` of its last {LONGEST_DAYS} days makes another "
        f"one, which no client trusts. Rotate it before: set ca_generations to [{generation}, {generation + 1}]"
    )
