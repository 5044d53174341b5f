"""Rules for the hostname, and for Kubernetes names, labels and annotations."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from .basics import text, texts, typed_text
from .commands import set_entry
from .errors import InvalidInput, quoted

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label, RFC 1123: at most 63 characters."""

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Object names and prefixes of label keys (apimachinery, IsDNS1123Subdomain)."""

QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""Names of label keys without their prefix, and label values: at most 63 characters."""

LONGEST_ANNOTATIONS = 240 * 1024
"""Bytes of all annotations of an object: 256 KiB (apimachinery, TotalAnnotationSizeLimitB) less the component's own."""

MOST_LABELS = 100
"""Labels on an object, without the component's own. With thousands of them etcd rejects every object."""

RESERVED_PREFIXES = ("private-registry/", "pulumi.com/")
"""Prefixes of the annotations that the component and the provider set."""

RESERVED_KEYS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "pod-security.kubernetes.io/enforce",
    "kubernetes.io/metadata.name",
)
"""Keys that select the component's objects, or that change the rights in the namespace."""

KINDS = {
    "ingress_class": "ingressclasses",
    "certificate_issuer.name": "issuers,clusterissuers --all-namespaces",
    "gateway": "gateways --all-namespaces",
    "gateway_namespace": "gateways --all-namespaces",
    "gateway_listener": "gateways --all-namespaces --output yaml",
    "storage_claim": "persistentvolumeclaims --all-namespaces",
    "backup.to.claim": "persistentvolumeclaims --all-namespaces",
    "storage_class": "storageclasses",
    "priority_class": "priorityclasses",
    "service_account": "serviceaccounts --all-namespaces",
}
"""Arguments of `kubectl get` that list the objects an input names. Other inputs name Secrets."""

CLUSTER_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def hostname(value: str) -> str:
    """Require a lower-case DNS name that fits the common name of the certificate.

    The limit of 64 characters is that of a common name (X.520, ub-common-name).
    """
    remedy = "Use the name that clients type before the port, for example 'docker-registry' or 'registry.example.com'"
    name = text("hostname", value, "docker-registry")
    if not name.isascii():
        problem = f"must be plain ASCII, not {quoted(name)}"
        raise InvalidInput("hostname", "not-ascii", problem, "Write an international name in its xn-- form")
    if len(name) > 64 or not is_dns_name(name):
        problem = f"must be a DNS name in lower case of at most 64 characters, not {quoted(name)}"
        raise InvalidInput("hostname", "not-a-dns-name", problem, remedy)
    if name.rsplit(".", 1)[-1].isdigit():
        problem = f"must be a name, not the address {quoted(name)}"
        raise InvalidInput("hostname", "is-an-address", problem, f"{remedy}. Addresses go into `external_ips`")
    if is_localhost(name):
        problem = f"must not be {quoted(name)}, which is each client itself"
        remedy = f"{remedy}. For `kubectl port-forward` add localhost to `certificate_names`"
        raise InvalidInput("hostname", "loopback", problem, remedy)
    return name


def is_localhost(name: str) -> bool:
    """Return whether the name means the host that resolves it: localhost, or a name below it (RFC 6761, 6.3)."""
    return name.rpartition(".")[2] == "localhost" or name == "localhost.localdomain"


def component_name(value: str) -> str:
    """Require a name that can be part of object names and the value of a label."""
    if len(value) > 63 or not is_dns_name(value):
        problem = f"must be a DNS name in lower case of at most 63 characters, not {quoted(value)}"
        raise InvalidInput("name", "not-a-dns-name", problem, "For example PrivateRegistry('team', ...)")
    return value


def namespace(value: str) -> str:
    """Require a DNS label that is not one of the cluster's own namespaces."""
    name = text("namespace", value, "docker-registry")
    if not LABEL.fullmatch(name):
        problem = f"must be a DNS label of at most 63 characters, not {quoted(name)}"
        raise InvalidInput("namespace", "not-a-dns-label", problem, "For example 'docker-registry'")
    if name in CLUSTER_NAMESPACES:
        problem = f"must not be {quoted(name)}, which belongs to the cluster"
        raise InvalidInput("namespace", "belongs-to-the-cluster", problem, "For example 'docker-registry'")
    return name


