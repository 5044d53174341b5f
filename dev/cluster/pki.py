"""The certificates and kubeconfigs of the control plane and the nodes, all signed here; none leaves the state folder.

They live as long as the state folder does: nothing renews them. The registry's own certificate is not made here:
that is the product's affair.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dev.cluster.plan import API_SERVICE, MASTER, NODES

LIFETIME = timedelta(days=3650)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
API_SERVER = f"https://{MASTER.address}:6443"
API_NAMES = (
    *(MASTER.address, "127.0.0.1", API_SERVICE, MASTER.name, "localhost", "kubernetes", "kubernetes.default"),
    *("kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
)


def write(folder: Path) -> None:
    """Fill `folder`: `NAME.crt` and `NAME.key`, `USER.conf` for the kubeconfigs, and the service accounts' keys."""
    kubernetes, etcd, front_proxy = (Authority.create(f"{name}-ca") for name in ("kubernetes", "etcd", "front-proxy"))
    for authority in (kubernetes, etcd, front_proxy):
        authority.pair.write(folder)
    etcd.sign("etcd", "etcd", (SERVER, CLIENT), ("127.0.0.1", "localhost")).write(folder)
    etcd.sign("apiserver-etcd-client", "apiserver-etcd", (CLIENT,)).write(folder)
    front_proxy.sign("front-proxy-client", "front-proxy-client", (CLIENT,)).write(folder)
    kubernetes.sign("apiserver", "kube-apiserver", (SERVER,), API_NAMES).write(folder)
    kubernetes.sign("apiserver-kubelet-client", "kube-apiserver", (CLIENT,), group="system:masters").write(folder)
    users = [
        kubernetes.sign("admin", "kubernetes-admin", (CLIENT,), group="system:masters"),
        *(
            kubernetes.sign(name, f"system:kube-{name}", (CLIENT,))
            for name in ("controller-manager", "scheduler", "proxy")
        ),
        *(
            kubernetes.sign(
                node.name, f"system:node:{node.name}", (SERVER, CLIENT), (node.address, node.name), "system:nodes"
            )
            for node in NODES
        ),
    ]
    for user in users:
        user.write(folder)
        _write_private(folder / f"{user.name}.conf", kubeconfig(kubernetes.pair, user).encode())
    _write_service_account_keys(folder)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, under the name of their files."""

    name: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return _private_pem(self.key)

    def write(self, folder: Path) -> None:
        (folder / f"{self.name}.crt").write_bytes(self.certificate_pem)
        _write_private(folder / f"{self.name}.key", self.key_pem)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that signs leaves."""

    pair: Pair

    @classmethod
    def create(cls, name: str) -> "Authority":
        key = _new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            _certificate(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
        )
        return cls(Pair(name, builder.sign(key, hashes.SHA256()), key))

    def sign(
        self,
        name: str,
        user: str,
        usages: Iterable[x509.ObjectIdentifier],
        hosts: Sequence[str] = (),
        group: str = "",
    ) -> Pair:
        """A leaf for `user` of `group`, as Kubernetes reads a subject, that may answer under the names `hosts`."""
        key = _new_key()
        parts = [(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject = x509.Name([x509.NameAttribute(*part) for part in (*parts, (NameOID.COMMON_NAME, user))])
        builder = (
            _certificate(subject, self.pair.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if hosts:
            alternatives = x509.SubjectAlternativeName(map(_general_name, hosts))
            builder = builder.add_extension(alternatives, critical=False)
        return Pair(name, builder.sign(self.pair.key, hashes.SHA256()), key)


def kubeconfig(authority: Pair, user: Pair) -> str:
    """What a client needs to be `user`: self-contained, so that the file may be copied anywhere."""
    cluster = {"server": API_SERVER, "certificate-authority-data": _base64(authority.certificate_pem)}
    credentials = {
        "client-certificate-data": _base64(user.certificate_pem),
        "client-key-data": _base64(user.key_pem),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "embedded", "cluster": cluster}],
            "users": [{"name": user.name, "user": credentials}],
            "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": user.name}}],
            "current-context": "embedded",
        }
    )


def _write_service_account_keys(folder: Path) -> None:
    key = _new_key()
    _write_private(folder / "service-account.key", _private_pem(key))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "service-account.pub").write_bytes(public)


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
