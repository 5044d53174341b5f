"""A table with a row for each input: its rule, its default, and the other inputs that it depends on.

The names, types and descriptions are in args.py. `make schema` generates Pulumi.yaml, docs/configuration.md and the
schema for other languages from both.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from ..choices import Exposure, IpFamilyPolicy, S3StorageClass
from ..validation import (
    access,
    azure,
    backup,
    certificates,
    families,
    gcs,
    images,
    maintenance,
    monitoring,
    names,
    network,
    nodes,
    proxy,
    pull_secrets,
    quantities,
    servers,
    storage,
    tolerations,
    users,
    workload,
)
from ..validation.basics import flag, one_of
from ..validation.rotation import generations
from ..validation.secrets import external_credential

Values = Mapping[str, Any]


class Condition(NamedTuple):
    """A condition on another input: that it has one of `values`. Without values, that it is not empty."""

    key: str
    values: tuple[object, ...] = ()

    def holds(self, values: Values) -> bool:
        """Return whether the condition is true for the inputs."""
        return values.get(self.key) in self.values if self.values else bool(values.get(self.key))

    def __str__(self) -> str:
        """Return the condition in words, such as "`storage` is host-path or local"."""
        if not self.values:
            return f"`{self.key}` is set"
        return f"`{self.key}` is {' or '.join(str(value).lower() for value in self.values)}"


class Row(NamedTuple):
    """The rule of an input, its default, and the inputs that it depends on.

    Attributes:
        rule: Takes the value and returns it, or raises `InvalidInput`.
        default: The value if the input is not set, or None.
        secret: Whether the state and every output keep it encrypted.
        is_public: Takes the text of a secret input in the file of the stack. Returns whether it may be plain.
        only_with: Conditions. If none of them holds, the input has no effect and is refused.
        required: An example value, if the input must be set when one of `only_with` holds, else "".
        both_or_neither: An input that must be set together with this one.
        replaces: Inputs that have no effect if this one is set, and are refused.
        existing: Whether the value names an existing object in the namespace of the registry.
    """

    rule: Callable[[Any], Any]
    default: Any = None
    secret: bool = False
    is_public: Callable[[str], bool] = lambda _: False
    only_with: tuple[Condition, ...] = ()
    required: str = ""
    both_or_neither: str = ""
    replaces: tuple[str, ...] = ()
    existing: bool = False


ON_NODE = Condition("storage", tuple(name for name, kind in storage.STORAGE_KINDS.items() if kind.is_on_node))
EXTERNAL_IPS = Condition("exposure", ("external-ips",))
NODE_PORT = Condition("exposure", ("node-port",))
LOAD_BALANCER = Condition("exposure", ("load-balancer",))
INGRESS = Condition("exposure", ("ingress",))
GATEWAY = Condition("exposure", ("gateway",))
OFF_NODE = Condition("storage", tuple(str(name) for name, kind in storage.STORAGE_KINDS.items() if not kind.is_on_node))
CLAIM = Condition("storage", ("claim",))
CLASS = Condition("storage", ("class",))
S3 = Condition("storage", ("s3",))
AZURE = Condition("storage", ("azure",))
GCS = Condition("storage", ("gcs",))
STORES = Condition("storage", tuple(str(name) for name, kind in storage.STORAGE_KINDS.items() if not kind.is_mounted))
MIRROR = Condition("mode", ("mirror",))
NODE_TRUST = Condition("node_trust", (True,))
BACKUP = Condition("backup")
METRICS = Condition("metrics", (True,))
SERVICE_MONITOR = Condition("service_monitor", (True,))
JOB_CONDITIONS = (Condition("collect"), Condition("scrub"), BACKUP)
"""Conditions that each suffice for the maintenance jobs."""

PYTHON_CONDITIONS = (*JOB_CONDITIONS, Condition("alerts", (True,)), Condition("dashboard", (True,)))
"""Conditions that each suffice for a Pod with the program of the jobs: a job or the exporter."""

PROXY_INPUTS = ("access", "anonymous_pull", "robots", "pull_secrets", "min_free")
"""Inputs that need the proxy in the Pod, which checks each request."""

ACCESS_CONDITIONS = tuple(map(Condition, PROXY_INPUTS))
"""Conditions that each suffice for a proxy in the Pod that decides on requests."""

FRONT_CONDITIONS = (*ACCESS_CONDITIONS, Condition("certificate_issuer"), Condition("tls_secret"))
"""Conditions that each suffice for a proxy in the Pod. It also serves certificates that others renew."""


def _flag(key: str, **more: Any) -> Row:
    return Row(partial(flag, key), default=False, **more)


def _name(key: str, **more: Any) -> Row:
    return Row(partial(names.object_name, key), **more)


INPUTS: dict[str, Row] = {
    # How clients reach it
    "hostname": Row(names.hostname, default="docker-registry"),
    "port": Row(network.port, default=5000),
    "exposure": Row(
        partial(one_of, "exposure", choices=Exposure, remedy="The guide uses external-ips"), default="cluster"
    ),
    "external_ips": Row(network.external_ips, default=[], only_with=(EXTERNAL_IPS,), required="192.168.56.10"),
    "node_port": Row(network.node_port, only_with=(NODE_PORT,), required="30500"),
    "load_balancer_class": Row(names.load_balancer_class, only_with=(LOAD_BALANCER,)),
    "load_balancer_address": Row(network.load_balancer_address, only_with=(LOAD_BALANCER,)),
    "ingress_class": _name("ingress_class", only_with=(INGRESS,), required="nginx"),
    "gateway": _name("gateway", only_with=(GATEWAY,), required="shared"),
    "gateway_namespace": _name("gateway_namespace", only_with=(GATEWAY,), required="gateways"),
    "gateway_listener": _name("gateway_listener", only_with=(GATEWAY,), required="passthrough"),
    "client_cidrs": Row(network.client_cidrs, default=[]),
    "ip_families": Row(families.ip_families, default=[]),
    "ip_family_policy": Row(families.ip_family_policy, default=IpFamilyPolicy.SINGLE_STACK.value),
    "service_annotations": Row(partial(names.annotations, key="service_annotations")),
    # Kubernetes objects
    "namespace": Row(names.namespace, default="docker-registry"),
    "create_namespace": Row(partial(flag, "create_namespace"), default=True),
    "labels": Row(names.labels, default={}),
    "annotations": Row(names.annotations, default={}),
    # Certificate
    "certificate_names": Row(names.certificate_names, default=[]),
    "certificate_subject": Row(certificates.certificate_subject, default={}),
    "certificate_key": Row(certificates.certificate_key, default="P-256"),
    "certificate_days": Row(certificates.certificate_days, default=356),
    "renew_before_days": Row(certificates.renew_before_days, default=30),
    "ca_days": Row(certificates.ca_days, default=3650),
    "ca_generations": Row(partial(generations, "ca_generations"), default=[1]),
    "ca_certificate": Row(
        certificates.ca_certificate, both_or_neither="ca_key", replaces=("ca_days", "ca_generations")
    ),
    "ca_key": Row(certificates.ca_key, secret=True, both_or_neither="ca_certificate"),
    "tls_secret": _name(
        "tls_secret",
        existing=True,
        replaces=(
            "certificate_names",
            "certificate_subject",
            "certificate_key",
            "certificate_days",
            "renew_before_days",
            "ca_days",
            "ca_generations",
            "ca_certificate",
            "ca_key",
        ),
    ),
    "certificate_reload": Row(partial(flag, "certificate_reload"), default=True, only_with=(Condition("tls_secret"),)),
    "certificate_issuer": Row(
        certificates.certificate_issuer,
        replaces=("tls_secret", "ca_days", "ca_generations", "ca_certificate", "ca_key"),
    ),
    # Users
    "users": Row(users.users, default=["centos"]),
    "passwords": Row(users.passwords, secret=True),
    "password_generations": Row(users.password_generations, default={}),
    "users_secret": _name(
        "users_secret",
        existing=True,
        replaces=(
            *("users", "passwords", "password_generations"),
            *PROXY_INPUTS,
        ),
    ),
    # Access rules
    "access": Row(access.access, default=[]),
    "anonymous_pull": Row(partial(access.globs, "anonymous_pull"), default=[]),
    "robots": Row(access.robots, default={}),
    "token": Row(
        access.token,
        replaces=(
            *("users", "passwords", "password_generations", "users_secret"),
            *PROXY_INPUTS,
        ),
    ),
    "front_image": Row(access.front_image, default=access.NEWEST_FRONT, only_with=FRONT_CONDITIONS),
    "front_requests": Row(
        partial(quantities.resources, "front_requests"),
        default={"cpu": "100m", "memory": "64Mi"},
        only_with=FRONT_CONDITIONS,
    ),
    "front_limits": Row(
        partial(quantities.resources, "front_limits"), default={"memory": "256Mi"}, only_with=FRONT_CONDITIONS
    ),
    # Nodes and other namespaces
    "node_trust": _flag("node_trust"),
    "node_trust_image": Row(partial(images.image, key="node_trust_image"), only_with=(NODE_TRUST,)),
    "containerd_folder": Row(
        partial(nodes.folder, "containerd_folder"), default=nodes.CONTAINERD_FOLDER, only_with=(NODE_TRUST,)
    ),
    "docker_folder": Row(partial(nodes.folder, "docker_folder"), default=nodes.DOCKER_FOLDER, only_with=(NODE_TRUST,)),
    "pull_secrets": Row(pull_secrets.pull_secrets, default=[]),
    "pull_secret_repositories": Row(
        partial(access.globs, "pull_secret_repositories"), default=["**"], only_with=(Condition("pull_secrets"),)
    ),
    "default_pull_secret": _flag("default_pull_secret", only_with=(Condition("pull_secrets"),)),
    "discovery": _flag("discovery"),
    # Images
    "storage": Row(storage.storage, default="host-path"),
    "storage_path": Row(storage.storage_path, default="/var/lib/docker-registry/repository", only_with=(ON_NODE,)),
    "storage_size": Row(
        storage.storage_size, default="2Gi", only_with=(Condition("storage", (*ON_NODE.values, "class")),)
    ),
    "storage_claim": _name("storage_claim", only_with=(CLAIM,), required="my-claim", existing=True),
    "storage_class": _name("storage_class", only_with=(CLASS,)),
    "storage_access": Row(storage.storage_access, default="ReadWriteOnce", only_with=(CLASS,)),
    "s3_bucket": Row(storage.s3_bucket, only_with=(S3,), required="team-registry"),
    "s3_region": Row(storage.s3_region, default="us-east-1", only_with=(S3,)),
    "s3_endpoint": Row(servers.s3_endpoint, only_with=(S3,)),
    "s3_prefix": Row(storage.s3_prefix, only_with=(S3,)),
    "s3_access_key": Row(
        partial(external_credential, "s3_access_key"), only_with=(S3,), both_or_neither="s3_secret_key"
    ),
    "s3_secret_key": Row(
        partial(external_credential, "s3_secret_key"), secret=True, only_with=(S3,), both_or_neither="s3_access_key"
    ),
    "s3_secret": _name("s3_secret", only_with=(S3,), existing=True, replaces=("s3_access_key", "s3_secret_key")),
    "s3_encrypt": _flag("s3_encrypt", only_with=(S3,)),
    "s3_kms_key": Row(storage.s3_kms_key, only_with=(Condition("s3_encrypt", (True,)),)),
    "s3_storage_class": Row(storage.s3_storage_class, default=S3StorageClass.STANDARD.value, only_with=(S3,)),
    "s3_redirect": _flag("s3_redirect", only_with=(S3,)),
    "azure_account": Row(azure.azure_account, only_with=(AZURE,), required="teamregistry"),
    "azure_container": Row(azure.azure_container, only_with=(AZURE,), required="images"),
    "azure_endpoint": Row(azure.azure_endpoint, only_with=(AZURE,)),
    "azure_prefix": Row(partial(storage.s3_prefix, key="azure_prefix"), only_with=(AZURE,)),
    "azure_secret": _name("azure_secret", only_with=(AZURE,), existing=True),
    "gcs_bucket": Row(gcs.gcs_bucket, only_with=(GCS,), required="team-registry"),
    "gcs_prefix": Row(partial(storage.s3_prefix, key="gcs_prefix"), only_with=(GCS,)),
    "gcs_secret": _name("gcs_secret", only_with=(GCS,), existing=True),
    "upstream_ca": Row(certificates.upstream_ca, only_with=(STORES, MIRROR)),
    "outbound_proxy": Row(
        proxy.outbound_proxy, secret=True, is_public=proxy.has_no_login, only_with=(STORES, MIRROR, BACKUP)
    ),
    # Workload
    "workload": Row(workload.workload, default="pod"),
    "replicas": Row(workload.replicas, default=1, only_with=(Condition("workload", ("deployment",)),)),
    "node": Row(names.node, default="k8s-master", only_with=(ON_NODE, EXTERNAL_IPS)),
    "node_label": Row(names.node_label, default="run-docker-registry=true", only_with=(ON_NODE,)),
    "run_as_user": Row(workload.run_as_user),
    "requests": Row(partial(quantities.resources, "requests"), default={"cpu": "100m", "memory": "64Mi"}),
    "limits": Row(partial(quantities.resources, "limits")),
    "priority_class": _name("priority_class"),
    "tolerations": Row(tolerations.tolerations, default=[]),
    "node_selector": Row(partial(names.labels, key="node_selector"), default={}, only_with=(OFF_NODE,)),
    "service_account": _name("service_account", existing=True, replaces=("service_account_annotations",)),
    "service_account_annotations": Row(partial(names.annotations, key="service_account_annotations")),
    "image": Row(images.image, default=images.NEWEST),
    "image_pull_policy": Row(images.image_pull_policy, default="IfNotPresent"),
    "image_pull_secret": _name("image_pull_secret", existing=True),
    # Maintenance
    "collect": Row(maintenance.collect),
    "retention": Row(maintenance.retention, default=[], only_with=(Condition("collect"),)),
    "scrub": Row(maintenance.scrub),
    "backup": Row(backup.backup),
    "backup_user": Row(backup.user, only_with=(BACKUP,), both_or_neither="backup_password"),
    "backup_password": Row(
        partial(external_credential, "backup_password"), secret=True, only_with=(BACKUP,), both_or_neither="backup_user"
    ),
    "backup_secret": _name(
        "backup_secret", only_with=(BACKUP,), existing=True, replaces=("backup_user", "backup_password")
    ),
    "backup_ca": Row(partial(certificates.upstream_ca, key="backup_ca"), only_with=(BACKUP,)),
    "backup_image": Row(partial(images.image, key="backup_image"), default=backup.IMAGE, only_with=(BACKUP,)),
    "maintenance_image": Row(
        partial(images.image, key="maintenance_image"), default=maintenance.IMAGE, only_with=PYTHON_CONDITIONS
    ),
    "maintenance_requests": Row(
        partial(quantities.resources, "maintenance_requests"),
        default={"cpu": "50m", "memory": "64Mi"},
        only_with=PYTHON_CONDITIONS,
    ),
    "maintenance_limits": Row(
        partial(quantities.resources, "maintenance_limits"), default={"memory": "512Mi"}, only_with=PYTHON_CONDITIONS
    ),
    # Operation
    "mode": Row(workload.mode, default="read-write"),
    "mirror_of": Row(servers.mirror_of, only_with=(MIRROR,), required="https://registry-1.docker.io"),
    "mirror_username": Row(workload.mirror_username, only_with=(MIRROR,), both_or_neither="mirror_password"),
    "mirror_password": Row(
        partial(external_credential, "mirror_password"),
        secret=True,
        only_with=(MIRROR,),
        both_or_neither="mirror_username",
    ),
    "allow_delete": _flag("allow_delete", only_with=(Condition("mode", ("read-write",)),)),
    "min_free": Row(
        workload.min_free, default=0, only_with=(Condition("storage", (*ON_NODE.values, *CLAIM.values, *CLASS.values)),)
    ),
    "upload_hours": Row(workload.upload_hours, default=24),
    "metrics": _flag("metrics"),
    "service_monitor": _flag("service_monitor", only_with=(METRICS,)),
    "monitor_labels": Row(partial(names.labels, key="monitor_labels"), default={}, only_with=(SERVICE_MONITOR,)),
    "monitor_interval": Row(monitoring.monitor_interval, only_with=(SERVICE_MONITOR,)),
    "alerts": _flag("alerts", only_with=(SERVICE_MONITOR,)),
    "dashboard": _flag("dashboard", only_with=(METRICS,)),
    "dashboard_labels": Row(
        partial(names.labels, key="dashboard_labels"),
        default={"grafana_dashboard": "1"},
        only_with=(Condition("dashboard", (True,)),),
    ),
    "log_level": Row(workload.log_level, default="info"),
    "log_format": Row(workload.log_format, default="text"),
}
"""Every input, in the order of args.py."""

DEFAULTS = {key: row.default for key, row in INPUTS.items() if row.default is not None}
"""Value of each input that has a default."""

SECRETS = tuple(key for key, row in INPUTS.items() if row.secret)
"""Inputs that the state and every output keep encrypted, even if they were set in plain text."""

CROSS_FIELD_RULES: dict[Callable[..., None], tuple[str, ...]] = {
    certificates.refuse_endless_renewal: ("renew_before_days", "certificate_days"),
    certificates.ca_and_key_match: ("ca_certificate", "ca_key"),
    access.names_are_distinct: ("users", "robots", "pull_secrets"),
    access.names_are_plain: ("users", *PROXY_INPUTS),
    access.rules_name_users: ("access", "users", "robots"),
    access.deletion_is_allowed: ("access", "robots", "allow_delete"),
    access.keys_are_read: ("image", "token"),
    users.passwords_of_users: ("passwords", "users"),
    users.generations_of_users: ("password_generations", "users", "robots", "pull_secrets"),
    users.generations_are_generated: ("passwords", "password_generations"),
    partial(quantities.within_limits, ""): ("requests", "limits"),
    partial(quantities.within_limits, "front_"): ("front_requests", "front_limits"),
    partial(quantities.within_limits, "maintenance_"): ("maintenance_requests", "maintenance_limits"),
    network.load_balancer_reaches_clients: ("load_balancer_address", "client_cidrs"),
    families.families_fit_policy: ("ip_families", "ip_family_policy"),
    families.families_of_addresses: ("external_ips", "ip_families", "ip_family_policy"),
    families.families_of_clients: ("client_cidrs", "ip_families"),
    servers.bucket_not_in_endpoint: ("s3_endpoint", "s3_bucket"),
    servers.region_of_endpoint: ("s3_endpoint", "s3_region"),
    servers.clients_reach_bucket: ("s3_endpoint", "s3_redirect"),
    storage.class_is_read: ("image", "s3_storage_class"),
    storage.version_has_storage: ("image", "storage"),
}
"""Rules for the values of several inputs. The first input's value is held back until its rule accepts them.

A rule with an input that may be an Output has such an input first, because a plain value would become an Output."""

ADVICE: dict[Callable[..., str], tuple[str, ...]] = {
    images.image_advice: ("image",),
    storage.size_advice: ("storage_size",),
    users.password_advice: ("passwords",),
    users.guessing_advice: ("passwords", *PROXY_INPUTS),
    maintenance.untagged_advice: ("collect",),
    certificates.ca_advice: ("ca_certificate", "certificate_days"),
}
"""Warnings about values that are allowed but unwise, and the inputs they are about."""
