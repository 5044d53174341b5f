"""From inputs to settings: the defaults, a rule for every input, rules for several at once, and advice."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast, get_args

import pulumi

from .args import PrivateRegistryArgs
from .validation import (
    certificates,
    checked,
    contradictions,
    credentials,
    dynamic,
    flag,
    generations,
    images,
    known_before,
    known_keys,
    logins,
    names,
    network,
    nodes,
    pulling,
    quantities,
    storage,
    workloads,
)

DEFAULTS = PrivateRegistryArgs(
    hostname="docker-registry",
    port=5000,
    exposure="cluster",
    external_ips=[],
    client_cidrs=[],
    namespace="docker-registry",
    create_namespace=True,
    labels={},
    annotations={},
    certificate_names=[],
    certificate_subject={},
    certificate_key="P-256",
    certificate_days=356,
    renew_before_days=30,
    ca_days=3650,
    ca_generations=[1],
    users=["centos"],
    password_generations={},
    node_trust=False,
    containerd_folder=nodes.CONTAINERD_FOLDER,
    docker_folder=nodes.DOCKER_FOLDER,
    pull_secrets=[],
    default_pull_secret=False,
    discovery=False,
    storage="host-path",
    storage_path="/var/lib/docker-registry/repository",
    storage_size="2Gi",
    storage_access="ReadWriteOnce",
    s3_region="us-east-1",
    workload="pod",
    replicas=1,
    node="k8s-master",
    node_label="run-docker-registry=true",
    requests={"cpu": "100m", "memory": "64Mi"},
    limits={"memory": "512Mi"},
    image=images.NEWEST,
    image_pull_policy="IfNotPresent",
    mode="read-write",
    allow_delete=False,
    upload_hours=24,
    metrics=False,
    service_monitor=False,
    log_level="info",
    log_format="text",
)
"""What counts where nothing is given. Pulumi.yaml repeats it for the command line, and a test compares the two."""

RULES: dict[str, Callable[[Any], Any]] = {
    "hostname": names.hostname,
    "port": network.port,
    "exposure": network.exposure,
    "external_ips": network.external_ips,
    "node_port": network.node_port,
    "load_balancer_class": names.load_balancer_class,
    "load_balancer_address": network.load_balancer_address,
    "ingress_class": partial(names.object_name, "ingress_class"),
    "client_cidrs": network.client_cidrs,
    "namespace": names.namespace,
    "create_namespace": partial(flag, "create_namespace"),
    "labels": names.labels,
    "annotations": names.annotations,
    "certificate_names": names.certificate_names,
    "certificate_subject": certificates.certificate_subject,
    "certificate_key": certificates.certificate_key,
    "certificate_days": certificates.certificate_days,
    "renew_before_days": certificates.renew_before_days,
    "ca_days": certificates.ca_days,
    "ca_generations": partial(generations.generations, "ca_generations"),
    "ca_certificate": certificates.ca_certificate,
    "ca_key": certificates.ca_key,
    "tls_secret": partial(names.object_name, "tls_secret"),
    "users": credentials.users,
    "passwords": credentials.passwords,
    "password_generations": logins.password_generations,
    "users_secret": partial(names.object_name, "users_secret"),
    "node_trust": partial(flag, "node_trust"),
    "node_trust_image": partial(images.image, key="node_trust_image"),
    "containerd_folder": partial(nodes.folder, "containerd_folder"),
    "docker_folder": partial(nodes.folder, "docker_folder"),
    "pull_secrets": pulling.pull_secrets,
    "default_pull_secret": partial(flag, "default_pull_secret"),
    "discovery": partial(flag, "discovery"),
    "storage": storage.storage,
    "storage_path": storage.storage_path,
    "storage_size": storage.storage_size,
    "storage_claim": partial(names.object_name, "storage_claim"),
    "storage_class": partial(names.object_name, "storage_class"),
    "storage_access": storage.storage_access,
    "s3_bucket": storage.s3_bucket,
    "s3_region": storage.s3_region,
    "s3_endpoint": network.s3_endpoint,
    "s3_prefix": storage.s3_prefix,
    "s3_access_key": partial(credentials.foreign, "s3_access_key"),
    "s3_secret_key": partial(credentials.foreign, "s3_secret_key"),
    "s3_secret": partial(names.object_name, "s3_secret"),
    "upstream_ca": certificates.upstream_ca,
    "workload": workloads.workload,
    "replicas": workloads.replicas,
    "node": names.node,
    "node_label": names.node_label,
    "run_as_user": names.run_as_user,
    "requests": partial(quantities.resources, "requests"),
    "limits": partial(quantities.resources, "limits"),
    "priority_class": partial(names.object_name, "priority_class"),
    "image": images.image,
    "image_pull_policy": images.image_pull_policy,
    "image_pull_secret": partial(names.object_name, "image_pull_secret"),
    "mode": workloads.mode,
    "mirror_of": network.mirror_of,
    "mirror_username": workloads.mirror_username,
    "mirror_password": partial(credentials.foreign, "mirror_password"),
    "allow_delete": partial(flag, "allow_delete"),
    "upload_hours": workloads.upload_hours,
    "metrics": partial(flag, "metrics"),
    "service_monitor": partial(flag, "service_monitor"),
    "log_level": workloads.log_level,
    "log_format": workloads.log_format,
}
"""By key: each takes a value and returns it, or refuses it and tells the remedy."""

SECRET = ("ca_key", "passwords", "s3_secret_key", "mirror_password")
"""What the state and every output keep encrypted, whoever gave it in plain text."""

TOGETHER: dict[Callable[..., None], tuple[str, ...]] = {
    contradictions.refuse_endless_renewal: ("renew_before_days", "certificate_days"),
    certificates.of_one_authority: ("ca_certificate", "ca_key"),
    credentials.of_the_users: ("passwords", "users"),
    logins.of_the_users: ("password_generations", "users"),
    logins.of_generated: ("passwords", "password_generations"),
    quantities.within_limits: ("requests", "limits"),
    network.one_family: ("load_balancer_address", "client_cidrs"),
}
"""Rules for the values of several keys, known now or later. The first key's value is held back until its rule holds."""

