"""A system's own list of CAs, which most programs read: there a CA vouches for every name.

Debian's update-ca-certificates(8) takes one certificate a file, whose name ends in .crt; Fedora's update-ca-trust(8)
any file in source/anchors. Both make a bundle of them and of the public CAs.
"""

from pathlib import PurePosixPath
from typing import NamedTuple

from .machine import Machine


class Store(NamedTuple):
    """A system's list of CAs: where ours go, where the list is, what makes it and what makes it without one."""

    program: str
    present: PurePosixPath
    anchors: PurePosixPath
    bundle: PurePosixPath
    anew: tuple[str, ...]


STORES = (
    Store(  # Debian, Ubuntu, Alpine; openSUSE's program of that name reads other folders
        "update-ca-certificates",
        PurePosixPath("/etc/ca-certificates.conf"),
        PurePosixPath("/usr/local/share/ca-certificates"),
        PurePosixPath("/etc/ssl/certs/ca-certificates.crt"),
        ("--fresh",),  # otherwise the links to what is gone stay
    ),
    Store(  # Fedora, RHEL
        "update-ca-trust",
        PurePosixPath("/etc/pki/ca-trust/source"),
        PurePosixPath("/etc/pki/ca-trust/source/anchors"),
        PurePosixPath("/etc/pki/tls/certs/ca-bundle.crt"),
        (),
    ),
)


def store_of(machine: Machine) -> Store | None:
    """The system's list of CAs."""
    stores = (each for each in STORES if machine.at(each.present).exists() and machine.which(each.program))
    return next(stores, None)
