"""TLS clients that verify a chain: OpenSSL with the flags of several programs.

A function `*_objection` returns the error of a verification as text, or "". The OpenSSL of this machine stands for all
versions of Python, because they differ in these flags.
"""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

CLIENTS = {
    "Python 3.11, curl": 0,
    "OpenSSL with -x509_strict": ssl.VERIFY_X509_STRICT,
    "Python 3.13": ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN,
}
"""Flags of a client in addition to OpenSSL's defaults."""


class ServedChain(NamedTuple):
    """A server's chain and its key, the CAs that clients trust, all in PEM, and the hosts that they connect to."""

    chain: str
    key: str
    ca_bundle: str
    hosts: tuple[str, ...]


def python_objection(case: ServedChain, folder: Path) -> str:
    """Return the error of the first of `CLIENTS` that refuses a handshake, or of the server that loads the chain."""
    return next(filter(None, (_handshake_error(case, folder, flags) for flags in CLIENTS.values())), "")


def _handshake_error(case: ServedChain, folder: Path, flags: int) -> str:
    chain, key = folder / "server.crt", folder / "server.key"
    chain.write_bytes(case.chain.encode())
    key.write_bytes(case.key.encode())
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(chain, key)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.verify_flags |= flags
        client.load_verify_locations(cadata=case.ca_bundle)
        for host in case.hosts:
            _handshake(client, server, host)
    except (ssl.SSLError, TypeError, ValueError) as error:  # for example because of a NUL or an empty label in a host
        return str(error)
    return ""


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    peers = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    finished = [False, False]
    while not all(finished):
        for number, peer in enumerate(peers):
            try:
                peer.do_handshake()
                finished[number] = True
            except ssl.SSLWantReadError:
                pass


def openssl_objection(case: ServedChain, folder: Path) -> str:
    """Return the error of `openssl verify -x509_strict`, which makes no handshake."""
    leaf, end_marker, intermediates = case.chain.partition("-----END CERTIFICATE-----\n")
    files = {"leaf": leaf + end_marker, "intermediates": intermediates, "roots": case.ca_bundle}
    for name, text in files.items():
        (folder / name).write_text(text)
    untrusted = ["-untrusted", str(folder / "intermediates")] if intermediates else []
    common = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", *untrusted]
    for host in case.hosts:
        if "\0" in host:
            return "NUL in an argument"
        flag = "-verify_ip" if ":" in host or host.replace(".", "").isdigit() else "-verify_hostname"
        command = [*common, "-CAfile", str(folder / "roots"), flag, host, str(folder / "leaf")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr
    return ""