ADVICE: dict[Callable[..., str], tuple[str, ...]] = {
    images.image_advice: ("image",),
    storage.size_advice: ("storage_size",),
    credentials.password_advice: ("passwords",),
    certificates.ca_advice: ("ca_certificate", "certificate_days"),
}
"""What to say of values that are taken but unwise, and the keys of those values."""


def settled(args: PrivateRegistryArgs) -> PrivateRegistryArgs:
    """The inputs, checked, with the defaults where nothing is given; says what is allowed but unwise."""
    given = {**DEFAULTS, **{key: value for key, value in args.items() if value is not None}}
    known_keys(given, RULES)
    accepted = {key: _accepted(key, value) for key, value in given.items()}
    contradictions.refuse_idle(accepted, DEFAULTS)
    contradictions.refuse_missing(accepted, DEFAULTS)
    contradictions.refuse_unshared_replicas(accepted)
    pulling.refuse_own_namespace(accepted)
    for rule, keys in TOGETHER.items():
        _agree(rule, keys, accepted)
    _warn(accepted)
    accepted.setdefault("run_as_user", 0 if accepted["storage"] == "host-path" else UNPRIVILEGED)
    return cast(PrivateRegistryArgs, accepted)


UNPRIVILEGED = 65532
"""The user `nonroot` of distroless images: any but root does, and this one belongs to no person."""


def is_structural(key: str) -> bool:
    """Whether the input shapes the graph: its annotation takes no Output."""
    return not any("Output" in str(each) for each in get_args(PrivateRegistryArgs.__annotations__[key]))


def _accepted(key: str, value: Any) -> Any:
    given = known_before(key, value) if is_structural(key) else value
    ruled = checked(given, RULES[key])
    return pulumi.Output.secret(ruled) if key in SECRET else ruled


def _agree(rule: Callable[..., None], keys: tuple[str, ...], accepted: dict[str, Any]) -> None:
    """Apply a rule for several keys now, or hold the first one back until the rule is content."""
    if any(accepted.get(key) is None for key in keys):
        return
    values = [accepted[key] for key in keys]
    if not dynamic(values):
        rule(*values)
        return

    # The first value stays as secret as it is: the CA of a secret key is for everybody to read.
    content = pulumi.Output.unsecret(pulumi.Output.all(*values).apply(lambda known: rule(*known)))
    accepted[keys[0]] = pulumi.Output.all(values[0], content).apply(lambda both: both[0])


def _warn(accepted: dict[str, Any]) -> None:
    """Say of each value that is allowed but unwise, the guide's own weak ones among them, what there is to say."""
    for advice, keys in ADVICE.items():
        if all(accepted.get(key) is not None for key in keys):
            pulumi.Output.all(*(accepted[key] for key in keys)).apply(partial(_say, advice))


def _say(advice: Callable[..., str], values: list[Any]) -> None:
    if said := advice(*values):
        pulumi.log.warn(said)
