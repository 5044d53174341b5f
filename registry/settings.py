"""The settings: the inputs with defaults applied and rules checked, by subject.

Each field has the name of its input, where inputs/args.py describes it. None means that the input is not set. A part
takes the subjects that it needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from .choices import IpFamily, IpFamilyPolicy
from .validation.access_rules import PULL_USER
from .validation.storage import STORAGE_KINDS, StorageKind

Text = pulumi.Input[str]
Texts = pulumi.Input[list[str]]

OWN_ACCOUNT = "docker-registry"
"""Name of the ServiceAccount that the component creates for `service_account_annotations`."""


@dataclass(frozen=True)
class ObjectSettings:
    """The namespace of the objects, and what the metadata of each object has."""

    namespace: str
    create_namespace: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class ExposureSettings:
    """How clients reach the registry."""

    exposure: str
    hostname: Text
    port: int
    external_ips: list[str]
    node_port: int | None
    load_balancer_class: Text | None
    load_balancer_address: Text | None
    ingress_class: Text | None
    gateway: Text | None
    gateway_namespace: str | None
    gateway_listener: Text | None
    client_cidrs: Texts
    ip_families: list[str]
    ip_family_policy: str
    service_annotations: pulumi.Input[Mapping[str, str]] | None
    certificate_names: Texts

    @property
    def asks_for_families(self) -> bool:
        """Whether an input asks for families of addresses."""
        return bool(self.ip_families) or self.ip_family_policy != IpFamilyPolicy.SINGLE_STACK

    @property
    def may_have_ipv6(self) -> bool:
        """Whether clients may connect to an IPv6 address, as far as the inputs say."""
        return IpFamily.IP_V6 in self.ip_families or self.ip_family_policy != IpFamilyPolicy.SINGLE_STACK


@dataclass(frozen=True)
class TlsSettings:
    """The server certificate and its CA."""

    certificate_subject: Mapping[str, str]
    certificate_key: str
    certificate_days: int
    renew_before_days: int
    ca_days: int
    ca_generations: list[int]
    ca_certificate: Text | None
    ca_key: Text | None
    tls_secret: Text | None
    certificate_reload: bool
    certificate_issuer: Mapping[str, str] | None

    @property
    def is_generated(self) -> bool:
        """Whether the component issues the server certificate."""
        return self.tls_secret is None and self.certificate_issuer is None

    @property
    def is_live(self) -> bool:
        """Whether cert-manager or the user renews the server certificate. A proxy in the Pod then serves it."""
        return self.certificate_issuer is not None or (self.tls_secret is not None and self.certificate_reload)


@dataclass(frozen=True)
class UserSettings:
    """The users and robots, with their passwords."""

    users: list[str]
    robots: Mapping[str, Mapping[str, list[str]]]
    pull_secrets: list[str]
    passwords: pulumi.Input[Mapping[str, Text]] | None
    password_generations: Mapping[str, list[int]]
    users_secret: Text | None
    token: Mapping[str, str] | None

    @property
    def names(self) -> list[str]:
        """Names with a generated or chosen password: users, robots, and the user of the pull Secrets."""
        return [*self.users, *self.robots, *([PULL_USER] if self.pull_secrets else [])]


@dataclass(frozen=True)
class AccessSettings:
    """The rights of users, which the proxy in the Pod checks."""

    users: list[str]
    access: list[Mapping[str, list[str]]]
    anonymous_pull: list[str]
    robots: Mapping[str, Mapping[str, list[str]]]
    pull_secrets: list[str]
    pull_secret_repositories: list[str]
    password_generations: Mapping[str, list[int]]


@dataclass(frozen=True)
class FrontSettings:
    """The container of the proxy in the Pod, the free space that it requires, and its log."""

    front_image: Text
    front_requests: pulumi.Input[dict[str, str]]
    front_limits: pulumi.Input[dict[str, str]]
    min_free: int
    log_level: str
    log_format: str


@dataclass(frozen=True)
class StorageSettings:
    """The storage location of the images."""

    storage: str
    storage_path: Text
    storage_size: Text
    storage_claim: Text | None
    storage_class: Text | None
    storage_access: str
    mode: str
    node: Text
    node_label: Text
    replicas: int
    s3_bucket: Text | None
    s3_region: Text
    s3_endpoint: Text | None
    s3_prefix: Text | None
    s3_access_key: Text | None
    s3_secret_key: Text | None
    s3_secret: Text | None
    s3_encrypt: bool
    s3_kms_key: Text | None
    s3_storage_class: str
    s3_redirect: bool
    azure_account: Text | None
    azure_container: Text | None
    azure_endpoint: Text | None
    azure_prefix: Text | None
    azure_secret: Text | None
    gcs_bucket: Text | None
    gcs_prefix: Text | None
    gcs_secret: Text | None

    @property
    def kind(self) -> StorageKind:
        """Properties of this kind of storage."""
        return STORAGE_KINDS[self.storage]

    @property
    def pods_overlap(self) -> bool:
        """Whether a new Pod reaches the images while the old one runs.

        A claim that several replicas use is shared, so this is true for them.
        """
        return self.kind.pods_overlap or self.storage_access == "ReadWriteMany" or self.replicas > 1

    @property
    def uses_default_class(self) -> bool:
        """Whether the cluster's default StorageClass provisions the volume."""
        return self.storage == "class" and self.storage_class is None

    @property
    def uses_role(self) -> bool:
        """Whether the registry takes the keys of an object store from a role, of its node or of its ServiceAccount."""
        inputs = [key for key in (self.kind.secret, self.kind.key) if key]
        return bool(inputs) and all(getattr(self, key) is None for key in inputs)

    @property
    def jobs_read_it(self) -> bool:
        """Whether the program of the jobs and of the exporter can read the storage."""
        return self.kind.jobs_read_it and not self.uses_role


