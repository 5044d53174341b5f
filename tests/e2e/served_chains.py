"""Issue chains like those of the component, and valid and invalid chains like those that users supply."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st

from registry.inputs.table import DEFAULTS
from registry.validation import certificates
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.pem import to_pem
from registry.validation.secrets import ExistingSecret
from tests.e2e.configs import AUTHORITY, Inputs
from tests.issuing import ANY, CLIENT, SERVER, CertificateSpec, IssuedCertificate, Key, issue, server_spec
from tests.tls_clients import ServedChain

SUBJECT_OIDS = {
    "country": NameOID.COUNTRY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
}

KEY_FACTORIES: dict[str, Callable[[], Key]] = {
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

JUST_NOW = -0.01
"""Days from now until a new certificate is valid. It is in the past, so the certificate is already valid."""


@cache
def key_of_kind(kind: str, number: int = 0) -> Key:
    """Return a key of this kind, which is always the same for a `number`. To generate a key takes long."""
    return KEY_FACTORIES[kind]()


def component_chain(args: Inputs) -> ServedChain | None:
    """Return the chain that the component would serve, or None if the user supplies a chain."""
    settings = {**DEFAULTS, **args}
    if settings.get("tls_secret") is not None:
        return None
    hosts = _hosts(settings)
    subject = tuple(sorted(settings["certificate_subject"].items()))
    return _issue_chain(
        settings["certificate_key"],
        tuple(dict.fromkeys(hosts)),
        subject,
        settings["certificate_days"],
        settings["ca_days"],
        settings.get("ca_certificate") == AUTHORITY.pem,
    )


def _hosts(settings: Inputs) -> list[str]:
    service = f"docker-registry.{settings['namespace']}"
    endpoint_hosts = [settings["hostname"], f"{service}.svc.cluster.local", *settings["external_ips"]]
    return [*endpoint_hosts, *filter(None, [settings.get("load_balancer_address")]), *settings["certificate_names"]]


@cache
def _issue_chain(
    kind: str,
    hosts: tuple[str, ...],
    subject: tuple[tuple[str, str], ...],
    days: float,
    ca_days: float,
    is_external_ca: bool,
) -> ServedChain:
    """Issue the chain of the component: a server certificate, and its CA."""
    subject_fields = tuple((SUBJECT_OIDS[field], value) for field, value in subject)
    # The common name has at most 64 characters, so 61 remain for the host.
    ca = (
        AUTHORITY
        if is_external_ca
        else issue(CertificateSpec(f"{hosts[0]:.61} CA", subject_fields, days=ca_days), key=key_of_kind(kind))
    )
    usage = ("digital_signature", "key_encipherment") if kind.startswith("RSA") else ("digital_signature",)
    issued = issue(
        server_spec(*hosts, name=hosts[0], subject=subject_fields, days=days, usage=usage, starts=JUST_NOW),
        ca,
        key_of_kind(kind, 1),
    )
    typed_hosts = tuple(host.replace("*", "any") for host in hosts)  # a client types a name for the wildcard
    return ServedChain(issued.pem + ca.pem, issued.key_pem, ca.pem, typed_hosts)


class ExternalChain(NamedTuple):
    """A chain that a user supplies.

    Attributes:
        description: Properties that were chosen for its certificates.
        rule: Returns the chain that the registry serves, with the CA bundle of the outputs, or refuses the chain.
        served: The chain without that rule, with the CAs that the user supplies as the CA bundle.
    """

    description: str
    rule: Callable[[], ServedChain]
    served: ServedChain


SECRET = ExistingSecret("tls_secret", "docker-registry", "tls", ("tls.crt", "tls.key"), "kubernetes.io/tls")
"""Secret that would hold the chain of a user."""

HOST = "registry.example.com"

CHANGES: dict[str, list[Inputs]] = {
    "leaf": [
        *({"days": days} for days in (1, 90, 397)),
        {"starts": -20, "days": 10},
        {"starts": 1},
        *({"extended_usage": uses} for uses in ((), (CLIENT,), (ANY,), (SERVER, CLIENT), (ANY, SERVER))),
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
        {"authority_serial": 7},
        {"usage": ("digital_signature", "key_cert_sign")},
        {"subject_key": False},
        {"ca": True, "usage": ("digital_signature", "key_cert_sign")},
    ],
    "ca": [
        *({"pathlen": length} for length in (0, 1, 2)),
        *({"usage": usage} for usage in (None, ("digital_signature",), ("key_cert_sign",))),
        {"ca": False, "usage": None},
        {"ca": False, "pathlen": None},
        {"ca_critical": False},
        *({"extended_usage": uses} for uses in ((CLIENT,), (SERVER,), (ANY,))),
        *({"permitted_names": names} for names in (("example.com",), ("example.org",))),
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
"""Changes of a valid certificate, by its place in the chain. The judges decide which changes make it invalid."""

KEY_KINDS = (
    ["P-256"] * 40
    + ["P-384", "RSA-2048"] * 5
    + ["P-384", "RSA-2048", "RSA-3072", "P-521", "P-224", "RSA-1024", "ed25519"]
)
"""Kinds of keys to choose from. The kinds that all rules accept are repeated, so that most chains are valid."""


def external_certificates() -> st.SearchStrategy[ExternalChain]:
    """Return a strategy for the chain of a server certificate with up to three CAs."""
    return st.randoms(use_true_random=True).map(_server_chain)


def external_authorities() -> st.SearchStrategy[ExternalChain]:
    """Return a strategy for a chain of one to three CAs. The first one issues the server certificate."""
    return st.randoms(use_true_random=True).map(_ca_chain)


def _server_chain(rng: Random) -> ExternalChain:
    notes: list[str] = []
    cas, served_cas = _issue_cas(rng, rng.choice([0, 1, 1, 2, 3]), notes)
    spec = _apply_changes(rng, server_spec(HOST, days=356), "leaf", notes)
    issued = _issue(rng, spec, cas[0] if cas else None, notes)
    whole, root, issuer = _bundle(cas), _bundle(cas[-1:]), _bundle(cas[:1])
    weights = {"": 3, whole: 2, root: 2, issuer: 1, AUTHORITY.pem: 1}
    ca_file = rng.choices([*weights], [*weights.values()])[0]
    texts = {"tls.crt": issued.pem + _bundle(served_cas), "tls.key": issued.key_pem}
    if ca_file:
        notes.append(f"ca.crt of {ca_file.count('BEGIN')} certificates")
        texts["ca.crt"] = ca_file
    served = ServedChain(texts["tls.crt"], issued.key_pem, ca_file or _bundle(served_cas) or issued.pem, (HOST,))

    def rule() -> ServedChain:
        trusted = validate_server_chain(SECRET, texts, TypedHost(HOST), lambda: []).trusted
        return served._replace(ca_bundle=to_pem(trusted))

    return ExternalChain("; ".join(notes), rule, served)


def _ca_chain(rng: Random) -> ExternalChain:
    notes: list[str] = []
    cas, served_cas = _issue_cas(rng, rng.choice([1, 1, 2, 3]), notes)
    bundle = _bundle(served_cas)
    days = rng.choice([1, 89, 90, 91, 356, 397])
    hash_algorithm = None if isinstance(cas[0].key, ed25519.Ed25519PrivateKey) else server_spec().hash_algorithm
    issued = issue(
        server_spec(HOST, "registry.svc.cluster.local", days=days, starts=JUST_NOW, hash_algorithm=hash_algorithm),
        cas[0],
    )
    served = ServedChain(issued.pem + bundle, issued.key_pem, bundle, (HOST, "registry.svc.cluster.local"))
    notes.append(f"{days} days")

    def rule() -> ServedChain:
        trusted = certificates.ca_certificate(bundle)
        certificates.ca_and_key_match(trusted, certificates.ca_key(cas[0].key_pem))
        return served._replace(chain=issued.pem + trusted, ca_bundle=trusted)

    return ExternalChain("; ".join(notes), rule, served)


def _issue_cas(rng: Random, length: int, notes: list[str]) -> tuple[list[IssuedCertificate], list[IssuedCertificate]]:
    """Return all CAs with the root last, and the CAs that the user supplies.

    The user sometimes supplies them in another order, or without the root. The missing root is then valid, because
    only clients have it, and no rule sees it.
    """
    order = rng.choice(["whole"] * 8 + ["without the root", "in another order"])
    notes.append(order)
    cas: list[IssuedCertificate] = []
    for depth in range(length):  # from the root to the issuer of the server certificate
        valid = CertificateSpec(f"CA {depth}")
        is_hidden_root = order == "without the root" and depth == 0 and length > 1
        spec = valid if is_hidden_root else _apply_changes(rng, valid, "ca", notes)
        if order == "without the root" and depth == 1:  # the identifier of the missing root stays right
            spec = replace(spec, authority_key="right")
        cas.insert(0, _issue(rng, spec, cas[0] if cas else None, notes, valid_key=is_hidden_root))
    if length < 2 or order == "whole":
        return cas, cas
    return cas, cas[:-1] if order == "without the root" else [cas[0], *reversed(cas[1:])]


def _apply_changes(rng: Random, spec: CertificateSpec, place: str, notes: list[str]) -> CertificateSpec:
    """Return the properties after up to two of the CHANGES, and add the changes to `notes`."""
    for change in rng.sample(CHANGES[place], rng.choice([0, 0, 0, 0, 1, 1, 2])):
        notes.append(f"{spec.name or 'unnamed'} {change}")
        spec = replace(spec, **change)
    return spec


def _issue(
    rng: Random, spec: CertificateSpec, signer: IssuedCertificate | None, notes: list[str], *, valid_key: bool = False
) -> IssuedCertificate:
    """Issue a certificate with a key of a random kind, and add the kind to `notes`."""
    kind = "P-256" if valid_key else rng.choice(KEY_KINDS)
    notes.append(f"{spec.name} {kind}")
    key = key_of_kind(kind, rng.randrange(3))
    signing_key = signer.key if signer else key
    hash_algorithm = None if isinstance(signing_key, ed25519.Ed25519PrivateKey) else spec.hash_algorithm
    pathlen = spec.pathlen if spec.ca else None
    return issue(replace(spec, hash_algorithm=hash_algorithm, pathlen=pathlen), signer, key)


def _bundle(issued: list[IssuedCertificate]) -> str:
    return "".join(each.pem for each in issued)
