"""The inputs that are a choice of words, as enums.

The rules refuse every other word, and the SDKs of other languages have the same enums. In Python a type checker wants
`Exposure.CLUSTER`, which finds a mistyped word early. At run time the plain word `cluster` is as good.
"""

from enum import StrEnum


class Exposure(StrEnum):
    """Exposure of the registry to clients."""

    CLUSTER = "cluster"
    """Only Pods of the cluster connect, to the Service."""
    EXTERNAL_IPS = "external-ips"
    """Clients connect to addresses of nodes, as in the guide."""
    NODE_PORT = "node-port"
    """Clients connect to a port of any node."""
    LOAD_BALANCER = "load-balancer"
    """Clients connect to a load balancer of the cluster."""
    INGRESS = "ingress"
    """Clients connect to an Ingress controller that reads the annotations of ingress-nginx."""
    GATEWAY = "gateway"
    """Clients connect to a Gateway of the cluster, which passes TLS through."""


class IpFamily(StrEnum):
    """Family of IP addresses."""

    IP_V4 = "IPv4"
    """IPv4."""
    IP_V6 = "IPv6"
    """IPv6."""


class IpFamilyPolicy(StrEnum):
    """Families of addresses that a Service gets."""

    SINGLE_STACK = "SingleStack"
    """One family."""
    PREFER_DUAL_STACK = "PreferDualStack"
    """Both families if the cluster has them."""
    REQUIRE_DUAL_STACK = "RequireDualStack"
    """Both families. A cluster with one family is refused."""


class Storage(StrEnum):
    """Storage of the images."""

    HOST_PATH = "host-path"
    """A folder of one node. The guide uses it."""
    LOCAL = "local"
    """A folder of one node that exists, as a local volume."""
    CLAIM = "claim"
    """An existing PersistentVolumeClaim."""
    CLASS = "class"
    """A claim that a StorageClass provisions."""
    S3 = "s3"
    """A bucket of S3, or of a server with its API."""
    AZURE = "azure"
    """A container of Azure Blob Storage."""
    GCS = "gcs"
    """A bucket of Google Cloud Storage."""


class S3StorageClass(StrEnum):
    """Storage class of objects in S3 that are read without a delay."""

    NONE = "NONE"
    """None, for servers that know no classes."""
    STANDARD = "STANDARD"
    """For frequent reads."""
    STANDARD_IA = "STANDARD_IA"
    """For rare reads."""
    ONEZONE_IA = "ONEZONE_IA"
    """For rare reads, in one zone."""
    INTELLIGENT_TIERING = "INTELLIGENT_TIERING"
    """Chosen by the server for each object."""
    GLACIER_IR = "GLACIER_IR"
    """For archives that are read at once."""


class StorageAccess(StrEnum):
    """Access mode of a claim that the registry can write to."""

    READ_WRITE_ONCE = "ReadWriteOnce"
    """Pods of one node may mount it."""
    READ_WRITE_ONCE_POD = "ReadWriteOncePod"
    """One Pod may mount it."""
    READ_WRITE_MANY = "ReadWriteMany"
    """Pods of all nodes may mount it, as several replicas need it."""


class Workload(StrEnum):
    """Kind of object that runs the registry."""

    POD = "pod"
    """A Pod without a controller. The guide uses it."""
    DEPLOYMENT = "deployment"
    """A Deployment, which comes back after a drain or a node loss."""


class Mode(StrEnum):
    """Requests that the registry serves."""

    READ_WRITE = "read-write"
    """Pushes and pulls."""
    READ_ONLY = "read-only"
    """Only pulls."""
    MIRROR = "mirror"
    """Pulls of another registry's images, which it caches."""


class AccessRight(StrEnum):
    """Right of a user or robot. Push and delete include pull, because clients read an image before they replace it."""

    PULL = "pull"
    """Read images."""
    PUSH = "push"
    """Write images."""
    DELETE = "delete"
    """Delete tags and images."""


class IssuerKind(StrEnum):
    """Kind of an issuer of cert-manager."""

    ISSUER = "Issuer"
    """An issuer of the registry's namespace."""
    CLUSTER_ISSUER = "ClusterIssuer"
    """An issuer of the cluster."""


class CertificateKey(StrEnum):
    """Kind of private key that Docker, containerd, podman, OpenSSL and Apple's clients accept."""

    P256 = "P-256"
    """ECDSA on the curve P-256."""
    P384 = "P-384"
    """ECDSA on the curve P-384."""
    RSA2048 = "RSA-2048"
    """RSA of 2048 bits."""
    RSA3072 = "RSA-3072"
    """RSA of 3072 bits."""
    RSA4096 = "RSA-4096"
    """RSA of 4096 bits."""


class ImagePullPolicy(StrEnum):
    """Occasions when a node pulls the image."""

    ALWAYS = "Always"
    """At every start of a Pod."""
    IF_NOT_PRESENT = "IfNotPresent"
    """If the node does not have it."""
    NEVER = "Never"
    """Never. The node must have it."""


class LogLevel(StrEnum):
    """Least important messages that the registry logs."""

    ERROR = "error"
    """Errors."""
    WARN = "warn"
    """Warnings too."""
    INFO = "info"
    """Every request too."""
    DEBUG = "debug"
    """All details, to find the cause of an error."""


class LogFormat(StrEnum):
    """Format of the log lines."""

    TEXT = "text"
    """Lines for people."""
    JSON = "json"
    """JSON for log collectors."""
    LOGSTASH = "logstash"
    """JSON with the fields of Logstash."""