@dataclass(frozen=True)
class MirrorSettings:
    """The registry that this one mirrors."""

    mirror_of: Text
    mirror_username: Text | None
    mirror_password: Text | None


@dataclass(frozen=True)
class WorkloadSettings:
    """The Pods that run the registry."""

    workload: str
    replicas: int
    run_as_user: int
    requests: pulumi.Input[dict[str, str]]
    limits: pulumi.Input[dict[str, str]]
    priority_class: Text | None
    tolerations: pulumi.Input[list[Mapping[str, str]]]
    node_selector: Mapping[str, str]
    service_account: Text | None
    service_account_annotations: pulumi.Input[Mapping[str, str]] | None
    image: Text
    image_pull_policy: str
    image_pull_secret: Text | None
    metrics: bool
    upstream_ca: Text | None
    outbound_proxy: pulumi.Input[Mapping[str, str]] | None


@dataclass(frozen=True)
class ServingSettings:
    """The registry's own configuration file, without storage and TLS."""

    mode: str
    allow_delete: bool
    upload_hours: int
    metrics: bool
    log_level: str
    log_format: str
    token: Mapping[str, str] | None
    mirror: MirrorSettings | None


@dataclass(frozen=True)
class MaintenanceSettings:
    """The jobs that free space, look for damage, and copy the images to a backup."""

    collect: Mapping[str, Any] | None
    retention: list[Mapping[str, Any]]
    scrub: Mapping[str, Any] | None
    backup: Mapping[str, Any] | None
    backup_user: Text | None
    backup_password: Text | None
    backup_secret: Text | None
    backup_ca: Text | None
    backup_image: Text
    upload_hours: int
    maintenance_image: Text
    maintenance_requests: pulumi.Input[dict[str, str]]
    maintenance_limits: pulumi.Input[dict[str, str]]


@dataclass(frozen=True)
class MonitoringSettings:
    """The metrics for Prometheus, the alerts and the dashboard."""

    service_monitor: bool
    monitor_labels: Mapping[str, str]
    monitor_interval: str | None
    alerts: bool
    dashboard: bool
    dashboard_labels: Mapping[str, str]
    maintenance_image: Text
    maintenance_requests: pulumi.Input[dict[str, str]]
    maintenance_limits: pulumi.Input[dict[str, str]]

    @property
    def has_exporter(self) -> bool:
        """Whether an exporter adds the metrics that the registry does not have."""
        return self.alerts or self.dashboard


@dataclass(frozen=True)
class NodeTrustSettings:
    """The trust of the nodes in the registry."""

    node_trust_image: Text
    containerd_folder: Text
    docker_folder: Text


@dataclass(frozen=True)
class PullSecretSettings:
    """The pull Secrets in other namespaces."""

    pull_secrets: list[str]
    default_pull_secret: bool


@dataclass(frozen=True)
class Settings:
    """All settings of a registry. A subject is None if its feature is off."""

    objects: ObjectSettings
    exposure: ExposureSettings
    tls: TlsSettings
    users: UserSettings
    access: AccessSettings | None
    front: FrontSettings | None
    storage: StorageSettings
    workload: WorkloadSettings
    serving: ServingSettings
    maintenance: MaintenanceSettings | None
    node_trust: NodeTrustSettings | None
    pull_secrets: PullSecretSettings | None
    monitoring: MonitoringSettings | None
    discovery: bool
