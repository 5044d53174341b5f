"""The inputs of the component: name, type, description and default.

A `pulumi.Input` may come from another resource. The other inputs decide which resources there are, and must be known
before deployment (docs/adr/0009-inputs.md). table.py has the rules. The comments are the headings of
docs/configuration.md. CONTRIBUTING.md has a checklist for a new input.
"""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi

from ..choices import (
    AccessRight,
    CertificateKey,
    Exposure,
    ImagePullPolicy,
    IpFamily,
    IpFamilyPolicy,
    IssuerKind,
    LogFormat,
    LogLevel,
    Mode,
    S3StorageClass,
    Storage,
    StorageAccess,
    Workload,
)


class AccessRuleArgs(TypedDict):
    """Rights of users in repositories."""

    users: list[str]
    """Users or robots by name, or anonymous (everybody), or authenticated (every user and robot)."""
    repositories: list[str]
    """Names of repositories. A part of a name may be *, and any number of parts **."""
    rights: list[AccessRight]
    """pull, push and delete. Whoever may push or delete may pull too."""


class CertificateIssuerArgs(TypedDict):
    """An issuer of cert-manager."""

    name: str
    """Name of the existing issuer."""
    kind: NotRequired[IssuerKind]
    """Kind of the issuer: Issuer, in the registry's namespace, or ClusterIssuer. Default Issuer."""


class RobotArgs(TypedDict):
    """Rights of a robot."""

    repositories: list[str]
    """Names of repositories. A part of a name may be *, and any number of parts **."""
    rights: list[AccessRight]
    """pull, push and delete. Whoever may push or delete may pull too."""


class CollectArgs(TypedDict):
    """The job that frees space."""

    schedule: str
    """Time of the job, five fields of cron, UTC."""
    delete_untagged: NotRequired[bool]
    """Whether images without a tag are deleted too. Default false."""
    timeout: NotRequired[str]
    """Longest time that the job may take, such as 90m or 6h. Default 6h."""


class RetentionRuleArgs(TypedDict):
    """A rule that keeps some of the tags of repositories, and removes the others."""

    repositories: list[str]
    """Names of repositories. A part of a name may be *, and any number of parts **."""
    tags: NotRequired[list[str]]
    """Tags that the rule is for. A * stands for any characters. Default every tag."""
    keep: NotRequired[int]
    """Number of the newest of these tags to keep in each repository. Default none."""
    keep_days: NotRequired[int]
    """Days to keep a tag after it was pushed. Default none."""


class ScrubArgs(TypedDict):
    """The job that looks for damage."""

    schedule: str
    """Time of the job, five fields of cron, UTC."""
    days: NotRequired[int]
    """Days until every blob is read once, 1 to 365. Default 30."""
    heal: NotRequired[bool]
    """Whether to repair links and move damaged data aside, so that the next push sends it again. Default false."""


class BackupBucketArgs(TypedDict):
    """A bucket that keeps the backup."""

    bucket: str
    """Name of the existing bucket."""
    region: NotRequired[str]
    """Region of the bucket. Default us-east-1."""
    endpoint: NotRequired[str]
    """URL of a server other than AWS. Requests use path style. Default AWS."""
    prefix: NotRequired[str]
    """Folder in the bucket. Default its root."""


class BackupRegistryArgs(TypedDict):
    """Another registry that keeps the backup."""

    url: str
    """URL of the registry, such as https://registry.example.com."""
    prefix: NotRequired[str]
    """Beginning of the repositories in that registry. Default none, so repositories have the same names."""


class BackupTargetArgs(TypedDict):
    """The place of the backup: one of claim, s3 and registry."""

    claim: NotRequired[str]
    """Name of an existing PersistentVolumeClaim."""
    s3: NotRequired[BackupBucketArgs]
    """Bucket of an object store."""
    registry: NotRequired[BackupRegistryArgs]
    """Another registry."""


class BackupArgs(TypedDict):
    """The job that copies all images to another place."""

    schedule: str
    """Time of the job, five fields of cron, UTC."""
    to: BackupTargetArgs
    """Place of the backup: claim, s3 or registry."""
    timeout: NotRequired[str]
    """Longest time that the job may take, such as 90m or 6h. Default 12h."""


