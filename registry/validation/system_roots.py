"""The root certificates that this machine trusts.

Servers with a certificate of a public CA do not send its root, so the CA bundle of clients takes it from here.
"""

import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning


def system_roots() -> list[x509.Certificate]:
    """Return the certificates of OpenSSL's CA file, or of its CA folder if there is no file.

    The variables SSL_CERT_FILE and SSL_CERT_DIR replace them. Unreadable files are skipped.
    """
    roots: dict[bytes, x509.Certificate] = {}
    for file in _trust_store_files():
        try:
            # Old public roots have the serial number 0, which causes a warning.
            with warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning):
                certificates = x509.load_pem_x509_certificates(file.read_bytes())
        except (OSError, ValueError):
            continue
        roots.update({item.signature: item for item in certificates})  # a folder may have a certificate twice
    return list(roots.values())


def _trust_store_files() -> Iterator[Path]:
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        yield Path(paths.cafile)
    elif paths.capath:
        yield from sorted(Path(paths.capath).glob("*.[0-9]"))  # the links of `openssl rehash`
