"""The certificates and kubeconfigs of the control plane and the nodes, all signed here; none leaves the state folder.

They live as long as the state folder does: nothing renews them. The registry's own certificate is not made here:
that is the product's affair.
"""

from base64 import b64encode
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dev.cluster.authority import CLIENT, SERVER, Authority, Pair, new_key, private_pem, write_private
from dev.cluster.plan import API_SERVICE, MASTER, NODES, Host

API_SERVER = f"https://{MASTER.address}:6443"
API_NAMES = (
    *(MASTER.address, "127.0.0.1", API_SERVICE, MASTER.name, "localhost", "kubernetes", "kubernetes.default"),
    *("kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
)
COMPONENTS = ("controller-manager", "scheduler", "proxy")


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
        *(kubernetes.sign(name, f"system:kube-{name}", (CLIENT,)) for name in COMPONENTS),
        *(_sign_node(kubernetes, node) for node in NODES),
    ]
    for user in users:
        user.write(folder)
        write_private(folder / f"{user.name}.conf", kubeconfig(kubernetes.pair, user).encode())
    _write_service_account_keys(folder)


def _sign_node(authority: Authority, node: Host) -> Pair:
    """Of a kubelet, which is the API's client and its server."""
    names = (node.address, node.name)
    return authority.sign(node.name, f"system:node:{node.name}", (SERVER, CLIENT), names, group="system:nodes")


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
    key = new_key()
    write_private(folder / "service-account.key", private_pem(key))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "service-account.pub").write_bytes(public)


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
