"""The roots that this machine trusts. Servers with a certificate of a public CA do not send its root."""

import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning


def system_roots() -> list[x509.Certificate]:
    """Return the certificates of OpenSSL's trust store, or those that SSL_CERT_FILE and SSL_CERT_DIR name."""
    roots: dict[bytes, x509.Certificate] = {}
    for file in _files():
        try:
            # Old public roots have the serial number 0, which causes a warning.
            with warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning):
                certificates = x509.load_pem_x509_certificates(file.read_bytes())
        except (OSError, ValueError):
            continue
        roots.update({item.signature: item for item in certificates})
    return list(roots.values())


def _files() -> Iterator[Path]:
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        yield Path(paths.cafile)
    elif paths.capath:
        yield from sorted(Path(paths.capath).glob("*.[0-9]"))
