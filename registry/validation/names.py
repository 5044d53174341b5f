"""Names: the host that clients type, and the Kubernetes names and labels around it."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from . import Described, InvalidInput, text, whole_number, words

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""One DNS label, RFC 1123: at most 63 characters."""

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""The name of an object, and the prefix of a label's key (apimachinery, IsDNS1123Subdomain)."""

QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""The name part of a label key, and a label value: at most 63 characters."""

LONGEST_ANNOTATIONS = 240 * 1024
"""Bytes of all annotations of an object: 256 KiB (apimachinery, TotalAnnotationSizeLimitB) without the component's."""

MOST_LABELS = 100
"""Labels on an object, beside the component's own: with thousands, etcd takes none of the objects."""

OURS = ("private-registry/", "pulumi.com/")
"""Prefixes of what the component and the provider write themselves."""

COMPONENTS_OWN = (
    *("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"),
    *("pod-security.kubernetes.io/enforce", "kubernetes.io/metadata.name"),
)
"""Keys by which its objects are found, or that mean something for the namespace."""

NOT_OURS = ("default", "kube-system", "kube-public", "kube-node-lease")


def hostname(value: str) -> str:
    """The name in the certificate and in every image reference: a lower-case DNS name.

    At most 64 characters, because it is the common name too (X.520, ub-common-name).
    """
    remedy = "use the name that clients type before the port, for example 'docker-registry' or 'registry.example.com'"
    name = text("hostname", value, "docker-registry")
    if not name.isascii():
        raise InvalidInput("hostname", "plain ASCII", name, "write an international name in its xn-- form")
    if len(name) > 64 or not dns_name(name):
        raise InvalidInput("hostname", "a DNS name in lower case of at most 64 characters", name, remedy)
    if name.rsplit(".", 1)[-1].isdigit():
        raise InvalidInput("hostname", "a name, not an address", name, f"{remedy}; addresses go into `external_ips`")
    return name


def component(value: str) -> str:
    """The registry's own name in the program: part of the names of its objects, and the value of a label."""
    if len(value) > 63 or not dns_name(value):
        remedy = "for example PrivateRegistry('team', ...)"
        raise InvalidInput("name", "a DNS name in lower case of at most 63 characters", value, remedy)
    return value


def namespace(value: str) -> str:
    """A namespace for the registry, and none that the cluster itself needs."""
    name = text("namespace", value, "docker-registry")
    if not LABEL.fullmatch(name):
        raise InvalidInput("namespace", "a DNS label of at most 63 characters", name, "for example 'docker-registry'")
    if name in NOT_OURS:
        raise InvalidInput(
            "namespace", "one of the registry's own", name, "it belongs to the cluster; use 'docker-registry'"
        )
    return name


def node(value: str) -> str:
    """The node that holds the images, as `kubectl get nodes` names it."""
    name = text("node", value, "k8s-master")
    # The label kubernetes.io/hostname bears it, by which the volume finds its node.
    if len(name) > 63 or not dns_name(name):
        raise InvalidInput("node", "the name of a node", name, "take one from `kubectl get nodes`")
    return name


def object_name(key: str, value: str) -> str:
    """The name of an object that exists already: a DNS subdomain, RFC 1123."""
    name = text(key, value, "my-secret")
    if not _subdomain(name):
        raise InvalidInput(key, "the name of an object in lower case", name, "take one from `kubectl get`")
    return name


def load_balancer_class(value: str) -> str:
    """The implementation's name, spelled like a label's key."""
    name = text("load_balancer_class", value, "example.com/internal")
    if not _qualified(name):
        remedy = "for example 'example.com/internal', from your load balancer's manual"
        raise InvalidInput("load_balancer_class", "a name with an optional DNS prefix", name, remedy)
    return name


def certificate_names(value: list[str]) -> list[str]:
    """More SANs: DNS names in lower case, a wildcard for a whole first label, or addresses."""
    addresses: list[IPv4Address | IPv6Address] = []
    for name in words("certificate_names", value, ["registry.example.com", "10.0.0.7"]):
        try:
            address = ip_address(name)
        except ValueError:
            _san(name)
        else:
            addresses.append(address)
            if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id):
                remedy = "write the IPv4 address, or the IPv6 address without its zone"
                raise InvalidInput("certificate_names", "addresses as a certificate holds them", name, remedy)
    if len(set(addresses)) < len(addresses):
        raise InvalidInput("certificate_names", "distinct addresses", value, "name each one once")
    return value


