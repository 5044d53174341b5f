"""Spellings of one file: what editors, shells, OpenSSL and key stores make of it.

A tidy spelling is read alike by every program. Other spellings are read by some programs only.
"""

import subprocess
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from textwrap import wrap

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import strategies as st

from tests.issuing import Key

Change = Callable[[str], str]

EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
"""The block that `openssl ecparam -genkey` writes before a key: the curve P-256."""

BAG_ATTRIBUTES = "Bag Attributes\n    friendlyName: registry\nKey Attributes: <No Attributes>\n"
"""The text that `openssl pkcs12` writes before a block."""


def _rewrap(pem: str, width: int) -> str:
    """Return the PEM with another length of its lines of base64."""
    blocks = []
    for block in pem.split("-----END ")[:-1]:
        before, _, content = block.rpartition("-----\n")
        blocks.append(f"{before}-----\n" + "\n".join(wrap("".join(content.split()), width)) + "\n-----END ")
    return "".join(blocks) + pem.rpartition("-----END ")[2]


TIDY: Mapping[str, Change] = {
    "lines of 48": lambda text: _rewrap(text, 48),
    "comments": lambda text: f"{BAG_ATTRIBUTES}{text}# end\n",
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "no line end": lambda text: text.rstrip("\r\n"),
    "blank lines around": lambda text: f"\n\n{text}\n\n",
    "spaces after lines": lambda text: text.replace("-----\n", "----- \t\n"),
}
"""Changes that every program reads alike, by name."""

UNTIDY: Mapping[str, Change] = {
    "lines of 48": lambda text: _rewrap(text, 48),
    "byte order mark": lambda text: f"\ufeff{text}",
    "byte order marks inside": lambda text: text.replace("-----BEGIN", "\ufeff-----BEGIN"),
    "CR": lambda text: text.replace("\n", "\r"),
    "indented": lambda text: "".join(f"  {line}" for line in text.splitlines(keepends=True)),
    "glued blocks": lambda text: text.replace("-----\n-----BEGIN", "----------BEGIN"),
    "lines in one": lambda text: text.replace("\n", " "),
    "text before BEGIN": lambda text: f"key: {text}",
    "old name": lambda text: text.replace(" CERTIFICATE-----", " X509 CERTIFICATE-----"),
}
"""Changes that `cryptography` reads, and some other programs do not."""


def spelled(pem: str, changes: Mapping[str, Change]) -> st.SearchStrategy[str]:
    """Return a strategy for `pem` after one to three changes, in the order of the table."""
    return st.lists(st.sampled_from([*changes]), min_size=1, max_size=3, unique=True).map(
        lambda names: _apply(pem, [change for name, change in changes.items() if name in names])
    )


def _apply(text: str, changes: list[Change]) -> str:
    for change in changes:
        text = change(text)
    return text


@cache
def key_forms(key: Key, certificate: str) -> dict[str, str]:
    """Return files that hold the key, by name: each form of OpenSSL, and other blocks before or after the key."""
    pkcs8, traditional = (
        key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
    )
    parameters = "" if isinstance(key, rsa.RSAPrivateKey) else EC_PARAMETERS
    return {
        "PKCS#8": pkcs8,
        "PKCS#1 or SEC1": traditional,
        "after EC PARAMETERS": parameters + traditional,
        "after the certificate": certificate + pkcs8,
        "before the certificate": traditional + certificate,
    }


@cache
def rare_key(key: Key) -> str:
    """Return the key in a form that Go does not read: with explicit parameters of its curve, or as RSA for PSS."""
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key, rsa.RSAPrivateKey):
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        # Another object identifier, and no NULL as its parameters.
        algorithm, pss = bytes.fromhex("300d06092a864886f70d0101010500"), bytes.fromhex("300b06092a864886f70d01010a")
        length = int.from_bytes(der[2:4]) - 2
        der = der[:2] + length.to_bytes(2) + der[4:].replace(algorithm, pss)
        return f"-----BEGIN PRIVATE KEY-----\n{b64encode(der).decode()}\n-----END PRIVATE KEY-----\n"
    command = ["openssl", "ec", "-param_enc", "explicit"]
    return subprocess.run(command, input=pkcs8, capture_output=True, check=True).stdout.decode()


def lines_spelled(line: str) -> st.SearchStrategy[str]:
    """Return a strategy for a file of that line, such as an S3 key or a line of htpasswd, in a tidy spelling."""
    ends = st.sampled_from(["", "\n", "\r\n", "\n\n", " \n", "\t\r\n"])
    starts = st.sampled_from(["", "\n", "\r\n", " "])
    return st.builds(lambda start, end: f"{start}{line}{end}", starts, ends)
