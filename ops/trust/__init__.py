"""`python -m ops trust`: the clients of this machine trust the registry, or do so no longer.

machine       what is asked of a machine: its files, programs and names
mark          the first line of every file of ours
places        where each client looks for a CA
system        the system's own list of CAs
hosts         the line in /etc/hosts
plan          what is to be written and removed, all of it before any of it
act           writing and removing it
conversation  what is said and asked on the way
"""

from .conversation import forget, say, trust
from .machine import Machine
from .places import CLIENTS

__all__ = ["CLIENTS", "Machine", "forget", "say", "trust"]
