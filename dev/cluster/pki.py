"""The certificates and kubeconfigs of the control plane and the nodes. They stay in the state folder.

They are valid for ten years and are never renewed. The registry's certificate is issued by the component instead.
"""

from base64 import b64encode
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dev.cluster.authority import (
    CLIENT,
    SERVER,
    Authority,
    KeyPair,
    encode_private_key,
    generate_key,
    write_private_file,
)
from dev.cluster.plan import API_SERVICE, MASTER, NODES, Host

API_SERVER = f"https://{MASTER.address}:6443"
API_NAMES = (
    *(MASTER.address, "127.0.0.1", API_SERVICE, MASTER.name, "localhost", "kubernetes", "kubernetes.default"),
    *("kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
)
COMPONENTS = ("controller-manager", "scheduler", "proxy")


def create_pki(folder: Path) -> None:
    """Write `NAME.crt` and `NAME.key`, the kubeconfigs `USER.conf`, and the keys of the ServiceAccounts to `folder`."""
    kubernetes, etcd, front_proxy = (Authority.create(f"{name}-ca") for name in ("kubernetes", "etcd", "front-proxy"))
    for authority in (kubernetes, etcd, front_proxy):
        authority.pair.write(folder)
    etcd.issue("etcd", "etcd", (SERVER, CLIENT), ("127.0.0.1", "localhost")).write(folder)
    etcd.issue("apiserver-etcd-client", "apiserver-etcd", (CLIENT,)).write(folder)
    front_proxy.issue("front-proxy-client", "front-proxy-client", (CLIENT,)).write(folder)
    kubernetes.issue("apiserver", "kube-apiserver", (SERVER,), API_NAMES).write(folder)
    kubernetes.issue("apiserver-kubelet-client", "kube-apiserver", (CLIENT,), group="system:masters").write(folder)
    users = [
        kubernetes.issue("admin", "kubernetes-admin", (CLIENT,), group="system:masters"),
        *(kubernetes.issue(name, f"system:kube-{name}", (CLIENT,)) for name in COMPONENTS),
        *(_issue_node(kubernetes, node) for node in NODES),
    ]
    for user in users:
        user.write(folder)
        write_private_file(folder / f"{user.name}.conf", render_kubeconfig(kubernetes.pair, user).encode())
    _write_service_account_keys(folder)


def _issue_node(authority: Authority, node: Host) -> KeyPair:
    """Issue the certificate of a kubelet, for use as a client and as a server."""
    names = (node.address, node.name)
    return authority.issue(node.name, f"system:node:{node.name}", (SERVER, CLIENT), names, group="system:nodes")


def render_kubeconfig(authority: KeyPair, user: KeyPair) -> str:
    """Return a kubeconfig for `user` that refers to no other file."""
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
    key = generate_key()
    write_private_file(folder / "service-account.key", encode_private_key(key))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "service-account.pub").write_bytes(public)


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
