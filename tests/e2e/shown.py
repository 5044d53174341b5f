"""Certificates as the component has them made of a configuration, and as others may bring them, right and wrong."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st

from registry.inputs.table import DEFAULTS
from registry.validation import certificates, pem
from tests.e2e.configs import AUTHORITY, Given
from tests.e2e.oracles import Shown
from tests.issuing import ANY, CLIENT, SERVER, Issued, Key, Wanted, issue, leaf

SUBJECT = {
    "country": NameOID.COUNTRY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
}

KINDS: dict[str, Callable[[], Key]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA-1024": lambda: rsa.generate_private_key(65537, 1024),
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA-3072": lambda: rsa.generate_private_key(65537, 3072),
    "RSA-4096": lambda: rsa.generate_private_key(65537, 4096),
}


@cache
def key_of(kind: str, number: int = 0) -> Key:
    """Made once: the kind matters here, not that a key is nobody else's."""
    return KINDS[kind]()


def certificate_of(args: Given) -> Shown | None:
    """What clients are shown, signed as `registry/certificate` asks the provider to; nothing if it is not made."""
    given = {**DEFAULTS, **args}
    if given.get("tls_secret") is not None:
        return None
    hosts = _hosts(given)
    subject = tuple(sorted(given["certificate_subject"].items()))
    return _shown(
        given["certificate_key"],
        tuple(dict.fromkeys(hosts)),
        subject,
        given["certificate_days"],
        given["ca_days"],
        given.get("ca_certificate") == AUTHORITY.pem,
    )


def _hosts(given: Given) -> list[str]:
    service = f"docker-registry.{given['namespace']}"
    reached = [given["hostname"], f"{service}.svc.cluster.local", *given["external_ips"]]
    return [*reached, *filter(None, [given.get("load_balancer_address")]), *given["certificate_names"]]


@cache
def _shown(
    kind: str, hosts: tuple[str, ...], subject: tuple[tuple[str, str], ...], days: float, ca_days: float, brought: bool
) -> Shown:
    named = tuple((SUBJECT[field], value) for field, value in subject)
    ca = AUTHORITY if brought else issue(Wanted(f"{hosts[0]:.61} CA", named, days=ca_days), key=key_of(kind))
    usage = ("digital_signature", "key_encipherment") if kind.startswith("RSA") else ("digital_signature",)
    made = issue(leaf(*hosts, name=hosts[0], subject=named, days=days, usage=usage, starts=-0.01), ca, key_of(kind, 1))
    typed = tuple(host.replace("*", "any") for host in hosts)
    return Shown(made.pem + ca.pem, made.key_pem, ca.pem, typed)


class Foreign(NamedTuple):
    """What others bring: how it was spoiled, the rule to apply to it, and what clients would be shown."""

    what: str
    rule: Callable[[], Any]
    shown: Shown


HOST = "registry.example.com"
DEFECTS: dict[str, list[Given]] = {
    "leaf": [
        *({"days": days} for days in (1, 90, 397)),
        {"starts": -20, "days": 10},
        {"starts": 1},
        *({"extended": uses} for uses in ((), (CLIENT,), (ANY,), (SERVER, CLIENT), (ANY, SERVER))),
        *({"usage": usage} for usage in (None, ("key_agreement",), ("digital_signature", "key_agreement"))),
        *({"usage": usage} for usage in (("key_encipherment",), ("digital_signature", "key_encipherment"))),
        *({"hosts": hosts} for hosts in (("*.example.com",), ("example.com",), ("*.com",), ("REGISTRY.example.com",))),
        *({"hosts": hosts} for hosts in ((), ("*.registry.example.com",), ("r*.example.com",), (HOST, "10.0.0.7"))),
        {"name": ""},
        {"name": "", "hosts_critical": True},
        {"hosts_critical": True},
        {"unknown_critical": True},
        {"authority_key": ""},
        {"authority_key": "wrong"},
        {"subject_key": False},
        {"ca": True, "usage": ("digital_signature", "key_cert_sign")},
    ],
    "ca": [
        *({"pathlen": length} for length in (0, 1, 2)),
        *({"usage": usage} for usage in (None, ("digital_signature",), ("key_cert_sign",))),
        {"ca": False, "usage": None},
        {"ca": False, "pathlen": None},
        {"ca_critical": False},
        *({"extended": uses} for uses in ((CLIENT,), (SERVER,), (ANY,))),
        *({"permitted": names} for names in (("example.com",), ("example.org",))),
        {"unknown_critical": True},
        {"starts": -20, "days": 10},
        {"starts": 1},
        {"days": 90},
        {"subject_key": False},
        {"name": ""},
        {"authority_key": ""},
        {"authority_key": "wrong"},
    ],
}
"""Changes of a right certificate. Some spoil it, some do not, which is what is asked."""

