"""A host, CAs and existing Secrets that several tests share."""

from registry.validation.secrets import ExistingSecret
from tests.issuing import CertificateSpec, issue

HOST = "registry.example.com"
ROOT = issue(CertificateSpec("Root"))
ISSUING_CA = issue(CertificateSpec("Issuing CA"), ROOT)
TLS = ExistingSecret("tls_secret", "docker-registry", "tls", ("tls.crt", "tls.key"), "kubernetes.io/tls")
S3 = ExistingSecret("s3_secret", "docker-registry", "bucket", ("access-key", "secret-key"))
