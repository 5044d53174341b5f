"""What may be set: every input of the component, with its shape, its default and what it does.

A new input is a line here, a rule and perhaps a default in `settings.py`, and a use in the part that it concerns; if it
has a default, also a key of Pulumi.yaml. A `pulumi.Input` may come from another resource; the rest shapes the graph and
has to be known before deployment (docs/adr/0009-inputs.md). The comments are the headings of docs/configuration.md.
"""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi


class PrivateRegistryArgs(TypedDict):
    # How clients reach it
    hostname: NotRequired[pulumi.Input[str]]
    """The name that clients outside the cluster type; the certificate's common name. Default docker-registry."""
    port: NotRequired[int]
    """TCP port of the Service, 1 to 65535; with node-port and ingress, clients outside type another. Default 5000."""
    exposure: NotRequired[str]
    """The way in: cluster, external-ips, node-port, load-balancer or ingress. Default cluster."""
    external_ips: NotRequired[list[str]]
    """With external-ips: addresses of nodes on which the Service answers; each becomes a SAN. Default none."""
    node_port: NotRequired[int]
    """With node-port: the port on every node, 30000 to 32767. No default."""
    load_balancer_class: NotRequired[pulumi.Input[str]]
    """With load-balancer: which implementation serves it. Default the cluster's."""
    load_balancer_address: NotRequired[pulumi.Input[str]]
    """With load-balancer: the address to ask for, which becomes a SAN. Default any."""
    ingress_class: NotRequired[pulumi.Input[str]]
    """With ingress: the IngressClass of a controller that reads ingress-nginx annotations. No default."""
    client_cidrs: NotRequired[pulumi.Input[list[str]]]
    """Networks that may connect; from outside, only nodes that run the registry answer then. Default every network."""

    # Where its objects live
    namespace: NotRequired[str]
    """Namespace of its objects, which is theirs alone unless create_namespace is false. Default docker-registry."""
    create_namespace: NotRequired[bool]
    """Whether to make the namespace; one that is there stays, and its labels are its maker's affair. Default true."""
    labels: NotRequired[dict[str, str]]
    """Labels for every object, beside the component's own. Default none."""
    annotations: NotRequired[dict[str, str]]
    """Annotations for every object, beside the component's own. Default none."""

    # Certificate
    certificate_names: NotRequired[pulumi.Input[list[str]]]
    """More DNS names and addresses by which clients reach it, as SANs; *.example.com is allowed. Default none."""
    certificate_subject: NotRequired[dict[str, str]]
    """Subject beside the common name: country, province, locality, organization, organizational_unit. Default none."""
    certificate_key: NotRequired[str]
    """Kind of the private keys: P-256, P-384, RSA-2048, RSA-3072 or RSA-4096. Default P-256."""
    certificate_days: NotRequired[int]
    """Lifetime of the server's certificate in days, 1 to 397. Default 356."""
    renew_before_days: NotRequired[int]
    """Days before the end in which the next `pulumi up` renews the certificate. Default 30."""
    ca_days: NotRequired[int]
    """Lifetime of the generated CA in days, 794 to 7300. Default 3650."""
    ca_generations: NotRequired[list[int]]
    """Generated CAs that clients trust, the signer first; rotate by [1], [1, 2], [2, 1], [2]. Default 1."""
    ca_certificate: NotRequired[pulumi.Input[str]]
    """A CA of your own that signs instead, PEM, followed by those above it if any. Default: one is generated."""
    ca_key: NotRequired[pulumi.Input[str]]
    """The private key of that CA, unencrypted PEM, a secret. No default."""
    tls_secret: NotRequired[pulumi.Input[str]]
    """Name of an existing kubernetes.io/tls Secret to serve instead of a certificate made here. Default none."""

    # Users
    users: NotRequired[list[str]]
    """Who may push and pull; the outputs username and password are the first one's. Default centos."""
    passwords: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Chosen passwords by user, secret, 72 bytes each at most. Default: 32 generated letters and digits each."""
    password_generations: NotRequired[Mapping[str, list[int]]]
    """By user: generations of its password, the one in use first; rotate by [1], [1, 2], [2, 1], [2]. Default none."""
    users_secret: NotRequired[pulumi.Input[str]]
    """Name of an existing Secret with bcrypt htpasswd lines in registry.password, instead of users. Default none."""

    # Who else pulls from it
    node_trust: NotRequired[bool]
    """Whether every node's container runtime trusts it, and finds it without DNS. Default false."""
    node_trust_image: NotRequired[pulumi.Input[str]]
    """With node_trust: any image with sh, cat, cmp and mv, which every node can pull. Default: image."""
    containerd_folder: NotRequired[pulumi.Input[str]]
    """With node_trust: containerd's config_path on the nodes. Default /etc/containerd/certs.d."""
    docker_folder: NotRequired[pulumi.Input[str]]
    """With node_trust: where Docker, podman and skopeo look on the nodes. Default /etc/docker/certs.d."""
    pull_secrets: NotRequired[list[str]]
    """Existing namespaces whose Pods get a pull Secret, `namespace`-pull, so docker-registry-pull. Default none."""
    default_pull_secret: NotRequired[bool]
    """With pull_secrets: whether the default ServiceAccount of each uses it, if that has none yet. Default false."""
    discovery: NotRequired[bool]
    """Whether kube-public/local-registry-hosting (KEP-1755), of which a cluster has one, tells of it. Default false."""

    # Images
    storage: NotRequired[str]
    """Where the images lie: host-path, local, claim, class or s3. Default host-path."""
    storage_path: NotRequired[pulumi.Input[str]]
    """With host-path and local: the node's folder, absolute. Default /var/lib/docker-registry/repository."""
    storage_size: NotRequired[pulumi.Input[str]]
    """With host-path, local and class: what the claim asks for, a Kubernetes quantity. Default 2Gi."""
    storage_claim: NotRequired[pulumi.Input[str]]
    """With claim: the name of the existing PersistentVolumeClaim. No default."""
    storage_class: NotRequired[pulumi.Input[str]]
    """With class: the StorageClass that provisions the volume. No default."""
    storage_access: NotRequired[str]
    """With class: ReadWriteOnce, ReadWriteOncePod or ReadWriteMany. Default ReadWriteOnce."""
    s3_bucket: NotRequired[pulumi.Input[str]]
    """With s3: the bucket, which exists. No default."""
    s3_region: NotRequired[pulumi.Input[str]]
    """With s3: the bucket's region. Default us-east-1."""
    s3_endpoint: NotRequired[pulumi.Input[str]]
    """With s3: URL of a server other than AWS, spoken to in path style. Default AWS."""
    s3_prefix: NotRequired[pulumi.Input[str]]
    """With s3: folder in the bucket. Default its root."""
    s3_access_key: NotRequired[pulumi.Input[str]]
    """With s3: the access key's id. Default: the registry looks for one as AWS's tools do."""
    s3_secret_key: NotRequired[pulumi.Input[str]]
    """With s3: the access key's secret. No default."""
    s3_secret: NotRequired[pulumi.Input[str]]
    """With s3: name of an existing Secret that has access-key and secret-key, instead of the two. Default none."""
    upstream_ca: NotRequired[pulumi.Input[str]]
    """With s3 or a mirror: the CA that signed that server's certificate, PEM. Default the public ones."""

    # Workload
    workload: NotRequired[str]
    """What runs: pod, as in the guide, or deployment, which comes back after a drain or a node's loss. Default pod."""
    replicas: NotRequired[int]
    """With deployment: how many; more than one on shared storage only, s3 or ReadWriteMany. Default 1."""
    node: NotRequired[pulumi.Input[str]]
    """With host-path, local and external-ips: the node that holds the images, or any one. Default k8s-master."""
    node_label: NotRequired[pulumi.Input[str]]
    """With host-path and local: label, key=value, put on that node and selected. Default run-docker-registry=true."""
    run_as_user: NotRequired[int]
    """Numeric user of the process, to whom a host-path must belong. Default 0 for host-path, otherwise 65532."""
    requests: NotRequired[pulumi.Input[dict[str, str]]]
    """What is set aside for each replica: cpu and memory, Kubernetes quantities. Default cpu 100m, memory 64Mi."""
    limits: NotRequired[pulumi.Input[dict[str, str]]]
    """What each replica may use at most: cpu and memory, Kubernetes quantities. Default memory 512Mi."""
    priority_class: NotRequired[pulumi.Input[str]]
    """PriorityClass of the Pod. Default the cluster's."""
    image: NotRequired[pulumi.Input[str]]
    """Image of the registry, with a version or a digest. Default registry:3.1.2."""
    image_pull_policy: NotRequired[str]
    """When the image is pulled: Always, IfNotPresent or Never. Default IfNotPresent."""
    image_pull_secret: NotRequired[pulumi.Input[str]]
    """Name of an existing kubernetes.io/dockerconfigjson Secret to pull the image with. Default none."""

    # Operation
    mode: NotRequired[str]
    """What it does: read-write, read-only (no pushes) or mirror (pulls through from another). Default read-write."""
    mirror_of: NotRequired[pulumi.Input[str]]
    """With mirror: URL of the registry whose images are kept, such as https://registry-1.docker.io. No default."""
    mirror_username: NotRequired[pulumi.Input[str]]
    """With mirror: the user to log in there as. Default nobody."""
    mirror_password: NotRequired[pulumi.Input[str]]
    """With mirror: that user's password or token, a secret. No default."""
    allow_delete: NotRequired[bool]
    """With read-write: whether users may delete tags and images. Default false."""
    upload_hours: NotRequired[int]
    """Age in hours at which an unfinished upload is removed, 1 to 8760. Default 24."""
    metrics: NotRequired[bool]
    """Whether Prometheus may scrape :5001/metrics on a Service of its own inside the cluster. Default false."""
    service_monitor: NotRequired[bool]
    """With metrics: whether a ServiceMonitor tells the Prometheus operator, whose CRD must be there. Default false."""
    log_level: NotRequired[str]
    """How much is logged: error, warn, info or debug. Default info."""
    log_format: NotRequired[str]
    """How it is logged: text, json or logstash. Default text."""