def node(value: str) -> str:
    """Require the name of a node, as `kubectl get nodes` prints it: a DNS subdomain, RFC 1123."""
    name = text("node", value, "k8s-master")
    if not _is_subdomain(name):
        problem = f"must be the name of a node, not {quoted(name)}"
        raise InvalidInput("node", "not-a-node-name", problem, "Take one from `kubectl get nodes`")
    return name


def object_name(key: str, value: str) -> str:
    """Require the name of an object: a DNS subdomain, RFC 1123."""
    name = text(key, value, "my-secret")
    if not _is_subdomain(name):
        problem = f"must be the name of an object, in lower case, not {quoted(name)}"
        remedy = f"Take one from `kubectl get {KINDS.get(key, 'secrets --all-namespaces')}`"
        raise InvalidInput(key, "not-an-object-name", problem, remedy)
    return name


def load_balancer_class(value: str) -> str:
    """Require the name of a load balancer implementation, which has the form of a label key."""
    name = text("load_balancer_class", value, "example.com/internal")
    if not is_qualified(name):
        problem = f"must be a name with an optional DNS prefix, not {quoted(name)}"
        remedy = "For example 'example.com/internal', from the manual of your load balancer"
        raise InvalidInput("load_balancer_class", "not-a-qualified-name", problem, remedy)
    return name


def certificate_names(value: list[str]) -> list[str]:
    """Require subject alternative names: lower-case DNS names, wildcards for the whole first label, or addresses."""
    addresses: list[IPv4Address | IPv6Address] = []
    for name in texts("certificate_names", value, "registry.example.com"):
        try:
            address = ip_address(name)
        except ValueError:
            _subject_alternative_name(name)
        else:
            addresses.append(address)
            if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id):
                problem = f"has {quoted(name)}, a form of address that no certificate can hold"
                remedy = "Write the IPv4 address, or the IPv6 address without its zone"
                raise InvalidInput("certificate_names", "address-form", problem, remedy)
    if len(set(addresses)) < len(addresses):
        problem = f"names an address twice: {quoted(value)}"
        raise InvalidInput("certificate_names", "repeated", problem, "Name each one once")
    return value


def _subject_alternative_name(name: str) -> None:
    remedy = "For example 'registry.example.com' or '*.example.com'"
    labels = name.removeprefix("*.").split(".")
    is_wildcard = name.startswith("*.")
    if not is_dns_name(".".join(labels)) or (is_wildcard and len(labels) < 2):
        problem = f"must be DNS names in lower case or addresses, not {quoted(name)}"
        raise InvalidInput("certificate_names", "not-a-dns-name", problem, remedy)
    if labels[-1].isdigit():
        problem = f"must be names, or addresses of four numbers, not {quoted(name)}"
        raise InvalidInput("certificate_names", "incomplete-address", problem, remedy)


def labels(value: Mapping[str, str], key: str = "labels") -> Mapping[str, str]:
    """Require labels that the API server accepts and that the component does not set itself. `key` is the input."""
    texts_by_key = _metadata(key, value)
    for name, label in texts_by_key.items():
        if label and not QUALIFIED.fullmatch(label):
            problem = f"must be at most 63 letters, digits and -_., not {quoted(label)}"
            raise InvalidInput(f"{key}.{name}", "not-a-label-value", problem, "For example 'red'")
    if len(value) > MOST_LABELS:
        problem = f"must be at most {MOST_LABELS} labels, not {len(value)}"
        raise InvalidInput(key, "too-many", problem, "Use `annotations` for long lists")
    return texts_by_key