def _san(name: str) -> None:
    remedy = "for example 'registry.example.com' or '*.example.com'"
    labels = name.removeprefix("*.").split(".")
    is_wildcard = name.startswith("*.")
    if not dns_name(".".join(labels)) or (is_wildcard and len(labels) < 2):
        raise InvalidInput("certificate_names", "DNS names in lower case or addresses", name, remedy)
    if labels[-1].isdigit():
        raise InvalidInput("certificate_names", "addresses of four numbers, or names", name, remedy)


def labels(value: Mapping[str, str]) -> Mapping[str, str]:
    """Labels for every object: what the API server takes, and none of the component's own."""
    remedy = "for example {example.com/team: red}"
    for key, label in _metadata("labels", value).items():
        if label and not QUALIFIED.fullmatch(label):
            raise InvalidInput(f"labels.{key}", "at most 63 letters, digits and -_.", label, remedy)
    if len(value) > MOST_LABELS:
        got = Described(str(len(value)))
        raise InvalidInput("labels", f"at most {MOST_LABELS} labels", got, "what is long belongs into annotations")
    return value


def annotations(value: Mapping[str, str]) -> Mapping[str, str]:
    """Annotations for every object: what the API server takes, and none of the component's own."""
    for key, each in _metadata("annotations", value).items():
        if any("\ud800" <= character <= "\udfff" for character in each):
            raise InvalidInput(f"annotations.{key}", "valid Unicode", Described("a lone surrogate"), "write it anew")
    size = sum(len(key.encode()) + len(each.encode()) for key, each in value.items())
    if size > LONGEST_ANNOTATIONS:
        got = Described(f"{size} bytes")
        raise InvalidInput("annotations", f"at most {LONGEST_ANNOTATIONS} bytes in all", got, "shorten them")
    return value


def _metadata(of: str, value: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidInput(of, "a map", value, "for example {example.com/team: red}")
    for key, each in value.items():
        # The prefix of an annotation's key may be in capitals, the API server says.
        if not isinstance(key, str) or not _qualified(key.lower() if of == "annotations" else key):
            raise InvalidInput(of, "keyed by a name with an optional DNS prefix", key, "for example example.com/team")
        if key.lower().startswith(OURS) or key in COMPONENTS_OWN:
            got = Described(f"{key}, which the component sets itself")
            raise InvalidInput(of, "keys of your own", got, "choose a prefix of yours, for example example.com/team")
        if not isinstance(each, str):
            raise InvalidInput(f"{of}.{key}", "text", each, "put it in quotes, for example 'true'")
    return value


def node_label(value: str) -> str:
    """The label that pins the Pod to its node, as `key=value`; the key may have a DNS prefix."""
    remedy = "for example 'run-docker-registry=true'"
    key, equals, label = text("node_label", value, "run-docker-registry=true").partition("=")
    if not equals:
        raise InvalidInput("node_label", "key=value", value, remedy)
    if not _qualified(key):
        raise InvalidInput("node_label", "a label with a valid key", value, remedy)
    if label and not QUALIFIED.fullmatch(label):
        raise InvalidInput("node_label", "a label with a value of letters, digits and -_.", value, remedy)
    if _kubernetes_own(key):
        got = Described(f"{key}, a key that Kubernetes keeps for itself")
        raise InvalidInput("node_label", "a label of your own", got, remedy)
    return value


def run_as_user(value: int) -> int:
    """The numeric user of the registry's process; 0 is root."""
    return whole_number(
        "run_as_user", value, 0, 2**31 - 1, "a numeric user id", "0, or the owner of the images' folder"
    )


def _qualified(key: str) -> bool:
    """Whether `key` can be that of a label or an annotation: a name, after a DNS prefix and a slash if any."""
    prefix, slash, name = key.rpartition("/")
    return bool(QUALIFIED.fullmatch(name)) and (not slash or _subdomain(prefix))


def _kubernetes_own(key: str) -> bool:
    return key.rpartition("/")[0].split(".")[-2:] in (["kubernetes", "io"], ["k8s", "io"])


def _subdomain(value: str) -> bool:
    """Whether Kubernetes takes it for a DNS subdomain: of its parts, it limits no one's length."""
    return len(value) <= 253 and bool(SUBDOMAIN.fullmatch(value))


def dns_name(value: str) -> bool:
    """Whether it can be resolved: a DNS name, RFC 1123."""
    return len(value) <= 253 and all(LABEL.fullmatch(label) for label in value.split("."))