KEY_KINDS = (
    ["P-256"] * 40
    + ["P-384", "RSA-2048"] * 5
    + ["P-384", "RSA-2048", "RSA-3072", "P-521", "P-224", "RSA-1024", "ed25519"]
)


def foreign_certificates() -> st.SearchStrategy[Foreign]:
    """A server's chain of one to four certificates."""
    return st.randoms(use_true_random=True).map(_server)


def foreign_authorities() -> st.SearchStrategy[Foreign]:
    """A chain of one to three CAs, of which the first signs the registry's certificate."""
    return st.randoms(use_true_random=True).map(_authority)


def _server(chance: Random) -> Foreign:
    said: list[str] = []
    cas, given = _chain(chance, chance.choice([0, 1, 1, 2, 3]), said)
    wanted = _spoiled(chance, leaf(HOST, days=356), "leaf", said)
    made = _issue(chance, wanted, cas[0] if cas else None, said)
    above = _together(given)
    shown = Shown(made.pem + above, made.key_pem, _together(cas) or made.pem, (HOST,))
    return Foreign("; ".join(said), lambda: pem.validate_server_chain(shown.chain, shown.key, [HOST]), shown)


def _authority(chance: Random) -> Foreign:
    said: list[str] = []
    cas, given = _chain(chance, chance.choice([1, 1, 2, 3]), said)
    text = _together(given)
    days = chance.choice([1, 89, 90, 91, 356, 397])
    hashed = None if isinstance(cas[0].key, ed25519.Ed25519PrivateKey) else leaf().hashed
    made = issue(leaf(HOST, "registry.svc.cluster.local", days=days, starts=-0.01, hashed=hashed), cas[0])
    shown = Shown(made.pem + text, made.key_pem, _together(cas), (HOST, "registry.svc.cluster.local"))
    said.append(f"{days} days")

    def rule() -> None:
        certificates.ca_key(cas[0].key_pem)
        certificates.ca_and_key_match(certificates.ca_certificate(text), cas[0].key_pem)

    return Foreign("; ".join(said), rule, shown)


def _chain(chance: Random, length: int, said: list[str]) -> tuple[list[Issued], list[Issued]]:
    """CAs, the root last; and what is given of them: now and then another order, or all but the root.

    That root is a right one, rightly named, which clients have from elsewhere: no rule sees it.
    """
    how = chance.choice(["whole"] * 8 + ["without the root", "in another order"])
    said.append(how)
    found: list[Issued] = []
    for depth in range(length):
        right = Wanted(f"CA {depth}")
        is_unseen = how == "without the root" and depth == 0 and length > 1
        wanted = right if is_unseen else _spoiled(chance, right, "ca", said)
        if how == "without the root" and depth == 1:
            wanted = replace(wanted, authority_key="right")
        found.insert(0, _issue(chance, wanted, found[0] if found else None, said, right_key=is_unseen))
    if length < 2 or how == "whole":
        return found, found
    return found, found[:-1] if how == "without the root" else [found[0], *reversed(found[1:])]


def _spoiled(chance: Random, wanted: Wanted, kind: str, said: list[str]) -> Wanted:
    for change in chance.sample(DEFECTS[kind], chance.choice([0, 0, 0, 0, 1, 1, 2])):
        said.append(f"{wanted.name or 'unnamed'} {change}")
        wanted = replace(wanted, **change)
    return wanted


def _issue(
    chance: Random, wanted: Wanted, signer: Issued | None, said: list[str], *, right_key: bool = False
) -> Issued:
    kind = "P-256" if right_key else chance.choice(KEY_KINDS)
    said.append(f"{wanted.name} {kind}")
    key = key_of(kind, chance.randrange(3))
    signing = signer.key if signer else key
    hashed = None if isinstance(signing, ed25519.Ed25519PrivateKey) else wanted.hashed
    pathlen = wanted.pathlen if wanted.ca else None
    return issue(replace(wanted, hashed=hashed, pathlen=pathlen), signer, key)


def _together(issued: list[Issued]) -> str:
    return "".join(each.pem for each in issued)
