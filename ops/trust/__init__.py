"""`ops trust`: install the registry's CA for the clients of this machine, or remove it.

machine       the files, programs and names of a machine
marker        the first line of every file that this command wrote
clients       the files that each client reads a CA from
system_store  the CA store of the operating system
hosts         the line in /etc/hosts
plan          compute all changes before the first one is made
apply         write and remove files
commands      show the changes, ask, and apply them
"""

from .clients import CLIENTS
from .commands import install, uninstall
from .machine import Machine

__all__ = ["CLIENTS", "Machine", "install", "uninstall"]