def annotations(value: Mapping[str, str], key: str = "annotations") -> Mapping[str, str]:
    """Require annotations that the API server accepts and the component does not set itself. `key` is the input."""
    texts_by_key = _metadata(key, value, has_capitals=True)
    for name, annotation in texts_by_key.items():
        if any("\ud800" <= character <= "\udfff" for character in annotation):
            problem = "must be valid Unicode, but has a lone surrogate"
            raise InvalidInput(f"{key}.{name}", "not-unicode", problem, "Type the text again")
    size = sum(len(name.encode()) + len(annotation.encode()) for name, annotation in texts_by_key.items())
    if size > LONGEST_ANNOTATIONS:
        problem = f"must be at most {LONGEST_ANNOTATIONS} bytes in all, not {size}"
        raise InvalidInput(key, "too-long", problem, "Shorten them")
    return texts_by_key


def _metadata(name: str, value: Mapping[str, str], *, has_capitals: bool = False) -> Mapping[str, str]:
    """Return texts by qualified name. Refuse the keys that the component sets.

    `has_capitals` means that the prefix of a key may have capitals, as the API server accepts them in annotations.
    """
    if not isinstance(value, Mapping):
        problem = f"must be a map, not {quoted(value)}"
        remedy = f"Run `{set_entry(name, 'example.com/team', 'red')}`"
        raise InvalidInput(name, "not-a-map", problem, remedy)
    texts_by_key = {key: typed_text(item) for key, item in value.items()}
    for key, item in texts_by_key.items():
        if not isinstance(key, str) or not is_qualified(key.lower() if has_capitals else key):
            problem = f"must have keys that are a name with an optional DNS prefix, not {quoted(key)}"
            raise InvalidInput(name, "not-a-qualified-name", problem, "For example example.com/team")
        if key.lower().startswith(RESERVED_PREFIXES) or key in RESERVED_KEYS:
            problem = f"must not have the key {quoted(key)}, which the component sets itself"
            raise InvalidInput(name, "reserved-key", problem, "Use a prefix of your own, for example example.com/team")
        if not isinstance(item, str):
            problem = f"must be text, not {quoted(item)}"
            remedy = f"Run `{set_entry(name, key, 'VALUE')}`"
            raise InvalidInput(f"{name}.{key}", "not-text", problem, remedy)
    return texts_by_key  # type: ignore[return-value]  # only texts are left


def node_label(value: str) -> str:
    """Require a label as `key=value` that Kubernetes does not keep for itself."""
    remedy = "For example 'run-docker-registry=true'"
    key, equals, label = text("node_label", value, "run-docker-registry=true").partition("=")
    if not equals:
        raise InvalidInput("node_label", "not-key=value", f"must be key=value, not {quoted(value)}", remedy)
    if not is_qualified(key):
        problem = f"must have a key that is a name with an optional DNS prefix, not {quoted(value)}"
        raise InvalidInput("node_label", "not-a-qualified-name", problem, remedy)
    if label and not QUALIFIED.fullmatch(label):
        problem = f"must have a value of at most 63 letters, digits and -_., not {quoted(value)}"
        raise InvalidInput("node_label", "not-a-label-value", problem, remedy)
    if _is_kubernetes_own(key):
        problem = f"must not have the key {quoted(key)}, which Kubernetes keeps for itself"
        raise InvalidInput("node_label", "reserved-key", problem, remedy)
    return value


def is_qualified(key: str) -> bool:
    """Return whether `key` can be the key of a label or an annotation: an optional DNS prefix and a name."""
    prefix, slash, name = key.rpartition("/")
    return bool(QUALIFIED.fullmatch(name)) and (not slash or _is_subdomain(prefix))


def _is_kubernetes_own(key: str) -> bool:
    return key.rpartition("/")[0].split(".")[-2:] in (["kubernetes", "io"], ["k8s", "io"])


def _is_subdomain(value: str) -> bool:
    """Return whether Kubernetes takes it for a DNS subdomain. Kubernetes does not limit the length of a label in it."""
    return len(value) <= 253 and bool(SUBDOMAIN.fullmatch(value))


def is_dns_name(value: str) -> bool:
    """Return whether it is a valid DNS name, RFC 1123."""
    return len(value) <= 253 and all(LABEL.fullmatch(label) for label in value.split("."))
