"""Variants of one file, as editors, shells, OpenSSL and key stores write it."""

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
"""Block that `openssl ecparam -genkey` writes before a key: the curve P-256."""

BAG_ATTRIBUTES = "Bag Attributes\n    friendlyName: registry\nKey Attributes: <No Attributes>\n"
"""Text that `openssl pkcs12` writes before a block."""


def _wrap_base64(pem: str, width: int) -> str:
    """Return the PEM with `width` characters of base64 in a line."""
    blocks = []
    for block in pem.split("-----END ")[:-1]:
        before, _, content = block.rpartition("-----\n")
        blocks.append(f"{before}-----\n" + "\n".join(wrap("".join(content.split()), width)) + "\n-----END ")
    return "".join(blocks) + pem.rpartition("-----END ")[2]


HARMLESS_CHANGES: Mapping[str, Change] = {
    "lines of 48": lambda text: _wrap_base64(text, 48),
    "comments": lambda text: f"{BAG_ATTRIBUTES}{text}# end\n",
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "no line end": lambda text: text.rstrip("\r\n"),
    "blank lines around": lambda text: f"\n\n{text}\n\n",
    "spaces after lines": lambda text: text.replace("-----\n", "----- \t\n"),
}
"""Changes of a PEM file that no program notices, by name."""

RISKY_CHANGES: Mapping[str, Change] = {
    "byte order mark": lambda text: f"\ufeff{text}",
    "byte order marks inside": lambda text: text.replace("-----BEGIN", "\ufeff-----BEGIN"),
    "CR": lambda text: text.replace("\n", "\r"),
    "indented": lambda text: "".join(f"  {line}" for line in text.splitlines(keepends=True)),
    "glued blocks": lambda text: text.replace("-----\n-----BEGIN", "----------BEGIN"),
    "lines in one": lambda text: text.replace("\n", " "),
    "text before BEGIN": lambda text: f"key: {text}",
    "old name": lambda text: text.replace(" CERTIFICATE-----", " X509 CERTIFICATE-----"),
}
"""Changes of a PEM file that `cryptography` can still read and another program cannot, by name."""


def variants_of(pem: str, changes: Mapping[str, Change]) -> st.SearchStrategy[str]:
    """Return a strategy for `pem` after one to three of the changes, in the order of the table."""
    return st.lists(st.sampled_from([*changes]), min_size=1, max_size=3, unique=True).map(
        lambda names: _apply(pem, [change for name, change in changes.items() if name in names])
    )


def _apply(text: str, changes: list[Change]) -> str:
    for change in changes:
        text = change(text)
    return text


@cache
def list_key_files(key: Key, certificate: str) -> list[str]:
    """Return files with the key in each form that OpenSSL writes, alone and with other blocks in the file."""
    pkcs8, traditional = (
        key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
    )
    files = [pkcs8, traditional, certificate + pkcs8, traditional + certificate]
    return files if isinstance(key, rsa.RSAPrivateKey) else [*files, EC_PARAMETERS + traditional]


@cache
def encode_key_unreadable_in_go(key: Key) -> str:
    """Return the key in a form that Go does not read: EC with explicit parameters of the curve, or RSA for PSS."""
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key, rsa.RSAPrivateKey):
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        # RSA for PSS has another object identifier, and no NULL as its parameters.
        algorithm, pss = bytes.fromhex("300d06092a864886f70d0101010500"), bytes.fromhex("300b06092a864886f70d01010a")
        length = int.from_bytes(der[2:4]) - 2
        der = der[:2] + length.to_bytes(2) + der[4:].replace(algorithm, pss)
        return f"-----BEGIN PRIVATE KEY-----\n{b64encode(der).decode()}\n-----END PRIVATE KEY-----\n"
    command = ["openssl", "ec", "-param_enc", "explicit"]
    return subprocess.run(command, input=pkcs8, capture_output=True, check=True).stdout.decode()


def files_with_line(line: str) -> st.SearchStrategy[str]:
    """Return a strategy for files of one line, such as an S3 key, with whitespace that Go and Python both strip."""
    ends = st.sampled_from(["", "\n", "\r\n", "\n\n", " \n", "\t\r\n"])
    starts = st.sampled_from(["", "\n", "\r\n", " "])
    return st.builds(lambda start, end: f"{start}{line}{end}", starts, ends)
