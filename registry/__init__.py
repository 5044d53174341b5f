"""Two Pulumi components: a private Docker registry on Kubernetes, and the trust of nodes in registries."""

from .choices import (
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
from .inputs.args import PrivateRegistryArgs
from .node_trust import NodeTrust, NodeTrustArgs, TrustedRegistryArgs
from .private_registry import PrivateRegistry
from .redaction import redact_debug_log
from .validation import InvalidInput

__version__ = "0.1.0"
"""Version of the package, of its schema and of the newest release."""

__all__ = [
    "AccessRight",
    "CertificateKey",
    "Exposure",
    "ImagePullPolicy",
    "InvalidInput",
    "IpFamily",
    "IpFamilyPolicy",
    "IssuerKind",
    "LogFormat",
    "LogLevel",
    "Mode",
    "NodeTrust",
    "NodeTrustArgs",
    "PrivateRegistry",
    "PrivateRegistryArgs",
    "S3StorageClass",
    "Storage",
    "StorageAccess",
    "TrustedRegistryArgs",
    "Workload",
    "__version__",
    "redact_debug_log",
]
