"""Rules for chains of certificates. They agree with the verification of Go, of OpenSSL and of Python.

Clients that trust the output `ca_pem` alone must accept the served chain. OpenSSL by default, and so Python
3.11 and curl, needs the root among the trusted certificates. Go and Python 3.13 accept any CA there, but Python 3.13
checks each extension (docs/adr/0020-a-root-for-every-chain.md).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509

from .chain_rules import (
    ChainSource,
    covers,
    dns_names,
    find_extension,
    names_issuer,
    require_authority,
    require_server_certificate,
    require_signature,
    require_valid_today,
)
from .errors import InvalidInput, quoted
from .names import is_dns_name
from .pem import (
    Origin,
    origin_of,
    private_key,
    read_certificates,
    require_plain_key,
    require_plain_lines,
    to_pem,
)
from .secrets import ExistingSecret

Certificates = Sequence[x509.Certificate]

MAKE_CA = (
    "Make one with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 "
    "-subj '/CN=Registry CA' -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem`, then run "
    "`pulumi config set ca_certificate < ca.pem` and `pulumi config set --secret ca_key < ca.key`"
)


class ServedChain(NamedTuple):
    """The certificates that the registry serves, and the CAs that clients trust."""

    certificates: list[x509.Certificate]
    trusted: list[x509.Certificate]


class TypedHost(NamedTuple):
    """The host that clients type.

    Attributes:
        name: Its name.
        is_hostname: Whether it is the input `hostname`, and not the name of the Service.
    """

    name: str
    is_hostname: bool = True


def validate_authority(value: str) -> str:
    """Return the PEM of a CA that can sign server certificates, and of the CAs above it up to the root."""
    key = "ca_certificate"
    signer, *above = _in_order(read_certificates(origin_of(key), value))
    append = f"Write its certificate to root.pem, and run `cat ca.pem root.pem | pulumi config set {key}`"
    source = ChainSource(key, append, append, MAKE_CA)
    require_authority(source, signer)
    _require_chain(source, signer, above, authorities_below=1)
    _require_root(source, [signer, *above], [signer, *above], authorities_below=1)
    return to_pem([signer, *above])


def require_key_of_authority(ca_certificate: str, ca_key: str) -> None:
    """Refuse a private key that is not the CA's."""
    signer, *_ = read_certificates(origin_of("ca_certificate"), ca_certificate)
    if private_key(origin_of("ca_key"), ca_key).public_key() != signer.public_key():
        problem = "is not the private key of the first certificate of `ca_certificate`"
        remedy = "Run `pulumi config set --secret ca_key < ca.key` with the key of that certificate"
        raise InvalidInput("ca_key", "key-of-another-certificate", problem, remedy)


def short_authority_warning(ca_certificate: str, days: int) -> str:
    """Return a warning if a CA ends before a server certificate that is issued today for `days`, else ""."""
    certificates = read_certificates(origin_of("ca_certificate"), ca_certificate)
    end = min(item.not_valid_after_utc for item in certificates)
    if end >= datetime.now(UTC) + timedelta(days=days):
        return ""
    return (
        f"`ca_certificate` ends on {end:%Y-%m-%d}, before the server certificate would. "
        "Renew it, or lower `certificate_days`."
    )


def validate_trusted(key: str, value: str) -> str:
    """Return the PEM of CAs that are valid today."""
    certificates = read_certificates(origin_of(key), value)
    for certificate in certificates:
        require_valid_today(key, certificate)
    return to_pem(certificates)


def validate_server_chain(
    secret: ExistingSecret, texts: Mapping[str, str], host: TypedHost | None, system_roots: Callable[[], Certificates]
) -> ServedChain:
    """Return the chain of a TLS Secret, and the CAs that clients trust. Clients that type `host` must accept it.

    `host` is None for a Secret that cert-manager writes.

    The CAs are those of `ca.crt`. Without it they are the end of the chain, up to a root of the chain or of
    `system_roots`, as public CAs send no root.
    """
    with_ca = ("ca.crt",) if "ca.crt" in texts else ()
    command = secret.replace_command(*with_ca)
    origins = {name: Origin(secret.key, name, command, f" in {name}") for name in texts}
    source = _secret_source(secret, with_ca, host.name) if host is not None else _issuer_source(secret)
    leaf, *above = _read_pair(origins, texts)
    require_valid_today(secret.key, leaf)
    require_server_certificate(source, leaf)
    if host is not None and not covers(leaf, host.name):
        problem = f"has a certificate without the subject alternative name {host.name}, which clients type"
        names = [name for name in dns_names(leaf) if is_dns_name(name)] if host.is_hostname else []
        other = f", or run `pulumi config set hostname {names[0]}`" if names else ""
        raise InvalidInput(secret.key, "name-missing", problem, f"Have it issued for that name too{other}")
    _require_chain(source, leaf, above, authorities_below=0)
    if with_ca:
        trusted = read_certificates(origins["ca.crt"], texts["ca.crt"])
    else:
        trusted = above or [leaf]
        if not _is_root(trusted[-1]):
            trusted = [*trusted, *_issuers(trusted[-1], system_roots())[:1]]
    _require_root(source, [leaf, *above], trusted, authorities_below=0)
    return ServedChain([leaf, *above], trusted)


def _read_pair(origins: Mapping[str, Origin], texts: Mapping[str, str]) -> list[x509.Certificate]:
    """Return the certificates of tls.crt. Require that Go reads them and their key."""
    chain, key = origins["tls.crt"], origins["tls.key"]
    certificates = read_certificates(chain, texts["tls.crt"])
    if private_key(key, texts["tls.key"]).public_key() != certificates[0].public_key():
        problem = "names a Secret whose key is not that of the first certificate in tls.crt"
        remedy = f"Write the two that belong together to tls.crt and tls.key, and run `{chain.command}`"
        raise InvalidInput(chain.key, "key-of-another-certificate", problem, remedy)
    require_plain_lines(chain, texts["tls.crt"])
    require_plain_key(key, texts["tls.key"])
    return certificates


