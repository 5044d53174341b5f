"""A host, CAs, existing Secrets and a hash that several tests share."""

import bcrypt

from registry.validation.secrets import ExistingSecret
from tests.issuing import CertificateSpec, issue

HOST = "registry.example.com"
ROOT = issue(CertificateSpec("Root"))
ISSUING_CA = issue(CertificateSpec("Issuing CA"), ROOT)
TLS = ExistingSecret("tls_secret", "docker-registry", "tls", ("tls.crt", "tls.key"), "kubernetes.io/tls")
S3 = ExistingSecret("s3_secret", "docker-registry", "bucket", ("access-key", "secret-key"))
HASH = bcrypt.hashpw(b"password", b"$2b$05$abcdefghijklmnopqrstu.").decode()
"""Hash of a line of htpasswd."""
