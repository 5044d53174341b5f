"""The CA store of the operating system, which most programs read. A CA in it is trusted for every name.

Debian's update-ca-certificates(8) takes files named *.crt with one certificate per file. Fedora's update-ca-trust(8)
takes any file in source/anchors. Both build a bundle of these and of the public CAs.
"""

from pathlib import PurePosixPath
from typing import NamedTuple

from .machine import Machine


class Store(NamedTuple):
    """A system store and the program that builds its bundle."""

    program: str
    marker: PurePosixPath
    """Path that exists if the system has this store."""
    anchors: PurePosixPath
    """Folder for CAs that the administrator adds."""
    bundle: PurePosixPath
    """File that the program builds."""
    refresh_arguments: tuple[str, ...]
    """Arguments for the program after a CA was removed."""


STORES = (
    Store(  # Debian, Ubuntu and Alpine, but not openSUSE, whose program of the same name reads other folders
        "update-ca-certificates",
        PurePosixPath("/etc/ca-certificates.conf"),
        PurePosixPath("/usr/local/share/ca-certificates"),
        PurePosixPath("/etc/ssl/certs/ca-certificates.crt"),
        ("--fresh",),  # removes the links to removed CAs
    ),
    Store(  # Fedora, RHEL
        "update-ca-trust",
        PurePosixPath("/etc/pki/ca-trust/source"),
        PurePosixPath("/etc/pki/ca-trust/source/anchors"),
        PurePosixPath("/etc/pki/tls/certs/ca-bundle.crt"),
        (),
    ),
)


def find_store(machine: Machine) -> Store | None:
    """Return the machine's system store, or None if it is not one of STORES."""
    stores = (store for store in STORES if machine.locate(store.marker).exists() and machine.which(store.program))
    return next(stores, None)