def _secret_source(secret: ExistingSecret, with_ca: tuple[str, ...], host: str) -> ChainSource:
    make_again = (
        "Make one with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 "
        f"-subj /CN=docker-registry -addext subjectAltName=DNS:{host} "
        "-addext keyUsage=critical,digitalSignature,keyCertSign -keyout tls.key -out tls.crt`, "
        f"and run `{secret.replace_command()}`"
    )
    return ChainSource(
        secret.key,
        f"Write its certificate to root.pem, run `cat root.pem >> ca.crt`, then `{secret.replace_command('ca.crt')}`",
        "Write its certificate to intermediate.pem, run `cat intermediate.pem >> tls.crt`, then "
        f"`{secret.replace_command(*with_ca)}`",
        make_again,
    )


def _issuer_source(secret: ExistingSecret) -> ChainSource:
    remedy = "Add the CAs above it, up to the root, to tls.crt in the Secret of the issuer's CA"
    return ChainSource(secret.key, remedy, remedy, "Use an issuer with a CA that clients accept")


def _require_root(source: ChainSource, served: Certificates, trusted: Certificates, authorities_below: int) -> None:
    """Require that clients which trust `trusted` alone find a way from the first served certificate to a root.

    They prefer trusted certificates to served ones, and do not return to the served ones.
    """
    current, depth, rest = served[0], authorities_below, list(served[1:])
    while not (_is_root(current) and current in trusted):
        issuers = _issuers(current, [item for item in trusted if item != current])
        if issuers:
            rest = []
        elif rest:
            issuers = [rest.pop(0)]
        else:
            _refuse_end(source, current, trusted)
        current = _require_link(source, current, issuers[0], depth)
        depth += 1
        if depth > len(served) + len(trusted):
            raise InvalidInput(source.key, "not-a-chain", "has CAs that issued each other", source.add_root)


def _refuse_end(source: ChainSource, last: x509.Certificate, trusted: Certificates) -> None:
    """Refuse a chain that ends at `last`, and say which certificate is missing."""
    if _is_root(last):
        problem = f"has a chain that ends with {_name(last.subject)}, which is not in ca.crt"
        raise InvalidInput(source.key, "root-missing", problem, source.add_root)
    missing, issued = _name(last.issuer), _name(last.subject)
    if any(_is_root(item) and item.subject != last.issuer for item in trusted):
        problem = f"lacks the intermediate certificate of {missing}, which issued {issued}. "
        problem += "Clients have the root of ca.crt only"
        raise InvalidInput(source.key, "intermediate-missing", problem, source.add_intermediate)
    problem = f"lacks the certificate of {missing}, which issued {issued}. "
    problem += "Programs that use OpenSSL accept a chain only with its root"
    raise InvalidInput(source.key, "root-missing", problem, source.add_root)


def _name(name: x509.Name) -> str:
    return quoted(name.rfc4514_string())


def _is_root(certificate: x509.Certificate) -> bool:
    """Return whether the certificate names itself as its issuer. Clients do not verify a root's own signature."""
    identifier = find_extension(certificate, x509.AuthorityKeyIdentifier)
    is_named = identifier is None or identifier.value.key_identifier is None or names_issuer(certificate, certificate)
    return certificate.subject == certificate.issuer and is_named


def _issuers(certificate: x509.Certificate, candidates: Certificates) -> list[x509.Certificate]:
    """Return the candidates that signed the certificate, the one that ends last first."""
    issuers = [item for item in candidates if _signed(item, certificate)]
    return sorted(issuers, key=lambda item: item.not_valid_after_utc, reverse=True)


def _in_order(certificates: Certificates) -> Certificates:
    """Return each CA once, the one that issued no other first, then its issuers. PKCS#7 files have another order.

    Certificates that form no chain keep their order.
    """
    rest = list(dict.fromkeys(certificates))
    lowest = [item for item in rest if not any(_signed(item, other) for other in rest if other != item)]
    chain: list[x509.Certificate] = []
    following = lowest[:1]
    while following:
        chain.append(following[0])
        rest.remove(following[0])
        following = [item for item in rest if _signed(item, chain[-1])]
    return certificates if rest else chain


def _signed(upper: x509.Certificate, lower: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except Exception:  # a wrong name, a wrong signature or a wrong kind of key
        return False
    return True


def _require_chain(source: ChainSource, first: x509.Certificate, above: Certificates, authorities_below: int) -> None:
    """Require that the next certificate signed each one, and that its path length allows the CAs below it."""
    pairs = list(zip([first, *above], above, strict=False))
    if not all(_signed(upper, lower) for lower, upper in pairs):
        problem = "has certificates that do not form a chain"
        remedy = "Put the first certificate first, then the one that signed it, and so on"
        raise InvalidInput(source.key, "not-a-chain", problem, remedy)
    for depth, (lower, upper) in enumerate(pairs, authorities_below):
        _require_link(source, lower, upper, depth)


def _require_link(
    source: ChainSource, lower: x509.Certificate, upper: x509.Certificate, depth: int
) -> x509.Certificate:
    """Return `upper`, if it may issue `lower` with `depth` CAs below it."""
    require_authority(source, upper)
    require_signature(source.key, lower, upper)
    longest = upper.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if longest is not None and longest < depth:
        problem = f"has a chain with {depth} CAs below a CA that allows {longest}"
        raise InvalidInput(source.key, "path-length", problem, "Use a CA with a longer pathlen")
    return upper
