"""Names: the host that clients type, and the Kubernetes names and labels around it."""

import re

from . import Described, InvalidInput, text, whole_number

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""One DNS label, RFC 1123: at most 63 characters."""

QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""The name part of a label key, and a label value: at most 63 characters."""

NOT_OURS = ("default", "kube-system", "kube-public", "kube-node-lease")


def hostname(value: str) -> str:
    """The name in the certificate and in every image reference: a lower-case DNS name.

    At most 64 characters, because it is the common name too (X.520, ub-common-name).
    """
    remedy = "use the name that clients type before the port, for example 'docker-registry' or 'registry.example.com'"
    name = text("hostname", value, "docker-registry")
    if not name.isascii():
        raise InvalidInput("hostname", "plain ASCII", name, "write an international name in its xn-- form")
    if len(name) > 64 or not _dns_name(name):
        raise InvalidInput("hostname", "a DNS name in lower case of at most 64 characters", name, remedy)
    if name.rsplit(".", 1)[-1].isdigit():
        raise InvalidInput("hostname", "a name, not an address", name, f"{remedy}; addresses go into `external_ips`")
    return name


def namespace(value: str) -> str:
    """A namespace of the registry's own: it is created, and deleted again by `pulumi destroy`."""
    name = text("namespace", value, "docker-registry")
    if not LABEL.fullmatch(name):
        raise InvalidInput("namespace", "a DNS label of at most 63 characters", name, "for example 'docker-registry'")
    if name in NOT_OURS:
        raise InvalidInput(
            "namespace", "one of the registry's own", name, "it would be deleted with the stack; use 'docker-registry'"
        )
    return name


def node(value: str) -> str:
    """The node that holds the images, as `kubectl get nodes` names it."""
    name = text("node", value, "k8s-master")
    if len(name) > 253 or not _dns_name(name):
        raise InvalidInput("node", "the name of a node", name, "take one from `kubectl get nodes`")
    return name


def node_label(value: str) -> str:
    """The label that pins the Pod to its node, as `key=value`; the key may have a DNS prefix."""
    remedy = "for example 'run-docker-registry=true'"
    key, equals, label = text("node_label", value, "run-docker-registry=true").partition("=")
    prefix, slash, name = key.rpartition("/")
    if not equals:
        raise InvalidInput("node_label", "key=value", value, remedy)
    if not QUALIFIED.fullmatch(name) or (slash and (len(prefix) > 253 or not _dns_name(prefix))):
        raise InvalidInput("node_label", "a label with a valid key", value, remedy)
    if label and not QUALIFIED.fullmatch(label):
        raise InvalidInput("node_label", "a label with a value of letters, digits and -_.", value, remedy)
    if prefix.split(".")[-2:] in (["kubernetes", "io"], ["k8s", "io"]):
        got = Described(f"{key}, a key that Kubernetes keeps for itself")
        raise InvalidInput("node_label", "a label of your own", got, remedy)
    return value


def run_as_user(value: int) -> int:
    """The numeric user of the registry's process; 0 is root."""
    return whole_number("run_as_user", value, 0, 2**31 - 1, "a numeric user id", "0, or the owner of `storage_path`")


def _dns_name(value: str) -> bool:
    return len(value) <= 253 and all(LABEL.fullmatch(label) for label in value.split("."))
