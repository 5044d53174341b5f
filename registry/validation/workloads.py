"""How the registry runs and what it does for its users."""

from . import InvalidInput, one_of, text, whole_number
from .credentials import before_colon

WORKLOADS = ("pod", "deployment")
MODES = ("read-write", "read-only", "mirror")


def workload(value: str) -> str:
    """The kind of workload, one of `WORKLOADS`."""
    return one_of("workload", value, WORKLOADS, "pod is the guide's; deployment comes back after a drain")


def replicas(value: int) -> int:
    """How many run side by side."""
    return whole_number("replicas", value, 1, 32, "a whole number", "2 survive the loss of a node")


def mode(value: str) -> str:
    """What the registry does for its users, one of `MODES`."""
    return one_of("mode", value, MODES, "read-write takes pushes")


def upload_hours(value: int) -> int:
    """The age at which an unfinished upload is given up."""
    return whole_number(
        "upload_hours", value, 1, 8760, "a whole number of hours", "24 outlives every push that goes on"
    )


def log_level(value: str) -> str:
    """How much the registry says."""
    return one_of("log_level", value, ("error", "warn", "info", "debug"), "info tells each request")


def log_format(value: str) -> str:
    """How it says it: a formatter of CNCF Distribution."""
    return one_of("log_format", value, ("text", "json", "logstash"), "json suits a collector")


def mirror_username(value: str) -> str:
    """Whom to log in as, at the registry that is mirrored."""
    name = text("mirror_username", value, "ci-reader")
    if not 0 < len(name) <= 255 or ":" in name or not name.isprintable():
        got = before_colon(name)
        raise InvalidInput(
            "mirror_username", "1 to 255 printable characters without ':'", got, "for example 'ci-reader'"
        )
    return name
