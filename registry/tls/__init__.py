"""TLS: a CA, the server certificate that it issues, and the Secret that the Pod mounts, or an existing Secret.

The existing Secret may be one that cert-manager writes for the component (docs/adr/0034-cert-manager.md).

A CA and a server certificate rather than one self-signed certificate: clients trust the CA, and the server certificate
is renewed under it without a change for any client (docs/adr/0002-ca-and-leaf.md). The CA is rotated in steps
(docs/adr/0014-rotation.md).
"""

from .authority import CertificateAuthority
from .existing import ExistingCertificate
from .issued import request_certificate
from .server_certificate import ServerCertificate

__all__ = ["CertificateAuthority", "ExistingCertificate", "ServerCertificate", "request_certificate"]
