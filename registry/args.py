"""What may be set: every argument with its docstring, its default, its rule, and what there is to say of unwise values.

A new setting is a line in the class, in DEFAULTS and in RULES, one in Pulumi.yaml, one in the program `__main__.py`,
and one where `private_registry.py` hands it to a part.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NotRequired, TypedDict, cast

import pulumi

from .validation import certificates, checked, credentials, images, known_keys, names, network, storage


class PrivateRegistryArgs(TypedDict):
    hostname: NotRequired[str]
    """The name that clients type before the port; the certificate's common name. Default docker-registry."""
    port: NotRequired[int]
    """TCP port of the Service, which clients type after the hostname, 1 to 65535. Default 5000."""
    external_ips: NotRequired[list[str]]
    """Addresses of nodes on which the Service answers from outside the cluster; each becomes a SAN. Default none."""
    namespace: NotRequired[str]
    """Namespace of the registry's own, created and deleted with it. Default docker-registry."""
    certificate_subject: NotRequired[dict[str, str]]
    """Subject beside the common name: country, province, locality, organization, organizational_unit. Default none."""
    certificate_key: NotRequired[str]
    """Kind of the private keys: P-256, P-384, RSA-2048, RSA-3072 or RSA-4096. Default P-256."""
    certificate_days: NotRequired[int]
    """Lifetime of the server's certificate in days, 1 to 397. Default 356."""
    renew_before_days: NotRequired[int]
    """Days before the end in which the next `pulumi up` renews the certificate. Default 30."""
    username: NotRequired[pulumi.Input[str]]
    """The user who may push and pull. Default centos."""
    password: NotRequired[pulumi.Input[str] | None]
    """That user's password, a secret of at most 72 bytes. Default: 32 generated letters and digits."""
    node: NotRequired[pulumi.Input[str]]
    """Name of the node that holds the images. Default k8s-master."""
    node_label: NotRequired[pulumi.Input[str]]
    """Label, key=value, put on that node and selected by the Pod. Default run-docker-registry=true."""
    storage_path: NotRequired[pulumi.Input[str]]
    """Folder on the node that holds the images, absolute. Default /var/lib/docker-registry/repository."""
    storage_size: NotRequired[pulumi.Input[str]]
    """Size that the claim asks for, a Kubernetes quantity. Default 2Gi."""
    image: NotRequired[pulumi.Input[str]]
    """Image of the registry, with a version or a digest. Default registry:3.1.2."""
    run_as_user: NotRequired[int]
    """Numeric user that the registry runs as; with any but 0, it must own the folder. Default 0."""


DEFAULTS = PrivateRegistryArgs(
    hostname="docker-registry",
    port=5000,
    external_ips=[],
    namespace="docker-registry",
    certificate_subject={},
    certificate_key="P-256",
    certificate_days=356,
    renew_before_days=30,
    username="centos",
    node="k8s-master",
    node_label="run-docker-registry=true",
    storage_path="/var/lib/docker-registry/repository",
    storage_size="2Gi",
    image="registry:3.1.2",
    run_as_user=0,
)
"""The guide's values. Pulumi.yaml repeats them for the command line, and a test compares the two."""

RULES: dict[str, Callable[[Any], Any]] = {
    "hostname": names.hostname,
    "port": network.port,
    "external_ips": network.external_ips,
    "namespace": names.namespace,
    "certificate_subject": certificates.certificate_subject,
    "certificate_key": certificates.certificate_key,
    "certificate_days": certificates.certificate_days,
    "renew_before_days": certificates.renew_before_days,
    "username": credentials.username,
    "password": credentials.password,
    "node": names.node,
    "node_label": names.node_label,
    "storage_path": storage.storage_path,
    "storage_size": storage.storage_size,
    "image": images.image,
    "run_as_user": names.run_as_user,
}
"""By the key: each takes a value and returns it, or refuses it with the remedy."""

ADVICE: dict[Callable[..., str], tuple[str, ...]] = {
    images.image_advice: ("image",),
    storage.size_advice: ("storage_size",),
    credentials.password_advice: ("username", "password"),
}
"""What to say of values that are taken but unwise, and the keys of those values."""


def settled(args: PrivateRegistryArgs) -> PrivateRegistryArgs:
    """The inputs, checked, with the defaults where nothing is given; says what is allowed but unwise."""
    given = {**DEFAULTS, **{key: value for key, value in args.items() if value is not None}}
    known_keys(given, RULES)
    accepted = cast(PrivateRegistryArgs, {key: checked(value, RULES[key]) for key, value in given.items()})
    certificates.renewal_window(accepted["renew_before_days"], accepted["certificate_days"])
    _warn(accepted)
    return accepted


def _warn(accepted: PrivateRegistryArgs) -> None:
    """Say of each value that is allowed but unwise, the guide's own weak ones among them, what there is to say."""
    for advice, keys in ADVICE.items():
        pulumi.Output.all(*(accepted.get(key) for key in keys)).apply(partial(_say, advice))


def _say(advice: Callable[..., str], values: list[Any]) -> None:
    if said := advice(*values):
        pulumi.log.warn(said)