class PrivateRegistryArgs(TypedDict):
    # How clients reach it
    hostname: NotRequired[pulumi.Input[str]]
    """Name that clients outside the cluster type, and common name of the certificate. Default docker-registry."""
    port: NotRequired[int]
    """TCP port of the Service, 1 to 65535. Clients of a node port, Ingress or Gateway use another. Default 5000."""
    exposure: NotRequired[Exposure]
    """How it is exposed: cluster, external-ips, node-port, load-balancer, ingress or gateway. Default cluster."""
    external_ips: NotRequired[list[str]]
    """With external-ips: addresses of nodes that accept connections, and SANs. Default none."""
    node_port: NotRequired[int]
    """With node-port: port on every node, 30000 to 32767. No default."""
    load_balancer_class: NotRequired[pulumi.Input[str]]
    """With load-balancer: name of the load balancer implementation. Default the cluster's."""
    load_balancer_address: NotRequired[pulumi.Input[str]]
    """With load-balancer: address to request, which becomes a SAN. Default any."""
    ingress_class: NotRequired[pulumi.Input[str]]
    """With ingress: IngressClass of a controller that reads ingress-nginx annotations. No default."""
    gateway: NotRequired[pulumi.Input[str]]
    """With gateway: name of an existing Gateway. No default."""
    gateway_namespace: NotRequired[str]
    """With gateway: namespace of the Gateway. No default."""
    gateway_listener: NotRequired[pulumi.Input[str]]
    """With gateway: name of its listener with the protocol TLS and the mode Passthrough. No default."""
    client_cidrs: NotRequired[pulumi.Input[list[str]]]
    """Networks that may connect. Without ingress, clients need a node with a replica then. Default every network."""
    ip_families: NotRequired[list[IpFamily]]
    """Families of the Service's addresses: IPv4, IPv6 or both. The first one is for good. Default none."""
    ip_family_policy: NotRequired[IpFamilyPolicy]
    """With a dual-stack cluster: SingleStack, PreferDualStack or RequireDualStack. Default SingleStack."""
    service_annotations: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Annotations for the Service alone, as controllers of load balancers read them. Default none."""

    # Kubernetes objects
    namespace: NotRequired[str]
    """Namespace of its objects. Default docker-registry."""
    create_namespace: NotRequired[bool]
    """Whether to create the namespace. An existing one keeps its labels and is not deleted. Default true."""
    labels: NotRequired[dict[str, str]]
    """Labels for every object, in addition to the component's own. Default none."""
    annotations: NotRequired[dict[str, str]]
    """Annotations for every object, in addition to the component's own. Default none."""

    # Certificate
    certificate_names: NotRequired[pulumi.Input[list[str]]]
    """More DNS names and addresses that clients use, as SANs. *.example.com is allowed. Default none."""
    certificate_subject: NotRequired[dict[str, str]]
    """Subject without the common name: country, province, locality, organization, organizational_unit. Default none."""
    certificate_key: NotRequired[CertificateKey]
    """Kind of the private keys: P-256, P-384, RSA-2048, RSA-3072 or RSA-4096. Default P-256."""
    certificate_days: NotRequired[int]
    """Lifetime of the server certificate in days, 1 to 397. Default 356."""
    renew_before_days: NotRequired[int]
    """Days before its end to start renewing the server certificate. Default 30."""
    ca_days: NotRequired[int]
    """Lifetime of the generated CA in days, 794 to 7300. Default 3650."""
    ca_generations: NotRequired[list[int]]
    """Generated CAs that clients trust, the issuer first. Rotate by [1], [1, 2], [2, 1], [2]. Default 1."""
    ca_certificate: NotRequired[pulumi.Input[str]]
    """A CA of your own that issues instead, PEM, then the CAs above it up to the root. Default: one is generated."""
    ca_key: NotRequired[pulumi.Input[str]]
    """Private key of that CA, unencrypted PEM in any form of OpenSSL, a secret. No default."""
    tls_secret: NotRequired[pulumi.Input[str]]
    """Name of an existing TLS Secret to serve instead. Its root is in ca.crt, in tls.crt or public. Default none."""
    certificate_reload: NotRequired[bool]
    """With tls_secret: whether a proxy in the Pod serves a renewed certificate without `pulumi up`. Default true."""
    certificate_issuer: NotRequired[CertificateIssuerArgs]
    """Issuer of cert-manager that issues the server certificate and renews it: name and kind. Default none."""

    # Users
    users: NotRequired[list[str]]
    """Users, who may push and pull unless access says otherwise. The outputs are those of the first. Default centos."""
    passwords: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Chosen passwords by user, secret, at most 72 bytes. Default: 32 generated letters and digits."""
    password_generations: NotRequired[Mapping[str, list[int]]]
    """Generations of generated passwords by user, current first. Rotate by [1], [1, 2], [2, 1], [2]. Default none."""
    users_secret: NotRequired[pulumi.Input[str]]
    """Name of an existing Secret with bcrypt htpasswd lines in registry.password, instead of users. Default none."""

    # Access rules
    access: NotRequired[list[AccessRuleArgs]]
    """Rules of users, repositories and rights. If there are any, what none allows is refused. Default none."""
    anonymous_pull: NotRequired[list[str]]
    """Repositories that everybody may pull without a login, by name or glob such as public/**. Default none."""
    robots: NotRequired[Mapping[str, RobotArgs]]
    """Users for pipelines by name, with repositories and rights, and with generated passwords. Default none."""
    token: NotRequired[Mapping[str, str]]
    """Instead of users: realm, service, issuer and jwks of a token service such as GitLab or Keycloak. Default none."""
    front_image: NotRequired[pulumi.Input[str]]
    """With access rules, min_free or a certificate of others: image of HAProxy. Default haproxy:3.4.6-alpine."""
    front_requests: NotRequired[pulumi.Input[dict[str, str]]]
    """With that proxy: its requested cpu and memory, Kubernetes quantities. Default cpu 100m, memory 64Mi."""
    front_limits: NotRequired[pulumi.Input[dict[str, str]]]
    """With that proxy: its limits of cpu and memory, Kubernetes quantities. Default memory 256Mi."""

    # Nodes and other namespaces
    node_trust: NotRequired[bool]
    """Whether the container runtime of every node trusts it, and reaches it without DNS. Default false."""
    node_trust_image: NotRequired[pulumi.Input[str]]
    """With node_trust: image with sh, cmp and the file commands of POSIX, which every node pulls. Default: image."""
    containerd_folder: NotRequired[pulumi.Input[str]]
    """With node_trust: containerd's config_path on the nodes. Default /etc/containerd/certs.d."""
    docker_folder: NotRequired[pulumi.Input[str]]
    """With node_trust: folder of Docker, podman and skopeo on the nodes. Default /etc/docker/certs.d."""
    pull_secrets: NotRequired[list[str]]
    """Existing namespaces that get a pull Secret, `namespace`-pull, whose user may only pull. Default none."""
    pull_secret_repositories: NotRequired[list[str]]
    """With pull_secrets: repositories that the user pull may pull, by name or glob. Default **."""
    default_pull_secret: NotRequired[bool]
    """With pull_secrets: whether the default ServiceAccount uses it, if it uses no other one. Default false."""
    discovery: NotRequired[bool]
    """Whether to create kube-public/local-registry-hosting (KEP-1755), one for a cluster. Default false."""

    # Images
    storage: NotRequired[Storage]
    """Storage of the images: host-path, local, claim, class, s3, azure or gcs. Default host-path."""
    storage_path: NotRequired[pulumi.Input[str]]
    """With host-path and local: absolute path on the node. Default /var/lib/docker-registry/repository."""
    storage_size: NotRequired[pulumi.Input[str]]
    """With host-path, local and class: size of the claim, a Kubernetes quantity. Default 2Gi."""
    storage_claim: NotRequired[pulumi.Input[str]]
    """With claim: name of the existing PersistentVolumeClaim. No default."""
    storage_class: NotRequired[pulumi.Input[str]]
    """With class: StorageClass that provisions the volume. Default: the cluster's default class."""
    storage_access: NotRequired[StorageAccess]
    """With class: ReadWriteOnce, ReadWriteOncePod or ReadWriteMany. Default ReadWriteOnce."""
    s3_bucket: NotRequired[pulumi.Input[str]]
    """With s3: name of the existing bucket. No default."""
    s3_region: NotRequired[pulumi.Input[str]]
    """With s3: region of the bucket. Default us-east-1."""
    s3_endpoint: NotRequired[pulumi.Input[str]]
    """With s3: URL of a server other than AWS. Requests use path style. Default AWS."""
    s3_prefix: NotRequired[pulumi.Input[str]]
    """With s3: folder in the bucket. Default its root."""
    s3_access_key: NotRequired[pulumi.Input[str]]
    """With s3: id of the access key. Default: the registry looks for one as the AWS tools do."""
    s3_secret_key: NotRequired[pulumi.Input[str]]
    """With s3: secret of the access key. No default."""
    s3_secret: NotRequired[pulumi.Input[str]]
    """With s3: name of an existing Secret with access-key and secret-key, instead of the two. Default none."""
    s3_encrypt: NotRequired[bool]
    """With s3: whether the server encrypts the objects with a key of its own, or with s3_kms_key. Default false."""
    s3_kms_key: NotRequired[pulumi.Input[str]]
    """With s3_encrypt: ID or ARN of the key of KMS that encrypts the objects. Default none."""
    s3_storage_class: NotRequired[S3StorageClass]
    """With s3: STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR or NONE. Default STANDARD."""
    s3_redirect: NotRequired[bool]
    """With s3: whether clients download layers from the bucket, whose name and CA they then need. Default false."""
    azure_account: NotRequired[pulumi.Input[str]]
    """With azure: name of the storage account. No default."""
    azure_container: NotRequired[pulumi.Input[str]]
    """With azure: name of the existing container. No default."""
    azure_endpoint: NotRequired[pulumi.Input[str]]
    """With azure: URL of a server. Without the account in its host, it is in the path. Default the public cloud."""
    azure_prefix: NotRequired[pulumi.Input[str]]
    """With azure: folder in the container. Default its root."""
    azure_secret: NotRequired[pulumi.Input[str]]
    """With azure: name of an existing Secret with account-key. Default: the registry looks for a role."""
    gcs_bucket: NotRequired[pulumi.Input[str]]
    """With gcs: name of the existing bucket. No default."""
    gcs_prefix: NotRequired[pulumi.Input[str]]
    """With gcs: folder in the bucket. Default its root."""
    gcs_secret: NotRequired[pulumi.Input[str]]
    """With gcs: name of an existing Secret with key.json. Default: the registry looks for a role."""
    upstream_ca: NotRequired[pulumi.Input[str]]
    """With an object store or a mirror: CA of that server's certificate, PEM. Default the public ones."""
    outbound_proxy: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """With a store, mirror or backup: URLs of proxies http and https, a secret, no_proxy, more hosts. Default none."""

    # Workload
    workload: NotRequired[Workload]
    """Workload: pod, as in the guide, or deployment, which comes back after a drain or a node loss. Default pod."""
    replicas: NotRequired[int]
    """With deployment: number of replicas. More than one needs an object store or ReadWriteMany. Default 1."""
    node: NotRequired[pulumi.Input[str]]
    """With host-path, local and external-ips: node that holds the images, or any node. Default k8s-master."""
    node_label: NotRequired[pulumi.Input[str]]
    """With host-path and local: label, key=value, set on that node and selected. Default run-docker-registry=true."""
    run_as_user: NotRequired[int]
    """Numeric user of the process, which must own a host-path. Default 0 for host-path, otherwise 65532."""
    requests: NotRequired[pulumi.Input[dict[str, str]]]
    """Requested cpu and memory of each replica, Kubernetes quantities. Default cpu 100m, memory 64Mi."""
    limits: NotRequired[pulumi.Input[dict[str, str]]]
    """Limits of cpu and memory of each replica. An upload to s3 takes 12 MiB. Default memory 512Mi, with s3 1Gi."""
    priority_class: NotRequired[pulumi.Input[str]]
    """PriorityClass of the Pods. Default the cluster's."""
    tolerations: NotRequired[pulumi.Input[list[Mapping[str, str]]]]
    """Tolerations of the Pods: key, operator, value and effect. The control plane is tolerated anyway. Default none."""
    node_selector: NotRequired[dict[str, str]]
    """With claim, class and object stores: labels of the nodes that the Pods may run on. Default none."""
    service_account: NotRequired[pulumi.Input[str]]
    """Name of an existing ServiceAccount for the Pods. They get no token of it. Default the namespace's default one."""
    service_account_annotations: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Annotations for a ServiceAccount of the Pods, such as a role in a cloud, which is created then. Default none."""
    image: NotRequired[pulumi.Input[str]]
    """Image of the registry, with a version or a digest. Default registry:3.1.2."""
    image_pull_policy: NotRequired[ImagePullPolicy]
    """Pull policy of the image: Always, IfNotPresent or Never. Default IfNotPresent."""
    image_pull_secret: NotRequired[pulumi.Input[str]]
    """Name of an existing kubernetes.io/dockerconfigjson Secret to pull the image with. Default none."""

    # Maintenance
    collect: NotRequired[CollectArgs]
    """A job that deletes what no image needs: schedule, delete_untagged and timeout. Default none."""
    retention: NotRequired[list[RetentionRuleArgs]]
    """With collect: rules for tags to remove first, by repositories, tags, keep and keep_days. Default none."""
    scrub: NotRequired[ScrubArgs]
    """A job that reads everything to find damage: schedule, days and heal. Default none."""
    backup: NotRequired[BackupArgs]
    """A job that copies all images to a claim, to S3 or to another registry: schedule, to, timeout. Default none."""
    backup_user: NotRequired[pulumi.Input[str]]
    """With backup: user of that registry, or id of the access key of that bucket. Default none."""
    backup_password: NotRequired[pulumi.Input[str]]
    """With backup: password of that user, or secret of the access key, a secret. No default."""
    backup_secret: NotRequired[pulumi.Input[str]]
    """With backup: existing Secret with username and password, or access-key and secret-key, instead. Default none."""
    backup_ca: NotRequired[pulumi.Input[str]]
    """With backup: CA of that server's certificate, PEM. Default the public ones."""
    backup_image: NotRequired[pulumi.Input[str]]
    """With backup: image of regsync with a shell. Default ghcr.io/regclient/regsync:v0.11.7-alpine."""
    maintenance_image: NotRequired[pulumi.Input[str]]
    """With a job, alerts or dashboard: image of Python 3.11 or newer. Default python:3.14.2-alpine."""
    maintenance_requests: NotRequired[pulumi.Input[dict[str, str]]]
    """With a job, alerts or dashboard: requested cpu and memory of each. Default cpu 50m, memory 64Mi."""
    maintenance_limits: NotRequired[pulumi.Input[dict[str, str]]]
    """With a job, alerts or dashboard: limits of cpu and memory of each. Default memory 512Mi."""

    # Operation
    mode: NotRequired[Mode]
    """Mode: read-write, read-only (no pushes) or mirror (a cache of another registry). Default read-write."""
    mirror_of: NotRequired[pulumi.Input[str]]
    """With mirror: URL of the mirrored registry, such as https://registry-1.docker.io. No default."""
    mirror_username: NotRequired[pulumi.Input[str]]
    """With mirror: user name at that registry. Default none."""
    mirror_password: NotRequired[pulumi.Input[str]]
    """With mirror: password or token of that user, a secret. No default."""
    allow_delete: NotRequired[bool]
    """With read-write: whether users may delete tags and images, whose space only collect frees. Default false."""
    min_free: NotRequired[int]
    """With a volume: percent of free space and inodes below which pushes are refused with 507. Default 0."""
    upload_hours: NotRequired[int]
    """Hours before an unfinished upload is deleted, 1 to 8760. Default 24."""
    metrics: NotRequired[bool]
    """Whether Prometheus may scrape :5001/metrics on a Service inside the cluster. Default false."""
    service_monitor: NotRequired[bool]
    """With metrics: whether to create a ServiceMonitor. It needs the CRDs of the Prometheus operator. Default false."""
    monitor_labels: NotRequired[dict[str, str]]
    """With service_monitor: labels by which Prometheus selects it and the alerts, such as release. Default none."""
    monitor_interval: NotRequired[str]
    """With service_monitor: time between two scrapes, 5s to 2m. Default that of Prometheus."""
    alerts: NotRequired[bool]
    """With service_monitor: whether to create a PrometheusRule, and an exporter for what it watches. Default false."""
    dashboard: NotRequired[bool]
    """With metrics: whether to create a ConfigMap with a Grafana dashboard, and the same exporter. Default false."""
    dashboard_labels: NotRequired[dict[str, str]]
    """With dashboard: labels by which Grafana's sidecar selects the ConfigMap. Default grafana_dashboard 1."""
    log_level: NotRequired[LogLevel]
    """Log level: error, warn, info or debug. Default info."""
    log_format: NotRequired[LogFormat]
    """Log format: text, json or logstash. Default text."""
